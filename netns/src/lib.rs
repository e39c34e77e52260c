//! Network namespaces, veth pairs, shaping through rtnetlink, and the user-space emulator.
//!
//! ```text
//!  [sender's namespace] eth0 ── tx0 [emulator's namespace] rx0 ── eth0 [receiver's namespace]
//!                                    Link (forward) ─▶
//!                                 ◀─ Link (reverse)
//! ```
//! Start at [`Lab`]. A program that builds labs calls [`emulator_main_if_asked`] first in its `main`, because the
//! emulator is this same program in a process of its own, and [`become_capable`] next, if it may run without root.
//!
//! | who dies | who removes the lab |
//! |---|---|
//! | nobody; the owner panics; an endpoint is killed | `Drop` of [`Lab`] |
//! | the owner, by any signal | the emulator, which sees its standard input end |
//! | the emulator | `Drop` of [`Lab`] |
//! | both | the next [`Lab::new`], or [`clean`] |

mod control;
pub mod differential;
mod emulator;
mod error;
pub mod kind;
mod lab;
pub mod lateness;
pub mod ledger;
mod leftovers;
mod lost;
mod names;
mod offload;
pub mod pcapng;
mod privilege;
mod real_time;
pub mod sandbox;
pub mod shaper;
mod space;
pub mod traffic;
mod wire;

pub use control::{Bound, Counts, Health, Timing};
pub use error::LabError;
pub use lab::{End, Lab, LabConfig, Network};
pub use leftovers::{clean, labs, leftovers};
pub use lost::Lost;
pub use names::{LabName, Role};
pub use privilege::{Privilege, become_capable, privilege};
pub use shaper::{Choice, Shaper};

/// First argument of an emulator process; the lab's name follows.
const EMULATOR_FLAG: &str = "--freezeframe-emulator";

/// Becomes the emulator and never returns, if this process was started by a [`Lab`] to be one. Otherwise does nothing.
/// To be called first in `main`, before threads and before arguments are read.
pub fn emulator_main_if_asked() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(EMULATOR_FLAG) {
        std::process::exit(emulator::run(&arguments.next().unwrap_or_default()));
    }
}
