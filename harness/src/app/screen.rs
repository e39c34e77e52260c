//! The screen: what the receiver shows, seen by the harness with its own clock.
//!
//! | kind | what the receiver does | what the harness does |
//! |---|---|---|
//! | `x11` | shows the camera's picture at the top left of the X screen `DISPLAY`, unscaled | runs Xvfb and looks at its frame buffer every 2 ms |
//! | `pipe` | writes each picture into `screen.y4m` of its folder when it shows it | notes when the picture has arrived |

use super::marker::{CameraPicture, Layout, Words};
use super::monotonic_ns;
use anyhow::{Context, Result, bail};
use media::convert::{Colour, to_yuv420_into};
use media::{Rgb, Yuv420, y4m};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Name of the pipe in the receiver's folder.
pub const PIPE: &str = "screen.y4m";
/// How often the frame buffer is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Rows of the picture that are looked at for a change of it, evenly spread; at every look they are the next ones down, so that what is
/// narrower than their distance is seen some looks later.
const PROBES: usize = 8;
/// A picture is taken when two looks at it agree, or after so many.
const TRIES: usize = 4;
/// What stands for less than this before it gives way is not seen by anybody: a display of 60 Hz shows a picture for 16.7 ms, of which two
/// looks at the screen may each miss `LOOK` and more.
pub const FLASH: Duration = Duration::from_millis(10);

/// A picture that stood on the screen, until the next one in a [`Recording`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Since when, on `CLOCK_MONOTONIC`.
    pub t_ns: u64,
    /// Which of the camera's it is, by its marker.
    pub pictured: Option<CameraPicture>,
    /// The newest frame that had been on the screen by then, itself included.
    pub newest: Option<u32>,
    /// It is a frame, and newer than all before it.
    pub advances: bool,
    /// Hash of its samples: two pictures of one marker may differ.
    pub content: u64,
    /// Its place in the store; none: there was no room.
    pub place: Option<u64>,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct Recording {
    /// What stood on the screen since frame 0 was captured, whatever it was, in the order of time. Not in it: fillers before the first frame,
    /// and what gave way within [`FLASH`] to something else than a newer frame.
    pub seen: Vec<Seen>,
    /// Frames that were left out for that.
    pub flashed: u64,
    /// Pictures that carry no word of this run, since frame 0.
    pub unmarked: u64,
    /// Pictures that never held still between two looks.
    pub torn: u64,
    /// When the first picture of the camera was on the screen, whichever it was.
    pub first_ns: Option<u64>,
    /// Why nothing more was seen.
    pub broken: Option<String>,
}

impl Recording {
    /// Adds a picture that appeared at `t_ns`. What gave way too soon goes; a picture that was only away for a moment has never left. True if
    /// it is new: it then is the last one of [`seen`](Self::seen), without a place.
    pub fn add(&mut self, t_ns: u64, pictured: Option<CameraPicture>, content: u64, flash_ns: u64) -> bool {
        while let Some(last) = self.seen.last() {
            // A newer frame may follow at once: frames that were held up come in bursts.
            let gives_way = match (last.pictured, pictured) {
                (Some(CameraPicture::Frame(before)), Some(CameraPicture::Frame(frame))) => {
                    !last.advances || frame <= before
                }
                _ => true,
            };
            if !gives_way || t_ns.saturating_sub(last.t_ns) >= flash_ns {
                break;
            }
            // The same frame once more is one that was being drawn.
            self.flashed += u64::from(last.advances && last.pictured != pictured);
            self.seen.pop();
        }
        let last = self.seen.last();
        if last.is_some_and(|last| (last.pictured, last.content) == (pictured, content)) {
            return false;
        }
        let before = last.and_then(|last| last.newest);
        let frame = match pictured {
            Some(CameraPicture::Frame(frame)) => Some(frame),
            _ => None,
        };
        let (newest, advances) = (before.max(frame), frame.is_some() && frame > before);
        self.seen.push(Seen { t_ns, pictured, newest, advances, content, place: None });
        true
    }

    /// Whether a frame of the clip stands on the screen, or has.
    fn has_begun(&self) -> bool {
        self.seen.last().is_some_and(|last| last.newest.is_some())
    }
}

/// Recognises and stores pictures; shared between the thread that looks and whoever asks.
pub struct Recorder {
    layout: Layout,
    words: Arc<Words>,
    newest: Box<dyn Fn() -> Option<u32> + Send + Sync>,
    store: File,
    /// Pictures that are kept at most.
    most: u64,
    flash_ns: u64,
    /// When the last slot is over; what is shown later is nobody's.
    until_ns: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    recording: Recording,
    /// Places of the store that are taken.
    stored: u64,
}

/// Pictures that are kept besides those of an app whose screen changes four times a frame.
const BESIDES: u64 = 64;

impl Recorder {
    /// Pictures go into a file without a name in `folder`; `newest` says which frame of a clip of `frames`, `fps` a second, the camera has
    /// shown last.
    ///
    /// # Errors
    /// When the store cannot be made.
    pub fn new(
        (layout, words): (Layout, Arc<Words>),
        (frames, fps): (u32, u32),
        folder: &Path,
        newest: Box<dyn Fn() -> Option<u32> + Send + Sync>,
    ) -> Result<Self> {
        let store = tempfile::tempfile_in(folder)
            .with_context(|| format!("failed to create a file in {}", folder.display()))?;
        let interval_ns = 1_000_000_000 / u64::from(fps.max(1));
        let flash_ns = (FLASH.as_nanos() as u64).min(interval_ns / 2);
        let most = 4 * (u64::from(frames) + u64::from(fps)) + BESIDES;
        let (until_ns, state) = (AtomicU64::new(u64::MAX), Mutex::default());
        Ok(Self { layout, words, newest, store, most, flash_ns, until_ns, state })
    }

    /// Nothing counts that comes when `CLOCK_MONOTONIC` reads more than this.
    pub fn until(&self, ns: u64) {
        self.until_ns.store(ns, Ordering::SeqCst);
    }

    /// Whether a picture of the camera has been on the screen.
    #[must_use]
    pub fn sees_the_camera(&self) -> bool {
        self.state.lock().is_ok_and(|s| s.recording.first_ns.is_some())
    }

    fn identify(&self, luma: impl Fn(usize, usize) -> u8) -> Option<CameraPicture> {
        self.words.identify(self.layout.read(luma)?, (self.newest)())
    }

    /// Notes a picture that appeared at `t_ns`; `picture` makes it, without its strip, if it is to be kept.
    fn note(&self, t_ns: u64, pictured: Option<CameraPicture>, torn: bool, picture: impl FnOnce() -> Yuv420) {
        let Ok(mut state) = self.state.lock() else { return };
        let State { recording, stored } = &mut *state;
        if pictured.is_some() {
            recording.first_ns.get_or_insert(t_ns);
        }
        if t_ns > self.until_ns.load(Ordering::SeqCst) {
            return;
        }
        match pictured {
            Some(CameraPicture::Frame(_)) => {}
            // Before the clip the camera films, and what is shown of it is none of the clip.
            Some(CameraPicture::Filler(_)) if !recording.has_begun() => return,
            Some(CameraPicture::Filler(_)) => {}
            None if (self.newest)().is_none() => return,
            None => recording.unmarked += 1,
        }
        let picture = picture();
        let bytes = [&picture.y[..], &picture.u, &picture.v].concat();
        if !recording.add(t_ns, pictured, xxh3_64(&bytes), self.flash_ns) {
            return;
        }
        recording.torn += u64::from(torn && pictured.is_some());
        let Some((last, before)) = recording.seen.split_last_mut() else { return };
        // Places are taken in the order of time: those of pictures that went are free again.
        *stored = before.iter().rev().find_map(|seen| seen.place).map_or(0, |place| place + 1);
        if *stored == self.most {
            let why = format!(
                "it showed more than {} pictures, and not all of them could be kept; a call shows one a frame",
                self.most
            );
            recording.broken.get_or_insert(why);
            return;
        }
        match self.store.write_all_at(&bytes, *stored * bytes.len() as u64) {
            Ok(()) => {
                last.place = Some(*stored);
                *stored += 1;
            }
            Err(why) => {
                let why = format!("a picture of the screen could not be kept: {why}");
                recording.broken.get_or_insert(why);
            }
        }
    }

    fn broke(&self, why: String) {
        if let Ok(mut state) = self.state.lock() {
            state.recording.broken.get_or_insert(why);
        }
    }

    /// Why the screen is not seen any more, if it is not.
    pub fn broken(&self) -> Option<String> {
        self.state.lock().ok().and_then(|state| state.recording.broken.clone())
    }

    /// What has been seen.
    pub fn take(&self) -> Recording {
        self.state.lock().map(|mut s| std::mem::take(&mut s.recording)).unwrap_or_default()
    }

    /// A picture of the store.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn picture(&self, place: u64) -> Result<Yuv420> {
        let (width, height) = (self.layout.width, self.layout.height);
        let mut picture = Yuv420::filled(width, height, (0, 0, 0));
        let mut at = place * (width * height * 3 / 2) as u64;
        for plane in picture.planes_mut() {
            self.store.read_exact_at(plane, at).context("failed to read a picture of the screen")?;
            at += plane.len() as u64;
        }
        Ok(picture)
    }
}

/// A thread that looks at the screen. Dropping it closes its eyes.
pub struct Eye {
    recorder: Arc<Recorder>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Eye {
    /// Looks at Xvfb's frame buffer, the file `path`.
    ///
    /// # Errors
    /// When it is no frame buffer of a screen that is large enough.
    pub fn on_frame_buffer(path: &Path, recorder: Arc<Recorder>) -> Result<Self> {
        let buffer = FrameBuffer::open(path, &recorder.layout)?;
        Ok(Self::open(recorder, move |recorder, over| {
            if let Err(why) = buffer.watch(recorder, over) {
                recorder.broke(format!("the frame buffer could not be read: {why:#}"));
            }
        }))
    }

    /// Takes pictures out of `pipe`.
    #[must_use]
    pub fn on_pipe(pipe: File, recorder: Arc<Recorder>) -> Self {
        Self::open(recorder, move |recorder, over| {
            if let Err(why) = take_pictures(pipe, recorder, over) {
                recorder.broke(format!("{PIPE}: {why:#}"));
            }
        })
    }

    fn open(recorder: Arc<Recorder>, look: impl FnOnce(&Recorder, &AtomicBool) + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (seen, stop) = (recorder.clone(), over.clone());
        let thread = std::thread::spawn(move || look(&seen, &stop));
        Self { recorder, over, thread: Some(thread) }
    }

    /// What it records into.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Looks no more.
    pub fn close(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        self.close();
    }
}

/// Xvfb's screen as a file (`-fbdir`): a window dump, X11/XWDFile.h, whose pixels change as programs draw.
struct FrameBuffer {
    file: File,
    layout: Layout,
    /// Of the first pixel.
    offset: u64,
    /// Bytes of a row.
    stride: usize,
}

impl FrameBuffer {
    fn open(path: &Path, layout: &Layout) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
        let mut header = [0; 100];
        file.read_exact_at(&mut header, 0).context("the frame buffer has no header")?;
        let word = |i: usize| {
            u32::from_be_bytes([header[4 * i], header[4 * i + 1], header[4 * i + 2], header[4 * i + 3]])
        };
        // 11: bits per pixel; 7: order of bytes, 0 the least first; 14 to 16: masks.
        let (bits, order, red) = (word(11), word(7), word(14));
        if bits != 32 || order != 0 || red != 0x00ff_0000 {
            bail!(
                "the frame buffer has {bits} bits per pixel, order {order}, red {red:x}; 32, 0 and ff0000 are understood"
            );
        }
        let (width, height) = (word(4) as usize, word(5) as usize);
        if width < layout.width || height < layout.rows() {
            bail!("the screen has {width}x{height}, the camera's picture {}x{}", layout.width, layout.rows());
        }
        let offset = u64::from(word(0)) + u64::from(word(19)) * 12;
        Ok(Self { file, layout: *layout, offset, stride: word(12) as usize })
    }

    fn rows(&self, first: usize, count: usize, into: &mut Vec<u8>) -> std::io::Result<()> {
        into.resize(count * self.stride, 0);
        self.file.read_exact_at(into, self.offset + (first * self.stride) as u64)
    }

    fn watch(&self, recorder: &Recorder, over: &AtomicBool) -> Result<()> {
        let (mut probe, mut strip) = (Vec::new(), Vec::new());
        // What was noted last, and its picture.
        let (mut noted, mut taken): (Option<Option<CameraPicture>>, Vec<u8>) = (None, Vec::new());
        let (mut copy, mut again) = (Vec::new(), Vec::new());
        let mut looks = 0;
        while !over.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
            let t_ns = monotonic_ns();
            self.rows(self.layout.height, self.layout.strip, &mut strip)?;
            let pictured = self.pictured(recorder, &strip);
            looks += 1;
            if noted == Some(pictured) && self.is_as_taken(looks, &taken, &mut probe)? {
                continue;
            }
            // It is drawn in more than one moment: what two looks see alike is whole.
            let mut torn = true;
            self.rows(0, self.layout.height, &mut copy)?;
            for _ in 0..TRIES {
                std::thread::sleep(LOOK);
                self.rows(0, self.layout.height, &mut again)?;
                self.rows(self.layout.height, self.layout.strip, &mut strip)?;
                if self.pictured(recorder, &strip) != pictured {
                    break;
                }
                torn = copy != again;
                std::mem::swap(&mut copy, &mut again);
                if !torn {
                    break;
                }
            }
            // The strip was half drawn, or is gone before the picture could be taken.
            if torn && pictured.is_none() {
                continue;
            }
            noted = Some(pictured);
            std::mem::swap(&mut taken, &mut copy);
            recorder.note(t_ns, pictured, torn, || self.picture(&taken));
        }
        Ok(())
    }

    /// Whether some rows of the screen, other ones at each look, are those of the picture that was taken.
    fn is_as_taken(&self, look: usize, taken: &[u8], probe: &mut Vec<u8>) -> std::io::Result<bool> {
        let (height, bytes) = (self.layout.height, self.layout.width * 4);
        let apart = (height / PROBES).max(1);
        for i in 0..PROBES {
            let row = (i * height / PROBES + look % apart).min(height - 1);
            self.rows(row, 1, probe)?;
            if taken.get(row * self.stride..row * self.stride + bytes) != Some(&probe[..bytes]) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn pictured(&self, recorder: &Recorder, strip: &[u8]) -> Option<CameraPicture> {
        // The strip is grey: any colour is its brightness. Full range on the screen, limited in the picture.
        recorder.identify(|x, y| strip[y * self.stride + x * 4 + 1])
    }

    fn picture(&self, rows: &[u8]) -> Yuv420 {
        let (width, height) = (self.layout.width, self.layout.height);
        let mut rgb = Rgb { width, height, data: Vec::with_capacity(3 * width * height) };
        for row in rows.chunks(self.stride).take(height) {
            rgb.data.extend(row[..width * 4].chunks_exact(4).flat_map(|p| [p[2], p[1], p[0]]));
        }
        let mut picture = Yuv420::filled(0, 0, (0, 0, 0));
        // As browsers and players take untagged video; the clip's own matrix is put back by name alone.
        to_yuv420_into(&rgb, Colour::BT601, &mut picture);
        picture
    }
}

/// Reads that wait for a writer only as long as the run lasts.
struct Waiting<'a> {
    pipe: File,
    over: &'a AtomicBool,
}

impl Read for Waiting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.pipe.read(buffer) {
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    if self.over.load(Ordering::SeqCst) {
                        return Ok(0);
                    }
                    std::thread::sleep(Duration::from_micros(500));
                }
                other => return other,
            }
        }
    }
}

fn take_pictures(pipe: File, recorder: &Recorder, over: &AtomicBool) -> Result<()> {
    let layout = recorder.layout;
    let mut reader = match y4m::Reader::new(BufReader::with_capacity(1 << 16, Waiting { pipe, over })) {
        Err(_) if over.load(Ordering::SeqCst) => return Ok(()),
        other => other?,
    };
    let header = reader.header();
    if (header.width, header.height, header.format) != (layout.width, layout.rows(), media::Format::YUV420) {
        bail!(
            "the receiver shows {}x{} {}; the camera's picture has {}x{} with its strip, 8-bit 4:2:0",
            header.width,
            header.height,
            header.format,
            layout.width,
            layout.rows()
        );
    }
    let mut noted = None;
    loop {
        let picture = match reader.next_frame() {
            Ok(Some(picture)) => picture,
            Ok(None) => return Ok(()),
            Err(_) if over.load(Ordering::SeqCst) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let t_ns = monotonic_ns();
        let pictured = recorder.identify(|x, y| picture.y[(layout.height + y) * layout.width + x]);
        let content = picture.planes().map(xxh3_64);
        if noted.replace((pictured, content)) != Some((pictured, content)) {
            recorder.note(t_ns, pictured, false, || layout.crop(&picture));
        }
    }
}

/// Makes the pipe in the receiver's folder.
///
/// # Errors
/// When it cannot be made.
pub fn make_pipe(folder: &Path) -> Result<File> {
    use nix::fcntl::OFlag;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let path = folder.join(PIPE);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).context("failed to make the screen's pipe")?;
    // The receiver's process is another user's; nobody else gets into the folder.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o622))?;
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    Ok(File::options().read(true).write(true).custom_flags(flags).open(&path)?)
}

/// Writes pictures of the store, one per slot, black where there is none.
///
/// # Errors
/// When they cannot be read or written.
pub fn write_slots(
    recorder: &Recorder,
    slots: impl Iterator<Item = Option<u64>>,
    fps: u32,
    path: &Path,
) -> Result<()> {
    let layout = recorder.layout;
    let out = std::io::BufWriter::new(File::create(path).context("failed to create what was shown")?);
    // What the screen had is the camera's samples again, of limited range, which the header says; of the clip's matrix, which it does not.
    let header = y4m::Header::new(layout.width, layout.height, (fps, 1));
    let mut writer = y4m::Writer::new(out, header)?;
    let black = Yuv420::filled(layout.width, layout.height, (16, 128, 128));
    for place in slots {
        match place {
            Some(place) => writer.write(&recorder.picture(place)?)?,
            None => writer.write(&black)?,
        }
    }
    writer.finish()?.flush().context("failed to write what was shown")?;
    Ok(())
}
