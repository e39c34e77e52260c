//! `freezeframe costs`: what codecs cost on this machine, as a table for `--costs`.

use super::run::ClipArgs;
use crate::launch::clip;
use crate::{BadInput, bad_input};
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use codecs::registry::{self, CodecEntry};
use codecs::{Codec, DecoderConfig, EncoderConfig};
use contract::costs::{Costs, Work};
use contract::{ClipSpec, exit};
use media::Yuv420;
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::time::Duration;
use video::{Reader, Target};

/// Measure what encoding and decoding cost here, and print a table for `--costs`
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Each codec runs as the systems open it: x264 and x265 as ReVo, VP8 as libwebrtc, VP9 as Ringmaster, on one core. What counts is processor
time, so that other work on the machine does not; the medians of three passes over the clip are written. Rows of networks come from a table
that has them (--with); `just eval-tokens --threads 1` measures Reparo's.

Examples:
  freezeframe costs --clip talk.mp4 --name my-laptop > my-laptop.toml
  freezeframe sweep papers --clip talk.mp4 --no-depth --costs my-laptop.toml")]
pub struct Args {
    /// The clip that is encoded
    #[command(flatten)]
    pub clip: ClipArgs,
    /// Name of the table
    #[arg(long, default_value = "this-machine")]
    pub name: String,
    /// What is measured on, in words; default: the processor's name
    #[arg(long)]
    pub machine: Option<String>,
    /// A table whose other rows are taken over: a name or a file
    #[arg(long = "with", value_name = "NAME|FILE")]
    pub with: Option<String>,
}

/// Passes over the clip.
const PASSES: usize = 3;
/// What VP8 and VP9 are asked for: what half redundancy leaves of 320 kbit/s.
const BPS: u64 = 213_333;

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    let mut request = args.clip.request();
    request.no_depth = true;
    request.frames = request.frames.or(Some(90));
    let clip = clip::resolve(&request, &mut |line| eprintln!("clip: {line}"))?;
    let pictures = pictures(&clip)?;
    let mut work = match &args.with {
        Some(table) => Costs::find(table).map_err(|e| BadInput(e.to_string()))?.work,
        None => BTreeMap::new(),
    };
    for entry in registry::codecs() {
        eprintln!("measuring {} ...", entry.name);
        work.insert(entry.name.to_owned(), measure(entry, &clip, &pictures)?);
    }
    let machine = args.machine.clone().unwrap_or_else(|| format!("one core of {}", processor()));
    let table = Costs { name: args.name.clone(), machine, pixels: clip.width * clip.height, work };
    let text = toml::to_string_pretty(&table)?;
    Costs::parse("the table", &text).map_err(|e| BadInput(e.to_string()))?;
    print!("{text}");
    Ok(exit::OK)
}

fn pictures(clip: &ClipSpec) -> Result<Vec<Yuv420>> {
    let target = Target::new((clip.width as usize, clip.height as usize), (clip.fps, 1));
    let mut reader = Reader::open(&clip.rgb, &target)?;
    let mut pictures = Vec::new();
    while pictures.len() < clip.frames as usize
        && let Some(picture) = reader.next_frame()?
    {
        pictures.push(picture);
    }
    if pictures.len() < 10 {
        bad_input!("{}: fewer than ten frames say little about time", clip.rgb.display());
    }
    Ok(pictures)
}

fn config(entry: &CodecEntry, clip: &ClipSpec) -> EncoderConfig {
    let (width, height, fps) = (clip.width, clip.height, clip.fps);
    match entry.name.parse() {
        Ok(codec @ (Codec::Vp8 | Codec::Vp9)) => EncoderConfig::vpx(codec, width, height, fps, BPS),
        _ => EncoderConfig::revo(entry.name, width, height, fps),
    }
}

fn measure(entry: &CodecEntry, clip: &ClipSpec, pictures: &[Yuv420]) -> Result<Work> {
    let (mut encode, mut decode) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        let mut encoder = (entry.encoder)(&config(entry, clip))?;
        let mut decoder = (entry.decoder)(&DecoderConfig::new(entry.name, (clip.width, clip.height)))?;
        for (frame, picture) in pictures.iter().enumerate() {
            let key = frame % 30 == 0 && config(entry, clip).gop > 0;
            let (unit, time) = timed(|| encoder.encode(frame as u32, picture, key))?;
            let unit = unit?;
            encode.push(time);
            if !unit.bytes.is_empty() {
                let (decoded, time) = timed(|| decoder.decode(frame as u32, &unit))?;
                decoded?;
                decode.push(time);
            }
        }
    }
    let median = |mut times: Vec<Duration>| -> u64 {
        times.sort_unstable();
        times.get(times.len() / 2).map_or(0, |t| t.as_micros() as u64).max(1)
    };
    Ok(Work { encode_us: median(encode), decode_us: median(decode), recover_us: 0 })
}

/// What `work` gives, and the processor time that this process spent on it.
fn timed<T>(work: impl FnOnce() -> T) -> Result<(T, Duration)> {
    let now =
        || clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).context("failed to read the processor's clock");
    let before = now()?;
    let done = work();
    let spent = now()? - before;
    Ok((done, Duration::from(spent)))
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or("an unknown processor", |(_, name)| name.trim()).to_owned()
}
