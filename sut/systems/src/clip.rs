//! The clip of a run as pictures for encoders.

use crate::encode::{OpenPictures, Pictures};
use anyhow::{Context, Result};
use contract::{ClipSpec, Stream};
use media::convert::{Colour, to_rgb, to_yuv420};
use media::depth::DepthView;
use video::{DepthSource, DepthUnit, Reader, Target};

/// A function that opens one stream of `clip` at its first picture.
///
/// Depth is sent as ReVo sends it: an 8-bit picture, grey. Metric depth becomes the view of the clip's range.
#[must_use]
pub fn opener(clip: &ClipSpec, stream: Stream) -> OpenPictures {
    let clip = clip.clone();
    Box::new(move || match stream {
        Stream::Rgb => rgb(&clip),
        Stream::Depth => depth(&clip),
    })
}

/// The same pictures after a detour over RGB of 8 bits and back. Both ways by BT.601 and limited range, as the original's; a clip that
/// is tagged otherwise keeps its colours, for the same numbers go in and come out up to rounding and what RGB cannot hold.
#[must_use]
pub fn over_rgb(open: OpenPictures) -> OpenPictures {
    Box::new(move || {
        let mut pictures = open()?;
        Ok(Box::new(move || {
            let over = |p| to_yuv420(&to_rgb(&p, Colour::BT601), Colour::BT601);
            Ok(pictures()?.map(over))
        }))
    })
}

fn target(clip: &ClipSpec) -> Target {
    Target::new((clip.width as usize, clip.height as usize), (clip.fps, 1))
}

fn rgb(clip: &ClipSpec) -> Result<Pictures> {
    let mut reader = Reader::open(&clip.rgb, &target(clip))?;
    Ok(Box::new(move || Ok(reader.next_frame()?)))
}

fn depth(clip: &ClipSpec) -> Result<Pictures> {
    let path = clip.depth.as_ref().context("this run has no depth stream")?;
    match DepthSource::open(path, &target(clip), DepthUnit::of(clip.depth_per_metre))? {
        DepthSource::View(mut reader) => Ok(Box::new(move || {
            Ok(reader.next_frame()?.map(|mut picture| {
                picture.u.fill(128);
                picture.v.fill(128);
                picture
            }))
        })),
        DepthSource::Metric(mut reader) => {
            let (near, far) =
                clip.depth_range_mm.context("metric depth needs clip.depth_range_mm in spec.toml")?;
            let view = DepthView::new(near, far)?;
            Ok(Box::new(move || {
                Ok(reader.next_frame()?.map(|d| view.to_yuv420(&d, media::convert::Range::Limited)))
            }))
        }
    }
}
