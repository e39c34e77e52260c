//! `freezeframe system check`: a few seconds on a clean link, and every rule of the contract a line.

use super::rules::{NOT_THE_SYSTEMS, RULES, Rule};
use crate::cmd::run::{BackendArg, parse_size};
use crate::launch::child::{self, Failure};
use crate::launch::clip::{self, ClipRequest};
use crate::launch::{self, Request, failed};
use crate::record::read_events;
use crate::score;
use anyhow::{Context, Result};
use contract::{Backend, EventKind, Manifest, Metric, Scores, Shaping, Stream, exit};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Run a system for a few seconds on a clean link and hold it against every rule of the contract
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  freezeframe system check ./mine.toml
  freezeframe system check ./mine.toml --backend namespaces -o bitrate=500 --frames 150

Each backend that the manifest allows and this machine has is tried. Runs are kept, in `--out`: events, pictures, logs of both ends.

Exit codes:
  0 every rule was kept · 1 one was broken · 2 the manifest or an option is wrong · 4 the machine was too busy to tell
  69 this machine can run it in no backend · 130 interrupted")]
pub struct Args {
    /// A manifest file, or the name of a system of this project
    pub system: String,
    /// Only this backend
    #[arg(long, value_enum)]
    pub backend: Option<BackendArg>,
    /// Option of the system, as KEY=VALUE; may be given several times
    #[arg(long = "option", short = 'o', value_name = "KEY=VALUE")]
    pub options: Vec<String>,
    /// What is sent; default: a moving test picture
    #[arg(long, value_name = "FILE|person-N")]
    pub clip: Option<String>,
    /// Size of captured frames
    #[arg(long, value_name = "WxH", default_value = "320x240", value_parser = parse_size)]
    pub size: (u32, u32),
    /// Frames, 30 a second
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(2..))]
    pub frames: u32,
    /// Where the runs are kept; default: system-check/NAME
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Kept.
    Pass,
    /// Broken.
    Fail,
    /// Kept, and something is worth knowing.
    Note,
    /// Cannot be judged here.
    Skip,
    /// The machine, not the system.
    Busy,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
struct Line {
    /// `manifest`, or the backend.
    part: String,
    status: Status,
    rule: String,
    /// What was found.
    found: String,
    /// What to do; empty if nothing.
    remedy: String,
}

#[derive(Debug, Serialize)]
struct Report {
    system: String,
    kept: bool,
    lines: Vec<Line>,
    directories: Vec<PathBuf>,
}

impl Report {
    fn add(&mut self, part: &str, status: Status, rule: &str, found: impl Into<String>, remedy: &str) {
        let remedy = if matches!(status, Status::Pass | Status::Skip) { "" } else { remedy };
        self.lines.push(Line {
            part: part.to_owned(),
            status,
            rule: rule.to_owned(),
            found: found.into(),
            remedy: remedy.to_owned(),
        });
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    child::catch_interrupts();
    let manifest = Manifest::find(&args.system)?;
    let name = manifest.name.to_string();
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("system-check").join(&name));
    let mut report = Report { system: name, kept: true, lines: Vec::new(), directories: Vec::new() };
    of_the_manifest(&manifest, &mut report);
    let clip = clip_of(args, &out)?;
    let mut tried = 0;
    let mendable = report.lines.iter().any(|l| l.status == Status::Fail);
    for backend in [Backend::Virtual, Backend::Namespaces].into_iter().filter(|_| !mendable) {
        let part = backend.to_string();
        if args.backend.is_some_and(|only| Backend::from(only) != backend) {
            continue;
        }
        if backend == Backend::Virtual && !manifest.simulate {
            report.add(&part, Status::Skip, "a run", "the manifest says simulate = false", "");
            continue;
        }
        if backend == Backend::Namespaces && netns::privilege().is_none() {
            report.add(
                &part,
                Status::Skip,
                "a run",
                "network namespaces are not permitted here (`freezeframe doctor`)",
                "",
            );
            continue;
        }
        tried += 1;
        of_a_run(args, &manifest, backend, &clip, &out, &mut report)?;
    }
    report.kept = report.lines.iter().all(|l| l.status != Status::Fail);
    let busy = report.lines.iter().any(|l| l.status == Status::Busy);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", text(&report));
    }
    Ok(match (tried, report.kept, busy) {
        (_, false, _) => exit::FAILED,
        (0, ..) => exit::UNAVAILABLE,
        (_, true, true) => exit::INVALID,
        (_, true, false) => exit::OK,
    })
}

/// What can be said before anything runs.
fn of_the_manifest(manifest: &Manifest, report: &mut Report) {
    let part = "manifest";
    report.add(part, Status::Pass, "the manifest has the keys that it needs and no others", "", "");
    let program = &manifest.command[0];
    let found = match program.as_str() {
        "{sut}" => child::program_beside("sut").ok(),
        path if path.contains('/') => Some(PathBuf::from(path)).filter(|p| p.is_file()),
        word => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|p| p.join(word)).find(|p| p.is_file())
        }
    };
    match found {
        Some(path) => report.add(part, Status::Pass, "its program is there", path.display().to_string(), ""),
        None => report.add(
            part,
            Status::Fail,
            "its program is there",
            format!("{program} was not found"),
            "`command` begins with a program of the PATH, or with a path from the manifest's folder",
        ),
    }
    let folder = manifest.folder.clone().unwrap_or_default();
    let named = manifest.files.iter().cloned().chain(manifest.read.iter().map(|p| folder.join(p)));
    let gone: Vec<String> = named.filter(|p| !p.exists()).map(|p| p.display().to_string()).collect();
    let rule = "what `files` and `read` name is there";
    if gone.is_empty() {
        report.add(part, Status::Pass, rule, "", "");
    } else {
        report.add(
            part,
            Status::Fail,
            rule,
            format!("not found: {}", gone.join(", ")),
            "paths are from the manifest's folder",
        );
    }
}

/// A run on the clean link, each rule a line.
fn of_a_run(
    args: &Args,
    manifest: &Manifest,
    backend: Backend,
    clip: &ClipRequest,
    out: &Path,
    report: &mut Report,
) -> Result<()> {
    let part = backend.to_string();
    let request = Request {
        scenario: "clean".to_owned(),
        system: args.system.clone(),
        clip: clip.clone(),
        backend,
        shaper: Shaping::Auto,
        seed: 1,
        options: args.options.clone(),
        costs: contract::costs::IDEAL.to_owned(),
        cache: true,
    };
    let rule =
        if manifest.describe { "it answers `describe`" } else { "its options are passed on unchecked" };
    let spec = match clip::resolve(clip, &mut |_| ()).and_then(|clip| request.resolve(clip)) {
        Ok((spec, _)) => spec,
        Err(error) if manifest.describe && !args.options.is_empty() => return Err(error),
        Err(error) if manifest.describe => {
            let found = contract::text::line(&contract::said(&*error));
            let remedy = "print {\"setup_ms\":N,\"options\":{…}}, every option completed, and exit with 0; or leave `describe` out";
            report.add(&part, Status::Fail, rule, found, remedy);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    report.add(&part, Status::Pass, rule, "", "");
    let dir = out.join(&part);
    let _held = launch::hold(&dir)?;
    let launched = launch::launch(&spec, manifest, &dir);
    let broken: Vec<(String, String)> = match launched {
        Ok(()) => {
            report.directories.push(dir.clone());
            let options = score::Options { metrics: vec![Metric::Psnr], ..score::Options::default() };
            let scores = score::score_run(&dir, &options, &|_| ())?;
            of_what_it_reports(&part, &dir, &scores, report)?;
            scores.warnings.into_iter().map(|w| (w.code, w.text)).collect()
        }
        Err(error) if error.chain().any(<dyn std::error::Error + 'static>::is::<child::Interrupted>) => {
            return Err(error);
        }
        Err(error) => {
            let kept = out.join(failed::FOLDER).join(&part);
            if kept.is_dir() {
                report.directories.push(kept);
            }
            let failure = error.chain().find_map(|e| e.downcast_ref::<Failure>());
            let code = failure.map_or("failed", |f| f.code);
            let text = failure.map_or_else(|| contract::said(&*error), |f| f.text.clone());
            let of = |code: &str| RULES.iter().position(|rule| rule.codes.contains(&code));
            let at = of(code).or_else(|| of("failed")).unwrap_or(0);
            for (i, rule) in applicable(backend).filter(|(i, _)| *i <= at) {
                if i == at {
                    report.add(&part, Status::Fail, rule.text, format!("{text} [{code}]"), rule.remedy);
                } else {
                    report.add(&part, Status::Skip, rule.text, "the run failed", "");
                }
            }
            let left = applicable(backend).filter(|(i, _)| *i > at).count();
            report.add(&part, Status::Skip, &format!("{left} more rules"), "the run failed", "");
            return Ok(());
        }
    };
    for (_, rule) in applicable(backend) {
        let broken: Vec<&(String, String)> =
            broken.iter().filter(|(code, _)| rule.codes.contains(&code.as_str())).collect();
        let status = if broken.is_empty() { Status::Pass } else { Status::Fail };
        let texts: Vec<String> = broken.iter().map(|(code, text)| format!("{text} [{code}]")).collect();
        report.add(&part, status, rule.text, texts.join("; "), rule.remedy);
    }
    let ruled = |code: &str| RULES.iter().any(|r| r.codes.contains(&code)) || NOT_THE_SYSTEMS.contains(&code);
    for (code, text) in broken.iter().filter(|(code, _)| !ruled(code)) {
        report.add(&part, Status::Note, code, text.clone(), "");
    }
    Ok(())
}

fn applicable(backend: Backend) -> impl Iterator<Item = (usize, &'static Rule)> {
    RULES.iter().enumerate().filter(move |(_, rule)| backend == Backend::Namespaces || !rule.real_time)
}

/// What the results will say of it, and what they cannot.
fn of_what_it_reports(part: &str, dir: &Path, scores: &Scores, report: &mut Report) -> Result<()> {
    let of_the_path: Vec<&String> =
        scores.health.problems.iter().filter(|p| p.starts_with("the path:")).collect();
    if !of_the_path.is_empty() {
        let texts: Vec<&str> = of_the_path.iter().map(|p| p.as_str()).collect();
        let remedy = "nothing is wrong with the system: run again with less else to do for this machine";
        report.add(part, Status::Busy, "the machine keeps up", texts.join("; "), remedy);
    }
    let mut seen: BTreeSet<&'static str> = BTreeSet::new();
    for event in read_events(&dir.join("events.jsonl"))? {
        seen.extend(match event?.kind {
            EventKind::Encoded { .. } => Some("encoded"),
            EventKind::Sent { .. } => Some("sent"),
            EventKind::Received { .. } => Some("received"),
            EventKind::Complete { .. } => Some("complete"),
            EventKind::Decoded { .. } => Some("decoded"),
            _ => None,
        });
    }
    let lacking: Vec<&str> = ["encoded", "sent", "received", "complete", "decoded"]
        .into_iter()
        .filter(|kind| !seen.contains(kind))
        .collect();
    let rule = "what it may report, it reports";
    if lacking.is_empty() {
        report.add(part, Status::Pass, rule, "", "");
    } else {
        let found =
            format!("no `{}`: what follows from them is unknown in its results", lacking.join("`, no `"));
        let remedy = "docs/PLUGIN.md says what each is for; an RTP program says wire = \"rtp\" instead";
        report.add(part, Status::Note, rule, found, remedy);
    }
    if let Some(rgb) = scores.streams.get(&Stream::Rgb) {
        let shown = rgb.rendered + rgb.concealed;
        let psnr = rgb
            .quality
            .get(&Metric::Psnr)
            .map_or_else(String::new, |q| format!(", PSNR {:.1} dB", q.all.mean));
        let kept = scores
            .budget
            .kept_ns
            .map_or_else(String::new, |ns| format!(", slots {} ms after capture", ns / 1_000_000));
        let found = format!("{shown} of {} frames{psnr}{kept}", scores.frames);
        // The emulator lost nothing: what is not shown is the system's own doing, or that of a busy machine.
        let status = match shown {
            0 => Status::Fail,
            n if u64::from(n) * 10 >= u64::from(scores.frames) * 9 => Status::Pass,
            _ => Status::Note,
        };
        report.add(
            part,
            status,
            "a clean link shows the frames",
            found,
            "see the logs and `freezeframe why` of the directory below",
        );
    }
    Ok(())
}

/// What is sent: what was asked for, or a test picture in the folder of the runs.
fn clip_of(args: &Args, out: &Path) -> Result<ClipRequest> {
    std::fs::create_dir_all(out).with_context(|| format!("failed to create {}", out.display()))?;
    let rgb = match &args.clip {
        Some(clip) => clip.clone(),
        None => {
            let path = out.join("clip.y4m");
            std::fs::write(&path, test_picture(args.size, args.frames))
                .with_context(|| format!("failed to write {}", path.display()))?;
            path.to_string_lossy().into_owned()
        }
    };
    Ok(ClipRequest {
        rgb: Some(rgb),
        no_depth: true,
        shape: (args.size.0, args.size.1, 30),
        frames: Some(args.frames),
        ..ClipRequest::default()
    })
}

/// Soft stripes that move, and a bright block that jumps: new in every frame, and no burden for an encoder.
fn test_picture((width, height): (u32, u32), frames: u32) -> Vec<u8> {
    let mut file = format!("YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n").into_bytes();
    for frame in 0..frames {
        file.extend(b"FRAME\n");
        let block = (frame * 7 % (width / 2).max(1), frame * 5 % (height / 2).max(1));
        for y in 0..height {
            file.extend((0..width).map(|x| {
                let inside = x.wrapping_sub(block.0) < width / 6 && y.wrapping_sub(block.1) < height / 6;
                let wave = (x + 2 * y + 3 * frame) % 128;
                if inside { 220 } else { 70 + wave.min(128 - wave) as u8 }
            }));
        }
        let chroma = (width / 2 * (height / 2)) as usize;
        file.extend(std::iter::repeat_n(118, chroma).chain(std::iter::repeat_n(138, chroma)));
    }
    file
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut part = "";
    for line in &report.lines {
        if line.part != part {
            part = &line.part;
            let _ = writeln!(text, "{part}");
        }
        let mark = match line.status {
            Status::Pass => "pass",
            Status::Fail => "FAIL",
            Status::Note => "note",
            Status::Skip => "skip",
            Status::Busy => "busy",
        };
        let found = if line.found.is_empty() { String::new() } else { format!(": {}", line.found) };
        let _ = writeln!(text, "  {mark}  {}{found}", line.rule);
        if !line.remedy.is_empty() {
            let _ = writeln!(text, "        to do: {}", line.remedy);
        }
    }
    let broken = report.lines.iter().filter(|l| l.status == Status::Fail).count();
    let _ = match broken {
        0 => writeln!(text, "{}: every rule that was tried is kept", report.system),
        n => writeln!(text, "{}: {n} rules are broken", report.system),
    };
    for directory in &report.directories {
        let _ = writeln!(text, "kept: {}", directory.display());
    }
    text
}
