//! Queueing disciplines over rtnetlink: netem, tbf, htb, queues, their statistics.
//!
//! netem's options are a structure followed by attributes, which typed libraries do not express, so that messages are
//! written here byte by byte (`linux/rtnetlink.h`, `linux/pkt_sched.h`). Several changes travel in one datagram: the kernel
//! applies them back to back.

use crate::error::LabError;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;

const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTCLASS: u16 = 40;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_NETEM_CORRUPT: u16 = 4;
const TCA_NETEM_LOSS: u16 = 5;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;
const TCA_NETEM_PRNG_SEED: u16 = 14;
const NETEM_LOSS_GE: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_INIT: u16 = 2;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;
const NESTED: u16 = 0x8000;
/// A tick of the packet scheduler's interface.
const TICK_NS: u64 = 64;

/// Where a qdisc hangs.
pub(crate) const ROOT: u32 = 0xffff_ffff;
/// Handle of netem, wherever it hangs.
pub(crate) const NETEM: u32 = 0x0001_0000;
/// The only class of netem: where its child hangs.
pub(crate) const BELOW_NETEM: u32 = 0x0001_0001;
/// Handle of tbf or htb.
pub(crate) const RATE: u32 = 0x0002_0000;
/// The only class of htb: where its leaf hangs.
pub(crate) const CLASS: u32 = 0x0002_0010;
/// Handle of a queue at that leaf.
const QUEUE: u32 = 0x0003_0000;

/// What netem is to do. Probabilities are thresholds of the kernel: share of `u32::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Netem {
    /// Fixed delay, ns.
    pub delay_ns: u64,
    /// Uniform variation of the delay, ns.
    pub jitter_ns: u64,
    /// `loss random`.
    pub loss: u32,
    /// `loss gemodel`: p, r, h = delivery in the bad state, k1 = loss in the good state.
    pub gemodel: Option<[u32; 4]>,
    /// `duplicate`.
    pub duplicate: u32,
    /// `corrupt`.
    pub corrupt: u32,
    /// Longest queue, packets; those in the delay line count.
    pub limit: u32,
    /// `seed`, for the kernel's generator.
    pub seed: Option<u64>,
}

/// What tbf is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tbf {
    /// Bytes per second.
    pub bytes_per_second: u64,
    /// Bytes that may leave at once.
    pub burst: u32,
    /// Bytes that may wait.
    pub limit: u32,
}

/// What htb's only class is to do. Rate and ceiling are the same, and so are their buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Htb {
    /// Bytes per second.
    pub bytes_per_second: u64,
    /// Bytes that may leave at once after a pause. The bucket may run into debt by one packet, so that 0 is possible.
    pub burst: u32,
    /// What may wait.
    pub limit: Limit,
}

/// What limits htb's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// bfifo.
    Bytes(u32),
    /// pfifo.
    Packets(u32),
    /// netem in its place, with netem's own limit.
    Netem,
}

/// One qdisc as the kernel reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// netem, tbf, ...
    pub kind: String,
    /// Interface index.
    pub interface: u32,
    /// Where it hangs.
    pub parent: u32,
    /// Packets that left it.
    pub sent: u64,
    /// Packets that it (or what hangs below it) dropped.
    pub dropped: u64,
    /// Packets that wait in it.
    pub waiting: u64,
    /// netem's seed, if the kernel has one.
    pub seed: Option<u64>,
}

/// Messages to be sent together.
#[derive(Default)]
pub(crate) struct Changes {
    bytes: Vec<u8>,
    count: u32,
}

impl Changes {
    /// Creates or replaces a netem.
    pub(crate) fn netem(&mut self, interface: u32, parent: u32, handle: u32, netem: &Netem) {
        let ticks = |ns: u64| u32::try_from(ns / TICK_NS).unwrap_or(u32::MAX);
        let words =
            [ticks(netem.delay_ns), netem.limit, netem.loss, 0, netem.duplicate, ticks(netem.jitter_ns)];
        let mut options: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        attribute(&mut options, TCA_NETEM_LATENCY64, &netem.delay_ns.to_ne_bytes());
        attribute(&mut options, TCA_NETEM_JITTER64, &netem.jitter_ns.to_ne_bytes());
        if let Some(model) = netem.gemodel {
            let mut inner = Vec::new();
            attribute(
                &mut inner,
                NETEM_LOSS_GE,
                &model.into_iter().flat_map(u32::to_ne_bytes).collect::<Vec<_>>(),
            );
            attribute(&mut options, TCA_NETEM_LOSS | NESTED, &inner);
        }
        // Also when it is 0: a change keeps what it does not name.
        let no_correlation = 0u32;
        attribute(
            &mut options,
            TCA_NETEM_CORRUPT,
            &[netem.corrupt.to_ne_bytes(), no_correlation.to_ne_bytes()].concat(),
        );
        if let Some(seed) = netem.seed {
            attribute(&mut options, TCA_NETEM_PRNG_SEED, &seed.to_ne_bytes());
        }
        self.qdisc(interface, parent, handle, "netem", &options);
    }

    /// Creates or replaces a tbf.
    pub(crate) fn tbf(&mut self, interface: u32, parent: u32, handle: u32, tbf: &Tbf) {
        let mut parms = rate_spec(tbf.bytes_per_second);
        parms.extend([0; 12]); // no peak rate
        for word in [tbf.limit, ticks_of(tbf.burst, tbf.bytes_per_second), 0] {
            parms.extend(word.to_ne_bytes());
        }
        let mut options = Vec::new();
        attribute(&mut options, TCA_TBF_PARMS, &parms);
        attribute(&mut options, TCA_TBF_BURST, &tbf.burst.to_ne_bytes());
        if tbf.bytes_per_second > u64::from(u32::MAX) {
            attribute(&mut options, TCA_TBF_RATE64, &tbf.bytes_per_second.to_ne_bytes());
        }
        self.qdisc(interface, parent, handle, "tbf", &options);
    }

    /// Creates an htb that sends everything to [`CLASS`].
    pub(crate) fn htb(&mut self, interface: u32, parent: u32) {
        // tc_htb_glob: version, rate2quantum, default class, debug, direct packets.
        let words = [3, 10, CLASS & 0xffff, 0, 0];
        let mut options = Vec::new();
        attribute(
            &mut options,
            TCA_HTB_INIT,
            &words.into_iter().flat_map(u32::to_ne_bytes).collect::<Vec<_>>(),
        );
        self.qdisc(interface, parent, RATE, "htb", &options);
    }

    /// Creates or changes the class of an htb.
    pub(crate) fn class(&mut self, interface: u32, htb: &Htb) {
        // tc_htb_opt: rate, ceiling, buffer, buffer of the ceiling, quantum (of no matter with one class), level, priority.
        let mut parms = rate_spec(htb.bytes_per_second).repeat(2);
        let buffer = ticks_of(htb.burst, htb.bytes_per_second);
        for word in [buffer, buffer, 1514, 0, 0] {
            parms.extend(word.to_ne_bytes());
        }
        let mut options = Vec::new();
        attribute(&mut options, TCA_HTB_PARMS, &parms);
        if htb.bytes_per_second > u64::from(u32::MAX) {
            attribute(&mut options, TCA_HTB_RATE64, &htb.bytes_per_second.to_ne_bytes());
            attribute(&mut options, TCA_HTB_CEIL64, &htb.bytes_per_second.to_ne_bytes());
        }
        self.message(RTM_NEWTCLASS, NLM_F_CREATE, (interface, RATE, CLASS), "htb", &options);
    }

    /// Creates or replaces the queue of htb's class.
    pub(crate) fn queue(&mut self, interface: u32, limit: Limit) {
        let (kind, limit) = match limit {
            Limit::Bytes(bytes) => ("bfifo", bytes),
            Limit::Packets(packets) => ("pfifo", packets),
            Limit::Netem => return,
        };
        self.qdisc(interface, CLASS, QUEUE, kind, &limit.to_ne_bytes());
    }

    fn qdisc(&mut self, interface: u32, parent: u32, handle: u32, kind: &str, options: &[u8]) {
        self.message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, (interface, parent, handle), kind, options);
    }

    fn message(
        &mut self,
        message_type: u16,
        flags: u16,
        (interface, parent, handle): (u32, u32, u32),
        kind: &str,
        options: &[u8],
    ) {
        let mut body = tcmsg(interface, handle, parent);
        attribute(&mut body, TCA_KIND, &[kind.as_bytes(), b"\0"].concat());
        attribute(&mut body, TCA_OPTIONS, options);
        self.count += 1;
        message(&mut self.bytes, message_type, NLM_F_REQUEST | NLM_F_ACK | flags, self.count, &body);
    }

    /// Sends everything in one datagram, from the namespace of the calling thread, and waits for every acknowledgement.
    pub(crate) fn apply(&self) -> Result<(), LabError> {
        self.apply_through(&open().map_err(|e| LabError::io("open rtnetlink", e))?)
    }

    /// The same through a socket that is open already.
    pub(crate) fn apply_through(&self, socket: &Socket) -> Result<(), LabError> {
        if self.count == 0 {
            return Ok(());
        }
        socket.send(&self.bytes, 0).map_err(|e| LabError::io("send qdiscs", e))?;
        let mut acknowledged = 0;
        while acknowledged < self.count {
            let (datagram, _) =
                socket.recv_from_full().map_err(|e| LabError::io("read the answer to qdiscs", e))?;
            for (kind, body) in messages(&datagram) {
                if kind == NLMSG_ERROR {
                    match word(body, 0) {
                        Some(0) => acknowledged += 1,
                        code => {
                            let error = io::Error::from_raw_os_error(-(code.unwrap_or(0).cast_signed()));
                            return Err(LabError::io("install a qdisc", error));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Every qdisc of the namespace of the calling thread.
pub(crate) fn reports() -> Result<Vec<Report>, LabError> {
    let read = || -> io::Result<Vec<Report>> {
        let socket = open()?;
        let mut request = Vec::new();
        message(&mut request, RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, 1, &tcmsg(0, 0, 0));
        socket.send(&request, 0)?;
        let mut found = Vec::new();
        loop {
            let (datagram, _) = socket.recv_from_full()?;
            for (kind, body) in messages(&datagram) {
                match kind {
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => {
                        return Err(io::Error::from_raw_os_error(
                            -(word(body, 0).unwrap_or(0).cast_signed()),
                        ));
                    }
                    RTM_NEWQDISC => found.extend(report(body)),
                    _ => {}
                }
            }
        }
    };
    read().map_err(|e| LabError::io("list qdiscs", e))
}

fn report(body: &[u8]) -> Option<Report> {
    let mut report = Report { interface: word(body, 4)?, parent: word(body, 12)?, ..Report::default() };
    let all = attributes(body.get(20..)?);
    for (kind, value) in &all {
        match *kind {
            TCA_KIND => report.kind = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned(),
            TCA_STATS2 => {
                for (kind, value) in attributes(value) {
                    match kind {
                        TCA_STATS_BASIC => report.sent = u64::from(word(value, 8)?),
                        TCA_STATS_QUEUE => {
                            report.waiting = u64::from(word(value, 0)?);
                            report.dropped = u64::from(word(value, 8)?);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if report.kind == "netem" {
        let options =
            all.iter().find(|(kind, _)| *kind == TCA_OPTIONS).and_then(|(_, value)| value.get(24..))?;
        report.seed = attributes(options)
            .into_iter()
            .find(|(kind, _)| *kind == TCA_NETEM_PRNG_SEED)
            .and_then(|(_, value)| Some(u64::from_ne_bytes(value.get(..8)?.try_into().ok()?)));
    }
    Some(report)
}

/// A socket into the namespace of the calling thread.
pub(crate) fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// tc_ratespec {cell_log, linklayer, overhead: u16, cell_align: i16, mpu: u16, rate: u32}; linklayer 1 = Ethernet, which
/// makes the kernel compute times itself instead of asking for a table.
fn rate_spec(bytes_per_second: u64) -> Vec<u8> {
    let rate = u32::try_from(bytes_per_second).unwrap_or(u32::MAX);
    [&[0, 1, 0, 0, 0, 0, 0, 0][..], &rate.to_ne_bytes()].concat()
}

/// How long `bytes` take, in the scheduler's ticks.
fn ticks_of(bytes: u32, bytes_per_second: u64) -> u32 {
    let ns = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    u32::try_from(ns / u128::from(TICK_NS)).unwrap_or(u32::MAX)
}

fn tcmsg(interface: u32, handle: u32, parent: u32) -> Vec<u8> {
    [0, interface, handle, parent, 0].into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn message(to: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, body: &[u8]) {
    let length = (16 + body.len()) as u32;
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(flags.to_ne_bytes());
    to.extend(sequence.to_ne_bytes());
    to.extend(0u32.to_ne_bytes());
    to.extend(body);
    pad(to);
}

fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend(((4 + value.len()) as u16).to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    pad(to);
}

fn pad(to: &mut Vec<u8>) {
    to.resize(to.len().next_multiple_of(4), 0);
}

fn messages(datagram: &[u8]) -> Vec<(u16, &[u8])> {
    let mut rest = datagram;
    std::iter::from_fn(|| {
        let length = word(rest, 0)? as usize;
        let body = rest.get(16..length)?;
        let kind = u16::from_ne_bytes([rest[4], rest[5]]);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
    .collect()
}

fn attributes(bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(|| {
        let length = u16::from_ne_bytes([*rest.first()?, *rest.get(1)?]) as usize;
        let kind = u16::from_ne_bytes([*rest.get(2)?, *rest.get(3)?]) & !NESTED;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
    .collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netem_options_have_the_kernels_layout() {
        let mut changes = Changes::default();
        let netem = Netem {
            delay_ns: 20_000_000,
            gemodel: Some([1, 2, 3, 4]),
            limit: 1000,
            seed: Some(42),
            ..Netem::default()
        };
        changes.netem(7, ROOT, NETEM, &netem);
        let sent = messages(&changes.bytes);
        let [(RTM_NEWQDISC, body)] = sent[..] else { panic!("one message, not {sent:?}") };
        assert_eq!((word(body, 4), word(body, 8), word(body, 12)), (Some(7), Some(NETEM), Some(ROOT)));
        let outer = attributes(&body[20..]);
        assert_eq!(outer[0], (TCA_KIND, &b"netem\0"[..]));
        let options = outer[1].1;
        // tc_netem_qopt: latency in 64 ns ticks, limit, loss, gap, duplicate, jitter.
        assert_eq!(
            (0..6).map(|i| word(options, 4 * i).expect("24 bytes")).collect::<Vec<_>>(),
            [312_500, 1000, 0, 0, 0, 0]
        );
        let inner = attributes(&options[24..]);
        assert_eq!(
            inner.iter().map(|(k, v)| (*k, v.len())).collect::<Vec<_>>(),
            [(10, 8), (11, 8), (5, 20), (4, 8), (14, 8)]
        );
        assert_eq!(inner[0].1, 20_000_000u64.to_ne_bytes());
        // Reading back what was written finds the seed where the kernel will put it.
        assert_eq!(report(body).expect("parses").seed, Some(42));
    }

    #[test]
    fn a_class_of_htb_has_the_kernels_layout() {
        let mut changes = Changes::default();
        changes.class(7, &Htb { bytes_per_second: 250_000, burst: 1600, limit: Limit::Packets(1000) });
        let sent = messages(&changes.bytes);
        let [(RTM_NEWTCLASS, body)] = sent[..] else { panic!("one message, not {sent:?}") };
        assert_eq!((word(body, 8), word(body, 12)), (Some(CLASS), Some(RATE)));
        let options = attributes(attributes(&body[20..])[1].1);
        let [(TCA_HTB_PARMS, parms)] = options[..] else { panic!("one attribute, not {options:?}") };
        assert_eq!(parms.len(), 44);
        // Rate and ceiling; 1600 bytes at 250 000 bytes/s take 6.4 ms, 100 000 ticks of 64 ns.
        assert_eq!((word(parms, 8), word(parms, 20)), (Some(250_000), Some(250_000)));
        assert_eq!((word(parms, 24), word(parms, 28)), (Some(100_000), Some(100_000)));
    }
}
