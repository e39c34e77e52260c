//! What a frame on a veth pair is: shaped traffic of the two ends, or something that must not cross.

use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// Kinds of traffic. Every unicast IPv4 packet between the two ends is shaped, whatever its protocol; nothing else crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UDP from one end to the other: the traffic under test, on any port.
    Udp,
    /// TCP. Shaped; named, because a system that is to be measured over UDP has no use for it.
    Tcp,
    /// ICMP requests and replies. Shaped.
    Icmp,
    /// ICMP errors (destination unreachable, time exceeded ...), which the ends' kernels send by themselves. Shaped.
    IcmpError,
    /// Any other protocol on IPv4. Shaped.
    OtherIp,
    /// IPv6. Dropped.
    Ipv6,
    /// ARP. Dropped: the ends have fixed neighbours.
    Arp,
    /// IGMP membership reports, which a kernel sends by itself. Dropped.
    Igmp,
    /// IPv4 to a group or to everybody. Dropped.
    Multicast,
    /// IPv4 from or to an address that is no end of this path. Dropped.
    Stranger,
    /// Another type of Ethernet frame: VLAN tags, and whatever nobody knows. Dropped.
    Ethernet,
}

/// Bytes before the IP header.
const ETHERNET: usize = 14;

impl Kind {
    /// What `frame`, an Ethernet frame on the way from `from` to `to`, is. IPv4: protocol at 9, addresses at 12 and 16 (RFC 791
    /// section 3.1).
    #[must_use]
    pub fn of(frame: &[u8], from: Ipv4Addr, to: Ipv4Addr) -> Kind {
        let Some(packet) = frame.get(ETHERNET..) else { return Kind::Ethernet };
        match [frame[12], frame[13]] {
            [0x08, 0x00] => {}
            [0x86, 0xdd] => return Kind::Ipv6,
            [0x08, 0x06] => return Kind::Arp,
            _ => return Kind::Ethernet,
        }
        if packet.len() < 20 || packet[0] >> 4 != 4 {
            return Kind::Ethernet;
        }
        let destination = Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]);
        let protocol = libc::c_int::from(packet[9]);
        if protocol == libc::IPPROTO_IGMP {
            return Kind::Igmp;
        }
        // The host part of a path's /30 that is all ones is its broadcast address.
        let broadcast = u32::from(destination) == u32::from(to) | 3;
        if destination.is_multicast() || destination.is_broadcast() || broadcast {
            return Kind::Multicast;
        }
        if packet[12..16] != from.octets() || destination != to {
            return Kind::Stranger;
        }
        match protocol {
            libc::IPPROTO_UDP => Kind::Udp,
            libc::IPPROTO_TCP => Kind::Tcp,
            libc::IPPROTO_ICMP => {
                let header = usize::from(packet[0] & 15) * 4;
                // RFC 792: 3 unreachable, 4 source quench, 5 redirect, 11 time exceeded, 12 parameter problem.
                let error = packet.get(header).is_some_and(|t| matches!(t, 3 | 4 | 5 | 11 | 12));
                if error { Kind::IcmpError } else { Kind::Icmp }
            }
            _ => Kind::OtherIp,
        }
    }

    /// Whether the model decides over it. What it does not decide over is dropped.
    #[must_use]
    pub fn is_shaped(self) -> bool {
        matches!(self, Kind::Udp | Kind::Tcp | Kind::Icmp | Kind::IcmpError | Kind::OtherIp)
    }
}

/// Packets of one direction that are not UDP between the ends, by kind, since the run's time zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Others {
    /// [`Kind::Tcp`], shaped.
    pub tcp: u64,
    /// [`Kind::Icmp`], shaped.
    pub icmp: u64,
    /// [`Kind::IcmpError`], shaped.
    pub icmp_errors: u64,
    /// [`Kind::OtherIp`], shaped.
    pub ip: u64,
    /// [`Kind::Ipv6`].
    pub ipv6: u64,
    /// [`Kind::Arp`].
    pub arp: u64,
    /// [`Kind::Igmp`].
    pub igmp: u64,
    /// [`Kind::Multicast`].
    pub multicast: u64,
    /// [`Kind::Stranger`].
    pub stranger: u64,
    /// [`Kind::Ethernet`].
    pub ethernet: u64,
}

impl Others {
    pub(crate) fn add(&mut self, kind: Kind) {
        *match kind {
            Kind::Udp => return,
            Kind::Tcp => &mut self.tcp,
            Kind::Icmp => &mut self.icmp,
            Kind::IcmpError => &mut self.icmp_errors,
            Kind::OtherIp => &mut self.ip,
            Kind::Ipv6 => &mut self.ipv6,
            Kind::Arp => &mut self.arp,
            Kind::Igmp => &mut self.igmp,
            Kind::Multicast => &mut self.multicast,
            Kind::Stranger => &mut self.stranger,
            Kind::Ethernet => &mut self.ethernet,
        } += 1;
    }

    /// Kinds that a program must have sent on purpose, by the name under which a manifest allows them, with their counts. What
    /// kernels send by themselves (ARP, IGMP, ICMP errors) is not among them.
    #[must_use]
    pub fn by_programs(&self) -> [(&'static str, u64); 7] {
        [
            ("tcp", self.tcp),
            ("icmp", self.icmp),
            ("ip", self.ip),
            ("ipv6", self.ipv6),
            ("multicast", self.multicast),
            ("stranger", self.stranger),
            ("ethernet", self.ethernet),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TX: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
    const RX: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

    fn ip(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let mut frame = [&[0; 12][..], &[8, 0, 0x45]].concat();
        frame.extend([0; 8]);
        frame.push(protocol);
        frame.extend([0; 2]);
        frame.extend(from.octets());
        frame.extend(to.octets());
        frame.extend(payload);
        frame
    }

    #[test]
    fn every_frame_has_a_kind_and_only_ipv4_between_the_ends_is_shaped() {
        let group = Ipv4Addr::new(224, 0, 0, 251);
        let typed = |high, low| [&[0; 12][..], &[high, low], &[0; 40]].concat();
        for (frame, kind, shaped) in [
            (ip(17, TX, RX, &[0; 8]), Kind::Udp, true),
            (ip(6, TX, RX, &[0; 20]), Kind::Tcp, true),
            (ip(1, TX, RX, &[8, 0]), Kind::Icmp, true),
            (ip(1, TX, RX, &[3, 3]), Kind::IcmpError, true),
            (ip(132, TX, RX, &[]), Kind::OtherIp, true),
            (ip(17, TX, group, &[]), Kind::Multicast, false),
            (ip(17, TX, Ipv4Addr::BROADCAST, &[]), Kind::Multicast, false),
            (ip(17, TX, Ipv4Addr::new(198, 18, 0, 3), &[]), Kind::Multicast, false),
            (ip(2, TX, group, &[]), Kind::Igmp, false),
            (ip(17, RX, TX, &[]), Kind::Stranger, false),
            (ip(17, TX, Ipv4Addr::new(10, 0, 0, 1), &[]), Kind::Stranger, false),
            (typed(0x86, 0xdd), Kind::Ipv6, false),
            (typed(0x08, 0x06), Kind::Arp, false),
            (typed(0x81, 0x00), Kind::Ethernet, false),
            (typed(0x12, 0x34), Kind::Ethernet, false),
            (vec![0; 6], Kind::Ethernet, false),
            (ip(17, TX, RX, &[])[..20].to_vec(), Kind::Ethernet, false),
        ] {
            let found = Kind::of(&frame, TX, RX);
            assert_eq!((found, found.is_shaped()), (kind, shaped), "{frame:x?}");
        }
    }
}
