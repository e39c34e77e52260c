//! VP8 + ULPFEC: the WebRTC baseline of Reparo's evaluation. Repair packets share the media's stream in RED.

use crate::catalogue::Description;
use crate::rtp_video::{self, Code, Options};
use crate::session::Mode;
use anyhow::Result;
use contract::RunSpec;
use std::path::Path;

/// Its name.
pub const NAME: &str = "vp8-ulpfec";

/// Completes the options.
pub fn describe(table: &toml::Table) -> Result<Description> {
    Ok(Description { setup_ms: 0, options: toml::Table::try_from(Options::read(table, NAME)?)? })
}

/// Runs it.
pub fn run(mode: &Mode, run_dir: &Path, spec: &RunSpec) -> Result<()> {
    rtp_video::run(mode, run_dir, spec, Code::Ulpfec, &Options::read(&spec.options, NAME)?)
}
