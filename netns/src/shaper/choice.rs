//! Who shapes a lab, and why.

use super::plan::{Plan, Rate, kernel_plan};
use super::tc::{self, Changes, Netem, Tbf};
use crate::error::LabError;
use crate::wire::{failed, index_of, with_netlink};
use link::{Direction, LinkSpec};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::LinkBridge;
use std::fmt;
use std::str::FromStr;

/// Who is asked to shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shaper {
    /// The kernel if it has netem with a seed and can say the whole specification, and no ledger is wanted; else the emulator.
    #[default]
    Auto,
    /// The emulator process.
    User,
    /// The kernel's qdiscs.
    Kernel,
}

impl FromStr for Shaper {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Shaper::Auto),
            "user" => Ok(Shaper::User),
            "kernel" => Ok(Shaper::Kernel),
            other => Err(format!("`{other}` is no shaper: auto, user or kernel")),
        }
    }
}

impl fmt::Display for Shaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shaper::Auto => "auto",
            Shaper::User => "user",
            Shaper::Kernel => "kernel",
        })
    }
}

/// Who shapes, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The kernel rather than the emulator.
    pub kernel: bool,
    /// In a sentence.
    pub reason: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.kernel { "kernel" } else { "user" }, self.reason)
    }
}

/// What this kernel's qdiscs can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// `sch_netem` is there.
    pub netem: bool,
    /// netem gave back the seed it was given (Linux 6.6).
    pub seed: bool,
    /// `sch_tbf` is there.
    pub tbf: bool,
    /// `sch_htb` is there.
    pub htb: bool,
    /// Bridges are there.
    pub bridge: bool,
    /// What the kernel said about each missing one.
    pub notes: Vec<String>,
}

/// Tries every qdisc in a namespace that ends with the call.
///
/// # Errors
/// When no namespace can be made.
pub fn probe() -> Result<Probe, LabError> {
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|e| LabError::NotPermitted { reason: format!("unshare(CLONE_NEWNET): {e}") })?;
        const SEED: u64 = 0x0123_4567_89ab_cdef;
        let lo = index_of("lo")?;
        let mut notes = Vec::new();
        let mut attempt = |what: &str, fill: &dyn Fn(&mut Changes)| {
            let mut changes = Changes::default();
            fill(&mut changes);
            let result = changes.apply();
            if let Err(LabError::Io { source, .. }) = &result {
                notes.push(format!("{what}: {source}"));
            }
            result.is_ok()
        };
        let tbf = attempt("tbf", &|c| {
            // Each with another handle than the one before, or it would be a change of that one.
            c.tbf(lo, tc::ROOT, tc::NETEM, &Tbf { bytes_per_second: 125_000, burst: 1600, limit: 6000 });
        });
        let htb = attempt("htb", &|c| c.htb(lo, tc::ROOT));
        let netem = attempt("netem", &|c| {
            c.netem(lo, tc::ROOT, tc::NETEM, &Netem { limit: 1000, seed: Some(SEED), ..Netem::default() });
        });
        let seed = netem && tc::reports()?.iter().any(|r| r.kind == "netem" && r.seed == Some(SEED));
        if netem && !seed {
            notes.push("netem: no seed, which needs Linux 6.6".to_owned());
        }
        let bridge = with_netlink(async |netlink| {
            let add = netlink.link().add(LinkBridge::new("probe0").build());
            add.execute().await.map_err(failed("create a bridge".to_owned()))
        });
        if let Err(e) = &bridge {
            notes.push(format!("bridge: {e}"));
        }
        Ok(Probe { netem, seed, tbf, htb, bridge: bridge.is_ok(), notes })
    })
    .join()
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Settles `wish` for two specifications. `ledger`: a fate ledger is wanted.
pub(crate) fn choose(
    wish: Shaper,
    forward: &LinkSpec,
    reverse: &LinkSpec,
    ledger: bool,
) -> Result<Choice, LabError> {
    let plans = || {
        let plan = |spec, direction: Direction| {
            kernel_plan(spec, direction.seed(0))
                .map_err(|why| format!("the {} path: {why}", format!("{direction:?}").to_lowercase()))
        };
        Ok([plan(forward, Direction::Forward)?, plan(reverse, Direction::Reverse)?])
    };
    decide(wish, ledger, plans, probe)
}

/// The decision alone. Asks for plans and for the probe only where they matter.
fn decide(
    wish: Shaper,
    ledger: bool,
    plans: impl FnOnce() -> Result<[Plan; 2], String>,
    probe: impl FnOnce() -> Result<Probe, LabError>,
) -> Result<Choice, LabError> {
    let user = |reason: &str| Ok(Choice { kernel: false, reason: reason.to_owned() });
    match wish {
        Shaper::User => return user("asked for"),
        Shaper::Auto if ledger => {
            return user(
                "a fate ledger is wanted: the emulator decides each fate itself, the kernel's are reconstructed",
            );
        }
        Shaper::Auto | Shaper::Kernel => {}
    }
    let obstacle = match plans() {
        Err(why) => Some(why),
        Ok(plans) => lacks(&plans, &probe()?),
    };
    match (wish, obstacle) {
        (Shaper::Kernel, Some(why)) => Err(LabError::Shaper(why)),
        (Shaper::Kernel, None) => Ok(Choice { kernel: true, reason: "asked for".to_owned() }),
        (_, Some(why)) => user(&why),
        (_, None) => Ok(Choice {
            kernel: true,
            reason: "this kernel can do exactly what both directions specify, and no ledger is wanted"
                .to_owned(),
        }),
    }
}

/// What a kernel lacks for these plans.
fn lacks(plans: &[Plan], probe: &Probe) -> Option<String> {
    let needs = |what: fn(&Plan) -> bool| plans.iter().any(what);
    let missing = [
        ("netem", needs(|p| p.netem.is_some()) && !(probe.netem && probe.seed)),
        ("tbf", needs(|p| matches!(p.rate, Some(Rate::Tbf(_)))) && !probe.tbf),
        ("htb", needs(|p| matches!(p.rate, Some(Rate::Htb(_)))) && !probe.htb),
        ("bridge", !probe.bridge),
    ];
    let (what, _) = missing.into_iter().find(|(_, lacks)| *lacks)?;
    let said: Vec<&str> = probe.notes.iter().filter(|n| n.starts_with(what)).map(String::as_str).collect();
    Some(format!("this kernel lacks {what} ({})", said.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shaper::plan::Traced;

    fn able() -> Probe {
        Probe { netem: true, seed: true, tbf: true, htb: true, bridge: true, notes: Vec::new() }
    }

    fn plain() -> Plan {
        Plan::default()
    }

    fn with_netem() -> Plan {
        Plan { netem: Some(Netem::default()), ..Plan::default() }
    }

    fn with_tbf() -> Plan {
        Plan { rate: Some(Rate::Tbf(Tbf { bytes_per_second: 1, burst: 1, limit: 1 })), ..Plan::default() }
    }

    fn with_htb() -> Plan {
        let rate = Rate::Htb(tc::Htb { bytes_per_second: 1, burst: 0, limit: tc::Limit::Packets(1) });
        Plan { rate: Some(rate), traced: Traced { rate: true, ..Traced::default() }, ..Plan::default() }
    }

    fn lacking(without: &str) -> Probe {
        let mut probe = able();
        match without {
            "netem" => (probe.netem, probe.seed) = (false, false),
            "seed" => probe.seed = false,
            "tbf" => probe.tbf = false,
            "htb" => probe.htb = false,
            "bridge" => probe.bridge = false,
            _ => {}
        }
        let what = if without == "seed" { "netem" } else { without };
        probe.notes = vec!["other: irrelevant".to_owned(), format!("{what}: said the kernel")];
        probe
    }

    /// Every branch: the wish, whether a ledger is wanted, what the forward and the reverse path need, what the kernel lacks;
    /// then who shapes (`None`: an error) and what the reason says.
    #[test]
    fn the_decision_table() {
        use Shaper::{Auto, Kernel, User};
        type Row = (Shaper, bool, Result<[Plan; 2], String>, &'static str, Option<bool>, &'static str);
        let refused = || Err("the reverse path: netem has no loss patterns".to_owned());
        let table: Vec<Row> = vec![
            (User, false, refused(), "netem", Some(false), "asked for"),
            (User, true, Ok([plain(), plain()]), "", Some(false), "asked for"),
            (Auto, true, Ok([plain(), plain()]), "", Some(false), "a fate ledger is wanted"),
            (Auto, true, refused(), "netem", Some(false), "a fate ledger is wanted"),
            (Auto, false, refused(), "", Some(false), "the reverse path: netem has no loss patterns"),
            (
                Auto,
                false,
                Ok([with_netem(), plain()]),
                "netem",
                Some(false),
                "lacks netem (netem: said the kernel)",
            ),
            (
                Auto,
                false,
                Ok([plain(), with_netem()]),
                "seed",
                Some(false),
                "lacks netem (netem: said the kernel)",
            ),
            (Auto, false, Ok([plain(), with_tbf()]), "tbf", Some(false), "lacks tbf (tbf: said the kernel)"),
            (Auto, false, Ok([with_htb(), plain()]), "htb", Some(false), "lacks htb (htb: said the kernel)"),
            (
                Auto,
                false,
                Ok([plain(), plain()]),
                "bridge",
                Some(false),
                "lacks bridge (bridge: said the kernel)",
            ),
            // What is missing but not needed is no obstacle.
            (Auto, false, Ok([with_tbf(), with_tbf()]), "netem", Some(true), "can do exactly"),
            (Auto, false, Ok([with_netem(), with_htb()]), "tbf", Some(true), "can do exactly"),
            (Auto, false, Ok([plain(), plain()]), "", Some(true), "can do exactly"),
            (Kernel, false, Ok([with_netem(), with_tbf()]), "", Some(true), "asked for"),
            (Kernel, true, Ok([with_netem(), with_tbf()]), "", Some(true), "asked for"),
            (Kernel, false, refused(), "", None, "the reverse path: netem has no loss patterns"),
            (Kernel, true, Ok([with_netem(), plain()]), "netem", None, "lacks netem"),
            (Kernel, false, Ok([plain(), plain()]), "bridge", None, "lacks bridge"),
        ];
        for (i, (wish, ledger, plans, without, who, words)) in table.into_iter().enumerate() {
            let chosen = decide(wish, ledger, || plans, || Ok(lacking(without)));
            let (kernel, reason) = match chosen {
                Ok(choice) => (Some(choice.kernel), choice.reason),
                Err(e) => (None, e.to_string()),
            };
            assert_eq!(kernel, who, "row {i}: {reason}");
            assert!(reason.contains(words), "row {i}: {reason}");
        }
    }

    #[test]
    fn nothing_is_probed_that_does_not_matter() {
        let never = || -> Result<[Plan; 2], String> { panic!("planned") };
        let unprobed = || -> Result<Probe, LabError> { panic!("probed") };
        decide(Shaper::User, false, never, unprobed).expect("the emulator");
        decide(Shaper::Auto, true, never, unprobed).expect("the emulator");
        decide(Shaper::Auto, false, || Err("cannot be said".to_owned()), unprobed).expect("the emulator");
    }

    #[test]
    fn both_paths_are_looked_at() {
        let native: LinkSpec =
            toml::from_str("loss = { model = \"random\", probability = \"1%\" }").expect("a specification");
        let plain = LinkSpec::default();
        for (forward, reverse, path) in
            [(&native, &plain, "the forward path: "), (&plain, &native, "the reverse path: ")]
        {
            let why = choose(Shaper::Kernel, forward, reverse, false).expect_err("native draws").to_string();
            assert!(why.contains(path), "{why}");
        }
    }

    #[test]
    fn shapers_have_names() {
        for shaper in [Shaper::Auto, Shaper::User, Shaper::Kernel] {
            assert_eq!(shaper.to_string().parse(), Ok(shaper));
        }
        assert!("tc".parse::<Shaper>().is_err());
    }
}
