//! The distance of two feature maps, without libtorch: its seven operations each read and write the whole map, which takes as long as the
//! convolutions; here a few pixels' channels stay in the cache until they are done.

/// Pixels that are taken at once: all their channels of both pictures fit the second-level cache, and each row of them is long enough to
/// be fetched ahead.
const PIXELS: usize = 256;
/// Blocks of pixels below which another thread is not worth its start.
const FEW: usize = 16;

/// Both maps: channel by channel, so many pixels each. Sums are made per block of pixels and then in the order of blocks, so that the result
/// does not depend on the number of threads, nor on the instruction set.
pub(super) fn of((a, b): (&[f32], &[f32]), head: &[f32], threads: usize) -> f64 {
    let pixels = a.len() / head.len().max(1);
    let blocks = pixels.div_ceil(PIXELS);
    let mut sums = vec![0.0; blocks];
    let threads = threads.min(blocks / FEW).max(1);
    let each = blocks.div_ceil(threads).max(1);
    let part = |first: usize, sums: &mut [f64]| {
        for (i, sum) in sums.iter_mut().enumerate() {
            let from = (first + i) * PIXELS;
            *sum = block((a, b), pixels, from..pixels.min(from + PIXELS), head);
        }
    };
    let part = &part;
    std::thread::scope(|scope| {
        let mut parts = sums.chunks_mut(each).enumerate();
        let own = parts.next();
        for (i, sums) in parts {
            scope.spawn(move || part(i * each, sums));
        }
        if let Some((_, sums)) = own {
            part(0, sums);
        }
    });
    sums.iter().sum::<f64>() / pixels as f64
}

type Range = std::ops::Range<usize>;

fn block(maps: (&[f32], &[f32]), pixels: usize, range: Range, head: &[f32]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions; the code is the same safe Rust, compiled for them.
            return unsafe { block_avx512(maps, pixels, range, head) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { block_avx2(maps, pixels, range, head) };
        }
    }
    sum(maps, pixels, range, head)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn block_avx2(maps: (&[f32], &[f32]), pixels: usize, range: Range, head: &[f32]) -> f64 {
    sum(maps, pixels, range, head)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn block_avx512(maps: (&[f32], &[f32]), pixels: usize, range: Range, head: &[f32]) -> f64 {
    sum(maps, pixels, range, head)
}

#[inline(always)]
fn sum((a, b): (&[f32], &[f32]), pixels: usize, range: Range, head: &[f32]) -> f64 {
    let count = range.len();
    let [mut of_a, mut of_b, mut sums] = [[0.0f32; PIXELS]; 3];
    for (map, factors) in [(a, &mut of_a), (b, &mut of_b)] {
        let factors = &mut factors[..count];
        for channel in map.chunks_exact(pixels) {
            factors.iter_mut().zip(&channel[range.clone()]).for_each(|(sum, value)| *sum += value * value);
        }
        factors.iter_mut().for_each(|sum| *sum = 1.0 / (sum.sqrt() + 1e-10));
    }
    let (of_a, of_b, sums) = (&of_a[..count], &of_b[..count], &mut sums[..count]);
    for ((weight, a), b) in head.iter().zip(a.chunks_exact(pixels)).zip(b.chunks_exact(pixels)) {
        let (a, b) = (&a[range.clone()], &b[range.clone()]);
        for ((((sum, a), b), of_a), of_b) in sums.iter_mut().zip(a).zip(b).zip(of_a).zip(of_b) {
            let difference = a * of_a - b * of_b;
            *sum += weight * (difference * difference);
        }
    }
    sums.iter().map(|&sum| f64::from(sum)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, n: usize) -> Vec<f32> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Half of the features are zeros, as behind a ReLU.
            ((state >> 40) as f32 / 16_777_216.0 - 0.5).max(0.0)
        };
        (0..n).map(|_| next()).collect()
    }

    /// Against the definition in doubles, for whole blocks, parts of one and single pixels; equal maps are exactly 0; threads change nothing.
    #[test]
    fn the_distance_is_its_definition() {
        for (channels, pixels) in [(3, 1), (64, 255), (16, 256), (5, 257), (128, 63 * 63), (7, 5000)] {
            let (a, b) = (numbers(1, channels * pixels), numbers(2, channels * pixels));
            let head = numbers(3, channels);
            let unit = |map: &[f32], channel: usize, pixel: usize| {
                let of = |c: usize| f64::from(map[c * pixels + pixel]);
                of(channel) / ((0..channels).map(|c| of(c) * of(c)).sum::<f64>().sqrt() + 1e-10)
            };
            let mut wanted = 0.0;
            for pixel in 0..pixels {
                for (channel, weight) in head.iter().enumerate() {
                    wanted +=
                        f64::from(*weight) * (unit(&a, channel, pixel) - unit(&b, channel, pixel)).powi(2);
                }
            }
            wanted /= pixels as f64;
            let found = of((&a, &b), &head, 1);
            assert!(
                (found - wanted).abs() <= 1e-6 * wanted.max(1e-3),
                "{channels} {pixels}: {found} {wanted}"
            );
            assert_eq!(found.to_bits(), of((&a, &b), &head, 3).to_bits());
            assert_eq!(of((&a, &a), &head, 2), 0.0);
        }
    }
}
