//! `freezeframe bench`: how fast virtual time is here, and where the time goes.

use super::run::ClipArgs;
use crate::launch::{self, Request, clip};
use crate::score;
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use contract::{Backend, exit};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Measure virtual runs against real time, split by stage
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
`cold` encodes; `warm` reads the encoded streams from the cache, as every later seed of a sweep does.

Examples:
  freezeframe bench
  freezeframe bench --system revo-h265 --scenario ge-high --json")]
pub struct Args {
    /// System under test
    #[arg(long, short, default_value = "revo-h264")]
    pub system: String,
    /// Scenario: a name or a TOML file
    #[arg(long, default_value = "ge-medium")]
    pub scenario: String,
    /// The clip that is sent
    #[command(flatten)]
    pub clip: ClipArgs,
    /// Where the runs go
    #[arg(long, value_name = "DIR", default_value = "out/bench")]
    pub out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Deserialize)]
struct Profile {
    total_us: u64,
    sender_jobs_us: u64,
    receiver_jobs_us: u64,
}

struct Row {
    name: &'static str,
    whole: Duration,
    encode: Duration,
    decode: Duration,
    rest: Duration,
    score: Duration,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    let clip = clip::resolve(&args.clip.request(), &mut |line| eprintln!("clip: {line}"))?;
    let length = Duration::from_secs_f64(f64::from(clip.frames) / f64::from(clip.fps));
    let mut rows = Vec::new();
    // A cache of its own, so that "cold" is cold.
    let cache = args.out.join("cache");
    let _ = std::fs::remove_dir_all(&cache);
    for (name, seed) in [("cold", 1), ("warm, another seed", 2), ("warm, same seed", 2)] {
        let request = Request {
            scenario: args.scenario.clone(),
            system: args.system.clone(),
            clip: args.clip.request(),
            backend: Backend::Virtual,
            shaper: contract::Shaping::Auto,
            seed,
            options: Vec::new(),
            cache: false,
        };
        let (mut spec, manifest) = request.resolve(clip.clone())?;
        spec.cache = Some(std::path::absolute(&cache)?);
        let dir = args.out.join("run");
        let started = Instant::now();
        let _held = launch::hold(&dir)?;
        launch::launch(&spec, &manifest, &dir)?;
        let whole = started.elapsed();
        let profile = profile(&dir)?;
        let started = Instant::now();
        let options = score::Options { cache: Some(cache.join("scores")), ..score::Options::default() };
        score::score_run(&dir, &options, &|_| {})?;
        let score = started.elapsed();
        let us = Duration::from_micros;
        // Before the clock starts, a sender encodes what its cache lacks.
        let before = whole.saturating_sub(us(profile.total_us));
        rows.push(Row {
            name,
            whole,
            encode: us(profile.sender_jobs_us) + before,
            decode: us(profile.receiver_jobs_us),
            rest: us(profile.total_us - profile.sender_jobs_us - profile.receiver_jobs_us),
            score,
        });
    }
    print(args, length, &rows)?;
    Ok(exit::OK)
}

fn profile(dir: &Path) -> Result<Profile> {
    let path = dir.join("profile.json");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} makes no sense", path.display()))
}

fn print(args: &Args, length: Duration, rows: &[Row]) -> Result<()> {
    let faster = |d: Duration| length.as_secs_f64() / d.as_secs_f64();
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|r| {
                json!({
                    "name": r.name, "clip_s": length.as_secs_f64(), "run_s": r.whole.as_secs_f64(),
                    "start_and_encode_s": r.encode.as_secs_f64(), "decode_s": r.decode.as_secs_f64(),
                    "protocol_and_link_s": r.rest.as_secs_f64(), "score_s": r.score.as_secs_f64(),
                    "times_real_time": faster(r.whole), "times_real_time_scored": faster(r.whole + r.score),
                })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    println!("{} under {}, {:.1} s of video, milliseconds", args.system, args.scenario, length.as_secs_f64());
    println!(
        "{:20} {:>15} {:>8} {:>14} {:>8} {:>9} {:>16}",
        "", "start + encode", "decode", "protocol+link", "score", "x real", "x real, scored"
    );
    for r in rows {
        let ms = |d: Duration| format!("{:.0}", d.as_secs_f64() * 1e3);
        println!(
            "{:20} {:>15} {:>8} {:>8} {:>4.1}% {:>8} {:>9.1} {:>16.1}",
            r.name,
            ms(r.encode),
            ms(r.decode),
            ms(r.rest),
            100.0 * r.rest.as_secs_f64() / (r.whole + r.score).as_secs_f64(),
            ms(r.score),
            faster(r.whole),
            faster(r.whole + r.score)
        );
    }
    Ok(())
}
