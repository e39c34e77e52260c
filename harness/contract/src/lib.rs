//! What a run directory contains: the only thing the harness and the systems under test share.
//!
//! | file | written by | what |
//! |---|---|---|
//! | `spec.toml` | harness | the resolved run: clip, path, system, seed ([`RunSpec`]) |
//! | `events.jsonl` | system | one [`Event`] per line |
//! | `fates.jsonl` | emulator or virtual link | one line per packet and direction |
//! | `rendered.*` | receiver | what was shown ([`units`], or a video with one picture per slot) |
//! | `frames.csv`, `scores.json`, `report.html` | harness | the result |
//! | `seal.sha256` | harness | hashes of all that the result rests on ([`seal`]) |

pub mod costs;
pub mod data;
pub mod digest;
mod event;
pub mod exit;
mod frame_clock;
pub mod frames;
pub mod identity;
pub mod key;
mod kind;
mod limits;
pub mod lock;
pub mod manifest;
pub mod name;
pub mod playout;
mod range;
mod scenario;
pub mod schema;
pub mod scores;
pub mod seal;
pub mod spec;
pub mod table;
pub mod text;
pub mod trace_map;
pub mod unchanged;
pub mod units;
mod whole;
pub mod work;
pub use costs::Costs;
pub use event::{Event, EventKind, LossCause, Role, Side, Status, Stream};
pub use frame_clock::capture_offset;
pub use frames::{FrameRow, Metric};
pub use identity::Identity;
pub use key::RunKey;
pub use kind::Kind;
pub use limits::Limits;
pub use link::said;
pub use manifest::{Manifest, ManifestError, ManifestPlayout, Wire};
pub use name::Name;
pub use playout::{Playout, PlayoutError};
pub use scenario::{Scenario, ScenarioError};
pub use scores::Scores;
pub use spec::{Backend, ClipSpec, RunSpec, Shaping, SpecError};
pub use whole::write_whole;
