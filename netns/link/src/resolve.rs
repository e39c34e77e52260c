//! From a description to its stages: replay modes filled in, contradictions refused.

use crate::bottleneck::{Bottleneck, Capacity};
use crate::error::LinkError;
use crate::netem::{Netem, NetemLoss};
use crate::spec::{
    BottleneckSpec, DelayBase, DelaySpec, LinkSpec, LossBy, LossSpec, Model, Order, QueueLimit, RateSpec,
    Step,
};
use crate::trace::mahimahi::Opportunities;
use crate::trace::{Format, Playback, Replay, Schedule, Trace, TraceSpec};
use crate::units::{ByteCount, Span};
use std::path::Path;
use std::sync::Arc;

/// htb's `cburst` when tc is not told one: the largest packet it expects (measured: `cburst 1600b` at every rate).
const HTB_CBURST: ByteCount = ByteCount(1600);
/// `burst 150k` as tc reads it: its `k` is 1024 in sizes.
const REVO_BURST: ByteCount = ByteCount(150 * 1024);
/// netem's `limit` when a script does not set one.
const NETEM_LIMIT: QueueLimit = QueueLimit::Packets(1000);

impl LinkSpec {
    /// Delay of what is sent before the channel begins (handshakes are not under test): the path's own, or 20 ms where that
    /// is traced.
    #[must_use]
    pub fn setup_delay(&self) -> std::time::Duration {
        let traced = std::time::Duration::from_millis(20);
        constant_delay(&self.delay).map_or(traced, std::time::Duration::from_nanos)
    }

    /// Reads the trace's file, if there is one, looked for from `base`.
    ///
    /// # Errors
    /// When the file is missing, changed or makes no sense.
    pub fn load(&mut self, base: &Path) -> Result<(), LinkError> {
        if let Some(trace) = &mut self.trace {
            trace.load(base)?;
        }
        Ok(())
    }

    /// The same link with its trace's replay mode written out stage by stage.
    ///
    /// # Errors
    /// When a stage that the replay mode sets is set otherwise.
    pub fn resolved(&self) -> Result<LinkSpec, LinkError> {
        let Some(trace) = &self.trace else { return Ok(self.clone()) };
        if trace.replay == Replay::Columns {
            return Ok(self.clone());
        }
        if trace.format == Format::Mahimahi {
            let problem = "a mahimahi trace has a rate only: remove `replay` and write `bottleneck = { rate = \"trace\", queue = ... }`".into();
            return Err(LinkError::Field { field: "trace.replay", problem });
        }
        let taken = |field, set: bool| {
            let problem = "the trace's replay mode sets it: remove it, or write `replay = \"columns\"` and set every stage".into();
            if set { Err(LinkError::Field { field, problem }) } else { Ok(()) }
        };
        taken("loss", self.loss != LossSpec::None)?;
        taken("delay.base", self.delay.base != DelayBase::default())?;
        taken("bottleneck.rate", self.bottleneck.as_ref().is_some_and(|b| b.rate != RateSpec::Trace))?;
        taken("order", self.order != Order::default())?;
        let mut spec = self.clone();
        let replay = trace.replay;
        if let Some(trace) = &mut spec.trace {
            trace.replay = Replay::Columns;
            trace.last_row_holds = replay == Replay::Full;
        }
        spec.loss = LossSpec::Trace;
        let burst = match replay {
            Replay::Compat => HTB_CBURST,
            Replay::Nominal => REVO_BURST,
            Replay::Full | Replay::Columns => ByteCount(0),
        };
        if replay == Replay::Full {
            spec.delay.base = DelayBase::Trace;
        } else {
            spec.order = Order::DelayFirst;
            spec.overhead = ByteCount(14);
            spec.delay.base = DelayBase::Constant(Span::from_millis(40));
        }
        let debt = replay == Replay::Compat;
        let queue = NETEM_LIMIT;
        spec.bottleneck.get_or_insert(BottleneckSpec { rate: RateSpec::Trace, burst, debt, queue });
        Ok(spec)
    }

    /// The rows of its trace as this link plays them; `None` without a trace of rows.
    ///
    /// # Errors
    /// When the spec is not a link or its trace is not loaded.
    pub fn schedule(&self) -> Result<Option<Schedule>, LinkError> {
        self.validate()?;
        Ok(match source(&self.resolved()?)? {
            Source::Rows(rows) => Some(Schedule(rows)),
            Source::None | Source::Opportunities(..) => None,
        })
    }

    /// The same link in a run of `fps` frames per second: what steps with every frame steps at that rate.
    pub fn at_rate(&mut self, fps: u32) {
        if let LossSpec::GilbertElliott { step, .. } | LossSpec::Pattern { step, .. } = &mut self.loss
            && *step == Step::Frame
        {
            *step = Step::Interval(Span::of_frame(fps));
        }
    }

    /// Refuses a description that is not a link; loads nothing and needs no loaded trace.
    ///
    /// # Errors
    /// Names the field and says what to write instead.
    pub fn validate(&self) -> Result<(), LinkError> {
        let spec = self.resolved()?;
        let field = |field, problem: &str| Err(LinkError::Field { field, problem: problem.into() });
        if let LossSpec::GilbertElliott { step: Step::Interval(span), .. }
        | LossSpec::Pattern { step: Step::Interval(span), .. } = &spec.loss
            && span.0 < 1_000_000
        {
            return field(
                "loss.step",
                "an interval below 1 ms is shorter than the gaps between packets: use \"packet\"",
            );
        }
        if let LossSpec::Pattern { pattern, .. } = &spec.loss
            && pattern.0.is_empty()
        {
            return field(
                "loss.pattern",
                "empty: write `.` for delivered and `x` for lost, or model = \"none\"",
            );
        }
        if let Some(b) = &spec.bottleneck {
            match b.rate {
                RateSpec::Constant(rate) if rate.as_bps() == 0 => {
                    return field(
                        "bottleneck.rate",
                        "nothing ever leaves at 0 bit/s: to lose everything, write loss = { model = \"random\", probability = \"100%\" }",
                    );
                }
                RateSpec::Unlimited if b.burst.0 > 0 => {
                    return field(
                        "bottleneck.burst",
                        "has no meaning without a rate: remove it or set bottleneck.rate",
                    );
                }
                _ => {}
            }
            if b.queue == QueueLimit::Packets(0) || b.queue == QueueLimit::Bytes(ByteCount(0)) {
                return field(
                    "bottleneck.queue",
                    "no packet fits: the limit counts the packet being sent, so write \"1p\" or more",
                );
            }
        }
        if spec.order == Order::DelayFirst && spec.delay.reorder {
            return field(
                "delay.reorder",
                "with order = \"delay_first\" packets stand before the queue in order: remove it, or use order = \"loss_first\"",
            );
        }
        const HOUR: Span = Span(3_600_000_000_000);
        if spec.delay.jitter > HOUR || matches!(spec.delay.base, DelayBase::Constant(base) if base > HOUR) {
            return field("delay", "more than an hour: write a time such as \"20ms\"");
        }
        if spec.delay.jitter.0 > 0
            && matches!(spec.delay.base, DelayBase::Constant(base) if base < spec.delay.jitter)
        {
            return field(
                "delay.jitter",
                "larger than delay.base, so that some delays would be negative: raise delay.base or lower delay.jitter",
            );
        }
        if spec.model == Model::Netem {
            netem_can(&spec)?;
        }
        match (&spec.trace, spec.followers().next()) {
            (Some(trace), _) if trace.file.is_some() == trace.shipped.is_some() => {
                Err(crate::trace::TraceError::NoSource.into())
            }
            (None, Some(field)) => Err(LinkError::NoTrace { field }),
            _ => Ok(()),
        }
    }

    /// Whether a stage follows the trace, by its own word or by the trace's replay mode.
    #[must_use]
    pub fn follows_trace(&self) -> bool {
        self.resolved().is_ok_and(|spec| spec.followers().next().is_some())
    }

    /// Fields of stages that say "trace".
    fn followers(&self) -> impl Iterator<Item = &'static str> {
        let uses = [
            (self.loss == LossSpec::Trace, "loss.model"),
            (self.bottleneck.as_ref().is_some_and(|b| b.rate == RateSpec::Trace), "bottleneck.rate"),
            (self.delay.base == DelayBase::Trace, "delay.base"),
        ];
        uses.into_iter().filter(|(used, _)| *used).map(|(_, field)| field)
    }
}

/// Refuses what the kernel's netem does not do, or does not do reproducibly.
fn netem_can(spec: &LinkSpec) -> Result<(), LinkError> {
    let field = |field, problem: &str| Err(LinkError::Field { field, problem: problem.into() });
    match &spec.loss {
        LossSpec::None | LossSpec::Random { .. } | LossSpec::Trace => {}
        LossSpec::GilbertElliott { .. } if spec.delay.base == DelayBase::Trace => {
            return field(
                "delay.base",
                "every change of netem starts its two-state channel anew: write a time, or model = \"native\"",
            );
        }
        LossSpec::GilbertElliott { step: Step::Packet, loss_by: LossBy::Old, .. } => {}
        LossSpec::GilbertElliott { .. } => {
            return field(
                "loss",
                "model = \"netem\" steps per packet and judges by the old state: write step = \"packet\", loss_by = \"old\", or model = \"native\"",
            );
        }
        LossSpec::Pattern { .. } => {
            return field("loss.model", "netem has no such model: write model = \"native\" for the link");
        }
    }
    if spec.order == Order::QueueFirst {
        return field(
            "order",
            "netem decides about losses before any queue: write \"loss_first\" or \"delay_first\", or model = \"native\"",
        );
    }
    if spec.delay.base == DelayBase::Trace && !spec.delay.reorder {
        return field(
            "delay.reorder",
            "where a trace's delay falls, netem lets packets overtake: write reorder = true, or model = \"native\"",
        );
    }
    if spec.delay.jitter.0 > 0 && !spec.delay.reorder {
        return field(
            "delay.reorder",
            "netem's jitter reorders packets: write reorder = true, or model = \"native\"",
        );
    }
    if spec.delay.jitter.0 > i32::MAX as u64 {
        return field("delay.jitter", "netem caps jitter at 2147483647 ns: lower it");
    }
    Ok(())
}

/// The trace, ready to be played.
pub(crate) enum Source {
    None,
    Rows(Arc<Playback>),
    Opportunities(Arc<Opportunities>, u64),
}

pub(crate) fn source(spec: &LinkSpec) -> Result<Source, LinkError> {
    let Some(trace) = &spec.trace else { return Ok(Source::None) };
    let content = trace.content.as_ref().ok_or_else(|| LinkError::TraceNotLoaded { name: trace.name() })?;
    // After the file is there: a mistaken path is the first thing to fix.
    if spec.followers().next().is_none() {
        let problem = match trace.format {
            Format::Mahimahi => {
                "no stage follows it, so that it would do nothing: write `bottleneck = { rate = \"trace\", queue = \"60kB\" }`"
            }
            Format::Revo | Format::Csv => {
                "no stage follows it, so that it would do nothing: write replay = \"full\" in it, \
                 or name \"trace\" in the stages that are to follow it (loss.model, bottleneck.rate, delay.base)"
            }
        };
        return Err(LinkError::Field { field: "trace", problem: problem.into() });
    }
    Ok(match &**content {
        Trace::Rows(rows) => {
            let lacks = |field, problem| Err(LinkError::TraceLacks { field, problem });
            for field in spec.followers() {
                match field {
                    "loss.model" if !rows.has_loss => {
                        return lacks(
                            field,
                            "its file says nothing about losses: add a column `loss`, or leave out `replay` and set this stage itself",
                        );
                    }
                    "bottleneck.rate" if !rows.has_rate => {
                        return lacks(
                            field,
                            "its file says nothing about the rate: add a column such as `rate_mbps`, or leave out `replay` and set this stage itself",
                        );
                    }
                    "delay.base" if !rows.has_rtt => {
                        return lacks(
                            field,
                            "its file says nothing about the round-trip time: add a column `rtt_ms`, or leave out `replay` and set this stage itself",
                        );
                    }
                    _ => {}
                }
            }
            Source::Rows(Arc::new(Playback::new(rows, trace)?))
        }
        Trace::Opportunities(times) => Source::Opportunities(times.clone(), mahimahi_offset(trace)?),
    })
}

fn mahimahi_offset(trace: &TraceSpec) -> Result<u64, LinkError> {
    if trace.duration.is_some() || !trace.repeat {
        let problem =
            "a mahimahi trace is played from `offset` on and repeated: remove `duration` and `repeat`".into();
        return Err(LinkError::Field { field: "trace", problem });
    }
    Ok(trace.offset.0)
}

pub(crate) fn bottleneck(spec: &LinkSpec, source: &Source) -> Result<Option<Bottleneck>, LinkError> {
    let Some(b) = &spec.bottleneck else { return Ok(None) };
    let lacks = |problem| LinkError::TraceLacks { field: "bottleneck.rate", problem };
    let capacity = match b.rate {
        RateSpec::Unlimited => None,
        RateSpec::Constant(rate) => Some(Capacity::Constant(rate.as_bps())),
        RateSpec::Trace => Some(match source {
            Source::None => return Err(LinkError::NoTrace { field: "bottleneck.rate" }),
            Source::Rows(rows) => Capacity::rows(rows.clone()).ok_or_else(|| {
                lacks("its rate is 0 for ever after some time: write repeat = true, or a window with a rate above 0")
            })?,
            Source::Opportunities(times, offset) => Capacity::Opportunities { times: times.clone(), offset: *offset },
        }),
    };
    Ok(Some(Bottleneck::new(capacity, b.burst.0, b.debt, b.queue, spec.overhead.0)))
}

pub(crate) fn netem(spec: &LinkSpec, seed: u64) -> Netem {
    let loss = match &spec.loss {
        LossSpec::Random { probability } => NetemLoss::Random(probability.threshold()),
        LossSpec::GilbertElliott { good_to_bad, bad_to_good, loss_good, loss_bad, .. } => {
            NetemLoss::gemodel(*good_to_bad, *bad_to_good, *loss_bad, *loss_good)
        }
        LossSpec::None | LossSpec::Pattern { .. } | LossSpec::Trace => NetemLoss::Random(0),
    };
    Netem::new(seed, loss, spec.duplicate, spec.corrupt, spec.delay.jitter.0)
}

/// Base delay of the spec in nanoseconds, if it is constant.
pub(crate) fn constant_delay(delay: &DelaySpec) -> Option<u64> {
    match delay.base {
        DelayBase::Constant(span) => Some(span.0),
        DelayBase::Trace => None,
    }
}
