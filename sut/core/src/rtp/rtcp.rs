//! Feedback from the receiver: reports (RFC 3550, 6.4.2) and picture loss indications (RFC 4585, 6.3.1), in
//! compound packets.

use super::Unwrapper;

/// One RTCP packet that is understood here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
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
            Packet::ReceiverReport { sender, media, fraction_lost, lost, highest, jitter } => {
                out.extend([0x81, 201, 0, 7]);
                out.extend(sender.to_be_bytes());
                out.extend(media.to_be_bytes());
                out.extend((u32::from(fraction_lost) << 24 | lost & 0x7F_FFFF).to_be_bytes());
                out.extend(highest.to_be_bytes());
                out.extend(jitter.to_be_bytes());
                out.extend([0; 8]); // no sender report seen
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
                (201, 1..) => packets.push(Packet::ReceiverReport {
                    sender: word(1)?,
                    media: word(2)?,
                    fraction_lost: (word(3)? >> 24) as u8,
                    lost: word(3)? & 0xFF_FFFF,
                    highest: word(4)?,
                    jitter: word(5)?,
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

    /// The next report; `None` before the first packet.
    pub fn report(&mut self, sender: u32, media: u32) -> Option<Packet> {
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
    fn reports_count_losses_per_interval() {
        let mut statistics = Statistics::default();
        assert_eq!(statistics.report(1, 2), None);
        for sequence in [65_533, 65_534, 0, 1] {
            statistics.packet(sequence, 0, 0);
        }
        let Some(Packet::ReceiverReport { fraction_lost, lost, highest, .. }) = statistics.report(1, 2)
        else {
            panic!("no report");
        };
        assert_eq!((fraction_lost, lost, highest), (51, 1, 0x0001_0001));
        statistics.packet(2, 0, 0);
        let Some(Packet::ReceiverReport { fraction_lost, lost, .. }) = statistics.report(1, 2) else {
            panic!("no report");
        };
        assert_eq!((fraction_lost, lost), (0, 1));
    }
}
