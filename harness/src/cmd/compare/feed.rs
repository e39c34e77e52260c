//! Pictures of a source for those who do not measure them here: as Y4M in their own format, and as small luma pictures.

use super::align::{Alignment, LOOKED_AT, Small};
use super::source::{About, AnyPicture, Source, TakeAs};
use super::vmaf::Program;
use anyhow::{Result, bail};
use media::picture::{Format, Model, Plane};
use media::y4m;
use std::io::Write;
use std::path::Path;
use video::DepthUnit;

/// The small luma picture of one; `None` if it has no luma.
pub fn small(any: &AnyPicture) -> Option<Small> {
    let AnyPicture::Picture(picture, _) = any else { return None };
    let (size, bits) = ((picture.width, picture.height), picture.format.bits);
    let rows = |row: usize| row * size.0..(row + 1) * size.0;
    if picture.format.model == Model::Rgb {
        // Rec. 601's weights in 256ths; which weights does not matter to where two clips fit.
        let [r, g, b] = [0, 1, 2].map(|c: usize| &picture.planes[c]);
        let weigh = |i: usize| 77 * u32::from(r.at(i)) + 150 * u32::from(g.at(i)) + 29 * u32::from(b.at(i));
        let luma: Vec<u16> = (0..r.len()).map(|i| (weigh(i) >> 8) as u16).collect();
        return Some(Small::new(size, bits, |row| &luma[rows(row)]));
    }
    Some(match &picture.planes[0] {
        Plane::Eight(luma) => Small::new(size, bits, |row| &luma[rows(row)]),
        Plane::Sixteen(luma) => Small::new(size, bits, |row| &luma[rows(row)]),
    })
}

/// Small pictures of the beginning of a source.
fn smalls(source: &mut Source) -> Result<Vec<Small>> {
    let (mut any, mut all) = (AnyPicture::Nothing, Vec::new());
    while all.len() < LOOKED_AT && source.next_into(&mut any)? {
        all.extend(small(&any));
    }
    Ok(all)
}

/// Where the second source fits the first best.
///
/// # Errors
/// Pictures that cannot be read.
pub fn alignment(reference: &mut Source, shown: &mut Source, reach: usize) -> Result<Option<Alignment>> {
    Ok(Alignment::find(&smalls(reference)?, &smalls(shown)?, reach))
}

/// Leaves out the first `frames` pictures.
///
/// # Errors
/// Pictures that cannot be read.
pub fn skip(source: &mut Source, frames: usize) -> Result<()> {
    let mut any = AnyPicture::Nothing;
    for _ in 0..frames {
        source.next_into(&mut any)?;
    }
    Ok(())
}

/// Both clips' VMAF by `program`: `frames` pictures of each after its `skips`.
///
/// # Errors
/// Why there is none.
pub fn vmaf(
    program: &Program,
    model: &str,
    threads: usize,
    clips: [&Path; 2],
    skips: (usize, usize),
    frames: usize,
) -> Result<super::vmaf::Measured> {
    let [reference, shown] = clips;
    let open = |path| Source::open(path, Some(TakeAs::Pictures), DepthUnit::Usual);
    measurable(open(reference)?.about(), open(shown)?.about())?;
    let measured = program.measure(
        model,
        threads,
        |out| y4m(out, reference, skips.0, frames),
        |out| y4m(out, shown, skips.1, frames),
    )?;
    if measured.frames.len() != frames {
        bail!("{} measured {} of {frames} frames", measured.program, measured.frames.len());
    }
    Ok(measured)
}

/// Whether the samples of both reach a program as they are: FFmpeg's filter has others converted without a word.
fn measurable(reference: &About, shown: &About) -> Result<()> {
    for about in [reference, shown] {
        let Format { model, bits, chroma, alpha } = about.format;
        let planes = model == Model::Yuv && [(1, 1), (1, 0), (0, 0)].contains(&chroma) && !alpha;
        if !planes || ![8, 10].contains(&bits) {
            bail!(
                "VMAF is measured on YUV of 4:2:0, 4:2:2 or 4:4:4 with 8 or 10 bits, not on {}",
                about.format
            );
        }
    }
    if reference.format != shown.format {
        bail!(
            "VMAF is measured on two files of one format, not on {} and {}",
            reference.format,
            shown.format
        );
    }
    if reference.colour.range != shown.colour.range {
        bail!("VMAF takes the samples as they are, and the two files' ranges differ");
    }
    Ok(())
}

fn y4m(out: &mut dyn Write, path: &Path, skipped: usize, frames: usize) -> Result<()> {
    let mut source = Source::open(path, Some(TakeAs::Pictures), DepthUnit::Usual)?;
    skip(&mut source, skipped)?;
    // Neither range nor rate means anything to VMAF: it takes the samples as they are, picture by picture.
    let (size, format) = (source.about().size, source.about().format);
    let header = y4m::Header { format, ..y4m::Header::new(size.0, size.1, (30, 1)) };
    let mut writer = y4m::Writer::new(out, header)?;
    let mut any = AnyPicture::Nothing;
    for _ in 0..frames {
        if !source.next_into(&mut any)? {
            break;
        }
        if let AnyPicture::Picture(picture, _) = &any {
            writer.write_picture(picture)?;
        }
    }
    writer.finish()?;
    Ok(())
}
