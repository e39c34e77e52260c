//! `frames.csv`: one row per captured frame and stream, in capture order.
//!
//! The column list is [`COLUMNS`] followed by one column per [`Metric`]; it only ever grows at the
//! end. An empty cell means "did not happen" or "not measured", never zero. Times are nanoseconds
//! since the run's start, on the run's one clock.

use crate::{LossCause, Status, Stream};
use link::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};

/// A picture metric: a column of `frames.csv` and a key of `scores.json`.
/// The order here is the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// PSNR over RGB, dB.
    Psnr,
    /// SSIM after pooling to about 256 rows.
    Ssim,
    /// SSIM without pooling.
    SsimFull,
    /// Multi-scale SSIM.
    MsSsim,
    /// LPIPS, VGG16 features.
    LpipsVgg,
    /// LPIPS, `AlexNet` features.
    LpipsAlex,
    /// LPIPS, `SqueezeNet` features.
    LpipsSqueeze,
    /// PSNR over 4:2:0 planes as `ffmpeg -lavfi psnr` gives it, dB.
    FfmpegPsnr,
    /// SSIM over 4:2:0 planes as `ffmpeg -lavfi ssim` gives it.
    FfmpegSsim,
    /// Root mean squared error of metric depth, millimetres.
    DepthRmseMm,
    /// Mean absolute relative error of metric depth.
    DepthAbsRel,
    /// Share of pixels whose depth ratio is below 1.25.
    DepthDelta1,
    /// Point-to-point PSNR of the back-projected cloud, dB.
    DepthD1,
    /// Point-to-plane PSNR of the back-projected cloud, dB.
    DepthD2,
}

impl Metric {
    /// Every metric, in column order.
    pub const ALL: [Metric; 14] = [
        Metric::Psnr,
        Metric::Ssim,
        Metric::SsimFull,
        Metric::MsSsim,
        Metric::LpipsVgg,
        Metric::LpipsAlex,
        Metric::LpipsSqueeze,
        Metric::FfmpegPsnr,
        Metric::FfmpegSsim,
        Metric::DepthRmseMm,
        Metric::DepthAbsRel,
        Metric::DepthDelta1,
        Metric::DepthD1,
        Metric::DepthD2,
    ];

    /// Column name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Metric::Psnr => "psnr",
            Metric::Ssim => "ssim",
            Metric::SsimFull => "ssim_full",
            Metric::MsSsim => "ms_ssim",
            Metric::LpipsVgg => "lpips_vgg",
            Metric::LpipsAlex => "lpips_alex",
            Metric::LpipsSqueeze => "lpips_squeeze",
            Metric::FfmpegPsnr => "ffmpeg_psnr",
            Metric::FfmpegSsim => "ffmpeg_ssim",
            Metric::DepthRmseMm => "depth_rmse_mm",
            Metric::DepthAbsRel => "depth_abs_rel",
            Metric::DepthDelta1 => "depth_delta1",
            Metric::DepthD1 => "depth_d1",
            Metric::DepthD2 => "depth_d2",
        }
    }

    /// The metric of a column name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|m| m.name() == name)
    }

    /// What a person calls it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Metric::Psnr => "PSNR",
            Metric::Ssim => "SSIM",
            Metric::SsimFull => "SSIM (full)",
            Metric::MsSsim => "MS-SSIM",
            Metric::LpipsVgg => "LPIPS (VGG)",
            Metric::LpipsAlex => "LPIPS (Alex)",
            Metric::LpipsSqueeze => "LPIPS (Squeeze)",
            Metric::FfmpegPsnr => "ffmpeg PSNR",
            Metric::FfmpegSsim => "ffmpeg SSIM",
            Metric::DepthRmseMm => "depth RMSE",
            Metric::DepthAbsRel => "depth abs-rel",
            Metric::DepthDelta1 => "depth delta<1.25",
            Metric::DepthD1 => "D1 PSNR",
            Metric::DepthD2 => "D2 PSNR",
        }
    }

    /// Unit, empty for a pure number.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Metric::Psnr | Metric::FfmpegPsnr | Metric::DepthD1 | Metric::DepthD2 => "dB",
            Metric::DepthRmseMm => "mm",
            _ => "",
        }
    }

    /// True if a larger value is a better picture.
    #[must_use]
    pub const fn higher_is_better(self) -> bool {
        !matches!(
            self,
            Metric::LpipsVgg
                | Metric::LpipsAlex
                | Metric::LpipsSqueeze
                | Metric::DepthRmseMm
                | Metric::DepthAbsRel
        )
    }

    /// Digits after the point worth showing a person.
    #[must_use]
    pub const fn digits(self) -> usize {
        match self {
            Metric::Psnr | Metric::FfmpegPsnr | Metric::DepthD1 | Metric::DepthD2 => 2,
            Metric::DepthRmseMm => 1,
            _ => 4,
        }
    }

    /// The exact definition, as printed beside every value (docs/METRICS.md).
    #[must_use]
    pub const fn definition(self) -> &'static str {
        match self {
            Metric::Psnr => {
                "-10 log10(MSE + 1e-8) over all samples of full-range 8-bit RGB scaled to [0,1]; identical pictures give 80 dB (PIQ)"
            }
            Metric::Ssim => {
                "PIQ default: average pooling by round_half_even(min(H,W)/256), 11x11 Gaussian sigma 1.5, valid convolution, population variance, mean over pixels then RGB channels"
            }
            Metric::SsimFull => "as ssim, without the pooling",
            Metric::MsSsim => {
                "pytorch_msssim: 5 levels, weights .0448 .2856 .3001 .2363 .1333, mean over RGB channels"
            }
            Metric::LpipsVgg => "LPIPS 0.1 with VGG16 features (PIQ, richzhang net='vgg')",
            Metric::LpipsAlex => "LPIPS 0.1 with AlexNet features (richzhang net='alex')",
            Metric::LpipsSqueeze => "LPIPS 0.1 with SqueezeNet features (richzhang net='squeeze')",
            Metric::FfmpegPsnr => {
                "ffmpeg's psnr filter: mean squared error over the Y, U and V planes of 4:2:0; a clip's mean is the PSNR of the mean squared error"
            }
            Metric::FfmpegSsim => "ffmpeg's ssim filter: 8x8 boxes at stride 4 over the planes of 4:2:0",
            Metric::DepthRmseMm => {
                "root mean squared error of metric depth over pixels valid in the captured picture"
            }
            Metric::DepthAbsRel => {
                "mean of |error| / captured depth over pixels valid in the captured picture"
            }
            Metric::DepthDelta1 => "share of valid pixels with max(shown/captured, captured/shown) < 1.25",
            Metric::DepthD1 => "point-to-point PSNR of the back-projected clouds, symmetric maximum",
            Metric::DepthD2 => "point-to-plane PSNR of the back-projected clouds, symmetric maximum",
        }
    }
}

/// Packets and bytes of one role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Messages or packets of the system.
    pub packets: u32,
    /// Their sizes together, above transport and encryption.
    pub bytes: u64,
}

impl Traffic {
    /// Counts one more packet.
    pub fn add(&mut self, bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
    }
}

/// What happened to one stream of one captured frame, from camera to screen.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameRow {
    /// Captured frame, from 0.
    pub frame_id: u32,
    /// Which of its pictures.
    pub stream: Stream,
    /// Encoded without reference to earlier frames; absent if nobody can tell.
    pub is_key: Option<bool>,
    /// What the screen showed when its slot came.
    pub status: Status,
    /// Why it was not rendered from complete data.
    pub loss_cause: Option<LossCause>,
    /// Captured frame whose picture was on the screen in this slot; absent: black.
    pub shown_frame_id: Option<u32>,
    /// When the picture was captured.
    pub capture: Option<Timestamp>,
    /// When its encoding ended.
    pub encode_end: Option<Timestamp>,
    /// First packet handed to the transport.
    pub first_sent: Option<Timestamp>,
    /// Last packet handed to the transport.
    pub last_sent: Option<Timestamp>,
    /// First packet that arrived.
    pub first_received: Option<Timestamp>,
    /// Last packet that arrived.
    pub last_received: Option<Timestamp>,
    /// When everything needed to decode it was there.
    pub complete: Option<Timestamp>,
    /// When its decoding ended.
    pub decode_end: Option<Timestamp>,
    /// When it came on the screen; absent if it never did.
    pub render: Option<Timestamp>,
    /// The moment by which it was judged: its slot. Without a slot of the record, capture plus the budget.
    pub deadline: Option<Timestamp>,
    /// Size of the encoded frame, bytes; this and all below is absent where the system reports nothing of the kind.
    pub encoded_bytes: Option<u32>,
    /// Source packets sent.
    pub data: Option<Traffic>,
    /// Repair packets sent.
    pub parity: Option<Traffic>,
    /// Second copies and retransmissions sent.
    pub repeat: Option<Traffic>,
    /// Packets sent that never arrived.
    pub lost: Option<u32>,
    /// Packets that arrived after the deadline (the slot).
    pub late: Option<u32>,
    /// Arrivals in which nothing was new.
    pub duplicates: Option<u32>,
    /// Source symbols won back from repair symbols.
    pub recovered: Option<u32>,
    /// Source symbols still missing when the receiver gave the frame up.
    pub missing: Option<u32>,
    /// Content hash of the captured picture, once scored.
    pub captured_picture: Option<String>,
    /// Content hash of the shown picture.
    pub shown_picture: Option<String>,
    /// Shown picture against captured picture.
    pub metrics: BTreeMap<Metric, f64>,
}

/// What a cell of a [`Column`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing: it did not happen, or nobody knows.
    Absent,
    /// A number, or nanoseconds since the run's start.
    Int(u64),
    /// True or false; `1` and `0` in the file.
    Bool(bool),
    /// A word.
    Text(&'a str),
}

/// What the cells of a [`Column`] hold, where they are not [`Cell::Absent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Cell::Int`]
    Int,
    /// [`Cell::Bool`]
    Bool,
    /// [`Cell::Text`]
    Text,
}

/// A column that is not a metric's.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in the first line.
    pub name: &'static str,
    /// What its cells hold.
    pub kind: Kind,
    /// What it means, for people.
    pub about: &'static str,
    /// Its cell in a row.
    pub get: fn(&FrameRow) -> Cell<'_>,
}

const fn column(
    name: &'static str,
    kind: Kind,
    about: &'static str,
    get: fn(&FrameRow) -> Cell<'_>,
) -> Column {
    Column { name, kind, about, get }
}

fn time(value: Option<Timestamp>) -> Cell<'static> {
    value.map_or(Cell::Absent, |t| Cell::Int(t.as_nanos()))
}

fn count(value: Option<u32>) -> Cell<'static> {
    value.map_or(Cell::Absent, |n| Cell::Int(n.into()))
}

fn packets(value: Option<Traffic>) -> Cell<'static> {
    count(value.map(|t| t.packets))
}

fn bytes(value: Option<Traffic>) -> Cell<'static> {
    value.map_or(Cell::Absent, |t| Cell::Int(t.bytes))
}

fn text(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Absent, Cell::Text)
}

/// Columns before those of the metrics: the one list of what a row has, for the file and for the tables made of it.
pub const COLUMNS: [Column; 30] = [
    column("frame_id", Kind::Int, "captured frame, from 0", |r| Cell::Int(r.frame_id.into())),
    column("stream", Kind::Text, "rgb or depth", |r| Cell::Text(r.stream.name())),
    column(
        "is_key",
        Kind::Bool,
        "encoded without reference to earlier frames; empty: nobody can tell",
        |r| r.is_key.map_or(Cell::Absent, Cell::Bool),
    ),
    column(
        "status",
        Kind::Text,
        "rendered (itself, from complete data), concealed (itself, from partial data), frozen (nothing new), dropped_sender (never sent)",
        |r| Cell::Text(r.status.name()),
    ),
    column(
        "loss_cause",
        Kind::Text,
        "why not rendered: network, late, decoder, sender, dependency, unknown",
        |r| r.loss_cause.map_or(Cell::Absent, |c| Cell::Text(c.name())),
    ),
    column(
        "shown_frame_id",
        Kind::Int,
        "frame whose picture was on the screen in this slot; null: black, or of an app a picture that is no frame",
        |r| count(r.shown_frame_id),
    ),
    column("capture_ns", Kind::Int, "captured, nanoseconds since the run's start, as all times", |r| {
        time(r.capture)
    }),
    column("encode_end_ns", Kind::Int, "encoded", |r| time(r.encode_end)),
    column("first_sent_ns", Kind::Int, "first packet handed to the transport", |r| time(r.first_sent)),
    column("last_sent_ns", Kind::Int, "last packet handed to the transport", |r| time(r.last_sent)),
    column("first_received_ns", Kind::Int, "first packet that arrived", |r| time(r.first_received)),
    column("last_received_ns", Kind::Int, "last packet that arrived", |r| time(r.last_received)),
    column("complete_ns", Kind::Int, "everything needed to decode it was there", |r| time(r.complete)),
    column("decode_end_ns", Kind::Int, "decoded; null if the decoder gave no picture", |r| {
        time(r.decode_end)
    }),
    column("render_ns", Kind::Int, "on the screen; null if it never was", |r| time(r.render)),
    column("deadline_ns", Kind::Int, "the moment it was judged by: its slot", |r| time(r.deadline)),
    column("encoded_bytes", Kind::Int, "size of the encoded frame, bytes", |r| count(r.encoded_bytes)),
    column("data_packets", Kind::Int, "source packets sent", |r| packets(r.data)),
    column(
        "data_bytes",
        Kind::Int,
        "their bytes, with the system's own headers, above transport and encryption",
        |r| bytes(r.data),
    ),
    column("parity_packets", Kind::Int, "repair packets sent", |r| packets(r.parity)),
    column("parity_bytes", Kind::Int, "their bytes", |r| bytes(r.parity)),
    column("repeat_packets", Kind::Int, "second copies and retransmissions sent", |r| packets(r.repeat)),
    column("repeat_bytes", Kind::Int, "their bytes", |r| bytes(r.repeat)),
    column("lost", Kind::Int, "packets sent that never arrived", |r| count(r.lost)),
    column("late", Kind::Int, "packets that arrived after the slot", |r| count(r.late)),
    column("duplicates", Kind::Int, "arrivals in which nothing was new", |r| count(r.duplicates)),
    column("recovered", Kind::Int, "source symbols won back from repair symbols", |r| count(r.recovered)),
    column("missing", Kind::Int, "source symbols missing when the receiver gave up", |r| count(r.missing)),
    column("captured_picture", Kind::Text, "content hash of the captured picture", |r| {
        text(r.captured_picture.as_deref())
    }),
    column("shown_picture", Kind::Text, "content hash of the shown picture", |r| {
        text(r.shown_picture.as_deref())
    }),
];

/// Why a `frames.csv` could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FramesError {
    /// The file could not be read or written.
    #[error("failed to read or write frames.csv: {0}")]
    Io(#[from] std::io::Error),
    /// The first line is not the column list of this version.
    #[error(
        "failed to read frames.csv: line 1: column {column} is missing or out of place; score the run again"
    )]
    Header {
        /// The first column that was not found in its place.
        column: String,
    },
    /// A cell makes no sense.
    #[error(
        "failed to read frames.csv: line {line}: column {column}: `{value}` makes no sense; run `freezeframe score` on the directory again"
    )]
    Cell {
        /// Line in the file, from 1.
        line: usize,
        /// Column name.
        column: String,
        /// What stands there.
        value: String,
    },
}

impl FrameRow {
    /// A row of which nothing but its place is known.
    #[must_use]
    pub fn new(frame_id: u32, stream: Stream) -> Self {
        Self {
            frame_id,
            stream,
            is_key: Some(false),
            status: Status::Frozen,
            loss_cause: None,
            shown_frame_id: None,
            capture: None,
            encode_end: None,
            first_sent: None,
            last_sent: None,
            first_received: None,
            last_received: None,
            complete: None,
            decode_end: None,
            render: None,
            deadline: None,
            encoded_bytes: None,
            data: None,
            parity: None,
            repeat: None,
            lost: None,
            late: None,
            duplicates: None,
            recovered: None,
            missing: None,
            captured_picture: None,
            shown_picture: None,
            metrics: BTreeMap::new(),
        }
    }

    /// True if the frame itself came on the screen in its slot.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        matches!(self.status, Status::Rendered | Status::Concealed)
    }

    /// Every packet sent for it; `None` where the system reports none at all.
    #[must_use]
    pub fn sent(&self) -> Option<Traffic> {
        let parts = [self.data?, self.parity?, self.repeat?];
        Some(Traffic {
            packets: parts.iter().map(|p| p.packets).sum(),
            bytes: parts.iter().map(|p| p.bytes).sum(),
        })
    }
}

/// Writes the header and all rows. Floats are written as the shortest text that reads back to the same bits.
///
/// # Errors
/// When writing fails.
pub fn write_frames(mut out: impl Write, rows: &[FrameRow]) -> Result<(), FramesError> {
    let mut line = names().collect::<Vec<_>>().join(",");
    line.push('\n');
    out.write_all(line.as_bytes())?;
    for row in rows {
        line.clear();
        write_row(&mut line, row);
        out.write_all(line.as_bytes())?;
    }
    out.flush()?;
    Ok(())
}

/// The first line.
fn names() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|c| c.name).chain(Metric::ALL.map(Metric::name))
}

fn write_row(line: &mut String, row: &FrameRow) {
    for (i, column) in COLUMNS.iter().enumerate() {
        if i > 0 {
            line.push(',');
        }
        let _ = match (column.get)(row) {
            Cell::Absent => Ok(()),
            Cell::Int(n) => write!(line, "{n}"),
            Cell::Bool(yes) => write!(line, "{}", u8::from(yes)),
            Cell::Text(word) => line.write_str(word),
        };
    }
    for metric in Metric::ALL {
        line.push(',');
        if let Some(value) = row.metrics.get(&metric) {
            let _ = write!(line, "{value}");
        }
    }
    line.push('\n');
}

/// Reads what [`write_frames`] wrote.
///
/// # Errors
/// When reading fails, or the file is not of this version, or a cell makes no sense (with line and column).
pub fn read_frames(input: impl BufRead) -> Result<Vec<FrameRow>, FramesError> {
    let mut lines = input.lines();
    let header = lines.next().transpose()?.unwrap_or_default();
    let found: Vec<&str> = header.split(',').collect();
    for (i, column) in names().enumerate() {
        if found.get(i) != Some(&column) {
            return Err(FramesError::Header { column: column.to_owned() });
        }
    }
    let mut rows = Vec::new();
    for (i, line) in lines.enumerate() {
        let line = line?;
        if !line.is_empty() {
            rows.push(read_row(&line, i + 2)?);
        }
    }
    Ok(rows)
}

fn read_row(text: &str, line: usize) -> Result<FrameRow, FramesError> {
    let mut cells = Cells { cells: text.split(','), line, column: 0 };
    let mut row = FrameRow::new(cells.number()?, Stream::Rgb);
    row.stream = cells.word(Stream::from_name)?;
    row.is_key = cells.optional(|s| match s {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    })?;
    row.status = cells.word(Status::from_name)?;
    row.loss_cause = cells.optional(LossCause::from_name)?;
    row.shown_frame_id = cells.optional(|s| s.parse().ok())?;
    for slot in [
        &mut row.capture,
        &mut row.encode_end,
        &mut row.first_sent,
        &mut row.last_sent,
        &mut row.first_received,
        &mut row.last_received,
        &mut row.complete,
        &mut row.decode_end,
        &mut row.render,
        &mut row.deadline,
    ] {
        *slot = cells.optional(|s| s.parse().ok().map(Timestamp))?;
    }
    row.encoded_bytes = cells.optional(|s| s.parse().ok())?;
    for traffic in [&mut row.data, &mut row.parity, &mut row.repeat] {
        let (packets, bytes) = (cells.optional(|s| s.parse().ok())?, cells.optional(|s| s.parse().ok())?);
        *traffic = packets.zip(bytes).map(|(packets, bytes)| Traffic { packets, bytes });
    }
    for count in [&mut row.lost, &mut row.late, &mut row.duplicates, &mut row.recovered, &mut row.missing] {
        *count = cells.optional(|s| s.parse().ok())?;
    }
    row.captured_picture = cells.optional(|s| Some(s.to_owned()))?;
    row.shown_picture = cells.optional(|s| Some(s.to_owned()))?;
    for metric in Metric::ALL {
        if let Some(value) = cells.optional(|s| s.parse::<f64>().ok().filter(|v| metric.can_be(*v)))? {
            row.metrics.insert(metric, value);
        }
    }
    Ok(row)
}

struct Cells<'a> {
    cells: std::str::Split<'a, char>,
    line: usize,
    column: usize,
}

impl Cells<'_> {
    fn optional<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, FramesError> {
        let column = self.column;
        self.column += 1;
        let text = self.cells.next().ok_or_else(|| cell_error(self.line, column, ""))?;
        if text.is_empty() {
            return Ok(None);
        }
        parse(text).map(Some).ok_or_else(|| cell_error(self.line, column, text))
    }

    fn word<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, FramesError> {
        let column = self.column;
        self.optional(parse)?.ok_or_else(|| cell_error(self.line, column, ""))
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, FramesError> {
        self.word(|s| s.parse().ok())
    }
}

fn cell_error(line: usize, column: usize, value: &str) -> FramesError {
    let name = names().nth(column).unwrap_or("(end)");
    FramesError::Cell { line, column: name.to_owned(), value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row() -> impl Strategy<Value = FrameRow> {
        let times = proptest::collection::vec(proptest::option::of(any::<u64>()), 10);
        let counts = proptest::collection::vec(any::<u32>(), 12);
        // One has all numbers for its range; the others have 0 to 1 in theirs.
        let any_number =
            proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL;
        let metrics = (
            proptest::collection::btree_map(proptest::sample::select(Metric::ALL.to_vec()), 0.0..1.0, 0..14),
            any_number,
        )
            .prop_map(|(mut metrics, any)| {
                metrics.entry(Metric::DepthD1).and_modify(|v| *v = any);
                metrics
            });
        (any::<u32>(), any::<bool>(), 0..4usize, 0..7usize, times, counts, metrics).prop_map(
            |(id, flag, status, cause, t, n, metrics)| {
                let mut row = FrameRow::new(id, if flag { Stream::Depth } else { Stream::Rgb });
                row.is_key = (!n[2].is_multiple_of(5)).then_some(flag);
                row.status = Status::ALL[status];
                row.loss_cause = LossCause::ALL.get(cause).copied();
                row.shown_frame_id = flag.then_some(n[0]);
                let t: Vec<_> = t.into_iter().map(|t| t.map(Timestamp)).collect();
                (row.capture, row.encode_end, row.first_sent, row.last_sent) = (t[0], t[1], t[2], t[3]);
                (row.first_received, row.last_received, row.complete) = (t[4], t[5], t[6]);
                (row.decode_end, row.render, row.deadline) = (t[7], t[8], t[9]);
                // Unknown is not zero: both come back as what they are.
                let known = |i: usize| (n[i] % 3 != 0).then_some(n[i] / 3);
                let traffic =
                    |i: usize| known(i).map(|packets| Traffic { packets, bytes: u64::from(n[i + 1]) });
                row.encoded_bytes = known(1);
                (row.data, row.parity, row.repeat) = (traffic(2), traffic(4), traffic(6));
                (row.lost, row.late, row.duplicates, row.recovered) =
                    (known(8), known(9), known(10), known(11));
                row.missing = known(0);
                row.shown_picture = flag.then(|| format!("{id:032x}"));
                row.metrics = metrics;
                row
            },
        )
    }

    proptest! {
        #[test]
        fn rows_read_back_to_the_same_bits(rows in proptest::collection::vec(row(), 0..8)) {
            let mut bytes = Vec::new();
            write_frames(&mut bytes, &rows).unwrap();
            prop_assert_eq!(read_frames(&bytes[..]).unwrap(), rows);
        }
    }

    #[test]
    fn errors_name_line_and_column() {
        let mut bytes = Vec::new();
        write_frames(&mut bytes, &[FrameRow::new(0, Stream::Rgb)]).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let bad = text.replace("0,rgb,0,frozen", "0,rgb,0,frosen");
        let error = read_frames(bad.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error,
            "failed to read frames.csv: line 2: column status: `frosen` makes no sense; run `freezeframe score` on the directory again"
        );
        let short = text.lines().next().unwrap().to_owned() + "\n0,rgb,0\n";
        let error = read_frames(short.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error,
            "failed to read frames.csv: line 2: column status: `` makes no sense; run `freezeframe score` on the directory again"
        );
        let other = text.replace("shown_frame_id", "shown");
        assert!(read_frames(other.as_bytes()).unwrap_err().to_string().contains("column shown_frame_id"));
    }
}
