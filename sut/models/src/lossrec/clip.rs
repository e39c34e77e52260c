//! Which frames a damaged one is recovered from, and what pictures are to the network.

use super::network::{Config, FRAMES, TUBELET};
use media::Rgb;
use tch::{Kind, Tensor};

/// Good frames that are looked at besides the damaged one.
pub const CONTEXT: usize = FRAMES as usize - 1;

/// The damaged frames of a video and what each is recovered from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Per damaged frame: its five good ones in order, then itself.
    pub clips: Vec<[usize; FRAMES as usize]>,
    /// Damaged frames with fewer than five good ones before them: left out.
    pub without_history: Vec<usize>,
}

/// Chooses: every frame whose mask is above 0, with the five latest frames before it whose mask is 0, however far back.
#[must_use]
pub fn select(mask: &[i64]) -> Selection {
    let mut selection = Selection::default();
    let mut good: Vec<usize> = Vec::new();
    for (frame, &damage) in mask.iter().enumerate() {
        if damage == 0 {
            good.push(frame);
        } else if damage > 0 {
            match good.last_chunk::<CONTEXT>() {
                Some(&[a, b, c, d, e]) => selection.clips.push([a, b, c, d, e, frame]),
                None => selection.without_history.push(frame),
            }
        }
    }
    selection
}

/// A picture as the network takes it, `[3, side, side]` in 0..1: bytes times the 32-bit value of 1/255, then scaled (bilinear, with
/// antialiasing) if it is of another size.
pub fn input(picture: &Rgb, side: i64) -> Tensor {
    let (width, height) = (picture.width as i64, picture.height as i64);
    let bytes = Tensor::from_slice(&picture.data).view([height, width, 3]).permute([2, 0, 1]);
    let x = bytes.to_kind(Kind::Float) * f64::from(1.0f32 / 255.0);
    if (width, height) == (side, side) {
        return x.contiguous();
    }
    x.unsqueeze(0).internal_upsample_bilinear2d_aa([side, side], false, None, None).squeeze_dim(0)
}

/// Six inputs as a clip `[1, 3, 6, side, side]`.
pub fn clip(frames: &[Tensor]) -> Tensor {
    Tensor::stack(frames, 1).unsqueeze(0)
}

/// Mean and spread `[b, tokens, 1, 3]` of each token's pixels in a clip; the divisor of the variance is one less than their number.
pub fn statistics(clip: &Tensor, config: Config) -> (Tensor, Tensor) {
    let patches = patches(clip, config);
    let mean = patches.mean_dim([2i64].as_slice(), true, Kind::Float);
    let spread = patches.var_dim([2i64].as_slice(), true, true).sqrt() + 1e-6;
    (mean, spread)
}

/// `[b, 3, t, h, w]` to `[b, tokens, pixels, 3]`.
fn patches(clip: &Tensor, Config { patch, .. }: Config) -> Tensor {
    let size = clip.size();
    let (b, t, h, w) = (size[0], size[2] / TUBELET, size[3] / patch, size[4] / patch);
    let parts =
        clip.view([b, 3, t, TUBELET, h, patch, w, patch].as_slice()).permute([0, 2, 4, 6, 3, 5, 7, 1]);
    parts.reshape([b, t * h * w, TUBELET * patch * patch, 3])
}

/// Pictures `[b, 3, t, h, w]`, not clamped, of what the network gave for the last tokens of `clip`: those of its last t frames.
pub fn pictures(values: &Tensor, clip: &Tensor, config: Config) -> Tensor {
    let (mean, spread) = statistics(clip, config);
    let size = values.size();
    let (b, tokens) = (size[0], size[1]);
    let last = |x: &Tensor| x.narrow(1, x.size()[1] - tokens, tokens);
    let pixels = values.view([b, tokens, -1, 3]) * last(&spread) + last(&mean);
    let Config { image, patch, .. } = config;
    let side = image / patch;
    let t = tokens / config.places();
    let parts = pixels
        .view([b, t, side, side, TUBELET, patch, patch, 3].as_slice())
        .permute([0, 7, 1, 4, 2, 5, 3, 6]);
    parts.reshape([b, 3, t * TUBELET, image, image])
}

/// A picture `[3, h, w]` as the original saves it: clamped, times 255, cut to whole numbers.
#[must_use]
pub fn saved(picture: &Tensor) -> Rgb {
    let size = picture.size();
    let bytes =
        (picture.clamp(0.0, 1.0) * 255.0).to_kind(Kind::Uint8).permute([1, 2, 0]).contiguous().view([-1]);
    let data = Vec::<u8>::try_from(&bytes).expect("bytes on the CPU");
    Rgb { width: size[2] as usize, height: size[1] as usize, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 2 of the notes on the original: the context may lie far back and cross GOPs; damaged frames are never context.
    #[test]
    fn the_context_is_the_last_five_good_frames() {
        let mask = [0, 0, 1, 0, 0, 2, 0, 2, 2, 0, 1];
        let found = select(&mask);
        assert_eq!(found.without_history, [2, 5]);
        assert_eq!(found.clips, [[0, 1, 3, 4, 6, 7], [0, 1, 3, 4, 6, 8], [1, 3, 4, 6, 9, 10]]);
        assert_eq!(select(&[]), Selection::default());
    }
}
