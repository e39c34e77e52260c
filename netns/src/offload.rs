//! Offloads off, by the ethtool ioctl.
//!
//! A veth device lets the sender leave checksums for hardware that does not exist: `ping` works and every UDP datagram
//! that a packet socket forwards is lost at the receiver. Segmentation and merging would also make one "packet" of many.

use crate::error::LabError;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::{AsRawFd, OwnedFd};

/// One switch of `linux/ethtool.h`: name, command that reads it, command that sets it.
struct Switch {
    name: &'static str,
    get: u32,
    set: u32,
}

const SWITCHES: [Switch; 6] = [
    Switch { name: "rx-checksumming", get: 0x14, set: 0x15 },
    Switch { name: "tx-checksumming", get: 0x16, set: 0x17 },
    Switch { name: "scatter-gather", get: 0x18, set: 0x19 },
    Switch { name: "tcp-segmentation-offload", get: 0x1e, set: 0x1f },
    Switch { name: "generic-segmentation-offload", get: 0x23, set: 0x24 },
    Switch { name: "generic-receive-offload", get: 0x2b, set: 0x2c },
];

#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// ETHTOOL_GLINK of `linux/ethtool.h`.
const GET_LINK: u32 = 0x0a;

/// Asks for the carrier of `interface`; what counts is what the kernel does before it answers.
///
/// # Errors
/// When no socket can be made.
pub(crate) fn ask_for_carrier(interface: &str) -> Result<(), LabError> {
    let _ = ethtool(open()?.as_raw_fd(), interface, GET_LINK, 0);
    Ok(())
}

fn open() -> Result<OwnedFd, LabError> {
    socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|e| LabError::io("open a socket for ethtool", e.into()))
}

/// Switches every offload of `interface` off, in the namespace of the calling thread, and reads each back.
///
/// # Errors
/// When a switch stays on although the kernel knows it.
pub(crate) fn all_off(interface: &str) -> Result<(), LabError> {
    let socket = open()?;
    for switch in &SWITCHES {
        // A driver may refuse the command for a switch it cannot change; what counts is the state read back.
        let _ = ethtool(socket.as_raw_fd(), interface, switch.set, 0);
        if matches!(ethtool(socket.as_raw_fd(), interface, switch.get, 0), Ok(on) if on != 0) {
            return Err(LabError::Shaper(format!("{} of {interface} cannot be switched off", switch.name)));
        }
    }
    Ok(())
}

fn ethtool(socket: i32, interface: &str, command: u32, data: u32) -> std::io::Result<u32> {
    let mut value = Value { command, data };
    // SAFETY: all fields of ifreq are plain old data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request names a buffer that outlives the call and has the layout of ethtool_value.
    let rc = unsafe { libc::ioctl(socket, libc::SIOCETHTOOL, &raw mut request) };
    if rc < 0 { Err(std::io::Error::last_os_error()) } else { Ok(value.data) }
}
