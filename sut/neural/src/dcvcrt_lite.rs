//! DCVC-RT-lite as a codec: key frames by x265, predicted frames by the network of [`models::dcvcrt::lite`]. docs/DCVCRT.md.
//!
//! A predicted frame says how far back its reference is. A receiver that does not have that picture takes the latest before it: what the
//! frame says is read all the same.

use codecs::registry::{CodecEntry, H265};
use codecs::{
    CodecError, DecoderConfig, EncoderConfig, Quantisers, RateControl, Setting, Settings, Unit, VideoDecoder,
    VideoEncoder,
};
use media::Yuv420;
use models::dcvcrt::lite::cells::{padded, resized};
use models::dcvcrt::lite::codec::Codec;
use models::dcvcrt::lite::history::History;
use models::dcvcrt::lite::motion::Field;
use models::dcvcrt::lite::network::MOST_QP;
use models::dcvcrt::lite::{FILE, MOST_LAYERS, distance, key, layer};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Its line in the registry.
pub static DCVCRT_LITE: CodecEntry = CodecEntry {
    name: "dcvcrt-lite",
    most_qp: MOST_QP,
    default_qp: Quantisers { key: Some(28), other: 40 },
    settings: &[
        Setting { name: WEIGHTS, default: "" },
        Setting { name: LAYERS, default: "2" },
        Setting { name: STEP, default: "24" },
    ],
    encoder: |config| Ok(Box::new(Encoder::open(config)?)),
    anew: |_| None,
    decoder: |config| Ok(Box::new(Decoder::open(config)?)),
    libraries: H265.libraries,
    files: |settings| Ok(vec![weights(settings)?]),
    sources: crate::SOURCES,
};

/// Option: the file of weights instead of the shipped one.
const WEIGHTS: &str = "weights";
/// Option: with one layer every frame refers to the one before; with two every other frame to the second before, so that nothing refers
/// to those between; with three likewise every fourth.
const LAYERS: &str = "layers";
/// Option: by how much a frame's quantiser is smaller than that of the frames a layer below it, which more frames refer to.
const STEP: &str = "qp_step";
/// The largest quantiser of x265.
const MOST_KEY_QP: u8 = H265.most_qp;

/// A whole number of a range.
fn number(settings: &Settings, name: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, CodecError> {
    let wanted = || DCVCRT_LITE.settings.iter().find(|s| s.name == name).map_or("", |s| s.default);
    let text = settings.get(name).map_or_else(wanted, String::as_str);
    let value = text.parse().ok().filter(|value| range.contains(value));
    value.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        CodecError::Network(format!("option {name}: {text:?} is not {least} to {most}"))
    })
}

fn weights(settings: &Settings) -> Result<PathBuf, CodecError> {
    let failed = |e: &dyn std::fmt::Display| CodecError::Network(e.to_string());
    match settings.get(WEIGHTS).map(String::as_str) {
        None | Some("") => models::weights::find(FILE).map_err(|e| failed(&e)),
        Some(path) => {
            std::path::absolute(path).map_err(|e| CodecError::Network(format!("option {WEIGHTS}: {e}")))
        }
    }
}

/// The network of a file: the one that is loaded, or loaded now.
fn load(settings: &Settings) -> Result<Arc<Codec>, CodecError> {
    static LOADED: Mutex<Vec<(PathBuf, Weak<Codec>)>> = Mutex::new(Vec::new());
    let file = weights(settings)?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.retain(|(_, codec)| codec.strong_count() > 0);
    if let Some(there) = loaded.iter().find(|(f, _)| *f == file).and_then(|(_, c)| c.upgrade()) {
        return Ok(there);
    }
    let codec = Arc::new(Codec::load(&file).map_err(|e| CodecError::Network(e.to_string()))?);
    loaded.push((file, Arc::downgrade(&codec)));
    Ok(codec)
}

struct Encoder {
    codec: Arc<Codec>,
    config: EncoderConfig,
    quantisers: Quantisers,
    layers: u32,
    step: u8,
    /// Number of the last key frame.
    key: u32,
    history: History,
    field: Option<Field>,
}

impl Encoder {
    fn open(config: &EncoderConfig) -> Result<Self, CodecError> {
        let RateControl::ConstantQp(quantisers) = config.rate else {
            return Err(CodecError::Network(
                "DCVC-RT-lite has constant quantisers, no bitrate to keep".to_owned(),
            ));
        };
        if quantisers.of(true) > MOST_KEY_QP {
            return Err(CodecError::Network(format!(
                "option qp_i is {}; key frames are x265's, whose quantisers are 0 to {MOST_KEY_QP}",
                quantisers.of(true)
            )));
        }
        Ok(Self {
            codec: load(&config.settings)?,
            config: config.clone(),
            quantisers,
            layers: number(&config.settings, LAYERS, 1..=MOST_LAYERS)?,
            step: number(&config.settings, STEP, 0..=u32::from(MOST_QP))? as u8,
            key: 0,
            history: History::default(),
            field: None,
        })
    }

    fn key_frame(&mut self, frame: u32, picture: &Yuv420) -> Result<Unit, CodecError> {
        let qp = self.quantisers.of(true);
        let bytes = key::encode(picture, qp, &self.config)?;
        let decoded = key::decode(&bytes, (picture.width, picture.height))?;
        let decoded =
            decoded.ok_or_else(|| CodecError::Network("a key frame of x265's gave no picture".to_owned()))?;
        self.history = History::of(frame, padded(&decoded));
        (self.key, self.field) = (frame, None);
        Ok(Unit { bytes, key: true, qp })
    }
}

impl VideoEncoder for Encoder {
    fn encode(&mut self, frame: u32, picture: &Yuv420, key: bool) -> Result<Unit, CodecError> {
        let want = (self.config.width as usize, self.config.height as usize);
        if (picture.width, picture.height) != want {
            let got = (picture.width, picture.height);
            return Err(CodecError::Network(format!(
                "picture is {got:?}, the encoder was opened for {want:?}"
            )));
        }
        if key || self.history.at(frame).is_none() {
            return self.key_frame(frame, picture);
        }
        let above = layer(frame - self.key, self.layers) as u8;
        let qp = self.quantisers.other.saturating_sub(self.step * above);
        // Frames that were not asked for leave gaps: the reference is whatever stands for the number.
        let wanted = frame - distance(frame - self.key, self.layers).min(frame - self.key);
        let reference = self.history.at(wanted).expect("a key frame came first");
        let back = (frame - wanted) as u8;
        let sent = self.codec.encode(&padded(picture), reference, self.field.as_ref(), qp, back);
        self.history.add(frame, sent.picture);
        self.field = Some(sent.field);
        Ok(Unit { bytes: sent.bytes, key: false, qp })
    }
}

struct Decoder {
    codec: Arc<Codec>,
    size: (usize, usize),
    history: History,
}

impl Decoder {
    fn open(config: &DecoderConfig) -> Result<Self, CodecError> {
        let size = (config.width as usize, config.height as usize);
        Ok(Self { codec: load(&config.settings)?, size, history: History::default() })
    }
}

impl VideoDecoder for Decoder {
    fn decode(&mut self, frame: u32, unit: &Unit) -> Result<Option<Yuv420>, CodecError> {
        if unit.key {
            let picture = key::decode(&unit.bytes, self.size)?;
            if let Some(picture) = &picture {
                self.history = History::of(frame, padded(picture));
            }
            return Ok(picture);
        }
        let Some(back) = Codec::distance(&unit.bytes) else { return Ok(None) };
        let wanted = frame.saturating_sub(u32::from(back));
        let Some(reference) = self.history.at(wanted) else { return Ok(None) };
        let Some(picture) = self.codec.decode(&unit.bytes, reference, unit.qp) else { return Ok(None) };
        let shown = resized(&picture, self.size);
        self.history.add(frame, picture);
        Ok(Some(shown))
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        self.history = History::default();
        Ok(())
    }

    fn made_by(&self) -> String {
        crate::SOURCES.to_owned()
    }
}
