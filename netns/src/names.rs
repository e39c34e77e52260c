//! Names of a lab's namespaces: they say who owns them, so that leftovers can be told from labs in use.
//!
//! `ff-<owner pid>-<owner start time>-<number>-<subnet>-<role>`. A pid alone is not enough: it is used again.
//! The start time (clock ticks since boot, field 22 of `/proc/<pid>/stat`) makes the pair unique until the next boot,
//! and no namespace survives a boot.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a namespace of a lab is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The sender's namespace.
    Tx,
    /// The emulator's, in the middle.
    Emulator,
    /// The receiver's namespace.
    Rx,
    /// A third party's, beside the path; only in labs that were asked for one.
    Server,
}

impl Role {
    /// All of them, those of the path first and in its order.
    pub const ALL: [Role; 4] = [Role::Tx, Role::Emulator, Role::Rx, Role::Server];

    const fn word(self) -> &'static str {
        match self {
            Role::Tx => "tx",
            Role::Emulator => "emu",
            Role::Rx => "rx",
            Role::Server => "srv",
        }
    }
}

/// The name shared by the namespaces of one lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabName {
    /// Process that created the lab.
    pub owner: i32,
    /// Its start time, in clock ticks since boot.
    pub started: u64,
    /// Which of the owner's labs, from 0.
    pub number: u32,
    /// Which /30 of 198.18.0.0/15 the lab uses.
    pub subnet: u16,
}

/// 198.18.0.0/15 is set aside for benchmarks of network devices (RFC 2544): no host's route is shadowed by it.
const SUBNETS: u16 = 1 << 15;

impl LabName {
    /// A name for a new lab of this process, with a subnet that none of `taken` uses.
    pub(crate) fn for_this_process(taken: &[LabName]) -> Option<LabName> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let owner = i32::try_from(std::process::id()).ok()?;
        let started = start_time(owner)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Spread by pid, so that two processes that look at the same moment rarely pick the same one. They may:
        // namespaces keep equal addresses apart; distinct ones only make packet captures easier to read.
        let first = (u64::from(owner.unsigned_abs()) * 7919 + u64::from(number)) % u64::from(SUBNETS);
        let subnet = (0..SUBNETS)
            .map(|step| ((first + u64::from(step)) % u64::from(SUBNETS)) as u16)
            .find(|s| taken.iter().all(|t| t.subnet != *s))?;
        Some(LabName { owner, started, number, subnet })
    }

    /// Name of the namespace with this role.
    #[must_use]
    pub fn namespace(&self, role: Role) -> String {
        format!("{self}-{}", role.word())
    }

    /// Reads back what [`LabName::namespace`] wrote; `None` for names of other programs.
    #[must_use]
    pub fn parse(namespace: &str) -> Option<(LabName, Role)> {
        let parts: Vec<&str> = namespace.split('-').collect();
        let ["ff", owner, started, number, subnet, role] = parts[..] else { return None };
        let name = LabName {
            owner: owner.parse().ok()?,
            started: started.parse().ok()?,
            number: number.parse().ok()?,
            subnet: subnet.parse().ok().filter(|s| *s < SUBNETS)?,
        };
        let role = Role::ALL.into_iter().find(|r| r.word() == role)?;
        Some((name, role))
    }

    /// Whether the process that created the lab still runs.
    #[must_use]
    pub fn owner_runs(&self) -> bool {
        start_time(self.owner) == Some(self.started)
    }

    /// Address of the sender (`.1` of the /30) or of the receiver (`.2`). A third party has no veth pair: it is its own loopback.
    #[must_use]
    pub fn address(&self, role: Role) -> Ipv4Addr {
        let host = match role {
            Role::Tx => 1,
            Role::Rx => 2,
            Role::Emulator => 0,
            Role::Server => return Ipv4Addr::LOCALHOST,
        };
        Ipv4Addr::from((198 << 24 | 18 << 16) + (u32::from(self.subnet) << 2) + host)
    }

    /// Hardware address of an endpoint: locally administered, derived from the subnet.
    pub(crate) fn hardware_address(&self, role: Role) -> [u8; 6] {
        let [_, b, c, d] = self.address(role).octets();
        [0x02, 0xff, 0, b, c, d]
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ff-{}-{}-{}-{}", self.owner, self.started, self.number, self.subnet)
    }
}

/// Start time of a process, in clock ticks since boot; `None` if it does not run (a zombie does not).
fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let name = LabName::for_this_process(&[]).expect("this process runs");
        for role in Role::ALL {
            assert_eq!(LabName::parse(&name.namespace(role)), Some((name, role)));
        }
        assert!(name.owner_runs());
        assert!(
            !LabName { started: name.started + 1, ..name }.owner_runs(),
            "a reused pid is another process"
        );
        for foreign in [
            "default",
            "ff-1-2-3-4",
            "ff-1-2-3-99999-tx",
            "ff-a-2-3-4-tx",
            "ff-1-2-3-4-mid",
            "ff-1-2-3-4-tx-5",
        ] {
            assert_eq!(LabName::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn subnets_stay_inside_the_benchmark_range_and_differ() {
        let first = LabName::for_this_process(&[]).expect("this process runs");
        let second = LabName::for_this_process(&[first]).expect("this process runs");
        assert_ne!(first.address(Role::Tx), second.address(Role::Tx));
        let last = LabName { subnet: SUBNETS - 1, ..first };
        assert_eq!(last.address(Role::Rx), Ipv4Addr::new(198, 19, 255, 254));
    }
}
