//! A folder for one test, and programs that are started in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A temporary folder. Programs started in it keep their cache there, too.
#[derive(Debug)]
pub struct Place(tempfile::TempDir);

/// A type of a test's own around a [`Place`], for what only that test does there: `testing::place!(Place);`.
#[macro_export]
macro_rules! place {
    ($name:ident) => {
        struct $name($crate::Place);

        impl std::ops::Deref for $name {
            type Target = $crate::Place;

            fn deref(&self) -> &$crate::Place {
                &self.0
            }
        }
    };
}

/// What a program said, and how it ended (-1 by a signal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Runs `command` to its end.
    ///
    /// # Panics
    /// When it cannot be started, or panics itself: no message of a panic is one for a user.
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        assert!(!said.err.contains("panicked"), "{command:?}: {}", said.err);
        said
    }

    /// Exit code 0, or the test fails with what was said.
    ///
    /// # Panics
    /// When it is another.
    #[must_use]
    pub fn well(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// An empty folder.
    ///
    /// # Panics
    /// When the machine has no room for one.
    #[must_use]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Of a file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file, and the folders that it is in.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all).expect("a folder");
        std::fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// A program that will work in the folder.
    pub fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.root()).env("FREEZEFRAME_CACHE", self.path("cache"));
        command
    }

    /// What a program says in the folder.
    pub fn said(&self, program: &str, words: &[&str]) -> Said {
        Said::of(&mut self.command(program, words))
    }

    /// Makes files with FFmpeg's program, of words between blanks; gives what it said.
    pub fn ffmpeg(&self, words: &str) -> String {
        let mut command = self.command("ffmpeg", &["-hide_banner", "-nostdin", "-y"]);
        command.args(words.split_whitespace());
        Said::of(&mut command).well().err
    }
}

/// `None`, and skipped, without FFmpeg's program.
#[must_use]
pub fn ffmpeg() -> Option<()> {
    crate::have("ffmpeg", Command::new("ffmpeg").arg("-version").output()).map(drop)
}

/// Makes the file `out` with FFmpeg's program; `None`, and skipped, without it.
///
/// # Panics
/// When FFmpeg fails.
#[must_use]
pub fn ffmpeg_file(arguments: &[&str], out: &Path) -> Option<()> {
    ffmpeg()?;
    let _ = Said::of(Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(out)).well();
    Some(())
}

/// A film of one of FFmpeg's own sources (`testsrc2`, `gradients`): 512x512, 30 frames/s, H.264. `None`, and skipped, without FFmpeg's program.
#[must_use]
pub fn film(source: &str, frames: u32, out: &Path) -> Option<()> {
    let (source, frames) = (format!("{source}=size=512x512:rate=30"), frames.to_string());
    ffmpeg_file(
        &[
            "-f",
            "lavfi",
            "-i",
            &source,
            "-frames:v",
            &frames,
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
        ],
        out,
    )
}

/// What FFmpeg's program makes of raw 4:2:0 pictures of `size` at 30 frames/s with these arguments, on its standard output. `None` without the
/// program, or without what the arguments name: the caller skips, and says what is missing.
#[must_use]
pub fn ffmpeg_encodes(raw: Vec<u8>, size: (usize, usize), arguments: &[&str]) -> Option<Vec<u8>> {
    let size = format!("{}x{}", size.0, size.1);
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-r", "30", "-i", "-"])
        .args(arguments)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut input = child.stdin.take()?;
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, &raw));
    let out = child.wait_with_output().ok()?;
    // An encoder that is not there closes the pipe early.
    let _ = writer.join().ok()?;
    out.status.success().then_some(out.stdout)
}

/// A moving picture as Y4M, 30 a second; `kind` is another motion.
#[must_use]
pub fn moving_y4m((width, height): (u32, u32), frames: u32, kind: u32) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n").into_bytes();
    for frame in 0..frames {
        bytes.extend(b"FRAME\n");
        bytes.extend((0..width * height).map(|i| (i % width * 2 + i / width * kind + frame * 3) as u8));
        bytes.extend(vec![128; (2 * width.div_ceil(2) * height.div_ceil(2)) as usize]);
    }
    bytes
}

/// Processes of the machine whose command line has `mark` in it.
///
/// # Panics
/// When `/proc` is not there.
#[must_use]
pub fn processes(mark: &str) -> Vec<i32> {
    let number = |e: std::io::Result<std::fs::DirEntry>| e.ok()?.file_name().to_str()?.parse().ok();
    let has = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(mark)
    };
    std::fs::read_dir("/proc").expect("/proc").filter_map(number).filter(has).collect()
}
