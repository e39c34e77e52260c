//! `case.toml`: the run that a golden folder keeps.

use contract::Stream;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Name of the file.
pub const FILE_NAME: &str = "case.toml";

/// A short run in virtual time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it guards, in one line.
    pub description: String,
    /// Scenario name, as for `freezeframe run`, or a file `*.toml` relative to the folder.
    pub scenario: String,
    /// System name.
    pub system: String,
    /// Clip name, or a file relative to the folder; absent: the embedded one.
    #[serde(default)]
    pub clip: Option<String>,
    /// Columns and rows of captured frames.
    pub size: (u32, u32),
    /// Captured frames.
    pub frames: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Options of the system, `key=value`.
    #[serde(default)]
    pub options: Vec<String>,
    /// What is kept besides the scores.
    #[serde(default)]
    pub keep: Vec<Keep>,
    /// Slots whose picture is kept.
    #[serde(default)]
    pub pictures: Vec<Moment>,
    /// How far scores may move: of each name the part that says the most about it decides, as in `"quality.psnr" = 0.1`. What
    /// no part fits keeps the tolerance in its file, or gets the usual one.
    #[serde(default)]
    pub tolerances: BTreeMap<String, f64>,
    /// A kept picture has moved when its PSNR to the new one is below this, dB.
    #[serde(default = "picture_psnr_db")]
    pub picture_psnr_db: f64,
}

/// A text that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// `ladder.txt`.
    Ladder,
    /// `timeline.txt`.
    Timeline,
    /// `statuses.txt`: the timeline without the hashes of pictures.
    Statuses,
}

/// One slot of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Which stream.
    pub stream: Stream,
    /// Captured frame whose slot it is.
    pub slot: u32,
}

impl Moment {
    /// Name of the picture's file.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{}-{:04}.png", self.stream.name(), self.slot)
    }
}

/// Two decoders of one standard agree to the bit; two encoder versions on a test clip to about this.
fn picture_psnr_db() -> f64 {
    40.0
}

/// What can be wrong with a case.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The operating system refused.
    #[error("failed to read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
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

/// Whether a value can be held to it: beyond an infinite one, or one that is no number, nothing ever moves.
pub(super) fn is_tolerance(tolerance: f64) -> bool {
    tolerance.is_finite() && tolerance >= 0.0
}

impl Case {
    /// Reads the case of a golden folder.
    ///
    /// # Errors
    /// [`CaseError`] with the file's name and the place in it.
    pub fn read(folder: &Path) -> Result<Self, CaseError> {
        let path = folder.join(FILE_NAME);
        let text =
            std::fs::read_to_string(&path).map_err(|source| CaseError::Io { path: path.clone(), source })?;
        let mut case: Case =
            toml::from_str(&text).map_err(|e| CaseError::Invalid { path, reason: contract::said(&e) })?;
        let invalid = |reason: String| CaseError::Invalid { path: folder.join(FILE_NAME), reason };
        if let Some((name, tolerance)) = case.tolerances.iter().find(|(_, t)| !is_tolerance(**t)) {
            return Err(invalid(format!("tolerances: \"{name}\" is {tolerance}; write a number from 0 on")));
        }
        if case.picture_psnr_db.is_nan() || case.picture_psnr_db <= 0.0 {
            let limit = case.picture_psnr_db;
            return Err(invalid(format!(
                "picture_psnr_db is {limit}; write decibels above 0, 40 for instance"
            )));
        }
        if Path::new(&case.scenario).extension().is_some_and(|e| e == "toml") {
            case.scenario = folder.join(&case.scenario).display().to_string();
        }
        if let Some(clip) = case.clip.as_mut().filter(|clip| Path::new(clip).extension().is_some()) {
            *clip = folder.join(&clip).display().to_string();
        }
        Ok(case)
    }
}
