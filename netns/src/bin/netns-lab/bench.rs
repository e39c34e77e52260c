//! `netns-lab bench`: how fast and how punctual the user-space emulator is.

use anyhow::Context;
use link::{DelayBase, DelaySpec, LinkSpec, Span};
use netns::lateness::{Histogram, Lateness};
use netns::traffic::{self, Arrival, Flow};
use netns::{End, Lab, LabConfig, Shaper};
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Packets of the delay measurements, at 1000 per second
    #[arg(long, default_value_t = 10_000)]
    packets: u64,
    /// Packets of the rate measurement, as fast as they go
    #[arg(long, default_value_t = 300_000)]
    flood: u64,
    /// Without SCHED_FIFO
    #[arg(long)]
    ordinary: bool,
}

const PAYLOAD: usize = 1172; // an IP packet of 1200 bytes

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let mut complete = true;
    println!("{:<28} {:>9} {:>9} {:>9} {:>7}", "delay error, us", "p50", "p99", "max", "lost");
    for (name, delay_ms) in [("zero delay", 0), ("20 ms", 20)] {
        let mut config = config(delay_ms);
        config.timing.realtime = !args.ordinary;
        let flow = Flow {
            packets: args.packets,
            payload: PAYLOAD,
            interval: Duration::from_millis(1),
            patience: Duration::from_millis(500),
        };
        let lab = Lab::new(&config)?;
        let arrivals = traffic::run(&lab, End::Sender, &flow)?;
        let health = lab.stop()?;
        let lost = args.packets - arrivals.len() as u64;
        row(name, &errors(&arrivals, delay_ms * 1_000_000), lost);
        row(&format!("{name}, in the emulator"), &health.lateness, health.forward.lost_here);
        complete &= lost == 0 && health.forward.lost_here == 0;
    }
    let (rate, lost) = flood(args)?;
    println!("forwarding rate: {rate:.0} packets/s of {PAYLOAD} bytes payload, {lost} lost in the emulator");
    Ok(complete && lost == 0)
}

fn config(delay_ms: u64) -> LabConfig {
    let base = DelayBase::Constant(Span::from_millis(delay_ms));
    let spec = LinkSpec { delay: DelaySpec { base, ..DelaySpec::default() }, ..LinkSpec::default() };
    let mut config = LabConfig::new(spec.clone(), spec, 1);
    config.shaper = Shaper::User;
    config
}

/// Time from the sender's system call to the receiver's kernel, less the delay asked for.
fn errors(arrivals: &[Arrival], delay_ns: u64) -> Lateness {
    let mut histogram = Histogram::default();
    for arrival in arrivals {
        histogram.add((arrival.received_ns - arrival.sent_ns).abs_diff(delay_ns));
    }
    histogram.summary()
}

fn row(name: &str, l: &Lateness, lost: u64) {
    let us = |ns: u64| ns as f64 / 1e3;
    println!("{name:<28} {:>9.1} {:>9.1} {:>9.1} {lost:>7}", us(l.p50_ns), us(l.p99_ns), us(l.max_ns));
}

/// Packets per second through the emulator while the sender sends without pause.
fn flood(args: &Args) -> anyhow::Result<(f64, u64)> {
    let flow = Flow {
        packets: args.flood,
        payload: PAYLOAD,
        interval: Duration::ZERO,
        patience: Duration::from_millis(500),
    };
    let lab = Lab::new(&config(0))?;
    let arrivals = traffic::run(&lab, End::Sender, &flow)?;
    let health = lab.stop()?;
    let first = arrivals.first().context("nothing arrived")?.received_ns;
    let last = arrivals.last().context("nothing arrived")?.received_ns;
    Ok((arrivals.len() as f64 / ((last - first) as f64 / 1e9), health.forward.lost_here))
}
