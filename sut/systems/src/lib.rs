//! The systems under test, and the program `sut` that runs them.
//!
//! | room | what |
//! |---|---|
//! | [`catalogue`] | the systems by name: a new system is one file and one line there |
//! | [`revo`] | ReVo |
//! | [`reparo`] | Reparo |
//! | [`session`] | any pair of endpoints on either clock |
//! | [`control`] | the line protocol with the harness |
//! | [`encode`], [`decode`] | codec jobs: the cache of encoded streams, the store of decoded units |

pub mod catalogue;
pub mod clip;
pub mod control;
pub mod decode;
pub mod encode;
pub mod jobs;
pub mod reparo;
pub mod revo;
pub mod session;
