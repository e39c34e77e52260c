//! Many simulated runs in one process: `sut work` reads an [`Order`] a line, in JSON, and answers each with an [`Answer`].
//!
//! Only the harness starts it, for this project's own systems: they are trusted, and starting a program takes longer than many a run. A
//! plug-in has a process of its own, in a sandbox, for every run (docs/PLUGIN.md).

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The word after `sut`.
pub const WORD: &str = "work";

/// One run in virtual time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The system's name.
    pub system: String,
    /// Its run folder, with `spec.toml` in it.
    pub run_dir: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The run's files are complete.
    Done,
    /// Another program has this system or its recovery.
    Elsewhere,
    /// The run failed.
    Failed {
        /// Exit code of a process that did this run alone.
        code: i32,
        /// What it would have said.
        why: String,
    },
}
