//! The Rust side of `just bench-metrics` (metrics/bench/bench.py drives it).
//!
//! `bench_metrics SIZE` answers each line `METRIC THREADS FRAMES` with seconds per frame.

use anyhow::{Result, bail};
use media::Rgb;
use metrics::Scorer;
use metrics::lpips::Net;
use models::lpips::Lpips;
use std::io::{BufRead as _, Write as _};
use std::time::Instant;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [size] => answer(size.parse()?),
        _ => bail!("usage: bench_metrics SIZE"),
    }
}

fn answer(size: usize) -> Result<()> {
    let mut state = 1u64;
    let mut noise = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let a: Vec<u8> = (0..3 * size * size).map(|i| ((i / 7) % 200) as u8 + noise(40) as u8).collect();
    let b: Vec<u8> = a.iter().map(|v| v.saturating_add(noise(20) as u8)).collect();
    let picture = |data| Rgb { width: size, height: size, data };
    let (a, b) = (picture(a), picture(b));
    let yuv = [&a, &b].map(|p| media::convert::to_yuv420(p, media::convert::Colour::BT601));
    let weights = freezeframe::cmd::weights::find(Net::Squeeze.file()).ok();
    let net = weights.map(|path| Lpips::load(Net::Squeeze, &path, tch::Device::Cpu)).transpose()?;
    let images = [&a, &b].map(|p| {
        image_compare::prelude::RgbImage::from_raw(size as u32, size as u32, p.data.clone()).expect("whole")
    });
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [metric, threads, frames] = words.as_slice() else { bail!("METRIC THREADS FRAMES, got {line}") };
        let (threads, frames): (usize, usize) = (threads.parse()?, frames.parse()?);
        let start = Instant::now();
        match *metric {
            "lpips_squeeze" => {
                let Some(net) = &net else {
                    println!("absent");
                    std::io::stdout().flush()?;
                    continue;
                };
                tch::set_num_threads(i32::try_from(threads)?);
                for _ in 0..frames {
                    net.distance(&a, &b)?;
                }
            }
            "image-compare" => {
                for _ in 0..frames {
                    image_compare::rgb_similarity_structure(
                        &image_compare::Algorithm::MSSIMSimple,
                        &images[0],
                        &images[1],
                    )?;
                }
            }
            _ => std::thread::scope(|scope| {
                for t in 0..threads {
                    let (a, b, yuv) = (&a, &b, &yuv);
                    let share = frames / threads + usize::from(t < frames % threads);
                    scope.spawn(move || {
                        let mut scorer = Scorer::new();
                        for _ in 0..share {
                            let value = match *metric {
                                "psnr" => scorer.psnr(a, b),
                                "ssim" => scorer.ssim(a, b),
                                "ssim_full" => scorer.ssim_full(a, b),
                                "ms_ssim" => scorer.ms_ssim(a, b),
                                _ => scorer.ffmpeg_ssim(&yuv[0], &yuv[1]).map(|s| s.all),
                            };
                            std::hint::black_box(value.expect("whole pictures"));
                        }
                    });
                }
            }),
        }
        println!("{}", start.elapsed().as_secs_f64() / frames as f64);
        std::io::stdout().flush()?;
    }
    Ok(())
}
