//! `freezeframe run`: one scenario, one system, one run directory, scored and reported.

use super::metric_args::{MetricArgs, parse_fov};
use crate::bad_input;
use crate::launch::clip::ClipRequest;
use crate::launch::{self, Request, clip};
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use contract::{Backend, RunKey, RunSpec, Shaping, exit};
use std::path::PathBuf;

/// Run one system under one scenario, score it, and write a report
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  freezeframe run ge-high --system revo-h264
  freezeframe run ge-medium-packet --system revo-h265 --clip talk.mp4 --depth talk_depth.mkv --seed 7
  freezeframe run wifi-lossy --system revo-h264 --transport datachannel --backend namespaces --out runs/wifi
  freezeframe run my-scenario.toml --system ./my-system.toml --json")]
pub struct Args {
    /// Scenario: a name (`freezeframe list`) or a TOML file
    pub scenario: String,
    /// System under test: a name (`freezeframe list`) or a manifest file
    #[arg(long, short, value_name = "NAME|FILE")]
    pub system: String,
    /// The clip that is sent
    #[command(flatten)]
    pub clip: ClipArgs,
    /// Virtual time, or real processes in network namespaces
    #[arg(long, value_enum, default_value = "virtual")]
    pub backend: BackendArg,
    /// Who shapes between namespaces; the kernel does only what it can do exactly
    #[arg(long, value_enum, default_value = "auto")]
    pub shaper: ShaperArg,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Option of the system, as KEY=VALUE; may be given several times
    #[arg(long = "option", short = 'o', value_name = "KEY=VALUE")]
    pub options: Vec<String>,
    /// What work costs in virtual time: nothing, or what a table says (`freezeframe costs` makes one)
    #[arg(long, value_name = "ideal|NAME|FILE", default_value = "ideal")]
    pub costs: String,
    /// Short for --option transport=...
    #[arg(long, value_name = "datagram|datachannel")]
    pub transport: Option<String>,
    /// Run directory; default: runs/SCENARIO/SYSTEM/CLIP/seed-N-HASH, a hash of everything that makes it this run
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Which metrics the run is scored with
    #[command(flatten)]
    pub metrics: MetricArgs,
    /// Do not score the run (`freezeframe score` does it later)
    #[arg(long)]
    pub no_score: bool,
    /// Do not keep encoded streams between runs
    #[arg(long)]
    pub no_cache: bool,
    /// Write what was on the screen as rendered.STREAM.mp4, for any player
    #[arg(long, conflicts_with = "no_video")]
    pub video: bool,
    /// As is usual: no video
    #[arg(long, hide = true)]
    pub no_video: bool,
    /// Print the scores as JSON
    #[arg(long)]
    pub json: bool,
}

/// Which clip, and how much of it.
#[derive(ClapArgs, Clone, Debug)]
pub struct ClipArgs {
    /// Colour video: any file FFmpeg reads, or person-0 ... of the embedded clips
    #[arg(long, value_name = "FILE|person-N")]
    pub clip: Option<String>,
    /// Depth of the clip: grey video of more than 8 bits, folder of such pictures, or an 8-bit view without colour
    #[arg(long, value_name = "FILE|DIR")]
    pub depth: Option<PathBuf>,
    /// Unit of the depth file: mm, m, or how many codes make a metre, 5000/m (TUM RGB-D), 256/m (KITTI); default: millimetres,
    /// floating-point numbers metres
    #[arg(long, default_value = "usual", value_name = "UNIT")]
    pub depth_unit: video::DepthUnit,
    /// Send colour alone
    #[arg(long)]
    pub no_depth: bool,
    /// Use only the first N frames
    #[arg(long, value_name = "N")]
    pub frames: Option<u32>,
    /// Size of captured frames; other clips are cropped and scaled
    #[arg(long, value_name = "WxH", default_value = "512x512", value_parser = parse_size)]
    pub size: (u32, u32),
    /// Frames per second of the capture
    #[arg(long, default_value_t = 30)]
    pub fps: u32,
    /// Horizontal field of view of the depth pictures as they are sent, degrees (depth_d1, depth_d2); default: the clip's
    /// own, else 70
    #[arg(long, value_name = "DEGREES", value_parser = parse_fov)]
    pub fov: Option<f64>,
}

impl ClipArgs {
    /// As a request.
    #[must_use]
    pub fn request(&self) -> ClipRequest {
        ClipRequest {
            rgb: self.clip.clone(),
            depth: self.depth.clone(),
            depth_unit: self.depth_unit,
            no_depth: self.no_depth,
            shape: (self.size.0, self.size.1, self.fps),
            frames: self.frames,
            fov: self.fov,
        }
    }

    /// As they are typed.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["--size".to_owned(), format!("{}x{}", self.size.0, self.size.1)];
        let mut add = |name: &str, value: Option<String>| {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        };
        add("--fps", Some(self.fps.to_string()));
        add("--clip", self.clip.clone());
        add("--depth", self.depth.as_ref().map(|path| path.to_string_lossy().into_owned()));
        add("--depth-unit", self.depth.as_ref().map(|_| self.depth_unit.to_string()));
        add("--frames", self.frames.map(|n| n.to_string()));
        add("--fov", self.fov.map(|fov| fov.to_string()));
        words.extend(self.no_depth.then(|| "--no-depth".to_owned()));
        words
    }
}

pub(crate) fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    parts.ok_or_else(|| format!("{text:?} is no size; write it as 512x512"))
}

/// Which clock a run is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    /// One process, virtual time: deterministic, and far faster than real time
    Virtual,
    /// Real processes in network namespaces, wall clock
    Namespaces,
}

impl From<BackendArg> for Backend {
    fn from(arg: BackendArg) -> Self {
        match arg {
            BackendArg::Virtual => Backend::Virtual,
            BackendArg::Namespaces => Backend::Namespaces,
        }
    }
}

/// `--shaper`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShaperArg {
    /// Probes what the kernel can do, and prints what it chose and why: the emulator, as every run has a fate ledger
    Auto,
    /// The emulator process
    User,
    /// The kernel's qdiscs; the ledger is put together from both sides of them
    Kernel,
}

impl From<ShaperArg> for Shaping {
    fn from(arg: ShaperArg) -> Self {
        match arg {
            ShaperArg::Auto => Shaping::Auto,
            ShaperArg::User => Shaping::User,
            ShaperArg::Kernel => Shaping::Kernel,
        }
    }
}

impl Args {
    /// As a request.
    ///
    /// # Errors
    /// When no system is named.
    pub fn request(&self) -> Result<Request> {
        if self.system.is_empty() {
            bad_input!("--system is empty; `freezeframe list` names the systems");
        }
        let mut options = self.options.clone();
        options.extend(self.transport.iter().map(|t| format!("transport={t}")));
        Ok(Request {
            scenario: self.scenario.clone(),
            system: self.system.clone(),
            clip: self.clip.request(),
            backend: self.backend.into(),
            shaper: self.shaper.into(),
            seed: self.seed,
            options,
            costs: self.costs.clone(),
            cache: !self.no_cache,
        })
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    launch::child::catch_interrupts();
    let scoring = args.metrics.options()?;
    let request = args.request()?;
    // Systems that have a name are mostly this project's own.
    if request.backend == Backend::Virtual && !request.system.contains(['/', '.']) {
        launch::worker::warm_up();
    }
    let clip = clip::resolve(&request.clip, &mut |line| eprintln!("clip: {line}"))?;
    let (spec, manifest) = request.resolve(clip)?;
    for warning in spec.scenario.warnings(spec.clip.fps) {
        eprintln!("scenario {}: {warning}", spec.scenario.name);
    }
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(relative_dir(&spec)));
    let _held = launch::hold(&out)?;
    launch::launch(&spec, &manifest, &out)?;
    if !args.no_score {
        let run = crate::outcome::score_and_report_new(&out, &manifest, &scoring, args.video)?;
        crate::outcome::print(&[run], args.json, None)?;
    }
    if !args.json {
        eprintln!("run directory: {}", out.display());
    }
    if args.no_score { Ok(exit::OK) } else { crate::outcome::exit_code(&out) }
}

/// Where a run lies below `runs/` or a sweep's folder: words for people, and the hash of the run's key, so that no two different runs
/// ever share a directory. `SCENARIO/SYSTEM[-OPTIONS]/CLIP/seed-N[-BACKEND]-HASH`.
#[must_use]
pub fn relative_dir(spec: &RunSpec) -> PathBuf {
    let key = RunKey::of(spec);
    let clock = match (spec.backend, spec.shaper) {
        (Backend::Virtual, _) => "",
        (Backend::Namespaces, Shaping::Kernel) => "-kernel",
        (Backend::Namespaces, Shaping::Auto | Shaping::User) => "-namespaces",
    };
    let mut system = key.system.to_string();
    for name in &spec.given {
        let value = key.option(name).unwrap_or_default();
        system += &if name == "transport" { format!("-{value}") } else { format!("-{name}={value}") };
    }
    let safe = |c: char| if c.is_ascii_alphanumeric() || "=._+-".contains(c) { c } else { '_' };
    let system: String = system.chars().map(safe).take(LONGEST_COMPONENT).collect();
    let run = format!("seed-{}{clock}-{}", key.seed, key.short_hash());
    [key.scenario.as_str(), &system, &key.clip, &run].iter().collect()
}

/// Characters of a folder's name; file systems take 255 bytes.
const LONGEST_COMPONENT: usize = 120;
