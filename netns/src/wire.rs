//! The two veth pairs of a lab, from the emulator's namespace into the endpoints', through rtnetlink in process.

use crate::error::LabError;
use crate::names::{LabName, Role};
use crate::offload;
use crate::space::{self, Space};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage, State};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};
use std::ffi::CString;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Interface inside the sender's and the receiver's namespace.
pub(crate) const ENDPOINT: &str = "eth0";
/// Interface in the emulator's namespace towards the sender.
pub(crate) const TOWARDS_TX: &str = "tx0";
/// Interface in the emulator's namespace towards the receiver.
pub(crate) const TOWARDS_RX: &str = "rx0";

/// Makes both veth pairs and configures all four ends. `tx`, `emulator` and `rx` are fresh namespaces.
pub(crate) fn lay(name: &LabName, tx: &Space, emulator: &Space, rx: &Space) -> Result<(), LabError> {
    // One thread goes through all three: on a busy machine every hand-over to a new thread waits for its turn.
    space::on_a_thread_of_its_own(|| {
        for space in [tx, rx, emulator] {
            space.enter()?;
            without_ipv6()?;
        }
        with_netlink(async |netlink| {
            for (here, there, role) in [(TOWARDS_TX, tx, Role::Tx), (TOWARDS_RX, rx, Role::Rx)] {
                let far_end = InfoData::Veth(InfoVeth::Peer(peer(name, there, role)));
                let pair = LinkVeth::new(here, ENDPOINT).set_info_data(far_end).build();
                let added = netlink.link().add(pair).execute().await;
                added.map_err(failed(format!("create the veth pair {here}")))?;
                offload::all_off(here)?;
                set_up(&netlink, here).await?;
            }
            Ok(())
        })?;
        for (space, role, other) in [(tx, Role::Tx, Role::Rx), (rx, Role::Rx, Role::Tx)] {
            space.enter()?;
            with_netlink(async |netlink| configure(&netlink, name, role, other).await)?;
        }
        for (space, interfaces) in
            [(rx, &[ENDPOINT][..]), (emulator, &[TOWARDS_TX, TOWARDS_RX]), (tx, &[ENDPOINT])]
        {
            space.enter()?;
            with_netlink(async |netlink| {
                for interface in interfaces {
                    ready(&netlink, interface).await?;
                }
                Ok(())
            })?;
        }
        Ok(())
    })
}

/// A network of which the loopback is all.
pub(crate) fn loopback_alone(space: &Space) -> Result<(), LabError> {
    space::on_a_thread_of_its_own(|| {
        space.enter()?;
        without_ipv6()?;
        with_netlink(async |netlink| set_up(&netlink, "lo").await)
    })
}

/// Address, neighbour and offloads of an endpoint, from inside its namespace.
async fn configure(netlink: &Handle, name: &LabName, role: Role, other: Role) -> Result<(), LabError> {
    offload::all_off(ENDPOINT)?;
    set_up(netlink, "lo").await?;
    set_up(netlink, ENDPOINT).await?;
    let index = index_of(ENDPOINT)?;
    let address = IpAddr::V4(name.address(role));
    let added = netlink.address().add(index, address, 30).execute().await;
    added.map_err(failed(format!("add the address {address}")))?;
    // A fixed neighbour: no ARP, which would be the first packet of a run and might be lost.
    let peer = IpAddr::V4(name.address(other));
    let hardware = name.hardware_address(other);
    let entry = netlink.neighbours().add(index, peer).link_layer_address(&hardware);
    entry.execute().await.map_err(failed(format!("add the neighbour {peer}")))
}

/// Waits until an interface really sends. A pair comes up only with its second end, and the kernel tells the first one from a
/// work queue, later; until then it has the `noop` qdisc, which swallows packets without an error. Linux 6.8 and newer do what is
/// queued for an interface when they are asked for its carrier, so that nobody has to wait for the queue's turn.
async fn ready(netlink: &Handle, interface: &str) -> Result<(), LabError> {
    let index = index_of(interface)?;
    let give_up = Instant::now() + Duration::from_secs(5);
    loop {
        offload::ask_for_carrier(interface)?;
        let mut answer = netlink.link().get().match_index(index).execute();
        let link = answer.try_next().await.map_err(failed(format!("look at {interface}")))?;
        let sends = link.is_some_and(|l| {
            l.attributes.iter().any(|a| matches!(a, LinkAttribute::Qdisc(kind) if kind != "noop"))
                && l.attributes.contains(&LinkAttribute::OperState(State::Up))
        });
        if sends {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(LabError::io(
                "wait for an interface to come up",
                std::io::ErrorKind::TimedOut.into(),
            ));
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// The far end of a pair: born inside its namespace, with the hardware address that the other endpoint expects.
fn peer(name: &LabName, space: &Space, role: Role) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(ENDPOINT.to_owned()),
        LinkAttribute::Address(name.hardware_address(role).to_vec()),
        LinkAttribute::NetNsFd(space.file().as_raw_fd()),
    ];
    message
}

pub(crate) async fn set_up(netlink: &Handle, interface: &str) -> Result<(), LabError> {
    let up = LinkUnspec::new_with_index(index_of(interface)?).up().build();
    netlink.link().set(up).execute().await.map_err(failed(format!("set {interface} up")))
}

/// IPv6 off for every interface to come: no router solicitations among the measured packets.
fn without_ipv6() -> Result<(), LabError> {
    for scope in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
        match std::fs::write(&path, "1") {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(LabError::io("switch IPv6 off", e));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn index_of(interface: &str) -> Result<u32, LabError> {
    let name = CString::new(interface).map_err(|e| LabError::io("name an interface", e.into()))?;
    // SAFETY: the string is terminated and lives through the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(LabError::io("find an interface", std::io::Error::last_os_error())),
        index => Ok(index),
    }
}

/// Runs `work` with an rtnetlink connection into the namespace of the calling thread. Socket, connection and requests
/// all stay on this thread, so that nothing can move them into another namespace.
pub(crate) fn with_netlink<T>(work: impl AsyncFnOnce(Handle) -> Result<T, LabError>) -> Result<T, LabError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|e| LabError::io("start a runtime for rtnetlink", e))?;
    runtime.block_on(async {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|e| LabError::io("open rtnetlink", e))?;
        let pump = tokio::spawn(connection);
        let result = work(handle).await;
        pump.abort();
        result
    })
}

pub(crate) fn failed(action: String) -> impl FnOnce(rtnetlink::Error) -> LabError {
    move |source| LabError::Netlink { action, source }
}
