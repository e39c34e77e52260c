//! Clips: any file FFmpeg reads, and the embedded people.

use super::child::{Interrupted, interrupted};
use crate::{BadInput, bad_input};
use anyhow::{Context, Result};
use contract::lock::Lock;
use contract::name::{self, Name};
use contract::{ClipSpec, RunSpec, digest, unchanged};
use media::depth::DepthView;
use media::scene::SceneConfig;
use std::path::{Path, PathBuf};
use video::{DepthSource, DepthUnit, Reader, Target, images};

/// What the user says about the clip.
#[derive(Clone, Debug, Default)]
pub struct ClipRequest {
    /// A file, or `person-N`; absent: `person-0`.
    pub rgb: Option<String>,
    /// Depth for a file.
    pub depth: Option<PathBuf>,
    /// How far a code of the depth file reaches.
    pub depth_unit: DepthUnit,
    /// No depth stream, also for clips that have depth.
    pub no_depth: bool,
    /// Columns, rows, frames per second.
    pub shape: (u32, u32, u32),
    /// Only so many frames; absent: the whole clip.
    pub frames: Option<u32>,
    /// Horizontal field of view of the depth camera, degrees; absent: the embedded clips' own, else not known.
    pub fov: Option<f64>,
}

/// Name of the clip that is used when none is named.
pub const DEFAULT: &str = "person-0";

/// Resolves `request`: renders an embedded clip if need be, counts and hashes files, and says in one line what will
/// be done to a file's pictures. `tell` gets such lines.
pub fn resolve(request: &ClipRequest, tell: &mut dyn FnMut(&str)) -> Result<ClipSpec> {
    let (width, height, fps) = request.shape;
    let name = request.rgb.as_deref().unwrap_or(DEFAULT);
    if !width.is_multiple_of(2) || !height.is_multiple_of(2) || width < 16 || height < 16 {
        bad_input!("size {width}x{height}: both sides must be even and at least 16");
    }
    if fps == 0 || fps > 240 {
        bad_input!("{fps} frames per second: choose 1 to 240");
    }
    if request.frames == Some(0) {
        bad_input!("--frames 0: a run has at least one frame");
    }
    if let Some(person) = embedded_number(name) {
        if request.depth.is_some() {
            bad_input!("clip {name} brings its own depth; leave --depth out");
        }
        return embedded(request, person, tell);
    }

    if name.starts_with("person-") && !Path::new(name).exists() {
        bad_input!("clip {name:?}: there is no such file; an embedded person has a number, as in person-0");
    }
    let target = Target::new((width as usize, height as usize), (fps, 1));
    let rgb = absolute(Path::new(name))?;
    let mut reader = Reader::open(&rgb, &target)?;
    tell(&contract::text::line(reader.description()));
    let mut frames = 0;
    while request.frames.is_none_or(|limit| frames < limit) && reader.skip_frame()? {
        frames += 1;
        if interrupted() {
            return Err(Interrupted.into());
        }
    }
    let hash = hash_of(&rgb)?;
    let depth = match &request.depth {
        Some(path) if !request.no_depth => Some(absolute(path)?),
        _ => None,
    };
    let (mut depth_range_mm, mut depth_hash) = (None, None);
    if let Some(path) = &depth {
        let (count, range) = measure_depth(path, &target, request, tell)?;
        depth_range_mm = range;
        if count < frames {
            tell(&format!(
                "{} has {count} pictures, the colour clip {frames}: using {count}",
                path.display()
            ));
            frames = count;
        }
        depth_hash = Some(format!("{:032x}", hash_of(path)?));
    }
    if frames == 0 {
        bad_input!("{name} has no frame; choose a clip with pictures");
    }
    if let Some(wanted) = request.frames
        && wanted > frames
    {
        bad_input!("{name} has {frames} frames at {fps} per second, {wanted} were asked for; lower --frames");
    }
    let stem = rgb.file_stem().map_or_else(|| name.to_owned(), |s| s.to_string_lossy().into_owned());
    let name = Name::near(&stem, &"clip".parse()?);
    Ok(ClipSpec {
        label: (name != *stem).then(|| name::label(&stem)),
        name,
        rgb,
        depth,
        depth_range_mm,
        depth_per_metre: depth_range_mm.and(request.depth_unit.codes_per_metre()),
        depth_fov_degrees: depth_range_mm.and(request.fov),
        width,
        height,
        fps,
        frames,
        hash: with_shape(hash, request.shape),
        depth_hash,
    })
}

/// The number in `person-N`, the name of an embedded clip.
#[must_use]
pub fn embedded_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("person-")?;
    number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())?
}

/// Fails if a file of the run's clip is not the one that was sent.
///
/// # Errors
/// [`BadInput`], naming the file and what to do.
pub fn check_unchanged(spec: &RunSpec) -> Result<()> {
    // Earlier versions hashed both streams as one.
    if spec.identity.tool.version.is_empty() {
        return Ok(());
    }
    let clip = &spec.clip;
    let (rgb, depth) = hashes_now(clip)?;
    let differs = match (&clip.depth, depth) {
        _ if rgb != clip.hash => Some((&clip.rgb, rgb, clip.hash.clone())),
        (Some(path), found) if clip.depth_hash != found => {
            Some((path, found.unwrap_or_default(), clip.depth_hash.clone().unwrap_or_default()))
        }
        _ => None,
    };
    let Some((path, found, sent)) = differs else { return Ok(()) };
    bad_input!(
        "{} has changed since the run: its hash is {}, that of what was sent {}. Put the file back, run again, or score against it as \
         it is with --allow-changed-clip",
        path.display(),
        &found[..12],
        sent.get(..12).unwrap_or(&sent)
    );
}

/// Has a run's clip stand for the files as they are now; whether that is another clip than was sent.
///
/// # Errors
/// When a file cannot be read.
pub fn take_as_it_is(clip: &mut ClipSpec) -> Result<bool> {
    let (rgb, depth) = hashes_now(clip)?;
    let another = clip.hash != rgb || clip.depth_hash != depth;
    (clip.hash, clip.depth_hash) = (rgb, depth);
    Ok(another)
}

/// [`ClipSpec::hash`] and [`ClipSpec::depth_hash`] of the files as they are now.
fn hashes_now(clip: &ClipSpec) -> Result<(String, Option<String>)> {
    let rgb = with_shape(hash_of(&clip.rgb)?, (clip.width, clip.height, clip.fps));
    let depth = clip.depth.as_ref().map(|path| hash_of(path)).transpose()?;
    Ok((rgb, depth.map(|hash| format!("{hash:032x}"))))
}

fn embedded(request: &ClipRequest, person: u32, tell: &mut dyn FnMut(&str)) -> Result<ClipSpec> {
    let (width, height, fps) = request.shape;
    let frames = request.frames.unwrap_or(10 * fps);
    let (columns, rows) = (width as usize, height as usize);
    let config = SceneConfig { person, width: columns, height: rows, fps, frames, ..SceneConfig::default() };
    let directory = cache_dir()?.join("clips");
    // Rendering takes minutes: of several processes one renders, the others wait for it.
    let lock = directory.join(format!("person-{person}-{width}x{height}-{fps}fps-{frames}.lock"));
    let held = Lock::take(&lock, &interrupted)
        .with_context(|| format!("failed to lock the cache with {}", lock.display()))?;
    if held.is_none() {
        return Err(Interrupted.into());
    }
    let bar = crate::progress::bar(
        u64::from(frames),
        &format!("rendering the embedded clip person-{person} (once)"),
    );
    let render = || video::scene::cached(&directory, config, |done, _| bar.set_position(u64::from(done)));
    let mut paths = render()?;
    if !is_whole(&paths)? {
        tell(&format!("{} is damaged: rendering the clip again", paths.rgb.display()));
        for path in [&paths.rgb, &paths.depth16, &paths.view] {
            std::fs::remove_file(path).with_context(|| format!("failed to remove {}", path.display()))?;
        }
        paths = render()?;
        is_whole(&paths)?;
    }
    bar.finish_and_clear();
    let view = media::scene::depth_view();
    let hash = hash_of(&paths.rgb)?;
    let depth_hash = if request.no_depth { None } else { Some(format!("{:032x}", hash_of(&paths.depth16)?)) };
    Ok(ClipSpec {
        name: format!("person-{person}").parse()?,
        label: None,
        rgb: paths.rgb,
        depth: (!request.no_depth).then_some(paths.depth16),
        depth_range_mm: (!request.no_depth).then_some((view.near_mm(), view.far_mm())),
        depth_per_metre: None,
        depth_fov_degrees: (!request.no_depth)
            .then(|| request.fov.unwrap_or_else(|| media::scene::field_of_view(columns, rows))),
        width,
        height,
        fps,
        frames,
        hash: with_shape(hash, request.shape),
        depth_hash,
    })
}

/// Whether a rendered clip's files are as they were when they were made: their hashes are noted beside them the first time.
fn is_whole(paths: &video::scene::ClipPaths) -> Result<bool> {
    let now = format!("{:032x} {:032x}\n", hash_of(&paths.rgb)?, hash_of(&paths.depth16)?);
    let sums = paths.rgb.with_extension("sums");
    match std::fs::read_to_string(&sums) {
        Ok(noted) if noted == now => Ok(true),
        Ok(_) => {
            std::fs::remove_file(&sums).with_context(|| format!("failed to remove {}", sums.display()))?;
            Ok(false)
        }
        Err(_) => {
            std::fs::write(&sums, now).with_context(|| format!("failed to write {}", sums.display()))?;
            Ok(true)
        }
    }
}

/// Counts depth pictures, and fits the view's range to the first one if they are metric.
fn measure_depth(
    path: &Path,
    target: &Target,
    request: &ClipRequest,
    tell: &mut dyn FnMut(&str),
) -> Result<(u32, Option<(u16, u16)>)> {
    let source = DepthSource::open(path, target, request.depth_unit)?;
    tell(&contract::text::line(source.description()));
    let more = |n: u32| {
        if interrupted() {
            Err(anyhow::Error::from(Interrupted))
        } else {
            Ok(request.frames.is_none_or(|l| n < l))
        }
    };
    let mut count = 0;
    match source {
        DepthSource::View(mut reader) => {
            while more(count)? && reader.skip_frame()? {
                count += 1;
            }
            Ok((count, None))
        }
        DepthSource::Metric(mut reader) => {
            let mut view = None;
            while more(count)?
                && let Some(depth) = reader.next_frame()?
            {
                view = view.or_else(|| DepthView::fit(&depth));
                count += 1;
            }
            let view =
                view.ok_or_else(|| BadInput(format!("{} has no measured depth at all", path.display())))?;
            Ok((count, Some((view.near_mm(), view.far_mm()))))
        }
    }
}

/// [`contract::digest::cache_folder`], which a run needs.
pub fn cache_dir() -> Result<PathBuf> {
    digest::cache_folder().context("no place for the cache; set FREEZEFRAME_CACHE to a folder")
}

fn absolute(path: &Path) -> Result<PathBuf> {
    // A pipe has a name only while somebody writes to it.
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) || path.as_os_str() == "-" {
        return Err(video::Error::Pipe { path: path.into() }.into());
    }
    let found = path.canonicalize().with_context(|| format!("failed to find {}", path.display()));
    Ok(found.map_err(|e| BadInput(contract::said(&*e)))?)
}

/// XXH3 (128 bit) of the content of a file, or of every picture of a folder.
///
/// # Errors
/// When one cannot be read.
pub fn hash_of(path: &Path) -> Result<u128> {
    Ok(unchanged::hash_of(&images::files(path)?)?)
}

fn with_shape(hash: u128, shape: (u32, u32, u32)) -> String {
    format!("{hash:032x}-{}x{}@{}", shape.0, shape.1, shape.2)
}
