//! What a picture's metrics cost, as a share of a reference kernel that runs between them: plain loops over the same samples. A ratio says
//! on a slow or busy machine what it says on a fast one; processor time does not count the neighbours' turns.
//!
//! The bounds are two and a half times what was measured (`cargo test --release --workspace --test speed -- --nocapture` prints it; PSNR, which
//! waits for memory, three to four times), so that what fails has become slower by a multiple of any noise.

use media::Rgb;
use metrics::{Scorer, SimdLevel};
use nix::time::ClockId;
use std::hint::black_box;
use std::time::Duration;

const SIDE: usize = 512;
const ROUNDS: usize = 7;

fn picture(seed: u32) -> Rgb {
    let sample = |i: usize| {
        let (x, y) = ((i / 3 % SIDE) as u32, (i / 3 / SIDE) as u32);
        let noise = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(97)) >> 28;
        ((x / 3 + y / 5) % 200 + noise + seed) as u8
    };
    Rgb { width: SIDE, height: SIDE, data: (0..3 * SIDE * SIDE).map(sample).collect() }
}

/// Eleven taps down and eleven across over x, y, x^2, y^2 and xy, as a definition of SSIM reads.
fn reference(a: &Rgb, b: &Rgb) -> f32 {
    let taps: [f32; 11] = std::array::from_fn(|i| (-(i as f32 - 5.0).powi(2) / 4.5).exp());
    let stride = 3 * SIDE;
    let mut sum = 0.0;
    let mut rows = [const { Vec::new() }; 5];
    for row in 0..SIDE - 10 {
        for map in &mut rows {
            map.clear();
            map.resize(stride, 0.0f32);
        }
        for (k, tap) in taps.iter().enumerate() {
            let from = (row + k) * stride;
            let (x, y) = (&a.data[from..from + stride], &b.data[from..from + stride]);
            for i in 0..stride {
                let (x, y) = (f32::from(x[i]), f32::from(y[i]));
                for (map, value) in rows.iter_mut().zip([x, y, x * x, y * y, x * y]) {
                    map[i] += tap * value;
                }
            }
        }
        for map in &rows {
            for i in 0..stride - 30 {
                sum += (0..11).map(|k| taps[k] * map[i + 3 * k]).sum::<f32>();
            }
        }
    }
    sum
}

#[allow(clippy::disallowed_methods, reason = "this measures")]
fn processor_time() -> Duration {
    nix::time::clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}

/// The shortest of several times of each, taken in turn.
fn shortest(tasks: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; tasks.len()];
    for _ in 0..ROUNDS {
        for (task, best) in tasks.iter_mut().zip(&mut best) {
            let began = processor_time();
            task();
            *best = best.min((processor_time() - began).as_secs_f64());
        }
    }
    best
}

#[test]
fn metrics_cost_their_share_of_plain_loops() {
    if cfg!(debug_assertions) {
        return;
    }
    let (a, b) = (picture(1), picture(2));
    for level in SimdLevel::available() {
        let scorer = || Scorer::with_level(level);
        let (mut one, mut two, mut three) = (scorer(), scorer(), scorer());
        let times = shortest(&mut [
            &mut || _ = black_box(reference(black_box(&a), black_box(&b))),
            &mut || _ = black_box(one.ms_ssim(black_box(&a), black_box(&b)).unwrap()),
            &mut || _ = black_box(two.ssim(black_box(&a), black_box(&b)).unwrap()),
            &mut || _ = black_box(three.psnr(black_box(&a), black_box(&b)).unwrap()),
        ]);
        let bounds = match level {
            SimdLevel::Avx512 => BOUNDS[2],
            SimdLevel::Avx2 => BOUNDS[1],
            SimdLevel::Portable => BOUNDS[0],
        };
        let names = ["ms_ssim", "ssim", "psnr"];
        for ((name, time), bound) in names.iter().zip(&times[1..]).zip(bounds) {
            let ratio = time / times[0];
            println!(
                "{level:?} {name}: {:.3} ms, {ratio:.4} of the reference's {:.1} ms",
                time * 1e3,
                times[0] * 1e3
            );
            assert!(
                ratio < bound,
                "{level:?} {name} takes {ratio:.4} of the reference kernel, more than {bound}"
            );
        }
    }
}

/// MS-SSIM, SSIM, PSNR; portable, AVX2, AVX-512.
const BOUNDS: [[f64; 3]; 3] = [[0.7, 0.15, 0.01], [0.18, 0.045, 0.002], [0.145, 0.034, 0.002]];
