//! Where the reading of an RTP program contradicts what happened: then it is none, and what would follow from it is unknown.
//!
//! | it is doubted if | limit |
//! |---|---|
//! | frames were shown and no packet is media | any |
//! | frames were shown of which, by the reading, no packet had been sent by then | more than 2, and than one in 20 |
//! | media packets entered in the clip's time that are, by the reading, of frames captured long before | more than 4, and than one in 20 |
//! | timestamps do not lie on the frame clock's grid | their circular mean is shorter than half |
//! | timestamps share a frame | more than 2, and than one in 5 |
//! | what is called ULPFEC, in clear, has no header of it (RFC 5109), or protects what was never sent | more than 2, and than one in 4 |
//! | what is called a retransmission (RFC 4588) has neither timestamp nor size of a packet sent before | more than 4, and than half |

use super::frames::{Clock, Placed, Seen};
use super::roles::Origin;
use super::{Seal, Timestamps};
use contract::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why a reading is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing is media.
    NoMedia {
        /// Frames that were shown.
        shown: usize,
    },
    /// Frames that were shown and, by the reading, not sent by then.
    Unsent {
        /// How many.
        count: usize,
        /// Of so many shown.
        of: usize,
    },
    /// Media packets of the clip's time that belong, by the reading, to frames long before.
    Outside {
        /// How many.
        count: usize,
        /// Of so many media packets in that time.
        of: usize,
    },
    /// Timestamps off the frame clock's grid.
    OffGrid {
        /// Of so many timestamps.
        timestamps: usize,
    },
    /// Timestamps that share a frame with another one.
    Shared {
        /// How many.
        count: usize,
        /// Of so many.
        of: usize,
    },
    /// Repair that is none.
    NoRepair {
        /// How many packets.
        count: usize,
        /// Of so many.
        of: usize,
    },
    /// Retransmissions that are none.
    NoRepeat {
        /// How many packets.
        count: usize,
        /// Of so many.
        of: usize,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::NoMedia { shown } => {
                write!(f, "{shown} frames were shown and no packet is of a payload type and SSRC of media")
            }
            Doubt::Unsent { count, of } => {
                write!(f, "{count} of {of} frames that were shown had no media packet by their timestamps")
            }
            Doubt::Outside { count, of } => {
                write!(
                    f,
                    "{count} of {of} media packets in the clip's time are of other times by their timestamps"
                )
            }
            Doubt::OffGrid { timestamps } => {
                write!(
                    f,
                    "{timestamps} timestamps do not tick as the session description says and the frames come"
                )
            }
            Doubt::Shared { count, of } => {
                write!(f, "{count} of {of} timestamps are as near to a frame as another one")
            }
            Doubt::NoRepair { count, of } => {
                write!(f, "{count} of {of} packets that are called ULPFEC protect nothing that was sent")
            }
            Doubt::NoRepeat { count, of } => {
                write!(
                    f,
                    "{count} of {of} packets that are called retransmissions repeat nothing that was sent"
                )
            }
        }
    }
}

/// How long after its capture a frame may be sent, nanoseconds: WebRTC's pacer holds packets back for 2 s at most.
const LATE_NS: i128 = 3_000_000_000;
/// Fewer timestamps say nothing of a grid.
const FEW: usize = 8;
const TOLERANCE_NS: u64 = 2_000_000;
/// Bytes that a retransmission has more than what it repeats: the sequence number (RFC 4588), and RED's header where the media's is not counted.
const REPEAT_MORE: std::ops::RangeInclusive<u32> = 2..=3;

/// Whatever contradicts a reading.
pub(super) fn of(
    packets: &[Seal<'_>],
    streams: &BTreeMap<u32, (Timestamps, Placed)>,
    (clock, frames): (Clock, u32),
    shown: &BTreeMap<i64, u64>,
) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let of_clip: Vec<(i64, u64)> =
        shown.iter().filter(|(f, _)| (0..i64::from(frames)).contains(*f)).map(|(f, at)| (*f, *at)).collect();
    if streams.is_empty() {
        doubts.extend((!of_clip.is_empty()).then_some(Doubt::NoMedia { shown: of_clip.len() }));
        return doubts;
    }
    let mut sent: BTreeMap<i64, u64> = BTreeMap::new();
    for (timestamps, placed) in streams.values() {
        for (timestamp, Seen { entered_ns, .. }) in timestamps {
            let Some(frame) = placed.frames.get(timestamp) else { continue };
            let first = sent.entry(*frame).or_insert(*entered_ns);
            *first = (*first).min(*entered_ns);
        }
        let n = timestamps.len();
        let apart = placed.frames.values().collect::<BTreeSet<_>>().len();
        let (count, of) = (n - apart.min(n), n);
        doubts.extend((count > 2 && count * 5 > n).then_some(Doubt::Shared { count, of }));
        let off = n >= FEW && placed.on_grid < 0.5;
        doubts.extend(off.then_some(Doubt::OffGrid { timestamps: n }));
    }
    let unsent = |(frame, at): &&(i64, u64)| {
        sent.get(frame).is_none_or(|entered| *entered > at.saturating_add(TOLERANCE_NS))
    };
    let (count, of) = (of_clip.iter().filter(unsent).count(), of_clip.len());
    doubts.extend((count > 2 && count * 20 > of).then_some(Doubt::Unsent { count, of }));
    doubts.extend(outside(packets, clock, frames));
    doubts.extend(no_repair(packets));
    doubts.extend(no_repeat(packets));
    doubts
}

fn outside(packets: &[Seal<'_>], clock: Clock, frames: u32) -> Option<Doubt> {
    let fps = i128::from(clock.fps.max(1));
    let captured = |frame: i64| i128::from(clock.first_ns) + i128::from(frame) * 1_000_000_000 / fps;
    let clip = captured(0)..captured(i64::from(frames));
    let in_time = packets.iter().filter(|s| s.packet.role == Role::Data).filter_map(|seal| {
        let entered = i128::from(seal.record.in_ns.as_nanos());
        clip.contains(&entered).then_some(entered - captured(seal.frame?))
    });
    let (mut count, mut of) = (0, 0);
    for late in in_time {
        of += 1;
        count += usize::from(late > LATE_NS);
    }
    (count > 4 && count * 20 > of).then_some(Doubt::Outside { count, of })
}

/// What says that it protects packets must protect such as were sent before it.
fn no_repair(packets: &[Seal<'_>]) -> Option<Doubt> {
    let mut sent: BTreeSet<u16> = BTreeSet::new();
    let (mut count, mut of) = (0, 0);
    for seal in packets {
        let Some(header) = &seal.packet.header else { continue };
        match (seal.packet.role, &seal.packet.protects) {
            (Role::Data, _) => {
                sent.insert(header.sequence);
            }
            (Role::Parity, Some(protects)) => {
                of += 1;
                // Of a warm-up that began before the ledger, not everything is known.
                let known = protects.iter().filter(|s| sent.contains(s)).count();
                count += usize::from(protects.is_empty() || known * 2 < protects.len());
            }
            _ => {}
        }
    }
    (count > 2 && count * 4 > of).then_some(Doubt::NoRepair { count, of })
}

fn no_repeat(packets: &[Seal<'_>]) -> Option<Doubt> {
    let mut sent: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let (mut count, mut of) = (0, 0);
    for seal in packets {
        let Some(header) = &seal.packet.header else { continue };
        match (seal.packet.role, seal.packet.origin) {
            (Role::Data, _) => {
                sent.entry(header.timestamp).or_default().insert(seal.packet.payload);
            }
            (Role::Repeat, Origin::Described) => {
                let sizes = sent.get(&header.timestamp);
                let is_like = sizes.is_some_and(|sizes| {
                    REPEAT_MORE.into_iter().any(|more| {
                        seal.packet.payload.checked_sub(more).is_some_and(|size| sizes.contains(&size))
                    })
                });
                of += 1;
                count += usize::from(!is_like);
            }
            _ => {}
        }
    }
    (count > 4 && count * 2 > of).then_some(Doubt::NoRepeat { count, of })
}
