//! `spec.toml`: one run, fully resolved. A system under test needs nothing else.

use crate::{Costs, Identity, Name, Playout, Scenario, Stream};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Name of the file in a run directory.
pub const FILE_NAME: &str = "spec.toml";

/// Which clock a run is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// One process, virtual time.
    Virtual,
    /// Sender and receiver in network namespaces, wall clock.
    Namespaces,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Backend::Virtual => "virtual",
            Backend::Namespaces => "namespaces",
        })
    }
}

/// Who shapes the traffic between namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shaping {
    /// Whoever can do it exactly and say what became of each packet: the emulator, as a run always has a ledger.
    #[default]
    Auto,
    /// The emulator process.
    User,
    /// The kernel's qdiscs; a scenario that they cannot do exactly is refused.
    Kernel,
}

impl Shaping {
    /// The default.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub fn is_auto(&self) -> bool {
        *self == Shaping::Auto
    }
}

impl std::fmt::Display for Shaping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Shaping::Auto => "auto",
            Shaping::User => "user",
            Shaping::Kernel => "kernel",
        })
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// System under test, as in its manifest.
    pub system: Name,
    /// Which clock.
    pub backend: Backend,
    /// Who shapes, between namespaces.
    #[serde(default, skip_serializing_if = "Shaping::is_auto")]
    pub shaper: Shaping,
    /// Seed of everything random in the run.
    pub seed: u64,
    /// Source revision of the tool that wrote this.
    pub revision: String,
    /// The command that repeats the run.
    pub replay: String,
    /// When the first frame is captured, nanoseconds after the run's start. Traffic more than `warm_ns` before it (handshakes) is not
    /// impaired. Of a system with a camera of its own: the earliest that frame 0 can be.
    pub capture_start_ns: u64,
    /// The channel is on this long before frame 0: warm-up, which is not scored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warm_ns: u64,
    /// When a camera of the system's own really captured frame 0 (its `capturing` line), nanoseconds after the run's start; absent for
    /// others. Written after the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_from_ns: Option<u64>,
    /// `scenario.playout` for programs: nanoseconds from a frame's capture to its slot on the screen, or `own`. Absent in files of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_nanos")]
    pub playout_ns: Option<Playout>,
    /// Where encoded streams are kept between runs; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Options that were given; the others have the system's default.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub given: BTreeSet<String>,
    /// What work costs in virtual time; absent: nothing.
    #[serde(default, skip_serializing_if = "Costs::is_ideal")]
    pub costs: Costs,
    /// What is sent.
    pub clip: ClipSpec,
    /// The system's options; what is absent has the system's default.
    #[serde(default)]
    pub options: toml::Table,
    /// The network.
    pub scenario: Scenario,
    /// What the run was made with.
    #[serde(default)]
    pub identity: Identity,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipSpec {
    /// Name in paths, and in tables if there is no label.
    pub name: Name,
    /// What a file is really called, where that is no [`Name`]; only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Colour video: any file FFmpeg reads.
    pub rgb: PathBuf,
    /// Depth video or folder of PNGs; absent: no depth stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<PathBuf>,
    /// Nearest and farthest depth of the 8-bit view, millimetres, when depth is metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_range_mm: Option<(u16, u16)>,
    /// Codes of the depth file that make a metre; absent: 1000 of integers, 1 of floating-point numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_per_metre: Option<f64>,
    /// Horizontal field of view of the camera that measured the depth, degrees; absent: not known. Only scoring uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_fov_degrees: Option<f64>,
    /// Columns of captured frames.
    pub width: u32,
    /// Rows of captured frames.
    pub height: u32,
    /// Captures per second.
    pub fps: u32,
    /// Captured frames.
    pub frames: u32,
    /// Hash of the colour file's content, and the shape.
    pub hash: String,
    /// Hash of the depth files' content; absent without depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_hash: Option<String>,
}

impl ClipSpec {
    /// What it is called in tables.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    /// What decides a stream's pictures besides size and rate: the files' content and how depth is read; for keys of caches.
    #[must_use]
    pub fn pictures(&self, stream: Stream) -> String {
        match stream {
            Stream::Rgb => self.hash.clone(),
            Stream::Depth => {
                format!("{} {:?} {:?}", self.hash_of(stream), self.depth_range_mm, self.depth_per_metre)
            }
        }
    }

    /// The file of a stream and the hash of its content, empty where none was noted; `None` without that stream.
    #[must_use]
    pub fn file(&self, stream: Stream) -> Option<(&Path, &str)> {
        match stream {
            Stream::Rgb => Some((&self.rgb, &self.hash)),
            Stream::Depth => Some((self.depth.as_deref()?, self.depth_hash.as_deref().unwrap_or_default())),
        }
    }

    /// Hash of a stream's content.
    #[must_use]
    pub fn hash_of(&self, stream: Stream) -> &str {
        match stream {
            Stream::Rgb => &self.hash,
            Stream::Depth => self.depth_hash.as_deref().unwrap_or(&self.hash),
        }
    }

    /// The clip's streams, colour first.
    #[must_use]
    pub fn streams(&self) -> &'static [Stream] {
        if self.depth.is_some() { &[Stream::Rgb, Stream::Depth] } else { &[Stream::Rgb] }
    }
}

/// What can be wrong with a run's `spec.toml`.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The operating system refused.
    #[error("failed to {doing} {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Its own words.
        source: std::io::Error,
    },
    /// Not valid.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, field and remedy.
        reason: String,
    },
}

impl RunSpec {
    /// Reads `spec.toml` of a run directory.
    pub fn read(run_dir: &Path) -> Result<Self, SpecError> {
        let path = run_dir.join(FILE_NAME);
        let text = std::fs::read_to_string(&path).map_err(|source| SpecError::Io {
            path: path.clone(),
            doing: "read",
            source,
        })?;
        let mut spec: RunSpec = toml::from_str(&text)
            .map_err(|e| SpecError::Invalid { path: path.clone(), reason: e.to_string() })?;
        // A trace is in the file by path and hash only.
        spec.scenario
            .load(run_dir)
            .map_err(|e| SpecError::Invalid { path: path.clone(), reason: e.to_string() })?;
        if spec.playout_ns.is_some_and(|p| p != spec.scenario.playout) {
            let reason = format!(
                "playout_ns is not scenario.playout ({}); the harness writes both alike",
                spec.scenario.playout
            );
            return Err(SpecError::Invalid { path, reason });
        }
        Ok(spec)
    }

    /// Writes `spec.toml` into a run directory.
    pub fn write(&self, run_dir: &Path) -> Result<(), SpecError> {
        let path = run_dir.join(FILE_NAME);
        let text = toml::to_string_pretty(self)
            .map_err(|e| SpecError::Invalid { path: path.clone(), reason: e.to_string() })?;
        std::fs::write(&path, text).map_err(|source| SpecError::Io { path, doing: "write", source })
    }

    /// When frame 0 was captured, or is to be: nanoseconds after the run's start.
    #[must_use]
    pub fn first_capture_ns(&self) -> u64 {
        self.captured_from_ns.unwrap_or(self.capture_start_ns)
    }

    /// When the channel begins to impair, nanoseconds after the run's start.
    #[must_use]
    pub fn channel_start_ns(&self) -> u64 {
        self.capture_start_ns.saturating_sub(self.warm_ns)
    }

    /// Time between captures, nanoseconds, rounded down.
    #[must_use]
    pub fn interval_ns(&self) -> u64 {
        crate::capture_offset(1, (self.clip.fps, 1)).as_nanos() as u64
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(ns: &u64) -> bool {
    *ns == 0
}

mod maybe_nanos {
    use crate::{Playout, playout::nanos};
    use serde::{Deserializer, Serializer};

    #[allow(clippy::ref_option)] // serde's signature
    pub fn serialize<S: Serializer>(playout: &Option<Playout>, s: S) -> Result<S::Ok, S::Error> {
        match playout {
            Some(playout) => nanos::serialize(playout, s),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Playout>, D::Error> {
        nanos::deserialize(d).map(Some)
    }
}
