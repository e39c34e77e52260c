//! Who shapes: the emulator process or the kernel's qdiscs, and why.
//!
//! The kernel's path is a bridge between the two cables with a qdisc on each way out: netem (loss, delay), below it tbf (rate,
//! queue). It can say only part of what a [`LinkSpec`] can; [`kernel_plan`] refuses the rest with the reason, and never
//! approximates.

pub mod tc;

use crate::control::{Counts, Health};
use crate::error::LabError;
use crate::space::Space;
use crate::wire::{self, TOWARDS_RX, TOWARDS_TX, failed, index_of, set_up, with_netlink};
use link::{
    BottleneckSpec, DelayBase, Direction, LinkSpec, LossBy, LossSpec, Model, Order, QueueLimit, RateSpec,
    Step,
};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::{LinkBridge, LinkUnspec};
use std::fmt;
use std::str::FromStr;
use tc::{Changes, Netem, Tbf};

/// Who is asked to shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shaper {
    /// The kernel if it has netem with a seed and can say the whole specification; else the emulator.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// `sch_netem` is there.
    pub netem: bool,
    /// netem gave back the seed it was given (Linux 6.6).
    pub seed: bool,
    /// `sch_tbf` is there.
    pub tbf: bool,
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
            c.tbf(
                lo,
                tc::ROOT,
                tc::ROOT_HANDLE,
                &Tbf { bytes_per_second: 125_000, burst: 1600, limit: 6000 },
            );
        });
        let netem = attempt("netem", &|c| {
            c.netem(
                lo,
                tc::ROOT,
                tc::CHILD_HANDLE,
                &Netem { limit: 1000, seed: Some(SEED), ..Netem::default() },
            );
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
        Ok(Probe { netem, seed, tbf, bridge: bridge.is_ok(), notes })
    })
    .join()
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Settles `wish` for two specifications. `ledger`: a fate ledger is wanted, which only the emulator can write.
pub(crate) fn choose(
    wish: Shaper,
    forward: &LinkSpec,
    reverse: &LinkSpec,
    ledger: bool,
) -> Result<Choice, LabError> {
    if wish == Shaper::User {
        return Ok(Choice { kernel: false, reason: "asked for".to_owned() });
    }
    let obstacle = obstacle(forward, reverse, ledger)?;
    match (wish, obstacle) {
        (Shaper::Kernel, Some(why)) => Err(LabError::Shaper(why)),
        (Shaper::Kernel, None) => Ok(Choice { kernel: true, reason: "asked for".to_owned() }),
        (_, Some(why)) => Ok(Choice { kernel: false, reason: why }),
        (_, None) => Ok(Choice {
            kernel: true,
            reason: "this kernel can do exactly what both directions specify".to_owned(),
        }),
    }
}

fn obstacle(forward: &LinkSpec, reverse: &LinkSpec, ledger: bool) -> Result<Option<String>, LabError> {
    if ledger {
        return Ok(Some("only the emulator writes a fate ledger".to_owned()));
    }
    let mut plans = Vec::new();
    for (spec, direction) in [(forward, Direction::Forward), (reverse, Direction::Reverse)] {
        match kernel_plan(spec, direction.seed(0)) {
            Ok(plan) => plans.push(plan),
            Err(why) => return Ok(Some(format!("{direction:?} path: {why}").to_lowercase())),
        }
    }
    let probe = probe()?;
    let missing = |what: &str| {
        let said: Vec<&str> =
            probe.notes.iter().filter(|n| n.starts_with(what)).map(String::as_str).collect();
        Some(format!("this kernel lacks {what} ({})", said.join("; ")))
    };
    let netem = plans.iter().any(|p| p.netem.is_some());
    Ok(if netem && !(probe.netem && probe.seed) {
        missing("netem")
    } else if plans.iter().any(|p| p.tbf.is_some()) && !probe.tbf {
        missing("tbf")
    } else if !probe.bridge {
        missing("bridge")
    } else {
        None
    })
}

/// The qdiscs that do exactly what a specification says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Loss and delay.
    pub netem: Option<Netem>,
    /// Rate and queue.
    pub tbf: Option<Tbf>,
}

/// Largest frame on the cables, bytes: a bucket must hold it whole.
const FRAME: u64 = 1514;
/// Packets a netem may hold when the specification sets no limit: seconds of a fast link.
const NO_LIMIT: u32 = 1_000_000;

/// Translates a specification into qdiscs.
///
/// # Errors
/// What the kernel cannot say, in words.
pub fn kernel_plan(spec: &LinkSpec, seed: u64) -> Result<Plan, String> {
    let mut netem = Netem { limit: NO_LIMIT, seed: Some(seed), ..Netem::default() };
    let random = spec.loss != LossSpec::None
        || spec.duplicate.threshold() > 0
        || spec.corrupt.threshold() > 0
        || spec.delay.jitter.as_nanos() > 0;
    if random && spec.model != Model::Netem {
        return Err("its draws are the native model's, not netem's (model = \"netem\")".to_owned());
    }
    match &spec.loss {
        LossSpec::None => {}
        LossSpec::Random { probability } => netem.loss = probability.threshold(),
        LossSpec::GilbertElliott {
            good_to_bad,
            bad_to_good,
            loss_good,
            loss_bad,
            step: Step::Packet,
            loss_by: LossBy::Old,
        } => {
            netem.gemodel = Some([
                good_to_bad.threshold(),
                bad_to_good.threshold(),
                u32::MAX - loss_bad.threshold(),
                loss_good.threshold(),
            ]);
        }
        LossSpec::GilbertElliott { .. } => {
            return Err("netem steps its two-state channel per packet and judges by the old state".to_owned());
        }
        LossSpec::Pattern { .. } => return Err("netem has no loss patterns".to_owned()),
        LossSpec::Trace => {
            return Err(
                "netem may start its draws anew at every change: a loss trace has no seed to speak of"
                    .to_owned(),
            );
        }
    }
    netem.duplicate = spec.duplicate.threshold();
    netem.corrupt = spec.corrupt.threshold();
    netem.jitter_ns = spec.delay.jitter.as_nanos();
    netem.delay_ns = match spec.delay.base {
        DelayBase::Constant(span) => span.as_nanos(),
        DelayBase::Trace => {
            return Err(
                "netem may start its draws anew at every change: a delay trace needs the emulator".to_owned()
            );
        }
    };
    if netem.jitter_ns > 0 && !spec.delay.reorder {
        return Err("netem's jitter reorders packets (delay.reorder = true)".to_owned());
    }
    let needs_netem = random || netem.delay_ns > 0;
    let tbf = spec.bottleneck.as_ref().map(|b| tbf(b, spec)).transpose()?;
    if tbf.is_some() && needs_netem && spec.order == Order::QueueFirst {
        return Err("the kernel's tbf hangs below netem: loss comes before the queue".to_owned());
    }
    if tbf.is_some() && netem.jitter_ns > 0 && spec.order != Order::DelayFirst {
        return Err(
            "the kernel's tbf hangs below netem: jitter comes before the queue (order = \"delay_first\")"
                .to_owned(),
        );
    }
    Ok(Plan { netem: needs_netem.then_some(netem), tbf })
}

fn tbf(bottleneck: &BottleneckSpec, spec: &LinkSpec) -> Result<Tbf, String> {
    let RateSpec::Constant(rate) = bottleneck.rate else {
        return Err(
            "tbf fills its bucket anew at every change: a traced rate would let a burst through per row"
                .to_owned(),
        );
    };
    let QueueLimit::Bytes(limit) = bottleneck.queue else {
        return Err("tbf's queue is limited in bytes (queue = \"6000B\")".to_owned());
    };
    if spec.overhead.0 != 14 {
        return Err("tbf counts the Ethernet header (overhead = \"14B\")".to_owned());
    }
    if bottleneck.burst.0 < FRAME {
        return Err(format!("tbf's bucket must hold a whole frame (burst of {FRAME}B or more)"));
    }
    if rate.as_bps() % 8 != 0 {
        return Err("tbf counts whole bytes per second".to_owned());
    }
    let narrow = |bytes: u64| u32::try_from(bytes).map_err(|_| "tbf's limits are 32 bits wide".to_owned());
    Ok(Tbf {
        bytes_per_second: rate.as_bps() / 8,
        burst: narrow(bottleneck.burst.0)?,
        limit: narrow(limit.0)?,
    })
}

/// Bridges the two cables and hangs the qdiscs of both directions, in one datagram per direction; then reads the seed back.
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
            hang(wire::index_of(port)?, &plan)?;
            let has = |r: &tc::Report| r.kind == "netem" && r.seed == Some(seed);
            if plan.netem.is_some() && !tc::reports()?.iter().any(has) {
                return Err(LabError::Shaper("netem did not keep its seed".to_owned()));
            }
        }
        Ok(())
    })?
}

fn hang(interface: u32, plan: &Plan) -> Result<(), LabError> {
    let mut changes = Changes::default();
    match (&plan.netem, &plan.tbf) {
        (Some(netem), Some(tbf)) => {
            changes.netem(interface, tc::ROOT, tc::ROOT_HANDLE, netem);
            changes.tbf(interface, tc::BELOW_ROOT, tc::CHILD_HANDLE, tbf);
        }
        (Some(netem), None) => changes.netem(interface, tc::ROOT, tc::ROOT_HANDLE, netem),
        (None, Some(tbf)) => changes.tbf(interface, tc::ROOT, tc::ROOT_HANDLE, tbf),
        (None, None) => return Ok(()),
    }
    changes.apply()
}

/// Fills in the counts of a lab that the kernel shapes. A direction without a qdisc has none.
pub(crate) fn count_kernel(emulator: &Space, health: &mut Health) -> Result<(), LabError> {
    let (reports, towards_rx, towards_tx) = emulator
        .run(|| Ok::<_, LabError>((tc::reports()?, index_of(TOWARDS_RX)?, index_of(TOWARDS_TX)?)))??;
    for (counts, interface) in [(&mut health.forward, towards_rx), (&mut health.reverse, towards_tx)] {
        if let Some(root) = reports.iter().find(|r| r.interface == interface && r.parent == tc::ROOT) {
            *counts = Counts {
                packets_in: root.sent + root.dropped + root.waiting,
                packets_out: root.sent,
                dropped: root.dropped,
                waiting: root.waiting,
                ..Counts::default()
            };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> LinkSpec {
        toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn the_kernel_gets_exactly_what_the_specification_says() {
        let plan = kernel_plan(
            &spec(
                r#"
                model = "netem"
                order = "delay_first"
                overhead = "14B"
                loss = { model = "gilbert_elliott", good_to_bad = "6.8%", bad_to_good = "85.2%", loss_good = "4%", loss_bad = "50%", step = "packet", loss_by = "old" }
                bottleneck = { rate = "320kbit", burst = "1540B", queue = "6000B" }
                delay = { base = "20ms" }
                "#,
            ),
            42,
        )
        .expect("netem and tbf can say this");
        let netem = plan.netem.expect("loss and delay");
        // tc's rounding: share of 2^32 - 1, to the nearest.
        let share = |p: f64| (p * f64::from(u32::MAX)).round() as u32;
        assert_eq!(netem.gemodel, Some([share(0.068), share(0.852), u32::MAX - share(0.5), share(0.04)]));
        assert_eq!((netem.delay_ns, netem.loss, netem.seed), (20_000_000, 0, Some(42)));
        assert_eq!(plan.tbf, Some(Tbf { bytes_per_second: 40_000, burst: 1540, limit: 6000 }));
        assert_eq!(kernel_plan(&LinkSpec::default(), 0), Ok(Plan::default()), "nothing to do needs no qdisc");
    }

    #[test]
    fn what_the_kernel_cannot_say_is_refused_with_the_reason() {
        let bottleneck =
            |rest: &str| format!("overhead = \"14B\"\nbottleneck = {{ rate = \"1Mbit\", {rest} }}");
        let cases = [
            ("loss = { model = \"random\", probability = \"1%\" }".to_owned(), "native"),
            ("model = \"netem\"\nloss = { model = \"pattern\", pattern = \"..x\" }".to_owned(), "patterns"),
            ("model = \"netem\"\ndelay = { base = \"20ms\", jitter = \"2ms\" }".to_owned(), "reorder"),
            (bottleneck("burst = \"1540B\", queue = \"50p\""), "limited in bytes"),
            (bottleneck("burst = \"1000B\", queue = \"6000B\""), "whole frame"),
            (
                "bottleneck = { rate = \"1Mbit\", burst = \"1540B\", queue = \"6000B\" }".to_owned(),
                "Ethernet",
            ),
        ];
        for (text, reason) in cases {
            let refused = kernel_plan(&spec(&text), 1).expect_err(&text);
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
