//! One direction inside the emulator: the pure [`Link`] decides, this keeps the bytes meanwhile.

use super::clock;
use super::socket::{BATCH, PacketSocket};
use crate::control::Counts;
use crate::kind::Kind;
use crate::lateness::Histogram;
use crate::ledger::{Entry, LedgerSender};
use link::{
    DelayBase, DelaySpec, Delivery, Direction, Fate, FateRecord, Link, LinkError, LinkSpec, Span, Timestamp,
};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Bytes before the IP header.
const ETHERNET: usize = 14;
/// IPv4 header without options, UDP header.
const HEADERS: usize = 20 + 8;

/// A packet that the link has accepted.
struct Waiting {
    frame: Vec<u8>,
    /// Deliveries still to come: two for a duplicated packet.
    copies: u8,
    record: FateRecord,
}

/// Traffic before the channel begins.
struct Setup {
    /// When the channel begins, ns after time zero.
    ends: u64,
    link: Link,
    frames: BTreeMap<u64, Vec<u8>>,
}

impl Setup {
    fn new(spec: &LinkSpec, ends: u64) -> Result<Setup, LinkError> {
        let delay = spec.setup_delay();
        let delay =
            DelaySpec { base: DelayBase::Constant(Span(delay.as_nanos() as u64)), ..DelaySpec::default() };
        let link = Link::new(&LinkSpec { delay, ..LinkSpec::default() }, 0)?;
        Ok(Setup { ends, link, frames: BTreeMap::new() })
    }
}

pub(super) struct Path {
    direction: Direction,
    spec: LinkSpec,
    seed: u64,
    link: Link,
    from: Ipv4Addr,
    to: Ipv4Addr,
    waiting: BTreeMap<u64, Waiting>,
    /// Buffers of packets that left, to be used again.
    spare: Vec<Vec<u8>>,
    next_id: u64,
    last_in: u64,
    /// What comes before the first capture: delayed, never impaired, in no count and no ledger.
    setup: Setup,
    pub(super) counts: Counts,
}

impl Path {
    pub(super) fn new(
        direction: Direction,
        spec: &LinkSpec,
        run_seed: u64,
        from: Ipv4Addr,
        to: Ipv4Addr,
    ) -> Result<Path, LinkError> {
        let seed = direction.seed(run_seed);
        Ok(Path {
            direction,
            spec: spec.clone(),
            seed,
            link: Link::new(spec, seed)?,
            from,
            to,
            waiting: BTreeMap::new(),
            spare: Vec::new(),
            next_id: 0,
            last_in: 0,
            setup: Setup::new(spec, 0)?,
            counts: Counts::default(),
        })
    }

    /// Starts the link anew. Packets on their way belong to what came before the run (a handshake, say): they leave at once,
    /// for nobody may lose a packet but the model.
    ///
    /// The channel begins `begins` ns after time zero; what enters before meets the delay alone.
    pub(super) fn restart(&mut self, out: &PacketSocket, begins: u64) -> Result<(), LinkError> {
        self.link = Link::new(&self.spec, self.seed)?;
        self.link.start_at(Timestamp(begins));
        self.setup = Setup::new(&self.spec, begins)?;
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            self.counts.lost.refused += 1 - out.send(std::iter::once(&waiting.frame[..])) as u64;
        }
        let Counts { packets_in, bytes_in, setup_packets, setup_bytes, lost, others, unshaped, .. } =
            self.counts;
        // What came before time zero belongs to the set-up, too. What was lost, or was no UDP, counts whenever it was.
        let (setup_packets, setup_bytes) = (setup_packets + packets_in, setup_bytes + bytes_in);
        (self.next_id, self.last_in) = (0, 0);
        self.counts = Counts { setup_packets, setup_bytes, lost, others, unshaped, ..Counts::default() };
        Ok(())
    }

    /// What this frame is, counted.
    pub(super) fn kind(&mut self, frame: &[u8]) -> Kind {
        let kind = Kind::of(frame, self.from, self.to);
        self.counts.others.add(kind);
        if !kind.is_shaped() {
            self.counts.unshaped += 1;
        }
        kind
    }

    /// Asks the link about a packet that arrived `at` ns after time zero.
    pub(super) fn enqueue(&mut self, at: u64, frame: &[u8], ledger: Option<&mut LedgerSender>) {
        // The realtime stamps of two batches may overlap by the error of the clocks' difference.
        self.last_in = self.last_in.max(at);
        // The IP header says its packet's size; the frame may be padded.
        let bytes = u32::from(u16::from_be_bytes([frame[16], frame[17]]));
        if self.last_in < self.setup.ends {
            self.counts.setup_packets += 1;
            self.counts.setup_bytes += u64::from(bytes);
            let id = self.setup.frames.last_key_value().map_or(0, |(id, _)| id + 1);
            self.setup.link.enqueue(Timestamp(self.last_in), id, frame.len() as u32);
            self.setup.frames.insert(id, frame.to_vec());
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        let fate = self.link.enqueue(Timestamp(self.last_in), id, bytes);
        self.counts.packets_in += 1;
        self.counts.bytes_in += u64::from(bytes);
        let record = FateRecord::new(id, self.direction, Timestamp(self.last_in), bytes, &fate);
        let copies = match fate {
            Fate::Dropped { .. } => {
                self.counts.dropped += 1;
                if let Some(ledger) = ledger {
                    ledger.write(Entry::new(record, &frame[ETHERNET..]));
                }
                return;
            }
            Fate::Delivered { copy, .. } => 1 + u8::from(copy.is_some()),
        };
        let mut kept = self.spare.pop().unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(frame);
        self.waiting.insert(id, Waiting { frame: kept, copies, record });
    }

    /// When the next packet is to leave, ns after time zero.
    pub(super) fn next_departure(&self) -> Option<u64> {
        let times = [self.link.next_delivery(), self.setup.link.next_delivery()];
        times.into_iter().flatten().min().map(Timestamp::as_nanos)
    }

    /// Sends what is due at `now`, ns after `epoch`, in batches.
    pub(super) fn depart(
        &mut self,
        epoch: u64,
        now: u64,
        out: &PacketSocket,
        lateness: &mut Histogram,
        mut ledger: Option<&mut LedgerSender>,
    ) {
        while let Some(delivery) = self.setup.link.deliver(Timestamp(now)) {
            if let Some(frame) = self.setup.frames.remove(&delivery.id) {
                self.counts.lost.refused += 1 - out.send(std::iter::once(&frame[..])) as u64;
            }
        }
        loop {
            let mut batch: [Option<(Delivery, Vec<u8>, bool)>; BATCH] = [const { None }; BATCH];
            let mut count = 0;
            while count < BATCH {
                let Some(delivery) = self.link.deliver(Timestamp(now)) else { break };
                let Some(waiting) = self.waiting.get_mut(&delivery.id) else { continue };
                waiting.copies -= 1;
                // Decided here, for both copies of a packet may be in one batch, the second one first.
                let last = waiting.copies == 0;
                let mut frame = if last { std::mem::take(&mut waiting.frame) } else { waiting.frame.clone() };
                // The checksum stays as it was: the receiver's kernel discards the datagram, as behind a real link.
                if let Some(payload) = frame.get_mut(ETHERNET + HEADERS..) {
                    delivery.damage(payload);
                }
                batch[count] = Some((delivery, frame, last));
                count += 1;
            }
            if count == 0 {
                return;
            }
            let frames: [&[u8]; BATCH] =
                std::array::from_fn(|i| batch[i].as_ref().map_or(&[][..], |(_, frame, _)| frame));
            let sent = out.send(frames[..count].iter().copied());
            // After the call: the packets are in the receiver's queue now, and not a moment before is claimed.
            let left = clock::monotonic().saturating_sub(epoch);
            self.counts.packets_out += sent as u64;
            self.counts.lost.refused += (count - sent) as u64;
            for (i, (delivery, frame, last)) in batch.into_iter().flatten().enumerate() {
                let id = delivery.id;
                if i < sent {
                    lateness.add(left.saturating_sub(delivery.at.as_nanos()));
                }
                let Some(waiting) = self.waiting.get_mut(&id) else { continue };
                if i < sent && !delivery.duplicate {
                    waiting.record.actual_ns = Some(Timestamp(left));
                }
                if last && let Some(waiting) = self.waiting.remove(&id) {
                    if let Some(ledger) = ledger.as_deref_mut() {
                        ledger.write(Entry::new(waiting.record, &frame[ETHERNET..]));
                    }
                    if self.spare.len() < 4096 {
                        self.spare.push(frame);
                    }
                }
            }
        }
    }

    /// Counts as of now.
    pub(super) fn counts(&self) -> Counts {
        Counts { waiting: self.waiting.len() as u64, ..self.counts }
    }

    /// Records of packets that are still on their way when the run ends.
    pub(super) fn unfinished(&mut self) -> impl Iterator<Item = Entry> {
        std::mem::take(&mut self.waiting)
            .into_values()
            .map(|w| Entry::new(w.record, w.frame.get(ETHERNET..).unwrap_or_default()))
    }
}
