//! One direction of an emulated network path: pure, seeded, with the time as input.
//!
//! ```text
//!  enqueue ─▶ loss ─▶ bottleneck (FIFO at a rate) ─▶ propagation delay (+ jitter) ─▶ deliver
//! ```
//!
//! Start at [`LinkSpec`] (what a scenario says) and [`Link`] (what runs). A packet's whole [`Fate`] is known when it
//! enters, so the same link serves a clock that jumps, a process between two network interfaces, and a prediction of
//! what the kernel will do.
//!
//! ```
//! use link::{Direction, Link, LinkSpec, Timestamp};
//!
//! // 320 kbit/s behind 6000 bytes, then 20 ms, as a scenario file says it.
//! let spec: LinkSpec = toml::from_str(
//!     "bottleneck = { rate = \"320kbit\", queue = \"6000B\" }\ndelay = { base = \"20ms\" }",
//! )?;
//! let mut link = Link::new(&spec, Direction::Forward.seed(42))?;
//!
//! let fate = link.enqueue(Timestamp::ZERO, 7, 1200);
//! assert_eq!(fate.at(), Some(Timestamp::from_millis(50)));
//!
//! assert_eq!(link.next_delivery(), fate.at());
//! let packet = link.deliver(Timestamp::from_millis(50)).unwrap();
//! assert_eq!((packet.id, packet.duplicate), (7, false));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bottleneck;
mod error;
mod fate;
mod ledger;
mod link;
mod loss;
mod netem;
mod resolve;
mod rng;
mod said;
mod spec;
mod tc;
mod text;
mod time;
pub mod trace;
mod units;
mod warning;

pub use error::LinkError;
pub use fate::{Channel, DropCause, Fate, FateRecord, Outcome, State};
pub use ledger::{LedgerError, LedgerWriter, read_ledger};
pub use link::{Delivery, Link, Stats};
pub use netem::{Netem, NetemEntry, NetemLoss, Prandom, row_seed};
pub use rng::{Direction, SplitMix64};
pub use said::said;
pub use spec::{
    BottleneckSpec, DelayBase, DelaySpec, Epoch, LinkSpec, LossBy, LossSpec, Model, Order, Pattern,
    PatternError, QueueLimit, RateSpec, Step,
};
pub use tc::{TcScript, tc_script};
pub use text::LossTextError;
pub use time::{Bitrate, Timestamp};
pub use trace::{Schedule, ScheduledRow, TraceError, TraceSpec};
pub use units::{ByteCount, Probability, Span, UnitError, rate_text};
pub use warning::Warning;
