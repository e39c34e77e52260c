//! Packets per second through one link in virtual time, on one core: `cargo run --release -p freezeframe-link --example bench_link`.
#![allow(clippy::disallowed_methods)] // a benchmark asks the clock

use link::{Link, LinkSpec, Timestamp};
use std::time::Instant;

const PACKETS: u64 = 5_000_000;

fn main() {
    let links = [
        ("delay", "delay = { base = \"20ms\" }"),
        (
            "frame-stepped chain, delay",
            "delay = { base = \"20ms\" }\nloss = { model = \"gilbert_elliott\", good_to_bad = \"6.8%\", bad_to_good = \"85.2%\", \
             loss_good = \"4%\", loss_bad = \"75%\", step = \"frame\", loss_by = \"new\" }",
        ),
        (
            "netem's chain, delay",
            "model = \"netem\"\ndelay = { base = \"20ms\" }\nloss = { model = \"gilbert_elliott\", good_to_bad = \"6.8%\", bad_to_good = \"85.2%\", \
             loss_good = \"4%\", loss_bad = \"75%\", step = \"packet\", loss_by = \"old\" }",
        ),
        (
            "chain, queue of 6000 bytes, delay",
            "delay = { base = \"20ms\" }\nbottleneck = { rate = \"12Mbit\", queue = \"6000B\" }\nloss = { model = \"gilbert_elliott\", \
             good_to_bad = \"6.8%\", bad_to_good = \"85.2%\", loss_good = \"4%\", loss_bad = \"75%\", step = \"frame\", loss_by = \"new\" }",
        ),
        (
            "chain, queue, jitter that reorders, copies, damage",
            "delay = { base = \"20ms\", jitter = \"5ms\", reorder = true }\nduplicate = \"1%\"\ncorrupt = \"1%\"\n\
             bottleneck = { rate = \"12Mbit\", queue = \"6000B\" }\nloss = { model = \"gilbert_elliott\", \
             good_to_bad = \"6.8%\", bad_to_good = \"85.2%\", loss_good = \"4%\", loss_bad = \"75%\", step = \"frame\", loss_by = \"new\" }",
        ),
        (
            "four-column trace, every column",
            "trace = { shipped = \"wifi-lossy\", format = \"revo\", replay = \"full\" }",
        ),
    ];
    println!("{:<52} {:>12} {:>10}", "link", "packets/s", "delivered");
    for (name, text) in links {
        let mut spec: LinkSpec = toml::from_str(text).expect("the links above are links");
        spec.load(std::path::Path::new("")).expect("the traces above are shipped");
        let mut best = f64::INFINITY;
        let mut delivered = 0;
        for _ in 0..3 {
            let mut link = Link::new(&spec, 1).expect("the links above are links");
            let start = Instant::now();
            for n in 0..PACKETS {
                let now = Timestamp(n * 1_000_000);
                while link.deliver(now).is_some() {}
                let _ = std::hint::black_box(link.enqueue(now, n, 1200));
            }
            while link.deliver(Timestamp::MAX).is_some() {}
            best = best.min(start.elapsed().as_secs_f64());
            delivered = link.stats().delivered;
        }
        println!(
            "{name:<52} {:>10.2} M {:>9.1} %",
            PACKETS as f64 / best / 1e6,
            100.0 * delivered as f64 / PACKETS as f64
        );
    }
}
