//! What can go wrong around a lab, said with the next step.

use std::io;

/// Why a lab could not be built, asked or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// Neither root nor able to become root of a user namespace.
    #[error("network namespaces need root or a user namespace: {reason}")]
    NotPermitted {
        /// What the kernel refused, and what would help.
        reason: String,
    },
    /// A named namespace could not be handled.
    #[error("failed to {action} network namespace {name}")]
    Namespace {
        /// Verb: create, open.
        action: &'static str,
        /// Its name below `/run/netns`.
        name: String,
        /// What the kernel said.
        source: netns_rs::Error,
    },
    /// A request over rtnetlink failed.
    #[error("failed to {action} through rtnetlink")]
    Netlink {
        /// What was asked for.
        action: String,
        /// What the kernel answered.
        source: rtnetlink::Error,
    },
    /// A system call failed.
    #[error("failed to {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A link specification was refused by the model.
    #[error("link specification refused")]
    Spec(#[from] link::LinkError),
    /// The kernel shaper cannot do what was asked.
    #[error("kernel shaper: {0}")]
    Shaper(String),
    /// The emulator process ended, said nothing in time, or said something unknown.
    #[error("emulator process: {0}")]
    Emulator(String),
}

impl LabError {
    pub(crate) fn io(action: &'static str, source: io::Error) -> LabError {
        LabError::Io { action, source }
    }
}
