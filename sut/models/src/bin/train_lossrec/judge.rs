//! Measures a network on held-out samples, and says where something simpler is as good.

use models::lossrec::lite::{Choice, Gate, Lite, Planes, Situation};
use models::lossrec::samples::{About, Samples};
use tch::{Kind, Tensor, no_grad};

/// Where the network loses more than this to the better of shown and hold, that is drawn instead, decibels.
const TOLERATED_DB: f64 = 0.0;

/// Held-out samples, as many of each kind of situation as there are.
pub struct Judge {
    samples: Samples,
    chosen: Vec<usize>,
}

/// Sums of decibels of one kind: net, shown, hold, and their number.
type Sums = [f64; 4];

impl Judge {
    /// Chooses about `count` samples, evenly spread over each kind's.
    pub fn new(samples: Samples, count: usize) -> Self {
        let mut kinds: [Vec<usize>; Situation::KINDS] = Default::default();
        for i in 0..samples.len() {
            if let Ok((about, _)) = samples.read(i) {
                kinds[about.situation.kind()].push(i);
            }
        }
        let each = count.div_ceil(Situation::KINDS);
        let chosen = kinds.iter().flat_map(|kind| {
            let take = each.min(kind.len());
            (0..take).map(move |i| kind[i * kind.len() / take])
        });
        Self { chosen: chosen.collect(), samples }
    }

    /// Columns of [`measure`](Self::measure)'s text.
    pub fn header() -> String {
        let kinds = (0..Situation::KINDS).map(Situation::kind_name);
        let columns = kinds.flat_map(|k| ["net", "shown", "hold"].map(|what| format!("{k}-{what}")));
        format!("net,best,{}", columns.collect::<Vec<_>>().join(","))
    }

    /// Means over kinds of the network's decibels and of the better of shown and hold, then each kind's; and the gate that follows.
    pub fn measure(&self, net: &Lite) -> anyhow::Result<(String, Gate)> {
        let mut kinds = [Sums::default(); Situation::KINDS];
        for &i in &self.chosen {
            let (about, pictures) = self.samples.read(i)?;
            let [captured, shown, last, before] = self.samples.planes(&[pictures]);
            let found = no_grad(|| net.forward([&shown, &last, &before], &[about.situation]));
            let About { situation, shown, hold, .. } = about;
            let errors = [error(&found, &captured), f64::from(shown), f64::from(hold)];
            let sums = &mut kinds[situation.kind()];
            for (sum, error) in sums.iter_mut().zip(errors) {
                *sum -= 10.0 * error.max(1e-6).log10();
            }
            sums[3] += 1.0;
        }
        let mut choices = [Choice::Net; Situation::KINDS];
        let (mut all, mut count, mut text) = ([0.0; 2], 0.0, String::new());
        for (sums, choice) in kinds.iter().zip(&mut choices) {
            let [net, shown, hold] = [0, 1, 2].map(|i| sums[i] / sums[3].max(1.0));
            text += &format!(",{net:.3},{shown:.3},{hold:.3}");
            if sums[3] == 0.0 {
                continue;
            }
            if net < shown.max(hold) - TOLERATED_DB {
                *choice = if shown >= hold { Choice::Shown } else { Choice::Hold };
            }
            all = [all[0] + net, all[1] + shown.max(hold)];
            count += 1.0;
        }
        let [net, best] = all.map(|sum| sum / f64::max(count, 1.0));
        Ok((format!("{net:.3},{best:.3}{text}"), Gate::new(choices)))
    }
}

/// As `models::lossrec::samples::error`, of what a screen would show.
fn error(found: &Planes, wanted: &Planes) -> f64 {
    let mean = |a: &Tensor, b: &Tensor| (a.clamp(0.0, 1.0) - b).square().mean(Kind::Float).double_value(&[]);
    mean(&found.luma, &wanted.luma) + 0.5 * mean(&found.chroma, &wanted.chroma)
}
