//! `freezeframe bench`: how fast virtual time is here, and where the time goes.

use super::run::ClipArgs;
use crate::launch::{self, Request, clip};
use crate::score;
use anyhow::{Context, Result, ensure};
use clap::Args as ClapArgs;
use contract::{Backend, exit};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

/// Measure virtual runs against real time, split by stage
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
`cold` encodes; `warm` reads the encoded streams from the cache, as every later seed of a sweep does. Then whole commands, as they are
typed, start-up and all: medians of several, wall clock and processor time of all their processes.

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
    open_us: u64,
    total_us: u64,
    sender_jobs_us: u64,
    receiver_jobs_us: u64,
}

struct Row {
    name: &'static str,
    start: Duration,
    encode: Duration,
    simulate: Duration,
    decode: Duration,
    score: Duration,
    report: Duration,
}

impl Row {
    fn run(&self) -> Duration {
        self.start + self.encode + self.simulate + self.decode
    }

    fn whole(&self) -> Duration {
        self.run() + self.score + self.report
    }
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
            costs: contract::costs::IDEAL.into(),
            cache: false,
        };
        let started = Instant::now();
        let (mut spec, manifest) = request.resolve(clip.clone())?;
        spec.cache = Some(std::path::absolute(&cache)?);
        let dir = args.out.join("run");
        let _held = launch::hold(&dir)?;
        launch::launch(&spec, &manifest, &dir)?;
        let whole = started.elapsed();
        let profile = profile(&dir)?;
        let started = Instant::now();
        let options = score::Options { cache: Some(cache.join("scores")), ..score::Options::default() };
        score::score_run(&dir, &options, &|_| {})?;
        let score = started.elapsed();
        let started = Instant::now();
        crate::report::write(&dir)?;
        let us = Duration::from_micros;
        rows.push(Row {
            name,
            start: whole.saturating_sub(us(profile.open_us + profile.total_us)),
            encode: us(profile.open_us + profile.sender_jobs_us),
            decode: us(profile.receiver_jobs_us),
            simulate: us(profile.total_us - profile.sender_jobs_us - profile.receiver_jobs_us),
            score,
            report: started.elapsed(),
        });
    }
    print(args, length, &rows, &commands(args)?)?;
    Ok(exit::OK)
}

/// A command as it is typed, and how long it takes: by the clock, and of the processor.
struct Command {
    words: String,
    wall: Duration,
    processor: Duration,
}

/// Start-up, and a whole run whose clip, encoded streams and scores are in the cache.
fn commands(args: &Args) -> Result<Vec<Command>> {
    let tool = std::env::current_exe().context("failed to find this program")?;
    let sut = tool.with_file_name("sut");
    let out = args.out.join("whole").to_string_lossy().into_owned();
    let mut run =
        ["run", &args.scenario, "--system", &args.system, "--out", &out].map(str::to_owned).to_vec();
    run.extend(args.clip.words());
    let words = |list: &[&str]| list.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
    let mut all = vec![(&tool, words(&["--help"]), 15)];
    if sut.is_file() {
        all.push((&sut, words(&[&args.system, "describe"]), 15));
    }
    all.push((&tool, run, 5));
    all.into_iter().map(|(program, words, times)| command(program, &words, times, Path::new(&out))).collect()
}

/// Medians of several calls after one that warms up; each finds `out` gone.
fn command(program: &Path, words: &[String], times: usize, out: &Path) -> Result<Command> {
    let (mut wall, mut processor) = (Vec::new(), Vec::new());
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for _ in 0..=times {
        let _ = std::fs::remove_dir_all(out);
        let (began, before) = (Instant::now(), processor_time_of_children());
        let done = Process::new(program).args(words).stdin(Stdio::null()).output();
        let done = done.with_context(|| format!("failed to start {name}"))?;
        ensure!(
            done.status.success(),
            "{name} {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&done.stderr)
        );
        wall.push(began.elapsed());
        processor.push(processor_time_of_children().saturating_sub(before));
    }
    let median = |mut times: Vec<Duration>| {
        times.remove(0);
        times.sort_unstable();
        times[times.len() / 2]
    };
    Ok(Command {
        words: format!("{name} {}", words.join(" ")),
        wall: median(wall),
        processor: median(processor),
    })
}

fn processor_time_of_children() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    let time = |t: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(t.tv_sec() * 1_000_000 + t.tv_usec()).unwrap_or_default())
    };
    usage.map_or(Duration::ZERO, |usage| time(usage.user_time()) + time(usage.system_time()))
}

fn profile(dir: &Path) -> Result<Profile> {
    let path = dir.join("profile.json");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} makes no sense", path.display()))
}

/// What the figures were taken on: the processor, its cores, and what else they had to do.
fn machine() -> serde_json::Value {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<f64> = load.split(' ').take(3).filter_map(|n| n.parse().ok()).collect();
    let machine = contract::identity::Machine::here();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    json!({ "cpu": machine.cpu, "kernel": machine.kernel, "cores": cores, "load_average": load })
}

fn print(args: &Args, length: Duration, rows: &[Row], commands: &[Command]) -> Result<()> {
    let faster = |d: Duration| length.as_secs_f64() / d.as_secs_f64();
    let machine = machine();
    if args.json {
        let stages: Vec<_> = rows
            .iter()
            .map(|r| {
                json!({
                    "name": r.name, "start_s": r.start.as_secs_f64(), "encode_s": r.encode.as_secs_f64(),
                    "simulate_s": r.simulate.as_secs_f64(), "decode_s": r.decode.as_secs_f64(),
                    "score_s": r.score.as_secs_f64(), "report_s": r.report.as_secs_f64(),
                    "times_real_time": faster(r.run()), "times_real_time_scored": faster(r.whole()),
                })
            })
            .collect();
        let commands: Vec<_> = commands
            .iter()
            .map(|c| {
                json!({ "command": c.words, "wall_s": c.wall.as_secs_f64(), "processor_s": c.processor.as_secs_f64() })
            })
            .collect();
        let all = json!({
            "machine": machine, "system": args.system, "scenario": args.scenario, "clip_s": length.as_secs_f64(),
            "stages": stages, "commands": commands,
        });
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let ms = |d: Duration| format!("{:.0}", d.as_secs_f64() * 1e3);
    println!("{} under {}, {:.1} s of video", args.system, args.scenario, length.as_secs_f64());
    println!("{} cores of {}, load {}\n", machine["cores"], machine["cpu"], machine["load_average"]);
    println!(
        "| milliseconds | start | encode | simulate | decode | score | report | x real time | x real time, scored |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for r in rows {
        let stages = [r.start, r.encode, r.simulate, r.decode, r.score, r.report].map(ms).join(" | ");
        println!("| {} | {stages} | {:.1} | {:.1} |", r.name, faster(r.run()), faster(r.whole()));
    }
    println!("\n| whole commands, milliseconds | by the clock | of the processor |\n|---|--:|--:|");
    for c in commands {
        println!("| `{}` | {} | {} |", c.words, ms(c.wall), ms(c.processor));
    }
    Ok(())
}
