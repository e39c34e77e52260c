//! From rows and pictures to `scores.json`.

mod freeze;
pub mod session;
