//! FFmpeg's metrics of two y4m files, as a program as small as can be: `just bench-metrics` sets it beside `ffmpeg`, process
//! against process. Usage: `y4m_metrics psnr|ssim A B`.

use media::{Yuv420, y4m};
use std::error::Error;
use std::fs::File;
use std::io::BufReader;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [metric, a, b] = args.as_slice() else { return Err("usage: y4m_metrics psnr|ssim A B".into()) };
    let open =
        |p: &str| -> Result<_, Box<dyn Error>> { Ok(y4m::Reader::new(BufReader::new(File::open(p)?))?) };
    let (mut a, mut b) = (open(a)?, open(b)?);
    let (mut x, mut y) = (Yuv420::filled(0, 0, (0, 0, 0)), Yuv420::filled(0, 0, (0, 0, 0)));
    let mut scorer = metrics::Scorer::new();
    let (mut psnr, mut sum, mut n) = (Vec::new(), 0.0, 0);
    while a.next_frame_into(&mut x)? && b.next_frame_into(&mut y)? {
        match metric.as_str() {
            "psnr" => psnr.push(scorer.ffmpeg_psnr(&x, &y)?.avg()),
            _ => sum += scorer.ffmpeg_ssim(&x, &y)?.all,
        }
        n += 1;
    }
    println!("{n} frames: {}", metrics::psnr_of_mean_error(&psnr).unwrap_or(sum / f64::from(n)));
    Ok(())
}
