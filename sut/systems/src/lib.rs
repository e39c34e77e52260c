//! The systems under test that need no networks, and the program `sut` that runs them.
//!
//! | module | what |
//! |---|---|
//! | [`catalogue`] | the systems by name: a new system is one file and one line there; those with networks are in the crate `neural` |
//! | [`cli`] | the programs `sut` and `sut-neural` |
//! | [`revo`] | ReVo |
//! | [`ringmaster`] | Ringmaster: VP9, retransmission on acknowledgement |
//! | [`vp9_tambur`] | VP9 + Tambur's streaming code on Ringmaster |
//! | [`vp8_ulpfec`], [`vp8_flexfec`], [`rtp_video`] | VP8 + ULPFEC or FlexFEC over RTP |
//! | [`player`] | what these share at the receiving end: decode in order, show at the slot |
//! | [`session`] | any pair of endpoints on either clock |
//! | [`peer`] | ReVo between two machines over a signalling server, the original among the peers |
//! | [`control`] | the line protocol with the harness |
//! | [`identity`] | what results depend on besides the program: encoders, libraries, weights |
//! | [`encode`], [`history`], [`store`] | encoding jobs, and what of them is kept for later runs |
//! | [`pictures`] | the clip's pictures, kept by a process that does many runs |
//! | [`decode`] | decoding jobs, and the store of what was decoded |

pub mod catalogue;
pub mod cli;
pub mod clip;
pub mod control;
pub mod decode;
pub mod encode;
pub mod history;
pub mod identity;
pub mod jobs;
pub mod kept;
pub mod outgoing;
pub mod peer;
pub mod pictures;
pub mod player;
pub mod revo;
pub mod ringmaster;
pub mod rtp_video;
pub mod session;
pub mod store;
pub mod vp8_flexfec;
pub mod vp8_ulpfec;
pub mod vp9_tambur;
pub mod work;
