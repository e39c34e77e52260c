//! A system of `kind = "app"`: the harness owns its camera and its screen, and takes nothing of what was shown on the system's word.
//!
//! | module | what |
//! |---|---|
//! | [`marker`] | which picture a picture is |
//! | [`camera`] | pictures at their times, no earlier, into a pipe |
//! | [`screen`] | pictures off an X screen or out of a pipe, with the harness's clock |
//! | [`slots`] | what was on the screen at each slot |
//! | [`server`] | a third party beside the path: pages, signalling |
//! | [`matching`] | the marker's cross-check: what the pictures themselves look like |
//!
//! The sender sees no clip, only pictures as they are captured; the receiver sees neither; the marker's secret leaves this process only
//! inside those pictures.

pub mod camera;
pub mod marker;
pub mod matching;
pub mod screen;
pub mod server;
pub mod slots;

use crate::launch::child::Running;
use crate::launch::sandbox::Surroundings;
use crate::record::Finding;
use crate::{BadInput, bad_input};
use anyhow::{Context, Result};
use camera::Camera;
use contract::manifest::Screen;
use contract::scores::AppHealth;
use contract::{Manifest, RunSpec};
use marker::{Layout, Words};
use netns::{End, Lab};
use screen::{Eye, Recorder};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Number of the X screen; the receiver's network has no other.
const DISPLAY: &str = ":99";
/// Least size of the X screen: browsers' windows are not narrower.
const SCREEN: (usize, usize) = (640, 480);
/// How long Xvfb may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long after the clip the screen is looked at, if the app keeps a clock of its own.
pub const TAIL: Duration = Duration::from_secs(3);

/// Camera and screen of a run.
pub struct App {
    layout: Layout,
    camera: Camera,
    eye: Eye,
    /// The X server and the folder of its frame buffer; dropped last.
    xvfb: Option<(Running, tempfile::TempDir)>,
    server: Option<server::Server>,
    folders: [PathBuf; 2],
    screen: Screen,
    /// From frame 0's capture to the last moment at which the last frame can be shown.
    length_ns: u64,
    started_ns: Option<u64>,
    ready_ns: Option<u64>,
}

impl App {
    /// Makes both, before the system's processes start. `folders` are the sender's and the receiver's.
    ///
    /// # Errors
    /// When the clip cannot be shown to an app, or Xvfb is not there.
    pub fn start(
        spec: &RunSpec,
        manifest: &Manifest,
        run_dir: &Path,
        folders: [&Path; 2],
        lab: &Lab,
    ) -> Result<Self> {
        let (width, height) = (spec.clip.width as usize, spec.clip.height as usize);
        let Some(layout) = Layout::new(width, height) else {
            bad_input!(
                "size {width}x{height}: a system of kind \"app\" needs pictures of at least 64 columns"
            )
        };
        let secret = marker::secret().context("failed to draw the marker's secret")?;
        let words = Arc::new(Words::new(secret, spec.clip.frames));
        let camera = Camera::start(&spec.clip, layout, words.clone(), folders[0], run_dir)?;
        let (clip, newest) = ((spec.clip.frames, spec.clip.fps), camera.newest_shown());
        let recorder = Arc::new(Recorder::new((layout, words), clip, run_dir, newest)?);
        let tail = spec.scenario.playout.at_most().min(TAIL).as_nanos() as u64;
        let length_ns = u64::from(spec.clip.frames) * spec.interval_ns() + tail;
        let (xvfb, eye) = match manifest.screen {
            Screen::X11 => {
                let (running, folder) = start_xvfb(&layout, lab)?;
                let eye = Eye::on_frame_buffer(&frame_buffer(folder.path()), recorder)?;
                (Some((running, folder)), eye)
            }
            Screen::Pipe => (None, Eye::on_pipe(screen::make_pipe(folders[1])?, recorder)),
        };
        let server = match manifest.serve.is_empty() {
            true => None,
            false => Some(server::Server::start(manifest, run_dir, lab)?),
        };
        Ok(Self {
            layout,
            camera,
            eye,
            xvfb,
            server,
            folders: folders.map(Path::to_owned),
            screen: manifest.screen,
            length_ns,
            started_ns: None,
            ready_ns: None,
        })
    }

    /// The first of the system's processes has just started.
    pub fn begins(&mut self) {
        self.started_ns.get_or_insert_with(monotonic_ns);
    }

    /// What the process at `end` is told in its environment.
    #[must_use]
    pub fn environment(&self, end: End) -> Vec<(&'static str, String)> {
        let place = |folder: &Path, name: &str| folder.join(name).to_string_lossy().into_owned();
        let size = ("FREEZEFRAME_PICTURE", format!("{}x{}", self.layout.width, self.layout.rows()));
        let server = self.server.as_ref().map(|s| ("FREEZEFRAME_SERVER", s.address()));
        let mut told = match end {
            End::Sender => vec![size, ("FREEZEFRAME_CAMERA", place(&self.folders[0], camera::PIPE))],
            End::Receiver if self.screen == Screen::X11 => vec![size, ("DISPLAY", DISPLAY.to_owned())],
            End::Receiver => vec![size, ("FREEZEFRAME_SCREEN", place(&self.folders[1], screen::PIPE))],
            End::Server => Vec::new(),
        };
        told.extend(server);
        told
    }

    /// Looks after the helpers.
    ///
    /// # Errors
    /// When the X server or the app's own has ended.
    pub fn look(&mut self) -> Result<()> {
        if let Some((running, _)) = &mut self.xvfb
            && let Some(status) = running.poll()?
        {
            running.check(status)?;
            anyhow::bail!("Xvfb ended before the run did");
        }
        if let Some(server) = &mut self.server {
            server.check()?;
        }
        Ok(())
    }

    /// Whether the camera's pictures have come to the screen: then the call is set up, whatever the system says.
    pub fn is_set_up(&mut self) -> bool {
        let ready = self.eye.recorder().sees_the_camera();
        if ready {
            self.ready_ns.get_or_insert_with(monotonic_ns);
        }
        ready
    }

    /// Why the screen is not seen any more, if it is not.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        self.eye.recorder().broken()
    }

    /// The call is set up; frame 0 is captured when `CLOCK_MONOTONIC` reads `at_ns`.
    pub fn frame_0_at(&self, at_ns: u64) {
        self.camera.frame_0_at(at_ns);
        self.eye.recorder().until(at_ns + self.length_ns);
        if let Some(server) = &self.server {
            server.count_from_now();
        }
    }

    /// Ends both and writes what was captured and shown into `run_dir`, as a system of the other kind would have.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub fn finish(
        mut self,
        spec: &RunSpec,
        manifest: &Manifest,
        epoch_ns: u64,
        run_dir: &Path,
    ) -> Result<(Vec<Finding>, AppHealth)> {
        let captured = self.camera.stop();
        self.eye.close();
        let recorder = self.eye.recorder();
        let recording = recorder.take();
        let judged = slots::judge(spec, &recording, epoch_ns);
        slots::write(spec, &captured, &judged, epoch_ns, run_dir)?;
        let pictures = judged.slots.iter().map(slots::Slot::place);
        screen::write_slots(recorder, pictures, spec.clip.fps, &run_dir.join("rendered.rgb.y4m"))?;
        let matched = matching::check(spec, recorder, &recording)?;
        let since = |t: u64| Some(t.saturating_sub(self.started_ns?) / 1_000_000);
        let other = judged.other(&recording, epoch_ns);
        let health = AppHealth {
            first_picture_ms: recording.first_ns.and_then(since),
            set_up_ms: self.ready_ns.and_then(since),
            pictures: judged.first_seen.iter().flatten().count() as u64,
            unmarked: recording.unmarked,
            unmarked_ms: other.unmarked_ms,
            older_ms: other.older_ms,
            flashed: recording.flashed,
            torn: recording.torn,
            compared: matched.compared,
            nearest: matched.nearest,
            contradicted: matched.contradicted,
            unmarked_alike: matched.unmarked_alike,
            marker_blocks: marker::BITS as u64,
            marker_flips: marker::FLIPS as u64,
            marker_rows: self.layout.strip as u64,
        };
        let mut findings = matched.findings(spec.clip.frames, recording.unmarked);
        findings.extend(other.findings(recording.flashed, spec.clip.frames));
        let limit = manifest.limits.signal_kb << 10;
        let bytes = self.server.as_ref().map_or(0, server::Server::bytes);
        findings.extend((bytes > limit).then_some(Finding::ServerTraffic { bytes, limit }));
        findings.extend(recording.broken.map(|reason| Finding::ScreenBroken { reason }));
        Ok((findings, health))
    }
}

fn frame_buffer(folder: &Path) -> PathBuf {
    folder.join("Xvfb_screen0")
}

/// Starts Xvfb apart from the machine and in the receiver's network: X programs there find it by its abstract socket, and nobody else
/// does.
fn start_xvfb(layout: &Layout, lab: &Lab) -> Result<(Running, tempfile::TempDir)> {
    let folder = tempfile::tempdir().context("failed to make a folder for the frame buffer")?;
    let surroundings = Surroundings::of_a_tool(folder.path())?;
    let size = format!("{}x{}x24", layout.width.max(SCREEN.0), layout.rows().max(SCREEN.1));
    let mut command = Command::new("Xvfb");
    command.args([DISPLAY, "-screen", "0", &size, "-fbdir"]).arg(folder.path());
    command.args(["-nolisten", "tcp", "-ac", "-noreset", "-dpi", "96", "-s", "0"]);
    let network = lab.network(End::Receiver)?;
    let started = Running::start("X server", command, &surroundings, Some(&network), None);
    let mut running = started.map_err(|e| {
        let missing = e.chain().any(|e| {
            e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
        });
        if missing {
            let text =
                "screen = \"x11\" needs the program Xvfb; `freezeframe setup webrtc` says how to get it";
            return BadInput(text.to_owned()).into();
        }
        e
    })?;
    let start = Instant::now();
    let path = frame_buffer(folder.path());
    // The header comes last.
    let is_there = || {
        std::fs::File::open(&path).is_ok_and(|f| {
            use std::os::unix::fs::FileExt;
            let mut word = [0; 4];
            f.read_exact_at(&mut word, 44).is_ok() && word != [0; 4]
        })
    };
    while !is_there() {
        if let Some(status) = running.poll()? {
            running.check(status)?;
        }
        anyhow::ensure!(start.elapsed() < PATIENCE, "Xvfb has no screen after {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((running, folder))
}

/// What `CLOCK_MONOTONIC` reads.
fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    Duration::from(now).as_nanos() as u64
}

fn sleep_until(at_ns: u64) {
    loop {
        let now = monotonic_ns();
        if now >= at_ns {
            return;
        }
        std::thread::sleep(Duration::from_nanos(at_ns - now));
    }
}
