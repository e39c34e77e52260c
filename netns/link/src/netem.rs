//! The random decisions of the kernel's netem queueing discipline, draw for draw.
//!
//! Since Linux 6.6 `tc qdisc add ... netem ... seed N` makes a qdisc's decisions reproducible: all of them come
//! from one generator owned by the qdisc. This module restates what `netem_enqueue` (net/sched/sch_netem.c)
//! asks of that generator, in its order:
//!
//! ```text
//! duplicate?   one draw if duplicate > 0                       happens if threshold >= draw
//! lost?        random: one draw if loss > 0                    lost if threshold >= draw
//!              gemodel: draw 1 moves the chain, draw 2 decides the loss by the state before the move
//! (copy)       if duplicated and not lost: the copy passes the whole list first, without "duplicate?"
//! corrupt?     one draw if corrupt > 0                         happens if threshold >= draw
//! (limit)      a full qdisc drops here, before the next draw
//! jitter       one draw if jitter > 0                          delay - jitter + draw % (2 * jitter)
//! ```
//! A packet that is both lost and duplicated is delivered once. Correlated draws are left out on purpose: the
//! kernel starts the correlation from an unseeded word, so they are not reproducible.

use crate::Probability;
use crate::rng::{Purpose, Stream};

/// The kernel's combined Tausworthe generator (`prandom_u32_state`, lib/random32.c), L'Ecuyer's LFSR113.
#[derive(Clone, Copy, Debug)]
pub struct Prandom {
    s: [u32; 4],
}

impl Prandom {
    /// As `prandom_seed_state` (include/linux/prandom.h): no warm-up.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        let i = ((seed >> 32) ^ (seed << 10) ^ seed) as u32;
        const fn at_least(i: u32, minimum: u32) -> u32 {
            if i < minimum { i + minimum } else { i }
        }
        Prandom { s: [at_least(i, 2), at_least(i, 8), at_least(i, 16), at_least(i, 128)] }
    }

    /// The next 32-bit word.
    #[inline]
    pub const fn draw(&mut self) -> u32 {
        const fn step(s: u32, a: u32, b: u32, mask: u32, d: u32) -> u32 {
            ((s & mask) << d) ^ (((s << a) ^ s) >> b)
        }
        let s = &mut self.s;
        s[0] = step(s[0], 6, 13, 0xFFFF_FFFE, 18);
        s[1] = step(s[1], 2, 27, 0xFFFF_FFF8, 2);
        s[2] = step(s[2], 13, 21, 0xFFFF_FFF0, 7);
        s[3] = step(s[3], 3, 12, 0xFFFF_FF80, 13);
        s[0] ^ s[1] ^ s[2] ^ s[3]
    }
}

/// Parameters of the loss decision as the kernel holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetemLoss {
    /// `loss random P`; 0 never draws.
    Random(u32),
    /// `loss gemodel`: p, r, h = 1 - loss in bad, k1 = loss in good.
    Gemodel {
        /// Good to bad.
        p: u32,
        /// Bad to good.
        r: u32,
        /// Delivery in the bad state.
        h: u32,
        /// Loss in the good state.
        k1: u32,
    },
}

impl NetemLoss {
    /// The four numbers of tc's `loss gemodel P R 1-H 1-K` as tc hands them to the kernel.
    #[must_use]
    pub fn gemodel(p: Probability, r: Probability, loss_bad: Probability, loss_good: Probability) -> Self {
        NetemLoss::Gemodel {
            p: p.threshold(),
            r: r.threshold(),
            // tc turns the option 1-H into the kernel's h by subtraction, not by rounding again.
            h: u32::MAX - loss_bad.threshold(),
            k1: loss_good.threshold(),
        }
    }
}

/// Seed of netem while it plays the `played`-th row of a trace (counted from 0 over all repetitions): the link's own for the
/// first, then one per row, because a netem whose parameters change begins its draws anew.
#[must_use]
pub const fn row_seed(seed: u64, played: u64) -> u64 {
    if played == 0 { seed } else { Stream::new(seed, Purpose::NetemRow).word(played) }
}

/// The random decisions of one netem qdisc.
#[derive(Clone, Debug)]
pub struct Netem {
    prng: Prandom,
    loss: NetemLoss,
    duplicate: u32,
    corrupt: u32,
    /// Nanoseconds, at most `i32::MAX` as in the kernel.
    jitter: u32,
    bad: bool,
}

/// What netem decided about one packet on its way in, before its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetemEntry {
    /// The packet is not dropped by the loss model.
    pub kept: bool,
    /// A copy goes in before the packet itself; call [`Netem::copy`] for its decisions.
    pub duplicated: bool,
    /// The chain was in the bad state when the loss was decided.
    pub bad: bool,
    /// The loss model said "lost" (a packet that is also duplicated is kept all the same).
    pub loss_drawn: bool,
}

impl Netem {
    /// A qdisc as just created with `seed`: the chain is in the good state. `jitter` is in nanoseconds.
    #[must_use]
    pub fn new(
        seed: u64,
        loss: NetemLoss,
        duplicate: Probability,
        corrupt: Probability,
        jitter: u64,
    ) -> Self {
        Netem {
            prng: Prandom::new(seed),
            loss,
            duplicate: duplicate.threshold(),
            corrupt: corrupt.threshold(),
            jitter: u32::try_from(jitter.min(i32::MAX as u64)).unwrap_or(i32::MAX as u32),
            bad: false,
        }
    }

    /// What `tc qdisc change ... seed N` does: draws begin anew, a two-state chain in the good state. `loss` replaces the loss
    /// model if given.
    pub fn change(&mut self, seed: u64, loss: Option<NetemLoss>) {
        self.prng = Prandom::new(seed);
        self.bad = false;
        self.loss = loss.unwrap_or(self.loss);
    }

    /// Whether losses come from a two-state chain.
    #[must_use]
    pub fn has_chain(&self) -> bool {
        matches!(self.loss, NetemLoss::Gemodel { .. })
    }

    fn happens(&mut self, threshold: u32) -> bool {
        threshold != 0 && threshold >= self.prng.draw()
    }

    /// Whether the loss model drops the next packet, and whether it was in the bad state when it decided.
    fn loss_event(&mut self) -> (bool, bool) {
        match self.loss {
            NetemLoss::Random(threshold) => (self.happens(threshold), false),
            NetemLoss::Gemodel { p, r, h, k1 } => {
                let was_bad = self.bad;
                let moves = self.prng.draw() < if was_bad { r } else { p };
                self.bad = was_bad != moves;
                let word = self.prng.draw();
                (if was_bad { word > h } else { word < k1 }, was_bad)
            }
        }
    }

    /// Decides about the next packet: duplicated? lost?
    pub fn enter(&mut self) -> NetemEntry {
        let duplicate = self.happens(self.duplicate);
        let (lost, bad) = self.loss_event();
        NetemEntry { kept: duplicate || !lost, duplicated: duplicate && !lost, bad, loss_drawn: lost }
    }

    /// Decides about the copy of a duplicated packet: the kernel sends it through the same loss model.
    pub fn copy(&mut self) -> NetemEntry {
        let (lost, bad) = self.loss_event();
        NetemEntry { kept: !lost, duplicated: false, bad, loss_drawn: lost }
    }

    /// Whether the packet (or copy) is corrupted; call once for each that is kept.
    pub fn corrupts(&mut self) -> bool {
        self.happens(self.corrupt)
    }

    /// The delay of a packet in a qdisc whose `delay` is `base` nanoseconds; negative means none. Call once for each packet (or
    /// copy) that the queue took.
    pub fn delay(&mut self, base: u64) -> i64 {
        let base = i64::try_from(base).unwrap_or(i64::MAX);
        if self.jitter == 0 {
            return base;
        }
        let word = self.prng.draw();
        base.saturating_add(i64::from(word % (2 * self.jitter))).saturating_sub(i64::from(self.jitter))
    }
}
