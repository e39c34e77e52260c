//! `rendered.<stream>.mp4`: what was on the screen, slot by slot, for any player.

use crate::record::read_events;
use crate::score::pictures::{Shown, black, colour_of};
use anyhow::{Context, Result};
use contract::units::file_name;
use contract::{EventKind, RunSpec, Stream};
use std::collections::BTreeMap;
use std::path::Path;
use video::{Quality, Writer};

/// Writes a playable file per stream that has stored units; systems that store pictures have one already.
pub fn write(run_dir: &Path) -> Result<()> {
    let spec = RunSpec::read(run_dir)?;
    for &stream in spec.clip.streams() {
        if run_dir.join(file_name(stream)).is_file() {
            write_stream(run_dir, &spec, stream)
                .with_context(|| format!("failed to write the playable video of {}", run_dir.display()))?;
        }
    }
    Ok(())
}

/// Writes those that are missing.
pub fn write_missing(run_dir: &Path) -> Result<()> {
    let spec = RunSpec::read(run_dir)?;
    let missing = |stream: &Stream| {
        run_dir.join(file_name(*stream)).is_file() && !run_dir.join(video_name(*stream)).is_file()
    };
    if spec.clip.streams().iter().any(missing) { write(run_dir) } else { Ok(()) }
}

fn video_name(stream: Stream) -> String {
    format!("rendered.{}.mp4", stream.name())
}

fn write_stream(run_dir: &Path, spec: &RunSpec, stream: Stream) -> Result<()> {
    let slots = shown_frames(run_dir, stream)?;
    let path = run_dir.join(video_name(stream));
    let colour = colour_of(&spec.clip, stream)?;
    let Some(mut shown) = Shown::open(run_dir, &spec.clip, stream, colour)? else { return Ok(()) };
    let size = (spec.clip.width as usize, spec.clip.height as usize);
    let mut writer = Writer::create(&path, size, (spec.clip.fps, 1), colour, Quality::Crf(18))?;
    let mut screen = black(size, colour.range);
    let mut on_it = None;
    for (slot, frame) in slots {
        // The very pictures that are scored.
        if let Some(wanted) = frame.filter(|_| frame != on_it)
            && let Some(picture) = shown.picture(slot, wanted)?
        {
            (screen, on_it) = (picture, frame);
        }
        writer.write(&screen)?;
    }
    writer.finish()?;
    Ok(())
}

/// Captured frame on the screen in each slot.
fn shown_frames(run_dir: &Path, stream: Stream) -> Result<BTreeMap<u32, Option<u32>>> {
    let mut slots = BTreeMap::new();
    for event in read_events(&run_dir.join("events.jsonl"))? {
        let event = event?;
        if let EventKind::Slot { frame, stream: s, shown, .. } = event.kind
            && s == stream
        {
            slots.insert(frame, shown);
        }
    }
    Ok(slots)
}
