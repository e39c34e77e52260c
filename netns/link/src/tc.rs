//! The `tc` commands that come nearest to a link, so that others can check a scenario with their own tools.

use crate::error::LinkError;
use crate::spec::{
    BottleneckSpec, DelayBase, LinkSpec, LossBy, LossSpec, Model, Order, QueueLimit, RateSpec,
};
use crate::trace::revo::Row;
use crate::trace::{Replay, ScheduledRow, Trace};
use crate::units::{Probability, Span};
use crate::{Bitrate, rate_text, row_seed};
use std::fmt;

/// Commands for one device, and in what they differ from the link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcScript {
    /// What the commands do otherwise than the link; empty if they do the same.
    pub differences: Vec<String>,
    /// What must be there for the commands to work, and what would bring them nearer.
    pub needs: Vec<String>,
    /// Shell commands, in order.
    pub commands: Vec<String>,
}

impl TcScript {
    /// Whether a command sets this kind of qdisc.
    #[must_use]
    pub fn uses(&self, kind: &str) -> bool {
        self.commands.iter().any(|c| c.split_whitespace().any(|word| word == kind))
    }

    /// With one need more.
    #[must_use]
    pub fn with_need(mut self, need: &str) -> Self {
        self.needs.push(need.to_owned());
        self
    }

    /// For a tc that does not know netem's `seed`; `version` is for the message.
    #[must_use]
    pub fn without_seed(mut self, version: &str) -> Self {
        let mut seeded = false;
        for command in &mut self.commands {
            if let Some((rest, seed)) = command.rsplit_once(" seed ")
                && !seed.contains(' ')
            {
                *command = rest.to_owned();
                seeded = true;
            }
        }
        if !seeded {
            return self;
        }
        let draws = [" loss random ", " loss gemodel ", " duplicate ", " corrupt "];
        if self.commands.iter().any(|c| draws.iter().any(|d| c.contains(d)) || jitters(c)) {
            self.differences
                .push("without a seed the kernel draws anew each time: same law, other packets".into());
        }
        self.with_need(&format!(
            "tc of iproute2 {version} knows no `seed` of netem, which is left out here; iproute2 6.6 and Linux 6.6 have it (--newest prints it)"
        ))
    }
}

/// Whether a netem command has a delay that varies.
fn jitters(command: &str) -> bool {
    let mut words = command.split_whitespace().skip_while(|w| *w != "delay").skip(2);
    words.next().is_some_and(|w| w.ends_with('s') && w.starts_with(|c: char| c.is_ascii_digit()))
}

impl fmt::Display for TcScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.differences.iter().try_for_each(|d| writeln!(f, "# differs: {d}"))?;
        self.needs.iter().try_for_each(|n| writeln!(f, "# needs: {n}"))?;
        self.commands.iter().try_for_each(|c| writeln!(f, "{c}"))
    }
}

/// Bytes of the Ethernet header, which tc's shapers count with every packet.
const ETHERNET: u64 = 14;

/// The least rate that is printed: qdiscs have no rate of 0, and compute with a packet's time in 32 bits.
const LEAST: Bitrate = Bitrate::from_kbps(1);

/// The commands for `spec` on device `dev`. Its trace, if it has one, must be loaded.
///
/// # Errors
/// When the spec is not a link.
pub fn tc_script(spec: &LinkSpec, dev: &str, seed: u64) -> Result<TcScript, LinkError> {
    crate::Link::new(spec, seed)?;
    let compat = spec.trace.as_ref().is_some_and(|t| t.replay == Replay::Compat);
    let spec = &spec.resolved()?;
    let mut script = TcScript::default();
    let rows = rows(spec)?;
    differences(spec, compat, &rows, &mut script.differences);
    let tree = Tree { spec, dev, seed, compat };
    let first = rows.first().copied();
    tree.hang(first.as_ref(), &mut script.commands);
    for (played, pair) in rows.windows(2).enumerate() {
        let pause = pair[1].start.0 - pair[0].start.0;
        script.commands.push(format!("sleep {}.{:09}", pause / 1_000_000_000, pause % 1_000_000_000));
        tree.change(played as u64 + 1, &pair[1], &mut script.commands);
    }
    Ok(script)
}

/// Each row of the trace once, from its offset.
fn rows(spec: &LinkSpec) -> Result<Vec<ScheduledRow>, LinkError> {
    if let Some(schedule) = spec.schedule()? {
        return Ok(schedule.rows().collect());
    }
    let Some(trace) = &spec.trace else { return Ok(Vec::new()) };
    let Some(Trace::Opportunities(times)) = trace.content.as_deref() else { return Ok(Vec::new()) };
    let all = times.rows(SAMPLED).map_or_else(Vec::new, |r| r.rows);
    // A link plays on from the beginning when it comes to the end, so an offset beyond that is one within a later lap.
    let offset = Span(trace.offset.0 % times.period().0);
    let first = all.iter().rposition(|r| r.start <= offset).unwrap_or(0);
    let row = |(i, r): (usize, &Row)| ScheduledRow {
        start: Span(r.start.0.saturating_sub(offset.0)),
        row: i as u32,
        rate: r.rate,
        delay: Span(0),
        loss: Probability::ZERO,
    };
    Ok(all.iter().enumerate().skip(first).map(row).collect())
}

/// How long a rate read off a packet-delivery trace holds.
const SAMPLED: Span = Span::from_millis(100);

/// The qdiscs of one link.
///
/// ```text
/// netem 1: ─ tbf 2:                         a bucket that must hold a packet
/// netem 1: ─ htb 2: ─ class 2:10 ─ fifo 3:  one that may run into debt
/// htb 2: ─ class 2:10 ─ netem 1:            the same, its limit in packets counting the delay line, too
/// ```
struct Tree<'a> {
    spec: &'a LinkSpec,
    dev: &'a str,
    seed: u64,
    /// As ReVo's script sets it.
    compat: bool,
}

impl Tree<'_> {
    /// The bottleneck, unless it has no rate.
    fn bottleneck(&self) -> Option<&BottleneckSpec> {
        self.spec.bottleneck.as_ref().filter(|b| b.rate != RateSpec::Unlimited)
    }

    /// Whether netem is the shaper's leaf.
    fn netem_below(&self) -> bool {
        self.spec.order == Order::DelayFirst
            && self.bottleneck().is_some_and(|b| b.debt && matches!(b.queue, QueueLimit::Packets(_)))
    }

    fn hang(&self, first: Option<&ScheduledRow>, commands: &mut Vec<String>) {
        let dev = self.dev;
        let mut parent = "root".to_owned();
        if !self.netem_below() {
            commands.push(format!("tc qdisc replace dev {dev} root handle 1: {}", self.netem(0, first)));
            "parent 1:1".clone_into(&mut parent);
        }
        let Some(b) = self.bottleneck() else { return };
        let rate = self.rate(b, first);
        if !b.debt {
            commands.push(format!("tc qdisc replace dev {dev} {parent} handle 2: {}", tbf(b, rate)));
            return;
        }
        commands.push(format!("tc qdisc replace dev {dev} {parent} handle 2: htb default 10"));
        commands.push(format!("tc class replace dev {dev} parent 2: classid 2:10 {}", self.htb(b, rate)));
        let leaf = match b.queue {
            _ if self.netem_below() => format!("handle 1: {}", self.netem(0, first)),
            QueueLimit::Packets(n) => format!("handle 3: pfifo limit {n}"),
            QueueLimit::Bytes(bytes) => format!("handle 3: bfifo limit {}", bytes.0),
            QueueLimit::Delay(span) => format!("handle 3: bfifo limit {}", held(rate, span)),
            QueueLimit::Unlimited => format!("handle 3: bfifo limit {}", u32::MAX),
        };
        commands.push(format!("tc qdisc replace dev {dev} parent 2:10 {leaf}"));
    }

    fn change(&self, played: u64, row: &ScheduledRow, commands: &mut Vec<String>) {
        let dev = self.dev;
        if self.spec.loss == LossSpec::Trace || self.spec.delay.base == DelayBase::Trace {
            let place = if self.netem_below() { "parent 2:10" } else { "root" };
            commands.push(format!(
                "tc qdisc change dev {dev} {place} handle 1: {}",
                self.netem(played, Some(row))
            ));
        }
        let Some(b) = self.bottleneck().filter(|b| b.rate == RateSpec::Trace) else { return };
        let rate = self.rate(b, Some(row));
        commands.push(if b.debt {
            format!("tc class change dev {dev} parent 2: classid 2:10 {}", self.htb(b, rate))
        } else {
            format!("tc qdisc change dev {dev} parent 1:1 handle 2: {}", tbf(b, rate))
        });
    }

    fn rate(&self, b: &BottleneckSpec, row: Option<&ScheduledRow>) -> Bitrate {
        let rate = match b.rate {
            RateSpec::Constant(rate) => rate,
            RateSpec::Trace | RateSpec::Unlimited => row.map_or(LEAST, |r| r.rate),
        };
        rate.max(LEAST)
    }

    fn netem(&self, played: u64, row: Option<&ScheduledRow>) -> String {
        let spec = self.spec;
        // netem's own default of 1000 would be a second, silent bottleneck.
        let limit = match (spec.order, spec.bottleneck.as_ref().map(|b| b.queue)) {
            (Order::DelayFirst, Some(QueueLimit::Packets(n)))
                if self.netem_below() || self.bottleneck().is_none() =>
            {
                n
            }
            _ => 1_000_000,
        };
        let mut words = format!("netem limit {limit}");
        let delay = match spec.delay.base {
            DelayBase::Constant(span) => span,
            DelayBase::Trace => row.map_or(Span(0), |r| r.delay),
        };
        // A change keeps what it does not name, and a delay is named even when it is 0.
        if delay.0 > 0 || spec.delay.base == DelayBase::Trace {
            words += &format!(" delay {delay}");
            if spec.delay.jitter.0 > 0 {
                words += &format!(" {}", spec.delay.jitter);
            }
        }
        words += &match &spec.loss {
            LossSpec::None | LossSpec::Pattern { .. } => String::new(),
            LossSpec::Random { probability } => format!(" loss random {probability}"),
            LossSpec::GilbertElliott { good_to_bad, bad_to_good, loss_good, loss_bad, .. } => {
                format!(" loss gemodel {good_to_bad} {bad_to_good} {loss_bad} {loss_good}")
            }
            LossSpec::Trace => format!(" loss random {}", row.map_or(Probability::ZERO, |r| r.loss)),
        };
        for (name, p) in [("duplicate", spec.duplicate), ("corrupt", spec.corrupt)] {
            if p > Probability::ZERO {
                words += &format!(" {name} {p}");
            }
        }
        format!("{words} seed {}", row_seed(self.seed, played))
    }

    fn htb(&self, b: &BottleneckSpec, rate: Bitrate) -> String {
        let rate = rate_text(rate);
        if self.compat {
            // As the script writes it; the ceiling and its bucket of 1600 bytes are tc's defaults.
            return format!("htb rate {rate} burst 150k");
        }
        let burst = b.burst.0.max(1);
        format!("htb rate {rate} ceil {rate} burst {burst} cburst {burst}")
    }
}

fn tbf(b: &BottleneckSpec, rate: Bitrate) -> String {
    let limit = match b.queue {
        QueueLimit::Bytes(bytes) => bytes.0,
        QueueLimit::Packets(n) => n.saturating_mul(FRAME),
        QueueLimit::Delay(span) => held(rate, span),
        // An hour at the rate, as far as tc's 32 bits reach.
        QueueLimit::Unlimited => (rate.as_bps() / 8).saturating_mul(3600),
    };
    format!(
        "tbf rate {} burst {} limit {}",
        rate_text(rate),
        b.burst.0.max(BUCKET),
        limit.min(u64::from(u32::MAX))
    )
}

/// Bytes that leave within `span`, at least a frame and as far as tc's 32 bits reach.
fn held(rate: Bitrate, span: Span) -> u64 {
    let bytes = u128::from(rate.as_bps()) * u128::from(span.0) / 8_000_000_000;
    u64::from(u32::try_from(bytes).unwrap_or(u32::MAX)).max(FRAME)
}

/// A frame with 1500 bytes of IP.
const FRAME: u64 = 1514;
/// The least bucket of tbf: passes such a frame, with room for a VLAN tag.
const BUCKET: u64 = 1540;

/// What the commands do otherwise than the link.
fn differences(spec: &LinkSpec, compat: bool, rows: &[ScheduledRow], out: &mut Vec<String>) {
    let mut differs = |text: &str| out.push(text.into());
    if let Some(Trace::Opportunities(_)) = spec.trace.as_ref().and_then(|t| t.content.as_deref()) {
        differs("tc has no packet-delivery traces: the rate is set every 100 ms instead");
    }
    match &spec.loss {
        LossSpec::None | LossSpec::Random { .. } | LossSpec::Trace => {}
        LossSpec::GilbertElliott { step, loss_by, .. } => {
            if let Some(span) = step.interval() {
                differs(&format!(
                    "netem steps the chain per packet, the link every {span}: same mean loss, other bursts"
                ));
            }
            if *loss_by == LossBy::New {
                differs("netem judges a packet by the state before its step, the link by the one after it");
            }
        }
        LossSpec::Pattern { .. } => differs("tc cannot lose packets by a pattern: none are lost"),
    }
    let random = spec.loss != LossSpec::None && !matches!(spec.loss, LossSpec::Pattern { .. });
    let other = [spec.duplicate, spec.corrupt].iter().any(|p| *p > Probability::ZERO);
    if spec.model == Model::Native && (random || other || spec.delay.jitter.0 > 0) {
        differs("model = \"native\" draws other random numbers than the kernel: same law, other packets");
    }
    if spec.order == Order::QueueFirst && random {
        differs("the link draws loss after the queue, netem before it");
    }
    let reorders = !spec.delay.reorder && (spec.delay.jitter.0 > 0 || spec.delay.base == DelayBase::Trace);
    if reorders {
        differs("netem's delay lets packets overtake when it varies, the link's does not");
    }
    if let Some(b) = spec.bottleneck.as_ref().filter(|b| b.rate != RateSpec::Unlimited) {
        bottleneck_differences(spec, b, rows, compat, &mut differs);
    }
    if rows.len() > 1 {
        differs("`sleep` and `tc` take time of their own: later rows come later than the trace says");
        if spec.trace.as_ref().is_some_and(|t| t.repeat) {
            differs("the trace is played once, the link repeats it");
        }
    }
}

fn bottleneck_differences(
    spec: &LinkSpec,
    b: &BottleneckSpec,
    rows: &[ScheduledRow],
    compat: bool,
    differs: &mut impl FnMut(&str),
) {
    let traced = b.rate == RateSpec::Trace && rows.len() > 1;
    if spec.overhead.0 != ETHERNET {
        differs(&format!(
            "tc's shapers count {ETHERNET} bytes of Ethernet header per packet, the link counts {}",
            spec.overhead.0
        ));
    }
    if spec.order != Order::DelayFirst {
        let varies = spec.delay.jitter.0 > 0 || spec.delay.base == DelayBase::Trace;
        if varies || traced && spec.delay.base != DelayBase::default() {
            differs("in tc the delay comes before the queue, in the link after it");
        }
    }
    if !b.debt && b.burst.0 < BUCKET {
        differs(&format!(
            "tbf's bucket must hold a frame: {BUCKET} bytes go at once after a pause, in the link {}",
            b.burst.0
        ));
    }
    if traced && !b.debt {
        differs(&format!(
            "tbf fills its bucket at every change: up to {} bytes more per row",
            b.burst.0.max(BUCKET)
        ));
    }
    match (b.queue, b.debt) {
        (QueueLimit::Packets(_), false) => differs("tbf's limit is in bytes: packets are taken to have 1514"),
        (QueueLimit::Delay(_), true) => {
            differs("tc's queues have no limit in time: the bytes of the first rate in that time are taken");
        }
        (QueueLimit::Delay(_), false) => {
            differs("tc's queues have no limit in time: the bytes of the rate in that time are taken");
        }
        (QueueLimit::Unlimited, _) => differs("tc's queues have a limit: as large as 32 bits of bytes allow"),
        _ => {}
    }
    if !compat && b.debt && b.burst.0 == 0 {
        differs("what the kernel's timer is late is lost to a rate without a bucket");
    }
    if rows.iter().any(|r| b.rate == RateSpec::Trace && r.rate < LEAST) {
        differs(&format!("qdiscs have no rate of 0: {} instead", rate_text(LEAST)));
    }
}
