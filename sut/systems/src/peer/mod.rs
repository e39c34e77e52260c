//! ReVo between two machines, as the original runs: peers that find each other over a signalling server and then talk
//! directly.
//!
//! | file | what |
//! |---|---|
//! | [`signalling`] | the server, compatible with the original's, and its client |
//! | [`session`] | one end of a session: sockets, timers, captures, the end |
//! | [`films`] | `rgb.mp4` and `depth.mp4`: what was on the screen |
//! | [`cli`] | the command lines |
//! | [`evaluation`] | many sessions in a row on two machines, from a `trace_map.txt` |
//!
//! The other end may be the original (aiortc 1.14 or 1.16) or this program.

pub mod cli;
pub mod evaluation;
pub mod films;
pub mod session;
pub mod signalling;

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Own addresses that a peer elsewhere could reach: those of all interfaces that are up, but loopback, which no original offers, and link-local
/// ones, which mean nothing without their interface.
///
/// # Errors
/// The operating system does not tell.
pub fn host_addresses() -> anyhow::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    for interface in nix::ifaddrs::getifaddrs()? {
        let Some(address) = interface.address else { continue };
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) if !v4.ip().is_link_local() => IpAddr::V4(v4.ip()),
            (_, Some(v6)) if v6.ip().segments()[0] & 0xffc0 != 0xfe80 => IpAddr::V6(v6.ip()),
            _ => continue,
        };
        if !ip.is_loopback() && !ip.is_unspecified() && !found.contains(&ip) {
            found.push(ip);
        }
    }
    found.sort_by_key(IpAddr::is_ipv6); // as aiortc offers them
    Ok(found)
}

/// A socket per address, on ports that the system chooses.
fn bind(addresses: &[IpAddr]) -> anyhow::Result<Vec<(SocketAddr, UdpSocket)>> {
    let sockets: Vec<_> = addresses
        .iter()
        .filter_map(|&ip| {
            let socket = UdpSocket::bind((ip, 0)).ok()?; // an address that is going away
            Some((socket.local_addr().ok()?, socket))
        })
        .collect();
    anyhow::ensure!(
        !sockets.is_empty(),
        "this machine has no address that a peer could reach; bring a network interface up, or give one with --local"
    );
    Ok(sockets)
}
