//! `freezeframe lossrec`: loss recovery on finished runs and on files.

use anyhow::Result;
use clap::{Args as ClapArgs, Parser, Subcommand};
use contract::{Metric, Stream, exit};
use freezeframe::BadInput;
use freezeframe::cmd::text_table::aligned;
use freezeframe::score::run_dirs;
use lossrec::blend::{Measured, Samples};
use lossrec::evaluate::{Evaluation, Folders, find};
use lossrec::gain::{Gains, Kind, METRICS, Recovery};
use lossrec::masks;
use lossrec::samples::{self, Take};
use models::lossrec::lite::{self, Choice, Gate, Lite};
use models::lossrec::network::Config;
use models::lossrec::original::LossRec;
use models::lossrec::restorers::{LITE, WEIGHTS, all};
use models::weights;
use std::path::PathBuf;
use std::process::ExitCode;

/// Neural loss recovery: what it gains on finished runs, the original's evaluation, frame masks, training data
#[derive(Parser, Debug)]
#[command(
    name = "freezeframe lossrec",
    version,
    after_help = "\
Examples:
  freezeframe lossrec gain runs/lossrec                                        all but the original's network on damaged frames
  freezeframe lossrec gain runs/lossrec --stream rgb --every 4 --methods none,hold,lossrec,lossrec-lite
  freezeframe lossrec masks receiver.log runs/one --into masks                  <stem>_frame_mask.npy
  freezeframe lossrec evaluate --checkpoint h265_rgb.pth --clean_path gt --corrupted_path rgb --mask_path masks --save_path out

Checkpoints of the original: `freezeframe weights` says where they come from."
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Gain(GainArgs),
    Evaluate(EvaluateArgs),
    Masks(MaskArgs),
    Samples(SamplesArgs),
    TrainBlend(TrainBlendArgs),
}

/// Measure what recovery makes of the damaged frames of finished runs of H.264 or H.265
#[derive(ClapArgs, Debug)]
struct GainArgs {
    /// Run directories, or directories of runs
    #[arg(required = true, value_name = "RUNS")]
    runs: Vec<PathBuf>,
    /// Recoveries; those that are networks are compared with all before them
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "none,hold,continue,lossrec-lite",
        value_name = "NAMES"
    )]
    methods: Vec<String>,
    /// Only this stream
    #[arg(long, value_name = "STREAM", value_parser = stream)]
    stream: Option<Stream>,
    /// Measure only every Nth damaged frame (all are recovered: each costs its time)
    #[arg(long, default_value_t = 1, value_name = "N")]
    every: usize,
    /// Look at the first N slots of each run only
    #[arg(long, value_name = "N")]
    slots: Option<usize>,
    /// Weights of lossrec-lite instead of those that are shipped
    #[arg(long, value_name = "FILE")]
    lite: Option<PathBuf>,
    /// Write every measured frame here, too: CSV, a column per method and metric
    #[arg(long, value_name = "FILE")]
    frames: Option<PathBuf>,
}

/// Evaluate the original's network on videos as the original's scripts do: the same frames, lines, files and numbers
#[derive(ClapArgs, Debug)]
struct EvaluateArgs {
    /// Checkpoint: .pth as published, or safetensors of the same keys
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// Folder of captured videos (.mp4, .avi)
    #[arg(long = "clean_path", alias = "clean-path", value_name = "DIR")]
    clean: PathBuf,
    /// Folder of received videos of the same names
    #[arg(long = "corrupted_path", alias = "corrupted-path", value_name = "DIR")]
    corrupted: PathBuf,
    /// Folder of masks, `<stem>_frame_mask.npy`; `_vis` in a stem is left out
    #[arg(long = "mask_path", alias = "mask-path", value_name = "DIR")]
    masks: PathBuf,
    /// Folder for pictures and reports
    #[arg(long = "save_path", alias = "save-path", value_name = "DIR", default_value = "output/v2")]
    save: PathBuf,
    /// Save captured, damaged and recovered pictures beside each other, too
    #[arg(long = "save_debug", alias = "save-debug")]
    debug: bool,
}

/// Write the frame masks of the original's logs and of finished runs
#[derive(ClapArgs, Debug)]
struct MaskArgs {
    /// Logs of the original's receiver (.log), run directories, or directories of runs
    #[arg(required = true, value_name = "LOG|RUNS")]
    from: Vec<PathBuf>,
    /// Folder for the masks
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,
    /// Frames of a GOP
    #[arg(long, default_value_t = sut_core::frame_masks::GOP, value_parser = clap::value_parser!(u32).range(1..))]
    gop: u32,
}

/// Write damaged frames of finished runs as training data for LossRec-lite
#[derive(ClapArgs, Debug)]
struct SamplesArgs {
    /// Run directories, or directories of runs
    #[arg(required = true, value_name = "RUNS")]
    runs: Vec<PathBuf>,
    /// Folder for the files; files that are there stay
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Pixels of a side of the part that is taken; 512 for whole pictures
    #[arg(long, default_value_t = 256)]
    side: usize,
    /// Share of the damaged frames that is taken
    #[arg(long, default_value_t = 1.0)]
    share: f64,
    /// Decides which frames and which parts
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Train the part of LossRec-lite that mixes the decoder's picture with the last good one, and decide what is drawn when
#[derive(ClapArgs, Debug)]
struct TrainBlendArgs {
    /// Runs to learn from, or directories of runs; pictures of one size
    #[arg(required = true, value_name = "RUNS")]
    runs: Vec<PathBuf>,
    /// Runs of other clips: what is best on them is drawn
    #[arg(long, required = true, num_args = 1.., value_name = "RUNS")]
    held_out: Vec<PathBuf>,
    /// Measure every Nth damaged frame of those
    #[arg(long, default_value_t = 1, value_name = "N")]
    every: usize,
    /// LossRec-lite's network (default: the one that is shipped)
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
    /// Where the network goes with its new blends and gate
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Passes over the frames
    #[arg(long, default_value_t = 60)]
    passes: u32,
    /// Of first values and order
    #[arg(long, default_value_t = 1)]
    seed: i64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Command::Gain(args) => gain(args),
        Command::Evaluate(args) => evaluate(args),
        Command::Masks(args) => write_masks(args),
        Command::Samples(args) => write_samples(args),
        Command::TrainBlend(args) => train_blend(args),
    };
    let code = done.unwrap_or_else(|error| {
        eprintln!("freezeframe lossrec: {}", contract::text::lines(&contract::said(&*error)));
        let bad = error.chain().any(|e| {
            e.is::<BadInput>()
                || e.is::<contract::SpecError>()
                || e.is::<contract::seal::SealError>()
                || e.is::<video::Error>()
        });
        if bad { exit::BAD_INPUT } else { exit::FAILED }
    });
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn stream(name: &str) -> Result<Stream, String> {
    Stream::from_name(name).ok_or_else(|| format!("{name:?} is neither rgb nor depth"))
}

fn all_runs(places: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for place in places {
        dirs.extend(run_dirs(place)?);
    }
    dirs.iter().try_for_each(|dir| contract::seal::check_evidence(dir))?;
    if dirs.is_empty() {
        return Err(BadInput(format!(
            "no run (a directory with spec.toml and events.jsonl) in {}",
            places[0].display()
        ))
        .into());
    }
    Ok(dirs)
}

fn gain(args: &GainArgs) -> Result<i32> {
    models::memory::keep_freed();
    // As beside a decoder: a live recovery has one core.
    tch::set_num_threads(1);
    let mut methods = Vec::new();
    for name in &args.methods {
        let Some(entry) = all().find(|entry| entry.name == name) else {
            let names: Vec<&str> = all().map(|entry| entry.name).collect();
            return Err(
                BadInput(format!("no recovery is called {name:?}; there are: {}", names.join(", "))).into()
            );
        };
        let mut settings: codecs::Settings =
            entry.settings.iter().map(|s| (s.name.to_owned(), s.default.to_owned())).collect();
        if let (Some(path), true) = (&args.lite, entry.name == LITE.name) {
            settings.insert(WEIGHTS.into(), path.to_string_lossy().into_owned());
        }
        methods.push(Recovery { entry, settings });
    }
    let streams = args.stream.map_or(Stream::ALL.to_vec(), |s| vec![s]);
    let mut gains = Gains::new(&methods);
    for dir in all_runs(&args.runs)? {
        gains.add(&dir, &streams, (args.every, args.slots.unwrap_or(usize::MAX)))?;
    }
    if let Some(path) = &args.frames {
        freezeframe::output::put(path, gains.csv())?;
    }
    print!("{}", table(&gains, &methods));
    print!("\n{}", overview(&gains, &methods));
    for (number, method) in methods.iter().enumerate().filter(|(_, m)| m.entry.makes_pictures) {
        if let Some(time) = gains.time(number) {
            println!(
                "{}: {:.1} ms of one core per damaged frame",
                method.entry.name,
                time.as_secs_f64() * 1e3
            );
        }
    }
    Ok(exit::OK)
}

/// What ReVo claims its recovery changes: the median of SSIM over damaged frames, and frozen slots. Per cent are of the first method's.
fn overview(gains: &Gains, methods: &[Recovery]) -> String {
    let mut rows = vec![["codec", "stream", "scenario", "damaged slots", "what"].map(String::from).to_vec()];
    rows[0].extend(methods.iter().map(|m| m.entry.name.to_owned()));
    for (kind, slots, still) in gains.stood_still().filter(|(_, slots, _)| *slots > 0) {
        let medians: Option<Vec<f64>> =
            (0..methods.len()).map(|method| gains.median(kind, method, Metric::Ssim)).collect();
        let still = still.iter().map(|n| *n as f64).collect();
        for (what, values, d) in [("median SSIM", medians, 3), ("frozen", Some(still), 0)] {
            let Some(values) = values else { continue };
            let head = [&kind.codec, kind.stream.name(), &kind.scenario, &slots.to_string(), what];
            let mut row: Vec<String> = head.map(str::to_owned).to_vec();
            row.push(format!("{:.d$}", values[0]));
            row.extend(values[1..].iter().map(|v| {
                let change = 100.0 * (v / values[0] - 1.0);
                if change.is_finite() { format!("{v:.d$} ({change:+.1} %)") } else { format!("{v:.d$}") }
            }));
            rows.push(row);
        }
    }
    aligned(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), 3)
}

/// Per kind of damage: every method's mean, then differences from each earlier method with 95 % intervals.
fn table(gains: &Gains, methods: &[Recovery]) -> String {
    let decimals = |metric: Metric| if metric == Metric::Psnr { 2 } else { 3 };
    let mut rows = vec![
        ["codec", "stream", "scenario", "damage", "frames", "runs", "metric"].map(String::from).to_vec(),
    ];
    rows[0].extend(methods.iter().map(|m| m.entry.name.to_owned()));
    let others: Vec<(usize, usize)> = (0..methods.len())
        .filter(|&m| methods[m].entry.makes_pictures)
        .flat_map(|m| (0..m).map(move |from| (m, from)))
        .collect();
    let name = |method: usize| methods[method].entry.name;
    rows[0].extend(others.iter().map(|&(m, from)| format!("{} - {}", name(m), name(from))));
    rows[0].extend(others.iter().map(|&(_, from)| format!("worst clip - {}", name(from))));
    for (kind, frames) in gains.kinds() {
        let Kind { codec, stream, scenario, damage } = kind;
        for metric in METRICS {
            let d = decimals(metric);
            let damage = damage.map_or("all", |d| d.name()).to_owned();
            let mut row = vec![codec.clone(), stream.name().to_owned(), scenario.clone(), damage];
            row.extend([frames.to_string(), gains.runs(kind).to_string(), metric.name().to_owned()]);
            for method in 0..methods.len() {
                row.push(
                    gains.mean(kind, method, metric).map_or_else(String::new, |e| format!("{:.d$}", e.mean)),
                );
            }
            for &(method, from) in &others {
                row.push(gains.difference(kind, method, from, metric).map_or_else(String::new, |e| {
                    let interval = e
                        .interval
                        .map_or_else(String::new, |i| format!(" [{:+.d$}, {:+.d$}]", i.low, i.high));
                    format!("{:+.d$}{interval}", e.mean)
                }));
            }
            for &(method, from) in &others {
                let worst = gains.worst(kind, method, from, metric);
                row.push(worst.map_or_else(String::new, |(value, clip)| format!("{value:+.d$} {clip}")));
            }
            rows.push(row);
        }
    }
    aligned(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), 4)
}

fn evaluate(args: &EvaluateArgs) -> Result<i32> {
    let folders =
        Folders { clean: args.clean.clone(), received: args.corrupted.clone(), masks: args.masks.clone() };
    let videos = find(&folders)?;
    let model = LossRec::load(&args.checkpoint, Config::PUBLISHED, tch::Device::cuda_if_available())
        .map_err(|e| BadInput(contract::said(&e)))?;
    println!("Loaded checkpoint: {}", args.checkpoint.display());
    let mut say = |text: &str| println!("{text}");
    Evaluation { model: &model, save: &args.save, triplets: args.debug, say: &mut say }.run(videos)?;
    Ok(exit::OK)
}

fn write_masks(args: &MaskArgs) -> Result<i32> {
    for from in &args.from {
        let written = if from.is_file() {
            vec![masks::of_log(from, &args.into, args.gop)?]
        } else {
            let mut all = Vec::new();
            for dir in all_runs(std::slice::from_ref(from))? {
                all.extend(masks::of_run(&dir, &args.into, args.gop)?);
            }
            all
        };
        for masks::Written { path, counts: [clean, one, two] } in written {
            println!(
                "{}: {} frames, {clean} of 0, {one} of 1, {two} of 2",
                path.display(),
                clean + one + two
            );
        }
    }
    Ok(exit::OK)
}

fn write_samples(args: &SamplesArgs) -> Result<i32> {
    let take = Take { side: args.side, share: args.share, seed: args.seed };
    let mut count = 0;
    for dir in all_runs(&args.runs)? {
        count += samples::write(&dir, &args.out, take)?;
    }
    println!("{count} samples in {}", args.out.display());
    Ok(exit::OK)
}

fn train_blend(args: &TrainBlendArgs) -> Result<i32> {
    models::memory::keep_freed();
    tch::set_num_threads(1);
    let network = match &args.network {
        Some(path) => path.clone(),
        None => weights::find(lite::FILE)?,
    };
    let mut net = Lite::load_network(&network)?;
    let mut samples = Samples::default();
    for dir in all_runs(&args.runs)? {
        samples.add(&dir)?;
    }
    eprintln!("{} damaged frames", samples.count());
    samples.train(&net, args.passes, args.seed, &mut |kind, pass, quality| {
        eprintln!("{kind}: pass {pass}: {quality:.3} dB");
    });
    let file = |net: &Lite, gate: &str| {
        let tensors = net.store().variables().into_iter().collect();
        weights::write(&args.out, &tensors, &[("model", lite::MODEL), ("gate", gate)], true)
    };
    // What is measured is what the file holds, which has 16 bits per value.
    file(&net, &Gate::default().text())?;
    net = Lite::load(&args.out, tch::Device::Cpu)?;
    let mut measured = Measured::default();
    for dir in all_runs(&args.held_out)? {
        measured.add(&net, &dir, args.every)?;
    }
    file(&net, &measured.gate().text())?;
    let mut rows = vec![["kind", "frames"].map(String::from).to_vec()];
    rows[0].extend(Choice::ALL.map(|choice| choice.name().to_owned()));
    for (kind, frames, values) in measured.rows() {
        let mut row = vec![kind, frames.to_string()];
        row.extend(values.map(|v| if frames > 0 { format!("{v:.2}") } else { String::new() }));
        rows.push(row);
    }
    print!("{}", aligned(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), 1));
    println!("gate: {}", measured.gate().text());
    Ok(exit::OK)
}
