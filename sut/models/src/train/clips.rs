//! Training pictures in memory, decoded once by the `ffmpeg` program and kept as raw RGB.

use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Every `stride`-th frame of every `.mp4` in `folder`, scaled to `size`, in the order of the names.
///
/// # Errors
/// When the folder cannot be read or the `ffmpeg` program fails.
pub fn load_videos(folder: &Path, cache: &Path, size: usize, stride: usize) -> anyhow::Result<Vec<Clip>> {
    load(folder, "mp4", cache, size, stride)
}

/// Every `.jpg` in `folder`, scaled to `size`, in the order of the names.
///
/// # Errors
/// As [`load_videos`].
pub fn load_images(folder: &Path, cache: &Path, size: usize) -> anyhow::Result<Vec<Clip>> {
    load(folder, "jpg", cache, size, 1)
}

fn load(folder: &Path, ending: &str, cache: &Path, size: usize, stride: usize) -> anyhow::Result<Vec<Clip>> {
    std::fs::create_dir_all(cache).with_context(|| format!("failed to make {}", cache.display()))?;
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    let mut files = entries.map(|e| Ok(e?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    files.retain(|f| f.extension().is_some_and(|e| e == ending));
    files.sort();
    files.iter().map(|file| load_one(file, cache, size, stride)).collect()
}

fn load_one(file: &Path, cache: &Path, size: usize, stride: usize) -> anyhow::Result<Clip> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let raw = cache.join(format!("{name}.{size}.{stride}.rgb"));
    if !raw.exists() {
        let part = raw.with_extension("part");

        let filter = format!("select=not(mod(n\\,{stride})),scale={size}:{size}:flags=lanczos");
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-threads", "1", "-i"])
            .arg(file)
            .args(["-vf", &filter, "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24"])
            .arg(&part)
            .status()
            .context("failed to start the ffmpeg program")?;
        ensure!(status.success(), "ffmpeg could not decode {}", file.display());
        std::fs::rename(&part, &raw)?;
    }
    let data = std::fs::read(&raw).with_context(|| format!("failed to read {}", raw.display()))?;
    let clip = Clip { name, size, data };
    ensure!(
        !clip.data.is_empty() && clip.data.len().is_multiple_of(clip.frame_bytes()),
        "{}: not whole frames",
        raw.display()
    );
    Ok(clip)
}
