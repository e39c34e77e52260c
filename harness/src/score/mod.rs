//! From rows and pictures to `scores.json`.
//!
//! Start at [`score_run`]. It repeats alone, on a copied run directory too, and computes nothing twice: pictures'
//! hashes and pairs' scores are kept in the cache folder.

pub mod cache;
pub mod camera;
mod claims;
pub mod describe;
pub mod pair;
pub mod pictures;
mod plausible;
mod raw;
pub mod session;
pub mod shared;
mod still;
mod stream;
mod strip;

use crate::launch::clip;
use crate::launch::files::write_new;
use crate::networks;
use crate::record::evidence::{Claims, Delivered};
use crate::record::{Finding, Ledger, Slots, join, read_events, read_fates};
use anyhow::Context as _;
use codecs::networks::Lpips;
use contract::frames::write_frames;
use contract::scores::{Health, SCHEMA, Scores, Scoring};
use contract::seal::{self, Seal};
use contract::{Backend, FrameRow, Metric, RunKey, RunSpec, Stream};
use link::Timestamp;
use metrics::lpips::Net;
use pair::{Nets, Variants};
use shared::Shared;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How to score.
#[derive(Clone, Debug)]
pub struct Options {
    /// Picture metrics.
    pub metrics: Vec<Metric>,
    /// Cache folder; `None`: everything is computed.
    pub cache: Option<PathBuf>,
    /// Folder of LPIPS weights; absent: where [`crate::cmd::weights::find`] looks.
    pub lpips_weights: Option<PathBuf>,
    /// LPIPS on the first CUDA device.
    pub cuda: bool,
    /// Horizontal field of view of the depth camera, degrees; absent: the clip's, else [`DEFAULT_FOV`].
    pub fov: Option<f64>,
    /// Picture strips per stream.
    pub strips: usize,
    /// Threads that compare pictures; with one, everything is done on the caller's.
    pub threads: usize,
    /// What several scorings have in common.
    pub shared: Arc<Shared>,
    /// Score against the clip's files even if they are not those that were sent.
    pub allow_changed_clip: bool,
}

/// Horizontal field of view that depth cameras of unknown calibration are taken to have, degrees: that of the first Kinect's
/// and RealSense's depth sensors lies between 57 and 87.
pub const DEFAULT_FOV: f64 = 70.0;

/// Metrics computed unless told otherwise.
pub const DEFAULT_METRICS: [Metric; 6] = [
    Metric::Psnr,
    Metric::Ssim,
    Metric::MsSsim,
    Metric::DepthRmseMm,
    Metric::DepthAbsRel,
    Metric::DepthDelta1,
];

impl Default for Options {
    fn default() -> Self {
        Self {
            metrics: DEFAULT_METRICS.to_vec(),
            cache: contract::digest::cache_folder().map(|c| c.join("scores")),
            lpips_weights: None,
            cuda: false,
            fov: None,
            strips: 3,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            shared: Arc::default(),
            allow_changed_clip: false,
        }
    }
}

/// How far from capture plus budget a slot may be on the wall clock: the scale of lateness that a run's emulator may have.
const SLOT_TOLERANCE: Duration = Duration::from_millis(5);

/// Which slots a run has.
#[must_use]
pub fn slots_of(spec: &RunSpec) -> Slots {
    Slots {
        frames: spec.clip.frames,
        capture_start: Timestamp(spec.first_capture_ns()),
        streams: spec.clip.streams().to_vec(),
        rate: (spec.clip.fps, 1),
        playout: spec.scenario.playout,
        slot_tolerance: match spec.backend {
            Backend::Virtual => Duration::ZERO,
            Backend::Namespaces => SLOT_TOLERANCE,
        },
        one_packet_per_message: spec.options.get("transport").and_then(|t| t.as_str()) == Some("datagram"),
        last_slot: None,
        watched: false,
    }
}

/// Scores a run directory: writes `frames.csv`, `scores.json` and `strips/` into it. `progress` is called with the number of
/// slots done since the last call.
///
/// # Errors
/// When a file of the run is missing or damaged; results of an earlier scoring are then gone, not mixed with new ones.
pub fn score_run(dir: &Path, options: &Options, progress: &(dyn Fn(u32) + Sync)) -> anyhow::Result<Scores> {
    let mut seal = Seal::read(dir)?;
    seal.check_evidence(dir)?;
    let mut spec = RunSpec::read(dir)?;
    let of_this_run = || format!("{}", dir.display());
    let mut another_clip = false;
    if options.allow_changed_clip {
        // What is scored goes by the clip that it is scored against: in caches, in tables and where runs are compared.
        another_clip = clip::take_as_it_is(&mut spec.clip).with_context(of_this_run)?;
    } else {
        clip::check_unchanged(&spec).with_context(of_this_run)?;
    }
    // `scores.json` says that a run is finished: it goes first and comes last.
    seal.without_results(dir)?;
    for stale in ["scores.json", "frames.csv"] {
        remove(&dir.join(stale))?;
    }
    match std::fs::remove_dir_all(dir.join("strips")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("failed to remove {}", dir.join("strips").display()));
        }
        _ => {}
    }
    let mut slots = slots_of(&spec);
    slots.last_slot = last_slot(&spec, dir)?;
    let fates = dir.join("fates.jsonl");
    let launched = read_health(dir)?;
    slots.watched = launched.app.is_some();
    let mut delivered = if fates.is_file() { Some(Delivered::new(&spec)?) } else { None };
    let ledger = match &mut delivered {
        Some(delivered) => Some(Ledger::of(
            read_fates(&fates)?.inspect(|record| {
                if let Ok(record) = record {
                    delivered.add(record);
                }
            }),
            slots.window(),
        )?),
        None => None,
    };
    let mut claims = Claims::new(launched.ended_ns);
    let path = dir.join("events.jsonl");
    let events = read_events(&path)?.inspect(|event| {
        if let Ok(event) = event {
            claims.add((&spec, &slots), event);
        }
    });
    let joined = join(events, ledger.as_ref(), &slots)?;
    let (mut rows, mut findings, totals) = (joined.rows, joined.findings, joined.totals);
    findings.extend(ledger.iter().flat_map(Ledger::findings));
    let mut capture_lateness = None;
    if spec.backend == Backend::Namespaces {
        let (late, early) = session::capture_lateness(&rows, &slots);
        capture_lateness = late;
        findings.extend(early.map(|(count, first)| Finding::CapturedEarly { count, first }));
    }

    let metrics = possible(&options.metrics, &spec, &mut findings);
    let (nets, mut variants) = load_nets(&metrics, options, &mut findings);
    let camera = camera::of(&spec.clip, options.fov);
    for metric in camera::METRICS {
        variants.insert(metric, camera.variant());
    }
    // With threads to spare streams go side by side, for reading and decoding the pictures of one is serial. LPIPS nets stay on this
    // thread; depth has no use for them.
    let score = |stream: Stream, nets: &Nets, mut of_stream: Vec<&mut FrameRow>| {
        let job = stream::Job {
            dir,
            clip: &spec.clip,
            stream,
            wanted: &metrics,
            nets,
            variants: &variants,
            camera: camera.intrinsics,
            cache: options.cache.as_deref(),
            strips: options.strips,
            threads: options.threads.max(1),
            shared: &options.shared,
            watched: slots.watched,
            progress,
        };
        stream::score_stream(&job, &mut of_stream)
            .with_context(|| format!("failed to score the {} pictures of {}", stream.name(), dir.display()))
    };
    let (rgb, depth): (Vec<_>, Vec<_>) = rows.iter_mut().partition(|r| r.stream == Stream::Rgb);
    let has_depth = slots.streams.contains(&Stream::Depth);
    let score = &score;
    let (of_rgb, of_depth) = std::thread::scope(|scope| {
        let depth = has_depth.then_some(move || score(Stream::Depth, &Nets::new(), depth));
        let (now, aside) = if options.threads > 1 { (None, depth) } else { (depth, None) };
        let thread = aside.map(|depth| scope.spawn(depth));
        let of_rgb = if slots.streams.contains(&Stream::Rgb) {
            score(Stream::Rgb, &nets, rgb)
        } else {
            Ok(Vec::new())
        };
        let of_depth = match (now, thread) {
            (Some(depth), _) => depth(),
            (_, Some(thread)) => thread
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that scores depth panicked"))),
            _ => Ok(Vec::new()),
        };
        (of_rgb, of_depth)
    });
    findings.extend(of_rgb?);
    findings.extend(of_depth?);
    findings.extend(claims.check(delivered.as_ref()));
    if let Some(delivered) = &mut delivered {
        findings.extend(delivered.check(&slots, &rows, describe::promises_loss(&spec)));
        for &stream in &slots.streams {
            let carried = plausible::Carried::of(delivered, &slots, stream, &rows, &launched);
            findings.extend(plausible::check(&spec.clip, stream, &rows, &carried)?);
        }
    }
    if let Some(ledger) = &ledger {
        findings.extend(session::sent_against_entered(
            &totals,
            joined.reports,
            (ledger, &slots),
            launched.self_reported,
        ));
    }
    if let Some(ledger) = &ledger
        && describe::promises_loss(&spec)
        && ledger.forward.packets > 0
        && ledger.forward.delivered == ledger.forward.packets
    {
        findings.push(Finding::NoLoss { packets: ledger.forward.packets });
    }
    let lost_at_sender = session::lost_at_sender(&totals);
    let key = RunKey::of(&spec);
    let asked_fov = options.fov.filter(|_| spec.clip.depth_range_mm.is_some()).map(|f| f.to_string());
    let scores = Scores {
        schema: SCHEMA,
        run: describe::identity(&spec),
        key: RunKey { depth_fov_degrees: asked_fov.or(key.depth_fov_degrees.clone()), ..key },
        scoring: scoring(&spec, options),
        health: Health { capture_lateness, ..health(launched.clone(), &findings, &totals) },
        frames: slots.frames,
        interval_ns: spec.interval_ns(),
        budget: joined.budget,
        streams: slots
            .streams
            .iter()
            .map(|&s| (s, session::stream_scores(&session::of_stream(&rows, s), &slots)))
            .collect(),
        bitrate: session::bitrate_scores(&rows, &totals, joined.reports, ledger.as_ref(), &slots),
        network: ledger
            .map(|l| BTreeMap::from([("forward".to_owned(), l.forward), ("reverse".to_owned(), l.reverse)]))
            .unwrap_or_default(),
        lost_at_sender,
        warnings: launched
            .findings
            .iter()
            .cloned()
            .chain(findings.iter().map(Finding::to_warning))
            .chain(lost_at_sender.map(session::lost_at_sender_warning))
            .chain(another_clip.then(|| describe::another_clip(&spec.clip)))
            .collect(),
        definitions: describe::definitions(
            &measured(&rows),
            "as the clip is tagged; untagged: BT.601 limited range",
            &camera,
        ),
    };
    let mut table = Vec::new();
    write_frames(&mut table, &rows)?;
    seal.add_results(dir, &table, scores.to_json().as_bytes())?;
    write_new(&dir.join("frames.csv"), &table)?;
    scores.write(&dir.join("scores.json"))?;
    Ok(scores)
}

/// When a system with a clock of its own shows its last frame; `None` with a fixed budget.
fn last_slot(spec: &RunSpec, dir: &Path) -> anyhow::Result<Option<Timestamp>> {
    if spec.scenario.playout.budget().is_some() {
        return Ok(None);
    }
    let mut last = None;
    for event in read_events(&dir.join("events.jsonl"))? {
        let event = event?;
        if matches!(event.kind, contract::EventKind::Slot { frame, .. } if frame < spec.clip.frames) {
            last = last.max(Some(event.t_ns));
        }
    }
    Ok(last)
}

/// Run directories at `dir` or below, in the order of their paths.
///
/// # Errors
/// When a directory cannot be read.
pub fn run_dirs(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if crate::launch::is_run_dir(dir) {
        return Ok(vec![dir.to_owned()]);
    }
    let entries = std::fs::read_dir(dir)
        .with_context(|| format!("failed to read the directory {}", dir.display()))
        .map_err(|e| crate::BadInput(contract::said(&*e)))?;
    let mut children: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.is_dir() && !crate::report::load::is_hidden(p))
        .collect();
    children.sort();
    let mut found = Vec::new();
    for child in children {
        found.extend(run_dirs(&child)?);
    }
    Ok(found)
}

fn measured(rows: &[FrameRow]) -> Vec<Metric> {
    Metric::ALL.into_iter().filter(|m| rows.iter().any(|r| r.metrics.contains_key(m))).collect()
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// What the launcher found out about the machine and the processes (`health.json`), and what the record itself says.
fn health(mut health: Health, findings: &[Finding], totals: &crate::record::Totals) -> Health {
    health.findings.clear();
    for finding in findings.iter().filter(|f| f.invalidates()) {
        health.valid = false;
        health.problems.push(finding.to_string());
    }
    health.malformed = totals.malformed;
    health.transport_dropped = totals.transport_dropped;
    health
}

/// What the launcher wrote; without a word of it the run is valid.
pub fn read_health(dir: &Path) -> anyhow::Result<Health> {
    let path = dir.join("health.json");
    if !path.is_file() {
        return Ok(Health { valid: true, ..Health::default() });
    }
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("failed to read {}", path.display()))
}

/// Metrics that pictures of this size can have; a finding for each that they cannot.
fn possible(wanted: &[Metric], spec: &RunSpec, findings: &mut Vec<Finding>) -> Vec<Metric> {
    let side = spec.clip.width.min(spec.clip.height);
    let side_of = |net: Net| u32::try_from(net.smallest_side()).unwrap_or(u32::MAX);
    let least = |m: Metric| match m {
        Metric::MsSsim => 161,
        Metric::FfmpegSsim => 16,
        Metric::Ssim | Metric::SsimFull => 11,
        Metric::LpipsVgg => side_of(Net::Vgg),
        Metric::LpipsAlex => side_of(Net::Alex),
        Metric::LpipsSqueeze => side_of(Net::Squeeze),
        _ => 1,
    };
    let mut metrics: Vec<Metric> = Vec::new();
    for &metric in wanted {
        let reason = if side < least(metric) {
            format!("it needs pictures of {} pixels a side, these have {side}", least(metric))
        } else if camera::METRICS.contains(&metric) && spec.clip.depth_range_mm.is_none() {
            "it needs depth in millimetres, and this run has none (16-bit depth, --depth)".to_owned()
        } else {
            metrics.push(metric);
            continue;
        };
        findings.push(Finding::MetricMissing { metric: metric.name().to_owned(), reason });
    }
    metrics
}

/// What decides a score besides the run, as `options` ask for it now.
#[must_use]
pub fn scoring(spec: &RunSpec, options: &Options) -> Scoring {
    let camera = camera::of(&spec.clip, options.fov).variant();
    let with = |metric: Metric| {
        if let Some((_, net)) = NETS.iter().find(|(m, _)| *m == metric) {
            let weights = weight_file(*net, options.lpips_weights.as_deref());
            return weights
                .and_then(|path| lpips_variant(&path, options.cuda))
                .unwrap_or_else(|_| "missing".to_owned());
        }
        if camera::METRICS.contains(&metric) { camera.clone() } else { String::new() }
    };
    Scoring {
        code: cache::code().to_owned(),
        metrics: options.metrics.iter().map(|metric| (*metric, with(*metric))).collect(),
    }
}

/// Why a run is to be scored (again); `None` if what it has is what `options` would give. Metrics that it has are added to
/// `options`, so that scoring again loses none.
///
/// # Errors
/// When its `spec.toml` is not readable.
pub fn lacks(dir: &Path, options: &mut Options) -> anyhow::Result<Option<String>> {
    let spec = RunSpec::read(dir)?;
    match Scores::read(&dir.join("scores.json")) {
        Err(contract::scores::ScoresError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(Some("it has no scores.json".to_owned()))
        }
        Err(error) => Ok(Some(error.to_string())),
        Ok(scores) => {
            let damaged = || seal::check(dir).err().map(|e| crate::launch::stale::damage(&e));
            let why = scores.scoring.lacks(&scoring(&spec, options)).or_else(damaged);
            let had = scores.scoring.metrics.into_keys().filter(|m| !options.metrics.contains(m));
            let had: Vec<Metric> = had.collect();
            options.metrics.extend(had);
            Ok(why)
        }
    }
}

const NETS: [(Metric, Net); 3] =
    [(Metric::LpipsVgg, Net::Vgg), (Metric::LpipsAlex, Net::Alex), (Metric::LpipsSqueeze, Net::Squeeze)];

fn weight_file(net: Net, folder: Option<&Path>) -> anyhow::Result<PathBuf> {
    match folder {
        None => Ok(crate::cmd::weights::find(net.file())?),
        Some(folder) => Ok(folder.join(net.file())),
    }
}

/// The first 16 digits of a weight file's SHA-256.
fn hash_of_weights(path: &Path) -> anyhow::Result<String> {
    let hash = contract::digest::sha256(path, contract::digest::cache_folder().as_deref());
    Ok(hash.with_context(|| format!("failed to read {}", path.display()))?[..16].to_owned())
}

/// What tells a value of LPIPS from another: weights, libtorch with the code around it, and where it runs.
fn lpips_variant(weights: &Path, cuda: bool) -> anyhow::Result<String> {
    let device = if cuda { "+cuda" } else { "" };
    Ok(format!("{}+{}{device}", hash_of_weights(weights)?, networks::version()?))
}

/// LPIPS nets, and which weights each has; a finding for each without.
fn load_nets(metrics: &[Metric], options: &Options, findings: &mut Vec<Finding>) -> (Nets, Variants) {
    let (mut nets, mut variants) = (Nets::new(), Variants::new());
    for (metric, net) in NETS {
        if !metrics.contains(&metric) {
            continue;
        }
        let load = || -> anyhow::Result<(Lpips, String)> {
            let path = weight_file(net, options.lpips_weights.as_deref())?;
            let variant = lpips_variant(&path, options.cuda)?;
            Ok((networks::lpips(&networks::shared()?, net, &path, options.cuda)?, variant))
        };
        match load() {
            Ok((loaded, variant)) => {
                nets.insert(metric, loaded);
                variants.insert(metric, variant);
            }
            Err(reason) => {
                let (metric, reason) = (metric.name().to_owned(), contract::said(&*reason));
                findings.push(Finding::MetricMissing { metric, reason });
            }
        }
    }
    (nets, variants)
}
