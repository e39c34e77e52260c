//! A run in namespaces: sender and receiver as processes of their own, the emulator between them, the wall clock.

use super::child::{Interrupted, Running, command, interrupted};
use crate::bad_input;
use crate::record::read_fates;
use anyhow::{Context, Result, bail};
use contract::scores::{Durations, Health};
use contract::{Event, Manifest, RunSpec, Shaping};
use netns::{End, Lab, LabConfig, LabError, Shaper};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Port of both ends.
const PORT: u16 = 5000;
/// How long a system may take until it says `ready` (its encoded streams may have to be made), per captured frame
/// and at least.
const READY_PER_FRAME: Duration = Duration::from_millis(300);
const READY_AT_LEAST: Duration = Duration::from_secs(60);
/// Time between `start` and the run's time zero, so that both ends are waiting when it comes.
const LEAD: Duration = Duration::from_millis(100);
/// After the run's end, before a system counts as hung.
const GRACE: Duration = Duration::from_secs(20);

/// Runs `spec` in `run_dir`.
pub fn run(spec: &RunSpec, manifest: &Manifest, run_dir: &Path) -> Result<()> {
    let mut config = LabConfig::new(spec.scenario.forward.clone(), spec.scenario.reverse.clone(), spec.seed);
    config.fates = Some(run_dir.join("fates.jsonl"));
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

    let address = |end| SocketAddr::from((lab.address(end), PORT));
    let (tx, rx) = (address(End::Sender).to_string(), address(End::Receiver).to_string());
    let dir = run_dir.to_string_lossy();
    let start = |end, part: &str, local: &str, peer: &str| -> Result<Running> {
        let command = command(manifest, &[part, &dir, "--local", local, "--peer", peer])?;
        Running::start(if end == End::Sender { "sender" } else { "receiver" }, lab.command(end, command))
    };
    let mut receiver = start(End::Receiver, "receive", &rx, &tx)?;
    let mut sender = start(End::Sender, "send", &tx, &rx)?;
    let ready_limit = manifest
        .ready_timeout_s
        .map_or_else(|| (READY_PER_FRAME * spec.clip.frames).max(READY_AT_LEAST), Duration::from_secs);
    wait_ready(&mut [&mut receiver, &mut sender], ready_limit)?;

    let epoch_ns = monotonic_ns() + LEAD.as_nanos() as u64;
    lab.start_at(epoch_ns, Duration::from_nanos(spec.capture_start_ns))
        .context("failed to start the emulator")?;
    let line = json!({"type": "start", "epoch_ns": epoch_ns}).to_string();
    receiver.say(&line);
    sender.say(&line);
    let length =
        Duration::from_nanos(spec.capture_start_ns + u64::from(spec.clip.frames) * spec.interval_ns());
    relay(&mut sender, &mut receiver, LEAD + length + GRACE)?;

    let health = lab.stop().context("the emulator failed")?;
    let text = serde_json::to_string_pretty(&health)?;
    fs::write(run_dir.join("emulator.json"), text).context("failed to write emulator.json")?;
    write_health(&health, run_dir)?;
    merge_events(run_dir)
}

/// What the score needs to know about the machine: a run whose path was late or lost packets of its own is not averaged.
fn write_health(emulator: &netns::Health, run_dir: &Path) -> Result<()> {
    let mut late = Vec::new();
    for fate in read_fates(&run_dir.join("fates.jsonl"))? {
        let fate = fate?;
        if let (Some(actual), Some(intended)) = (fate.actual_ns, fate.out_ns) {
            late.push(actual.as_nanos().saturating_sub(intended.as_nanos()));
        }
    }
    let health = Health {
        valid: emulator.valid,
        problems: emulator.why_invalid.iter().map(|why| format!("the path: {why}")).collect(),
        // Both were waited for and checked.
        exits: [("sender".to_owned(), 0), ("receiver".to_owned(), 0)].into(),
        emulator_lateness: Durations::of(late),
        ..Health::default()
    };
    let text = serde_json::to_string_pretty(&health)?;
    fs::write(run_dir.join("health.json"), text).context("failed to write health.json")
}

fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    Duration::from(now).as_nanos() as u64
}

fn wait_ready(children: &mut [&mut Running], limit: Duration) -> Result<()> {
    let start = Instant::now();
    let mut ready: Vec<bool> = vec![false; children.len()];
    while ready.iter().any(|r| !r) {
        for (child, ready) in children.iter_mut().zip(&mut ready) {
            *ready |= child.said().iter().any(|l| kind(l) == "ready");
            if let Some(status) = child.poll()? {
                child.check(status)?;
                bail!("the {} ended before the start", child.name());
            }
        }
        if interrupted() {
            return Err(Interrupted.into());
        }
        if start.elapsed() > limit {
            let late: Vec<&str> =
                children.iter().zip(&ready).filter(|(_, r)| !**r).map(|(c, _)| c.name()).collect();
            bail!("the {} was not ready within {limit:?}; everything was stopped", late.join(" and the "));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn kind(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    value["type"].as_str().unwrap_or_default().to_owned()
}

/// Passes signals between the ends until both have ended well.
fn relay(sender: &mut Running, receiver: &mut Running, limit: Duration) -> Result<()> {
    let start = Instant::now();
    let (mut tx_over, mut rx_over) = (false, false);
    while !(tx_over && rx_over) {
        for line in sender.said().iter().filter(|l| kind(l) == "signal") {
            receiver.say(line);
        }
        for line in receiver.said().iter().filter(|l| kind(l) == "signal") {
            sender.say(line);
        }
        for (child, over) in [(&mut *sender, &mut tx_over), (&mut *receiver, &mut rx_over)] {
            if !*over && let Some(status) = child.poll()? {
                child.check(status)?;
                *over = true;
            }
        }
        if interrupted() {
            return Err(Interrupted.into());
        }
        if start.elapsed() > limit {
            let hung = match (tx_over, rx_over) {
                (true, _) => "receiver hangs",
                (_, true) => "sender hangs",
                _ => "sender and the receiver hang",
            };
            bail!(
                "the {hung}: the run was to be over {:.1} s after its start ({} s of grace included); everything was stopped",
                limit.as_secs_f64(),
                GRACE.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Both ends' events as one list in the order of time (the sender's first at equal times).
fn merge_events(run_dir: &Path) -> Result<()> {
    let mut events = Vec::new();
    for name in ["events.sender.jsonl", "events.receiver.jsonl"] {
        let path = run_dir.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        for (number, line) in text.lines().enumerate() {
            let event: Event = serde_json::from_str(line)
                .with_context(|| format!("{}, line {}: no event", path.display(), number + 1))?;
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
        write_health(&emulator, dir.path()).expect("health.json");
        let text = fs::read_to_string(dir.path().join("health.json")).expect("health.json");
        let health: Health = serde_json::from_str(&text).expect("what the score reads");
        assert!(!health.valid);
        assert_eq!(health.problems, ["the path: maximum lateness 40.000 ms is above 33.333 ms"]);
        let late = health.emulator_lateness.expect("two packets left");
        assert_eq!((late.n, late.max_ns), (2, 8000));
    }
}
