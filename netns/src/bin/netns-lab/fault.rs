//! `netns-lab fault`: kill -9 each party of a lab at a random moment of its life, and look for what is left.

use anyhow::{Context, bail};
use link::{LinkSpec, Prandom, Span};
use netns::{End, Lab, LabConfig, Shaper};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many labs to kill
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// Seed of the victims and moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(clap::Args)]
pub(crate) struct OwnerArgs {
    /// End after this many milliseconds, should nobody kill it
    #[arg(long, default_value_t = 20_000)]
    life_ms: u64,
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Owner,
    Emulator,
    Endpoint,
    /// Owner and emulator at once: only the next lab can clean up.
    Both,
    /// The owner by the terminal's Ctrl-C.
    Interrupt,
}

const VICTIMS: [Victim; 5] =
    [Victim::Owner, Victim::Emulator, Victim::Endpoint, Victim::Both, Victim::Interrupt];

/// Builds a lab with an endpoint on each side that chatters through it, says who is who, and waits to be killed. If the
/// emulator or an endpoint dies it ends in the ordinary way, by dropping the lab.
pub(crate) fn own(args: &OwnerArgs) -> anyhow::Result<bool> {
    let delay =
        link::DelaySpec { base: link::DelayBase::Constant(Span::from_millis(5)), ..Default::default() };
    let spec = LinkSpec { delay, ..LinkSpec::default() };
    let mut config = LabConfig::new(spec.clone(), spec, 7);
    config.shaper = Shaper::User;
    // Said before the lab exists, so that it can be killed while it is being built.
    say("building")?;
    let mut lab = Lab::new(&config)?;
    let mut endpoints = Vec::new();
    for end in [End::Sender, End::Receiver] {
        let mut chatter = Command::new("sleep");
        chatter.arg("60").stdin(Stdio::null()).stdout(Stdio::null());
        endpoints.push(lab.command(end, chatter).spawn().context("start an endpoint")?);
    }
    let emulator = lab.emulator_pid().context("the emulator runs")?;
    say(&format!("built {emulator} {} {}", endpoints[0].id(), endpoints[1].id()))?;
    let end = Instant::now() + Duration::from_millis(args.life_ms);
    while Instant::now() < end {
        let dead = endpoints.iter_mut().any(|e| !matches!(e.try_wait(), Ok(None)));
        if dead || lab.health().is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(lab);
    for endpoint in &mut endpoints {
        endpoint.wait()?;
    }
    Ok(true)
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    netns::clean()?;
    let mut random = Prandom::new(args.seed);
    let mut slowest = (Duration::ZERO, String::new());
    let mut of = [0u32; VICTIMS.len()];
    let start = Instant::now();
    for round in 0..args.kills {
        let choice = random.draw() as usize % VICTIMS.len();
        let victim = VICTIMS[choice];
        of[choice] += 1;
        // While it is built (some 10 ms), or in the first 60 ms of its life.
        let early = random.draw().is_multiple_of(4) && matches!(victim, Victim::Owner | Victim::Interrupt);
        let wait = Duration::from_micros(u64::from(random.draw() % if early { 12_000 } else { 60_000 }));
        let round = format!(
            "round {round}: {victim:?}{} after {wait:?}",
            if early { " while being built," } else { "" }
        );
        let took = kill_one(victim, early, wait).with_context(|| round.clone())?;
        if took > slowest.0 {
            slowest = (took, round);
        }
    }
    let counts: Vec<String> = VICTIMS.iter().zip(of).map(|(v, n)| format!("{v:?} {n}")).collect();
    println!(
        "{} kills ({}) in {:.1} s, nothing left behind; gone at the latest {:.1} ms after the kill ({})",
        args.kills,
        counts.join(", "),
        start.elapsed().as_secs_f64(),
        slowest.0.as_secs_f64() * 1e3,
        slowest.1
    );
    Ok(true)
}

/// Kills one lab and returns how long it took until nothing of it was left.
fn kill_one(victim: Victim, early: bool, wait: Duration) -> anyhow::Result<Duration> {
    let mut owner = Command::new("/proc/self/exe")
        .arg("owner")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("start an owner")?;
    let mut lines = BufReader::new(owner.stdout.take().context("the owner's output")?).lines();
    let mut line = || lines.next().context("the owner said nothing")?.context("read the owner");
    line()?;
    let mut children = Vec::new();
    let targets = if early {
        std::thread::sleep(wait);
        vec![owner.id()]
    } else {
        let built = line()?;
        children = built
            .split(' ')
            .skip(1)
            .map(str::parse)
            .collect::<Result<_, _>>()
            .context("the owner's children")?;
        let [emulator, sender, receiver] = children[..] else { bail!("the owner said `{built}`") };
        std::thread::sleep(wait);
        match victim {
            Victim::Owner | Victim::Interrupt => vec![owner.id()],
            Victim::Emulator => vec![emulator],
            Victim::Endpoint => vec![if wait.as_micros().is_multiple_of(2) { sender } else { receiver }],
            Victim::Both => vec![owner.id(), emulator],
        }
    };
    let killed = Instant::now();
    for target in targets {
        let (signal, pid) = match victim {
            // A terminal interrupts the whole group, endpoints included.
            Victim::Interrupt => (libc::SIGINT, -(target.cast_signed())),
            _ => (libc::SIGKILL, target.cast_signed()),
        };
        // SAFETY: kill has no memory effects; the ids are of our child and its children, none of them waited for yet.
        unsafe { libc::kill(pid, signal) };
    }
    reap(&mut owner)?;
    // Only the death of both, or a death before there was an emulator, leaves work for the next lab.
    wait_until_gone(owner.id(), &children, killed, victim == Victim::Both || early)
}

fn reap(owner: &mut Child) -> anyhow::Result<()> {
    let give_up = Instant::now() + Duration::from_secs(10);
    while owner.try_wait()?.is_none() {
        if Instant::now() > give_up {
            owner.kill()?;
            bail!("the owner did not end");
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// `next`: what is left may wait for the next lab, whose first step is done here.
fn wait_until_gone(owner: u32, children: &[u32], killed: Instant, next: bool) -> anyhow::Result<Duration> {
    let give_up = killed + Duration::from_secs(5);
    loop {
        if next {
            netns::clean()?;
        }
        let left = left_of(owner, children)?;
        if left.is_empty() {
            return Ok(killed.elapsed());
        }
        if Instant::now() > give_up {
            bail!("left behind: {left:?}");
        }
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// Everything of an owner's labs that could outlive it: names, mounts, processes, and veth pairs in the host's own namespace.
fn left_of(owner: u32, children: &[u32]) -> anyhow::Result<BTreeSet<String>> {
    let of_owner =
        |name: &str| netns::LabName::parse(name).is_some_and(|(lab, _)| lab.owner.unsigned_abs() == owner);
    let mut left = BTreeSet::new();
    if let Ok(names) = std::fs::read_dir("/var/run/netns") {
        left.extend(names.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(|n| of_owner(n)));
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let names = mounts.lines().filter_map(|l| l.split(' ').nth(1)?.rsplit('/').next());
    left.extend(names.filter(|n| of_owner(n)).map(|n| format!("mount {n}")));
    let links = std::fs::read_to_string("/proc/self/net/dev")?;
    let names = links.lines().filter_map(|l| l.split_once(':').map(|(name, _)| name.trim()));
    left.extend(names.filter(|n| ["tx0", "rx0", "br0"].contains(n)).map(|n| format!("link {n}")));
    left.extend(children.iter().filter(|pid| runs(**pid)).map(|pid| format!("child {pid}")));
    // An emulator that the owner had started but not yet told us about carries the lab's name as an argument.
    let emulator = format!("ff-{owner}-");
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if command.split(|b| *b == 0).any(|a| a.starts_with(emulator.as_bytes())) && runs(pid) {
            left.insert(format!("emulator {pid}"));
        }
    }
    Ok(left)
}

/// Whether a process runs; one that ended and waits for an ancestor to notice does not.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').map_or(0, |i| i + 1)..].trim_start().starts_with(['Z', 'X']))
}
