//! Trains the mixes of LossRec-lite on finished runs, and decides by others what is drawn in each kind of situation.

use super::walk::{Slot, Stored};
use anyhow::{Context as _, ensure};
use contract::RunSpec;
use models::lossrec::blend::{self, Sample, differences};
use models::lossrec::history::Sight;
use models::lossrec::lite::{Choice, Gate, Lite, Situation};
use std::path::Path;

/// Calls `visit` with every damaged slot of a run that can be recovered.
fn damaged(dir: &Path, mut visit: impl FnMut(&Slot, Sight) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for &stream in RunSpec::read(dir)?.clip.streams() {
        let named = || format!("{} of {}", stream.name(), dir.display());
        let stored = Stored::open(dir, stream).with_context(named)?;
        let each = |slot: &Slot| match (slot.damage, slot.going_on.sight) {
            (Some(_), Some(sight)) => visit(slot, sight),
            _ => Ok(()),
        };
        stored.walk(each).with_context(named)?;
    }
    Ok(())
}

/// Damaged frames by [`Situation::kind`].
#[derive(Default)]
pub struct Samples([Vec<Sample>; Situation::KINDS]);

impl Samples {
    /// Adds those of a run for which something was decoded.
    ///
    /// # Errors
    /// When the run is damaged, or of another size than those before.
    pub fn add(&mut self, dir: &Path) -> anyhow::Result<()> {
        damaged(dir, |slot, sight| {
            let situation = sight.situation;
            if !situation.frozen {
                let sample = Sample::of(&sight.pictures, situation, &slot.captured.picture);
                let known = self.0.iter().flatten().next().map_or(sample.values.len(), |s| s.values.len());
                ensure!(sample.values.len() == known, "another size of pictures than the runs before");
                self.0[situation.kind()].push(sample);
            }
            Ok(())
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// Trains every blend of which there are samples; `say` is told kind, pass and mean decibels.
    pub fn train(&self, net: &Lite, passes: u32, seed: i64, say: &mut dyn FnMut(&str, u32, f64)) {
        for (kind, samples) in self.0.iter().enumerate().filter(|(_, samples)| !samples.is_empty()) {
            let name = Situation::kind_name(kind);
            blend::train(net.store(), net.blend(kind), samples, passes, seed, &mut |pass, quality| {
                say(&name, pass, quality);
            });
        }
    }
}

/// What each choice makes of damaged frames: per kind of situation, sums of decibels in the order of [`Choice::ALL`], and frames.
#[derive(Default)]
pub struct Measured([([f64; Choice::ALL.len()], usize); Situation::KINDS]);

impl Measured {
    /// Adds every `every`-th damaged frame of a run.
    ///
    /// # Errors
    /// When the run is damaged.
    pub fn add(&mut self, net: &Lite, dir: &Path, every: usize) -> anyhow::Result<()> {
        let mut seen = 0;
        damaged(dir, |slot, sight| {
            seen += 1;
            if (seen - 1) % every.max(1) > 0 {
                return Ok(());
            }
            let (sums, frames) = &mut self.0[sight.situation.kind()];
            for (sum, choice) in sums.iter_mut().zip(Choice::ALL) {
                let drawn = net.draw(choice, &sight.pictures, sight.situation);
                *sum += decibels(&differences(&drawn, &slot.captured.picture));
            }
            *frames += 1;
            Ok(())
        })
    }

    /// Rows of a table: kind, frames, decibels of each choice.
    pub fn rows(&self) -> impl Iterator<Item = (String, usize, [f64; Choice::ALL.len()])> + '_ {
        let mean = |(sums, frames): ([f64; Choice::ALL.len()], usize)| sums.map(|sum| sum / frames as f64);
        (0..Situation::KINDS)
            .map(move |kind| (Situation::kind_name(kind), self.0[kind].1, mean(self.0[kind])))
    }

    /// The best choice of each kind; the network where nothing was measured.
    #[must_use]
    pub fn gate(&self) -> Gate {
        Gate::new(self.0.map(|(sums, _)| {
            let best = Choice::ALL.into_iter().zip(sums).max_by(|a, b| a.1.total_cmp(&b.1)).expect("choices");
            if sums == [0.0; Choice::ALL.len()] { Choice::Net } else { best.0 }
        }))
    }
}

/// Of luma; blocks are of one size but at the borders.
fn decibels(blocks: &[f32]) -> f64 {
    let mean = blocks.iter().map(|v| f64::from(*v)).sum::<f64>() / blocks.len() as f64;
    -10.0 * (mean.max(0.3) / (255.0 * 255.0)).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_takes_what_was_best_and_the_network_where_nothing_was_measured() {
        let mut measured = Measured::default();
        measured.0[0] = ([60.0, 61.0, 50.0, 63.0], 2);
        measured.0[5] = ([60.0, 61.0, 70.0, 63.0], 2);
        assert_eq!(measured.gate().text(), "blend net net net net hold net net");
        assert_eq!(measured.rows().next().unwrap(), ("h264-rgb-decoded".into(), 2, [30.0, 30.5, 25.0, 31.5]));
    }
}
