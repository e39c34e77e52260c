//! `freezeframe parity`: the same run on both clocks, held side by side.

use super::run::ClipArgs;
use crate::launch::{self, Request, clip};
use crate::record::{read_events, read_fates};
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use contract::scores::Health;
use contract::{Backend, EventKind, Side, Status, Stream, exit};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Run one scenario in virtual time and in namespaces, and compare frames, events and drops
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
A real network stack is late by microseconds, so a packet near a boundary of the channel may meet another state;
everything else must agree, whichever of the two runs has it: slots with status, shown frame and picture, encoded
sizes, what the sender dropped, fates of forward packets. Exit code 3 if more than --tolerance percent of any of them
differ, 4 if the run in namespaces is invalid (its emulator was late or lost packets) and the comparison says nothing.

Examples:
  freezeframe parity --option transport=datagram
  freezeframe parity ge-high-packet --system revo-h264 --option transport=datagram --frames 90

Keys of DTLS are drawn at random and its timers are the machine's: data channels do not agree to the packet.")]
pub struct Args {
    /// Scenario: a name or a TOML file
    #[arg(default_value = "ge-medium-packet")]
    pub scenario: String,
    /// System under test
    #[arg(long, short, default_value = "revo-h264")]
    pub system: String,
    /// The clip that is sent
    #[command(flatten)]
    pub clip: ClipArgs,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Option of the system, as KEY=VALUE
    #[arg(long = "option", short = 'o', value_name = "KEY=VALUE")]
    pub options: Vec<String>,
    /// Share that may differ, percent, of slots, of encoded frames and of packets
    #[arg(long, default_value_t = 1.0)]
    pub tolerance: f64,
    /// Where the two runs go
    #[arg(long, value_name = "DIR", default_value = "out/parity")]
    pub out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A stream of a frame.
type Cell = (u32, Stream);

/// What is compared of one run.
#[derive(Clone, Debug, Default)]
struct Seen {
    slots: BTreeMap<Cell, (Status, Option<u32>, Option<String>)>,
    /// Bytes and whether it is a key frame, as encoded.
    encoded: BTreeMap<Cell, (u32, Option<bool>)>,
    /// Frames that the sender gave up.
    given_up: BTreeSet<u32>,
    /// Kinds of the receiver's events per frame, in order.
    stages: BTreeMap<u32, Vec<String>>,
    /// Forward packets by number: delivered or not.
    packets: BTreeMap<u64, bool>,
    health: Health,
}

impl Seen {
    fn drops(&self) -> usize {
        self.packets.values().filter(|delivered| !**delivered).count()
    }
}

/// How many of what either run has are not the same in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Differences {
    slots: usize,
    statuses_differ: usize,
    pictures_differ: usize,
    encoded: usize,
    encoded_differ: usize,
    given_up_differ: usize,
    frames: usize,
    event_orders_differ: usize,
    packets: usize,
    fates_differ: usize,
}

/// Keys of either, and those at which `a` and `b` are not the same.
fn unlike<K: Ord, V, T: PartialEq>(
    a: &BTreeMap<K, V>,
    b: &BTreeMap<K, V>,
    of: impl Fn(&V) -> T,
) -> (usize, usize) {
    let keys: BTreeSet<&K> = a.keys().chain(b.keys()).collect();
    let differ = keys.iter().filter(|k| a.get(k).map(&of) != b.get(k).map(&of)).count();
    (keys.len(), differ)
}

impl Differences {
    fn between(a: &Seen, b: &Seen) -> Differences {
        let (slots, statuses_differ) = unlike(&a.slots, &b.slots, |s| (s.0, s.1));
        let (_, pictures_differ) = unlike(&a.slots, &b.slots, |s| s.2.clone());
        let (encoded, encoded_differ) = unlike(&a.encoded, &b.encoded, |e| *e);
        let (frames, event_orders_differ) = unlike(&a.stages, &b.stages, Clone::clone);
        let (packets, fates_differ) = unlike(&a.packets, &b.packets, |d| *d);
        let given_up_differ = a.given_up.symmetric_difference(&b.given_up).count();
        Differences {
            slots,
            statuses_differ,
            pictures_differ,
            encoded,
            encoded_differ,
            given_up_differ,
            frames,
            event_orders_differ,
            packets,
            fates_differ,
        }
    }

    /// The largest share that differs, percent. The order of events within a frame is shown, not judged: at one instant of
    /// virtual time it is a convention.
    fn worst_percent(&self) -> f64 {
        let percent = |differ: usize, of: usize| 100.0 * differ as f64 / of.max(1) as f64;
        [
            percent(self.statuses_differ, self.slots),
            percent(self.pictures_differ, self.slots),
            percent(self.encoded_differ, self.encoded),
            percent(self.given_up_differ, self.encoded),
            percent(self.fates_differ, self.packets),
        ]
        .into_iter()
        .fold(0.0, f64::max)
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    launch::child::catch_interrupts();
    let clip = clip::resolve(&args.clip.request(), &mut |line| eprintln!("clip: {line}"))?;
    let mut seen = Vec::new();
    for backend in [Backend::Virtual, Backend::Namespaces] {
        let request = Request {
            scenario: args.scenario.clone(),
            system: args.system.clone(),
            clip: args.clip.request(),
            backend,
            shaper: contract::Shaping::Auto,
            seed: args.seed,
            options: args.options.clone(),
            costs: contract::costs::IDEAL.into(),
            cache: true,
        };
        let (spec, manifest) = request.resolve(clip.clone())?;
        let dir = args.out.join(backend.to_string());
        let _held = launch::hold(&dir)?;
        launch::launch(&spec, &manifest, &dir)?;
        seen.push(look(&dir)?);
    }
    let [a, b] = &seen[..] else { unreachable!("two backends") };
    let d = Differences::between(a, b);
    if args.json {
        let mut value = serde_json::to_value(d)?;
        let problems = [&a.health.problems[..], &b.health.problems[..]].concat();
        let more = json!({
            "packets_virtual": a.packets.len(), "packets_namespaces": b.packets.len(),
            "drops_virtual": a.drops(), "drops_namespaces": b.drops(), "drops_differ": d.fates_differ,
            "valid": a.health.valid && b.health.valid,
            "problems": problems,
        });
        value.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        println!(
            "{} under {}, seed {}: virtual time against namespaces",
            args.system, args.scenario, args.seed
        );
        println!(
            "  frame slots              {:6}   status or shown frame differs in {}",
            d.slots, d.statuses_differ
        );
        println!("  pictures on the screen   {:6}   differ in {}", d.slots, d.pictures_differ);
        println!(
            "  encoded frames           {:6}   differ in {}; given up by one sender alone {}",
            d.encoded, d.encoded_differ, d.given_up_differ
        );
        println!(
            "  frames' event order      {:6}   differs in {} (not judged)",
            d.frames, d.event_orders_differ
        );
        println!(
            "  forward packets   {:6} {:6}   dropped {} {}, different fates {}",
            a.packets.len(),
            b.packets.len(),
            a.drops(),
            b.drops(),
            d.fates_differ
        );
        for problem in a.health.problems.iter().chain(&b.health.problems) {
            println!("  invalid: {problem}");
        }
    }
    Ok(if !(a.health.valid && b.health.valid) {
        exit::INVALID
    } else if d.worst_percent() > args.tolerance {
        exit::DIFFERENT
    } else {
        exit::OK
    })
}

fn look(dir: &Path) -> Result<Seen> {
    // Virtual time writes none: nothing can be late there.
    let health = match std::fs::read(dir.join("health.json")) {
        Ok(text) => serde_json::from_slice(&text).context("in health.json")?,
        Err(_) => Health { valid: true, ..Health::default() },
    };
    let mut seen = Seen { health, ..Seen::default() };
    for event in read_events(&dir.join("events.jsonl"))? {
        let event = event?;
        if event.side == Side::Sender {
            match event.kind {
                EventKind::Encoded { frame, stream, bytes, key } => {
                    seen.encoded.insert((frame, stream), (bytes, key));
                }
                EventKind::SenderDrop { frame, .. } => _ = seen.given_up.insert(frame),
                _ => {}
            }
            continue;
        }
        let word = match &event.kind {
            EventKind::Slot { frame, stream, status, shown, picture } => {
                seen.slots.insert((*frame, *stream), (*status, *shown, picture.clone()));
                format!("slot {stream:?}")
            }
            EventKind::Complete { stream, .. } => format!("complete {stream:?}"),
            EventKind::Decoded { stream, .. } => format!("decoded {stream:?}"),
            EventKind::Lost { stream, cause, .. } => format!("lost {stream:?} {cause:?}"),
            EventKind::Received { stream, index, .. } => format!("received {stream:?} {index}"),
            _ => continue,
        };
        if let Some(frame) = event.kind.frame() {
            seen.stages.entry(frame).or_default().push(word);
        }
    }
    for fate in read_fates(&dir.join("fates.jsonl")).context("the fate ledger")? {
        let fate = fate?;
        if fate.direction == link::Direction::Forward {
            seen.packets.insert(fate.n, fate.loss().is_none());
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Seen {
        let mut seen = Seen::default();
        for frame in 0..10 {
            let cell = (frame, Stream::Rgb);
            seen.slots.insert(cell, (Status::Rendered, Some(frame), Some(format!("{frame:032x}"))));
            seen.encoded.insert(cell, (1000 + frame, Some(frame == 0)));
            seen.packets.insert(frame.into(), frame != 3);
        }
        seen
    }

    /// Each thing that one run has and the other has not, or has otherwise, in either direction.
    #[test]
    fn every_difference_of_either_side_counts() {
        let changes: [(&str, fn(&mut Seen)); 8] = [
            ("a slot less", |s| _ = s.slots.pop_last()),
            ("another status", |s| {
                s.slots.insert((4, Stream::Rgb), (Status::Frozen, Some(4), Some(format!("{:032x}", 4))));
            }),
            ("another picture", |s| {
                s.slots.insert((4, Stream::Rgb), (Status::Rendered, Some(4), None));
            }),
            ("a stream more", |s| {
                s.slots.insert((4, Stream::Depth), (Status::Rendered, Some(4), None));
            }),
            ("another size", |s| _ = s.encoded.insert((4, Stream::Rgb), (999, Some(false)))),
            ("a frame given up", |s| _ = s.given_up.insert(4)),
            ("another fate", |s| _ = s.packets.insert(4, false)),
            ("a packet more", |s| _ = s.packets.insert(10, true)),
        ];
        let same = Differences::between(&run(), &run());
        assert_eq!((same.worst_percent(), same.slots, same.packets), (0.0, 10, 10));
        for (what, change) in changes {
            let mut other = run();
            change(&mut other);
            for d in [Differences::between(&run(), &other), Differences::between(&other, &run())] {
                // One of at most eleven.
                assert!(d.worst_percent() > 9.0, "{what}: {d:?}");
            }
        }
    }
}
