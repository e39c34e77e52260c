//! Links to test with: written as in a scenario file, or any that can be.

use link::trace::{Format, Replay, TraceSpec};
use link::*;
use proptest::prelude::*;
use std::path::Path;

/// A link from its TOML, as a scenario file would hold it.
pub fn link(text: &str, seed: u64) -> Link {
    Link::new(&spec(text), seed).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

pub fn spec(text: &str) -> LinkSpec {
    let mut spec: LinkSpec = toml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    spec.load(Path::new("")).unwrap();
    spec
}

fn probability() -> impl Strategy<Value = Probability> {
    prop_oneof![
        Just(Probability::ZERO),
        Just(Probability::ONE),
        (0u64..=1_000_000_000_000).prop_map(|p| Probability::from_parts(p).unwrap()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![Just(Step::Packet), (1_000_000u64..1_000_000_000).prop_map(|ns| Step::Interval(Span(ns)))]
}

fn loss() -> impl Strategy<Value = LossSpec> {
    prop_oneof![
        3 => Just(LossSpec::None),
        2 => probability().prop_map(|probability| LossSpec::Random { probability }),
        4 => (probability(), probability(), probability(), probability(), step(), any::<bool>()).prop_map(
            |(good_to_bad, bad_to_good, loss_good, loss_bad, step, old)| LossSpec::GilbertElliott {
                good_to_bad,
                bad_to_good,
                loss_good,
                loss_bad,
                step,
                loss_by: if old { LossBy::Old } else { LossBy::New },
            }
        ),
        2 => (proptest::collection::vec(any::<bool>(), 0..20), any::<bool>(), step())
            .prop_map(|(lost, repeat, step)| LossSpec::Pattern { pattern: Pattern(lost), repeat, step }),
        1 => Just(LossSpec::Trace),
    ]
}

fn bottleneck() -> impl Strategy<Value = BottleneckSpec> {
    let rate = prop_oneof![
        8 => (0u64..5_000_000_000).prop_map(|bps| RateSpec::Constant(Bitrate(bps))),
        1 => Just(RateSpec::Constant(Bitrate(u64::MAX))),
        1 => Just(RateSpec::Unlimited),
        2 => Just(RateSpec::Trace),
    ];
    let queue = prop_oneof![
        Just(QueueLimit::Unlimited),
        (0u64..100_000).prop_map(|b| QueueLimit::Bytes(ByteCount(b))),
        (0u64..50).prop_map(QueueLimit::Packets),
        (0u64..1_000_000_000).prop_map(|ns| QueueLimit::Delay(Span(ns))),
    ];
    (rate, prop_oneof![Just(0u64), 0u64..200_000, Just(u64::MAX)], any::<bool>(), queue)
        .prop_map(|(rate, burst, debt, queue)| BottleneckSpec { rate, burst: ByteCount(burst), debt, queue })
}

fn trace() -> impl Strategy<Value = TraceSpec> {
    let named = |name: &str, format, replay| {
        let mut t = TraceSpec::file(Path::new(""), format);
        (t.file, t.shipped, t.replay) = (None, Some(name.to_owned()), replay);
        t
    };
    let which = prop_oneof![
        Just(named("wifi-lossy", Format::Revo, Replay::Columns)),
        Just(named("wifi-lossy", Format::Revo, Replay::Full)),
        Just(named("wifi-lossy", Format::Revo, Replay::Compat)),
        Just(named("step-down", Format::Revo, Replay::Nominal)),
        Just(named("cellular", Format::Mahimahi, Replay::Columns)),
    ];
    (
        which,
        0u64..40_000_000_000,
        proptest::option::weighted(0.3, 0u64..40_000_000_000),
        proptest::bool::weighted(0.8),
    )
        .prop_map(|(mut t, offset, duration, repeat)| {
            (t.offset, t.duration, t.repeat) = (Span(offset), duration.map(Span), repeat);
            t
        })
}

/// Anything that a scenario file can say, sense or nonsense.
pub fn any_spec() -> impl Strategy<Value = LinkSpec> {
    let model = prop_oneof![4 => Just(Model::Native), 1 => Just(Model::Netem)];
    let order = prop_oneof![Just(Order::LossFirst), Just(Order::QueueFirst), Just(Order::DelayFirst)];
    let epoch = prop_oneof![Just(Epoch::FirstPacket), Just(Epoch::Run)];
    let base = prop_oneof![
        20 => (0u64..200_000_000).prop_map(|ns| DelayBase::Constant(Span(ns))),
        2 => Just(DelayBase::Trace),
        1 => Just(DelayBase::Constant(Span(u64::MAX)))
    ];
    let delay =
        (base, prop_oneof![10 => Just(0u64), 10 => 0u64..50_000_000, 1 => Just(u64::MAX)], any::<bool>())
            .prop_map(|(base, jitter, reorder)| DelaySpec { base, jitter: Span(jitter), reorder });
    (
        (model, order, epoch, 0u64..50),
        loss(),
        proptest::option::of(bottleneck()),
        delay,
        probability(),
        probability(),
        proptest::option::weighted(0.3, trace()),
    )
        .prop_map(
            |((model, order, epoch, overhead), loss, bottleneck, delay, duplicate, corrupt, trace)| {
                LinkSpec {
                    model,
                    order,
                    epoch,
                    overhead: ByteCount(overhead),
                    loss,
                    bottleneck,
                    delay,
                    duplicate,
                    corrupt,
                    trace,
                }
            },
        )
}
