//! Training pictures in memory, decoded once by the `ffmpeg` program and kept as raw RGB.

use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Clips of the training folder that no training sees: the validation curves are measured on them.
pub const HELD_OUT: [&str; 2] = ["t08_lp_s29", "t20_vr_face3"];

/// A clip of raw RGB frames; a still image is a clip of one frame.
#[derive(Debug)]
pub struct Clip {
    /// File name without folder and ending.
    pub name: String,
    /// Columns and rows (square pictures).
    pub size: usize,
    /// `3 * size * size` bytes per frame.
    pub data: Vec<u8>,
}

impl Clip {
    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.data.len() / self.frame_bytes()
    }

    /// One frame: R, G, B of each pixel, row by row.
    #[must_use]
    pub fn frame(&self, index: usize) -> &[u8] {
        &self.data[index * self.frame_bytes()..][..self.frame_bytes()]
    }

    fn frame_bytes(&self) -> usize {
        3 * self.size * self.size
    }
}

/// Every `stride`-th frame of every `.mp4` in `folder`, scaled to `size`, in the order of the names; decoded
/// frames are kept in `cache`.
///
/// # Errors
/// When the folder cannot be read or the `ffmpeg` program fails.
pub fn load_videos(folder: &Path, cache: &Path, size: usize, stride: usize) -> anyhow::Result<Vec<Clip>> {
    list(folder, "mp4")?.iter().map(|file| load_cached(file, cache, size, stride)).collect()
}

/// Every `.jpg` in `folder`, scaled to `size`, in the order of the names.
///
/// # Errors
/// As [`load_videos`].
pub fn load_images(folder: &Path, cache: &Path, size: usize) -> anyhow::Result<Vec<Clip>> {
    list(folder, "jpg")?.iter().map(|file| load_cached(file, cache, size, 1)).collect()
}

/// The files of `folder` with an ending, in the order of their names.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    let mut files = entries.map(|e| Ok(e?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    files.retain(|f| f.extension().is_some_and(|e| e == ending));
    files.sort();
    Ok(files)
}

/// Decodes every `stride`-th frame of one file, scaled to `size`.
///
/// # Errors
/// When the `ffmpeg` program fails.
pub fn decode(file: &Path, size: usize, stride: usize) -> anyhow::Result<Clip> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let filter = format!("select=not(mod(n\\,{stride})),scale={size}:{size}:flags=lanczos");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-threads", "1", "-i"])
        .arg(file)
        .args(["-vf", &filter, "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("failed to start the ffmpeg program")?;
    ensure!(output.status.success(), "ffmpeg could not decode {}", file.display());
    whole(Clip { name, size, data: output.stdout }, file)
}

/// The `size` bytes of a file, made and written by the first who asks.
///
/// # Errors
/// When they cannot be made or written.
pub fn kept(
    file: &Path,
    size: usize,
    make: impl FnOnce() -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Vec<u8>> {
    if let Ok(data) = std::fs::read(file)
        && data.len() == size
    {
        return Ok(data);
    }
    let data = make()?;
    let part = file.with_extension("part");
    std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))
        .and_then(|()| std::fs::write(&part, &data))
        .and_then(|()| std::fs::rename(&part, file))
        .with_context(|| format!("failed to write {}", file.display()))?;
    Ok(data)
}

fn load_cached(file: &Path, cache: &Path, size: usize, stride: usize) -> anyhow::Result<Clip> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let raw = cache.join(format!("{name}.{size}.{stride}.rgb"));
    if raw.exists() {
        let data = std::fs::read(&raw).with_context(|| format!("failed to read {}", raw.display()))?;
        return whole(Clip { name, size, data }, &raw);
    }
    let clip = decode(file, size, stride)?;
    let part = raw.with_extension("part");
    std::fs::create_dir_all(cache)
        .and_then(|()| std::fs::write(&part, &clip.data))
        .and_then(|()| std::fs::rename(&part, &raw))
        .with_context(|| format!("failed to write {}", raw.display()))?;
    Ok(clip)
}

fn whole(clip: Clip, from: &Path) -> anyhow::Result<Clip> {
    let whole = !clip.data.is_empty() && clip.data.len().is_multiple_of(clip.frame_bytes());
    ensure!(whole, "{}: not whole frames", from.display());
    Ok(clip)
}
