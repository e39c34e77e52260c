//! `rendered.<stream>.mp4`: what was on the screen, slot by slot, for any player.

use crate::record::read_events;
use crate::score::pictures::black;
use crate::unit_decoder::UnitDecoder;
use anyhow::{Context, Result};
use contract::units::{UnitsReader, file_name};
use contract::{EventKind, RunSpec, Stream};
use media::Yuv420;
use media::convert::Colour;
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
    let shown = shown_frames(run_dir, stream)?;
    let mut units = UnitsReader::open(&run_dir.join(file_name(stream)))?;
    let Some(mut decoder) = UnitDecoder::open(units.header())? else { return Ok(()) };
    let path = run_dir.join(video_name(stream));
    let colour = match stream {
        Stream::Rgb => video::probe(&spec.clip.rgb)?.captured_colour(),
        Stream::Depth => Colour::BT601,
    };
    let size = (spec.clip.width as usize, spec.clip.height as usize);
    let mut writer = Writer::create(&path, size, (spec.clip.fps, 1), colour, Quality::Crf(18))?;
    let mut screen = black(size, colour.range);
    let mut decoded: Option<(u32, Yuv420)> = None;
    for (_, frame) in shown {
        // Slots come in order and show frames in order: decode on until the slot's frame is there.
        while let Some(wanted) = frame
            && decoded.as_ref().is_none_or(|(f, _)| *f < wanted)
        {
            let Some((f, unit)) = units.read()? else { break };
            match decoder.decode(&unit) {
                Some(picture) => decoded = Some((f, picture)),
                None => continue,
            }
        }
        if let (Some(wanted), Some((f, picture))) = (frame, &decoded)
            && *f == wanted
            && (picture.width, picture.height) == size
        {
            screen.clone_from(picture);
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
