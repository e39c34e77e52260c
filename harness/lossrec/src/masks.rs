//! Frame masks of the original's logs and of our runs, as files.

use super::npy::{Values, bytes};
use anyhow::Context as _;
use contract::{Event, RunSpec, Stream};
use freezeframe::record::read_events;
use std::path::{Path, PathBuf};
use sut_core::frame_masks::{ReceiverMasks, Reports};

/// A written mask.
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// How many frames are 0, 1, 2.
    pub counts: [usize; 3],
}

/// Writes `<stem>_frame_mask.npy` of a log, as the original's script does.
///
/// # Errors
/// When the log cannot be read or names impossible frames, or the file cannot be written.
pub fn of_log(log: &Path, into: &Path, gop: u32) -> anyhow::Result<Written> {
    let text = std::fs::read(log).with_context(|| format!("failed to read {}", log.display()))?;
    let reports = Reports::of_log(&String::from_utf8_lossy(&text), gop);
    let reports = reports.map_err(|e| freezeframe::BadInput(format!("{}: {e}", log.display())))?;
    let name = log.file_name().unwrap_or_default().to_string_lossy().replace(".log", "_frame_mask.npy");
    save(into, &name, reports.mask(gop))
}

/// Writes the masks of every stream of a run: `<run>_<stream>_frame_mask.npy` by the rules of the original's script, and its
/// receiver's own, `<run>_<stream>_corrupted_mask.npy` and `..._frozen_mask.npy`.
///
/// # Errors
/// When the run is damaged or a file cannot be written.
pub fn of_run(dir: &Path, into: &Path, gop: u32) -> anyhow::Result<Vec<Written>> {
    let spec = RunSpec::read(dir)?;
    let events: Vec<Event> = read_events(&dir.join("events.jsonl"))?.collect::<Result<_, _>>()?;
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.into());
    let run = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (frames, streams) = (spec.clip.frames, spec.clip.streams());
    let mut written = Vec::new();
    for &stream in streams {
        let stem = format!("{run}_{}", stream.name());
        let mask = Reports::of_record(&events, &lost_together(&spec, stream), frames, gop).mask(gop);
        written.push(save(into, &format!("{stem}_frame_mask.npy"), mask)?);
        let ReceiverMasks { corrupted, frozen } = ReceiverMasks::of_record(&events, stream, frames, gop);
        for (name, mask) in [("corrupted", corrupted), ("frozen", frozen)] {
            let path = into.join(format!("{stem}_{name}_mask.npy"));
            freezeframe::output::put(&path, bytes(Values::Bools(&mask)))?;
            let set = mask.iter().filter(|&&b| b).count();
            written.push(Written { path, counts: [mask.len() - set, set, 0] });
        }
    }
    Ok(written)
}

/// The original loses a frame of both streams or of none (`compat`); otherwise each stands alone.
fn lost_together(spec: &RunSpec, stream: Stream) -> Vec<Stream> {
    let compat = spec.options.get("compat").and_then(toml::Value::as_bool) == Some(true);
    if compat { spec.clip.streams().to_vec() } else { vec![stream] }
}

fn save(into: &Path, name: &str, mask: Option<Vec<i64>>) -> anyhow::Result<Written> {
    std::fs::create_dir_all(into).with_context(|| format!("failed to make {}", into.display()))?;
    let path = into.join(name);
    let file = bytes(mask.as_deref().map_or(Values::Nothing, Values::Ints));
    freezeframe::output::put(&path, file)?;
    let mask = mask.unwrap_or_default();
    let counts = [0, 1, 2].map(|value| mask.iter().filter(|&&m| m == value).count());
    Ok(Written { path, counts })
}
