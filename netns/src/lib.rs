//! Network namespaces, veth pairs, shaping through rtnetlink, and the user-space emulator.
//!
//! ```text
//!  [sender's namespace] eth0 ── tx0 [emulator's namespace] rx0 ── eth0 [receiver's namespace]
//!                                    Link (forward) ─▶
//!                                 ◀─ Link (reverse)
//! ```
//! Start at [`Lab`]. A program that builds labs calls [`emulator_main_if_asked`] first in its `main`, because the
//! emulator is a process of its own: of the small program `freezeframe-emulator` where that lies beside it, else of this same program. And
//! [`become_capable`] next, if it may run without root.
//!
//! | who dies | who removes the lab |
//! |---|---|
//! | nobody; the owner panics; an endpoint is killed | `Drop` of [`Lab`] |
//! | the owner, by any signal | the emulator, which sees its standard input end |
//! | the emulator | `Drop` of [`Lab`] |
//! | both | the next [`Lab::new`], or [`clean`] |

use std::os::unix::process::CommandExt;
use std::process::Command;

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

/// First argument of an emulator process; the lab's name follows. Of a program beside its owner's also [`SOURCES`] and that owner.
const EMULATOR_FLAG: &str = "--freezeframe-emulator";
/// The program of its own, which lies beside those that build labs.
const EMULATOR_PROGRAM: &str = "freezeframe-emulator";
/// Hash of the emulator's sources.
const SOURCES: &str = env!("FREEZEFRAME_EMULATOR_SOURCES");

/// Becomes the emulator and never returns, if this process was started by a [`Lab`] to be one. Otherwise does nothing.
/// To be called first in `main`, before threads and before arguments are read.
pub fn emulator_main_if_asked() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(EMULATOR_FLAG) {
        return;
    }
    let name = arguments.next().unwrap_or_default();
    if let (Some(sources), Some(owner)) = (arguments.next(), arguments.next())
        && sources != SOURCES
    {
        // Left over from another build: the owner's program is an emulator as well.
        let error = Command::new(&owner).args([EMULATOR_FLAG, &name]).exec();
        eprintln!("{EMULATOR_PROGRAM}: of another build than {owner}, which does not start: {error}");
        std::process::exit(1);
    }
    std::process::exit(emulator::run(&name));
}
