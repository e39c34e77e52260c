//! Systems under test as state machines that take the time as input; codecs and neural nets are jobs they emit.
//!
//! | module | what |
//! |---|---|
//! | [`endpoint`] | [`Endpoint`], [`Worker`]: the shape of every sender and receiver |
//! | [`simulate`](mod@simulate) | both ends and two links on one virtual clock |
//! | [`drive`](mod@drive) | one end on the wall clock and a UDP socket |
//! | [`wire`] | message and packet formats, encode and decode side by side |
//! | [`packetize`] | encoded frames to packets and back |
//! | [`self_drop`] | which tokens Reparo leaves out to meet a bitrate |
//! | [`fec`] | erasure codes |
//! | [`frame_masks`] | which frames of a ReVo session are damaged, as its loss recovery is told |
//! | [`playout`] | in-order decoding and slots for streams whose frames refer to each other |
//! | [`screen`] | the slots of a session, and what its screens show |
//! | [`slot_clock`] | when each frame is due on the screen |
//! | [`rans`] | the entropy coder of DCVC-RT |
//! | [`rtp`] | RTP, payload descriptors, RED, RTCP |

pub mod drive;
pub mod endpoint;
pub mod fec;
pub mod frame_masks;
pub mod packetize;
pub mod playout;
pub mod rans;
pub mod rtp;
pub mod screen;
pub mod self_drop;
pub mod simulate;
pub mod slot_clock;
pub mod wire;

pub use drive::drive;
pub use endpoint::{Endpoint, Input, Output, Worker, WorkerError};
pub use screen::Screen;
pub use simulate::{Recorder, Schedule, simulate};
pub use slot_clock::SlotClock;
