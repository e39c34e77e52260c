//! Reparo: a frame is a grid of tokens in four packets; what does not arrive is generated.
//!
//! ```text
//! capture ─▶ VQ encoder ─▶ tokens ─▶ four packets ─▶ self-drop ─▶ network
//!     ─▶ what is there at the frame's deadline ─▶ recovery fills the rest ─▶ VQ decoder ─▶ show
//! ```
//!
//! One way (but for reports of the rate, if they are asked for), no FEC, no retransmission, no dependency between coded frames, and no frame is skipped: from the first
//! packet on, every slot shows a picture generated from what arrived. docs/REPARO.md has what was
//! reached.

mod budget;
mod control;
mod receiver;
mod sender;
mod worker;

pub use budget::Packing;
pub use receiver::Receiver;
pub use sender::Sender;
pub use worker::{Encode, Encoded, Generate, Generated, Task};

use anyhow::{Context, Result, ensure};
use contract::costs::Charge;
use contract::{Role, RunSpec};
use link::Bitrate;
use models::layers::{Precision, floats};
use models::token_codec::{Memory, files};
use models::tokenizer::Preset;
use models::weights::{Weights, weights_folder};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use sut_core::wire::reparo::{Packet, Variant};
use sut_core::wire::reparo_coding::Model;
use sut_core::wire::reparo_variants::{Setting, Variants};
use systems::catalogue::Description;
use systems::session::{self, Addresses, End, Mode, own_clock};
use worker::{Receiving, Sending};

/// Reparo's options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The networks: `lite`, or `paper`, which has the paper's sizes (its weights are not shipped: docs/REPARO.md).
    #[serde(with = "preset")]
    pub preset: Preset,
    /// What is remembered of earlier frames: `window` (the newest four codes of each place), `corrections` (that, and what stands still is
    /// corrected on and on), or `frame`, the paper's: nothing.
    #[serde(with = "memory")]
    pub memory: Memory,
    /// Size of the codebook, a power of two from 256 to 4096; the weights must have been made for it.
    pub codes: u32,
    /// Tokens per row and column: 32 is the paper's; 16, 24, 48 and 64 are variants for other bitrates (pictures
    /// are scaled to 16 times the grid).
    pub grid: u16,
    /// Further grids, for targets that change by more than half (see `sut_core`'s `reparo_variants`).
    pub grids: Vec<u16>,
    /// Self-drop: thousandths of each packet's tokens that are not sent, at most 500.
    pub drop_permille: u16,
    /// Self-drop to this bitrate instead (packets with their 4-byte headers, without IP and UDP); 0: none.
    pub target_kbps: u32,
    /// Self-drop to bitrates that change during the call: pairs of milliseconds since the first capture (the first 0, growing) and kbps.
    pub targets: Vec<(u64, u32)>,
    /// Self-drop, and another grid if there are several, to what the receiver finds that the path carries; `target_kbps` is then
    /// the most that is sent, and 0 whatever the largest grid needs.
    pub adapt: bool,
    /// With a clock of its own (`playout = "own"`): time from a frame's earliest arrival to its deadline, in milliseconds.
    pub deadline_ms: u64,
    /// Time from the deadline to the frame's slot on the screen, in milliseconds; recovery and decoding fit into it.
    pub render_ms: u64,
    /// What fills missing tokens.
    pub fill: Fill,
    /// Folder of the weights; empty: the one of the source tree, or FREEZEFRAME_WEIGHTS.
    pub weights: PathBuf,
    /// Numbers that the networks compute with: `fp32`, `bf16`, or `auto`, the fastest that the CPU has in hardware.
    #[serde(with = "precision")]
    pub precision: Precision,
    /// How tokens travel: `plain`, or `entropy`, in fewer bits where they are like their neighbours.
    pub coding: Coding,
    /// Time charged in virtual time for encoding a frame instead of what the run's costs say, microseconds; 0: that.
    pub encode_us: u64,
    /// The same for recovery.
    pub recover_us: u64,
    /// The same for decoding.
    pub decode_us: u64,
}

/// A choice by its name.
macro_rules! by_name {
    ($module:ident, $choice:ty) => {
        mod $module {
            use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

            pub fn serialize<S: Serializer>(choice: &$choice, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(choice.name())
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$choice, D::Error> {
                <$choice>::from_name(&String::deserialize(from)?).map_err(D::Error::custom)
            }
        }
    };
}
// `auto` is resolved as it is read.
by_name!(precision, models::layers::Precision);
by_name!(preset, models::tokenizer::Preset);
by_name!(memory, models::token_codec::Memory);

/// What fills missing tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// The recovery network.
    Recovery,
    /// The last token received at the position; to measure what recovery brings.
    Copy,
}

/// How tokens travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// The same number of bits each, as in the paper.
    Plain,
    /// Arithmetic coding, each packet by itself (`sut_core::wire::reparo_coding`).
    Entropy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preset: Preset::Lite,
            memory: Memory::default(),
            codes: 1024,
            grid: 32,
            grids: Vec::new(),
            drop_permille: 0,
            target_kbps: 0,
            targets: Vec::new(),
            adapt: false,
            deadline_ms: 33,
            render_ms: 33,
            fill: Fill::Recovery,
            weights: PathBuf::new(),
            precision: Precision::of_this_cpu(),
            coding: Coding::Plain,
            encode_us: 0,
            recover_us: 0,
            decode_us: 0,
        }
    }
}

impl Options {
    /// What a frame of `spec` is charged in virtual time.
    fn charged(&self, spec: &RunSpec) -> Result<Charge> {
        let work = format!("reparo-{}", self.precision.name());
        let table = spec.costs.of(&work, spec.clip.width * spec.clip.height)?;
        let or = |own: u64, table| if own == 0 { table } else { Duration::from_micros(own) };
        Ok(Charge {
            encode: or(self.encode_us, table.encode),
            recover: or(self.recover_us, table.recover),
            decode: or(self.decode_us, table.decode),
        })
    }

    fn recovery_file(&self) -> PathBuf {
        self.weights_folder().join(format!("reparo-recovery-{}.safetensors", self.preset.name()))
    }

    fn weights_folder(&self) -> PathBuf {
        if self.weights.as_os_str().is_empty() { weights_folder() } else { self.weights.clone() }
    }
}

/// What a frame is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How much of which variant; where tokens are coded and there is a target, [`Packing`] decides how much.
    pub setting: Setting,
    /// The rate that this was chosen for, if it was for one.
    pub target: Option<Bitrate>,
}

/// What both ends of a session know before its first frame.
#[derive(Clone, Debug)]
pub struct Session {
    /// Grids and codebook.
    pub variants: Variants,
    /// What frames have, each from its frame on; the first from 0. Of an adaptive session, what it begins with.
    pub plan: Vec<(u32, Wanted)>,
    /// The receiver tells the sender what the path carries, who sends no more than this.
    pub adapt: Option<Option<Bitrate>>,
    /// What else both ends must agree on: networks, memory, weights.
    pub codec: String,
    /// Of an own clock: first packet's arrival to the deadline of its frame.
    pub deadline: Duration,
    /// Deadline to slot.
    pub render: Duration,
    /// Captures.
    pub schedule: sut_core::Schedule,
}

impl Session {
    /// The session of these options.
    ///
    /// # Errors
    /// Options that contradict each other or ask for what self-drop cannot give.
    pub fn new(options: &Options, schedule: sut_core::Schedule) -> Result<Self> {
        let codes = options.codes;
        ensure!(
            codes.is_power_of_two() && (256..=4096).contains(&codes),
            "option codes must be a power of two from 256 to 4096, not {codes}"
        );
        ensure!(
            (options.preset, options.memory) != (Preset::Paper, Memory::Window),
            "option memory: the paper's decoder sees one code of each place; use frame"
        );
        ensure!(
            (options.coding, options.memory) != (Coding::Entropy, Memory::Corrections),
            "option coding: entropy knows which codes are alike, and corrections are none; use memory window or frame"
        );
        let variant = |option: &'static str, grid: u16| Variant::new(grid, grid, codes, 1).context(option);
        let mut variants = vec![variant("option grid", options.grid)?];
        for &grid in &options.grids {
            variants.push(variant("option grids", grid)?);
        }
        let variants = Variants::new(variants)
            .context("option grids: each grid once, that of option grid not again, at most 255")?;
        ensure!(options.drop_permille <= 500, "option drop_permille: self-drop stops at 500 thousandths");
        ensure!(options.target_kbps <= 1_000_000, "option target_kbps must be at most 1000000");
        own_clock("deadline_ms", options.deadline_ms)?;
        own_clock("render_ms", options.render_ms)?;
        let ways = [options.drop_permille != 0, options.target_kbps != 0, !options.targets.is_empty()];
        ensure!(
            ways.iter().filter(|&&way| way).count() < 2,
            "options drop_permille, target_kbps and targets exclude each other"
        );
        ensure!(
            !options.adapt || (options.drop_permille == 0 && options.targets.is_empty()),
            "option adapt: the receiver's reports decide what is dropped; leave out drop_permille and targets"
        );
        let most = (options.target_kbps != 0).then(|| Bitrate(u64::from(options.target_kbps) * 1000));
        let mut chosen = None;
        let mut at = |option: &str, kbps: u32| -> Result<Wanted> {
            let target = Bitrate(u64::from(kbps) * 1000);
            let (next, fit) = variants.choose(chosen, target, schedule.fps);
            let grid = variants.variant(next.variant).columns();
            ensure!(
                fit.reached,
                "option {option}: half of the tokens of a {grid}x{grid} grid are {} kbps; use a smaller grid",
                fit.bitrate.0.div_ceil(1000)
            );
            chosen = Some(next);
            Ok(Wanted { setting: Setting { variant: next.variant, kept: fit.kept }, target: Some(target) })
        };
        let plan = match (options.target_kbps, &options.targets[..]) {
            (0, []) => {
                let kept = variants.variant(0).kept_at(options.drop_permille);
                vec![(0, Wanted { setting: Setting { variant: 0, kept }, target: None })]
            }
            (kbps, []) => vec![(0, at("target_kbps", kbps)?)],
            (_, targets) => {
                let grows = targets.windows(2).all(|two| two[0].0 < two[1].0);
                ensure!(targets[0].0 == 0 && grows, "option targets: times must begin with 0 and grow");
                let frame =
                    |ms: u64| (ms * u64::from(schedule.fps)).div_ceil(1000).min(u32::MAX.into()) as u32;
                let plan = targets.iter().map(|&(ms, kbps)| Ok((frame(ms), at("targets", kbps)?)));
                plan.collect::<Result<_>>()?
            }
        };
        Ok(Self {
            variants,
            plan,
            adapt: options.adapt.then_some(most),
            codec: format!(
                "{} {}{}",
                options.preset.name(),
                options.memory.name(),
                if options.coding == Coding::Entropy { " entropy" } else { "" }
            ),
            deadline: Duration::from_millis(options.deadline_ms),
            render: Duration::from_millis(options.render_ms),
            schedule,
        })
    }

    /// What the plan says of a frame.
    #[must_use]
    pub fn wanted(&self, frame: u32) -> Wanted {
        let in_force = self.plan.iter().take_while(|(from, _)| *from <= frame).last();
        in_force.expect("a plan begins with frame 0").1
    }

    /// Which tokens of a frame self-drop leaves, row by row.
    #[must_use]
    pub fn sent(&self, frame: u32, setting: Setting) -> Vec<bool> {
        self.variants.variant(setting.variant).sent(frame, setting.kept)
    }

    /// What the sender tells the receiver before the first frame, and what that must be. Which variant a packet is of and how many
    /// tokens it has is not in it: packets say it themselves.
    #[must_use]
    pub fn description(&self) -> Vec<u8> {
        serde_json::json!({ "variants": self.variants.all(), "codec": self.codec }).to_string().into_bytes()
    }
}

/// Options that only a clock of its own consumes.
pub const OWN_CLOCK: &[&str] = &["deadline_ms"];

fn options(table: &toml::Table) -> Result<Options> {
    table.clone().try_into().context("in the options of Reparo (`sut reparo describe` lists them)")
}

/// Completes the options.
pub fn describe(table: &toml::Table) -> Result<Description> {
    let options = options(table)?;
    let schedule = sut_core::Schedule {
        capture_start: link::Timestamp::ZERO,
        frames: 0,
        fps: 30,
        playout: contract::Playout::DEFAULT,
        end: link::Timestamp::ZERO,
    };
    Session::new(&options, schedule)?;
    Ok(Description { setup_ms: 0, options: toml::Table::try_from(options)? })
}

/// The weights that these options load.
pub fn weight_files(table: &toml::Table) -> Result<Vec<PathBuf>> {
    let options = options(table)?;
    let mut files = files(&options.weights_folder(), options.preset, options.memory);
    if options.fill == Fill::Recovery {
        files.push(options.recovery_file());
    }
    Ok(files)
}

/// Runs Reparo.
pub fn run(mode: &Mode, run_dir: &Path, spec: &RunSpec) -> Result<()> {
    let options = options(&spec.options)?;
    let mut session = Session::new(&options, session::schedule(spec))?;
    for file in files(&options.weights_folder(), options.preset, options.memory) {
        session.codec += " ";
        session.codec += &contract::digest::sha256(&file, contract::digest::cache_folder().as_deref())
            .with_context(|| format!("failed to read the weights {}", file.display()))?;
    }
    if options.coding == Coding::Entropy {
        let tokenizer = &files(&options.weights_folder(), options.preset, options.memory)[0];
        let weights = Weights::read(tokenizer)?;
        let codebook = weights.tensors.get("codebook").context("the tokenizer's weights lack a codebook")?;
        let model = Model::new(&floats(codebook), codebook.size()[1] as usize);
        session.variants = session.variants.coded(Arc::new(model));
    }
    let sender = |_: Addresses| {
        let worker = Sending::new(&options, &session, spec)?;
        Ok(End { endpoint: Sender::new(session.clone()), worker })
    };
    let receiver = |_: Addresses| {
        let worker = Receiving::new(&options, &session.variants, spec, run_dir)?;
        Ok(End { endpoint: Receiver::new(session.clone()), worker })
    };
    session::run(mode, run_dir, spec, label, sender, receiver)
}

/// The header is the same in every variant, and longer than a report.
fn label(datagram: &[u8]) -> Option<(Option<u32>, Role)> {
    if datagram.len() == control::Report::BYTES {
        return Some((None, Role::Feedback));
    }
    Packet::frame_on_the_wire(datagram).map(|frame| (Some(frame), Role::Data))
}

#[cfg(test)]
mod tests;
