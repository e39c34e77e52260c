//! The systems by name.

use crate::identity::{networks, video};
use crate::session::Mode;
use crate::{reparo, revo, vp8_flexfec, vp8_ulpfec, vp9_tambur};
use anyhow::Result;
use codecs::Codec;
use contract::RunSpec;
use contract::identity::DependsOn;
use std::path::Path;

/// A system under test.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Name on the command line and in tables.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// Its options, completed, and what they imply.
    pub describe: fn(&toml::Table) -> Result<Description>,
    /// What its results depend on besides this program and these options.
    pub depends_on: fn(&toml::Table) -> Result<DependsOn>,
    /// Runs it.
    pub run: fn(&Mode, &Path, &RunSpec) -> Result<()>,
}

/// What a system says of itself before a run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Description {
    /// Milliseconds it needs between the run's start and the first capture.
    pub setup_ms: u64,
    /// Every option with its value.
    pub options: toml::Table,
}

/// Every system that comes with the project.
pub const SYSTEMS: &[System] = &[
    System {
        name: "revo-h264",
        about: "ReVo: RGB + depth, H.264, parity on key frames, deadline-driven assembly",
        describe: revo::describe,
        depends_on: |_| video(Codec::H264),
        run: |mode, dir, spec| revo::run(mode, dir, spec, Codec::H264),
    },
    System {
        name: "revo-h265",
        about: "ReVo: RGB + depth, H.265, parity on key frames, deadline-driven assembly",
        describe: revo::describe,
        depends_on: |_| video(Codec::H265),
        run: |mode, dir, spec| revo::run(mode, dir, spec, Codec::H265),
    },
    System {
        name: "reparo",
        about: "Reparo: tokens in independent packets, what is lost is generated (lite networks, CPU)",
        describe: reparo::describe,
        depends_on: |options| networks(&reparo::weight_files(options)?),
        run: reparo::run,
    },
    System {
        name: vp9_tambur::NAME,
        about: "Tambur on Ringmaster: VP9, streaming code over four frames",
        describe: vp9_tambur::describe,
        depends_on: |_| video(Codec::Vp9),
        run: vp9_tambur::run,
    },
    System {
        name: vp8_ulpfec::NAME,
        about: "VP8 over RTP with ULPFEC in RED",
        describe: vp8_ulpfec::describe,
        depends_on: |_| video(Codec::Vp8),
        run: vp8_ulpfec::run,
    },
    System {
        name: vp8_flexfec::NAME,
        about: "VP8 over RTP with FlexFEC in a stream of its own",
        describe: vp8_flexfec::describe,
        depends_on: |_| video(Codec::Vp8),
        run: vp8_flexfec::run,
    },
];

/// The system of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static System> {
    SYSTEMS.iter().find(|s| s.name == name)
}
