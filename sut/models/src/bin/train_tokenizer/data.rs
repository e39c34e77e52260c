//! Crops of the training pictures.

use crate::Args;
use anyhow::ensure;
use models::layers;
use models::train::{Clip, HELD_OUT, Random, augment, load_images, load_videos, synthetic_people};
use tch::Tensor;

pub struct Data {
    videos: Vec<Clip>,
    images: Vec<Clip>,
    synthetic: Vec<Clip>,
    pub held_out: Vec<Clip>,
}

impl Data {
    pub fn load(args: &Args) -> anyhow::Result<Self> {
        let cache = args.common.work.join("pictures");
        let mut videos = load_videos(&args.common.data.join("real512"), &cache, 512, 3)?;
        videos.extend(load_videos(&args.common.data.join("real256"), &cache, 256, 6)?);
        let (held_out, videos): (Vec<_>, Vec<_>) =
            videos.into_iter().partition(|c| HELD_OUT.contains(&c.name.as_str()));
        let images = load_images(&args.common.data.join("images512"), &cache, 512)?;
        ensure!(!videos.is_empty() && !images.is_empty(), "no training pictures");
        let frames: usize = videos.iter().map(Clip::frames).sum();
        eprintln!("{} videos ({frames} frames), {} images", videos.len(), images.len());
        Ok(Self { videos, images, synthetic: synthetic_people(512)?, held_out })
    }

    /// All clips, and one number for joined crops.
    pub fn clips(&self) -> usize {
        self.videos.len() + self.images.len() + self.synthetic.len() + 1
    }

    /// One crop, `[1, 3, crop, crop]`, and the number of its clip.
    fn crop(&self, crop: usize, random: &mut Random) -> (Tensor, usize) {
        let (mut picture, mut clip) = self.plain_crop(crop, random);
        if random.chance(0.12) {
            picture = augment::joined(&picture, &self.plain_crop(crop, random).0, random);
            clip = self.clips() - 1;
        }
        if random.chance(0.6) {
            picture = augment::relit(&picture, random);
        }
        if random.chance(0.15) {
            picture = augment::refocused(&picture, random);
        }
        (picture, clip)
    }

    /// A part of a picture, zoomed and turned, and the number of its clip.
    fn plain_crop(&self, crop: usize, random: &mut Random) -> (Tensor, usize) {
        let kind = random.unit();
        let (group, before) = match kind {
            _ if kind < 0.1 => (&self.synthetic, self.videos.len() + self.images.len()),
            _ if kind < 0.5 => (&self.images, self.videos.len()),
            _ => (&self.videos, 0),
        };
        let index = random.below(group.len());
        let clip = &group[index];
        let frame = clip.frame(random.below(clip.frames()));
        // A third of the crops is zoomed, from 1.4 times as large to half as large.
        let zoom = if random.chance(0.35) { 2f64.powf(1.5 * random.unit() - 0.5) } else { 1.0 };
        let side = ((crop as f64 * zoom).round() as usize).min(clip.size);
        let (x, y) = (random.below(clip.size - side + 1), random.below(clip.size - side + 1));
        let mut bytes = Vec::with_capacity(3 * side * side);
        for row in y..y + side {
            bytes.extend_from_slice(&frame[3 * (row * clip.size + x)..][..3 * side]);
        }
        let (side, crop) = (side as i64, crop as i64);
        let mut picture = layers::to_signed(&Tensor::from_slice(&bytes).view([1, side, side, 3]));
        if side != crop {
            picture = picture.internal_upsample_bilinear2d_aa([crop, crop], false, None, None);
        }
        (augment::turned(picture, random), before + index)
    }

    pub fn batch(&self, n: usize, crop: usize, random: &mut Random) -> (Tensor, Vec<usize>) {
        let (crops, clips): (Vec<Tensor>, Vec<usize>) = (0..n).map(|_| self.crop(crop, random)).unzip();
        (layers::channels_last(&Tensor::cat(&crops, 0)), clips)
    }
}
