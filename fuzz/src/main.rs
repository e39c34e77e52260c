//! `just fuzz SECONDS`: every target, mutated inputs, stable Rust.

use anyhow::{Context, Result};
use clap::Parser;
use fuzz::engine::{Counting, Engine, Finding};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Feed whole endpoints and every parser mutated inputs and report what panics, hangs or eats memory
#[derive(Parser)]
struct Args {
    /// Seconds for all targets together
    #[arg(default_value_t = 60)]
    seconds: u64,
    /// Only targets whose name contains this
    #[arg(long)]
    target: Option<String>,
    /// Same seed and machine speed: same inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run this kept input alone, panics and all
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Where inputs that found something are kept
    #[arg(long, default_value = "out/fuzz")]
    out: PathBuf,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(file) = &args.replay {
        let input = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        // Of names of which one begins like another the longest is meant.
        let target =
            fuzz::targets().into_iter().filter(|t| name.starts_with(t.name)).max_by_key(|t| t.name.len());
        let target = target.with_context(|| format!("{name} begins with no target's name"))?;
        println!("{}: outcome {:x}", target.name, (target.run)(&input));
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = |name: &str| args.target.as_ref().is_none_or(|t| name.contains(t.as_str()));
    let targets: Vec<_> = fuzz::targets().into_iter().filter(|t| chosen(t.name)).collect();
    anyhow::ensure!(!targets.is_empty(), "no target is called so; there are: {}", names());
    let share = Duration::from_secs(args.seconds) / targets.len() as u32;
    // What is caught is reported below; the usual message would come once for each input.
    std::panic::set_hook(Box::new(|_| {}));
    let mut findings = 0;
    println!("{:<18} {:>10} {:>9} {:>9}", "target", "inputs", "per s", "outcomes");
    for target in targets {
        let start = Instant::now();
        let mut engine = Engine::new(target, Vec::new(), args.seed);
        let found = engine.replay().or_else(|| engine.run(|_| start.elapsed() >= share));
        let rate = engine.runs as f64 / start.elapsed().as_secs_f64();
        println!("{:<18} {:>10} {:>9.0} {:>9}", target.name, engine.runs, rate, engine.outcomes());
        if let Some(finding) = found {
            findings += 1;
            let path = keep(&args.out, &finding)?;
            println!("  {}: {} (input: {})", finding.target, finding.what, path.display());
        }
    }
    Ok(ExitCode::from(u8::from(findings > 0)))
}

fn names() -> String {
    fuzz::targets().iter().map(|t| t.name).collect::<Vec<_>>().join(", ")
}

fn keep(out: &Path, finding: &Finding) -> Result<PathBuf> {
    std::fs::create_dir_all(out).with_context(|| format!("failed to create {}", out.display()))?;
    let hash = xxhash_rust::xxh3::xxh3_64(&finding.input);
    let path = out.join(format!("{}-{hash:016x}", finding.target));
    std::fs::write(&path, &finding.input).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}
