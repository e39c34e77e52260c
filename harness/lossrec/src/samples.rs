//! Damaged frames of runs as training data.

use super::walk::Stored;
use anyhow::Context as _;
use contract::RunSpec;
use media::Yuv420;
use models::lossrec::blend::Pictures;
use models::lossrec::history::Sight;
use models::lossrec::samples::{About, Writer, error};
use models::train::Random;
use std::path::{Path, PathBuf};

/// What to take.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// Pixels of a side; the whole picture if it is as large.
    pub side: usize,
    /// Share of the damaged frames.
    pub share: f64,
    /// Decides which frames and which parts.
    pub seed: u64,
}

/// Writes samples of a run, one file per stream, into `out`; gives their number. Files that are there stay.
///
/// # Errors
/// When the run is damaged, its pictures are too small, or a file cannot be written.
pub fn write(dir: &Path, out: &Path, take: Take) -> anyhow::Result<usize> {
    let spec = RunSpec::read(dir)?;
    let (width, height) = (spec.clip.width as usize, spec.clip.height as usize);
    if take.side > width || take.side > height || !take.side.is_multiple_of(32) {
        return Err(freezeframe::BadInput(format!(
            "side {}: it must be a multiple of 32 and fit into {width}x{height}",
            take.side
        ))
        .into());
    }
    std::fs::create_dir_all(out).with_context(|| format!("failed to make {}", out.display()))?;
    let mut count = 0;
    for &stream in spec.clip.streams() {
        let path = out.join(format!("{}-{}.samples", name(dir), stream.name()));
        if path.is_file() {
            continue;
        }
        let part = path.with_extension("part");
        let mut writer = Writer::create(&part, take.side)?;
        let hash = xxhash_rust::xxh3::xxh3_64(format!("{} {}", name(dir), stream.name()).as_bytes());
        let mut random = Random::of_step(take.seed ^ hash, 0);
        Stored::open(dir, stream)?.walk(|slot| {
            // LossRec-lite's decoder goes on where a reference is missing.
            let view = slot.going_on;
            let (Some(damage), Some(sight)) = (slot.damage, view.sight) else { return Ok(()) };
            let Sight { pictures: Pictures { last, before, .. }, situation } = sight;
            let captured = &slot.captured.picture;
            if !random.chance(take.share) {
                return Ok(());
            }
            let whole = [captured, view.shown, last, before].map(|p| part_of(p, (0, 0), (width, height)));
            let about = About {
                situation,
                damage,
                shown: error(&whole[0], &whole[1]) as f32,
                hold: error(&whole[0], &whole[2]) as f32,
            };
            let place = place(captured, last, take.side, &mut random);
            let pictures =
                [captured, view.shown, last, before].map(|p| part_of(p, place, (take.side, take.side)));
            let [a, b, c, d] = &pictures;
            writer.add(&about, [a, b, c, d])?;
            count += 1;
            Ok(())
        })?;
        writer.finish()?;
        std::fs::rename(&part, &path).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(count)
}

fn name(dir: &Path) -> String {
    let dir: PathBuf = dir.canonicalize().unwrap_or_else(|_| dir.into());
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Where to cut: anywhere, half of the time the one of two places where more has changed since the last good picture.
fn place(captured: &Yuv420, last: &Yuv420, side: usize, random: &mut Random) -> (usize, usize) {
    let mut draw = || {
        let at = |length: usize, random: &mut Random| 2 * random.below((length - side) / 2 + 1);
        (at(captured.width, random), at(captured.height, random))
    };
    let (one, other) = (draw(), draw());
    let change = |at| error(&part_of(captured, at, (side, side)), &part_of(last, at, (side, side)));
    if random.chance(0.5) && change(other) > change(one) { other } else { one }
}

/// Planes Y, U, V of a part of a picture, at even places.
fn part_of(picture: &Yuv420, (x, y): (usize, usize), (width, height): (usize, usize)) -> Vec<u8> {
    let chroma_width = picture.width.div_ceil(2);
    let mut out = Vec::with_capacity(width * height * 3 / 2);
    let planes = [
        (&picture.y, picture.width, (x, y), (width, height)),
        (&picture.u, chroma_width, (x / 2, y / 2), (width / 2, height / 2)),
        (&picture.v, chroma_width, (x / 2, y / 2), (width / 2, height / 2)),
    ];
    for (plane, stride, (x, y), (w, h)) in planes {
        for row in y..y + h {
            out.extend_from_slice(&plane[row * stride + x..][..w]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_takes_chroma_with_luma() {
        let mut picture = Yuv420::filled(8, 4, (0, 0, 0));
        picture.y.iter_mut().enumerate().for_each(|(i, v)| *v = i as u8);
        picture.u.iter_mut().enumerate().for_each(|(i, v)| *v = 100 + i as u8);
        picture.v.iter_mut().enumerate().for_each(|(i, v)| *v = 200 + i as u8);
        assert_eq!(part_of(&picture, (4, 2), (2, 2)), [20, 21, 28, 29, 106, 206]);
    }
}
