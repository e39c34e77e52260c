//! Packets that did not arrive although the model let them through: counted at every place where the kernel can lose one.
//!
//! ```text
//!  sender ─ veth ─▶ [backlog] ─▶ [emulator's socket] ─▶ model ─▶ veth ─▶ [backlog] ─▶ [receiver's socket]
//!            inbound             emulator             refused      outbound            endpoint
//! ```
//! What goes in at the left is the veth's own count, so that a packet for which no place answers is missed, too.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Packets of one direction that were lost outside the model, by place, since the lab was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lost {
    /// Between the sending end's interface and the emulator: the kernel's queue for its processor was full.
    pub inbound: u64,
    /// In the emulator's socket, whose buffer was full. Where the kernel shapes: packets that a tap missed.
    pub emulator: u64,
    /// Frames longer than the emulator takes.
    pub too_long: u64,
    /// The kernel refused to send.
    pub refused: u64,
    /// Between the emulator and the receiving end's interface: the kernel's queue for its processor was full.
    pub outbound: u64,
    /// In a socket of the receiving end, whose buffer was full.
    pub endpoint: u64,
}

impl Lost {
    fn places(&self) -> [(u64, &'static str); 6] {
        [
            (self.inbound, "on the way into the emulator"),
            (self.emulator, "in the emulator's socket"),
            (self.too_long, "longer than a frame"),
            (self.refused, "refused by the kernel"),
            (self.outbound, "on the way out of the emulator"),
            (self.endpoint, "in the receiving program's socket, whose buffer was full"),
        ]
    }

    /// All places together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.places().iter().map(|(count, _)| count).sum()
    }
}

/// The places, as in "3 in the emulator's socket, 1 refused by the kernel"; nothing if nothing was lost.
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.places().into_iter().filter(|(count, _)| *count > 0);
        for (i, (count, place)) in there.enumerate() {
            write!(f, "{}{count} {place}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// What an interface has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) rx_packets: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) tx_dropped: u64,
}

/// The counters of an interface in this thread's namespace.
pub(crate) fn interface(name: &str) -> std::io::Result<Interface> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
    parse_interface(&text, name).ok_or_else(|| std::io::Error::other(format!("no counters of {name}")))
}

/// Columns of /proc/net/dev behind the name: bytes, packets, errs, drop of 8 received, then the same of 8 sent.
fn parse_interface(text: &str, name: &str) -> Option<Interface> {
    let columns = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))?;
    let columns: Vec<u64> = columns.split_whitespace().map_while(|c| c.parse().ok()).collect();
    Some(Interface {
        rx_packets: *columns.get(1)?,
        rx_dropped: *columns.get(3)?,
        tx_dropped: *columns.get(11)?,
    })
}

/// Datagrams that came to this thread's namespace whole and found no room in a socket.
pub(crate) fn without_room() -> std::io::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp")?;
    parse_without_room(&text).ok_or_else(|| std::io::Error::other("no counters of UDP"))
}

/// `InErrors` of /proc/net/snmp without `InCsumErrors`: a damaged datagram was lost by the model's word.
fn parse_without_room(text: &str) -> Option<u64> {
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (rows.next()?, rows.next()?);
    let of = |wanted: &str| {
        let place = names.split_whitespace().position(|name| name == wanted)?;
        values.split_whitespace().nth(place)?.parse::<u64>().ok()
    };
    Some(of("InErrors")?.saturating_sub(of("InCsumErrors")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let dev = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n  tx0: 100 11 0 3 0 0 0 0 200 12 0 4 0 0 0 0\n    lo:  0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        let found = parse_interface(dev, "tx0");
        assert_eq!(found, Some(Interface { rx_packets: 11, rx_dropped: 3, tx_dropped: 4 }));
        assert_eq!(parse_interface(dev, "tx"), None);
        let snmp = "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors\nUdp: 9 1 7 5 4 0 3\n";
        assert_eq!(parse_without_room(snmp), Some(4));
        assert_eq!(parse_without_room("Ip: 1\n"), None);
    }

    #[test]
    fn places_are_named_and_summed() {
        let lost = Lost { emulator: 3, refused: 1, ..Lost::default() };
        assert_eq!(
            (lost.sum(), lost.to_string().as_str()),
            (4, "3 in the emulator's socket, 1 refused by the kernel")
        );
        assert_eq!(Lost::default().to_string(), "");
    }
}
