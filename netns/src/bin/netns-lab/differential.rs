//! `netns-lab differential`: live fates against virtual ones.

use netns::differential::{channels, compare};
use netns::traffic::Flow;
use netns::{LabConfig, Shaper};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Who shapes: auto, user, kernel
    #[arg(long, default_value = "user")]
    shaper: Shaper,
    /// Packets per channel and seed
    #[arg(long, default_value_t = 20_000)]
    packets: u64,
    /// Seeds, comma separated
    #[arg(long, value_delimiter = ',', default_values_t = [42, 43, 20_240_917])]
    seeds: Vec<u64>,
    /// Microseconds between packets
    #[arg(long, default_value_t = 40)]
    interval_us: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let flow = Flow {
        packets: args.packets,
        payload: 200,
        interval: Duration::from_micros(args.interval_us),
        patience: Duration::from_millis(400),
    };
    let mut same = true;
    for (name, spec) in channels() {
        for seed in &args.seeds {
            let mut config = LabConfig::new(spec.clone(), link::LinkSpec::default(), *seed);
            config.shaper = args.shaper;
            let start = Instant::now();
            let comparison = compare(&config, &flow)?;
            println!("{name} seed {seed}: {comparison} ({:.1} s)", start.elapsed().as_secs_f64());
            same &= comparison.differences == 0;
        }
    }
    println!("{}", if same { "identical" } else { "DIFFERENT" });
    Ok(same)
}
