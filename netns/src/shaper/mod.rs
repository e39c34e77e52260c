//! Who shapes: the emulator process or the kernel's qdiscs, and why.
//!
//! ```text
//!  tx0 ── bridge ── rx0 ▶ netem (loss, delay) ▶ tbf or htb (rate, queue) ▶ veth       and the same on the way out at tx0
//! ```
//! | module | what |
//! |---|---|
//! | `choice` | who shapes: what is wished, what the specification needs, what this kernel has |
//! | `plan` | from a specification to qdiscs; what they cannot do is refused with the reason |
//! | [`tc`] | the messages: netem, tbf, htb, queues, their statistics |
//! | `steps` | a trace's rows, each applied in one datagram when it is due |
//! | `replay` | the ledger: packets seen on both sides of the qdiscs, and what the model says about them |

mod choice;
mod plan;
pub(crate) mod replay;
pub(crate) mod steps;
pub mod tc;

pub(crate) use choice::choose;
pub use choice::{Choice, Probe, Shaper, probe};
pub use plan::{Plan, Rate, Traced, kernel_plan};

use crate::error::LabError;
use crate::space::Space;
use crate::wire::{self, TOWARDS_RX, TOWARDS_TX, failed, index_of, set_up, with_netlink};
use link::{Direction, LinkSpec};
use rtnetlink::{LinkBridge, LinkUnspec};
use tc::{Changes, Limit};

/// Bridges the two veth pairs and hangs the qdiscs of both directions, in one datagram per direction; then reads the seed back.
pub(crate) fn install(
    emulator: &Space,
    forward: &LinkSpec,
    reverse: &LinkSpec,
    run_seed: u64,
) -> Result<(), LabError> {
    emulator.run(|| {
        with_netlink(async |netlink| {
            // A snooping bridge announces itself to multicast routers through both shaped ports.
            let bridge = netlink.link().add(LinkBridge::new("br0").mcast_snooping(false).build());
            bridge.execute().await.map_err(failed("create a bridge".to_owned()))?;
            let controller = index_of("br0")?;
            for port in [TOWARDS_TX, TOWARDS_RX] {
                let join = LinkUnspec::new_with_index(index_of(port)?).controller(controller).build();
                netlink
                    .link()
                    .set(join)
                    .execute()
                    .await
                    .map_err(failed(format!("put {port} into the bridge")))?;
            }
            set_up(&netlink, "br0").await
        })?;
        for (port, spec, direction) in
            [(TOWARDS_RX, forward, Direction::Forward), (TOWARDS_TX, reverse, Direction::Reverse)]
        {
            let seed = direction.seed(run_seed);
            let plan = kernel_plan(spec, seed).map_err(LabError::Shaper)?;
            let mut changes = Changes::default();
            hang(&mut changes, wire::index_of(port)?, &plan);
            changes.apply()?;
            let has = |r: &tc::Report| r.kind == "netem" && r.seed == Some(seed);
            if plan.netem.is_some() && !tc::reports()?.iter().any(has) {
                return Err(LabError::Shaper("netem did not keep its seed".to_owned()));
            }
        }
        Ok(())
    })?
}

/// Every qdisc of a plan, anew.
fn hang(changes: &mut Changes, interface: u32, plan: &Plan) {
    let mut parent = tc::ROOT;
    if let Some(netem) = plan.netem.as_ref().filter(|_| !plan.netem_below()) {
        changes.netem(interface, tc::ROOT, tc::NETEM, netem);
        parent = tc::BELOW_NETEM;
    }
    match &plan.rate {
        None => {}
        Some(Rate::Tbf(tbf)) => changes.tbf(interface, parent, tc::RATE, tbf),
        Some(Rate::Htb(htb)) => {
            changes.htb(interface, parent);
            changes.class(interface, htb);
            match (htb.limit, &plan.netem) {
                (Limit::Netem, Some(netem)) => changes.netem(interface, tc::CLASS, tc::NETEM, netem),
                (Limit::Netem, None) => {}
                (Limit::Bytes(_) | Limit::Packets(_), _) => changes.queue(interface, htb.limit),
            }
        }
    }
}

/// From one plan to another of the same qdiscs: the parts that are named.
fn change(changes: &mut Changes, interface: u32, plan: &Plan, rate: bool, netem: bool) {
    match &plan.rate {
        Some(Rate::Htb(htb)) if rate => changes.class(interface, htb),
        Some(Rate::Tbf(tbf)) if rate => {
            let parent = if plan.netem.is_some() { tc::BELOW_NETEM } else { tc::ROOT };
            changes.tbf(interface, parent, tc::RATE, tbf);
        }
        _ => {}
    }
    if let Some(settings) = plan.netem.as_ref().filter(|_| netem) {
        let parent = if plan.netem_below() { tc::CLASS } else { tc::ROOT };
        changes.netem(interface, parent, tc::NETEM, settings);
    }
}

#[cfg(test)]
mod tests;
