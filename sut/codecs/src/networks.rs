//! Networks in a process of their own, so that a program that mostly needs none need not load libtorch.
//!
//! ```text
//! this program ── Ask, bytes ──▶ `sut-neural serve` ── Answer, bytes ──▶ this program        one answer for each question, in order
//! ```
//! A message is a length (u32, little-endian), that many bytes of JSON, a length, and that many bytes of pictures or units. Both
//! ends are here, side by side; `sut-neural` has the networks.

use crate::restore::{Restorer, RestorerConfig, Slot};
use crate::{CodecError, DecoderConfig, Unit, VideoDecoder};
use media::{Rgb, Yuv420};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

/// Name of the program that has the networks.
pub const PROGRAM: &str = "sut-neural";
/// No message is longer; a larger length means that the other end is something else.
const MAX_LENGTH: u32 = 1 << 30;

/// A question. What is opened is known by the number in the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// What the answers depend on.
    Hello {
        /// Threads that libtorch may use; 0: as many as it likes.
        threads: u32,
    },
    /// Opens a decoder.
    OpenDecoder(DecoderConfig),
    /// Decodes the bytes.
    Decode {
        /// The decoder.
        id: u32,
        /// Captured frame.
        frame: u32,
        /// See [`Unit`].
        key: bool,
        /// See [`Unit`].
        qp: u8,
    },
    /// Resets a decoder.
    Reset {
        /// The decoder.
        id: u32,
    },
    /// Opens a restorer.
    OpenRestorer {
        /// Its name.
        name: String,
        /// How.
        config: RestorerConfig,
    },
    /// Restores a frame whose picture, if there is one, is the bytes.
    Restore {
        /// The restorer.
        id: u32,
        /// The frame.
        slot: Slot,
        /// Size of the picture.
        picture: Option<(usize, usize)>,
    },
    /// Opens an LPIPS net.
    OpenLpips {
        /// Name of the metric.
        metric: String,
        /// Weights.
        path: PathBuf,
        /// On a GPU.
        cuda: bool,
    },
    /// Distance of two RGB pictures, one after the other.
    Distance {
        /// The net.
        id: u32,
        /// Columns and rows of both.
        size: (usize, usize),
    },
    /// Makes an LPIPS file of the two published ones.
    ConvertLpips {
        /// Name of the metric.
        metric: String,
        /// torchvision's file.
        backbone: PathBuf,
        /// The heads.
        heads: PathBuf,
        /// What is written.
        to: PathBuf,
    },
    /// Forgets what was opened.
    Close {
        /// By its number.
        id: u32,
    },
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Number of what was opened.
    pub id: u32,
    /// See [`VideoDecoder::is_stateless`].
    pub stateless: bool,
    /// What answers depend on besides settings, files and the program that asks.
    pub made_by: String,
    /// Size of the picture in the bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<(usize, usize)>,
    /// The distance, by its bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<u64>,
}

/// The bytes of a picture, plane after plane.
#[must_use]
pub fn planes(picture: &Yuv420) -> Vec<u8> {
    picture.planes().concat()
}

/// A picture of [`planes`]; `None` if there are more or fewer bytes.
#[must_use]
pub fn picture((width, height): (usize, usize), bytes: &[u8]) -> Option<Yuv420> {
    let luma = width.checked_mul(height)?;
    let chroma = width.div_ceil(2).checked_mul(height.div_ceil(2))?;
    if bytes.len() != luma.checked_add(chroma.checked_mul(2)?)? {
        return None;
    }
    let mut rest = bytes;
    Some(Yuv420::from_planes((width, height), |_, (w, h)| {
        let (plane, after) = rest.split_at(w * h);
        rest = after;
        plane.to_vec()
    }))
}

fn send(to: &mut impl Write, message: &impl Serialize, payload: &[&[u8]]) -> io::Result<()> {
    let json = serde_json::to_vec(message).map_err(io::Error::other)?;
    let length = |n: usize| u32::try_from(n).map(u32::to_le_bytes).map_err(io::Error::other);
    to.write_all(&length(json.len())?)?;
    to.write_all(&json)?;
    to.write_all(&length(payload.iter().map(|p| p.len()).sum())?)?;
    payload.iter().try_for_each(|part| to.write_all(part))?;
    to.flush()
}

/// `None` at the end of the stream.
fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut length = [0; 4];
    if from.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..])?;
    let json = part(from, length)?;
    from.read_exact(&mut length)?;
    let payload = part(from, length)?;
    Ok(Some((serde_json::from_slice(&json)?, payload)))
}

fn part(from: &mut impl Read, length: [u8; 4]) -> io::Result<Vec<u8>> {
    let length = u32::from_le_bytes(length);
    if length > MAX_LENGTH {
        return Err(io::Error::other(format!("a message of {length} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Answers until the questions end.
///
/// # Errors
/// A pipe that breaks, or bytes that are no question.
pub fn serve(
    from: &mut impl Read,
    to: &mut impl Write,
    answer: &mut dyn FnMut(Ask, &[u8]) -> Result<(Answer, Vec<u8>), String>,
) -> io::Result<()> {
    while let Some((ask, payload)) = receive::<Ask>(from)? {
        let (answer, payload) = answer(ask, &payload)
            .unwrap_or_else(|error| (Answer { error: Some(error), ..Answer::default() }, Vec::new()));
        send(to, &answer, &[&payload])?;
    }
    Ok(())
}

/// The process that has the networks; ends with this value.
pub struct Networks {
    child: Child,
    to: Option<BufWriter<ChildStdin>>,
    from: BufReader<ChildStdout>,
    made_by: String,
}

/// [`Networks`] that several things use in turn.
pub type Shared = Arc<Mutex<Networks>>;

impl Networks {
    /// Starts `program`, with so many threads for libtorch (0: as many as it likes).
    ///
    /// # Errors
    /// A program that is not there or does not answer.
    pub fn start(program: &Path, threads: u32) -> Result<Shared, CodecError> {
        let failed =
            |e: io::Error| CodecError::Network(format!("failed to start {}: {e}", program.display()));
        let mut child = Command::new(program)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::Error::other("no pipes")));
        };
        let (to, from) =
            (Some(BufWriter::with_capacity(1 << 20, to)), BufReader::with_capacity(1 << 20, from));
        let mut networks = Self { child, to, from, made_by: String::new() };
        networks.made_by = networks.ask(&Ask::Hello { threads }, &[])?.0.made_by;
        Ok(Arc::new(Mutex::new(networks)))
    }

    /// Libraries that its answers depend on.
    #[must_use]
    pub fn made_by(&self) -> &str {
        &self.made_by
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What the other end says, or that it is gone.
    pub fn ask(&mut self, ask: &Ask, payload: &[&[u8]]) -> Result<(Answer, Vec<u8>), CodecError> {
        let mut talk = || -> io::Result<Option<(Answer, Vec<u8>)>> {
            if let Some(to) = &mut self.to {
                send(to, ask, payload)?;
            }
            receive(&mut self.from)
        };
        match talk() {
            Ok(Some((Answer { error: Some(error), .. }, _))) => Err(CodecError::Network(error)),
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => {
                Err(CodecError::Network(format!("the process of the networks ({PROGRAM}) has ended")))
            }
            Err(e) => {
                Err(CodecError::Network(format!("the process of the networks ({PROGRAM}) failed: {e}")))
            }
        }
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        self.to = None; // the end of its input is its end
        let _ = self.child.wait();
    }
}

/// Asks shared networks.
fn ask(networks: &Shared, ask: &Ask, payload: &[&[u8]]) -> Result<(Answer, Vec<u8>), CodecError> {
    match networks.lock() {
        Ok(mut networks) => networks.ask(ask, payload),
        Err(_) => Err(CodecError::Network("a thread panicked while it waited for a network".to_owned())),
    }
}

/// Something that is open in the other process.
struct Remote {
    networks: Shared,
    id: u32,
    stateless: bool,
    made_by: String,
}

impl Remote {
    fn open(networks: &Shared, question: &Ask) -> Result<Self, CodecError> {
        let (Answer { id, stateless, made_by, .. }, _) = ask(networks, question, &[])?;
        Ok(Self { networks: networks.clone(), id, stateless, made_by })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = ask(&self.networks, &Ask::Close { id: self.id }, &[]);
    }
}

/// A decoder in that process.
///
/// # Errors
/// When it cannot be opened.
pub fn decoder(networks: &Shared, config: &DecoderConfig) -> Result<Box<dyn VideoDecoder>, CodecError> {
    Ok(Box::new(RemoteDecoder(Remote::open(networks, &Ask::OpenDecoder(config.clone()))?)))
}

struct RemoteDecoder(Remote);

impl VideoDecoder for RemoteDecoder {
    fn decode(&mut self, frame: u32, unit: &Unit) -> Result<Option<Yuv420>, CodecError> {
        let (id, key, qp) = (self.0.id, unit.key, unit.qp);
        shown(ask(&self.0.networks, &Ask::Decode { id, frame, key, qp }, &[&unit.bytes])?)
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        ask(&self.0.networks, &Ask::Reset { id: self.0.id }, &[]).map(|_| ())
    }

    fn is_stateless(&self) -> bool {
        self.0.stateless
    }

    fn made_by(&self) -> String {
        self.0.made_by.clone()
    }
}

/// A restorer in that process.
///
/// # Errors
/// When it cannot be opened.
pub fn restorer(
    networks: &Shared,
    name: &str,
    config: &RestorerConfig,
) -> Result<Box<dyn Restorer>, CodecError> {
    let question = Ask::OpenRestorer { name: name.to_owned(), config: config.clone() };
    Ok(Box::new(RemoteRestorer(Remote::open(networks, &question)?)))
}

struct RemoteRestorer(Remote);

impl Restorer for RemoteRestorer {
    fn restore(&mut self, slot: &Slot, picture: Option<Yuv420>) -> Result<Option<Yuv420>, CodecError> {
        let size = picture.as_ref().map(|p| (p.width, p.height));
        let question = Ask::Restore { id: self.0.id, slot: *slot, picture: size };
        let bytes = picture.as_ref().map(planes).unwrap_or_default();
        shown(ask(&self.0.networks, &question, &[&bytes])?)
    }

    fn made_by(&self) -> String {
        self.0.made_by.clone()
    }
}

fn shown((answer, bytes): (Answer, Vec<u8>)) -> Result<Option<Yuv420>, CodecError> {
    let whole = |size| {
        picture(size, &bytes).ok_or_else(|| CodecError::Network(format!("{PROGRAM} gave half a picture")))
    };
    answer.picture.map(whole).transpose()
}

/// An LPIPS net in that process.
pub struct Lpips(Remote);

impl Lpips {
    /// Loads the net of a metric.
    ///
    /// # Errors
    /// Weights that are not there or not this net's.
    pub fn open(networks: &Shared, metric: &str, path: &Path, cuda: bool) -> Result<Self, CodecError> {
        let question = Ask::OpenLpips { metric: metric.to_owned(), path: path.to_owned(), cuda };
        Remote::open(networks, &question).map(Self)
    }

    /// Libraries that its distances depend on.
    #[must_use]
    pub fn made_by(&self) -> &str {
        &self.0.made_by
    }

    /// Distance of two pictures of one size.
    ///
    /// # Errors
    /// Pictures of two sizes or too small for the net; libtorch's failures.
    pub fn distance(&self, a: &Rgb, b: &Rgb) -> Result<f64, CodecError> {
        if (a.width, a.height) != (b.width, b.height) {
            return Err(CodecError::Network("pictures of two sizes".to_owned()));
        }
        let question = Ask::Distance { id: self.0.id, size: (a.width, a.height) };
        let (answer, _) = ask(&self.0.networks, &question, &[&a.data, &b.data])?;
        let missing = || CodecError::Network(format!("{PROGRAM} gave no distance"));
        answer.distance.map(f64::from_bits).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were() {
        let slot = Slot { frame: 7, key: false, arrival: crate::Arrival::Partial, exact: false };
        let question = Ask::Restore { id: 3, slot, picture: Some((5, 3)) };
        let mut wire = Vec::new();
        send(&mut wire, &question, &[b"ab", b"c"]).unwrap();
        let mut wire = &wire[..];
        assert_eq!(receive::<Ask>(&mut wire).unwrap(), Some((question, b"abc".to_vec())));
        assert_eq!(receive::<Ask>(&mut wire).unwrap(), None);
    }

    #[test]
    fn odd_pictures_come_back_and_others_are_refused() {
        let mut odd = Yuv420::filled(5, 3, (1, 2, 3));
        odd.y[14] = 9;
        assert_eq!(picture((5, 3), &planes(&odd)), Some(odd.clone()));
        assert_eq!(picture((5, 4), &planes(&odd)), None);
        assert_eq!(picture((usize::MAX, 2), &[]), None);
    }

    #[test]
    fn an_error_is_an_answer_and_the_next_question_is_heard() {
        let mut questions = Vec::new();
        for id in [1, 2] {
            send(&mut questions, &Ask::Reset { id }, &[]).unwrap();
        }
        let mut answers = Vec::new();
        let mut answer = |ask: Ask, _: &[u8]| match ask {
            Ask::Reset { id: 1 } => Err("no".to_owned()),
            _ => Ok((Answer { id: 5, ..Answer::default() }, vec![8])),
        };
        serve(&mut &questions[..], &mut answers, &mut answer).unwrap();
        let mut answers = &answers[..];
        assert_eq!(receive::<Answer>(&mut answers).unwrap().unwrap().0.error.as_deref(), Some("no"));
        let (last, bytes) = receive::<Answer>(&mut answers).unwrap().unwrap();
        assert_eq!((last.id, last.error, bytes), (5, None, vec![8]));
    }
}
