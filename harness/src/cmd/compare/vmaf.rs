//! VMAF, measured by a program of its own: Netflix's `vmaf`, or an FFmpeg that has libvmaf. Nothing of it is linked or shipped here (BSD with a
//! patent clause; its models are its own): the program gets both clips through pipes, as Y4M in their own format, and writes its log.

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde_json::Value;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The model unless another is asked for: the one that libvmaf takes by default, for 1080p at three picture heights.
pub const MODEL: &str = "vmaf_v0.6.1";

/// Where a program is looked for, for messages.
pub const HOW_TO_GET: &str = "VMAF is measured by a program of its own: `pip install imageio-ffmpeg` brings an FFmpeg that has it, \
                              or name one in FREEZEFRAME_VMAF (an ffmpeg with libvmaf, or Netflix's vmaf)";

/// A program that measures VMAF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    kind: Kind,
    /// As it names itself.
    pub version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ffmpeg,
    Vmaf,
}

/// What a program says of two clips.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Per frame.
    pub frames: Vec<f64>,
    /// The program's own.
    pub mean: f64,
    /// The program's own.
    pub harmonic_mean: f64,
    /// By its name.
    pub model: String,
    /// Of libvmaf, from its log.
    pub library: String,
    /// Path and version of the program.
    pub program: String,
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.version, self.path.display())
    }
}

impl Program {
    /// FREEZEFRAME_VMAF; else `vmaf` or an `ffmpeg` with libvmaf on the path; else the FFmpeg of the Python package imageio-ffmpeg.
    ///
    /// # Errors
    /// Says what was looked for and how to get one.
    pub fn find() -> Result<Self, String> {
        if let Some(path) = std::env::var_os("FREEZEFRAME_VMAF").filter(|p| !p.is_empty()) {
            let path = PathBuf::from(path);
            return Self::ask(&path).ok_or_else(|| {
                format!("FREEZEFRAME_VMAF={} measures no VMAF: it must be an ffmpeg with libvmaf, or Netflix's vmaf", path.display())
            });
        }
        let named = ["vmaf", "ffmpeg"].iter().find_map(|name| Self::ask(Path::new(name)));
        let of_python = || {
            let script = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
            let said = Command::new("python3").args(["-c", script]).stdin(Stdio::null()).output().ok()?;
            let path = String::from_utf8(said.stdout).ok()?;
            Self::ask(Path::new(path.trim())).filter(|_| said.status.success())
        };
        named.or_else(of_python).ok_or_else(|| HOW_TO_GET.to_owned())
    }

    /// The program at `path`, if it is there and has what is needed.
    fn ask(path: &Path) -> Option<Self> {
        let said = |words: &[&str]| {
            let output = Command::new(path).args(words).stdin(Stdio::null()).output().ok()?;
            Some([output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat())
        };
        let version = said(&["-version"])?;
        if let Some(rest) = version.lines().find_map(|l| l.strip_prefix("ffmpeg version ")) {
            let help = said(&["-hide_banner", "-h", "filter=libvmaf"])?;
            let version = format!("ffmpeg {}", rest.split_whitespace().next().unwrap_or("?"));
            return help.contains("Filter libvmaf").then(|| Program {
                path: path.into(),
                kind: Kind::Ffmpeg,
                version,
            });
        }
        let version = said(&["--version"])?;
        let usage = said(&["--help"])?;
        let word = version.split_whitespace().next().unwrap_or("?");
        (usage.contains("--reference") && usage.contains("--distorted")).then(|| Program {
            path: path.into(),
            kind: Kind::Vmaf,
            version: format!("vmaf {word}"),
        })
    }

    /// Measures. `reference` and `shown` write the clips as Y4M; they run on threads of their own, for the program reads both in turn. `model` is the name of one that
    /// the program has, or a file.
    ///
    /// # Errors
    /// What the writers or the program say.
    pub fn measure(
        &self,
        model: &str,
        threads: usize,
        reference: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
        shown: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
    ) -> Result<Measured> {
        let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
        let log = folder.path().join("log.json");
        let (read_reference, write_reference) = pipe()?;
        let (read_shown, write_shown) = pipe()?;
        let file = Path::new(model);
        let by = if file.is_file() {
            // Under a name that needs no quoting in a filter's arguments.
            std::fs::copy(file, folder.path().join("model.json")).context("failed to copy the model")?;
            "path=model.json".to_owned()
        } else {
            format!("version={model}")
        };
        let mut command = Command::new(
            std::path::absolute(&self.path).ok().filter(|p| p.is_file()).unwrap_or_else(|| self.path.clone()),
        );
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        match self.kind {
            Kind::Ffmpeg => {
                command.args(["-nostdin", "-hide_banner", "-loglevel", "error"]);
                for pipe in [&read_shown, &read_reference] {
                    command.args(["-f", "yuv4mpegpipe", "-i", &format!("pipe:{}", pipe.as_raw_fd())]);
                }
                let filter = format!(
                    "[0:v][1:v]libvmaf=model={by}:log_fmt=json:log_path=log.json:n_threads={threads}"
                );
                command.args(["-lavfi", &filter, "-f", "null", "-"]);
            }
            Kind::Vmaf => {
                for (word, pipe) in [("--reference", &read_reference), ("--distorted", &read_shown)] {
                    command.args([word, &format!("/dev/fd/{}", pipe.as_raw_fd())]);
                }
                command.args(["--json", "--output", "log.json", "--quiet", "--model", &by]);
                command.args(["--threads", &threads.to_string()]);
            }
        }
        for pipe in [&read_reference, &read_shown] {
            // The program inherits these two; a descriptor is closed on exec otherwise.
            fcntl(pipe, FcntlArg::F_SETFD(FdFlag::empty())).context("failed to pass on a pipe")?;
        }
        let child = command.spawn().with_context(|| format!("failed to start {}", self.path.display()))?;
        // Only the program holds these ends now, so that a writer hears of its end.
        drop((read_reference, read_shown));
        let output = std::thread::scope(|scope| -> Result<_> {
            let a = scope.spawn(move || send(write_reference, reference));
            let b = scope.spawn(move || send(write_shown, shown));
            let output = child.wait_with_output().context("failed to wait for the program")?;
            for writer in [a, b] {
                match writer.join().expect("a writer panicked") {
                    // The program ended early: its own words say why.
                    Err(e) if is_broken_pipe(&e) => {}
                    other => other?,
                }
            }
            Ok(output)
        })?;
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        let text = match std::fs::read_to_string(&log) {
            Ok(text) if output.status.success() => text,
            _ => bail!(
                "{} failed ({}){}{said}",
                self.version,
                output.status,
                if said.is_empty() { "" } else { ": " }
            ),
        };
        let log: Value =
            serde_json::from_str(&text).with_context(|| format!("{} wrote no JSON log", self.version))?;
        self.read(&log, model)
    }

    fn read(&self, log: &Value, model: &str) -> Result<Measured> {
        // `vmaf` under whatever name a model gives it.
        let pooled = log["pooled_metrics"].as_object().context("the program's log has no pooled metrics")?;
        let name =
            pooled.keys().find(|name| name.starts_with("vmaf")).context("the program's log has no VMAF")?;
        let number = |v: &Value| v.as_f64().context("the program's log has no number where VMAF should be");
        let frames = log["frames"].as_array().context("the program's log has no frames")?;
        Ok(Measured {
            frames: frames.iter().map(|f| number(&f["metrics"][name])).collect::<Result<_>>()?,
            mean: number(&pooled[name]["mean"])?,
            harmonic_mean: number(&pooled[name]["harmonic_mean"])?,
            model: model.to_owned(),
            library: format!("libvmaf {}", log["version"].as_str().unwrap_or("?")),
            program: self.to_string(),
        })
    }
}

/// Writes a clip into a pipe, and closes it.
fn send(pipe: OwnedFd, clip: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::from(pipe));
    clip(&mut out)?;
    Ok(out.flush()?)
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = std::io::pipe().context("failed to make a pipe")?;
    Ok((read.into(), write.into()))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |e: &(dyn std::error::Error + 'static)| {
        e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
    };
    error.chain().any(io)
}
