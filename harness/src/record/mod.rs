//! From what everybody wrote down to one row per captured frame and stream.
//!
//! ```text
//!  events.jsonl ─┐
//!                ├─▶ join ─▶ rows (frames.csv), warnings, totals ─▶ score ─▶ report
//!  fates.jsonl ──┘
//! ```
//! Start at [`join`]. Nothing here believes a system: what two files say about the same thing is compared, and a
//! difference becomes a [`Finding`].

mod budget;
mod events;
pub mod evidence;
mod fates;
mod finding;
mod join;
pub mod rtp;
mod tally;
pub mod why;

pub use events::{EventsError, read_events};
pub use fates::{Ledger, read_fates};
pub use finding::Finding;
pub use join::{Joined, Reports, Slots, Totals, join};
