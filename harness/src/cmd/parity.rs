//! `freezeframe parity`: the same run on both clocks, held side by side.

use super::run::ClipArgs;
use crate::launch::{self, Request, clip};
use crate::record::{read_events, read_fates};
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use contract::{Backend, EventKind, Side, Status, Stream, exit};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Run one scenario in virtual time and in namespaces, and compare frames, events and drops
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
A real network stack is late by microseconds, so a packet near a boundary of the channel may meet another state;
everything else must agree. Exit code 3 if more than --tolerance percent of the frame slots differ.

Examples:
  freezeframe parity
  freezeframe parity ge-high-packet --system revo-h264 --frames 90")]
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
    /// Share of frame slots that may differ, percent
    #[arg(long, default_value_t = 1.0)]
    pub tolerance: f64,
    /// Where the two runs go
    #[arg(long, value_name = "DIR", default_value = "out/parity")]
    pub out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is compared of one run.
#[derive(Default)]
struct Seen {
    slots: BTreeMap<(u32, Stream), (Status, Option<u32>, Option<String>)>,
    /// Kinds of the receiver's events per frame, in order.
    stages: BTreeMap<u32, Vec<String>>,
    drops: Vec<u64>,
    packets: u64,
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
            cache: true,
        };
        let (spec, manifest) = request.resolve(clip.clone())?;
        let dir = args.out.join(backend.to_string());
        let _held = launch::hold(&dir)?;
        launch::launch(&spec, &manifest, &dir)?;
        seen.push(look(&dir)?);
    }
    let [a, b] = &seen[..] else { unreachable!("two backends") };
    let slots = a.slots.len().max(b.slots.len());
    let differing = |f: &dyn Fn(&(Status, Option<u32>, Option<String>)) -> String| {
        a.slots.iter().filter(|(k, v)| b.slots.get(k).is_none_or(|w| f(v) != f(w))).count()
    };
    let statuses = differing(&|v| format!("{:?} {:?}", v.0, v.1));
    let pictures = differing(&|v| format!("{:?}", v.2));
    let orders = a.stages.iter().filter(|(f, s)| b.stages.get(f) != Some(s)).count();
    let drops = a.drops.iter().filter(|n| !b.drops.contains(n)).count()
        + b.drops.iter().filter(|n| !a.drops.contains(n)).count();
    let share = 100.0 * statuses as f64 / slots.max(1) as f64;
    if args.json {
        let value = json!({
            "slots": slots, "statuses_differ": statuses, "pictures_differ": pictures, "frames": a.stages.len(),
            "event_orders_differ": orders, "packets_virtual": a.packets, "packets_namespaces": b.packets,
            "drops_virtual": a.drops.len(), "drops_namespaces": b.drops.len(), "drops_differ": drops,
        });
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        println!(
            "{} under {}, seed {}: virtual time against namespaces",
            args.system, args.scenario, args.seed
        );
        println!("  frame slots              {slots:6}   status or shown frame differs in {statuses}");
        println!("  pictures on the screen   {slots:6}   differ in {pictures}");
        println!("  frames' event order      {:6}   differs in {orders}", a.stages.len());
        println!(
            "  forward packets   {:6} {:6}   dropped {} {}, different drops {drops}",
            a.packets,
            b.packets,
            a.drops.len(),
            b.drops.len()
        );
    }
    Ok(if share > args.tolerance { exit::DIFFERENT } else { exit::OK })
}

fn look(dir: &Path) -> Result<Seen> {
    let mut seen = Seen::default();
    for event in read_events(&dir.join("events.jsonl"))? {
        let event = event?;
        if event.side != Side::Receiver {
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
            seen.packets += 1;
            if fate.loss().is_some() {
                seen.drops.push(fate.n);
            }
        }
    }
    seen.drops.sort_unstable();
    Ok(seen)
}
