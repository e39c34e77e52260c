//! What must be said of two files before their numbers are believed, and what FFmpeg's filters may be given.

use super::rgb::Pixels;
use super::source::{About, Kind};
use media::picture::{Format, Model};
use std::path::Path;

/// What is done to a pair for FFmpeg's filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filters {
    /// Nothing: the formats agree.
    AsTheyAre,
    /// The one of fewer bits is widened to so many.
    Widened(u8),
}

/// Whether FFmpeg's filters would compare the samples as they are stored; else why not.
pub fn filters(reference: &About, shown: &About) -> Result<Filters, String> {
    for (side, about) in [("REF", reference), ("SHOWN", shown)] {
        if let Some(what) = about.altered {
            return Err(format!(
                "of {side} {what}; FFmpeg's filters would convert it first in their own way; convert both files with `ffmpeg -pix_fmt` first"
            ));
        }
    }
    let (a, b) = (reference.format, shown.format);
    let plain = |f: Format| Format { bits: 8, ..f };
    if plain(a) != plain(b) {
        return Err(format!(
            "REF is {a}, SHOWN {b}: FFmpeg would convert one of them by its scaler; convert one with `ffmpeg -pix_fmt` first"
        ));
    }
    if a.model != Model::Rgb && reference.colour.range != shown.colour.range {
        return Err(format!(
            "the ranges differ: REF is {}, SHOWN {}; codes of two ranges cannot be subtracted, convert one with \
             `ffmpeg -vf scale=out_range=...` first",
            reference.colour, shown.colour
        ));
    }
    Ok(if a.bits == b.bits { Filters::AsTheyAre } else { Filters::Widened(a.bits.max(b.bits)) })
}

/// Lines for people, in the order in which they matter.
pub fn of(reference: (&Path, &About), shown: (&Path, &About), scaled: bool) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let sides = [("REF", reference), ("SHOWN", shown)];
    let mut notes = Vec::new();
    for (_, (path, about)) in sides {
        notes.extend(about.notes.iter().map(|n| format!("{}: {n}", name(path))));
    }
    let (a, b) = (reference.1, shown.1);
    if a.kind == Kind::Depth {
        return notes;
    }
    let yuv = |about: &About| about.format.model == Model::Yuv;
    if yuv(a) && yuv(b) && a.colour != b.colour {
        let tagged = |about: &About| match (&about.tags.matrix, &about.tags.range) {
            (None, None) => " (not tagged)",
            (None, Some(_)) => " (no matrix tagged)",
            (Some(_), None) => " (no range tagged)",
            _ => "",
        };
        notes.push(format!(
            "the files declare different colours: REF is {}{}, SHOWN {}{}; each is converted by its own matrix and range. If an \
             encoder lost or changed a tag, the pictures are equal and the numbers are not: set it with `ffmpeg -i IN -c copy \
             -colorspace bt709 -color_range tv OUT`",
            a.colour,
            tagged(a),
            b.colour,
            tagged(b)
        ));
    }
    for (what, x, y) in [
        ("transfer characteristics", &a.tags.transfer, &b.tags.transfer),
        ("primaries", &a.tags.primaries, &b.tags.primaries),
    ] {
        if let (Some(x), Some(y)) = (x, y)
            && x != y
        {
            notes.push(format!(
                "the files declare different {what}: REF {x}, SHOWN {y}; codes are compared as they are"
            ));
        }
    }
    let pixels = |about: &About| Pixels::of(about.format, about.colour);
    if a.format != b.format {
        notes.push(format!(
            "the formats differ: REF is {}, SHOWN {}; psnr, ssim and LPIPS compare {}",
            a.format,
            b.format,
            pixels(a).both(pixels(b)).name()
        ));
    }
    if let (Some(x), Some(y)) = (a.aspect, b.aspect) {
        let (p, q) = (u64::from(x.0) * u64::from(y.1), u64::from(y.0) * u64::from(x.1));
        if p.abs_diff(q) * 100 > p.min(q) {
            notes.push(format!(
                "the shapes of a sample differ: REF {}:{}, SHOWN {}:{}; samples are compared as they are stored",
                x.0, x.1, y.0, y.1
            ));
        }
    }
    if scaled {
        let ((w, h), (x, y)) = (b.size, a.size);
        let shape = if w * y == h * x { "" } else { ", which changes its shape" };
        notes.push(format!(
            "SHOWN is scaled from {w}x{h} to {x}x{y}, bicubic{shape}: the scaling is part of the error"
        ));
    }
    notes
}
