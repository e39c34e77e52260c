//! Prints VP9+Tambur under every change of the plan `published` beside the original program and Reparo's paper, and draws the runs:
//! `just published CLIP...`. Arguments: the folder of the runs, and a file for the figure (SVG). `DRIVER_RUNS` (60) and
//! `DRIVER_FRAMES` (1310) say how much the driver does.
//!
//! Two kinds of runs. *Whole* ones are the plan's, with codecs and pictures. The *driver* has the same sender, receiver and links on the virtual clock
//! and no pictures: a frame has the size that the encoder gave a frame of the whole runs as long after its key frame. So it does in a
//! second what takes a whole run ten, and says what takes many runs to know: the distribution of frames that are never shown.
//!
//! The original's figures: Thesys-lab/tambur @ 143f6cd, its own sender, receiver, encoder and code, in a driver on a virtual clock,
//! 1310 frames a run, 512x512, VP9 at 150 kbit/s, tau 3, round trip 100 ms; mean and standard error over runs, percent of frames that
//! never came on the screen. Two rows have a second set, 1800 frames a run under other draws. Reparo's paper: its figure 8, and its worst tenth of PSNR.

use contract::{Event, EventKind, Playout, Status, Stream};
use link::{Direction, Fate, Link, LinkSpec, SplitMix64, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::BufRead as _;
use std::path::Path;
use std::time::Duration;
use sut_core::self_drop::below;
use sut_core::simulate::{self, Peer, Recorder, simulate};
use sut_core::{Endpoint, Schedule, Worker, WorkerError};
use systems::jobs::{DecodeDone, DecodeJob, EncodeDone, EncodeJob};
use systems::vp9_tambur::channel::Place;
use systems::vp9_tambur::{Options, Parity};
use systems::{ringmaster, vp9_tambur};

const LEVELS: [&str; 3] = ["low", "medium", "high"];
/// Loss of a packet in the bad state, by level.
const LOSS_BAD: [&str; 3] = ["25%", "50%", "75%"];

/// One row of the walk.
struct Step {
    name: &'static str,
    system: &'static str,
    channel: &'static str,
    parity: &'static str,
    /// 100 ms of round trip and each system's own clock; else 40 ms and a budget of 150 ms.
    own: bool,
    /// Runs, and per level mean and standard error of the original, percent.
    original: Option<(u32, [(f64, f64); 3])>,
    /// The same again, of other runs.
    again: Option<(u32, [f64; 3])>,
    /// Worst tenth of PSNR, per level, of the original.
    original_psnr: Option<[f64; 3]>,
    /// Frames are so many times as large as the encoder made them.
    larger: usize,
    /// Most stripes in a packet; the program: 5.
    stripes: usize,
}

const NETWORK: Step = Step {
    name: "losses on the path; round trip 40 ms, one budget of 150 ms for all systems",
    system: "vp9-tambur",
    channel: "network",
    parity: "fixed",
    own: false,
    original: None,
    again: None,
    original_psnr: None,
    larger: 1,
    stripes: 5,
};

const STEPS: [Step; 10] = [
    NETWORK,
    Step {
        name: "... round trip 100 ms, every frame shown when it is decoded",
        own: true,
        original: Some((6, [(0.44, 0.11), (0.90, 0.16), (6.56, 0.45)])),
        again: Some((6, [0.31, 1.43, 5.33])),
        original_psnr: Some([33.4, 33.2, 29.2]),
        ..NETWORK
    },
    Step { name: "... and frames of twice the size (rate)", own: true, larger: 2, ..NETWORK },
    Step {
        name: "... and packets of one stripe (size of packets), frames as they were",
        own: true,
        stripes: 1,
        ..NETWORK
    },
    Step {
        name: "round trip 100 ms, frames and packets as they were, parity by reports",
        own: true,
        parity: "reports",
        original: Some((6, [(1.80, 0.15), (3.16, 0.40), (6.58, 0.48)])),
        again: Some((6, [2.55, 3.96, 6.36])),
        ..NETWORK
    },
    Step {
        name: "fixed parity; the same losses in the sender, which remembers what it dropped",
        own: true,
        channel: "sender-remembers",
        original: Some((12, [(0.31, 0.09), (1.76, 0.30), (6.49, 0.38)])),
        ..NETWORK
    },
    Step {
        name: "**... and forgets frames that it dropped whole, as published**",
        own: true,
        channel: "sender",
        original: Some((60, [(6.3, 2.8), (20.2, 3.4), (37.5, 2.6)])),
        original_psnr: Some([17.8, 16.2, 17.4]),
        ..NETWORK
    },
    Step {
        name: "... and frames of twice the size (rate)",
        own: true,
        channel: "sender",
        larger: 2,
        ..NETWORK
    },
    Step {
        name: "the program's channel, parity by reports",
        own: true,
        channel: "sender",
        parity: "reports",
        original: Some((24, [(85.0, 5.6), (38.9, 5.8), (46.5, 3.8)])),
        ..NETWORK
    },
    Step {
        name: "Ringmaster without FEC, losses on the path, round trip 100 ms",
        system: "vp9-ringmaster",
        channel: "",
        parity: "",
        own: true,
        ..NETWORK
    },
];

/// Reparo's paper on VP9+Tambur: percent not rendered, worst tenth of PSNR.
const PAPER: ([f64; 3], [f64; 3]) = ([8.0, 13.1, 29.2], [21.9, 16.5, 16.9]);

/// What a whole run was, and what came of it.
struct Run {
    system: String,
    channel: String,
    parity: String,
    level: usize,
    own: bool,
    not_rendered: f64,
    wire_kbps: f64,
    /// Of every frame.
    psnr: Vec<f64>,
    sizes: Recording,
}

/// What an encoder gave: bytes, and whether it was a key frame, frame by frame.
type Recording = Vec<(usize, bool)>;

/// What came of a run of the driver.
struct Driven {
    not_rendered: f64,
    /// Longest run of frames that were not shown.
    longest: u32,
}

impl Step {
    fn is(&self, run: &Run) -> bool {
        (self.larger, self.stripes) == (1, 5)
            && (run.system.as_str(), run.channel.as_str(), run.parity.as_str(), run.own)
                == (self.system, self.channel, self.parity, self.own)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(dir) = arguments.next() else {
        eprintln!("published: the argument is the folder of the runs of the plan published");
        std::process::exit(contract::exit::BAD_INPUT);
    };
    let done = (|| -> Result<(), Box<dyn std::error::Error>> {
        let mut runs = Vec::new();
        collect(Path::new(&dir), &mut runs)?;
        let (tambur, ringmaster) =
            (Recordings::of(&runs, "vp9-tambur"), Recordings::of(&runs, "vp9-ringmaster"));
        let number = |name: &str, otherwise: u64| -> Result<u64, Box<dyn std::error::Error>> {
            Ok(std::env::var(name).map_or(Ok(otherwise), |text| text.parse())?)
        };
        let (count, frames) = (number("DRIVER_RUNS", 60)?, number("DRIVER_FRAMES", 1310)?);
        let mut driven: BTreeMap<(usize, usize), Vec<Driven>> = BTreeMap::new();
        for (i, step) in STEPS.iter().enumerate() {
            let sizes = if step.system == "vp9-tambur" { &tambur } else { &ringmaster };
            if sizes.all.is_empty() {
                continue;
            }
            for (level, name) in LEVELS.iter().enumerate() {
                for seed in 1..=count {
                    let run = drive(step, level, seed, frames as u32, sizes)?;
                    driven.entry((i, level)).or_default().push(run);
                }
                eprintln!("driver: {}, {}: {count} runs", step.name, name);
            }
        }
        print!("{}", table(&runs, &driven));
        if let Some(file) = arguments.next() {
            std::fs::write(&file, figure(&driven)).map_err(|e| format!("failed to write {file}: {e}"))?;
        }
        Ok(())
    })();
    if let Err(error) = done {
        eprintln!("published: {dir}: {error}");
        std::process::exit(contract::exit::FAILED);
    }
}

/// What the encoder gave in the whole runs of a system, and places in it: recording and frame.
struct Recordings {
    all: Vec<Recording>,
    /// The key frames that begin a recording, like no others: nothing came before.
    first: Vec<(usize, usize)>,
    /// The key frames that were asked for later.
    keys: Vec<(usize, usize)>,
    /// Frames that are two seconds or more from their key frame.
    calm: Vec<(usize, usize)>,
}

impl Recordings {
    fn of(runs: &[Run], system: &str) -> Self {
        let all: Vec<Recording> =
            runs.iter().filter(|r| r.system == system).map(|r| r.sizes.clone()).collect();
        let (mut first, mut keys, mut calm) = (Vec::new(), Vec::new(), Vec::new());
        for (r, recording) in all.iter().enumerate() {
            let mut since = 0;
            for (i, (_, key)) in recording.iter().enumerate() {
                since = if *key { 0 } else { since + 1 };
                match (key, i) {
                    (true, 0) => first.push((r, i)),
                    (true, _) => keys.push((r, i)),
                    (false, _) if since >= 60 => calm.push((r, i)),
                    _ => {}
                }
            }
        }
        Self { all, first, keys, calm }
    }
}

/// One run of the driver.
fn drive(
    step: &Step,
    level: usize,
    seed: u64,
    frames: u32,
    sizes: &Recordings,
) -> Result<Driven, Box<dyn std::error::Error>> {
    let delay = if step.own { "50ms" } else { "20ms" };
    let quiet = format!("delay = {{ base = \"{delay}\" }}\n");
    let lossy = format!(
        "{quiet}loss = {{ model = \"gilbert_elliott\", good_to_bad = \"6.8%\", bad_to_good = \"85.2%\", loss_good = \"4%\", loss_bad = \
         \"{}\", step = \"frame\", loss_by = \"new\" }}\n",
        LOSS_BAD[level]
    );
    let capture_start = Timestamp::from_millis(200);
    let playout = if step.own { Playout::OWN } else { Playout::DEFAULT };
    let end = Timestamp::from_millis(20_000 + 34 * u64::from(frames));
    let schedule = Schedule { capture_start, frames, fps: 30, playout, end };
    let path = |text: &str, direction: Direction| -> Result<simulate::Path, Box<dyn std::error::Error>> {
        let spec: LinkSpec = toml::from_str(text)?;
        let link = Link::new(&spec, direction.seed(seed))?;
        Ok(simulate::Path { link, setup_delay: spec.setup_delay() })
    };
    let forward = if matches!(step.channel, "sender" | "sender-remembers") { &quiet } else { &lossy };
    let links = (path(forward, Direction::Forward)?, path(&quiet, Direction::Reverse)?);
    let encoder = Sizes::new(sizes, step.larger, seed);
    if step.system == "vp9-ringmaster" {
        let session = ringmaster::Session { options: ringmaster::Options::default(), schedule };
        let (sender, receiver) =
            (ringmaster::Sender::new(session.clone()), ringmaster::Receiver::new(session));
        return run_through(schedule, links, sender, encoder, receiver);
    }
    let channel = match step.channel {
        "network" => Place::Network,
        "sender" => Place::Sender,
        _ => Place::SenderRemembers,
    };
    let parity = if step.parity == "reports" { Parity::Reports } else { Parity::Fixed };
    // Read only where the channel is in the sender.
    let loss_bad = Some(LOSS_BAD[level].parse()?);
    let options =
        Options { channel, parity, loss_bad, stripes_per_packet: step.stripes, ..Options::default() };
    let session = vp9_tambur::Session { options, schedule, seed };
    let (sender, receiver) = (vp9_tambur::Sender::new(session.clone())?, vp9_tambur::Receiver::new(session)?);
    run_through(schedule, links, sender, encoder, receiver)
}

fn run_through(
    schedule: Schedule,
    links: (simulate::Path, simulate::Path),
    mut sender: impl Endpoint<Job = EncodeJob, Done = EncodeDone>,
    mut encoder: Sizes<'_>,
    mut receiver: impl Endpoint<Job = DecodeJob, Done = DecodeDone>,
) -> Result<Driven, Box<dyn std::error::Error>> {
    let mut screen = Screen::default();
    let outcome = simulate(
        schedule,
        links,
        Peer { endpoint: &mut sender, worker: &mut encoder },
        Peer { endpoint: &mut receiver, worker: &mut Decoding },
        &mut screen,
    )
    .map_err(|e| e.to_string())?;
    if !outcome.finished || screen.slots != schedule.frames {
        return Err(
            format!("a run of the driver ended with {} of {} slots", screen.slots, schedule.frames).into()
        );
    }
    let not_rendered = 100.0 * f64::from(screen.frozen) / f64::from(screen.slots);
    Ok(Driven { not_rendered, longest: screen.longest })
}

/// Frames of sizes that an encoder gave: after a key frame those that followed one, and so on.
struct Sizes<'a> {
    recordings: &'a Recordings,
    /// Factor of all sizes.
    larger: usize,
    random: SplitMix64,
    /// Recording and place in it of the next frame.
    at: (usize, usize),
}

impl<'a> Sizes<'a> {
    fn new(recordings: &'a Recordings, larger: usize, seed: u64) -> Self {
        Self { recordings, larger, random: SplitMix64::new(seed), at: (0, 0) }
    }

    fn next(&mut self, frame: u32, key: bool) -> usize {
        let Recordings { all, first, keys, calm } = self.recordings;
        let (r, i) = self.at;
        let goes_on = !key && all[r].get(i).is_some_and(|(_, key)| !key);
        if !goes_on {
            let places = match (key, frame) {
                (true, 1..) if !keys.is_empty() => keys,
                (false, _) if !calm.is_empty() => calm,
                _ => first,
            };
            let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
            self.at = places.get(below(&mut self.random, count) as usize).copied().unwrap_or((0, 0));
        }
        let (r, i) = self.at;
        self.at = (r, i + 1);
        all[r][i].0 * self.larger
    }
}

impl Worker for Sizes<'_> {
    type Job = EncodeJob;
    type Done = EncodeDone;

    fn run(&mut self, job: EncodeJob) -> Result<EncodeDone, WorkerError> {
        let bytes = vec![0; self.next(job.frame, job.key)];
        let unit = codecs::Unit { bytes, key: job.key, qp: 0 };
        Ok(EncodeDone { frame: job.frame, stream: job.stream, unit })
    }

    fn cost(&self, _: &EncodeJob) -> Duration {
        Duration::ZERO
    }
}

/// A decoder that takes everything.
struct Decoding;

impl Worker for Decoding {
    type Job = DecodeJob;
    type Done = DecodeDone;

    fn run(&mut self, job: DecodeJob) -> Result<DecodeDone, WorkerError> {
        let frame = job.entry.frame;
        Ok(DecodeDone { frame, stream: job.stream, decoded: true, picture: Some(u128::from(frame)) })
    }

    fn cost(&self, _: &DecodeJob) -> Duration {
        Duration::ZERO
    }
}

#[derive(Default)]
struct Screen {
    slots: u32,
    frozen: u32,
    still: u32,
    longest: u32,
}

impl Recorder for Screen {
    fn event(&mut self, event: Event) {
        if let EventKind::Slot { status, .. } = event.kind {
            self.slots += 1;
            self.still = if status == Status::Rendered { 0 } else { self.still + 1 };
            self.frozen += u32::from(status != Status::Rendered);
            self.longest = self.longest.max(self.still);
        }
    }
    fn fate(&mut self, _: Direction, _: u64, _: Timestamp, _: &[u8], _: &Fate) {}
}

fn table(runs: &[Run], driven: &BTreeMap<(usize, usize), Vec<Driven>>) -> String {
    let mut out = String::from(
        "| step | level | driver: runs | not rendered %: mean ± s.e. | median (min to max) | longest freeze | original: runs, mean ± s.e. | \
         apart by | Reparo's paper | whole runs: not rendered % | worst tenth, PSNR dB | original | paper | kbit/s |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for (i, step) in STEPS.iter().enumerate() {
        for (level, name) in LEVELS.iter().enumerate() {
            let Some(many) = driven.get(&(i, level)) else { continue };
            let values: Vec<f64> = many.iter().map(|r| r.not_rendered).collect();
            let (mean, error) = mean_and_error(&values);
            let (median, low, high) = middle(&values);
            let longest = many.iter().map(|r| r.longest).max().unwrap_or(0);
            let theirs = step.original.map(|(n, by_level)| (n, by_level[level]));
            let (original, apart) = theirs.map_or_else(
                || ("-".to_owned(), "-".to_owned()),
                |(n, (m, e))| {
                    let apart = (mean - m) / error.hypot(e).max(f64::MIN_POSITIVE);
                    let again =
                        step.again.map_or_else(String::new, |(n, m)| format!("; {n}: {:.2}", m[level]));
                    (format!("{n}: {m:.2} ± {e:.2}{again}"), format!("{apart:+.1} s.e."))
                },
            );
            let published = step.name.contains("as published");
            let paper =
                |values: [f64; 3]| if published { format!("{:.1}", values[level]) } else { "-".to_owned() };
            let these: Vec<&Run> = runs.iter().filter(|r| r.level == level && step.is(r)).collect();
            let (whole, psnr, kbps) = if these.is_empty() {
                ("-".to_owned(), "-".to_owned(), "-".to_owned())
            } else {
                let values: Vec<f64> = these.iter().map(|r| r.not_rendered).collect();
                let (mean, error) = mean_and_error(&values);
                let kbps = mean_and_error(&these.iter().map(|r| r.wire_kbps).collect::<Vec<_>>()).0;
                (
                    format!("{}: {mean:.2} ± {error:.2}", these.len()),
                    format!("{:.1}", worst_tenth(&these)),
                    format!("{kbps:.0}"),
                )
            };
            let _ = writeln!(
                out,
                "| {} | {name} | {} | {mean:.2} ± {error:.2} | {median:.2} ({low:.2} to {high:.2}) | {longest} | {original} | {apart} | {} | \
                 {whole} | {psnr} | {} | {} | {kbps} |",
                step.name,
                values.len(),
                paper(PAPER.0),
                step.original_psnr.map_or_else(|| "-".to_owned(), |p| format!("{:.1}", p[level])),
                paper(PAPER.1),
            );
        }
    }
    out
}

#[allow(clippy::cast_precision_loss)] // counts of runs
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

/// Median, smallest, largest.
fn middle(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    ((sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0, sorted[0], sorted[n - 1])
}

/// Mean of the worst tenth of all frames of these runs together.
#[allow(clippy::cast_precision_loss)]
fn worst_tenth(runs: &[&Run]) -> f64 {
    let mut all: Vec<f64> = runs.iter().flat_map(|r| r.psnr.iter().copied()).collect();
    all.sort_by(f64::total_cmp);
    let n = all.len().div_ceil(10);
    all[..n].iter().sum::<f64>() / n as f64
}

/// Every run a dot, per level; the original's and the paper's means beside them. The scale is the root of the share, so that small
/// and large ones are seen.
fn figure(driven: &BTreeMap<(usize, usize), Vec<Driven>>) -> String {
    const COLOURS: [&str; 3] = ["#2a7", "#c82", "#a33"];
    let (left, top, width, row) = (330.0, 46.0, 560.0, 66.0);
    let shown: Vec<(usize, &Step)> =
        STEPS.iter().enumerate().filter(|(i, _)| driven.contains_key(&(*i, 0))).collect();
    let height = top + row * shown.len() as f64 + 60.0;
    let x = |percent: f64| left + width * (percent / 100.0).sqrt();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 920 {height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{left}\" y=\"18\">frames not rendered, % of a run (root scale)\
         </text>\n"
    );
    for percent in [0.0, 1.0, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0] {
        let at = x(percent);
        let bottom = top + row * shown.len() as f64;
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {top}V{bottom:.0}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"36\" text-anchor=\"middle\" fill=\"#555\">\
             {percent}</text>"
        );
    }
    for (place, &(i, step)) in shown.iter().enumerate() {
        let y = top + row * place as f64;
        for (line, words) in wrapped(&step.name.replace("**", ""), 48).iter().enumerate() {
            let _ = writeln!(svg, "<text x=\"8\" y=\"{:.0}\">{words}</text>", y + 18.0 + 15.0 * line as f64);
        }
        for (level, colour) in COLOURS.iter().enumerate() {
            let at = y + 14.0 + 17.0 * level as f64;
            let values: Vec<f64> =
                driven.get(&(i, level)).into_iter().flatten().map(|r| r.not_rendered).collect();
            for value in &values {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{at:.0}\" r=\"3\" fill=\"{colour}\" fill-opacity=\".2\"/>",
                    x(*value)
                );
            }
            if !values.is_empty() {
                let (mean, median) = (mean_and_error(&values).0, middle(&values).0);
                let _ = writeln!(
                    svg,
                    "<path d=\"M{0:.1} {1:.0}v12\" stroke=\"{colour}\" stroke-width=\"3\"/><path d=\"M{2:.1} {1:.0}v12\" stroke=\"{colour}\" \
                     stroke-dasharray=\"2 2\" stroke-width=\"2\"/>",
                    x(mean),
                    at - 6.0,
                    x(median)
                );
            }
            if let Some((_, original)) = step.original {
                let at_x = x(original[level].0);
                let _ = writeln!(
                    svg,
                    "<path d=\"M{at_x:.1} {:.0}l5 5l-5 5l-5 -5z\" fill=\"none\" stroke=\"black\"/>",
                    at - 5.0
                );
            }
            if step.name.contains("as published") {
                let at_x = x(PAPER.0[level]);
                let _ = writeln!(
                    svg,
                    "<path d=\"M{:.1} {:.0}l8 8m0 -8l-8 8\" stroke=\"black\" stroke-width=\"1.5\"/>",
                    at_x - 4.0,
                    at - 4.0
                );
            }
        }
    }
    let y = height - 34.0;
    let _ = writeln!(
        svg,
        "<text x=\"8\" y=\"{y:.0}\">dot: a run; bar: mean, dashed: median; diamond: mean of the original program; cross: Reparo's figure 8. \
         <tspan fill=\"{}\">low</tspan> <tspan fill=\"{}\">medium</tspan> <tspan fill=\"{}\">high</tspan> level of loss</text>\n</svg>",
        COLOURS[0], COLOURS[1], COLOURS[2]
    );
    svg
}

/// Lines of at most `most` letters.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if lines.last().is_some_and(|l| !l.is_empty() && l.len() + 1 + word.len() > most) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Every valid run below `dir`.
fn collect(dir: &Path, runs: &mut Vec<Run>) -> Result<(), Box<dyn std::error::Error>> {
    let mut entries: Vec<_> = std::fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
            collect(&path, runs)?;
        } else if path.file_name().is_some_and(|name| name == "scores.json") {
            let scores: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
            runs.extend(run(&scores, &path.with_file_name(""))?);
        }
    }
    Ok(())
}

/// `None` of a run that is not valid, or none of the plan's.
fn run(scores: &Value, dir: &Path) -> Result<Option<Run>, Box<dyn std::error::Error>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().trim_matches('"').to_owned();
    let option = |name: &str| text(&scores["key"]["options"][name]);
    let scenario = text(&scores["run"]["scenario"]);
    let named = LEVELS.iter().position(|level| scenario.split('-').any(|word| word == *level));
    let of_option = LOSS_BAD.iter().position(|loss| *loss == option("loss_bad"));
    let Some(level) = of_option.or(named) else { return Ok(None) };
    let rgb = &scores["streams"]["rgb"];
    let (Some(not_rendered), Some(true)) =
        (rgb["non_rendered_play_percent"].as_f64(), scores["health"]["valid"].as_bool())
    else {
        return Ok(None);
    };
    let csv = std::fs::read_to_string(dir.join("frames.csv"))?;
    let mut lines = csv.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let psnr = head.iter().position(|c| *c == "psnr").ok_or("frames.csv has no psnr")?;
    let mut sizes = Vec::new();
    for line in std::io::BufReader::new(std::fs::File::open(dir.join("events.jsonl"))?).lines() {
        if let EventKind::Encoded { stream: Stream::Rgb, bytes, key: Some(key), .. } =
            serde_json::from_str::<Event>(&line?)?.kind
        {
            sizes.push((bytes as usize, key));
        }
    }
    Ok(Some(Run {
        system: text(&scores["run"]["system"]),
        channel: option("channel"),
        parity: option("parity"),
        level,
        own: scores["budget"]["asked_ns"].as_str() == Some("own"),
        not_rendered,
        wire_kbps: scores["bitrate"]["wire_bps"].as_f64().unwrap_or_default() / 1e3,
        psnr: lines.filter_map(|l| l.split(',').nth(psnr)?.parse().ok()).collect(),
        sizes,
    }))
}
