//! Which run it is: everything that tells one run from another, by content and never by name alone.
//!
//! | question | answer |
//! |---|---|
//! | the same run? | `a == b` |
//! | runs to average (they differ in nothing but the seed)? | equal [`RunKey::without_seed`] |
//! | runs to compare pairwise (two systems met the same thing)? | equal [`RunKey::condition`] |
//! | the same run by another revision of the system (two folders of results)? | equal [`RunKey::without_revision`] |
//! | the directory's name | [`RunKey::short_hash`] |

use crate::{Backend, Name, RunSpec, Shaping};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128;

/// Everything that tells one run from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunKey {
    /// System under test.
    pub system: Name,
    /// What the system is made of: hash of its program's files, manifest, weights, encoders and libraries
    /// ([`SystemIdentity::revision`](crate::identity::SystemIdentity::revision)).
    pub revision: String,
    /// Every option of the system with its value, as TOML.
    pub options: BTreeMap<String, String>,
    /// Scenario.
    pub scenario: Name,
    /// Hash of both paths and the target rate; traces by content.
    pub scenario_hash: String,
    /// Clip.
    pub clip: Name,
    /// Hash of the colour file's content.
    pub clip_hash: String,
    /// Hash of the depth files' content; absent: no depth stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_hash: Option<String>,
    /// Nearest and farthest depth of the 8-bit view, millimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_range_mm: Option<(u16, u16)>,
    /// Codes of the depth pictures per metre, where they are not the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_per_metre: Option<String>,
    /// Field of view that depth is scored with, degrees. Only scoring uses it: it is in no directory's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_fov_degrees: Option<String>,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Captures per second.
    pub fps: u32,
    /// Captured frames.
    pub frames: u32,
    /// Which clock.
    pub backend: Backend,
    /// Who shapes.
    pub shaper: Shaping,
    /// Time from capture to the frame's slot on the screen.
    pub playout: String,
    /// What work costs in virtual time: `ideal`, or a table with the hash of its numbers.
    #[serde(default = "ideal", skip_serializing_if = "is_ideal")]
    pub costs: String,
    /// Seed of everything random.
    pub seed: u64,
}

fn ideal() -> String {
    crate::costs::IDEAL.to_owned()
}

fn is_ideal(costs: &str) -> bool {
    costs == crate::costs::IDEAL
}

/// What a system met, whichever it was: runs of two systems under equal conditions are a pair.
///
/// Depth is not part of it, because systems that send colour alone are compared with those that send both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition {
    /// Name and hash.
    pub scenario: (Name, String),
    /// Name and hash.
    pub clip: (Name, String),
    /// Columns, rows, captures per second, captured frames.
    pub shape: [u32; 4],
    /// Which clock, and who shapes.
    pub clock: (Backend, Shaping),
    /// Time from capture to screen.
    pub playout: String,
    /// What work costs.
    pub costs: String,
    /// Seed.
    pub seed: u64,
}

impl RunKey {
    /// The key of a run.
    #[must_use]
    pub fn of(spec: &RunSpec) -> Self {
        let clip = &spec.clip;
        Self {
            system: spec.system.clone(),
            revision: spec.identity.system.revision(),
            options: spec.options.iter().map(|(k, v)| (k.clone(), v.to_string())).collect(),
            scenario: spec.scenario.name.clone(),
            scenario_hash: spec.scenario.content_hash(),
            clip: clip.name.clone(),
            clip_hash: clip.hash.clone(),
            depth_hash: clip.depth.as_ref().map(|_| clip.depth_hash.clone().unwrap_or_default()),
            depth_range_mm: clip.depth_range_mm,
            depth_per_metre: clip.depth_per_metre.map(|u| u.to_string()),
            depth_fov_degrees: clip.depth_fov_degrees.map(|f| f.to_string()),
            width: clip.width,
            height: clip.height,
            fps: clip.fps,
            frames: clip.frames,
            backend: spec.backend,
            shaper: spec.shaper,
            playout: spec.scenario.playout.to_string(),
            costs: match spec.backend {
                Backend::Virtual => spec.costs.key(),
                Backend::Namespaces => ideal(),
            },
            seed: spec.seed,
        }
    }

    /// The canonical text: JSON with the fields in their order, options sorted.
    ///
    /// # Panics
    /// Never: every key of its maps is text.
    #[must_use]
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).expect("keys are text")
    }

    /// Hash of the canonical text (XXH3, 128 bit), 32 hex digits.
    #[must_use]
    pub fn hash(&self) -> String {
        format!("{:032x}", xxh3_128(self.canonical().as_bytes()))
    }

    /// Ten hex digits for a directory's name. What only scoring uses is left out: scoring again needs no new run.
    #[must_use]
    pub fn short_hash(&self) -> String {
        Self { depth_fov_degrees: None, ..self.clone() }.hash()[..10].to_owned()
    }

    /// The same for all seeds.
    #[must_use]
    pub fn without_seed(&self) -> Self {
        Self { seed: 0, ..self.clone() }
    }

    /// The same whatever the system was made of.
    #[must_use]
    pub fn without_revision(&self) -> Self {
        Self { revision: String::new(), ..self.clone() }
    }

    /// What the system met.
    #[must_use]
    pub fn condition(&self) -> Condition {
        Condition {
            scenario: (self.scenario.clone(), self.scenario_hash.clone()),
            clip: (self.clip.clone(), self.clip_hash.clone()),
            shape: [self.width, self.height, self.fps, self.frames],
            clock: (self.backend, self.shaper),
            playout: self.playout.clone(),
            costs: self.costs.clone(),
            seed: self.seed,
        }
    }

    /// The value of an option as a person writes it (a text without its quotes).
    #[must_use]
    pub fn option(&self, name: &str) -> Option<String> {
        let text = self.options.get(name)?;
        let value = toml::from_str::<toml::Table>(&format!("v = {text}")).ok()?.remove("v")?;
        Some(value.as_str().map_or_else(|| text.clone(), str::to_owned))
    }
}
