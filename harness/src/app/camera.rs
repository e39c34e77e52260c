//! The camera: a Y4M stream in a pipe of the sender's folder, into which each picture is written when its time has come, and not
//! before. The clip is conditioned once, marked, and kept where no process of the system sees it.
//!
//! From the first moment the camera films: before frame 0 it shows frame 0 panned to and fro (something moves, so that encoders and rate
//! controllers find their pace; nothing of the clip that follows is given away), after the last frame the last one stays.

use super::marker::{CameraPicture, FILLERS, Layout, Words};
use super::{monotonic_ns, sleep_until};
use crate::score::pictures::Captured;
use anyhow::{Context, Result};
use contract::{ClipSpec, Stream};
use media::Yuv420;
use media::convert::{Range, change_range};
use media::y4m::{Header, Writer};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Name of the pipe in the sender's folder.
pub const PIPE: &str = "camera.y4m";
/// A pan goes so many pixels either way, in so many pictures.
const PAN: (f64, f64) = (8.0, 60.0);
/// What a writer waits for a reader before it looks whether the run is over, milliseconds.
const LOOK_MS: u8 = 50;

/// A camera that films. Dropping it switches it off.
pub struct Camera {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// When frame 0 is captured; 0: not known yet.
    start_ns: AtomicU64,
    /// One more than the newest frame that has been shown.
    shown: AtomicU64,
    off: AtomicBool,
    captured: Mutex<Vec<u64>>,
}

/// The marked clip, and what is shown when it is not running.
struct Film {
    clip: ClipSpec,
    layout: Layout,
    words: Arc<Words>,
    /// Planes of every frame, one after the other.
    file: File,
    first: Yuv420,
    last: Yuv420,
}

impl Camera {
    /// Conditions and marks the clip, makes the pipe in `folder` and begins to film. The marked clip is a file without a name in `store`.
    ///
    /// # Errors
    /// When the clip cannot be read, or the pipe or the store not be made.
    pub fn start(
        clip: &ClipSpec,
        layout: Layout,
        words: Arc<Words>,
        folder: &Path,
        store: &Path,
    ) -> Result<Self> {
        let film = Film::develop(clip, layout, words, store)?;
        let path = folder.join(PIPE);
        nix::unistd::mkfifo(&path, Mode::S_IRUSR).context("failed to make the camera's pipe")?;
        // The sender's process is another user's; nobody else gets into the folder.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
        // For both ends, so that it is there before anybody reads, and not to wait for who does not.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
        let pipe = File::options().read(true).write(true).custom_flags(flags.bits()).open(&path)?;
        // Room for a picture and more: the sender must not be able to hold the camera up by being a little late.
        let wanted = i32::try_from((film.bytes() * 2).next_power_of_two()).unwrap_or(1 << 20);
        for size in [wanted, 1 << 20] {
            if fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(size)).is_ok() {
                break;
            }
        }
        let shared = Arc::new(Shared {
            start_ns: AtomicU64::new(0),
            shown: AtomicU64::new(0),
            off: AtomicBool::new(false),
            captured: Mutex::new(Vec::with_capacity(clip.frames as usize)),
        });
        let filming = shared.clone();
        let thread = std::thread::spawn(move || {
            // A pipe that breaks is a sender that ended: its exit status says more.
            let _ = film.show(&filming, &pipe);
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Frame 0 is captured when `CLOCK_MONOTONIC` reads this.
    pub fn frame_0_at(&self, ns: u64) {
        self.shared.start_ns.store(ns, Ordering::SeqCst);
    }

    /// Says the newest frame that it has shown, whenever it is asked.
    #[must_use]
    pub fn newest_shown(&self) -> Box<dyn Fn() -> Option<u32> + Send + Sync> {
        let shared = self.shared.clone();
        Box::new(move || u32::try_from(shared.shown.load(Ordering::SeqCst)).ok()?.checked_sub(1))
    }

    /// Switches it off; gives when each frame was captured, on `CLOCK_MONOTONIC`.
    pub fn stop(&mut self) -> Vec<u64> {
        self.shared.off.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.captured.lock().map(|c| c.clone()).unwrap_or_default()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Film {
    fn develop(clip: &ClipSpec, layout: Layout, words: Arc<Words>, store: &Path) -> Result<Self> {
        let mut captured = Captured::open(clip, Stream::Rgb)?;
        let range = captured.meaning().colour.range;
        let file = tempfile::tempfile_in(store)
            .with_context(|| format!("failed to create a file in {}", store.display()))?;
        let mut out = BufWriter::new(&file);
        let (mut first, mut last) = (None, None);
        for frame in 0..clip.frames {
            let mut picture = captured.frame(frame)?.picture;
            // Cameras give limited range, and a screen does not show the rest.
            change_range(&mut picture, range, Range::Limited);
            let marked = layout.draw(&picture, words.of(CameraPicture::Frame(frame)));
            for plane in marked.planes() {
                out.write_all(plane).context("failed to store the marked clip")?;
            }
            first.get_or_insert_with(|| picture.clone());
            last = Some(picture);
        }
        out.flush().context("failed to store the marked clip")?;
        drop(out);
        let (first, last) = first.zip(last).context("a clip has a frame")?;
        Ok(Self { clip: clip.clone(), layout, words, file, first, last })
    }

    fn bytes(&self) -> usize {
        self.layout.width * self.layout.rows() * 3 / 2
    }

    fn interval(&self, pictures: u64) -> u64 {
        pictures * 1_000_000_000 / u64::from(self.clip.fps)
    }

    fn show(&self, shared: &Shared, pipe: &File) -> Result<()> {
        let off = || shared.off.load(Ordering::SeqCst);
        let mut header = Vec::new();
        let size = Header::new(self.layout.width, self.layout.rows(), (self.clip.fps, 1));
        Writer::new(&mut header, size)?;
        push(pipe, &header, &off)?;
        let mut picture = b"FRAME\n".to_vec();
        let (mut due, mut count) = (monotonic_ns(), 0u64);
        let frames = u64::from(self.clip.frames);
        // Until it is known when frame 0 comes, and then so that the last filler is one interval before it.
        while !off() {
            let start = shared.start_ns.load(Ordering::SeqCst);
            let left = if start == 0 {
                count += 1;
                due += self.interval(1);
                None
            } else {
                let now = monotonic_ns().max(due + self.interval(1) / 2);
                let left = start.saturating_sub(now) / self.interval(1);
                due = start.saturating_sub(self.interval(left));
                if start <= now || left == 0 {
                    break;
                }
                Some(left)
            };
            sleep_until(due);
            let step = left.map_or(count, |left| (FILLERS as u64 * 1000).saturating_sub(left));
            let phase = left.map_or_else(|| count as f64, |left| -(left as f64));
            let panned = pan(&self.first, PAN.0 * (std::f64::consts::TAU * phase / PAN.1).sin());
            self.put(&mut picture, &panned, step);
            push(pipe, &picture, &off)?;
        }
        for frame in 0..frames {
            let start = shared.start_ns.load(Ordering::SeqCst);
            picture.resize(6 + self.bytes(), 0);
            self.file.read_exact_at(&mut picture[6..], frame * self.bytes() as u64)?;
            sleep_until(start + self.interval(frame));
            if off() {
                return Ok(());
            }
            if let Ok(mut captured) = shared.captured.lock() {
                captured.push(monotonic_ns());
            }
            shared.shown.store(frame + 1, Ordering::SeqCst);
            push(pipe, &picture, &off)?;
        }
        let mut step = 0;
        while !off() {
            let due = shared.start_ns.load(Ordering::SeqCst) + self.interval(frames + step);
            sleep_until(due);
            self.put(&mut picture, &self.last, step);
            push(pipe, &picture, &off)?;
            step += 1;
        }
        Ok(())
    }

    fn put(&self, into: &mut Vec<u8>, picture: &Yuv420, step: u64) {
        let filler = usize::try_from(step % FILLERS as u64).unwrap_or(0);
        let marked = self.layout.draw(picture, self.words.of(CameraPicture::Filler(filler)));
        into.truncate(6);
        for plane in marked.planes() {
            into.extend_from_slice(plane);
        }
    }
}

/// The picture moved sideways by an even number of pixels, what leaves on one side coming in on the other.
fn pan(picture: &Yuv420, by: f64) -> Yuv420 {
    #[allow(clippy::cast_possible_truncation)] // a few pixels
    let by = (by / 2.0).round() as isize;
    Yuv420::from_planes((picture.width, picture.height), |index, (width, _)| {
        let width = width.max(1);
        let by = if index == 0 { 2 * by } else { by };
        let by = by.rem_euclid(width as isize).unsigned_abs();
        picture.planes()[index].chunks(width).flat_map(|row| [&row[by..], &row[..by]].concat()).collect()
    })
}

/// Writes all of `bytes`, however long a reader takes, unless `off`.
fn push(mut pipe: &File, mut bytes: &[u8], off: &dyn Fn() -> bool) -> Result<()> {
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if off() {
                    return Ok(());
                }
                poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)], PollTimeout::from(LOOK_MS))?;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pan_moves_whole_chroma_samples_and_loses_nothing() {
        let mut picture = Yuv420::filled(8, 2, (0, 0, 0));
        picture.y = (0..16).collect();
        picture.u = (0..4).collect();
        let moved = pan(&picture, 3.0);
        assert_eq!(moved.y[..8], [4, 5, 6, 7, 0, 1, 2, 3], "2 chroma samples of 2 pixels");
        assert_eq!(moved.u, [2, 3, 0, 1]);
        assert_eq!(pan(&moved, -3.0), picture);
        assert_eq!(pan(&picture, 0.4), picture);
    }
}
