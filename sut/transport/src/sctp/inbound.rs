//! What arrives: which TSNs have come, and messages put together again.

use super::packet::{Data, ForwardTsn, Sack};
use std::collections::{BTreeMap, BTreeSet};

/// Receive window that is announced.
pub(super) const WINDOW: u32 = 1024 * 1024;

/// Gap blocks and duplicates in one SACK; more would not fit into a packet.
const MOST_REPORTED: usize = 128;

/// A message of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Stream.
    pub stream: u16,
    /// Payload protocol identifier.
    pub ppid: u32,
    /// The message.
    pub bytes: Vec<u8>,
}

/// `tsn` as a number that does not wrap, near `near`.
pub(super) fn unwrap_tsn(near: u64, tsn: u32) -> u64 {
    near.wrapping_add_signed(i64::from(tsn.wrapping_sub(near as u32) as i32))
}

/// `tsn` as a number that does not wrap, with room below it.
pub(super) fn first_tsn(tsn: u32) -> u64 {
    u64::from(tsn) + (1 << 40)
}

/// The receiving half of an association.
#[derive(Debug)]
pub(super) struct Inbound {
    /// Everything up to here has come or will not come.
    cumulative: u64,
    /// TSNs beyond that have come.
    beyond: BTreeSet<u64>,
    duplicates: Vec<u32>,
    /// Parts of messages that are not whole.
    parts: BTreeMap<u64, Data>,
    /// Bytes in `parts` and in messages that wait for their turn.
    held: usize,
    ordered: BTreeMap<u16, Ordered>,
}

/// An ordered stream.
#[derive(Debug, Default)]
struct Ordered {
    next: u16,
    /// Whole messages that wait for earlier ones.
    waiting: BTreeMap<u16, Received>,
}

impl Inbound {
    /// The peer's first TSN is `tsn`.
    pub(super) fn new(tsn: u32) -> Self {
        Self {
            cumulative: first_tsn(tsn) - 1,
            beyond: BTreeSet::new(),
            duplicates: Vec::new(),
            parts: BTreeMap::new(),
            held: 0,
            ordered: BTreeMap::new(),
        }
    }

    /// Takes a chunk; adds the messages that it completes to `messages`. False: nothing new, or no room for it.
    pub(super) fn data(&mut self, data: Data, messages: &mut Vec<Received>) -> bool {
        let tsn = unwrap_tsn(self.cumulative, data.tsn);
        if tsn <= self.cumulative || self.beyond.contains(&tsn) {
            if self.duplicates.len() < MOST_REPORTED {
                self.duplicates.push(data.tsn);
            }
            return false;
        }
        // A SACK could not report it, or it would be held without end: as if it were lost.
        let full = self.held + data.bytes.len() > WINDOW as usize && tsn != self.cumulative + 1;
        if tsn - self.cumulative > u64::from(u16::MAX) || full {
            return false;
        }
        self.beyond.insert(tsn);
        self.advance();
        self.held += data.bytes.len();
        self.parts.insert(tsn, data);
        self.assemble(tsn, messages);
        true
    }

    /// Gives up what the peer gave up. False: it says nothing new.
    pub(super) fn forward(&mut self, forward: &ForwardTsn, messages: &mut Vec<Received>) -> bool {
        let tsn = unwrap_tsn(self.cumulative, forward.cumulative);
        // Only what the peer can have sent: chunks within reach of a SACK.
        if tsn <= self.cumulative || tsn - self.cumulative > u64::from(u16::MAX) {
            return false;
        }
        self.cumulative = tsn;
        self.beyond = self.beyond.split_off(&(tsn + 1));
        self.advance();
        for &(stream, ssn) in &forward.streams {
            let ordered = self.ordered.entry(stream).or_default();
            // Never backwards: an earlier FORWARD TSN may come late.
            if ssn.wrapping_sub(ordered.next) < 1 << 15 {
                let until = ssn.wrapping_add(1);
                while ordered.next != until {
                    if let Some(message) = ordered.waiting.remove(&ordered.next) {
                        self.held -= message.bytes.len();
                        messages.push(message);
                    }
                    ordered.next = ordered.next.wrapping_add(1);
                }
                deliver(ordered, &mut self.held, messages);
            }
        }
        self.drop_parts_up_to(tsn);
        true
    }

    /// The acknowledgement of everything so far.
    pub(super) fn sack(&mut self) -> Sack {
        let mut gaps: Vec<(u16, u16)> = Vec::new();
        for &tsn in &self.beyond {
            let offset = (tsn - self.cumulative) as u16;
            let full = gaps.len() == MOST_REPORTED;
            match gaps.last_mut() {
                Some((_, last)) if *last + 1 == offset => *last = offset,
                _ if full => break,
                _ => gaps.push((offset, offset)),
            }
        }
        Sack {
            cumulative: self.cumulative as u32,
            window: WINDOW.saturating_sub(self.held as u32),
            gaps,
            duplicates: std::mem::take(&mut self.duplicates),
        }
    }

    /// True if something beyond a gap has come.
    pub(super) fn has_gap(&self) -> bool {
        !self.beyond.is_empty()
    }

    /// The cumulative TSN.
    pub(super) fn cumulative(&self) -> u32 {
        self.cumulative as u32
    }

    /// Forgets the order of a stream that the peer has reset.
    pub(super) fn reset(&mut self, stream: u16) {
        if let Some(ordered) = self.ordered.remove(&stream) {
            self.held -= ordered.waiting.values().map(|m| m.bytes.len()).sum::<usize>();
        }
    }

    fn advance(&mut self) {
        while self.beyond.first() == Some(&(self.cumulative + 1)) {
            self.beyond.pop_first();
            self.cumulative += 1;
        }
    }

    /// Takes out the message that the part `tsn` completes, if it does.
    fn assemble(&mut self, tsn: u64, messages: &mut Vec<Received>) {
        let Some(part) = self.parts.get(&tsn) else { return };
        let (stream, ssn, unordered, ppid) = (part.stream, part.ssn, part.unordered, part.ppid);
        let belongs = |part: &Data| part.stream == stream && part.unordered == unordered && part.ssn == ssn;
        let (mut from, mut to) = (tsn, tsn);
        while !self.parts[&from].first {
            match self.parts.get(&(from - 1)) {
                Some(part) if belongs(part) && !part.last => from -= 1,
                _ => return,
            }
        }
        while !self.parts[&to].last {
            match self.parts.get(&(to + 1)) {
                Some(part) if belongs(part) && !part.first => to += 1,
                _ => return,
            }
        }
        let mut bytes = Vec::new();
        for at in from..=to {
            if let Some(part) = self.parts.remove(&at) {
                bytes.extend_from_slice(&part.bytes);
            }
        }
        let message = Received { stream, ppid, bytes };
        if unordered {
            self.held -= message.bytes.len();
            messages.push(message);
            return;
        }
        let ordered = self.ordered.entry(stream).or_default();
        if ssn.wrapping_sub(ordered.next) < 1 << 15 {
            if let Some(replaced) = ordered.waiting.insert(ssn, message) {
                self.held -= replaced.bytes.len();
            }
            deliver(ordered, &mut self.held, messages);
        } else {
            self.held -= message.bytes.len(); // its turn has passed
        }
    }

    /// Parts up to `tsn` are given up, except those of a message that goes on beyond it.
    fn drop_parts_up_to(&mut self, tsn: u64) {
        let mut keep = tsn + 1;
        while let Some(part) = self.parts.get(&(keep - 1)) {
            if part.last {
                keep = tsn + 1;
                break;
            }
            keep -= 1;
            if part.first {
                break;
            }
        }
        // Without its first part it will never be whole.
        if self.parts.get(&keep).is_none_or(|part| !part.first) {
            keep = tsn + 1;
        }
        let rest = self.parts.split_off(&keep);
        self.held -= self.parts.values().map(|p| p.bytes.len()).sum::<usize>();
        self.parts = rest;
    }
}

fn deliver(ordered: &mut Ordered, held: &mut usize, messages: &mut Vec<Received>) {
    while let Some(message) = ordered.waiting.remove(&ordered.next) {
        *held -= message.bytes.len();
        messages.push(message);
        ordered.next = ordered.next.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(tsn: u32, first: bool, last: bool, bytes: &[u8]) -> Data {
        Data {
            tsn,
            stream: 1,
            ppid: 53,
            first,
            last,
            unordered: true,
            bytes: bytes.to_vec(),
            ..Data::default()
        }
    }

    fn texts(messages: &[Received]) -> Vec<&[u8]> {
        messages.iter().map(|m| m.bytes.as_slice()).collect()
    }

    #[test]
    fn gaps_are_reported_across_the_end_of_the_number_space() {
        let mut inbound = Inbound::new(u32::MAX - 1);
        let mut out = Vec::new();
        assert!(inbound.data(part(u32::MAX - 1, true, true, b"a"), &mut out));
        assert!(inbound.data(part(0, true, true, b"c"), &mut out));
        assert!(inbound.data(part(1, true, true, b"d"), &mut out));
        assert!(inbound.data(part(3, true, true, b"f"), &mut out));
        assert!(!inbound.data(part(0, true, true, b"c"), &mut out));
        let sack = inbound.sack();
        assert_eq!((sack.cumulative, sack.gaps), (u32::MAX - 1, vec![(2, 3), (5, 5)]));
        assert_eq!(sack.duplicates, [0]);
        assert_eq!(texts(&out), [b"a", b"c", b"d", b"f"]);
        assert!(inbound.forward(&ForwardTsn { cumulative: u32::MAX, streams: vec![] }, &mut out));
        assert_eq!(inbound.sack().cumulative, 1);
    }

    #[test]
    fn a_message_that_goes_on_beyond_a_forward_tsn_is_kept() {
        let mut inbound = Inbound::new(10);
        let mut out = Vec::new();
        inbound.data(part(11, true, false, b"a"), &mut out);
        inbound.forward(&ForwardTsn { cumulative: 11, streams: vec![] }, &mut out);
        inbound.data(part(12, false, true, b"b"), &mut out);
        assert_eq!(texts(&out), [b"ab"]);
        // ... but not one that lacks its beginning.
        inbound.data(part(14, false, false, b"x"), &mut out);
        inbound.forward(&ForwardTsn { cumulative: 14, streams: vec![] }, &mut out);
        assert!(inbound.parts.is_empty());
        assert_eq!(inbound.sack().window, WINDOW);
    }

    #[test]
    fn ordered_messages_wait_and_are_let_go() {
        let mut inbound = Inbound::new(1);
        let mut out = Vec::new();
        let ordered =
            |tsn, ssn: u16, text: &[u8]| Data { unordered: false, ssn, ..part(tsn, true, true, text) };
        inbound.data(ordered(2, 1, b"one"), &mut out);
        inbound.data(ordered(4, 3, b"three"), &mut out);
        assert!(out.is_empty());
        inbound.forward(&ForwardTsn { cumulative: 1, streams: vec![(1, 0)] }, &mut out);
        assert_eq!(texts(&out), [b"one"]);
        inbound.data(ordered(3, 2, b"two"), &mut out);
        assert_eq!(texts(&out), [b"one".as_slice(), b"two", b"three"]);
    }

    proptest! {
        /// Every message comes out once and whole whatever the order of its parts, if all parts come.
        #[test]
        fn any_order_gives_all_messages(sizes in proptest::collection::vec(1usize..5, 1..20), start in any::<u32>(),
                                        seed in any::<u64>()) {
            let mut parts = Vec::new();
            for (number, &size) in sizes.iter().enumerate() {
                for at in 0..size {
                    let tsn = start.wrapping_add(parts.len() as u32);
                    parts.push(part(tsn, at == 0, at + 1 == size, &[number as u8, at as u8]));
                }
            }
            let mut random = seed;
            for i in (1..parts.len()).rev() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                parts.swap(i, (random >> 33) as usize % (i + 1));
            }
            let mut inbound = Inbound::new(start);
            let mut out = Vec::new();
            for part in parts {
                prop_assert!(inbound.data(part, &mut out));
            }
            out.sort_by(|a, b| a.bytes.cmp(&b.bytes));
            let expected: Vec<Vec<u8>> = sizes.iter().enumerate()
                .map(|(n, &size)| (0..size).flat_map(|at| [n as u8, at as u8]).collect()).collect();
            prop_assert_eq!(out.into_iter().map(|m| m.bytes).collect::<Vec<_>>(), expected);
            prop_assert_eq!(inbound.held, 0);
            prop_assert!(!inbound.has_gap());
        }

        /// Whatever comes, the count of held bytes stays true.
        #[test]
        fn nothing_breaks_the_books(steps in proptest::collection::vec(any::<(u8, u8, u8, bool)>(), 0..200)) {
            let mut inbound = Inbound::new(5);
            let mut out = Vec::new();
            for (tsn, flags, ssn, forward) in steps {
                if forward && flags > 200 {
                    let streams = vec![(u16::from(flags % 2), u16::from(ssn % 8))];
                    inbound.forward(&ForwardTsn { cumulative: u32::from(tsn), streams }, &mut out);
                } else {
                    inbound.data(Data {
                        tsn: u32::from(tsn), stream: u16::from(flags >> 7), ssn: u16::from(ssn % 8),
                        first: flags & 1 != 0, last: flags & 2 != 0, unordered: flags & 4 != 0,
                        bytes: vec![flags; 3], ..Data::default()
                    }, &mut out);
                }
                let parts: usize = inbound.parts.values().map(|p| p.bytes.len()).sum();
                let waiting: usize =
                    inbound.ordered.values().flat_map(|o| o.waiting.values()).map(|m| m.bytes.len()).sum();
                prop_assert_eq!(inbound.held, parts + waiting);
            }
        }
    }
}
