//! `netns-lab steps`: a trace through the kernel's qdiscs, each row changed in place. Is every row what it says, from when it says?

use anyhow::Context;
use link::{FateRecord, LinkSpec, Outcome, Schedule};
use netns::traffic::{self, Flow};
use netns::{End, Health, Lab, LabConfig, LabError, Shaper};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Packets per scenario, at 1000 per second
    #[arg(long, default_value_t = 6000)]
    packets: u64,
    /// Seed of the channel
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Divide rates and packets by this: the bucket then makes up for a timer that is as many times 12 ms late
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=32))]
    slow: u64,
    /// How long 99 of 100 packets may take beyond what their row says, milliseconds: the machine's own lateness
    #[arg(long, default_value_t = 20)]
    tolerance_ms: u64,
}

/// Payload at full rates.
const PAYLOAD: u64 = 1172;

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let folder = std::env::temp_dir().join(format!("netns-lab-steps-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = all(args, &folder);
    std::fs::remove_dir_all(&folder)?;
    let same = outcome?;
    println!("{}", if same { "steps: as specified" } else { "steps: NOT as specified" });
    Ok(same)
}

fn all(args: &Args, folder: &Path) -> anyhow::Result<bool> {
    let mut same = true;
    // Rates alone: every kernel has htb.
    let rates = RATES.map(|bps| format!("{:.6} 10ms 0", bps as f64 / args.slow as f64 / 1e6));
    if let Some(run) = Run::of(args, folder, "rates", &rates, RATE_LINK)? {
        same &= run.sound() & run.rates(args);
    }
    // Loss and delay: netem is changed per row, with the row's own seed.
    if let Some(run) = Run::of(args, folder, "loss and delay", &CHANNELS.map(str::to_owned), CHANNEL_LINK)? {
        same &= run.sound() & run.rows() & run.delays(args);
    }
    // As ReVo's script: rate and loss per row of 15 ms, the delay line counted against the queue.
    if let Some(run) = Run::of(args, folder, "rate and loss every 15 ms", &[], SCRIPT_LINK)? {
        same &= run.sound() & run.rows();
    }
    Ok(same)
}

/// Bits per second in rows of half a second. The bucket makes up for a timer that is late by its 12 ms at 8 Mbit/s; in a queue that is never
/// empty it lets nothing else through.
const RATES: [u64; 5] = [4_000_000, 1_000_000, 8_000_000, 2_000_000, 512_000];
const RATE_LINK: &str = r#"
    overhead = "14B"
    bottleneck = { rate = "trace", burst = "12000B", debt = true, queue = "20p" }
"#;
/// Round-trip time and loss in rows of half a second.
const CHANNELS: [&str; 5] = ["9 20ms 0", "9 80ms 0.3", "9 40ms 0.05", "9 10ms 0", "9 60ms 0.6"];
const CHANNEL_LINK: &str = r#"
    model = "netem"
    loss = { model = "trace" }
    delay = { base = "trace", reorder = true }
"#;
const SCRIPT_LINK: &str = r#"
    model = "netem"
    trace = { shipped = "wifi-lossy", format = "revo", replay = "compat", offset = "20s" }
"#;
const ROW_NS: u64 = 500_000_000;

struct Run {
    name: &'static str,
    records: Vec<FateRecord>,
    health: Health,
    schedule: Schedule,
    frame: f64,
}

impl Run {
    /// Sends a flow through the scenario; `None`, with the reason printed, where this kernel cannot shape it.
    fn of(
        args: &Args,
        folder: &Path,
        name: &'static str,
        rows: &[String],
        text: &str,
    ) -> anyhow::Result<Option<Run>> {
        let mut spec: LinkSpec = toml::from_str(text).context("a link")?;
        if !rows.is_empty() {
            let path = folder.join("trace.log");
            let lines = rows.iter().enumerate().map(|(i, row)| {
                let start = i as u64 * ROW_NS;
                format!("{}.{:03} {row}\n", start / 1_000_000_000, start % 1_000_000_000 / 1_000_000)
            });
            std::fs::write(&path, lines.collect::<String>())?;
            spec.trace = Some(link::TraceSpec::file(&path, link::trace::Format::Revo));
        }
        spec.load(Path::new(""))?;
        let schedule = spec.schedule()?.context("a trace of rows")?;
        let fates: PathBuf = folder.join("fates.jsonl");
        let mut config = LabConfig::new(spec, LinkSpec::default(), args.seed);
        config.shaper = Shaper::Kernel;
        config.fates = Some(fates.clone());
        let mut lab = match Lab::new(&config) {
            Err(LabError::Shaper(why)) => {
                println!("{name}: skipped: {why}");
                return Ok(None);
            }
            other => other?,
        };
        lab.start()?;
        let flow = Flow {
            packets: args.packets,
            payload: usize::try_from(PAYLOAD / args.slow)?,
            interval: Duration::from_millis(1),
            patience: Duration::from_millis(600),
        };
        let arrivals = traffic::run(&lab, End::Sender, &flow)?;
        let health = lab.stop()?;
        let text = std::fs::read_to_string(&fates).context("read the ledger")?;
        let records = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<FateRecord>, _>>()
            .context("a record")?;
        let count = |outcome| records.iter().filter(|r| r.fate == outcome).count();
        println!(
            "{name}: {} packets, {} arrived; ledger: {} delivered, {} dropped; rows late {:.1} ms at p99, {:.1} ms at most, packets {:.1} ms at p99",
            args.packets,
            arrivals.len(),
            count(Outcome::Delivered),
            count(Outcome::Dropped),
            health.late_steps.p99_ns as f64 / 1e6,
            health.late_steps.max_ns as f64 / 1e6,
            health.lateness.p99_ns as f64 / 1e6,
        );
        // As htb counts a packet: with its Ethernet header.
        let frame = f64::from(flow.ip_bytes() + 14);
        let run = Run { name, records, health, schedule, frame };
        if !run.check(records_match(&run.records, &arrivals), "the ledger says what arrived") {
            anyhow::bail!("{name}: a ledger that does not say what arrived is of no use");
        }
        Ok(Some(run))
    }

    fn check(&self, holds: bool, what: &str) -> bool {
        println!("{}: {}{what}", self.name, if holds { "" } else { "NOT so: " });
        holds
    }

    /// Every fate is explained, every packet was seen.
    fn sound(&self) -> bool {
        let counts = &self.health.forward;
        let what = format!(
            "{} of {} fates unexplained, {} missed",
            counts.unexplained, counts.packets_in, counts.lost_here
        );
        self.check(counts.unexplained == 0 && counts.lost_here == 0, &what)
    }

    /// The row that a moment falls into, counted over all repetitions.
    fn row_at(&self, ns: u64) -> u64 {
        let mut played = 0;
        while self.schedule.row(played + 1).is_some_and(|r| r.start.as_nanos() <= ns) {
            played += 1;
        }
        played
    }

    /// Bytes out per row against rate times time. A packet that is on its way when the rate changes still costs its time at the old
    /// rate, so a row may lack `new / old` packets; and one more or less falls to either side of each border.
    fn rates(&self, args: &Args) -> bool {
        let outs: Vec<u64> =
            self.records.iter().filter_map(|r| r.actual_ns).map(link::Timestamp::as_nanos).collect();
        let last = self.records.last().map_or(0, |r| r.in_ns.as_nanos());
        let late = self.health.late_steps.max_ns;
        let mut holds = true;
        let mut played = 1;
        while let (Some(before), Some(row), Some(next)) =
            (self.schedule.row(played - 1), self.schedule.row(played), self.schedule.row(played + 1))
        {
            let (from, to) = (row.start.as_nanos(), next.start.as_nanos());
            if to > last {
                break;
            }
            let packets = outs.iter().filter(|at| (from..to).contains(*at)).count() as f64;
            let rate = |bps: u64| bps as f64 / 8.0 / self.frame;
            let (new, old) = (rate(row.rate.as_bps()), rate(before.rate.as_bps()));
            let expected = new * (to - from) as f64 / 1e9;
            let allowed = 2.0 + new / old + (new - old).abs() * late as f64 / 1e9;
            holds &= self.check(
                (packets - expected).abs() <= allowed,
                &format!(
                    "row {played}, {:.3} Mbit/s after {:.3}: {packets} packets out, {expected:.1} expected, {allowed:.1} allowed either way",
                    row.rate.as_bps() as f64 / 1e6,
                    before.rate.as_bps() as f64 / 1e6,
                ),
            );
            played += 1;
        }
        let packets = self.health.lateness.p99_ns;
        // A row that is late makes all wait that stand in the queue, some of them through three rows.
        let allowed = args.tolerance_ms * 1_000_000 + 3 * late;
        holds
            & self.check(played > 2, "every row was looked at")
            & self.check(
                packets <= allowed,
                &format!(
                    "99 of 100 packets left within {:.2} ms of the model's time, {:.0} ms allowed",
                    packets as f64 / 1e6,
                    allowed as f64 / 1e6
                ),
            )
    }

    /// The row that a packet met is the one of its time, but for the moments in which a row was late.
    fn rows(&self) -> bool {
        let late = self.health.late_steps.max_ns + 5_000_000;
        let wrong = self.records.iter().filter(|r| {
            let now = r.in_ns.as_nanos();
            let possible = self.row_at(now.saturating_sub(late))..=self.row_at(now + 5_000_000);
            !possible.clone().any(|played| self.schedule.row(played).map(|row| row.row) == r.row)
        });
        let wrong = wrong.count();
        self.check(wrong == 0, &format!("{wrong} packets met a row of another time"))
    }

    /// The delay of a packet is its row's.
    fn delays(&self, args: &Args) -> bool {
        let (mut beyond, mut early) = (Vec::new(), 0);
        for r in &self.records {
            let Some(actual) = r.actual_ns else { continue };
            let Some(row) = self.schedule.rows().find(|row| Some(row.row) == r.row) else { continue };
            let took = actual.as_nanos().saturating_sub(r.in_ns.as_nanos());
            beyond.push(took.saturating_sub(row.delay.as_nanos()));
            early = early.max(row.delay.as_nanos().saturating_sub(took));
        }
        beyond.sort_unstable();
        let late =
            |percent: usize| beyond.get((beyond.len() * percent / 100).min(beyond.len().saturating_sub(1)));
        let [half, most] = [50, 99].map(|percent| late(percent).copied().unwrap_or(u64::MAX));
        let what = format!(
            "{} delays are their row's: {:.2} ms beyond it at p50, {:.2} ms at p99, {:.2} ms below it at most",
            beyond.len(),
            half as f64 / 1e6,
            most as f64 / 1e6,
            early as f64 / 1e6
        );
        let mut lost = vec![(0u64, 0u64); 5];
        for r in &self.records {
            if let Some(counts) = r.row.and_then(|row| lost.get_mut(row as usize)) {
                counts.0 += 1;
                counts.1 += u64::from(r.fate == Outcome::Dropped);
            }
        }
        let mut holds = self
            .check(beyond.len() > 1000 && most <= args.tolerance_ms * 1_000_000 && early <= 1_000_000, &what);
        for (row, (packets, lost)) in self.schedule.rows().zip(&lost) {
            let p = row.loss.as_f64();
            let deviation = (*packets as f64 * p * (1.0 - p)).sqrt();
            let far = (*lost as f64 - *packets as f64 * p).abs();
            // Five standard deviations; none where nothing is random.
            holds &= self.check(
                far <= 5.0 * deviation,
                &format!("row {}: {lost} of {packets} lost at {:.0} %", row.row, p * 100.0),
            );
        }
        holds
    }
}

/// Whether the ledger's deliveries are what the receiver got.
fn records_match(records: &[FateRecord], arrivals: &[traffic::Arrival]) -> bool {
    let out = records.iter().filter(|r| r.actual_ns.is_some()).count();
    out == arrivals.len() && records.iter().all(|r| (r.fate == Outcome::Dropped) == r.actual_ns.is_none())
}
