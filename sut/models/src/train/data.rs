//! Crops of the training clips: short sequences, newest frame first.

use super::{Clip, HELD_OUT, Options, Random, augment, load_images, load_videos, synthetic_people};
use crate::layers;
use anyhow::ensure;
use tch::Tensor;

/// Of a crop.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Pixels per side.
    pub crop: usize,
    /// Frames that follow each other.
    pub frames: usize,
    /// Share of stills, past which a camera moves, and of the synthetic scene: a fifth of the share, unless the options say another.
    pub stills: f64,
}

/// Everything that there is to crop.
#[derive(Debug)]
pub struct Data {
    videos: Vec<Clip>,
    images: Vec<Clip>,
    synthetic: Vec<Clip>,
    /// Share of crops of these.
    synthetic_share: Option<f64>,
    /// What no training sees.
    pub held_out: Vec<Clip>,
}

impl Data {
    /// The pictures of the data folder, kept decoded in the work folder.
    ///
    /// # Errors
    /// When the folder lacks pictures or the `ffmpeg` program fails.
    pub fn load(options: &Options) -> anyhow::Result<Self> {
        let cache = options.work.join("pictures");
        let mut videos = load_videos(&options.data.join("real512"), &cache, 512, 1)?;
        videos.extend(load_videos(&options.data.join("real256"), &cache, 256, 1)?);
        let (held_out, videos): (Vec<_>, Vec<_>) =
            videos.into_iter().partition(|c| HELD_OUT.contains(&c.name.as_str()));
        let images = load_images(&options.data.join("images512"), &cache, 512)?;
        ensure!(!videos.is_empty() && !images.is_empty(), "no training pictures");
        let frames: usize = videos.iter().map(Clip::frames).sum();
        eprintln!("{} videos ({frames} frames), {} images", videos.len(), images.len());
        let share = options.synthetic;
        ensure!(share.is_none_or(|s| (0.0..=1.0).contains(&s)), "--synthetic must be a share, from 0 to 1");
        ensure!(options.people > 0, "--people must be above 0");
        let synthetic = synthetic_people(0..options.people, 512, &cache)?;
        Ok(Self { videos, images, synthetic, synthetic_share: share, held_out })
    }

    /// All clips, and one number for joined crops.
    #[must_use]
    pub fn clips(&self) -> usize {
        self.videos.len() + self.images.len() + self.synthetic.len() + 1
    }

    /// One crop, `[frames, 3, crop, crop]`, and the number of its clip.
    fn crop(&self, shape: Shape, random: &mut Random) -> (Tensor, usize) {
        let (mut pictures, mut clip) = self.plain_crop(shape, random);
        if random.chance(0.12) {
            pictures = augment::joined(&pictures, &self.plain_crop(shape, random).0, random);
            clip = self.clips() - 1;
        }
        if shape.frames > 1 && random.chance(0.04) {
            // A cut: the frames before show something else.
            let (other, _) = self.plain_crop(shape, random);
            let age = 1 + random.below(shape.frames - 1) as i64;
            let frames = shape.frames as i64;
            pictures = Tensor::cat(&[pictures.narrow(0, 0, age), other.narrow(0, age, frames - age)], 0);
        }
        if random.chance(0.6) {
            pictures = augment::relit(&pictures, random);
        }
        if random.chance(0.15) {
            pictures = augment::refocused(&pictures, random);
        }
        if random.chance(0.3) {
            pictures = augment::noisy(&pictures, random);
        }
        (pictures, clip)
    }

    /// A part of a clip, zoomed and turned, and the number of the clip.
    fn plain_crop(&self, Shape { crop, frames, stills }: Shape, random: &mut Random) -> (Tensor, usize) {
        let kind = random.unit();
        let synthetic = self.synthetic_share.unwrap_or(0.2 * stills);
        // What is left is shared as ever.
        let images = 0.8 * stills * (1.0 - synthetic) / (1.0 - 0.2 * stills);
        let (group, before) = match kind {
            _ if kind < synthetic => (&self.synthetic, self.videos.len() + self.images.len()),
            _ if kind < synthetic + images => (&self.images, self.videos.len()),
            _ => (&self.videos, 0),
        };
        let index = random.below(group.len());
        let clip = &group[index];
        // A third of the crops is zoomed, from 1.4 times as large to half as large.
        let zoom = if random.chance(0.35) { 2f64.powf(1.5 * random.unit() - 0.5) } else { 1.0 };
        let side = ((crop as f64 * zoom).round() as usize).min(clip.size);
        let (x, y) = (random.below(clip.size - side + 1), random.below(clip.size - side + 1));
        // Frames that follow each other as they come, at twice the speed or backwards; of a still, itself.
        let moves = clip.frames() >= frames.max(2);
        let step = if random.chance(0.2) && clip.frames() >= 2 * frames { 2 } else { 1 };
        let reach = if moves { step * (frames - 1) } else { 0 };
        let first = random.below(clip.frames() - reach);
        let backwards = random.chance(0.5);
        let mut bytes = Vec::with_capacity(3 * side * side * frames);
        for age in 0..frames {
            let at =
                if !moves { first } else { first + step * if backwards { age } else { frames - 1 - age } };
            for row in y..y + side {
                bytes.extend_from_slice(&clip.frame(at)[3 * (row * clip.size + x)..][..3 * side]);
            }
        }
        let (side, crop) = (side as i64, crop as i64);
        let shape = [frames as i64, side, side, 3];
        let mut pictures = layers::to_signed(&Tensor::from_slice(&bytes).view(shape));
        if side != crop {
            pictures = pictures.internal_upsample_bilinear2d_aa([crop, crop], false, None, None);
        }
        if !moves && frames > 1 && random.chance(0.8) {
            pictures = augment::panned(&pictures, random);
        }
        (augment::turned(pictures, random), before + index)
    }

    /// Sequences, one tensor `[n, 3, crop, crop]` per frame, newest first, and the clip of each.
    pub fn batch(&self, n: usize, shape: Shape, random: &mut Random) -> (Vec<Tensor>, Vec<usize>) {
        let (crops, clips): (Vec<Tensor>, Vec<usize>) = (0..n).map(|_| self.crop(shape, random)).unzip();
        let crops = Tensor::stack(&crops, 1);
        let frames = (0..shape.frames).map(|age| layers::channels_last(&crops.select(0, age as i64)));
        (frames.collect(), clips)
    }
}
