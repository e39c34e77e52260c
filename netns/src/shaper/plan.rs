//! From a specification to qdiscs. Refuses what they cannot do, with the reason; never approximates in silence.

use super::tc::{Htb, Limit, Netem, Tbf};
use link::{
    BottleneckSpec, DelayBase, LinkSpec, LossBy, LossSpec, Model, Order, QueueLimit, RateSpec, Schedule,
    ScheduledRow, Step, row_seed,
};

/// The qdiscs that do what a specification says. With a trace: what they are while its first row is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Loss and delay.
    pub netem: Option<Netem>,
    /// Rate and queue.
    pub rate: Option<Rate>,
    /// What changes with every row of the trace.
    pub traced: Traced,
    /// The link's seed, from which rows have theirs.
    pub seed: u64,
}

/// What limits the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// A bucket that must hold a packet before it goes; below netem, if there is one.
    Tbf(Tbf),
    /// A bucket that may run into debt. Its leaf is a queue; or netem itself, where the queue's limit counts the packets of the
    /// delay line, too.
    Htb(Htb),
}

/// What changes with every row of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// The rate: htb's class is changed.
    pub rate: bool,
    /// The loss: netem is changed, with the row's seed.
    pub loss: bool,
    /// The delay: the same.
    pub delay: bool,
}

impl Traced {
    /// Whether netem is changed at every row.
    #[must_use]
    pub fn netem(self) -> bool {
        self.loss || self.delay
    }

    /// Whether anything is.
    #[must_use]
    pub fn any(self) -> bool {
        self.rate || self.netem()
    }
}

impl Plan {
    /// What it is while the `played`-th row (from 0, over all repetitions) is played.
    #[must_use]
    pub fn at_row(&self, played: u64, row: &ScheduledRow) -> Plan {
        let mut plan = *self;
        if let Some(netem) = &mut plan.netem
            && self.traced.netem()
        {
            netem.seed = Some(row_seed(self.seed, played));
            if self.traced.loss {
                netem.loss = row.loss.threshold();
            }
            if self.traced.delay {
                netem.delay_ns = row.delay.as_nanos();
            }
        }
        if let Some(Rate::Htb(htb)) = &mut plan.rate
            && self.traced.rate
        {
            htb.bytes_per_second = row.rate.as_bps() / 8;
        }
        plan
    }

    /// What it is before the channel begins: a delay, and nothing else that anybody could notice.
    #[must_use]
    pub fn open(&self, delay_ns: u64) -> Plan {
        /// 10 Gbit/s.
        const WIDE: u64 = 1_250_000_000;
        let mut plan = *self;
        if let Some(netem) = &mut plan.netem {
            *netem = Netem { delay_ns, limit: NO_LIMIT, seed: netem.seed, ..Netem::default() };
        }
        match &mut plan.rate {
            Some(Rate::Tbf(tbf)) => tbf.bytes_per_second = WIDE,
            Some(Rate::Htb(htb)) => htb.bytes_per_second = WIDE,
            None => {}
        }
        plan
    }

    /// Whether netem is htb's leaf rather than the root.
    #[must_use]
    pub fn netem_below(&self) -> bool {
        matches!((&self.netem, &self.rate), (Some(_), Some(Rate::Htb(Htb { limit: Limit::Netem, .. }))))
    }

    /// Whether a full queue can drop packets.
    #[must_use]
    pub fn has_queue(&self) -> bool {
        self.rate.is_some()
    }
}

/// Largest frame on the veth pairs, bytes: a bucket must hold it whole.
const FRAME: u64 = 1514;
/// Packets a netem may hold when the specification sets no limit: seconds of a fast link.
const NO_LIMIT: u32 = 1_000_000;

/// Translates a specification into qdiscs. Its trace, if it has one, must be loaded.
///
/// # Errors
/// What the kernel cannot say, in words.
pub fn kernel_plan(spec: &LinkSpec, seed: u64) -> Result<Plan, String> {
    let schedule = spec.schedule().map_err(|e| e.to_string())?;
    let spec = &spec.resolved().map_err(|e| e.to_string())?;
    let first = schedule.as_ref().and_then(|s| s.row(0));
    let traced = Traced {
        rate: spec.bottleneck.as_ref().is_some_and(|b| b.rate == RateSpec::Trace),
        loss: spec.loss == LossSpec::Trace,
        delay: spec.delay.base == DelayBase::Trace,
    };
    let netem = netem(spec, seed, first.as_ref())?;
    let rate = spec.bottleneck.as_ref().map(|b| rate(b, spec, schedule.as_ref())).transpose()?.flatten();
    let mut plan = Plan { netem, rate, traced, seed };
    if let (Some(netem), Some(rate)) = (&mut plan.netem, &mut plan.rate) {
        beside(netem, rate, spec, traced)?;
    }
    Ok(plan)
}

/// Loss and delay.
fn netem(spec: &LinkSpec, seed: u64, first: Option<&ScheduledRow>) -> Result<Option<Netem>, String> {
    let mut netem = Netem { limit: NO_LIMIT, seed: Some(seed), ..Netem::default() };
    let random = spec.loss != LossSpec::None
        || spec.duplicate.threshold() > 0
        || spec.corrupt.threshold() > 0
        || spec.delay.jitter.as_nanos() > 0;
    if random && spec.model != Model::Netem {
        return Err("its draws are the native model's, not netem's (model = \"netem\")".to_owned());
    }
    match &spec.loss {
        LossSpec::None => {}
        LossSpec::Random { probability } => netem.loss = probability.threshold(),
        LossSpec::GilbertElliott {
            good_to_bad,
            bad_to_good,
            loss_good,
            loss_bad,
            step: Step::Packet,
            loss_by: LossBy::Old,
        } => {
            netem.gemodel = Some([
                good_to_bad.threshold(),
                bad_to_good.threshold(),
                u32::MAX - loss_bad.threshold(),
                loss_good.threshold(),
            ]);
        }
        LossSpec::GilbertElliott { .. } => {
            return Err("netem steps its two-state channel per packet and judges by the old state".to_owned());
        }
        LossSpec::Pattern { .. } => return Err("netem has no loss patterns".to_owned()),
        LossSpec::Trace => netem.loss = first.map_or(0, |row| row.loss.threshold()),
    }
    netem.duplicate = spec.duplicate.threshold();
    netem.corrupt = spec.corrupt.threshold();
    netem.jitter_ns = spec.delay.jitter.as_nanos();
    netem.delay_ns = match spec.delay.base {
        DelayBase::Constant(span) => span.as_nanos(),
        DelayBase::Trace => first.map_or(0, |row| row.delay.as_nanos()),
    };
    if netem.jitter_ns > 0 && !spec.delay.reorder {
        return Err("netem's jitter reorders packets (delay.reorder = true)".to_owned());
    }
    let traced_delay = spec.delay.base == DelayBase::Trace;
    if traced_delay && !spec.delay.reorder {
        return Err(
            "where a trace's delay falls, netem lets packets overtake (delay.reorder = true)".to_owned()
        );
    }
    if traced_delay && spec.bottleneck.is_some() {
        return Err(
            "a traced delay beside a queue: netem would let packets overtake before the queue".to_owned()
        );
    }
    Ok((random || netem.delay_ns > 0 || traced_delay).then_some(netem))
}

/// Rate and queue.
fn rate(
    bottleneck: &BottleneckSpec,
    spec: &LinkSpec,
    schedule: Option<&Schedule>,
) -> Result<Option<Rate>, String> {
    if spec.overhead.0 != 14 {
        return Err("the kernel's shapers count the Ethernet header (overhead = \"14B\")".to_owned());
    }
    let whole = |bps: u64| {
        if bps.is_multiple_of(8) {
            Ok(bps / 8)
        } else {
            Err("the kernel's shapers count whole bytes per second".to_owned())
        }
    };
    let narrow = |n: u64| u32::try_from(n).map_err(|_| "the kernel's limits are 32 bits wide".to_owned());
    let bytes_per_second = match bottleneck.rate {
        RateSpec::Constant(rate) => whole(rate.as_bps())?,
        RateSpec::Unlimited => return Err("a queue without a rate is no qdisc".to_owned()),
        RateSpec::Trace => {
            let schedule = schedule
                .ok_or("packet-delivery traces have no rate to set: the emulator plays them".to_owned())?;
            for row in schedule.rows() {
                if whole(row.rate.as_bps())? < FRAME {
                    return Err(format!(
                        "row {} of the trace has {} bit/s: htb would pay for a packet sent then for more than a second, whatever comes after",
                        row.row,
                        row.rate.as_bps()
                    ));
                }
            }
            whole(schedule.row(0).map_or(0, |row| row.rate.as_bps()))?
        }
    };
    if bottleneck.burst.0 < FRAME {
        return Err(format!(
            "the bucket must hold a whole frame, or what the kernel's timer is late would be lost to the rate (burst of {FRAME}B or more)"
        ));
    }
    if bottleneck.debt {
        let limit = match bottleneck.queue {
            QueueLimit::Bytes(bytes) => Limit::Bytes(narrow(bytes.0)?),
            // `beside` puts netem in the place of the queue where the limit counts the delay line.
            QueueLimit::Packets(n) => Limit::Packets(narrow(n)?),
            QueueLimit::Delay(_) | QueueLimit::Unlimited => {
                return Err(
                    "the kernel's queues are limited in bytes or packets (queue = \"6000B\" or \"1000p\")"
                        .to_owned(),
                );
            }
        };
        return Ok(Some(Rate::Htb(Htb { bytes_per_second, burst: narrow(bottleneck.burst.0)?, limit })));
    }
    if bottleneck.rate == RateSpec::Trace {
        return Err(
            "tbf fills its bucket anew at every change, a burst per row; htb does not (bottleneck.debt = true)"
                .to_owned(),
        );
    }
    let QueueLimit::Bytes(limit) = bottleneck.queue else {
        return Err("tbf's queue is limited in bytes (queue = \"6000B\")".to_owned());
    };
    Ok(Some(Rate::Tbf(Tbf { bytes_per_second, burst: narrow(bottleneck.burst.0)?, limit: narrow(limit.0)? })))
}

/// netem and a rate together: netem comes first.
fn beside(netem: &mut Netem, rate: &mut Rate, spec: &LinkSpec, traced: Traced) -> Result<(), String> {
    let first =
        |what: &str| Err(format!("in the kernel {what} comes before the queue (order = \"delay_first\")"));
    match spec.order {
        Order::QueueFirst => return first("loss"),
        Order::LossFirst if netem.jitter_ns > 0 => return first("jitter"),
        Order::LossFirst if netem.delay_ns > 0 && traced.rate => return first("the delay"),
        Order::LossFirst | Order::DelayFirst => {}
    }
    if let (Order::DelayFirst, Rate::Htb(htb)) = (spec.order, rate)
        && let Limit::Packets(limit) = htb.limit
    {
        netem.limit = limit;
        htb.limit = Limit::Netem;
    }
    Ok(())
}
