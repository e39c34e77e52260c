//! Prints how long colour conversion of one 512x512 picture takes (best of 200).
use media::{
    Rgb,
    convert::{self, Colour},
};
use std::time::{Duration, Instant};

fn main() {
    let mut state = 1u32;
    let data = (0..3 * 512 * 512)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let mut rgb = Rgb { width: 512, height: 512, data };
    let mut yuv = convert::to_yuv420(&rgb, Colour::BT601);
    let down = best(|| convert::to_yuv420_into(&rgb, Colour::BT601, &mut yuv));
    let up = best(|| convert::to_rgb_into(&yuv, Colour::BT601, &mut rgb));
    println!(
        "512x512 yuv420p -> rgb24 {:.3} ms, rgb24 -> yuv420p {:.3} ms",
        up.as_secs_f64() * 1e3,
        down.as_secs_f64() * 1e3
    );
}

fn best(mut run: impl FnMut()) -> Duration {
    let timed = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..200).map(|_| timed(&mut run)).min().unwrap_or_default()
}
