//! Figures as files: SVG as drawn, PDF and PNG from it, with the font that is compiled in and no other, so that their bytes are the same on
//! every machine.

use super::draw::{draw, with_lengths};
use super::model::Figure;
use super::text::{BOLD, REGULAR};
use anyhow::Context as _;
use resvg::{tiny_skia, usvg};
use std::path::Path;
use std::sync::Arc;

/// What a figure can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Vector, text as text.
    Svg,
    /// Vector, fonts embedded.
    Pdf,
    /// Pixels on white.
    Png,
}

impl Kind {
    /// The kind of a file by its name's end.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "svg" => Some(Self::Svg),
            "pdf" => Some(Self::Pdf),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

/// The bytes of a figure; `dpi` is that of PNG.
///
/// # Errors
/// When a conversion fails, which no figure makes it do.
pub fn bytes(figure: &Figure, kind: Kind, dpi: u32) -> anyhow::Result<Vec<u8>> {
    let svg = draw(figure).svg;
    match kind {
        Kind::Svg => Ok(with_lengths(&svg).into_bytes()),
        Kind::Pdf => pdf(&tree(&svg)?),
        Kind::Png => png(&tree(&svg)?, dpi),
    }
}

/// svg2pdf keeps resources and fonts in hash maps, whose order is another one every time: entries of a dictionary, one per line, are
/// sorted, which moves no object; where the second font was written before the first, the document is made again.
fn pdf(tree: &usvg::Tree) -> anyhow::Result<Vec<u8>> {
    for _ in 0..64 {
        let page = svg2pdf::PageOptions { dpi: 96.0 };
        let made = svg2pdf::to_pdf(tree, svg2pdf::ConversionOptions::default(), page)
            .map_err(|e| anyhow::anyhow!("failed to make a PDF: {e}"))?;
        let bytes = with_sorted_entries(&made);
        if fonts(&bytes).is_sorted() {
            return Ok(bytes);
        }
    }
    anyhow::bail!("failed to make a PDF: its fonts are never in order")
}

/// Numbers of the objects of fonts, in the order in which they are written.
fn fonts(pdf: &[u8]) -> Vec<usize> {
    let head = b" 0 obj\n<<\n  /Type /Font\n  /Subtype /Type0";
    let is_font = |at: &usize| pdf[*at..].starts_with(head);
    let number = |at: usize| {
        let from = pdf[..at].iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |before| before + 1);
        std::str::from_utf8(&pdf[from..at]).ok()?.parse().ok()
    };
    (0..pdf.len()).filter(is_font).filter_map(number).collect()
}

/// Runs of lines like `      /xo8 25 0 R`, sorted.
fn with_sorted_entries(pdf: &[u8]) -> Vec<u8> {
    let is_entry = |line: &[u8]| {
        let Ok(text) = std::str::from_utf8(line) else { return false };
        let Some(rest) = text.trim_start_matches(' ').strip_prefix('/') else { return false };
        let words: Vec<&str> = rest.split(' ').collect();
        text.starts_with(' ')
            && matches!(words[..], [_, n, "0", "R"] if n.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut lines: Vec<&[u8]> = pdf.split(|b| *b == b'\n').collect();
    for run in lines.chunk_by_mut(|a, b| is_entry(a) && is_entry(b)) {
        if run.len() > 1 {
            run.sort_unstable();
        }
    }
    lines.join(&b'\n')
}

fn tree(svg: &str) -> anyhow::Result<usvg::Tree> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    fonts.set_sans_serif_family("Arimo");
    let options = usvg::Options {
        font_family: "Arimo".to_owned(),
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    usvg::Tree::from_str(svg, &options).context("failed to read a figure's SVG")
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // pixels of a page
fn png(tree: &usvg::Tree, dpi: u32) -> anyhow::Result<Vec<u8>> {
    let scale = dpi as f32 / 96.0;
    let size = tree.size();
    let (w, h) = ((size.width() * scale).ceil() as u32, (size.height() * scale).ceil() as u32);
    let mut pixels = tiny_skia::Pixmap::new(w, h)
        .context("failed to make a picture of this size; a smaller --dpi helps")?;
    pixels.fill(tiny_skia::Color::WHITE);
    resvg::render(tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().context("failed to make a PNG")
}

/// A table as a booktabs tabular.
#[must_use]
pub fn latex(grid: &super::model::Grid) -> String {
    let text = |t: &str| crate::report::latex_text(t);
    let row = |cells: &[String]| cells.iter().map(|c| text(c)).collect::<Vec<_>>().join(" & ") + " \\\\\n";
    let mut out = format!("\\begin{{tabular}}{{l{}}}\n\\toprule\n", "r".repeat(grid.head.len() - 1));
    out += &row(&grid.head);
    out += "\\midrule\n";
    grid.rows.iter().for_each(|r| out += &row(r));
    out + "\\bottomrule\n\\end{tabular}\n"
}
