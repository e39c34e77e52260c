//! `scores.json`: what a run measured, each value under the name of its definition.
//!
//! Equal runs give equal bytes: maps are ordered, floats are the shortest text that reads back to the same
//! bits, and nothing here depends on the wall clock or on the machine (what does is in [`Health`], and is
//! empty in virtual time).

use crate::{LossCause, Metric, Stream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the file's shape; a file of another version is scored again, never guessed at.
pub const SCHEMA: u32 = 1;

/// Everything of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which run.
    pub run: RunIdentity,
    /// Whether its numbers may be used.
    pub health: Health,
    /// Captured frames, N.
    pub frames: u32,
    /// Time between captures, nanoseconds.
    pub interval_ns: u64,
    /// Deadline of a frame after its capture, nanoseconds.
    pub playout_ns: u64,
    /// Per stream.
    pub streams: BTreeMap<Stream, StreamScores>,
    /// What was sent.
    pub bitrate: BitrateScores,
    /// What each direction did (`forward`, `reverse`), from the fate ledger.
    pub network: BTreeMap<String, PathScores>,
    /// What a reader must know before using the numbers.
    pub warnings: Vec<Warning>,
    /// Name of a value to its definition.
    pub definitions: BTreeMap<String, String>,
}

/// What a run was: enough to repeat it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunIdentity {
    /// System under test.
    pub system: String,
    /// Scenario.
    pub scenario: String,
    /// Clip, as named on the command line.
    pub clip: String,
    /// Seed of every random draw.
    pub seed: u64,
    /// `virtual` or `namespaces`.
    pub backend: String,
    /// Source revision of the tool.
    pub revision: String,
    /// The command that repeats the run.
    pub replay: String,
    /// What else defines the condition, as shown in the report: transport, loss model, stage order, sizes.
    pub conditions: BTreeMap<String, String>,
}

/// Whether the machine kept up and everybody ended well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// False: the numbers are shown, marked, and never averaged.
    pub valid: bool,
    /// Why not.
    pub problems: Vec<String>,
    /// Exit status of each process by name (`sender`, `receiver`, `emulator`), empty in virtual time.
    pub exits: BTreeMap<String, i32>,
    /// How late packets left the emulator against the model.
    pub emulator_lateness: Option<Durations>,
    /// How late pictures were captured against the frame clock.
    pub capture_lateness: Option<Durations>,
    /// Datagrams that made no sense.
    pub malformed: u64,
    /// Bytes or messages that a transport refused or dropped itself.
    pub transport_dropped: u64,
}

/// A distribution of durations, nanoseconds; percentiles by nearest rank, so that they are values that occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Durations {
    /// How many.
    pub n: u64,
    /// Mean, rounded down.
    pub mean_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// 98th percentile.
    pub p98_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// Largest.
    pub max_ns: u64,
}

impl Durations {
    /// The distribution of `values` (sorted here); `None` if there are none.
    #[must_use]
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let n = values.len();
        let max_ns = *values.last()?;
        let rank = |percent: usize| values[(n * percent).div_ceil(100).max(1) - 1];
        let sum: u128 = values.iter().map(|&v| u128::from(v)).sum();
        Some(Self {
            n: n as u64,
            mean_ns: u64::try_from(sum / n as u128).unwrap_or(u64::MAX),
            p50_ns: rank(50),
            p95_ns: rank(95),
            p98_ns: rank(98),
            p99_ns: rank(99),
            max_ns,
        })
    }
}

/// JSON has no infinity (the PSNR of identical pictures under some definitions): it is the text `inf` there.
mod infinite {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Finite(f64),
        Text(String),
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_infinite() {
            if *value > 0.0 { "inf" } else { "-inf" }.serialize(to)
        } else {
            value.serialize(to)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Number::deserialize(from)? {
            Number::Finite(value) => Ok(value),
            Number::Text(text) if text == "inf" => Ok(f64::INFINITY),
            Number::Text(text) if text == "-inf" => Ok(f64::NEG_INFINITY),
            Number::Text(text) => Err(D::Error::custom(format!("`{text}` is no number"))),
        }
    }
}

/// A distribution of a picture metric; percentiles interpolate linearly between closest ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dist {
    /// How many frames.
    pub n: u64,
    /// Mean over frames.
    #[serde(with = "infinite")]
    pub mean: f64,
    /// Mean of the `ceil(0.1 n)` worst frames (worst by the metric's own direction).
    #[serde(with = "infinite")]
    pub worst10: f64,
    /// Smallest.
    #[serde(with = "infinite")]
    pub min: f64,
    /// 5th percentile.
    #[serde(with = "infinite")]
    pub p5: f64,
    /// 25th percentile.
    #[serde(with = "infinite")]
    pub p25: f64,
    /// Median.
    #[serde(with = "infinite")]
    pub p50: f64,
    /// 75th percentile.
    #[serde(with = "infinite")]
    pub p75: f64,
    /// 90th percentile.
    #[serde(with = "infinite")]
    pub p90: f64,
    /// 95th percentile.
    #[serde(with = "infinite")]
    pub p95: f64,
    /// 99th percentile.
    #[serde(with = "infinite")]
    pub p99: f64,
    /// Largest.
    #[serde(with = "infinite")]
    pub max: f64,
}

impl Dist {
    /// The distribution of `values`; `None` if there are none.
    #[must_use]
    pub fn of(mut values: Vec<f64>, higher_is_better: bool) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let worst = n.div_ceil(10);
        let tail = if higher_is_better { &values[..worst] } else { &values[n - worst..] };
        #[allow(clippy::cast_precision_loss)] // frame counts are far below 2^53
        let mean_of = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let at = |p: f64| percentile(&values, p);
        Some(Self {
            n: n as u64,
            mean: mean_of(&values),
            worst10: mean_of(tail),
            min: values[0],
            p5: at(5.0),
            p25: at(25.0),
            p50: at(50.0),
            p75: at(75.0),
            p90: at(90.0),
            p95: at(95.0),
            p99: at(99.0),
            max: values[n - 1],
        })
    }
}

/// The `p`-th percentile of sorted `values`, linear between closest ranks (numpy's default).
///
/// # Panics
/// When `values` is empty.
#[must_use]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn percentile(values: &[f64], p: f64) -> f64 {
    let position = p / 100.0 * (values.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(values.len() - 1);
    let part = position - below as f64;
    // Where nothing lies between, an infinite value must not turn into NaN.
    if part == 0.0 || values[below] == values[above] {
        return values[below];
    }
    values[below] + (values[above] - values[below]) * part
}

/// One metric of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Every sent frame, a frozen slot counting with the stale picture on the screen.
    pub all: Dist,
    /// Frames that were rendered or concealed; absent if none was.
    pub rendered: Option<Dist>,
}

/// One stream of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamScores {
    /// Slots that showed the frame itself from complete data.
    pub rendered: u32,
    /// Slots that showed the frame itself from partial data.
    pub concealed: u32,
    /// Slots with nothing new.
    pub frozen: u32,
    /// Frames the sender never sent.
    pub dropped_sender: u32,
    /// Why slots were not rendered.
    pub causes: BTreeMap<LossCause, u32>,
    /// 100 frozen / (N - dropped_sender).
    pub non_rendered_play_percent: f64,
    /// 100 (frames whose displayed picture is below 30 dB) / N; absent without `psnr`.
    pub non_rendered_psnr_percent: Option<f64>,
    /// The same for thresholds 20..=40 dB.
    pub non_rendered_psnr_curve: BTreeMap<u32, f64>,
    /// Per metric.
    pub quality: BTreeMap<Metric, Quality>,
    /// Freezes by the name of their definition.
    pub freezes: BTreeMap<String, FreezeScores>,
    /// Runs of consecutive frozen slots.
    pub frozen_runs: FrozenRuns,
    /// Capture to screen, shown frames only.
    pub latency: Option<Durations>,
    /// The same with 300 ms for every frame never shown.
    pub latency_penalised: Option<Durations>,
    /// Capture to the end of decoding, whenever that was.
    pub decoded_latency: Option<Durations>,
    /// Capture to the end of encoding.
    pub encode_time: Option<Durations>,
    /// Complete to the end of decoding.
    pub decode_time: Option<Durations>,
}

/// Freezes under one definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeScores {
    /// How many.
    pub count: u32,
    /// Their length together.
    pub total_ns: u64,
    /// The longest.
    pub longest_ns: u64,
    /// Sum of (gap - usual gap) over freezes.
    pub excess_ns: u64,
    /// total / clip duration.
    pub ratio: f64,
    /// count per minute of clip.
    pub per_minute: f64,
}

/// Runs of consecutive frozen slots; they see what freeze definitions overlook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenRuns {
    /// How many runs.
    pub count: u32,
    /// Median length, slots (nearest rank).
    pub p50: u32,
    /// 95th percentile of the length, slots.
    pub p95: u32,
    /// Longest, slots.
    pub max: u32,
    /// Slots frozen at the very end of the clip: the freeze that no definition counts.
    pub terminal: u32,
    /// Time from the last new picture to the end of the clip, if it ends frozen.
    pub terminal_ns: u64,
}

/// What was sent, in bits per second of clip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitrateScores {
    /// Encoded frames alone.
    pub media_bps: u64,
    /// Source packets with the system's own headers.
    pub data_bps: u64,
    /// Repair packets.
    pub parity_bps: u64,
    /// Second copies.
    pub repeat_bps: u64,
    /// Everything the sender handed to its transport.
    pub payload_bps: u64,
    /// The same plus 28 bytes of IPv4 and UDP header per packet (papers leave them out).
    pub with_headers_bps: u64,
    /// What entered the forward path, IP packets with encryption and transport; absent without ledger.
    pub wire_bps: Option<u64>,
    /// Receiver to sender, IP packets; absent without ledger.
    pub reverse_wire_bps: Option<u64>,
    /// Repair bytes / source bytes.
    pub redundancy: f64,
    /// (repair + repeat bytes) / source bytes.
    pub redundancy_with_repeats: f64,
    /// Encoded size of a frame, all streams together, bytes: median.
    pub frame_bytes_p50: u64,
    /// 95th percentile.
    pub frame_bytes_p95: u64,
    /// Largest.
    pub frame_bytes_max: u64,
}

/// One direction of the path, as it really was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathScores {
    /// Packets that entered.
    pub packets: u64,
    /// Their bytes (IP).
    pub bytes: u64,
    /// Packets that came out.
    pub delivered: u64,
    /// Packets by why they did not.
    pub drops: BTreeMap<String, u64>,
    /// dropped / entered.
    pub realised_loss: f64,
    /// Packets that met each channel state.
    pub states: BTreeMap<String, u64>,
    /// Time in the path of the packets that came out.
    pub delay: Option<Durations>,
}

/// Something a reader must know; `code` is stable, `text` says what and the next step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// Stable name.
    pub code: String,
    /// For a person.
    pub text: String,
}

/// Why a `scores.json` could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ScoresError {
    /// The file could not be read or written.
    #[error("failed to read or write {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The text is no `scores.json`.
    #[error("failed to read {path}: {source}; run `freezeframe score` on the directory again")]
    Json {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error(
        "failed to read {path}: written as schema {found}, this tool reads {SCHEMA}; run `freezeframe score` on the directory again"
    )]
    Schema {
        /// The file.
        path: String,
        /// Its version.
        found: u32,
    },
}

impl Scores {
    /// The file's text.
    ///
    /// # Panics
    /// Never: every key is text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("keys are text");
        text.push('\n');
        text
    }

    /// Writes the file whole or not at all (a neighbour file is renamed over it).
    ///
    /// # Errors
    /// When writing fails; a former file then stays as it was.
    pub fn write(&self, path: &Path) -> Result<(), ScoresError> {
        let partial = path.with_extension("json.part");
        std::fs::write(&partial, self.to_json())
            .and_then(|()| std::fs::rename(&partial, path))
            .map_err(|source| ScoresError::Io { path: path.display().to_string(), source })
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, is no such file, or is of another version.
    pub fn read(path: &Path) -> Result<Self, ScoresError> {
        #[derive(Deserialize)]
        struct Versioned {
            schema: u32,
        }
        let name = || path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|source| ScoresError::Io { path: name(), source })?;
        let json = |source| ScoresError::Json { path: name(), source };
        let Versioned { schema } = serde_json::from_str(&text).map_err(json)?;
        if schema != SCHEMA {
            return Err(ScoresError::Schema { path: name(), found: schema });
        }
        serde_json::from_str(&text).map_err(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate_as_numpy_does() {
        // numpy.percentile([1, 2, 3, 4], [5, 25, 50, 75, 95])
        let v = [1.0, 2.0, 3.0, 4.0];
        for (p, expected) in
            [(5.0, 1.15), (25.0, 1.75), (50.0, 2.5), (75.0, 3.25), (95.0, 3.85), (100.0, 4.0)]
        {
            assert!((percentile(&v, p) - expected).abs() < 1e-12, "p{p}");
        }
    }

    #[test]
    fn the_worst_tenth_follows_the_metrics_direction() {
        let values: Vec<f64> = (1..=25).map(f64::from).collect();
        assert!((Dist::of(values.clone(), true).unwrap().worst10 - 2.0).abs() < 1e-12);
        assert!((Dist::of(values, false).unwrap().worst10 - 24.0).abs() < 1e-12);
        assert_eq!(Dist::of(Vec::new(), true), None);
    }

    #[test]
    fn duration_percentiles_are_values_that_occurred() {
        let d = Durations::of((1..=100).rev().collect()).unwrap();
        assert_eq!((d.p50_ns, d.p95_ns, d.p98_ns, d.p99_ns, d.max_ns), (50, 95, 98, 99, 100));
        assert_eq!(Durations::of(vec![7]).unwrap().p50_ns, 7);
        assert_eq!(Durations::of(vec![]), None);
    }

    #[test]
    fn infinite_values_survive_the_file() {
        let dist = Dist::of(vec![40.0, f64::INFINITY, f64::INFINITY], true).unwrap();
        assert_eq!((dist.p50, dist.p95, dist.max), (f64::INFINITY, f64::INFINITY, f64::INFINITY));
        let text = serde_json::to_string(&dist).unwrap();
        assert!(text.contains(r#""max":"inf""#) && text.contains(r#""min":40.0"#), "{text}");
        assert_eq!(serde_json::from_str::<Dist>(&text).unwrap(), dist);
        assert!(serde_json::from_str::<Dist>(&text.replace("inf", "large")).is_err());
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.json");
        std::fs::write(&path, r#"{"schema": 99}"#).unwrap();
        let error = Scores::read(&path).unwrap_err().to_string();
        assert!(error.contains("written as schema 99, this tool reads 1"), "{error}");
    }
}
