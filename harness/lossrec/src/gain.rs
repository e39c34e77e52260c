//! What recovery would have made of the damaged frames of finished runs.

use super::evaluate::quoted;
use super::walk::Stored;
use anyhow::Context as _;
use codecs::Settings;
use codecs::restore::{RestorerConfig, RestorerEntry};
use contract::{Metric, Stream};
use freezeframe::score::camera;
use freezeframe::score::pair::PairScorer;
use metrics::stats::{Estimate, Observation, estimate};
use models::lossrec::samples::Damage;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// What is measured.
pub const METRICS: [Metric; 3] = [Metric::Psnr, Metric::Ssim, Metric::MsSsim];

/// The damaged frames of one kind in one run: codec, stream, scenario, damage (`None`: all kinds together).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Codec's name.
    pub codec: String,
    /// Stream.
    pub stream: Stream,
    /// Scenario's name.
    pub scenario: String,
    /// Damage.
    pub damage: Option<Damage>,
}

/// Means over the damaged frames of one run.
#[derive(Clone, Debug)]
struct Run {
    clip: usize,
    seed: u64,
    /// Per method and metric, in their orders.
    means: Vec<[f64; 3]>,
}

/// A damaged frame that was measured.
#[derive(Clone, Debug)]
struct Frame {
    /// The run's directory.
    run: String,
    /// Its kind, damage included.
    kind: Kind,
    frame: u32,
    /// Per method and metric, in their orders.
    values: Vec<[f64; 3]>,
}

/// A recovery, and what it is told.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Which.
    pub entry: &'static RestorerEntry,
    /// Its settings.
    pub settings: Settings,
}

/// Everything measured.
#[derive(Default)]
pub struct Gains {
    methods: Vec<Recovery>,
    clips: Vec<String>,
    runs: BTreeMap<Kind, Vec<Run>>,
    frames: BTreeMap<Kind, usize>,
    measured: Vec<Frame>,
    /// Damaged slots, measured or not, and in how many of them each method left the screen as it was.
    stood_still: BTreeMap<Kind, (usize, Vec<usize>)>,
    /// Per method: processor time spent on damaged frames, and their number.
    times: Vec<(Duration, u32)>,
}

impl Gains {
    /// For these methods; the first one is what the others are compared with.
    #[must_use]
    pub fn new(methods: &[Recovery]) -> Self {
        Self { methods: methods.to_vec(), times: vec![(Duration::ZERO, 0); methods.len()], ..Self::default() }
    }

    /// Adds a run: of these `streams` those that it has, of the damaged frames among their first `slots` every `every`-th.
    ///
    /// # Errors
    /// When the run is damaged or weights are missing.
    pub fn add(
        &mut self,
        dir: &Path,
        streams: &[Stream],
        (every, slots): (usize, usize),
    ) -> anyhow::Result<()> {
        let has = contract::RunSpec::read(dir)?.clip.streams().to_vec();
        for stream in has.into_iter().filter(|s| streams.contains(s)) {
            self.stream(dir, stream, (every, slots))
                .with_context(|| format!("{} of {}", stream.name(), dir.display()))?;
        }
        Ok(())
    }

    fn stream(&mut self, dir: &Path, stream: Stream, (every, slots): (usize, usize)) -> anyhow::Result<()> {
        let mut stored = Stored::open(dir, stream)?;
        stored.limit = slots;
        let (meaning, spec) = (stored.meaning, &stored.spec);
        let is_depth = stream == Stream::Depth;
        let every_kind = Kind {
            codec: stored.codec.clone(),
            stream,
            scenario: spec.scenario.name.to_string(),
            damage: None,
        };
        let kind = |damage| Kind { damage, ..every_kind.clone() };
        let mut restorers = Vec::new();
        for Recovery { entry, settings } in &self.methods {
            let config = RestorerConfig {
                codec: stored.codec.clone(),
                depth: is_depth,
                width: spec.clip.width,
                height: spec.clip.height,
                settings: settings.clone(),
            };
            // The restorer, and the screen behind it.
            restorers.push(((entry.open)(&config)?, entry.goes_on, None));
        }
        let name = spec.clip.name.to_string();
        let clip = self.clips.iter().position(|c| *c == name).unwrap_or(self.clips.len());
        if clip == self.clips.len() {
            self.clips.push(name);
        }
        let seed = spec.seed;
        let mut scorer = PairScorer::new(camera::of(&spec.clip, None).intrinsics);
        let mut sums: BTreeMap<Option<Damage>, (usize, Vec<[f64; 3]>)> = BTreeMap::new();
        let (times, measured) = (&mut self.times, &mut self.measured);
        let (damaged, still) =
            self.stood_still.entry(kind(None)).or_insert_with(|| (0, vec![0; self.methods.len()]));
        let run = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned();
        let mut seen = 0usize;
        stored.walk(|slot| {
            // Before the first good picture there is nothing to recover from, for anybody.
            let damage = slot.damage.filter(|_| slot.plain.sight.is_some());
            *damaged += usize::from(damage.is_some());
            let counts = times.iter_mut().zip(still.iter_mut());
            for ((restorer, goes_on, screen), ((spent, count), still)) in restorers.iter_mut().zip(counts) {
                let view = if *goes_on { slot.going_on } else { slot.plain };
                let decoded = view.decoded.cloned();
                let begin = processor_time();
                let drawn = restorer.restore(&slot.slot, decoded)?;
                if slot.damage.is_some() {
                    *spent += processor_time().saturating_sub(begin);
                    *count += 1;
                }
                *still += usize::from(damage.is_some() && drawn.is_none());
                *screen = drawn.or(screen.take());
            }
            let Some(damage) = damage else { return Ok(()) };
            seen += 1;
            if !(seen - 1).is_multiple_of(every.max(1)) {
                return Ok(());
            }
            let mut values = Vec::new();
            for (_, goes_on, screen) in &restorers {
                let view = if *goes_on { slot.going_on } else { slot.plain };
                let picture = screen.as_ref().unwrap_or(view.shown);
                let found = scorer.score(stream, meaning, (slot.captured, picture), &METRICS)?;
                values.push(METRICS.map(|m| found.get(&m).copied().unwrap_or(f64::NAN)));
            }
            measured.push(Frame {
                run: run.clone(),
                kind: kind(Some(damage)),
                frame: slot.frame,
                values: values.clone(),
            });
            for damage in [Some(damage), None] {
                let (count, sum) = sums.entry(damage).or_insert_with(|| (0, vec![[0.0; 3]; values.len()]));
                *count += 1;
                for (sum, value) in sum.iter_mut().zip(&values) {
                    (0..3).for_each(|i| sum[i] += value[i]);
                }
            }
            Ok(())
        })?;
        for (damage, (count, sum)) in sums {
            let kind = kind(damage);
            let means = sum.iter().map(|s| s.map(|v| v / count as f64)).collect();
            self.runs.entry(kind.clone()).or_default().push(Run { clip, seed, means });
            *self.frames.entry(kind).or_default() += count;
        }
        Ok(())
    }

    /// Kinds of damage that were met, with the number of frames.
    pub fn kinds(&self) -> impl Iterator<Item = (&Kind, usize)> {
        self.frames.iter().map(|(kind, count)| (kind, *count))
    }

    /// Every frame that was measured, as CSV: a column per method and metric.
    #[must_use]
    pub fn csv(&self) -> String {
        let name =
            |method: &Recovery| METRICS.map(|m| format!(",{}_{}", method.entry.name, m.name())).concat();
        let mut text =
            format!("run,stream,frame,damage{}\n", self.methods.iter().map(name).collect::<String>());
        for Frame { run, kind, frame, values } in &self.measured {
            let damage = kind.damage.map_or("", Damage::name);
            let head = format!("{},{},{frame},{damage}", quoted(run), kind.stream.name());
            let values = values.iter().flatten().map(|v| format!(",{v:.4}"));
            text.extend([head].into_iter().chain(values).chain(["\n".to_owned()]));
        }
        text
    }

    /// Kinds without the damage: slots that were damaged, and in how many of them each method left the screen as it was.
    pub fn stood_still(&self) -> impl Iterator<Item = (&Kind, usize, &[usize])> {
        self.stood_still.iter().map(|(kind, (slots, still))| (kind, *slots, still.as_slice()))
    }

    /// The median of a method's values of a metric over the frames of a kind.
    #[must_use]
    pub fn median(&self, kind: &Kind, method: usize, metric: Metric) -> Option<f64> {
        let i = METRICS.iter().position(|&m| m == metric)?;
        let is_of = |frame: &&Frame| Kind { damage: None, ..frame.kind.clone() } == *kind;
        let mut values: Vec<f64> = self.measured.iter().filter(is_of).map(|f| f.values[method][i]).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n if n.is_multiple_of(2) => Some(f64::midpoint(values[middle - 1], values[middle])),
            _ => Some(values[middle]),
        }
    }

    /// Runs that had this kind.
    #[must_use]
    pub fn runs(&self, kind: &Kind) -> usize {
        self.runs.get(kind).map_or(0, Vec::len)
    }

    /// The mean of a method's values of a metric: of runs, then of clips.
    #[must_use]
    pub fn mean(&self, kind: &Kind, method: usize, metric: Metric) -> Option<Estimate> {
        self.estimate(kind, metric, |run, i| run.means[method][i])
    }

    /// The mean difference of a method to another, paired by run.
    #[must_use]
    pub fn difference(&self, kind: &Kind, method: usize, from: usize, metric: Metric) -> Option<Estimate> {
        self.estimate(kind, metric, |run, i| run.means[method][i] - run.means[from][i])
    }

    /// The smallest of the clips' mean differences, and its clip.
    #[must_use]
    pub fn worst(&self, kind: &Kind, method: usize, from: usize, metric: Metric) -> Option<(f64, &str)> {
        let i = METRICS.iter().position(|&x| x == metric)?;
        let mut clips: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for run in self.runs.get(kind)? {
            clips.entry(run.clip).or_default().push(run.means[method][i] - run.means[from][i]);
        }
        let means =
            clips.into_iter().map(|(clip, values)| (values.iter().sum::<f64>() / values.len() as f64, clip));
        means.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(value, clip)| (value, self.clips[clip].as_str()))
    }

    /// Mean processor time that a method took for a damaged frame.
    #[must_use]
    pub fn time(&self, method: usize) -> Option<Duration> {
        let (spent, count) = *self.times.get(method)?;
        (count > 0).then(|| spent / count)
    }

    fn estimate(&self, kind: &Kind, metric: Metric, value: impl Fn(&Run, usize) -> f64) -> Option<Estimate> {
        let i = METRICS.iter().position(|&m| m == metric)?;
        let observation =
            |run: &Run| Observation { clip: run.clip, trace: 0, seed: run.seed, value: value(run, i) };
        let all: Vec<Observation> = self.runs.get(kind)?.iter().map(observation).collect();
        estimate(&all)
    }
}

/// Processor time of this thread: others may keep it waiting.
fn processor_time() -> Duration {
    let now = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID.now();
    now.map_or(Duration::ZERO, Duration::from)
}
