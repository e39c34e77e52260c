//! The embedded clip as files in a cache: rendered once, then read like any other clip.

use crate::{DepthWriter, Error, Quality, Writer};
use media::convert::{self, Colour, Range};
use media::scene::{self, Clip, SceneConfig};
use std::path::{Path, PathBuf};

/// The files of a rendered clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipPaths {
    /// FFV HuffYUV yuv420p, BT.601 limited range.
    pub rgb: PathBuf,
    /// FFV HuffYUV 16-bit grey, millimetres.
    pub depth16: PathBuf,
    /// FFV HuffYUV yuv420p: the 8-bit view of depth by `media::scene::depth_view`, limited range, grey.
    pub view: PathBuf,
}

/// What goes wrong with the embedded clip.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] scene::SceneError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] Error),
}

/// Gives the clip's files, rendering them into `dir` (made if missing) if they are not there. `progress` is
/// told frames done and frames in all; it is not called where nothing has to be rendered.
///
/// The names carry the configuration and the renderer's version: a changed renderer never meets old files.
/// Files appear under their names only when all three are whole.
///
/// # Errors
/// [`SceneError::Config`]; [`SceneError::File`] for a folder that is not writable or a full disk.
pub fn cached(
    dir: &Path,
    config: SceneConfig,
    mut progress: impl FnMut(u32, u32),
) -> Result<ClipPaths, SceneError> {
    let SceneConfig { person, seed, width, height, fps, frames } = config;
    let base = format!("scene{}h-p{person}-s{seed}-{width}x{height}-{fps}fps-{frames}", scene::VERSION);
    let path = |kind: &str| dir.join(format!("{base}-{kind}.mkv"));
    let paths = ClipPaths { rgb: path("rgb"), depth16: path("depth16"), view: path("depth8_vis") };
    if [&paths.rgb, &paths.depth16, &paths.view].iter().all(|p| p.exists()) {
        return Ok(paths);
    }
    let clip = Clip::new(config)?;
    std::fs::create_dir_all(dir).map_err(|source| Error::Io { doing: "create", path: dir.into(), source })?;
    remove_orphans(dir, &base);
    let (size, rate) = ((width, height), (fps, 1));
    let mut rgb = Writer::create(&paths.rgb, size, rate, Colour::BT601, Quality::Ffvhuff)?;
    let mut depth16 = DepthWriter::create(&paths.depth16, size, rate, Quality::Ffvhuff)?;
    let mut view = Writer::create(&paths.view, size, rate, Colour::BT601, Quality::Ffvhuff)?;
    let depth_view = scene::depth_view();
    for frame in 0..frames {
        progress(frame, frames);
        let (picture, depth) = clip.render(frame);
        rgb.write(&convert::to_yuv420(&picture, Colour::BT601))?;
        depth16.write(&depth)?;
        view.write(&depth_view.to_yuv420(&depth, Range::Limited))?;
    }
    rgb.finish()?;
    depth16.finish()?;
    view.finish()?;
    progress(frames, frames);
    Ok(paths)
}

/// Removes parts of this clip whose writer is no more (killed midway).
fn remove_orphans(dir: &Path, base: &str) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((stem, rest)) = name.split_once(".part-") else { continue };
        let pid = rest.split('.').next().and_then(|p| p.parse::<u32>().ok());
        let alive = |pid: u32| Path::new("/proc").join(pid.to_string()).exists();
        if stem.starts_with(base) && Path::new("/proc/self").exists() && pid.is_some_and(|p| !alive(p)) {
            // Another process may have removed it first.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
