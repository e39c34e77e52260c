//! A run in namespaces: sender and receiver as processes of their own, the emulator between them, the wall clock.

use super::child::{Failure, Interrupted, Running, command, interrupted};
use super::files::{EndFiles, write_new};
use super::sandbox::{Part, RunPlaces, Surroundings, isolation_but, not_isolated};
use super::traffic::Traffic;
use crate::app::{self, App};
use crate::bad_input;
use crate::record::{Finding, read_fates, rtp};
use anyhow::{Context, Result};
use contract::scores::{AppHealth, Durations, Health, Warning};
use contract::{Event, Identity, Manifest, RunSpec, Scenario, Shaping, Wire};
use link::LinkSpec;
use netns::{End, Lab, LabConfig, LabError, Shaper};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Port of both ends.
const PORT: u16 = 5000;
/// How long a system may take until it says `ready` (its encoded streams may have to be made), per captured frame
/// and at least.
const READY_PER_FRAME: Duration = Duration::from_millis(300);
const READY_AT_LEAST: Duration = Duration::from_secs(60);
/// The channel begins long after any set-up, unless it is started anew.
const NOT_YET: Duration = Duration::from_secs(86_400);
/// Time between `start` and the run's time zero, so that both ends are waiting when it comes.
const LEAD: Duration = Duration::from_millis(100);
/// Between the last slot and `stop`: a system that ends by itself is not told to.
const STOP_AFTER: Duration = Duration::from_secs(1);
/// How often the counts of the path are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// For a program to end whose screen has broken.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Runs `spec` in `run_dir`, which will be moved to `final_dir`.
pub fn run(spec: &RunSpec, manifest: &Manifest, run_dir: &Path, final_dir: &Path) -> Result<()> {
    let mut config = LabConfig::new(spec.scenario.forward.clone(), spec.scenario.reverse.clone(), spec.seed);
    config.fates = Some(run_dir.join("fates.jsonl"));
    config.server = !manifest.serve.is_empty();
    config.shaper = match spec.shaper {
        Shaping::Auto => Shaper::Auto,
        Shaping::User => Shaper::User,
        Shaping::Kernel => Shaper::Kernel,
    };
    let mut lab = match Lab::new(&config) {
        Err(LabError::Shaper(why)) => bad_input!(
            "scenario {}: --shaper kernel: {why}; change the scenario, or write --shaper user",
            spec.scenario.name
        ),
        other => other.context("failed to build the lab (`freezeframe doctor` says what is missing)")?,
    };
    eprintln!("shaper: {}", lab.shaper());
    // Until both ends are ready the path delays and does nothing else: a call may be connected by then.
    lab.start_at(monotonic_ns(), NOT_YET).context("failed to start the emulator")?;

    let mut ends = Ends::default();
    let outcome = ends.run(&mut lab, spec, manifest, run_dir, final_dir);
    ends.write_signals(run_dir)?;
    let health = lab.stop().context("the emulator failed");
    if let Ok(health) = &health {
        write_new(&run_dir.join("emulator.json"), serde_json::to_string_pretty(health)?.as_bytes())?;
    }
    let exits = outcome?;
    let health = health?;
    let mut findings = path_findings(&health, manifest);
    findings.extend(ends.findings(manifest));
    let (seen, noted): (Vec<Finding>, Vec<Finding>) = ends.seen.drain(..).partition(Finding::invalidates);
    findings.extend(seen);
    merge_events(run_dir)?;
    let mut warnings: Vec<Warning> = not_isolated(manifest).into_iter().collect();
    warnings.extend(noted.iter().map(Finding::to_warning));
    let spec = RunSpec { captured_from_ns: ends.captured_from_ns, ..spec.clone() };
    if manifest.capturing {
        // Readers of the run count frames from there.
        spec.write(run_dir)?;
    }
    if manifest.wire == Wire::Rtp {
        warnings.extend(rtp::read_the_wire(run_dir, &spec)?);
    }
    let outside = Traffic::of(&spec, run_dir)?.outside(&spec, manifest);
    warnings.extend(outside.iter().map(Finding::to_warning));
    let ends = Known { exits, ended_ns: ends.ended_ns, isolation: ends.isolation, warnings, app: ends.app };
    write_health(&health, &findings, ends, run_dir)
}

/// What has passed from one end to the other beside the path.
#[derive(Clone, Copy, Debug, Default)]
struct Signals {
    lines: u64,
    bytes: u64,
}

/// Longest time between the earliest capture of a camera of the system's own and its frame 0.
const CAPTURING_WITHIN: Duration = Duration::from_secs(10);
/// How far frame 0's time may be from the moment at which `capturing` is said.
const CAPTURING_SAID: Duration = Duration::from_secs(1);

/// The two ends of a run, while it lasts.
#[derive(Default)]
struct Ends {
    /// The sender's, the receiver's.
    signals: [Signals; 2],
    /// What they told each other, as far as it was passed on: lines of [`rtp::SIGNALS`].
    told: Vec<String>,
    /// Of a camera of the system's own: when it captured frame 0, nanoseconds of the run.
    captured_from_ns: Option<u64>,
    ended_ns: u64,
    /// What kept them apart.
    isolation: String,
    /// What the harness's camera and screen saw, of an app.
    app: Option<AppHealth>,
    /// What they found.
    seen: Vec<Finding>,
}

/// What is known of the ends afterwards.
#[derive(Default)]
struct Known {
    exits: BTreeMap<String, i32>,
    ended_ns: u64,
    isolation: String,
    warnings: Vec<Warning>,
    app: Option<AppHealth>,
}

impl Ends {
    /// Starts both ends, lets them talk, waits for their end; gives their exit codes.
    fn run(
        &mut self,
        lab: &mut Lab,
        spec: &RunSpec,
        manifest: &Manifest,
        run_dir: &Path,
        final_dir: &Path,
    ) -> Result<BTreeMap<String, i32>> {
        let address = |end| SocketAddr::from((lab.address(end), PORT));
        let (tx, rx) = (address(End::Sender).to_string(), address(End::Receiver).to_string());
        let files = if manifest.is_app() {
            [EndFiles::of_an_app("sender", run_dir), EndFiles::of_an_app("receiver", run_dir)]
        } else {
            [EndFiles::sender(run_dir), EndFiles::receiver(run_dir)]
        };
        files[0].prepare(&spec_of_the_sender(spec, manifest))?;
        files[1].prepare(&without_the_clip(&without_the_path(spec, manifest)))?;
        let mut app = match manifest.is_app() {
            true => Some(App::start(spec, manifest, run_dir, [files[0].folder(), files[1].folder()], lab)?),
            false => None,
        };
        // All that takes the harness long comes before the first process starts: neither end waits for it, and no time of theirs has it.
        let prepare = |end, part, files: &EndFiles, local: &str, peer: &str| -> Result<_> {
            let own = files.folder();
            let word = if end == End::Sender { "send" } else { "receive" };
            let mut command =
                command(manifest, &[word, &own.to_string_lossy(), "--local", local, "--peer", peer])?;
            command.envs(app.iter().flat_map(|a| a.environment(end)));
            let run = RunPlaces { spec, own, hidden: [run_dir, final_dir] };
            let surroundings = Surroundings::of(manifest, part, Some(run), &run.spec.options)?;
            Ok((command, surroundings, lab.network(end)?))
        };
        let of_receiver = prepare(End::Receiver, Part::Receive, &files[1], &rx, &tx)?;
        let of_sender = prepare(End::Sender, Part::Send, &files[0], &tx, &rx)?;
        let start =
            |name: &str, (command, surroundings, network): (Command, Surroundings, netns::Network)| {
                let log = run_dir.join(format!("{name}.log"));
                Running::start(name, command, &surroundings, Some(&network), Some(&log))
            };
        let mut receiver = start("receiver", of_receiver)?;
        // Its surroundings are made and its program runs.
        app.iter_mut().for_each(App::begins);
        let mut sender = start("sender", of_sender)?;
        let ready_limit = manifest
            .ready_timeout_s
            .map_or_else(|| (READY_PER_FRAME * spec.clip.frames).max(READY_AT_LEAST), Duration::from_secs);
        self.wait_ready(&mut sender, &mut receiver, manifest, app.as_mut(), ready_limit)?;

        let epoch_ns = monotonic_ns() + LEAD.as_nanos() as u64;
        if let Some(app) = &app {
            app.frame_0_at(epoch_ns + spec.capture_start_ns);
        }
        lab.start_at(epoch_ns, Duration::from_nanos(spec.channel_start_ns()))
            .context("failed to start the emulator")?;
        let line = json!({"type": "start", "epoch_ns": epoch_ns}).to_string();
        receiver.say(&line);
        sender.say(&line);
        let tail = spec.scenario.playout.at_most();
        let tail = if app.is_some() { tail.min(app::TAIL) } else { tail };
        let clock = Clock { epoch_ns, spec, tail };
        let exits = self.until_the_end(lab, &mut sender, &mut receiver, manifest, app.as_mut(), &clock)?;
        self.ended_ns = monotonic_ns().saturating_sub(epoch_ns);
        self.isolation = isolation_but(&[sender.shared(), receiver.shared()]);
        drop((sender, receiver));
        for files in &files {
            files.collect(run_dir, &manifest.limits)?;
        }
        if let Some(app) = app {
            let (findings, health) = app.finish(spec, manifest, epoch_ns, run_dir)?;
            (self.seen, self.app) = (findings, Some(health));
        }
        Ok(exits)
    }

    fn wait_ready(
        &mut self,
        sender: &mut Running,
        receiver: &mut Running,
        manifest: &Manifest,
        mut app: Option<&mut App>,
        limit: Duration,
    ) -> Result<()> {
        let start = Instant::now();
        let mut ready = [false; 2];
        let mut broken_since = None;
        loop {
            // Of an app the harness sees itself when the call is set up.
            let seen = match &mut app {
                Some(app) => {
                    app.look()?;
                    app.is_set_up()
                }
                None => true,
            };
            if ready == [true; 2] && seen {
                return Ok(());
            }
            let said = self.relay(sender, receiver, manifest);
            for (ready, lines) in ready.iter_mut().zip(&said) {
                *ready |= lines.iter().any(|line| line["type"] == "ready");
            }
            for child in [&mut *sender, &mut *receiver] {
                if let Some(status) = child.poll()? {
                    child.check(status)?;
                    let text = format!("the {} ended before the start", child.name());
                    return Err(Failure::error("system_failed", text));
                }
            }
            // Such a screen never shows the camera's picture. If its program is about to end, that says more.
            if let Some(why) = app.as_ref().and_then(|app| app.broken())
                && broken_since.get_or_insert_with(Instant::now).elapsed() > LAST_WORDS
            {
                return Err(Failure::error("screen_broken", format!("the app's screen is none: {why}")));
            }
            if interrupted() {
                return Err(Interrupted.into());
            }
            if start.elapsed() > limit {
                let late = match ready {
                    [true, true] => "no picture of the camera on the screen",
                    [true, _] => "receiver: not ready",
                    [_, true] => "sender: not ready",
                    _ => "sender and receiver: not ready",
                };
                let text = format!("{late} within {} s; the run was ended", limit.as_secs());
                return Err(Failure::error("never_ready", text));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Passes signals between the ends until both have ended well; tells them to stop when the last frame's time is over.
    fn until_the_end(
        &mut self,
        lab: &mut Lab,
        sender: &mut Running,
        receiver: &mut Running,
        manifest: &Manifest,
        mut app: Option<&mut App>,
        clock: &Clock<'_>,
    ) -> Result<BTreeMap<String, i32>> {
        let start = Instant::now();
        let grace = Duration::from_secs(manifest.limits.stop_s);
        let mut length = clock.length(None);
        let (mut over, mut told, mut next_look) = ([false; 2], false, Instant::now());
        while over != [true; 2] {
            let [of_sender, _] = self.relay(sender, receiver, manifest);
            if manifest.capturing && self.captured_from_ns.is_none() {
                if let Some(line) = of_sender.iter().find(|line| line["type"] == "capturing") {
                    let first = clock.frame_0(line)?;
                    self.captured_from_ns = Some(first);
                    length = clock.length(Some(first));
                    receiver.say(&line.to_string());
                } else if start.elapsed() > clock.capturing_by() {
                    let text = format!(
                        "the sender has not said `capturing` within {} s of the earliest capture (docs/PLUGIN.md); the run was ended",
                        CAPTURING_WITHIN.as_secs()
                    );
                    return Err(Failure::error("never_capturing", text));
                }
            }
            for (child, over) in [&mut *sender, &mut *receiver].into_iter().zip(&mut over) {
                if !*over && let Some(status) = child.poll()? {
                    child.check(status)?;
                    *over = true;
                }
            }
            if interrupted() {
                return Err(Interrupted.into());
            }
            if let Some(app) = &mut app {
                app.look()?;
            }
            if !told && start.elapsed() > length + STOP_AFTER {
                told = true;
                for child in [&mut *sender, &mut *receiver] {
                    child.say(&json!({"type": "stop"}).to_string());
                }
            }
            if Instant::now() > next_look {
                next_look = Instant::now() + LOOK;
                let health = lab.health().context("the emulator failed")?;
                let packets = health.forward.packets_in.max(health.reverse.packets_in);
                if packets > manifest.limits.packets {
                    let text = format!(
                        "{packets} packets entered the path one way, {} are allowed; limits.packets of the manifest",
                        manifest.limits.packets
                    );
                    return Err(Failure::error("packet_flood", text));
                }
            }
            if start.elapsed() > length + STOP_AFTER + grace {
                let hung = match over {
                    [true, _] => "receiver hangs",
                    [_, true] => "sender hangs",
                    _ => "sender and the receiver hang",
                };
                let text = format!(
                    "the {hung}: the run was to be over {:.1} s after its start ({} s of grace included); it was told to stop, and ended",
                    (length + STOP_AFTER + grace).as_secs_f64(),
                    grace.as_secs()
                );
                return Err(Failure::error("hangs", text));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if manifest.capturing && self.captured_from_ns.is_none() {
            let text = "both ends have ended and the sender never said `capturing` (docs/PLUGIN.md)";
            return Err(Failure::error("never_capturing", text.to_owned()));
        }
        Ok([("sender".to_owned(), 0), ("receiver".to_owned(), 0)].into())
    }

    /// Passes on what both have said for each other; gives the other lines, the sender's first. Beyond the manifest's limits nothing
    /// is passed on any more.
    fn relay(
        &mut self,
        sender: &mut Running,
        receiver: &mut Running,
        manifest: &Manifest,
    ) -> [Vec<Value>; 2] {
        let limits = &manifest.limits;
        let told = &mut self.told;
        let mut pass = |from: &Running, to: &mut Running, signals: &mut Signals| {
            let mut others = Vec::new();
            for text in from.said() {
                let line: Value = serde_json::from_str(&text).unwrap_or_default();
                if line["type"] != "signal" {
                    others.push(line);
                    continue;
                }
                signals.lines += 1;
                signals.bytes += text.len() as u64;
                if signals.lines <= limits.signals && signals.bytes <= limits.signal_kb << 10 {
                    to.say(&text);
                    told.push(json!({"side": from.name(), "data": line["data"]}).to_string());
                }
            }
            others
        };
        let [of_sender, of_receiver] = &mut self.signals;
        [pass(sender, receiver, of_sender), pass(receiver, sender, of_receiver)]
    }

    /// Keeps what the ends told each other: session descriptions say what the packets on the path are.
    fn write_signals(&self, run_dir: &Path) -> Result<()> {
        if self.told.is_empty() {
            return Ok(());
        }
        write_new(&run_dir.join(rtp::SIGNALS), (self.told.join("\n") + "\n").as_bytes())
    }

    fn findings(&self, manifest: &Manifest) -> Vec<Finding> {
        let limits = &manifest.limits;
        let over = |s: &&Signals| s.lines > limits.signals || s.bytes > limits.signal_kb << 10;
        let finding = |s: &Signals| Finding::SignalTraffic { lines: s.lines, bytes: s.bytes };
        self.signals.iter().filter(over).map(finding).collect()
    }
}

/// When a run's frames are captured and due.
struct Clock<'a> {
    epoch_ns: u64,
    spec: &'a RunSpec,
    /// From a frame's capture to the last moment at which it can be shown.
    tail: Duration,
}

impl Clock<'_> {
    /// From `start` to the last frame's deadline, if frame 0 is captured at `first`, nanoseconds of the run.
    fn length(&self, first: Option<u64>) -> Duration {
        let spec = self.spec;
        let first = first.unwrap_or(spec.capture_start_ns);
        let clip = first + u64::from(spec.clip.frames) * spec.interval_ns();
        LEAD + Duration::from_nanos(clip) + self.tail
    }

    /// From `start` to the last moment at which a camera of the system's own may begin.
    fn capturing_by(&self) -> Duration {
        LEAD + Duration::from_nanos(self.spec.capture_start_ns) + CAPTURING_WITHIN
    }

    /// When frame 0 was captured, nanoseconds of the run, by a line that says `capturing`.
    fn frame_0(&self, line: &Value) -> Result<u64> {
        let said: String = line.to_string().chars().take(200).collect();
        let bad = |why: String| {
            Failure::error("bad_capturing", format!("the sender's line {said}: {why} (docs/PLUGIN.md)"))
        };
        let Some(at) = line["frame0_ns"].as_u64() else {
            return Err(bad(
                "frame0_ns is missing, or no whole number of nanoseconds of CLOCK_MONOTONIC".to_owned()
            ));
        };
        if at.abs_diff(monotonic_ns()) > CAPTURING_SAID.as_nanos() as u64 {
            return Err(bad("it was not said within a second of frame 0's capture".to_owned()));
        }
        let earliest = self.epoch_ns + self.spec.capture_start_ns;
        if at < earliest || at > earliest + CAPTURING_WITHIN.as_nanos() as u64 {
            return Err(bad(format!(
                "frame 0 is to be captured within {} s from capture_start_ns on, that is from {earliest} on",
                CAPTURING_WITHIN.as_secs()
            )));
        }
        Ok(at - self.epoch_ns)
    }
}

/// What of the path's counts a system must not have caused.
fn path_findings(health: &netns::Health, manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    let both = health.forward.others.by_programs().into_iter().zip(health.reverse.others.by_programs());
    for ((kind, forward), (_, reverse)) in both {
        let packets = forward + reverse;
        if packets > 0 && !manifest.allow.iter().any(|a| a == kind) {
            findings.push(Finding::UnexpectedTraffic { kind: kind.to_owned(), packets });
        }
    }
    let (bytes, limit) =
        (health.forward.setup_bytes.max(health.reverse.setup_bytes), manifest.limits.setup_kb << 10);
    // What an app sends before frame 0 its camera has filmed before it: nothing of the clip.
    if bytes > limit && !manifest.is_app() {
        findings.push(Finding::SetupTraffic { bytes, limit });
    }
    findings
}

/// The run as its sender sees it. Only this project's own systems may keep encoded streams; an app gets its pictures from the camera.
fn spec_of_the_sender(spec: &RunSpec, manifest: &Manifest) -> RunSpec {
    let spec = without_the_path(spec, manifest);
    if manifest.is_app() { without_the_clip(&spec) } else { spec }
}

/// A plug-in does not learn what the path will do: the model is public and its draws follow from the seed, so that who knows both knows
/// which packets will be lost.
fn without_the_path(spec: &RunSpec, manifest: &Manifest) -> RunSpec {
    if manifest.is_shipped() {
        return spec.clone();
    }
    let path = LinkSpec::default;
    let scenario =
        Scenario { forward: path(), reverse: path(), description: String::new(), ..spec.scenario.clone() };
    // Nor with which files the run is made: their paths may lead to the clip.
    let identity = Identity::default();
    RunSpec { cache: None, seed: 0, replay: String::new(), scenario, identity, ..spec.clone() }
}

/// The run as a receiver sees it: without a word of where the clip is.
fn without_the_clip(spec: &RunSpec) -> RunSpec {
    let mut spec = RunSpec { cache: None, replay: String::new(), ..spec.clone() };
    spec.clip.rgb = PathBuf::new();
    spec.clip.depth = spec.clip.depth.map(|_| PathBuf::new());
    spec
}

/// What the score needs to know about the machine: a run whose path was late or lost packets of its own is not averaged.
fn write_health(emulator: &netns::Health, findings: &[Finding], known: Known, run_dir: &Path) -> Result<()> {
    let mut late = Vec::new();
    for fate in read_fates(&run_dir.join("fates.jsonl"))? {
        let fate = fate?;
        if let (Some(actual), Some(intended)) = (fate.actual_ns, fate.out_ns) {
            late.push(actual.as_nanos().saturating_sub(intended.as_nanos()));
        }
    }
    let mut problems: Vec<String> =
        emulator.why_invalid.iter().map(|why| format!("the path: {why}")).collect();
    problems.extend(findings.iter().map(ToString::to_string));
    let health = Health {
        valid: emulator.valid && findings.is_empty(),
        problems,
        isolation: known.isolation,
        ended_ns: Some(known.ended_ns),
        findings: findings.iter().map(Finding::to_warning).chain(known.warnings).collect(),
        exits: known.exits,
        app: known.app,
        emulator_lateness: Durations::of(late),
        ..Health::default()
    };
    write_new(&run_dir.join("health.json"), serde_json::to_string_pretty(&health)?.as_bytes())
}

fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    Duration::from(now).as_nanos() as u64
}

/// Both ends' events as one list in the order of time (the sender's first at equal times).
fn merge_events(run_dir: &Path) -> Result<()> {
    let mut events = Vec::new();
    for name in ["events.sender.jsonl", "events.receiver.jsonl"] {
        let path = run_dir.join(name);
        let file = fs::File::open(&path).with_context(|| format!("failed to read {}", path.display()))?;
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let read = line.map_err(|e| e.to_string());
            let event: Event =
                read.and_then(|l| serde_json::from_str(&l).map_err(|e| e.to_string())).map_err(|why| {
                    Failure::error("bad_events", format!("{name}, line {}: no event: {why}", number + 1))
                })?;
            events.push(event);
        }
    }
    events.sort_by_key(|e| e.t_ns);
    let path = run_dir.join("events.jsonl");
    let mut out = std::io::BufWriter::new(fs::File::create(&path).context("failed to create events.jsonl")?);
    for event in &events {
        serde_json::to_writer(&mut out, event)?;
        out.write_all(b"\n")?;
    }
    out.flush().context("failed to write events.jsonl")?;
    fs::remove_file(run_dir.join("events.sender.jsonl"))?;
    fs::remove_file(run_dir.join("events.receiver.jsonl"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_path_makes_the_run_invalid() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let line = |n: u64, actual: &str| {
            format!(
                "{{\"n\":{n},\"direction\":\"forward\",\"in_ns\":0,\"out_ns\":1000,{actual}\"bytes\":1200,\"fate\":\"delivered\",\"cause\":null,\"state\":null}}\n"
            )
        };
        let ledger = [line(0, "\"actual_ns\":1500,"), line(1, "\"actual_ns\":9000,"), line(2, "")].concat();
        fs::write(dir.path().join("fates.jsonl"), ledger).expect("a ledger");
        let why = "maximum lateness 40.000 ms is above 33.333 ms".to_owned();
        let emulator = netns::Health { valid: false, why_invalid: vec![why], ..netns::Health::default() };
        write_health(&emulator, &[], Known::default(), dir.path()).expect("health.json");
        let text = fs::read_to_string(dir.path().join("health.json")).expect("health.json");
        let health: Health = serde_json::from_str(&text).expect("what the score reads");
        assert!(!health.valid);
        assert_eq!(health.problems, ["the path: maximum lateness 40.000 ms is above 33.333 ms"]);
        let late = health.emulator_lateness.expect("two packets left");
        assert_eq!((late.n, late.max_ns), (2, 8000));
    }
}
