//! The process that has the networks for programs without: decoders, restorers, LPIPS nets, by the messages of
//! [`codecs::networks`].

use codecs::networks::{self, Answer, Ask};
use codecs::{CodecError, Restorer, Unit, VideoDecoder, registry};
use contract::digest::{cache_folder, sha256};
use media::{Rgb, Yuv420};
use models::lpips::{self, Lpips, Net};
use std::collections::BTreeMap;
use std::io;
use tch::Device;

/// Something that was opened.
enum Open {
    Decoder(Box<dyn VideoDecoder>),
    Restorer(Box<dyn Restorer>),
    Lpips(Box<Lpips>),
}

/// Answers on standard output what standard input asks, until it ends.
///
/// # Errors
/// A pipe that breaks, or bytes that are no question.
pub fn serve() -> io::Result<()> {
    let mut server = Server { opened: BTreeMap::new(), next: 0, libraries: libraries() };
    networks::serve(
        &mut io::BufReader::with_capacity(1 << 20, io::stdin().lock()),
        &mut io::BufWriter::with_capacity(1 << 20, io::stdout().lock()),
        &mut |ask, payload| server.answer(ask, payload).map_err(|e| e.to_string()),
    )
}

/// The code around the networks, and libtorch as it is loaded.
fn libraries() -> String {
    let cache = cache_folder();
    let hash = |path: &std::path::Path| sha256(path, cache.as_deref());
    let found: Vec<String> = ["libtorch_cpu", "libtorch_cuda"]
        .iter()
        .filter_map(|name| codecs::identity::library(name, &hash))
        .collect();
    format!("{} {}", crate::SOURCES, found.join(" "))
}

struct Server {
    opened: BTreeMap<u32, Open>,
    next: u32,
    libraries: String,
}

impl Server {
    fn answer(&mut self, ask: Ask, payload: &[u8]) -> Result<(Answer, Vec<u8>), CodecError> {
        let nothing = || Ok((Answer::default(), Vec::new()));
        match ask {
            Ask::Hello { threads } => {
                if let Ok(threads @ 1..) = i32::try_from(threads) {
                    tch::set_num_threads(threads);
                }
                Ok((Answer { made_by: self.libraries.clone(), ..Answer::default() }, Vec::new()))
            }
            Ask::OpenDecoder(config) => {
                let decoder = registry::open_decoder(&config)?;
                let (stateless, made_by) = (decoder.is_stateless(), decoder.made_by());
                Ok(self.open(Open::Decoder(decoder), stateless, &made_by))
            }
            Ask::OpenRestorer { name, config } => {
                let restorer = registry::open_restorer(&name, &config)?;
                let made_by = restorer.made_by();
                Ok(self.open(Open::Restorer(restorer), false, &made_by))
            }
            Ask::OpenLpips { metric, path, cuda } => {
                let device = if cuda { Device::Cuda(0) } else { Device::Cpu };
                let net = Lpips::load(net(&metric)?, &path, device).map_err(failed)?;
                Ok(self.open(Open::Lpips(Box::new(net)), false, ""))
            }
            Ask::Decode { id, frame, key, qp } => {
                let Some(Open::Decoder(decoder)) = self.opened.get_mut(&id) else { return Err(unknown(id)) };
                Ok(with_picture(decoder.decode(frame, &Unit { bytes: payload.to_vec(), key, qp })?.as_ref()))
            }
            Ask::Reset { id } => {
                let Some(Open::Decoder(decoder)) = self.opened.get_mut(&id) else { return Err(unknown(id)) };
                decoder.reset()?;
                nothing()
            }
            Ask::Restore { id, slot, picture } => {
                let Some(Open::Restorer(restorer)) = self.opened.get_mut(&id) else {
                    return Err(unknown(id));
                };
                let half = || CodecError::Network("half a picture".to_owned());
                let given =
                    picture.map(|size| networks::picture(size, payload).ok_or_else(half)).transpose()?;
                Ok(with_picture(restorer.restore(&slot, given)?.as_ref()))
            }
            Ask::Distance { id, size: (width, height) } => {
                let Some(Open::Lpips(net)) = self.opened.get(&id) else { return Err(unknown(id)) };
                let (a, b) = payload.split_at(payload.len() / 2);
                let [a, b] = [a, b].map(|data| Rgb { width, height, data: data.to_vec() });
                let distance = net.distance(&a, &b).map_err(failed)?;
                Ok((Answer { distance: Some(distance.to_bits()), ..Answer::default() }, Vec::new()))
            }
            Ask::ConvertLpips { metric, backbone, heads, to } => {
                lpips::convert(net(&metric)?, &backbone, &heads, &to)
                    .map_err(|e| CodecError::Network(format!("{e:#}")))?;
                nothing()
            }
            Ask::Close { id } => {
                self.opened.remove(&id);
                nothing()
            }
        }
    }

    fn open(&mut self, opened: Open, stateless: bool, made_by: &str) -> (Answer, Vec<u8>) {
        let id = self.next;
        self.next += 1;
        self.opened.insert(id, opened);
        let made_by = format!("{} {made_by}", self.libraries);
        (Answer { id, stateless, made_by, ..Answer::default() }, Vec::new())
    }
}

fn with_picture(picture: Option<&Yuv420>) -> (Answer, Vec<u8>) {
    let size = picture.map(|p| (p.width, p.height));
    (Answer { picture: size, ..Answer::default() }, picture.map(networks::planes).unwrap_or_default())
}

fn net(metric: &str) -> Result<Net, CodecError> {
    let unknown = || CodecError::Unknown { what: "LPIPS net", name: metric.to_owned() };
    Net::ALL.into_iter().find(|n| n.metric() == metric).ok_or_else(unknown)
}

fn unknown(id: u32) -> CodecError {
    CodecError::Network(format!("nothing of that kind was opened as {id}"))
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` gives it
fn failed(error: lpips::LpipsError) -> CodecError {
    CodecError::Network(error.to_string())
}
