//! Depth inputs: metric (grey video or pictures of more than 8 bits, in any unit) and 8-bit views.

use crate::decode::{Decoder, Picture, Want};
use crate::layout::Layout;
use crate::reader::{check_rate, check_size, describe, times};
use crate::retime::Retimer;
use crate::samples::numbers;
use crate::shape::Shape;
use crate::{Error, Info, Reader, SampleReader, Target, images};
use media::picture::{Orientation, Plane};
use media::{Depth16, still};
use std::path::{Path, PathBuf};

/// How far a code of a depth picture reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DepthUnit {
    /// Integers are millimetres, floating-point numbers metres.
    #[default]
    Usual,
    /// So many make a metre: 1000 for millimetres, 5000 for TUM's RGB-D sets, 256 for KITTI, 1 for metres.
    PerMetre(f64),
}

/// A text that names no unit.
#[derive(Debug, thiserror::Error)]
#[error(
    "\"{0}\" is no unit of depth; write mm, cm, m, um, or how many codes make a metre: 5000/m (TUM RGB-D), 256/m (KITTI)"
)]
pub struct UnknownUnit(String);

impl std::str::FromStr for DepthUnit {
    type Err = UnknownUnit;

    fn from_str(text: &str) -> Result<Self, UnknownUnit> {
        let word = text.trim().to_ascii_lowercase();
        let per_metre = match word.as_str() {
            "usual" => return Ok(Self::Usual),
            "m" => 1.0,
            "cm" => 100.0,
            "mm" => 1000.0,
            "um" => 1e6,
            "tum" => 5000.0,
            "kitti" => 256.0,
            other => other
                .strip_suffix("/m")
                .and_then(|n| n.trim().parse::<f64>().ok())
                .filter(|n| n.is_finite() && *n >= 1e-3 && *n <= 1e9)
                .ok_or_else(|| UnknownUnit(text.to_owned()))?,
        };
        Ok(Self::PerMetre(per_metre))
    }
}

impl TryFrom<String> for DepthUnit {
    type Error = UnknownUnit;
    fn try_from(text: String) -> Result<Self, UnknownUnit> {
        text.parse()
    }
}

impl From<DepthUnit> for String {
    fn from(unit: DepthUnit) -> Self {
        unit.to_string()
    }
}

impl std::fmt::Display for DepthUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usual => f.write_str("usual"),
            Self::PerMetre(n) => write!(f, "{n}/m"),
        }
    }
}

impl DepthUnit {
    /// As a run's specification has it: so many codes to the metre, or the usual.
    #[must_use]
    pub fn of(per_metre: Option<f64>) -> Self {
        per_metre.map_or(Self::Usual, Self::PerMetre)
    }

    /// The reverse of [`DepthUnit::of`].
    #[must_use]
    pub fn codes_per_metre(self) -> Option<f64> {
        match self {
            Self::Usual => None,
            Self::PerMetre(n) => Some(n),
        }
    }

    /// Whether it is the one that needs no word.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub fn is_usual(&self) -> bool {
        *self == Self::Usual
    }

    fn per_metre(self, float: bool) -> f64 {
        match self {
            Self::PerMetre(n) => n,
            Self::Usual if float => 1.0,
            Self::Usual => 1000.0,
        }
    }

    /// Millimetres, rounded; 0 for no measurement: a code that is not above zero or no number, or farther than 65.535 m.
    fn millimetres(self, float: bool, values: &[f64], mm: &mut Vec<u16>) -> Result<(), f64> {
        let per_metre = self.per_metre(float);
        let to = 1000.0 / per_metre;
        let (mut near, mut far) = (false, false);
        mm.clear();
        mm.extend(values.iter().map(|v| {
            let d = (v * to + 0.5).floor();
            let measured = *v > 0.0 && v.is_finite();
            near |= measured && d < 65536.0;
            far |= measured && d >= 65536.0;
            // What is nearer than half a millimetre is still a measurement.
            if measured && d < 65536.0 { d.max(1.0) as u16 } else { 0 }
        }));
        if far && !near { Err(per_metre) } else { Ok(()) }
    }

    /// The same of integers, by a table that is made of the first picture's.
    fn of_codes(self, codes: Vec<u16>, table: &mut Vec<u16>) -> Result<Vec<u16>, f64> {
        let per_metre = self.per_metre(false);
        if per_metre == 1000.0 {
            return Ok(codes);
        }
        if table.is_empty() {
            let all: Vec<f64> = (0..=u16::MAX).map(f64::from).collect();
            // That even code 1 may be too far is said of a picture, below.
            let _ = self.millimetres(false, &all, table);
        }
        let (mut near, mut far) = (false, false);
        let mm = codes.into_iter().map(|code| {
            let mm = table[usize::from(code)];
            near |= mm > 0;
            far |= mm == 0 && code > 0;
            mm
        });
        let mm = mm.collect();
        if far && !near { Err(per_metre) } else { Ok(mm) }
    }
}

/// Samples of a depth picture.
enum Samples {
    Integers(Vec<u16>),
    Numbers(Vec<f64>),
}

impl Samples {
    fn of(layout: Layout, frame: &ffmpeg::frame::Video) -> Self {
        if layout.is_float() {
            let mut values = Vec::new();
            numbers(layout, frame, &mut values);
            return Self::Numbers(values);
        }
        let mut picture = media::picture::Picture::default();
        layout.planes(frame, &mut picture);
        Self::Integers(match picture.planes.swap_remove(0) {
            Plane::Sixteen(codes) => codes,
            Plane::Eight(codes) => codes.into_iter().map(u16::from).collect(),
        })
    }
}

/// A depth input, by what its samples mean.
pub enum DepthSource {
    /// Millimetres; the harness makes the 8-bit view (`media::depth::DepthView`).
    Metric(Box<DepthReader>),
    /// An 8-bit view with an unknown scale: luma as it is.
    View(Box<Reader>),
}

impl DepthSource {
    /// Opens a folder of depth pictures, a depth video (also one beside colour in the same file), or an 8-bit view: a video
    /// without colour.
    ///
    /// # Errors
    /// As [`Reader::open`] and [`DepthReader::open`]; [`Error::Kind`] for a video with colours in it.
    pub fn open(path: &Path, target: &Target, unit: DepthUnit) -> Result<Self, Error> {
        if path.is_dir() || images::is_image(path) {
            return DepthReader::open(path, target, unit).map(|reader| Self::Metric(Box::new(reader)));
        }
        let decoder = Decoder::open(path, Want::Depth)?;
        if Layout::is_depth(decoder.pixel()) {
            return DepthReader::video(decoder, target, unit).map(|reader| Self::Metric(Box::new(reader)));
        }
        let reader = Reader::of(decoder, target)?;
        // The first picture tells; another decoder, since this one's pictures are to come whole.
        let mut first = Reader::of(Decoder::open(path, Want::Depth)?, &Target { fps: None, ..*target })?;
        if let Some(picture) = first.next_frame()?
            && coloured(&picture.u, &picture.v)
        {
            let found = format!("colour ({})", reader.info().pixel_format);
            let want = "depth is grey: 9 to 16 bits or floating point for metric depth, or an 8-bit view without colours \
                        (`ffmpeg -i IN -pix_fmt gray OUT.mkv` takes the luma of one)"
                .into();
            return Err(Error::Kind { path: path.into(), found, want });
        }
        Ok(Self::View(Box::new(reader)))
    }

    /// One line for people.
    #[must_use]
    pub fn description(&self) -> &str {
        match self {
            Self::Metric(reader) => reader.description(),
            Self::View(reader) => reader.description(),
        }
    }
}

/// Whether chroma says more than a codec's noise about grey: a sample in fifty is more than 12 codes from neutral.
fn coloured(u: &[u8], v: &[u8]) -> bool {
    let far = u.iter().zip(v).filter(|(u, v)| u.abs_diff(128).max(v.abs_diff(128)) > 12).count();
    far * 50 > u.len()
}

/// Reads metric depth picture by picture.
///
/// Cut as colour pictures are; scaled by the nearest sample, since a mean of two surfaces is a third one
/// that nobody measured.
pub struct DepthReader {
    source: Source,
    unit: DepthUnit,
    size: (usize, usize),
    fps: (u32, u32),
    description: String,
    path: PathBuf,
    done: u64,
    /// Millimetres of every integer code, once they are needed.
    table: Vec<u16>,
}

enum Source {
    Video { decoder: Box<Decoder>, layout: Layout, shape: Shape, retimer: Option<Retimer<Picture>> },
    Folder { files: std::vec::IntoIter<PathBuf>, shape: Shape, file_size: (usize, usize) },
}

impl DepthReader {
    /// Opens a depth video, one depth picture, or a folder of depth pictures (in the order of the numbers in their names, 1:1 at
    /// the wanted rate).
    ///
    /// # Errors
    /// As [`Reader::open`]; [`Error::Kind`] for 8-bit or colour material.
    pub fn open(path: &Path, target: &Target, unit: DepthUnit) -> Result<Self, Error> {
        if path.is_dir() {
            Self::pictures(path, images::list(path)?, target, unit)
        } else if images::is_image(path) {
            Self::pictures(path, vec![path.into()], target, unit)
        } else {
            Self::video(Decoder::open(path, Want::Depth)?, target, unit)
        }
    }

    /// As [`DepthReader::open`], but of the pictures as they are stored: every column and row, no times.
    ///
    /// # Errors
    /// As [`DepthReader::open`].
    pub fn stored(path: &Path, unit: DepthUnit) -> Result<Self, Error> {
        let files = if path.is_dir() {
            images::list(path)?
        } else if images::is_image(path) {
            vec![path.to_path_buf()]
        } else {
            Vec::new()
        };
        let whole = |(width, height), orientation| Shape { left: 0, top: 0, width, height, orientation };
        let (source, shape, file_size, fps) = if let Some(first) = files.first() {
            let picture = image(first)?;
            let file_size = (picture.width, picture.height);
            let shape = whole(file_size, Orientation::default());
            (Source::Folder { files: files.into_iter(), shape, file_size }, shape, file_size, (30, 1))
        } else {
            let decoder = Decoder::open(path, Want::Depth)?;
            let (info, layout) = (decoder.info().clone(), decoder.layout()?);
            if !Layout::is_depth(decoder.pixel()) {
                return Err(not_depth(path, info.pixel_format));
            }
            let file_size = (info.width, info.height);
            let shape = whole(file_size, info.orientation);
            let decoder = Box::new(decoder);
            (Source::Video { decoder, layout, shape, retimer: None }, shape, file_size, info.fps)
        };
        let size = shape.unturned(file_size);
        Ok(Self {
            source,
            unit,
            size,
            fps,
            description: String::new(),
            path: path.into(),
            done: 0,
            table: Vec::new(),
        })
    }

    /// Columns and rows of the pictures given.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Rate of the pictures given.
    #[must_use]
    pub fn fps(&self) -> (u32, u32) {
        self.fps
    }

    /// One line for people: what the input is and what was done to it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    fn video(decoder: Decoder, target: &Target, unit: DepthUnit) -> Result<Self, Error> {
        let info = decoder.info().clone();
        if !Layout::is_depth(decoder.pixel()) {
            return Err(not_depth(&info.path, info.pixel_format));
        }
        if let Some(degrees) = info.angle {
            return Err(Error::Turned { path: info.path, degrees });
        }
        let layout = decoder.layout()?;
        let size = target.size.unwrap_or(info.even_display_size());
        check_size(size)?;
        let fps = check_rate(target.fps.unwrap_or(info.fps))?;
        let shape = Shape::new(&info, size);
        let (retimer, how) = times(&decoder, target, fps)?;
        let description = describe(&info, &shape, size, fps, how) + &said(unit, layout.is_float());
        Ok(Self {
            source: Source::Video { decoder: Box::new(decoder), layout, shape, retimer },
            unit,
            size,
            fps,
            description,
            path: info.path,
            done: 0,
            table: Vec::new(),
        })
    }

    fn pictures(path: &Path, files: Vec<PathBuf>, target: &Target, unit: DepthUnit) -> Result<Self, Error> {
        let Some(first) = files.first() else { return Err(Error::NoImages { path: path.into() }) };
        let picture = image(first)?;
        let fps = check_rate(target.fps.unwrap_or((30, 1)))?;
        let info = Info {
            path: path.into(),
            codec: picture.codec,
            pixel_format: picture.pixel_format,
            width: picture.width,
            height: picture.height,
            sample_aspect: (1, 1),
            orientation: Orientation::default(),
            angle: None,
            fps,
            frames: Some(files.len() as u64),
            colour: media::convert::Colour::BT601.full(),
            is_rgb: false,
            tags: crate::Tags::default(),
            stream: 0,
            streams: 1,
        };
        let size = target.size.unwrap_or(info.even_display_size());
        check_size(size)?;
        let shape = Shape::new(&info, size);
        let times = crate::reader::Times::Kept;
        let description = describe(&info, &shape, size, fps, times) + &said(unit, picture.float);
        let file_size = (picture.width, picture.height);
        let source = Source::Folder { files: files.into_iter(), shape, file_size };
        Ok(Self { source, unit, size, fps, description, path: path.into(), done: 0, table: Vec::new() })
    }

    /// The next picture, or `None` after the last.
    ///
    /// # Errors
    /// As [`Reader::next_frame`]; [`Error::Still`] names a bad PNG; [`Error::Far`] a unit that cannot be right.
    pub fn next_frame(&mut self) -> Result<Option<Depth16>, Error> {
        let (file_size, shape, float, samples) = match &mut self.source {
            Source::Video { decoder, layout, shape, retimer } => {
                let samples = match retimer {
                    None => decoder.next_picture()?.map(|p| Samples::of(*layout, &p.frame)),
                    Some(retimer) => retimer
                        .next(|| Ok(decoder.next_picture()?.map(|p| (p.time, p))))?
                        .map(|p| Samples::of(*layout, &p.frame)),
                };
                let Some(samples) = samples else { return Ok(None) };
                ((decoder.info().width, decoder.info().height), &*shape, layout.is_float(), samples)
            }
            Source::Folder { files, shape, file_size } => {
                let Some(path) = files.next() else { return Ok(None) };
                let picture = image(&path)?;
                if (picture.width, picture.height) != *file_size {
                    let (from, to) = (
                        format!("{}x{}", file_size.0, file_size.1),
                        format!("{}x{}", picture.width, picture.height),
                    );
                    return Err(Error::Changed { path, frame: self.done, from, to });
                }
                (*file_size, &*shape, picture.float, Samples::Numbers(picture.values))
            }
        };
        let mm = match samples {
            Samples::Integers(codes) => self.unit.of_codes(codes, &mut self.table),
            Samples::Numbers(values) => {
                let mut mm = Vec::new();
                self.unit.millimetres(float, &values, &mut mm).map(|()| mm)
            }
        };
        let mm =
            mm.map_err(|per_metre| Error::Far { path: self.path.clone(), frame: self.done, per_metre })?;
        self.done += 1;
        let picture = Depth16 { width: file_size.0, height: file_size.1, mm };
        Ok(Some(scaled(picture, shape, self.size)))
    }
}

impl DepthReader {
    /// As [`Reader::pass_over`].
    ///
    /// # Errors
    /// As [`DepthReader::next_frame`].
    pub fn pass_over(&mut self) -> Result<bool, Error> {
        let passed = match &mut self.source {
            Source::Video { decoder, retimer: None, .. } => decoder.pass_over()?,
            Source::Folder { files, .. } => files.next().is_some(),
            Source::Video { .. } => return Ok(self.next_frame()?.is_some()),
        };
        self.done += u64::from(passed);
        Ok(passed)
    }
}

impl Iterator for DepthReader {
    type Item = Result<Depth16, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_frame().transpose()
    }
}

fn said(unit: DepthUnit, float: bool) -> String {
    match unit.per_metre(float) {
        1000.0 => " (depth in millimetres)".into(),
        1.0 => " (depth in metres)".into(),
        n => format!(" (depth, {n} to the metre)"),
    }
}

fn not_depth(path: &Path, found: String) -> Error {
    let want = "metric depth is grey of 9 to 16 bits or of floating point".into();
    Error::Kind { path: path.into(), found, want }
}

/// A depth picture that is a file of its own.
struct Image {
    width: usize,
    height: usize,
    codec: String,
    pixel_format: String,
    float: bool,
    values: Vec<f64>,
}

fn image(path: &Path) -> Result<Image, Error> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
        let Depth16 { width, height, mm } = still::read_depth16(path)?;
        let values = mm.into_iter().map(f64::from).collect();
        return Ok(Image {
            width,
            height,
            codec: "png".into(),
            pixel_format: "gray16be".into(),
            float: false,
            values,
        });
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pfm")) {
        let still::Floats { width, height, values } = still::read_pfm(path)?;
        let values = values.into_iter().map(f64::from).collect();
        return Ok(Image {
            width,
            height,
            codec: "pfm".into(),
            pixel_format: "grayf32".into(),
            float: true,
            values,
        });
    }
    let mut reader = SampleReader::open(path)?;
    let info = reader.info().clone();
    if !info.is_metric_depth() {
        return Err(not_depth(path, info.pixel_format));
    }
    let mut values = Vec::new();
    if !reader.next_values(&mut values)? {
        return Err(Error::NoPictures { path: path.into() });
    }
    let float = info.pixel_format.starts_with("grayf");
    let (width, height) = reader.size();
    Ok(Image { width, height, codec: info.codec, pixel_format: info.pixel_format, float, values })
}

fn scaled(picture: Depth16, shape: &Shape, size: (usize, usize)) -> Depth16 {
    if (picture.width, picture.height) == size && shape.orientation == Orientation::default() {
        return picture;
    }
    let (w, h) = shape.unturned(size);
    // The source sample under the middle of the wanted one.
    let at = |i: usize, from: usize, to: usize| ((2 * i + 1) * from / (2 * to)).min(from - 1);
    let mut mm = Vec::with_capacity(w * h);
    for y in 0..h {
        let row = (shape.top + at(y, shape.height, h)) * picture.width + shape.left;
        mm.extend((0..w).map(|x| picture.mm[row + at(x, shape.width, w)]));
    }
    Depth16 { width: size.0, height: size.1, mm: shape.orientation.plane(&mm, w, h) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table gives what arithmetic does, and the same refusals.
    #[test]
    fn integers_by_table() {
        for unit in ["usual", "5000/m", "kitti", "m", "cm", "um", "0.001/m", "12.5/m"] {
            let unit: DepthUnit = unit.parse().unwrap();
            let mut table = Vec::new();
            for codes in [vec![0, 1, 2, 65, 66, 255, 4096, 32768, 65535], vec![0, 0], vec![0, 70, 65535]] {
                let values: Vec<f64> = codes.iter().map(|c| f64::from(*c)).collect();
                let mut mm = Vec::new();
                let wanted = unit.millimetres(false, &values, &mut mm).map(|()| mm);
                assert_eq!(unit.of_codes(codes.clone(), &mut table), wanted, "{unit} {codes:?}");
            }
        }
    }

    /// 5000 codes to the metre: TUM's RGB-D sets; 256: KITTI's depth maps (their development kits).
    #[test]
    fn units_of_depth() {
        let mm = |unit: &str, float, values: &[f64]| {
            let mut out = Vec::new();
            unit.parse::<DepthUnit>().unwrap().millimetres(float, values, &mut out).map(|()| out)
        };
        assert_eq!(mm("usual", false, &[0.0, 1.0, 65535.0]).unwrap(), [0, 1, 65535]);
        assert_eq!(mm("5000/m", false, &[5000.0, 12345.0, 0.0, 1.0]).unwrap(), [1000, 2469, 0, 1]);
        assert_eq!(mm("kitti", false, &[256.0, 65535.0, 16000.0]).unwrap(), [1000, 0, 62500]);
        let metres = [1.5, f64::NAN, f64::INFINITY, -1.0, 0.0, 70.0, 0.0125];
        assert_eq!(mm("usual", true, &metres).unwrap(), [1500, 0, 0, 0, 0, 0, 13]);
        assert_eq!(mm("mm", true, &[1500.4]).unwrap(), [1500]);
        assert_eq!(mm("m", false, &[700.0, 0.0]), Err(1.0), "nothing within 65.535 m");
        for bad in ["", "inch", "0/m", "-5/m", "nan/m", "1e400/m"] {
            assert!(bad.parse::<DepthUnit>().is_err(), "{bad}");
        }
        assert_eq!(
            String::from(DepthUnit::PerMetre(5000.0)).parse::<DepthUnit>().unwrap(),
            DepthUnit::PerMetre(5000.0)
        );
    }
}
