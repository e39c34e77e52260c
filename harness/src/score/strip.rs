//! A picture strip: captured, shown, and their difference made visible, as one small JPEG.

use jpeg_encoder::{ColorType, Encoder};
use media::convert::{Colour, to_rgb};
use media::{Rgb, Yuv420};

/// Columns of a panel at most; larger pictures are averaged down by a whole factor.
const PANEL: usize = 340;
/// Columns between panels.
const GAP: usize = 6;
const QUALITY: u8 = 82;
/// Differences are shown times this.
const AMPLIFY: u16 = 4;

/// The strip of one slot.
///
/// # Errors
/// When the pictures differ in size.
pub fn strip(captured: &Yuv420, shown: &Yuv420, colour: Colour) -> anyhow::Result<Vec<u8>> {
    let size = (captured.width, captured.height);
    anyhow::ensure!(size == (shown.width, shown.height), "captured and shown picture differ in size");
    let (a, b) = (to_rgb(captured, colour), to_rgb(shown, colour));
    let difference: Vec<u8> = a
        .data
        .iter()
        .zip(&b.data)
        .map(|(&a, &b)| u8::try_from(u16::from(a.abs_diff(b)) * AMPLIFY).unwrap_or(u8::MAX))
        .collect();
    let difference = Rgb { width: a.width, height: a.height, data: difference };
    let panels = [a, b, difference].map(|p| shrink(&p, p.width.div_ceil(PANEL).max(1)));
    let (w, h) = (panels[0].width, panels[0].height);
    let width = 3 * w + 2 * GAP;
    let mut data = vec![128; 3 * width * h];
    for (i, panel) in panels.iter().enumerate() {
        for y in 0..h {
            let at = 3 * (y * width + i * (w + GAP));
            data[at..at + 3 * w].copy_from_slice(&panel.data[3 * y * w..3 * (y + 1) * w]);
        }
    }
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, QUALITY).encode(
        &data,
        u16::try_from(width)?,
        u16::try_from(h)?,
        ColorType::Rgb,
    )?;
    Ok(jpeg)
}

/// Means of `factor` x `factor` squares; what is left over at the edges is cut off.
fn shrink(picture: &Rgb, factor: usize) -> Rgb {
    if factor == 1 {
        return picture.clone();
    }
    let (w, h) = (picture.width / factor, picture.height / factor);
    let mut data = vec![0; 3 * w * h];
    let mut sums = vec![0u32; 3 * w];
    let count = u32::try_from(factor * factor).unwrap_or(u32::MAX);
    for (y, out) in data.chunks_exact_mut(3 * w).enumerate() {
        sums.fill(0);
        for row in picture.data.chunks_exact(3 * picture.width).skip(y * factor).take(factor) {
            for (sum, square) in sums.chunks_exact_mut(3).zip(row.chunks_exact(3 * factor)) {
                for pixel in square.chunks_exact(3) {
                    sum.iter_mut().zip(pixel).for_each(|(sum, &sample)| *sum += u32::from(sample));
                }
            }
        }
        out.iter_mut().zip(&sums).for_each(|(out, sum)| *out = u8::try_from(sum / count).unwrap_or(u8::MAX));
    }
    Rgb { width: w, height: h, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_is_a_jpeg_of_three_panels() {
        let (a, b) = (Yuv420::filled(512, 384, (200, 128, 128)), Yuv420::black(512, 384));
        let jpeg = strip(&a, &b, Colour::BT601).unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));
        // Height and width stand in the frame header, big-endian.
        let at = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        let number = |i: usize| usize::from(jpeg[i]) << 8 | usize::from(jpeg[i + 1]);
        assert_eq!((number(at + 5), number(at + 7)), (192, 3 * 256 + 12));
        assert!(strip(&a, &Yuv420::black(2, 2), Colour::BT601).is_err());
    }
}
