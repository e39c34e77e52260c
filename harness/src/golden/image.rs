//! Kept pictures, and a picture of what moved in them.

use super::Explained;
use ::image_compare::prelude::RgbImage;
use anyhow::{Context, Result};
use media::Rgb;
use std::path::Path;

/// How two pictures differ.
#[derive(Clone, Debug)]
pub struct PictureGap {
    kept: Rgb,
    now: Rgb,
    /// PSNR between them, dB.
    pub psnr_db: f64,
    /// Pixels that differ at all.
    pub pixels: usize,
    /// Largest difference of a sample.
    pub largest: u8,
    /// Columns and rows, first and last, outside of which nothing differs.
    pub area: [(usize, usize); 2],
}

/// Compares; `Ok(None)` if they are equal.
///
/// # Errors
/// In words, when the sizes differ.
pub fn compare_pictures(kept: &Rgb, now: &Rgb) -> Result<Option<PictureGap>, Explained> {
    if (kept.width, kept.height) != (now.width, now.height) {
        return Err(Explained {
            summary: "the picture has another size".to_owned(),
            explanation: format!("was {}x{}, is {}x{}", kept.width, kept.height, now.width, now.height),
        });
    }
    let mut gap = PictureGap {
        kept: kept.clone(),
        now: now.clone(),
        psnr_db: metrics::psnr(kept, now).unwrap_or(0.0),
        pixels: 0,
        largest: 0,
        area: [(usize::MAX, 0); 2],
    };
    for (i, (a, b)) in kept.data.chunks_exact(3).zip(now.data.chunks_exact(3)).enumerate() {
        let by = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        if by > 0 {
            gap.pixels += 1;
            gap.largest = gap.largest.max(by);
            for (axis, at) in [i % kept.width, i / kept.width].into_iter().enumerate() {
                gap.area[axis] = (gap.area[axis].0.min(at), gap.area[axis].1.max(at));
            }
        }
    }
    Ok((gap.pixels > 0).then_some(gap))
}

impl PictureGap {
    /// In words.
    pub(super) fn explain(&self, least_psnr_db: f64, written: &Path) -> Explained {
        let [(left, right), (top, bottom)] = self.area;
        let share = 100.0 * self.pixels as f64 / (self.kept.width * self.kept.height) as f64;
        Explained {
            summary: format!(
                "the picture moved: PSNR {:.2} dB, at least {least_psnr_db} dB are wanted",
                self.psnr_db
            ),
            explanation: format!(
                "{} pixels ({share:.1} %) differ, by {} of 255 at most, all within columns {left}..={right} and rows {top}..={bottom}\n\
                 kept | now | where (brighter: more): {}",
                self.pixels,
                self.largest,
                written.display()
            ),
        }
    }

    /// Writes kept, new and difference side by side as a PNG.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let map = self.difference_map()?;
        let (width, height) = (self.kept.width, self.kept.height);
        let mut wide = Rgb::black(3 * width, height);
        for (column, picture) in [&self.kept, &self.now, &map].into_iter().enumerate() {
            for row in 0..height {
                let from = &picture.data[row * width * 3..][..width * 3];
                wide.data[(row * 3 * width + column * width) * 3..][..width * 3].copy_from_slice(from);
            }
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("failed to create {}", parent.display()))?;
        }
        media::still::write_rgb(path, &wide).with_context(|| format!("failed to write {}", path.display()))
    }

    /// Where they differ, by image-compare's hybrid of structure and colour: black where equal.
    fn difference_map(&self) -> Result<Rgb> {
        let image = |p: &Rgb| {
            RgbImage::from_raw(p.width as u32, p.height as u32, p.data.clone())
                .context("a picture with missing samples")
        };
        let similarity = ::image_compare::rgb_hybrid_compare(&image(&self.kept)?, &image(&self.now)?)
            .context("failed to compare the pictures")?;
        let map = similarity.image.to_color_map().to_rgb8();
        Ok(Rgb { width: self.kept.width, height: self.kept.height, data: map.into_raw() })
    }
}
