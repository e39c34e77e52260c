//! Pictures of a source for those who do not measure them here: as Y4M in their own format, and as small luma pictures.

use super::align::{Alignment, LOOKED_AT, Small};
use super::source::{Picture, Source};
use super::vmaf::Program;
use anyhow::{Result, bail};
use media::y4m;
use std::io::Write;
use std::path::Path;

/// The small luma picture of one; `None` if it has no luma.
pub fn small(picture: &Picture) -> Option<Small> {
    match picture {
        Picture::Yuv(yuv, _) => {
            Some(Small::new((yuv.width, yuv.height), 8, |row| &yuv.y[row * yuv.width..(row + 1) * yuv.width]))
        }
        Picture::Rgb(rgb) => {
            // Rec. 601's weights in 256ths; which weights does not matter to where two clips fit.
            let luma: Vec<u8> = (rgb.data.chunks_exact(3))
                .map(|p| ((77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2])) >> 8) as u8)
                .collect();
            Some(Small::new((rgb.width, rgb.height), 8, |row| &luma[row * rgb.width..(row + 1) * rgb.width]))
        }
        Picture::Nothing | Picture::Depth(_) => None,
    }
}

/// Small pictures of the beginning of a source.
fn smalls(source: &mut Source) -> Result<Vec<Small>> {
    let (mut picture, mut all) = (Picture::Nothing, Vec::new());
    while all.len() < LOOKED_AT && source.next_into(&mut picture)? {
        all.extend(small(&picture));
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
    let mut picture = Picture::Nothing;
    for _ in 0..frames {
        source.next_into(&mut picture)?;
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

fn y4m(out: &mut dyn Write, path: &Path, skipped: usize, frames: usize) -> Result<()> {
    let mut source = Source::open(path, None)?;
    skip(&mut source, skipped)?;
    // Neither range nor rate means anything to VMAF: it takes the samples as they are, picture by picture.
    let (width, height) = source.size();
    let mut writer = y4m::Writer::new(out, y4m::Header::new(width, height, (30, 1)))?;
    let mut picture = Picture::Nothing;
    for _ in 0..frames {
        if !source.next_into(&mut picture)? {
            break;
        }
        match &picture {
            Picture::Yuv(yuv, _) => writer.write(yuv)?,
            _ => bail!("VMAF is defined on YUV video, and {} holds other pictures", path.display()),
        }
    }
    writer.finish()?;
    Ok(())
}
