//! `freezeframe link`: one direction of a scenario alone, in virtual time, packet by packet.

use crate::bad_input;
use crate::stdio::reader_gone;
use anyhow::{Context, Result};
use clap::{Args as ClapArgs, ValueEnum};
use contract::{RunSpec, Scenario, exit};
use link::trace::{Format, Replay, TraceSpec, read_file};
use link::{
    Bitrate, BottleneckSpec, ByteCount, DelayBase, Direction, DropCause, Epoch, Fate, FateRecord, Link,
    LinkSpec, LossSpec, Model, Order, Probability, QueueLimit, RateSpec, Span, State, Timestamp,
};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Send packets through one direction of a scenario in virtual time and show what happens to each
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  freezeframe link ge-high --packets 9000 --interval 3.333ms
  freezeframe link --loss 'gemodel 6.8% 85.2% 50% 4%' --model netem --seed 42 --packets 20000 --json
  freezeframe link --rate 320kbit --queue 6000B --delay 20ms --size 1200 --interval 20ms

Options that describe the link replace that part of the scenario; without a scenario they start from a perfect link.
See docs/NETWORK.md.")]
pub struct Args {
    /// Scenario: a name (`freezeframe list`) or a TOML file; absent: a perfect link
    pub scenario: Option<String>,
    /// Send through the path of the run in this folder: packets on standard input, one a line, as NANOSECONDS BYTES in order of
    /// time; their fates, one JSON line each, at once. A plug-in's path in virtual time
    #[arg(long, value_name = "RUN_DIR", conflicts_with = "scenario")]
    pub run: Option<PathBuf>,
    /// Which direction of the scenario
    #[arg(long, value_enum, default_value_t = Way::Forward)]
    pub direction: Way,
    /// Packets to send
    #[arg(long, default_value_t = 1000)]
    pub packets: u64,
    /// Size of each IP packet in bytes, headers included
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u32).range(1..))]
    pub size: u32,
    /// Time between packets
    #[arg(long, default_value = "1ms")]
    pub interval: Span,
    /// Packets sent back to back at each interval
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub burst_of: u64,
    /// Seed of the run
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON line per packet instead of a summary
    #[arg(long)]
    pub json: bool,

    /// Loss: `none`, `random 5%`, `gemodel P R LOSS_BAD LOSS_GOOD [step packet|frame|20ms] [by old|new]`, `pattern ..x.`
    #[arg(long, help_heading = "Link")]
    pub loss: Option<LossSpec>,
    /// Where random decisions come from: `native`, or `netem` for the kernel's own draws
    #[arg(long, value_enum, help_heading = "Link")]
    pub model: Option<ModelArg>,
    /// Order of the stages
    #[arg(long, value_enum, help_heading = "Link")]
    pub order: Option<OrderArg>,
    /// Rate of the bottleneck, like `320kbit`
    #[arg(long, help_heading = "Link")]
    pub rate: Option<Bitrate>,
    /// Bytes that may leave the bottleneck at once after a pause
    #[arg(long, help_heading = "Link", requires = "rate")]
    pub burst: Option<ByteCount>,
    /// Limit of the queue: `6000B`, `50p`, `150ms` or `unlimited`
    #[arg(long, help_heading = "Link")]
    pub queue: Option<QueueLimit>,
    /// Bytes that the bottleneck counts per packet beyond the IP packet
    #[arg(long, help_heading = "Link")]
    pub overhead: Option<ByteCount>,
    /// Propagation delay
    #[arg(long, help_heading = "Link")]
    pub delay: Option<Span>,
    /// Jitter: delays are uniform in delay - jitter to delay + jitter
    #[arg(long, help_heading = "Link")]
    pub jitter: Option<Span>,
    /// Let jitter bring packets out of order
    #[arg(long, help_heading = "Link")]
    pub reorder: bool,
    /// Probability of a second copy
    #[arg(long, help_heading = "Link")]
    pub duplicate: Option<Probability>,
    /// Probability of a flipped bit
    #[arg(long, help_heading = "Link")]
    pub corrupt: Option<Probability>,
    /// Trace to follow: a file, or the name of a shipped one
    #[arg(long, help_heading = "Link")]
    pub trace: Option<String>,
    /// How the trace's file is written; absent: guessed from its first lines
    #[arg(long, value_enum, help_heading = "Link")]
    pub format: Option<FormatArg>,
    /// How a four-column trace becomes a link
    #[arg(long, value_enum, help_heading = "Link", default_value_t = ReplayArg::Full)]
    pub replay: ReplayArg,
    /// Where in the trace to begin
    #[arg(long, help_heading = "Link", requires = "trace")]
    pub offset: Option<Span>,
}

/// A direction on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// From the sender of the video
    Forward,
    /// Back to it
    Reverse,
}

/// A random model on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelArg {
    /// One stream of random words per purpose
    Native,
    /// The kernel's, draw for draw
    Netem,
}

/// An order of stages on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum OrderArg {
    /// Loss, queue, delay
    LossFirst,
    /// Queue, loss, delay
    QueueFirst,
    /// Loss, delay, queue
    DelayFirst,
}

/// A trace format on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Four columns: seconds, Mbit/s, round-trip time, loss
    Revo,
    /// Milliseconds at which 1500 bytes may leave
    Mahimahi,
    /// A table whose first line names its columns and units
    Csv,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Revo => Format::Revo,
            FormatArg::Mahimahi => Format::Mahimahi,
            FormatArg::Csv => Format::Csv,
        }
    }
}

/// A replay mode on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReplayArg {
    /// As the kernel behaves under ReVo's script
    Compat,
    /// As ReVo's script reads, with its 150 KiB bucket
    Nominal,
    /// Every column
    Full,
}

impl From<ReplayArg> for Replay {
    fn from(replay: ReplayArg) -> Self {
        match replay {
            ReplayArg::Compat => Replay::Compat,
            ReplayArg::Nominal => Replay::Nominal,
            ReplayArg::Full => Replay::Full,
        }
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    let direction = match args.direction {
        Way::Forward => Direction::Forward,
        Way::Reverse => Direction::Reverse,
    };
    if let Some(dir) = &args.run {
        return of_a_run(dir, direction);
    }
    let spec = spec(args, direction)?;
    let mut link = Link::new(&spec, direction.seed(args.seed))?;
    // Packets are counted from the run's time zero.
    let mut out = BufWriter::new(io::stdout().lock());
    let mut summary = Summary::default();
    for n in 0..args.packets {
        let now = Timestamp((n / args.burst_of).saturating_mul(args.interval.as_nanos()));
        while link.deliver(now).is_some() {}
        let fate = link.enqueue(now, n, args.size);
        if args.json {
            let record = FateRecord::new(n, direction, now, args.size, &fate);
            let written = serde_json::to_writer(&mut out, &record).map_err(io::Error::from);
            if reader_gone(written.and_then(|()| out.write_all(b"\n")))? {
                return Ok(exit::OK);
            }
        } else {
            summary.add(now, &fate);
        }
    }
    if !args.json {
        summary.print(&mut out, &spec, args)?;
    }
    reader_gone(out.flush())?;
    Ok(exit::OK)
}

/// The path of a run, for a program that simulates its ends.
fn of_a_run(dir: &Path, direction: Direction) -> Result<i32> {
    let run = RunSpec::read(dir)?;
    let mut link = Link::new(run.scenario.path(direction), direction.seed(run.seed))?;
    link.start_at(Timestamp(run.channel_start_ns()));
    let mut out = io::stdout().lock();
    for (n, line) in io::stdin().lock().lines().enumerate() {
        let line = line.context("failed to read packets from standard input")?;
        let numbers = line.split_once(' ').and_then(|(t, b)| Some((t.parse().ok()?, b.trim().parse().ok()?)));
        let Some((now, bytes)) = numbers else {
            bad_input!("standard input, line {}: {line:?} is no packet; write NANOSECONDS BYTES", n + 1);
        };
        let (n, now) = (n as u64, Timestamp(now));
        while link.deliver(now).is_some() {}
        let record = FateRecord::new(n, direction, now, bytes, &link.enqueue(now, n, bytes));
        let text = serde_json::to_string(&record)?;
        if reader_gone(writeln!(out, "{text}").and_then(|()| out.flush()))? {
            return Ok(exit::OK);
        }
    }
    Ok(exit::OK)
}

/// The scenario's path with the command line's changes.
fn spec(args: &Args, direction: Direction) -> Result<LinkSpec> {
    let mut spec = match &args.scenario {
        Some(name) => Scenario::find(name)?.path(direction).clone(),
        None => LinkSpec { epoch: Epoch::Run, ..LinkSpec::default() },
    };
    if let Some(trace) = &args.trace {
        let shipped = link::trace::SHIPPED.iter().find(|s| s.name == trace);
        let format = match (shipped, args.format) {
            (Some(shipped), _) => shipped.format,
            (None, Some(format)) => format.into(),
            (None, None) => Format::guess(trace, &read_file(Path::new(trace))?)?,
        };
        let mut t = TraceSpec::file(Path::new(trace), format);
        if shipped.is_some() {
            (t.file, t.shipped) = (None, Some(trace.clone()));
        }
        t.offset = args.offset.unwrap_or_default();
        if t.format == Format::Mahimahi {
            spec.bottleneck = Some(bottleneck(RateSpec::Trace));
        } else {
            t.replay = args.replay.into();
        }
        spec.trace = Some(t);
    }
    if let Some(loss) = &args.loss {
        spec.loss = loss.clone();
    }
    if let Some(rate) = args.rate {
        spec.bottleneck.get_or_insert(bottleneck(RateSpec::Unlimited)).rate = RateSpec::Constant(rate);
    }
    if args.burst.is_some() || args.queue.is_some() {
        let b = spec.bottleneck.get_or_insert(bottleneck(if args.trace.is_some() {
            RateSpec::Trace
        } else {
            RateSpec::Unlimited
        }));
        b.burst = args.burst.unwrap_or(b.burst);
        b.queue = args.queue.unwrap_or(b.queue);
    }
    spec.model = match args.model {
        Some(ModelArg::Native) => Model::Native,
        Some(ModelArg::Netem) => Model::Netem,
        None => spec.model,
    };
    spec.order = match args.order {
        Some(OrderArg::LossFirst) => Order::LossFirst,
        Some(OrderArg::QueueFirst) => Order::QueueFirst,
        Some(OrderArg::DelayFirst) => Order::DelayFirst,
        None => spec.order,
    };
    spec.overhead = args.overhead.unwrap_or(spec.overhead);
    spec.delay.base = args.delay.map_or(spec.delay.base, DelayBase::Constant);
    spec.delay.jitter = args.jitter.unwrap_or(spec.delay.jitter);
    spec.delay.reorder |= args.reorder;
    spec.duplicate = args.duplicate.unwrap_or(spec.duplicate);
    spec.corrupt = args.corrupt.unwrap_or(spec.corrupt);
    if args.trace.is_none() && !spec.follows_trace() {
        // The options above took the place of every stage that followed the scenario's trace.
        spec.trace = None;
    }
    spec.load(&std::env::current_dir()?)?;
    Ok(spec)
}

fn bottleneck(rate: RateSpec) -> BottleneckSpec {
    BottleneckSpec { rate, burst: ByteCount(0), debt: false, queue: QueueLimit::Unlimited }
}

/// What happened to all packets together.
#[derive(Default)]
struct Summary {
    packets: u64,
    corrupted: u64,
    /// Corrupted, and no second copy came out: the receiver's kernel discards it.
    discarded: u64,
    copies: u64,
    causes: BTreeMap<DropCause, u64>,
    bad: u64,
    with_state: u64,
    delays_ns: Vec<u64>,
    reordered: u64,
    first_out: Option<Timestamp>,
    last_out: Timestamp,
    run: u64,
    bursts: BTreeMap<u64, u64>,
}

impl Summary {
    fn add(&mut self, now: Timestamp, fate: &Fate) {
        self.packets += 1;
        if let Some(state) = fate.channel().state {
            self.with_state += 1;
            self.bad += u64::from(state == State::Bad);
        }
        match *fate {
            Fate::Dropped { cause, .. } => {
                *self.causes.entry(cause).or_default() += 1;
                self.run += 1;
            }
            Fate::Delivered { at, corrupted, copy, .. } => {
                self.corrupted += u64::from(corrupted);
                self.discarded += u64::from(corrupted && copy.is_none());
                self.copies += u64::from(copy.is_some());
                self.reordered += u64::from(at < self.last_out);
                self.first_out = Some(self.first_out.map_or(at, |first| first.min(at)));
                self.last_out = self.last_out.max(at);
                self.delays_ns.push(at.0 - now.0);
                self.end_of_run();
            }
        }
    }

    fn end_of_run(&mut self) {
        if self.run > 0 {
            *self.bursts.entry(self.run).or_default() += 1;
            self.run = 0;
        }
    }

    fn print(mut self, out: &mut impl Write, spec: &LinkSpec, args: &Args) -> Result<()> {
        self.end_of_run();
        let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        let lost: u64 = self.causes.values().sum();
        let resolved = spec.resolved()?;
        writeln!(out, "loss model   {} (model {}, order {})", resolved.loss, resolved.model, resolved.order)?;
        writeln!(
            out,
            "packets      {} of {} bytes, every {}, seed {}",
            self.packets, args.size, args.interval, args.seed
        )?;
        let expected = match resolved.loss.mean() {
            Some(mean) => format!("   (the loss model's mean: {:.3} %)", 100.0 * mean),
            None => String::new(),
        };
        writeln!(out, "dropped      {lost} = {:.3} %{expected}", percent(lost, self.packets))?;
        for (cause, n) in &self.causes {
            writeln!(out, "  {:<10} {n} = {:.3} %", cause.name(), percent(*n, self.packets))?;
        }
        if self.discarded > 0 {
            writeln!(
                out,
                "  corrupted  {} = {:.3} %, discarded by their checksum",
                self.discarded,
                percent(self.discarded, self.packets)
            )?;
            let lost = lost + self.discarded;
            writeln!(out, "lost         {lost} = {:.3} %", percent(lost, self.packets))?;
        }
        if self.with_state > 0 {
            writeln!(out, "bad state    {:.3} % of packets", percent(self.bad, self.with_state))?;
        }
        if !self.bursts.is_empty() {
            let list: Vec<String> = self.bursts.iter().map(|(length, n)| format!("{length}:{n}")).collect();
            writeln!(out, "loss bursts  length:count {}", list.join(" "))?;
        }
        if self.corrupted + self.copies + self.reordered > 0 {
            writeln!(
                out,
                "delivered    {} corrupted, {} copies, {} overtaken",
                self.corrupted, self.copies, self.reordered
            )?;
        }
        self.delays_ns.sort_unstable();
        if let (Some(min), Some(max)) = (self.delays_ns.first(), self.delays_ns.last()) {
            let at =
                |share: u64| Span(self.delays_ns[((self.delays_ns.len() - 1) as u64 * share / 100) as usize]);
            let (min, max) = (Span(*min), Span(*max));
            writeln!(out, "delay        min {min}, median {}, 99 % {}, max {max}", at(50), at(99))?;
            let span = self.last_out.0 - self.first_out.unwrap_or_default().0;
            if span > 0 {
                let bits = u128::from(self.delays_ns.len() as u64 - 1) * u128::from(args.size) * 8;
                let rate =
                    Bitrate(u64::try_from(bits * 1_000_000_000 / u128::from(span)).unwrap_or(u64::MAX));
                writeln!(out, "delivered at {rate} on average")?;
            }
        }
        for warning in spec.warnings() {
            writeln!(out, "warning: {warning}")?;
        }
        Ok(())
    }
}
