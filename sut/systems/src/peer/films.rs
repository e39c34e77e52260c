//! `rgb.mp4` and `depth.mp4`: what was on the screen, slot by slot, at constant rate factor 0, as the original receiver leaves them.

use anyhow::{Context, Result, ensure};
use codecs::Stage;
use contract::Stream;
use contract::units::{UnitsReader, file_name};
use media::Yuv420;
use media::convert::Colour;
use std::collections::BTreeMap;
use std::path::Path;
use video::{Quality, Writer};

/// Name of a stream's film.
#[must_use]
pub fn film_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Rgb => "rgb.mp4",
        Stream::Depth => "depth.mp4",
    }
}

/// Writes the film of one stream from the units in `dir`. `shown` says for every slot which frame was on the screen; before the
/// first, the screen is black. Colours are BT.601, which the original's detour over RGB makes of every clip.
///
/// # Errors
/// The units cannot be read; nothing was decoded; a full disk.
pub fn write(dir: &Path, stream: Stream, shown: &BTreeMap<u32, Option<u32>>, fps: u32) -> Result<()> {
    let mut units = UnitsReader::open(&dir.join(file_name(stream)))?;
    let mut stage = Stage::open(units.header(), stream)?;
    let mut decoded: Option<(u32, Yuv420)> = None;
    let mut writer: Option<Writer> = None;
    let mut black = 0;
    let mut screen: Option<Yuv420> = None;
    let path = dir.join(film_name(stream));
    #[allow(clippy::explicit_counter_loop)] // it counts the slots before the first picture alone
    for frame in shown.values() {
        // Slots come in order and show frames in order: decode on until the slot's frame is there.
        while let Some(wanted) = *frame
            && decoded.as_ref().is_none_or(|(f, _)| *f < wanted)
        {
            let Some(entry) = units.read()? else { break };
            let number = entry.frame;
            if let Some(picture) = stage.run(entry)?.shown {
                decoded = Some((number, picture));
            }
        }
        if let (Some(wanted), Some((f, picture))) = (*frame, &decoded)
            && *f == wanted
            && screen.as_ref().is_none_or(|s| (s.width, s.height) == (picture.width, picture.height))
        {
            screen = Some(picture.clone());
        }
        let Some(picture) = &screen else {
            black += 1;
            continue;
        };
        if writer.is_none() {
            let size = (picture.width, picture.height);
            let mut new = Writer::create(&path, size, (fps, 1), Colour::BT601, Quality::Crf(0))?;
            for _ in 0..black {
                new.write(&Yuv420::filled(picture.width, picture.height, (16, 128, 128)))?;
            }
            writer = Some(new);
        }
        if let Some(writer) = &mut writer {
            writer.write(picture)?;
        }
    }
    ensure!(writer.is_some(), "no picture of the {} stream was ever on the screen", stream.name());
    writer.context("a writer")?.finish()?;
    Ok(())
}
