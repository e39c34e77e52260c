//! Loss recovery: a better picture for a frame that arrived damaged or not at all.
//!
//! | module | what |
//! |---|---|
//! | [`original`] | LossRec as published with ReVo, with its checkpoints |
//! | [`network`] | its vision transformer |
//! | [`clip`] | which frames it looks at, and what pictures are to it |
//! | [`quality`] | the measures that its evaluation prints |
//! | [`blend`] | how far to believe a decoder that goes on, block by block |
//! | [`lite`] | a small network of this project, made for CPUs and trained here |
//! | [`restorers`] | both as recoveries of the registry |
//! | [`costs`] | what they are charged in virtual time |
//! | [`history`] | what a receiver remembers for it |
//! | [`samples`] | what that is trained on |

pub mod blend;
pub mod clip;
pub mod costs;
mod draw;
pub mod history;
pub mod lite;
pub mod network;
pub mod original;
pub mod quality;
pub mod restorers;
pub mod samples;
