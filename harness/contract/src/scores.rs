//! `scores.json`: what a run measured, each value under the name of its definition.
//!
//! Equal runs give equal bytes: maps are ordered, floats are the shortest text that reads back to the same
//! bits, and nothing here depends on the wall clock or on the machine (what does is in [`Health`], and is
//! empty in virtual time).

use crate::{LossCause, Metric, Playout, RunKey, Stream, range, text};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Version of the file's shape; a file of another version is scored again, never guessed at.
pub const SCHEMA: u32 = 2;

/// Everything of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which run, for people.
    pub run: RunIdentity,
    /// Which run, for programs: groups, pairs and comparisons go by it.
    pub key: RunKey,
    /// How it was scored: equal for equal results, and how a sweep knows that another scoring would give others.
    #[serde(default)]
    pub scoring: Scoring,
    /// Whether its numbers may be used.
    pub health: Health,
    /// Captured frames, N.
    pub frames: u32,
    /// Time between captures, nanoseconds.
    pub interval_ns: u64,
    /// When frames were due on the screen: what was asked for, and what the system did.
    pub budget: Budget,
    /// Per stream.
    pub streams: BTreeMap<Stream, StreamScores>,
    /// What was sent.
    pub bitrate: BitrateScores,
    /// What each direction did (`forward`, `reverse`), from the fate ledger.
    pub network: BTreeMap<String, PathScores>,
    /// What a loss model of the system's own dropped before it was sent; absent if nothing was. The ledger does not know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_at_sender: Option<LostAtSender>,
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
    /// Clip, as people call it.
    pub clip: String,
    /// Seed of every random draw.
    pub seed: u64,
    /// `virtual` or `namespaces`.
    pub backend: String,
    /// Source revision of the tool.
    pub revision: String,
    /// The command that repeats the run.
    pub replay: String,
    /// Options that were given; the others have the system's default.
    #[serde(default)]
    pub given: BTreeSet<String>,
    /// What else defines the condition, as shown in the report: transport, loss model, stage order, sizes.
    pub conditions: BTreeMap<String, String>,
}

/// What scores depend on besides the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scoring {
    /// Hash of the code that reads, decodes and compares, and of the libraries it does it with.
    pub code: String,
    /// Metrics that were asked for, each with what its values depend on besides two pictures: the hash of weights, the camera;
    /// `missing` where there were no weights.
    pub metrics: BTreeMap<Metric, String>,
}

impl Scoring {
    /// Why a scoring `wanted` would give something that this one did not; `None` if it would not.
    #[must_use]
    pub fn lacks(&self, wanted: &Scoring) -> Option<String> {
        if self.code != wanted.code {
            return Some("the code or the libraries that score have changed".to_owned());
        }
        wanted.metrics.iter().find_map(|(metric, with)| match self.metrics.get(metric) {
            None => Some(format!("it lacks {}", metric.name())),
            Some(had) if had != with => Some(format!("{} with {with} instead of {had}", metric.name())),
            Some(_) => None,
        })
    }
}

/// Whether the machine kept up and everybody ended well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// False: the numbers are shown, marked, and never averaged.
    pub valid: bool,
    /// Why not.
    pub problems: Vec<String>,
    /// What kept the system apart from the machine, from the clip and from the other end, and what of it was not to be had.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub isolation: String,
    /// When both processes had ended, nanoseconds of the run; nothing can have happened later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_ns: Option<u64>,
    /// The system said itself what happened in virtual time (a plug-in's `simulate`): only its ledger was checked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub self_reported: bool,
    /// What the launcher found; `scores.json` has it among the warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Warning>,
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
    /// What camera and screen of the harness have seen, of a system of `kind = "app"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<AppHealth>,
}

/// What the harness's camera and screen have seen of an app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppHealth {
    /// From the start of the first of the system's processes to the first picture of the camera on the screen, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_picture_ms: Option<u64>,
    /// The same until the harness took the call for set up: both ends ready, and that picture seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_up_ms: Option<u64>,
    /// Frames of the clip that were on the screen, by their markers.
    pub pictures: u64,
    /// Pictures on the screen since frame 0 without a marker of this run.
    pub unmarked: u64,
    /// How long the screen showed such pictures, from the clip's first frame on it to the last slot, milliseconds.
    pub unmarked_ms: u64,
    /// How long it showed an older frame than it had shown before, milliseconds.
    pub older_ms: u64,
    /// Frames that gave way to something else than a newer frame before anybody could see them; they do not count as shown.
    pub flashed: u64,
    /// Pictures that never held still between two looks at the screen.
    pub torn: u64,
    /// Pictures whose content was compared with the clip, the marker's cross-check.
    pub compared: u64,
    /// Of these, nearest to the frame that the marker names, or as near as to any.
    pub nearest: u64,
    /// Of these, clearly another frame's.
    pub contradicted: u64,
    /// Of the pictures without a marker that stood on the screen, how many look like the clip.
    pub unmarked_alike: u64,
    /// Blocks of the marker.
    pub marker_blocks: u64,
    /// Of these, how many change from picture to picture.
    pub marker_flips: u64,
    /// Rows that the marker adds to the picture.
    pub marker_rows: u64,
}

/// The play-out budget that a run was judged by, measured from its slots: slot time less capture time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Of the scenario: nanoseconds, or `own`, the system's own clock.
    #[serde(with = "crate::playout::nanos")]
    pub asked_ns: Playout,
    /// Slots whose capture is known, all streams together.
    pub slots: u32,
    /// Their median (nearest rank), nanoseconds; absent without slots.
    pub kept_ns: Option<u64>,
    /// The largest distance of a slot from what was asked for (from the median when that is `own`), nanoseconds.
    pub max_deviation_ns: u64,
}

pub use metrics::{Dist, Durations, FreezeSummary as FreezeScores, FrozenRuns};

/// One metric of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Every captured frame, a slot without a new picture counting with the stale one on the screen.
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
    /// 100 (frozen + dropped_sender) / N; absent for no frame.
    pub non_rendered_play_percent: Option<f64>,
    /// 100 frozen / (N - dropped_sender); absent if nothing was sent.
    pub non_rendered_of_sent_percent: Option<f64>,
    /// 100 (frames whose displayed picture is below 30 dB) / frames with a PSNR; absent without `psnr`.
    pub non_rendered_psnr_percent: Option<f64>,
    /// The same for thresholds 20..=40 dB.
    pub non_rendered_psnr_curve: BTreeMap<u32, f64>,
    /// Per metric.
    pub quality: BTreeMap<Metric, Quality>,
    /// Capture of frame 0 to the first picture on the screen; absent if there never was one.
    pub startup_ns: Option<u64>,
    /// No picture ever came on the screen.
    pub never_rendered: bool,
    /// As `startup_ns`; without any picture the time to the end of the last slot.
    pub startup_penalised_ns: u64,
    /// Freezes by the name of their definition.
    pub freezes: BTreeMap<String, FreezeScores>,
    /// Runs of consecutive frozen slots.
    pub frozen_runs: FrozenRuns,
    /// Capture to screen, shown frames only.
    pub latency: Option<Durations>,
    /// The same with 300 ms for every frame never shown.
    pub latency_penalised: Option<Durations>,
    /// 100 (frames that were on the screen at all) / N; absent for no frame. With a play-out clock of the system's own this is what
    /// it showed ever, however late.
    #[serde(default)]
    pub shown_ever_percent: Option<f64>,
    /// 100 (frames on the screen at most so many milliseconds after their capture) / N.
    #[serde(default)]
    pub shown_within_percent: BTreeMap<u32, f64>,
    /// Capture to the end of decoding, whenever that was.
    pub decoded_latency: Option<Durations>,
    /// Capture to the end of encoding.
    pub encode_time: Option<Durations>,
    /// Complete to the end of decoding.
    pub decode_time: Option<Durations>,
}

/// What was sent, in bits per second of the clip's window (capture of frame 0 to the moment at which frame N would be
/// captured). A value that no evidence was there for is absent, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitrateScores {
    /// Encoded frames alone; absent if the system reports none.
    pub media_bps: Option<u64>,
    /// Source packets with the system's own headers; absent, like all below, if the system reports no sent packets.
    pub data_bps: Option<u64>,
    /// Repair packets.
    pub parity_bps: Option<u64>,
    /// Second copies and retransmissions.
    pub repeat_bps: Option<u64>,
    /// Everything the sender handed to its transport.
    pub payload_bps: Option<u64>,
    /// The same plus 28 bytes of IPv4 and UDP header per packet (papers leave them out).
    pub with_headers_bps: Option<u64>,
    /// What entered the forward path, IP packets with encryption and transport; absent without ledger.
    pub wire_bps: Option<u64>,
    /// Receiver to sender, IP packets; absent without ledger.
    pub reverse_wire_bps: Option<u64>,
    /// Repair bytes / source bytes.
    pub redundancy: Option<f64>,
    /// (repair + repeat bytes) / source bytes.
    pub redundancy_with_repeats: Option<f64>,
    /// Handed to the transport before the window: set-up.
    pub payload_before_bytes: Option<u64>,
    /// Handed to the transport after the window: the tail.
    pub payload_after_bytes: Option<u64>,
    /// Encoded size of a frame, all streams together, bytes: median.
    pub frame_bytes_p50: Option<u64>,
    /// 95th percentile.
    pub frame_bytes_p95: Option<u64>,
    /// Largest.
    pub frame_bytes_max: Option<u64>,
}

impl BitrateScores {
    /// What entered the path, or as near to it as the record comes: payload with headers where there is no ledger.
    #[must_use]
    pub fn on_the_wire(&self) -> Option<u64> {
        self.wire_bps.or(self.with_headers_bps)
    }
}

/// One direction of the path in the clip's window, as it really was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathScores {
    /// Packets that entered.
    pub packets: u64,
    /// Their bytes (IP).
    pub bytes: u64,
    /// Packets that came out intact.
    pub delivered: u64,
    /// Packets by why they did not.
    pub drops: BTreeMap<String, u64>,
    /// lost / entered; absent if no packet entered.
    pub realised_loss: Option<f64>,
    /// Packets that met each channel state.
    pub states: BTreeMap<String, u64>,
    /// Time in the path of the packets that came out.
    pub delay: Option<Durations>,
    /// What entered before the window: set-up.
    pub before: Outside,
    /// What entered after the window: the tail.
    pub after: Outside,
}

/// What a system lost before the path, by its own word, in the clip's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostAtSender {
    /// Packets.
    pub packets: u64,
    /// Their bytes, with the system's own headers.
    pub bytes: u64,
    /// Of all packets that were sent or dropped so.
    pub share: f64,
}

/// Packets that no rate and no loss counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// Packets that entered.
    pub packets: u64,
    /// Their bytes (IP).
    pub bytes: u64,
    /// Packets that did not come out intact.
    pub lost: u64,
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
    #[error("failed to read {path}: {field}{source}; run `freezeframe score` on the directory again")]
    Json {
        /// The file.
        path: String,
        /// The field where reading ended, with a colon, where one stands there.
        field: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A number that cannot be.
    #[error("failed to read {path}: {field}: {why}; run `freezeframe score` on the directory again")]
    Value {
        /// The file.
        path: String,
        /// Where it stands.
        field: String,
        /// Why it cannot be.
        why: String,
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

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// When writing fails; a former file then stays as it was.
    pub fn write(&self, path: &Path) -> Result<(), ScoresError> {
        crate::write_whole(path, self.to_json().as_bytes())
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
        let json = |source: serde_json::Error| ScoresError::Json {
            path: name(),
            field: field_at(&text, source.line()),
            source,
        };
        let Versioned { schema } = serde_json::from_str(&text).map_err(json)?;
        if schema != SCHEMA {
            return Err(ScoresError::Schema { path: name(), found: schema });
        }
        let value = |(field, why)| ScoresError::Value { path: name(), field, why };
        if let Some(found) = range::impossible(&serde_json::from_str(&text).map_err(json)?) {
            return Err(value(found));
        }
        let mut scores: Scores = serde_json::from_str(&text).map_err(json)?;
        if let Some(found) = range::contradiction(&scores) {
            return Err(value(found));
        }
        scores.clean();
        Ok(scores)
    }

    /// Names and sentences come from systems and files: tables and pages get them without anything that a terminal would obey.
    fn clean(&mut self) {
        let run = &mut self.run;
        for text in [&mut run.system, &mut run.scenario, &mut run.clip, &mut run.backend, &mut run.revision] {
            *text = text::line(text);
        }
        run.conditions.values_mut().for_each(|v| *v = text::line(v));
        self.health.problems.iter_mut().for_each(|p| *p = text::line(p));
        self.warnings.iter_mut().for_each(|w| w.text = text::line(&w.text));
    }
}

/// The field that a line of the file begins with, and a colon; empty if it begins with none.
fn field_at(text: &str, line: usize) -> String {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim_start();
    let name = line.strip_prefix('"').and_then(|rest| rest.split_once("\":"));
    name.map(|(name, _)| format!("{}: ", text::line(name))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_json_has_no_word_for_is_named_by_its_field() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.json");
        std::fs::write(&path, "{\n  \"schema\": 2,\n  \"mean\": NaN\n}").unwrap();
        let error = Scores::read(&path).unwrap_err().to_string();
        assert!(error.contains("scores.json: mean: ") && error.contains("freezeframe score"), "{error}");
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.json");
        std::fs::write(&path, r#"{"schema": 99}"#).unwrap();
        let error = Scores::read(&path).unwrap_err().to_string();
        assert!(error.contains("written as schema 99, this tool reads 2"), "{error}");
    }
}
