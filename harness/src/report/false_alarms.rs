//! How often the report calls a difference one where there is none.
//!
//! Systems are made up that do not differ, in worlds of different shapes, and handed to [`family`], which is what
//! colours every result of a report. `just false-alarms` prints the table of docs/METRICS.md.

use super::significance::{Compared, family};
use metrics::stats::{Pair, Random};
use rayon::prelude::*;
use std::fmt::Write as _;

/// Seeds (or clips) per comparison that the table shows.
pub const SIZES: [usize; 6] = [2, 3, 5, 6, 10, 30];
/// Systems of a family: 15 comparisons.
pub const SYSTEMS: usize = 6;

/// What the values of systems look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Normal.
    Normal,
    /// Student's t with 3 degrees of freedom: far values now and then.
    HeavyTails,
    /// Log-normal: a long tail on one side, in every system.
    Skewed,
    /// Whole numbers 0 to 3 (freezes): most pairs are tied.
    Counts,
    /// Four of five values are 0, the others 1 to 4 (non-rendered frames).
    MostlyZero,
    /// Without loss every seed gives the same value; the systems' values differ, but nothing is repeated.
    Deterministic,
    /// Equal means, but half of the systems have their long tail below and half above: exchanging them does change
    /// something, only not the mean.
    OppositeTails,
    /// The same with log-normal tails, which no test of a mean judges rightly from few values.
    OppositeLongTails,
    /// Clips (as many as the size) of 5 seeds each; every system is better at some clips than at others.
    ClipsOf5Seeds,
    /// The same, and every loss pattern (seed) suits some systems more than others, in all clips.
    ClipsOf5SharedSeeds,
    /// Clips of one seed each.
    ClipsOf1Seed,
    /// Four clips, as many seeds as the size; each clip is judged alone.
    FourClips,
}

/// The worlds in which the level is kept, in the order of the table; [`World::OppositeLongTails`] stands in a table of its own.
pub const WORLDS: [World; 11] = [
    World::Normal,
    World::HeavyTails,
    World::Skewed,
    World::Counts,
    World::MostlyZero,
    World::Deterministic,
    World::OppositeTails,
    World::ClipsOf5Seeds,
    World::ClipsOf5SharedSeeds,
    World::ClipsOf1Seed,
    World::FourClips,
];

impl World {
    /// As the table calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::HeavyTails => "heavy tails (t, 3 degrees of freedom)",
            Self::Skewed => "skewed (log-normal)",
            Self::Counts => "counts 0 to 3, many ties",
            Self::MostlyZero => "four of five are 0",
            Self::Deterministic => "no variation over seeds",
            Self::OppositeTails => "equal means, opposite tails",
            Self::OppositeLongTails => "equal means, opposite log-normal tails",
            Self::ClipsOf5Seeds => "n clips of 5 seeds, clip effects",
            Self::ClipsOf5SharedSeeds => "n clips of 5 seeds, clip and loss-pattern effects",
            Self::ClipsOf1Seed => "n clips of 1 seed, clip effects",
            Self::FourClips => "4 clips of n seeds",
        }
    }

    fn clips_and_seeds(self, size: usize) -> (usize, usize) {
        match self {
            Self::ClipsOf5Seeds | Self::ClipsOf5SharedSeeds => (size, 5),
            Self::ClipsOf1Seed => (size, 1),
            Self::FourClips => (4, size),
            _ => (1, size),
        }
    }

    /// One system's values, by clip and seed.
    fn values(self, system: usize, (clips, seeds): (usize, usize), random: &mut Random) -> Vec<Vec<f64>> {
        let clip_effect = match self {
            Self::ClipsOf5Seeds | Self::ClipsOf5SharedSeeds | Self::ClipsOf1Seed => 1.0,
            _ => 0.0,
        };
        let seed_effect = if self == Self::ClipsOf5SharedSeeds { 1.0 } else { 0.0 };
        let by_seed: Vec<f64> = (0..seeds).map(|_| seed_effect * random.normal()).collect();
        let clip = |random: &mut Random| {
            let of_clip = clip_effect * random.normal();
            by_seed.iter().map(|s| of_clip + s + self.noise(system, random)).collect()
        };
        (0..clips).map(|_| clip(random)).collect()
    }

    fn noise(self, system: usize, random: &mut Random) -> f64 {
        let whole = |n: usize| u32::try_from(n).map_or(0.0, f64::from);
        match self {
            Self::HeavyTails => {
                let squares: f64 = (0..3).map(|_| random.normal().powi(2)).sum();
                random.normal() / (squares / 3.0).sqrt()
            }
            Self::Skewed => random.normal().exp(),
            Self::Counts => whole(random.below(4)),
            Self::MostlyZero if random.below(5) > 0 => 0.0,
            Self::MostlyZero => whole(1 + random.below(4)),
            Self::Deterministic => whole(system),
            Self::OppositeTails => {
                let tail = -random.unit().ln() - 1.0;
                if system.is_multiple_of(2) { tail } else { -tail }
            }
            Self::OppositeLongTails => {
                let tail = random.normal().exp() - 0.5f64.exp();
                if system.is_multiple_of(2) { tail } else { -tail }
            }
            _ => random.normal(),
        }
    }
}

/// One made-up report: `systems` systems, of which the first is better by `shift`.
fn experiment(world: World, size: usize, systems: usize, shift: f64, seed: u64) -> Vec<Compared> {
    let mut random = Random::new(seed);
    let shape = world.clips_and_seeds(size);
    let values: Vec<Vec<Vec<f64>>> =
        (0..systems).map(|system| world.values(system, shape, &mut random)).collect();
    let names: Vec<String> = (0..systems).map(|i| format!("system {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    family(&names, None, |i, j| {
        let lead = if i == 0 { shift } else { 0.0 };
        let mut pairs = Vec::new();
        for (clip, (a, b)) in values[i].iter().zip(&values[j]).enumerate() {
            for (seed, (first, second)) in (1..).zip(a.iter().zip(b)) {
                pairs.push(Pair { clip, trace: 0, seed, first: first + lead, second: *second });
            }
        }
        pairs
    })
}

/// Share of `repetitions` reports of `systems` systems in which any comparison is called a difference, when the first system is
/// better than the others by `shift` (0: none differs).
#[must_use]
pub fn share_called(world: World, size: usize, systems: usize, shift: f64, repetitions: u32) -> f64 {
    let called = |repetition: &u32| {
        let seed = (u64::from(*repetition) << 32) | (size * 100 + systems) as u64;
        experiment(world, size, systems, shift, seed ^ 0x5EED).iter().any(|c| c.higher().is_some())
    };
    let alarms = (0..repetitions).into_par_iter().filter(called).count();
    u32::try_from(alarms).map_or(1.0, f64::from) / f64::from(repetitions)
}

/// The tables of docs/METRICS.md as Markdown.
#[must_use]
pub fn tables(repetitions: u32) -> String {
    let heads = SIZES.map(|n| format!(" n = {n} |")).concat();
    let rule = "--:|".repeat(SIZES.len());
    let mut out = format!(
        "False alarms, % of {repetitions} reports: of two systems / of {SYSTEMS} systems, any of {} comparisons\n\n| systems without difference |{heads}\n|---|{rule}\n",
        SYSTEMS * (SYSTEMS - 1) / 2
    );
    let row = |out: &mut String, world: World| {
        let _ = write!(out, "| {} |", world.name());
        for size in SIZES {
            let of = |systems| 100.0 * share_called(world, size, systems, 0.0, repetitions);
            let _ = write!(out, " {:.1} / {:.1} |", of(2), of(SYSTEMS));
        }
        out.push('\n');
    };
    WORLDS.iter().for_each(|world| row(&mut out, *world));
    let _ = write!(
        out,
        "\nThe same in a world that is harder than any level can be kept in\n\n| systems without difference |{heads}\n|---|{rule}\n"
    );
    row(&mut out, World::OppositeLongTails);
    let _ = write!(
        out,
        "\nDifferences found, % of {repetitions} reports of two systems; the first is better by so many standard deviations of the difference between two runs\n\n| shape, difference |{heads}\n|---|{rule}\n"
    );
    for (world, deviation) in [(World::Normal, 2f64.sqrt()), (World::HeavyTails, 6f64.sqrt())] {
        for lead in [0.5, 1.0, 1.5, 2.0] {
            let _ = write!(out, "| {}, {lead} |", world.name());
            for size in SIZES {
                let found = 100.0 * share_called(world, size, 2, lead * deviation, repetitions);
                let _ = write!(out, " {found:.0} |");
            }
            out.push('\n');
        }
    }
    out
}
