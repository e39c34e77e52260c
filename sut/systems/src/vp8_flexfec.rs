//! VP8 + FlexFEC: the other WebRTC baseline of Reparo's evaluation. Repair packets are a stream of their own.

use crate::catalogue::Description;
use crate::rtp_video::{self, Code};
use crate::session::Mode;
use anyhow::{Context, Result};
use contract::RunSpec;
use std::path::Path;
use sut_core::fec::flexfec::Format;

/// Its name.
pub const NAME: &str = "vp8-flexfec";

/// The option that says which FlexFEC; the others are [`rtp_video::Options`].
const FORMAT: &str = "format";

fn options(table: &toml::Table) -> Result<(Format, rtp_video::Options)> {
    let mut common = table.clone();
    let format = match common.remove(FORMAT) {
        Some(value) => value.try_into().context("option format: draft03 (browsers) or rfc8627")?,
        None => Format::Draft03,
    };
    Ok((format, rtp_video::Options::read(&common, NAME)?))
}

/// Completes the options.
pub fn describe(table: &toml::Table) -> Result<Description> {
    let (format, common) = options(table)?;
    let mut all = toml::Table::try_from(common)?;
    all.insert(FORMAT.to_owned(), toml::Value::try_from(format)?);
    Ok(Description { setup_ms: 0, options: all })
}

/// Runs it.
pub fn run(mode: &Mode, run_dir: &Path, spec: &RunSpec) -> Result<()> {
    let (format, common) = options(&spec.options)?;
    rtp_video::run(mode, run_dir, spec, Code::Flexfec(format), &common)
}
