//! The `tc` commands that come nearest to a link, so that others can check a scenario with their own tools.

use crate::error::LinkError;
use crate::spec::{
    BottleneckSpec, DelayBase, LinkSpec, LossBy, LossSpec, Model, Order, QueueLimit, RateSpec, Step,
};
use crate::trace::Trace;
use crate::trace::revo::Row;
use crate::units::{Probability, Span};
use crate::{Bitrate, rate_text};
use std::fmt;

/// Commands for one device, and in what they differ from the link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcScript {
    /// What the commands do otherwise than the link; empty if they do the same.
    pub differences: Vec<String>,
    /// Shell commands, in order.
    pub commands: Vec<String>,
}

impl fmt::Display for TcScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.differences.iter().try_for_each(|d| writeln!(f, "# differs: {d}"))?;
        self.commands.iter().try_for_each(|c| writeln!(f, "{c}"))
    }
}

/// Bytes of the Ethernet header, which tc's shapers count with every packet.
const ETHERNET: u64 = 14;

/// The commands for `spec` on device `dev`. Its trace, if it has one, must be loaded.
///
/// # Errors
/// When the spec is not a link.
pub fn tc_script(spec: &LinkSpec, dev: &str, seed: u64) -> Result<TcScript, LinkError> {
    crate::Link::new(spec, seed)?;
    let htb = spec.trace.as_ref().is_some_and(|t| t.replay == crate::trace::Replay::Compat);
    let spec = &spec.resolved()?;
    let mut script = TcScript::default();
    let mut differs = |text: &str| script.differences.push(text.into());
    let rows: Vec<Row> = match spec.trace.as_ref().and_then(|t| t.content.as_deref()) {
        Some(Trace::Rows(rows)) => rows.rows.clone(),
        Some(Trace::Opportunities(times)) => {
            differs("tc has no packet-delivery traces: the rate is set every 100 ms instead");
            times.rows(Span::from_millis(100)).map_or_else(Vec::new, |r| r.rows)
        }
        None => Vec::new(),
    };
    let offset = spec.trace.as_ref().map_or(Span(0), |t| t.offset);
    let first = rows.iter().rev().find(|r| r.start <= offset).copied();

    let loss = loss_words(spec, first.map_or(Probability::ZERO, |r| r.loss), &mut differs);
    if spec.model == Model::Native && !matches!(spec.loss, LossSpec::None) {
        differs("model = \"native\" draws other random numbers than the kernel: same law, other packets");
    }
    if spec.order == Order::QueueFirst {
        differs("the link draws loss after the queue, netem before it");
    }
    if spec.delay.jitter.0 > 0 && !spec.delay.reorder {
        differs("netem's jitter reorders packets, the link's does not");
    }
    if let Some(b) = &spec.bottleneck {
        bottleneck_differences(b, spec.overhead.0, htb, &mut differs);
    }

    let delay = |row: Option<Row>| match spec.delay.base {
        DelayBase::Constant(span) => span,
        DelayBase::Trace => Span(row.map_or(0, |r| r.rtt.0 / 2)),
    };
    // Every `tc qdisc change` seeds netem's generator anew, so later rows need seeds of their own.
    let netem = |row: Option<Row>, loss: &str| {
        let seed = match row {
            Some(row) if row.start > offset => seed.wrapping_add(row.start.0),
            _ => seed,
        };
        let mut words = format!("netem limit {}", netem_limit(spec));
        if delay(row).0 > 0 || spec.delay.jitter.0 > 0 {
            words += &format!(" delay {}", delay(row));
            if spec.delay.jitter.0 > 0 {
                words += &format!(" {}", spec.delay.jitter);
            }
        }
        words += loss;
        for (name, p) in [("duplicate", spec.duplicate), ("corrupt", spec.corrupt)] {
            if p > Probability::ZERO {
                words += &format!(" {name} {p}");
            }
        }
        format!("{words} seed {seed}")
    };
    let rate = |row: Option<Row>| match spec.bottleneck.as_ref().map(|b| b.rate) {
        Some(RateSpec::Constant(rate)) => Some(rate),
        Some(RateSpec::Trace) => row.map(|r| r.rate),
        Some(RateSpec::Unlimited) | None => None,
    };
    let commands = &mut script.commands;
    match (&spec.bottleneck, rate(first)) {
        (Some(b), Some(first_rate)) if htb || spec.order == Order::DelayFirst => {
            // The queue is netem's own, below the shaper.
            let burst = if htb { "150k".to_owned() } else { tbf_burst(b).to_string() };
            commands.push(format!("tc qdisc replace dev {dev} root handle 1: htb default 10"));
            commands.push(format!(
                "tc class replace dev {dev} parent 1: classid 1:10 htb rate {} burst {burst}",
                rate_text(first_rate)
            ));
            commands
                .push(format!("tc qdisc replace dev {dev} parent 1:10 handle 10: {}", netem(first, &loss)));
            trace_steps(spec, &rows, commands, |row, commands| {
                commands.push(format!(
                    "tc class change dev {dev} parent 1: classid 1:10 htb rate {} burst {burst}",
                    rate_text(row.rate)
                ));
                let loss = if spec.loss == LossSpec::Trace { row_loss(row.loss) } else { loss.clone() };
                commands.push(format!(
                    "tc qdisc change dev {dev} parent 1:10 handle 10: {}",
                    netem(Some(*row), &loss)
                ));
            });
        }
        (Some(b), Some(first_rate)) => {
            let tbf = |rate: Bitrate| {
                format!("tbf rate {} burst {} {}", rate_text(rate), tbf_burst(b), tbf_limit(b, rate))
            };
            commands.push(format!("tc qdisc replace dev {dev} root handle 1: {}", netem(first, &loss)));
            commands.push(format!("tc qdisc replace dev {dev} parent 1:1 handle 2: {}", tbf(first_rate)));
            trace_steps(spec, &rows, commands, |row, commands| {
                let loss = if spec.loss == LossSpec::Trace { row_loss(row.loss) } else { loss.clone() };
                commands
                    .push(format!("tc qdisc change dev {dev} root handle 1: {}", netem(Some(*row), &loss)));
                if let Some(rate) = rate(Some(*row)) {
                    commands.push(format!("tc qdisc change dev {dev} parent 1:1 handle 2: {}", tbf(rate)));
                }
            });
        }
        _ => {
            commands.push(format!("tc qdisc replace dev {dev} root handle 1: {}", netem(first, &loss)));
            trace_steps(spec, &rows, commands, |row, commands| {
                let loss = if spec.loss == LossSpec::Trace { row_loss(row.loss) } else { loss.clone() };
                commands
                    .push(format!("tc qdisc change dev {dev} root handle 1: {}", netem(Some(*row), &loss)));
            });
        }
    }
    Ok(script)
}

fn row_loss(p: Probability) -> String {
    if p > Probability::ZERO { format!(" loss random {p}") } else { String::new() }
}

fn loss_words(spec: &LinkSpec, first: Probability, differs: &mut impl FnMut(&str)) -> String {
    match &spec.loss {
        LossSpec::None => String::new(),
        LossSpec::Random { probability } => row_loss(*probability),
        LossSpec::GilbertElliott { good_to_bad, bad_to_good, loss_good, loss_bad, step, loss_by } => {
            if let Step::Interval(span) = step {
                differs(&format!(
                    "netem steps the chain per packet, the link every {span}: same mean loss, other bursts"
                ));
            }
            if *loss_by == LossBy::New {
                differs("netem judges a packet by the state before its step, the link by the one after it");
            }
            format!(" loss gemodel {good_to_bad} {bad_to_good} {loss_bad} {loss_good}")
        }
        LossSpec::Pattern { .. } => {
            differs("tc cannot lose packets by a pattern: none are lost");
            String::new()
        }
        LossSpec::Trace => row_loss(first),
    }
}

fn bottleneck_differences(b: &BottleneckSpec, overhead: u64, htb: bool, differs: &mut impl FnMut(&str)) {
    if b.rate == RateSpec::Unlimited {
        return;
    }
    if overhead != ETHERNET {
        differs(&format!(
            "tc's shapers count {ETHERNET} bytes of Ethernet header per packet, the link counts {overhead}"
        ));
    }
    if b.burst.0 == 0 {
        differs(
            "tc's shapers let a full bucket of one packet through at once, the link takes its bytes / rate",
        );
    }
    if !htb && matches!(b.queue, QueueLimit::Packets(_)) {
        differs("tbf's limit is in bytes: packets are taken to have 1514");
    }
}

/// A token bucket that passes one full packet.
fn tbf_burst(b: &BottleneckSpec) -> u64 {
    b.burst.0.max(1540)
}

fn tbf_limit(b: &BottleneckSpec, rate: Bitrate) -> String {
    match b.queue {
        QueueLimit::Bytes(bytes) => format!("limit {}", bytes.0),
        QueueLimit::Packets(n) => format!("limit {}", n.saturating_mul(1514)),
        QueueLimit::Delay(span) => format!("latency {span}"),
        // An hour at the rate, as far as tc's 32 bits reach.
        QueueLimit::Unlimited => {
            format!("limit {}", (rate.as_bps() / 8).saturating_mul(3600).min(u64::from(u32::MAX)))
        }
    }
}

fn netem_limit(spec: &LinkSpec) -> u64 {
    match (spec.order, spec.bottleneck.as_ref().map(|b| b.queue)) {
        (Order::DelayFirst, Some(QueueLimit::Packets(n))) => n,
        // netem's own default of 1000 would be a second, silent bottleneck.
        _ => 1_000_000,
    }
}

/// Commands for the later rows of a trace, each after a pause.
fn trace_steps(
    spec: &LinkSpec,
    rows: &[Row],
    commands: &mut Vec<String>,
    step: impl Fn(&Row, &mut Vec<String>),
) {
    let Some(trace) = &spec.trace else { return };
    let end = trace.duration.map_or(u64::MAX, |d| trace.offset.0.saturating_add(d.0));
    let mut previous = trace.offset.0;
    for row in rows.iter().filter(|r| r.start.0 > trace.offset.0 && r.start.0 < end) {
        let pause = row.start.0 - previous;
        commands.push(format!("sleep {}.{:09}", pause / 1_000_000_000, pause % 1_000_000_000));
        step(row, commands);
        previous = row.start.0;
    }
}
