//! Writes the small bitstreams of `golden/streams` that are still missing: `cargo run -p freezeframe
//! --example golden_streams`, then `just golden-review`.
//!
//! A stored stream is never made again: what is guarded is that the *stored* bytes keep decoding to the
//! same pictures, whatever the encoders of the day do.

use codecs::{Codec, EncoderConfig, registry};
use contract::units::{Entry, UnitsHeader, UnitsWriter};
use media::Yuv420;
use std::path::Path;

const WIDTH: usize = 96;
const HEIGHT: usize = 64;
const FRAMES: u32 = 12;

fn main() -> anyhow::Result<()> {
    let streams = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/streams");
    for codec in [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9] {
        let folder = streams.join(codec.to_string());
        let file = folder.join("stream.units");
        if file.exists() {
            continue;
        }
        std::fs::create_dir_all(&folder)?;
        let config = match codec {
            Codec::H264 | Codec::H265 => {
                EncoderConfig { gop: 6, ..EncoderConfig::revo(codec.name(), WIDTH as u32, HEIGHT as u32, 30) }
            }
            Codec::Vp8 | Codec::Vp9 => EncoderConfig::vpx(codec, WIDTH as u32, HEIGHT as u32, 30, 200_000),
        };
        let mut encoder = registry::open_encoder(&config)?;
        let header = UnitsHeader::new(codec.name(), (WIDTH as u32, HEIGHT as u32, 30));
        let mut writer = UnitsWriter::create(&file, &header)?;
        for frame in 0..FRAMES {
            let unit = encoder.encode(frame, &picture(frame as usize), frame == 6)?;
            writer.append(&Entry::whole(frame, unit.key, unit.qp, unit.bytes))?;
        }
        writer.finish()?;
        println!("{}: {} bytes", file.display(), std::fs::metadata(&file)?.len());
    }
    Ok(())
}

/// A disc that moves over a slanted gradient: motion, edges and flat parts in few bytes.
fn picture(frame: usize) -> Yuv420 {
    let mut picture = Yuv420::black(WIDTH, HEIGHT);
    let (cx, cy) = (20 + 5 * frame, 20 + 2 * frame);
    for row in 0..HEIGHT {
        for column in 0..WIDTH {
            let inside = column.abs_diff(cx).pow(2) + row.abs_diff(cy).pow(2) < 15 * 15;
            picture.y[row * WIDTH + column] = if inside { 200 } else { (40 + column + row / 2) as u8 };
        }
    }
    for row in 0..HEIGHT / 2 {
        for column in 0..WIDTH / 2 {
            picture.u[row * WIDTH / 2 + column] = (100 + column) as u8;
            picture.v[row * WIDTH / 2 + column] = (150 - row) as u8;
        }
    }
    picture
}
