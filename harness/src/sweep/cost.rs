//! What runs have taken on this machine, and what others will take by that.
//!
//! Every run of a sweep adds a line to `costs.jsonl` in the cache folder. An estimate is the median of the past runs that are most like
//! the one asked for (same system and clock; of these the ones that share most of options, size and metrics), scaled by frames and
//! pixels. It is a guess for planning; nothing that is measured depends on it.

use contract::{Backend, Metric, RunSpec};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of the runs that are most like the one asked for, this many of the newest count.
const NEWEST: usize = 20;

/// One past run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    system: String,
    backend: Backend,
    /// Those that were given, as words.
    options: String,
    metrics: String,
    width: u32,
    height: u32,
    frames: u32,
    /// Run, scores and report.
    seconds: f64,
    /// Of the run directory.
    bytes: u64,
}

/// What a run will take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Seconds on one job.
    pub seconds: f64,
    /// Bytes of its directory.
    pub bytes: u64,
    /// Past runs that it is taken from.
    pub runs: usize,
}

impl Cost {
    /// Of a run that is finished, in `dir`.
    #[must_use]
    pub fn of(spec: &RunSpec, metrics: &[Metric], took: Duration, dir: &Path) -> Self {
        let option = |name: &String| Some(format!("{name}={}", spec.options.get(name)?));
        let metrics: Vec<&str> = metrics.iter().map(|m| m.name()).collect();
        Self {
            system: spec.system.to_string(),
            backend: spec.backend,
            options: spec.given.iter().filter_map(option).collect::<Vec<_>>().join(" "),
            metrics: metrics.join(","),
            width: spec.clip.width,
            height: spec.clip.height,
            frames: spec.clip.frames,
            seconds: took.as_secs_f64(),
            bytes: size(dir),
        }
    }

    /// A run yet to be done: nothing is known of its time and size.
    #[must_use]
    pub fn wanted(spec: &RunSpec, metrics: &[Metric]) -> Self {
        Self::of(spec, metrics, Duration::ZERO, Path::new(""))
    }

    fn scale(&self) -> f64 {
        f64::from(self.frames) * f64::from(self.width) * f64::from(self.height)
    }

    fn likeness(&self, other: &Self) -> u32 {
        u32::from(self.options == other.options)
            + u32::from((self.width, self.height) == (other.width, other.height))
            + u32::from(self.metrics == other.metrics)
    }
}

/// Bytes of all files in a folder and below.
#[must_use]
pub fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) if data.is_file() => data.len(),
        _ => 0,
    };
    entries.map(of).sum()
}

/// Past runs, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Costs(Vec<Cost>);

impl Costs {
    /// All that this machine knows of.
    #[must_use]
    pub fn load() -> Self {
        let text = file().and_then(|f| std::fs::read_to_string(f).ok()).unwrap_or_default();
        Self::read(&text)
    }

    /// A line that was cut off counts for nothing.
    fn read(text: &str) -> Self {
        Self(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// What a run will take; `None` where no run of its system on its clock is known.
    #[must_use]
    pub fn estimate(&self, wanted: &Cost) -> Option<Estimate> {
        let same = |c: &&Cost| c.system == wanted.system && c.backend == wanted.backend && c.scale() > 0.0;
        let best = self.0.iter().filter(same).map(|c| c.likeness(wanted)).max()?;
        let like = self.0.iter().rev().filter(same).filter(|c| c.likeness(wanted) == best);
        let like: Vec<&Cost> = like.take(NEWEST).collect();
        let scaled = |value: fn(&Cost) -> f64| {
            let mut all: Vec<f64> = like.iter().map(|c| value(c) / c.scale() * wanted.scale()).collect();
            all.sort_by(f64::total_cmp);
            let middle = all.len() / 2;
            if all.len().is_multiple_of(2) { (all[middle - 1] + all[middle]) / 2.0 } else { all[middle] }
        };
        Some(Estimate {
            seconds: scaled(|c| c.seconds),
            bytes: scaled(|c| c.bytes as f64) as u64,
            runs: like.len(),
        })
    }
}

fn file() -> Option<PathBuf> {
    contract::digest::cache_folder().map(|folder| folder.join("costs.jsonl"))
}

/// Adds a run to what is known. Where that cannot be written, estimates lack it, which is all.
pub fn note(cost: &Cost) {
    let (Some(file), Ok(line)) = (file(), serde_json::to_string(cost)) else { return };
    let _ = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    // One write, so that lines of processes side by side do not mix.
    let open = std::fs::OpenOptions::new().create(true).append(true).open(file);
    let _ = open.and_then(|mut f| f.write_all(format!("{line}\n").as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(system: &str, options: &str, width: u32, frames: u32, seconds: f64) -> Cost {
        Cost {
            system: system.into(),
            backend: Backend::Virtual,
            options: options.into(),
            metrics: "psnr".into(),
            width,
            height: 100,
            frames,
            seconds,
            bytes: (seconds * 1000.0) as u64,
        }
    }

    #[test]
    fn the_runs_most_alike_count_and_frames_and_pixels_scale() {
        let known = Costs(vec![
            cost("a", "", 100, 10, 1.0),
            cost("a", "", 100, 10, 3.0),
            cost("a", "", 100, 20, 10.0),
            cost("a", "k=1", 100, 10, 50.0),
            cost("b", "", 100, 10, 7.0),
        ]);
        // 0.1, 0.3 and 0.5 s a frame: the median, times 100 frames.
        let found = known.estimate(&cost("a", "", 100, 100, 0.0)).unwrap();
        assert_eq!((found.seconds.round(), found.bytes, found.runs), (30.0, 30_000, 3));
        // The run with the option is the one most alike; four times the pixels, four times the time.
        let found = known.estimate(&cost("a", "k=1", 400, 10, 0.0)).unwrap();
        assert_eq!((found.seconds.round(), found.runs), (200.0, 1));
        assert_eq!(known.estimate(&cost("c", "", 100, 10, 0.0)), None);
        let other_clock = Cost { backend: Backend::Namespaces, ..cost("a", "", 100, 10, 0.0) };
        assert_eq!(known.estimate(&other_clock), None);
    }

    #[test]
    fn lines_are_read_back_and_broken_ones_passed_over() {
        let line = serde_json::to_string(&cost("a", "", 100, 10, 1.5)).unwrap();
        let read = Costs::read(&format!("{line}\n{{\"system\":\"a\n{line}\n"));
        assert_eq!(read.0, vec![cost("a", "", 100, 10, 1.5), cost("a", "", 100, 10, 1.5)]);
    }
}
