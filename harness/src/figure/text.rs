//! Widths of texts, by the font that figures carry: Arimo (SIL Open Font License 1.1, Google), whose widths are those of Arial,
//! Helvetica and Liberation Sans, so that a figure is laid out alike with any of them.

use base64::Engine as _;
use std::sync::OnceLock;
use ttf_parser::Face;

/// Regular, as a file.
pub const REGULAR: &[u8] = include_bytes!("font/Arimo-Regular.ttf");
/// Bold, as a file.
pub const BOLD: &[u8] = include_bytes!("font/Arimo-Bold.ttf");
/// What an SVG asks for.
pub const FAMILY: &str = "Arimo, Arial, Helvetica, 'Liberation Sans', sans-serif";

/// Width of a line in a size.
#[must_use]
pub fn width(text: &str, size: f64) -> f64 {
    static FACE: OnceLock<Face<'static>> = OnceLock::new();
    width_in(FACE.get_or_init(|| Face::parse(REGULAR, 0).expect("the font that is compiled in")), text, size)
}

/// The same in bold.
#[must_use]
pub fn width_bold(text: &str, size: f64) -> f64 {
    static FACE: OnceLock<Face<'static>> = OnceLock::new();
    width_in(FACE.get_or_init(|| Face::parse(BOLD, 0).expect("the font that is compiled in")), text, size)
}

/// The font as rules of a style sheet, for pages, which cannot know what the reader has.
#[must_use]
pub fn font_face() -> String {
    let face = |weight: &str, file: &[u8]| {
        let data = base64::engine::general_purpose::STANDARD.encode(file);
        format!("@font-face{{font-family:Arimo;font-weight:{weight};src:url(data:font/ttf;base64,{data})}}")
    };
    face("400", REGULAR) + &face("700", BOLD)
}

fn width_in(face: &Face, text: &str, size: f64) -> f64 {
    let units: u32 = text
        .chars()
        .map(|c| {
            let glyph = face.glyph_index(c).or_else(|| face.glyph_index('n'));
            glyph.and_then(|g| face.glyph_hor_advance(g)).map_or(1139, u32::from)
        })
        .sum();
    f64::from(units) / f64::from(face.units_per_em()) * size
}

/// The text in lines not wider than `room`, broken at spaces and after `-`, `/`, `+`, `,`; a word that is wider stands alone and is cut.
#[must_use]
pub fn wrap(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_inclusive([' ', '-', '/', '+', ',']) {
        let last = lines.last_mut().expect("there is one");
        if !last.is_empty() && width((last.clone() + word).trim_end(), size) > room {
            lines.push(word.to_owned());
        } else {
            last.push_str(word);
        }
    }
    lines.iter().map(|line| cut(line.trim(), size, room)).collect()
}

/// The text, shortened by an ellipsis if it is wider than `room`.
#[must_use]
pub fn cut(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.len() > 1 {
        kept.pop();
        let shorter = kept.iter().collect::<String>().trim_end().to_owned() + "…";
        if width(&shorter, size) <= room {
            return shorter;
        }
    }
    "…".to_owned()
}
