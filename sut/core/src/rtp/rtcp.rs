//! Reports of sender and receiver (RFC 3550, 6.4.1 and 6.4.2) and picture loss indications (RFC 4585, 6.3.1), in compound
//! packets. The sender's NTP time comes back in the receiver's report, with how long it was held: the round-trip time.

use super::Unwrapper;

/// One RTCP packet that is understood here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// What a sender sent, and when by its clock.
    SenderReport {
        /// Who reports, on its own stream.
        sender: u32,
        /// Time of the report: seconds and 2^-32 seconds.
        ntp: u64,
        /// The same time on the stream's clock.
        timestamp: u32,
        /// Packets so far.
        packets: u32,
        /// Bytes of payload so far.
        bytes: u32,
    },
    /// What a receiver saw of one stream.
    ReceiverReport {
        /// Who reports.
        sender: u32,
        /// Of which stream.
        media: u32,
        /// Lost since the last report, in 1/256 of the expected packets.
        fraction_lost: u8,
        /// Lost since the beginning, at most 2^23 - 1.
        lost: u32,
        /// Highest sequence number seen, with the count of wrap-arounds above it.
        highest: u32,
        /// Interarrival jitter in ticks of the stream's clock.
        jitter: u32,
        /// Middle 32 bits of the NTP time in the last sender report that came (LSR); 0: none.
        last_report: u32,
        /// Since then, in 1/65536 s (DLSR).
        held: u32,
    },
    /// The decoder cannot go on without a key frame.
    PictureLoss {
        /// Who asks.
        sender: u32,
        /// Of which stream.
        media: u32,
    },
}

impl Packet {
    /// Appends the packet to a compound packet.
    pub fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Packet::SenderReport { sender, ntp, timestamp, packets, bytes } => {
                out.extend([0x80, 200, 0, 6]);
                out.extend(sender.to_be_bytes());
                out.extend(ntp.to_be_bytes());
                [timestamp, packets, bytes].iter().for_each(|word| out.extend(word.to_be_bytes()));
            }
            Packet::ReceiverReport {
                sender,
                media,
                fraction_lost,
                lost,
                highest,
                jitter,
                last_report,
                held,
            } => {
                out.extend([0x81, 201, 0, 7]);
                out.extend(sender.to_be_bytes());
                out.extend(media.to_be_bytes());
                out.extend((u32::from(fraction_lost) << 24 | lost & 0x7F_FFFF).to_be_bytes());
                out.extend(highest.to_be_bytes());
                out.extend(jitter.to_be_bytes());
                out.extend(last_report.to_be_bytes());
                out.extend(held.to_be_bytes());
            }
            Packet::PictureLoss { sender, media } => {
                out.extend([0x81, 206, 0, 2]);
                out.extend(sender.to_be_bytes());
                out.extend(media.to_be_bytes());
            }
        }
    }

    /// The packets of a compound packet that are understood; `None` if it is malformed.
    #[must_use]
    pub fn parse_compound(mut bytes: &[u8]) -> Option<Vec<Packet>> {
        let mut packets = Vec::new();
        while !bytes.is_empty() {
            let (header, _) = bytes.split_first_chunk::<4>()?;
            let length = 4 * (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1);
            let (packet, rest) = bytes.split_at_checked(length)?;
            if header[0] >> 6 != 2 {
                return None;
            }
            let word =
                |i: usize| packet.get(4 * i..4 * i + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
            let count = header[0] & 31;
            match (header[1], count) {
                (200, _) => packets.push(Packet::SenderReport {
                    sender: word(1)?,
                    ntp: u64::from(word(2)?) << 32 | u64::from(word(3)?),
                    timestamp: word(4)?,
                    packets: word(5)?,
                    bytes: word(6)?,
                }),
                (201, 1..) => packets.push(Packet::ReceiverReport {
                    sender: word(1)?,
                    media: word(2)?,
                    fraction_lost: (word(3)? >> 24) as u8,
                    lost: word(3)? & 0xFF_FFFF,
                    highest: word(4)?,
                    jitter: word(5)?,
                    last_report: word(6)?,
                    held: word(7)?,
                }),
                (206, 1) => packets.push(Packet::PictureLoss { sender: word(1)?, media: word(2)? }),
                _ => {}
            }
            bytes = rest;
        }
        Some(packets)
    }
}

/// Keeps what a receiver report says (RFC 3550, appendix A).
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    unwrapper: Unwrapper,
    first: Option<u64>,
    highest: u64,
    received: u64,
    at_last_report: (u64, u64),
    /// Jitter in 1/16 tick, and the last transit time.
    jitter: i64,
    transit: Option<i64>,
    /// NTP time of the last sender report, and when it came by our clock.
    sender_report: Option<(u64, u64)>,
}

/// A time of a run as NTP has it: seconds and 2^-32 seconds.
#[must_use]
pub fn ntp(nanos: u64) -> u64 {
    (u128::from(nanos) * (1 << 32) / 1_000_000_000) as u64
}

/// The middle 32 bits of an NTP time: seconds and 2^-16 seconds.
#[must_use]
pub fn compact(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// The round-trip time that a receiver report tells its sender at `now` (NTP): the time since the sender report, less the time that
/// the receiver held it. `None` if it had none, or tells of a time that is not over.
#[must_use]
pub fn round_trip(now: u64, last_report: u32, held: u32) -> Option<std::time::Duration> {
    let ticks = compact(now).wrapping_sub(last_report).wrapping_sub(held);
    let sane = last_report != 0 && ticks < 1 << 31;
    sane.then(|| std::time::Duration::from_nanos(u64::from(ticks) * 1_000_000_000 / 65_536))
}

impl Statistics {
    /// A packet arrived at `arrival` (ticks of the stream's clock).
    pub fn packet(&mut self, sequence: u16, timestamp: u32, arrival: u32) {
        let number = self.unwrapper.unwrap(sequence);
        self.first.get_or_insert(number);
        self.highest = self.highest.max(number);
        self.received += 1;
        let transit = i64::from(arrival.wrapping_sub(timestamp).cast_signed());
        if let Some(last) = self.transit.replace(transit) {
            self.jitter += (transit - last).abs() - ((self.jitter + 8) >> 4);
        }
    }

    fn expected(&self) -> u64 {
        self.first.map_or(0, |first| self.highest.saturating_sub(first) + 1)
    }

    /// A sender report came at `now`; both times NTP.
    pub fn sender_report(&mut self, ntp: u64, now: u64) {
        self.sender_report = Some((ntp, now));
    }

    /// The next report, at `now` (NTP); `None` before the first packet.
    pub fn report(&mut self, sender: u32, media: u32, now: u64) -> Option<Packet> {
        self.first?;
        let (expected, received) = (self.expected(), self.received);
        let (before, had) = std::mem::replace(&mut self.at_last_report, (expected, received));
        let (interval, got) = (expected.saturating_sub(before), received.saturating_sub(had));
        let lost = interval.saturating_sub(got);
        Some(Packet::ReceiverReport {
            sender,
            media,
            fraction_lost: (lost * 256).checked_div(interval).unwrap_or(0).min(255) as u8,
            lost: expected.saturating_sub(received).min(0x7F_FFFF) as u32,
            highest: (self.highest - (1 << 16)) as u32,
            jitter: (self.jitter >> 4) as u32,
            last_report: self.sender_report.map_or(0, |(ntp, _)| compact(ntp)),
            held: self.sender_report.map_or(0, |(_, came)| compact(now).wrapping_sub(compact(came))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compounds_go_round_and_garbage_is_none() {
        let report = Packet::ReceiverReport {
            sender: 1,
            media: 2,
            fraction_lost: 64,
            lost: 1000,
            highest: 0x0001_0005,
            jitter: 33,
            last_report: 0x0102_0304,
            held: 0x8000,
        };
        let loss = Packet::PictureLoss { sender: 1, media: 2 };
        let mut bytes = Vec::new();
        report.write(&mut bytes);
        loss.write(&mut bytes);
        assert_eq!(bytes.len(), 32 + 12);
        assert_eq!(Packet::parse_compound(&bytes), Some(vec![report, loss]));
        for cut in (1..bytes.len()).filter(|&c| c != 32) {
            assert_eq!(Packet::parse_compound(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn sender_reports_go_round() {
        let report =
            Packet::SenderReport { sender: 7, ntp: 3 << 32 | 5, timestamp: 90_000, packets: 9, bytes: 1000 };
        let mut bytes = Vec::new();
        report.write(&mut bytes);
        // RFC 3550, 6.4.1: version 2, no report block, type 200, six words after the first.
        assert_eq!((bytes.len(), &bytes[..4]), (28, &[0x80, 200, 0, 6][..]));
        assert_eq!(Packet::parse_compound(&bytes), Some(vec![report]));
    }

    /// RFC 3550, 6.4.1, Figure 2, with its numbers: sent at 0xb44db705.20000000, held for 5.25 s, back at 0xb710:8000 (of which the
    /// figure's A is 0xb710:8000): 6.125 s.
    #[test]
    fn round_trips_are_those_of_the_standards_example() {
        let sent = 0xb44d_b705_2000_0000_u64;
        let mut receiver = Statistics::default();
        receiver.packet(1, 0, 0);
        receiver.sender_report(sent, 1000 << 32);
        let now = (1000 << 32) + (5 << 32) + (1 << 30); // 5.25 s later
        let Some(Packet::ReceiverReport { last_report, held, .. }) = receiver.report(1, 2, now) else {
            panic!("no report");
        };
        assert_eq!((last_report, held), (0xb705_2000, 0x0005_4000));
        let back = 0xb44d_b710_8000_0000_u64;
        assert_eq!(round_trip(back, last_report, held), Some(std::time::Duration::from_millis(6125)));
        assert_eq!(round_trip(back, 0, 0), None, "no sender report was seen");
        assert_eq!(round_trip(sent, last_report, held), None, "held for longer than it took");
    }

    #[test]
    fn reports_count_losses_per_interval() {
        let mut statistics = Statistics::default();
        assert_eq!(statistics.report(1, 2, 0), None);
        for sequence in [65_533, 65_534, 0, 1] {
            statistics.packet(sequence, 0, 0);
        }
        let Some(Packet::ReceiverReport { fraction_lost, lost, highest, .. }) = statistics.report(1, 2, 0)
        else {
            panic!("no report");
        };
        assert_eq!((fraction_lost, lost, highest), (51, 1, 0x0001_0001));
        statistics.packet(2, 0, 0);
        let Some(Packet::ReceiverReport { fraction_lost, lost, .. }) = statistics.report(1, 2, 0) else {
            panic!("no report");
        };
        assert_eq!((fraction_lost, lost), (0, 1));
    }
}
