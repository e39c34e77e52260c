//! The clip of a run as pictures for encoders.

use crate::encode::{OpenPictures, Pictures, Source};
use crate::pictures;
use anyhow::{Context, Result};
use contract::unchanged::Unchanged;
use contract::{ClipSpec, Stream};
use media::Yuv420;
use media::convert::{Colour, Range, to_rgb, to_yuv420};
use media::depth::DepthView;
use video::{DepthSource, DepthUnit, Reader, Target, images};

/// A function that opens one stream of `clip` at its first picture.
///
/// Depth is sent as ReVo sends it: an 8-bit picture, grey. Metric depth becomes the view of the clip's range.
#[must_use]
pub fn opener(clip: &ClipSpec, stream: Stream) -> OpenPictures {
    let clip = clip.clone();
    let (shape, file) =
        ((clip.width, clip.height, clip.fps), clip.depth.as_ref().filter(|_| stream == Stream::Depth));
    let name = format!("{stream:?} {} {shape:?} {:?}", clip.pictures(stream), file.unwrap_or(&clip.rgb));
    pictures::kept(
        name,
        Box::new(move || {
            let (path, hash) = clip.file(stream).context("this run has no depth stream")?;
            let files = Unchanged::of(images::files(path)?, hash)?;
            let inner = if stream == Stream::Rgb { rgb(&clip)? } else { depth(&clip)? };
            Ok(Box::new(Watched { inner, files }))
        }),
    )
}

/// Pictures of files that must not change meanwhile: what is made of them is kept under the clip's hash.
struct Watched {
    inner: Pictures,
    files: Unchanged,
}

impl Source for Watched {
    fn next(&mut self) -> Result<Option<Yuv420>> {
        let picture = self.inner.next()?;
        self.files.check()?;
        Ok(picture)
    }

    fn pass_over(&mut self) -> Result<bool> {
        self.inner.pass_over()
    }
}

/// The same pictures after a detour over RGB of 8 bits and back. Both ways by BT.601 and limited range, as the original's; a clip that
/// is tagged otherwise keeps its colours, for the same numbers go in and come out up to rounding and what RGB cannot hold.
#[must_use]
pub fn over_rgb(open: OpenPictures) -> OpenPictures {
    Box::new(move || Ok(Box::new(OverRgb(open()?))))
}

struct OverRgb(Pictures);

impl Source for OverRgb {
    fn next(&mut self) -> Result<Option<Yuv420>> {
        let over = |p| to_yuv420(&to_rgb(&p, Colour::BT601), Colour::BT601);
        Ok(self.0.next()?.map(over))
    }

    fn pass_over(&mut self) -> Result<bool> {
        self.0.pass_over()
    }
}

fn target(clip: &ClipSpec) -> Target {
    Target::new((clip.width as usize, clip.height as usize), (clip.fps, 1))
}

struct Rgb(Reader);

impl Source for Rgb {
    fn next(&mut self) -> Result<Option<Yuv420>> {
        Ok(self.0.next_frame()?)
    }

    fn pass_over(&mut self) -> Result<bool> {
        Ok(self.0.pass_over()?)
    }
}

fn rgb(clip: &ClipSpec) -> Result<Pictures> {
    Ok(Box::new(Rgb(Reader::open(&clip.rgb, &target(clip))?)))
}

/// A depth stream, and what makes pictures of metric depth.
struct Depth(DepthSource, Option<DepthView>);

impl Source for Depth {
    fn next(&mut self) -> Result<Option<Yuv420>> {
        Ok(match (&mut self.0, &self.1) {
            (DepthSource::View(reader), _) => reader.next_frame()?.map(|mut picture| {
                picture.u.fill(128);
                picture.v.fill(128);
                picture
            }),
            (DepthSource::Metric(reader), view) => {
                let view = view.context("metric depth needs clip.depth_range_mm in spec.toml")?;
                reader.next_frame()?.map(|d| view.to_yuv420(&d, Range::Limited))
            }
        })
    }

    fn pass_over(&mut self) -> Result<bool> {
        Ok(match &mut self.0 {
            DepthSource::View(reader) => reader.pass_over()?,
            DepthSource::Metric(reader) => reader.pass_over()?,
        })
    }
}

fn depth(clip: &ClipSpec) -> Result<Pictures> {
    let path = clip.depth.as_ref().context("this run has no depth stream")?;
    let source = DepthSource::open(path, &target(clip), DepthUnit::of(clip.depth_per_metre))?;
    let view = match (&source, clip.depth_range_mm) {
        (DepthSource::View(_), _) => None,
        (DepthSource::Metric(_), range) => {
            let (near, far) = range.context("metric depth needs clip.depth_range_mm in spec.toml")?;
            Some(DepthView::new(near, far)?)
        }
    };
    Ok(Box::new(Depth(source, view)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// What is encoded is kept under the clip's hash: a picture of another file must not come this way.
    #[test]
    fn a_clip_that_changes_while_it_is_encoded_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.y4m");
        let write = |grey: u8| {
            let mut file = std::fs::File::create(&path).unwrap();
            file.write_all(b"YUV4MPEG2 W64 H48 F30:1 Ip A1:1 C420\n").unwrap();
            for _ in 0..40 {
                file.write_all(b"FRAME\n").unwrap();
                file.write_all(&[grey; 64 * 48 * 3 / 2]).unwrap();
            }
        };
        write(50);
        let hash = contract::unchanged::hash_of(std::slice::from_ref(&path)).unwrap();
        let clip = ClipSpec {
            name: "c".parse().unwrap(),
            label: None,
            rgb: path.clone(),
            depth: None,
            depth_range_mm: None,
            depth_per_metre: None,
            depth_fov_degrees: None,
            width: 64,
            height: 48,
            fps: 30,
            frames: 40,
            hash: format!("{hash:032x}-64x48@30"),
            depth_hash: None,
        };
        let mut pictures = opener(&clip, Stream::Rgb)().unwrap();
        assert_eq!(pictures.next().unwrap().unwrap().y[0], 50);
        std::thread::sleep(std::time::Duration::from_millis(20));
        write(200);
        let said = format!("{:#}", pictures.next().unwrap_err());
        assert!(said.contains("c.y4m changed while it was read"), "{said}");
        // Nor from the start, if it is not what the run's clip was.
        assert!(opener(&clip, Stream::Rgb)().unwrap().next().is_err());
        write(50);
        assert_eq!(opener(&clip, Stream::Rgb)().unwrap().next().unwrap().unwrap().y[0], 50);
    }
}
