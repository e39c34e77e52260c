//! One seeded channel, identical fates: what came out of a live lab against what the pure [`Link`] says in virtual time.

use crate::error::LabError;
use crate::lab::{End, Lab, LabConfig};
use crate::lost::Lost;
use crate::traffic::{self, Flow};
use link::{Direction, Link, LinkSpec, LossBy, LossSpec, Model, Probability, Step, Timestamp};
use std::fmt;

/// Both sides of one comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Packets sent.
    pub packets: u64,
    /// Packets that virtual time loses.
    pub lost_predicted: u64,
    /// Packets that did not come out of the lab.
    pub lost_observed: u64,
    /// Packets that came out of the lab twice.
    pub twice_observed: u64,
    /// Number of the first packet whose fate differs.
    pub first_difference: Option<u64>,
    /// Packets whose fate differs.
    pub differences: u64,
    /// Who shaped.
    pub shaper: String,
    /// Packets that were lost outside the channel: differences that say nothing about it. Seen on a busy machine where the kernel
    /// grants a user without rights only small receive buffers; a longer interval helps.
    pub lost: Lost,
    /// Packets that were still on their way when the receiver stopped waiting: no less a difference that says nothing.
    pub on_their_way: u64,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} lost in virtual time, {} in the lab ({}): ",
            self.lost_predicted, self.packets, self.lost_observed, self.shaper
        )?;
        match self.first_difference {
            None if self.twice_observed > 0 => {
                write!(f, "all fates identical, {} of them twice", self.twice_observed)
            }
            None => f.write_str("all fates identical"),
            Some(n) => write!(
                f,
                "{} fates differ, the first at packet {n}; {} packets were lost outside the model ({}), {} were still on their way",
                self.differences,
                self.lost.sum(),
                self.lost,
                self.on_their_way
            ),
        }
    }
}

/// `netem loss random P`, or `loss gemodel P R 1-H 1-K`, as a specification of the netem model.
#[must_use]
pub fn netem_spec(loss: LossSpec) -> LinkSpec {
    LinkSpec { model: Model::Netem, loss, ..LinkSpec::default() }
}

/// The channels that the differential tests run, with their equivalents in tc's words.
///
/// # Panics
/// Never: the probabilities are constants.
#[must_use]
pub fn channels() -> Vec<(&'static str, LinkSpec)> {
    let p = |text: &str| text.parse::<Probability>().expect("a constant percentage");
    let ge = |a, b, bad, good| LossSpec::GilbertElliott {
        good_to_bad: p(a),
        bad_to_good: p(b),
        loss_bad: p(bad),
        loss_good: p(good),
        step: Step::Packet,
        loss_by: LossBy::Old,
    };
    vec![
        ("loss gemodel 6.8% 85.2% 50% 4%", netem_spec(ge("6.8%", "85.2%", "50%", "4%"))),
        ("loss gemodel 1% 10% 75% 0.1%", netem_spec(ge("1%", "10%", "75%", "0.1%"))),
        ("loss random 7.4%", netem_spec(LossSpec::Random { probability: p("7.4%") })),
        (
            "loss random 5% duplicate 3%",
            LinkSpec { duplicate: p("3%"), ..netem_spec(LossSpec::Random { probability: p("5%") }) },
        ),
    ]
}

/// Sends `flow` forward through a new lab and compares each packet's fate with virtual time. For channels whose fates do not
/// depend on time (steps per packet); the others are compared by [`replay`].
///
/// # Errors
/// When the lab cannot be built or used.
pub fn compare(config: &LabConfig, flow: &Flow) -> Result<Comparison, LabError> {
    let mut virtual_link = Link::new(&config.forward, Direction::Forward.seed(config.seed))?;
    virtual_link.start_at(link::Timestamp::ZERO);
    let mut predicted = vec![0u8; usize::try_from(flow.packets).unwrap_or(usize::MAX)];
    for n in 0..flow.packets {
        virtual_link.enqueue(Timestamp(n * 1_000_000), n, flow.ip_bytes());
    }
    while let Some(delivery) = virtual_link.deliver(Timestamp::MAX) {
        // The receiver discards damaged datagrams by their checksum.
        predicted[delivery.id as usize] += u8::from(!delivery.corrupted);
    }
    let lab = Lab::new(config)?;
    let arrivals = traffic::run(&lab, End::Sender, flow)?;
    let shaper = if lab.shaper().kernel { "kernel" } else { "user" }.to_owned();
    let forward = lab.stop()?.forward;
    let lost = forward.lost;
    let entered = forward.packets_in + lost.inbound + lost.emulator + lost.too_long;
    let left = arrivals.len() as u64 + lost.outbound + lost.endpoint;
    let on_their_way =
        flow.packets.saturating_sub(entered) + forward.waiting + forward.packets_out.saturating_sub(left);
    let mut observed = vec![0u8; predicted.len()];
    for arrival in &arrivals {
        if let Some(times) = usize::try_from(arrival.n).ok().and_then(|n| observed.get_mut(n)) {
            *times = times.saturating_add(1);
        }
    }
    let different = |n: &usize| predicted[*n] != observed[*n];
    Ok(Comparison {
        packets: flow.packets,
        lost_predicted: predicted.iter().filter(|times| **times == 0).count() as u64,
        lost_observed: observed.iter().filter(|times| **times == 0).count() as u64,
        twice_observed: observed.iter().filter(|times| **times == 2).count() as u64,
        first_difference: (0..predicted.len()).find(different).map(|n| n as u64),
        differences: (0..predicted.len()).filter(different).count() as u64,
        shaper,
        lost,
        on_their_way,
    })
}

/// Puts the packets of a ledger through a new link in virtual time, at the times at which they entered the lab, and returns the
/// numbers of those whose record would differ in fate, cause, state or intended time.
///
/// # Errors
/// When the specification is refused.
pub fn replay(
    spec: &LinkSpec,
    seed: u64,
    direction: Direction,
    records: &[link::FateRecord],
) -> Result<Vec<u64>, LabError> {
    let mut own: Vec<&link::FateRecord> = records.iter().filter(|r| r.direction == direction).collect();
    own.sort_by_key(|r| r.n);
    let mut virtual_link = Link::new(spec, direction.seed(seed))?;
    virtual_link.start_at(link::Timestamp::ZERO); // as the emulator's, which began at time zero of the ledger
    let mut differing = Vec::new();
    for record in own {
        let fate = virtual_link.enqueue(record.in_ns, record.n, record.bytes);
        let expected = link::FateRecord {
            actual_ns: record.actual_ns,
            frame: record.frame,
            role: record.role.clone(),
            head: record.head.clone(),
            ..link::FateRecord::new(record.n, direction, record.in_ns, record.bytes, &fate)
        };
        if expected != *record {
            differing.push(record.n);
        }
    }
    Ok(differing)
}
