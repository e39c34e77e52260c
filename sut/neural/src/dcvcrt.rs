//! DCVC-RT as a codec: the networks of [`models::dcvcrt`] on 4:2:0 pictures, run as ReVo runs them.
//!
//! Nothing in a unit says its quantiser, its kind or when features begin anew: the quantiser travels in ReVo's header, a key frame
//! is one by its frame number, and a predicted frame with `frame mod reset_interval = 1` refers to the picture before it instead
//! of the feature. A decoder that never saw a frame keeps what it had. docs/DCVCRT.md.

use codecs::registry::CodecEntry;
use codecs::{
    CodecError, DecoderConfig, EncoderConfig, Quantisers, RateControl, Setting, Settings, Unit, VideoDecoder,
    VideoEncoder,
};
use media::convert::{Colour, to_rgb, to_yuv420};
use media::{Rgb, Yuv420};
use models::dcvcrt::{Coding, ImageModel, Place, Reference, VideoModel, colour};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tch::{Device, Tensor};

/// Its line in the registry.
pub static DCVCRT: CodecEntry = CodecEntry {
    name: "dcvcrt",
    most_qp: MOST_QP,
    // ReVo's.
    default_qp: Quantisers { key: Some(31), other: 63 },
    settings: &[
        Setting { name: IMAGE, default: "" },
        Setting { name: VIDEO, default: "" },
        Setting { name: RESET, default: "64" },
        Setting { name: THRESHOLD, default: "0.12" },
        Setting { name: DEVICE, default: "cpu" },
        Setting { name: PRECISION, default: "fp32" },
    ],
    encoder: |config| Ok(Box::new(Encoder::open(config)?)),
    anew: |_| None,
    decoder: |config| Ok(Box::new(Decoder::open(config)?)),
    libraries: &[],
    files: |settings| Ok(weights(settings)?.into()),
    sources: crate::SOURCES,
};

const MOST_QP: u8 = 63;
/// Options: the two files of weights, as published or as safetensors of the same keys.
const IMAGE: &str = "image_weights";
const VIDEO: &str = "video_weights";
/// Option: predicted frames whose number is 1 modulo this refer to a picture, not to a feature; 0: none does.
const RESET: &str = "reset_interval";
/// Option: latents of smaller deviation are not coded.
const THRESHOLD: &str = "skip_threshold";
/// Options: where networks compute (`cpu`, `cuda`), in which numbers (`fp32`; on CUDA also `fp16`, `bf16`).
const DEVICE: &str = "device";
const PRECISION: &str = "precision";
/// Pictures above this many pixels are coded by two coders (the original's rule).
const TWO_CODERS_ABOVE: u32 = 1280 * 720;
/// Pictures here are 4:2:0 of this matrix; the networks' own is inside them.
const COLOUR: Colour = Colour::BT601;

fn weights(settings: &Settings) -> Result<[PathBuf; 2], CodecError> {
    let path = |name: &str| match settings.get(name).map(String::as_str) {
        None | Some("") => Err(CodecError::Network(format!(
            "DCVC-RT has no weights of its own; give option {name} the path of cvpr2025_{}.pth.tar (docs/DCVCRT.md)",
            if name == IMAGE { "image" } else { "video" }
        ))),
        Some(path) => {
            std::path::absolute(path).map_err(|e| CodecError::Network(format!("option {name}: {e}")))
        }
    };
    Ok([path(IMAGE)?, path(VIDEO)?])
}

/// Where the networks compute.
fn place(settings: &Settings) -> Result<Place, CodecError> {
    let text = |name: &str, default| settings.get(name).map_or(default, String::as_str);
    Place::parse(text(DEVICE, "cpu"), text(PRECISION, "fp32"))
        .map_err(|e| CodecError::Network(format!("DCVC-RT: option {e}")))
}

/// Both networks; large, so that all streams of a process share one pair.
struct Networks {
    image: ImageModel,
    video: VideoModel,
}

type Shared = Arc<Mutex<Networks>>;

/// The networks of these files: those that are loaded, or loaded now.
fn load(settings: &Settings) -> Result<Shared, CodecError> {
    static LOADED: Mutex<Vec<(([PathBuf; 2], Place), Weak<Mutex<Networks>>)>> = Mutex::new(Vec::new());
    let place = place(settings)?;
    let files = weights(settings)?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.retain(|(_, networks)| networks.strong_count() > 0);
    if let Some(there) =
        loaded.iter().find(|((f, p), _)| (f, *p) == (&files, place)).and_then(|(_, n)| n.upgrade())
    {
        return Ok(there);
    }
    models::memory::keep_freed();
    let failed = |e: models::weights::WeightsError| CodecError::Network(e.to_string());
    let image = ImageModel::load(&files[0], place).map_err(failed)?;
    let video = VideoModel::load(&files[1], place).map_err(failed)?;
    let networks = Arc::new(Mutex::new(Networks { image, video }));
    loaded.push(((files, place), Arc::downgrade(&networks)));
    Ok(networks)
}

/// The networks, for one picture.
///
/// One decision that falls the other way turns a frame to noise: the same number of threads everywhere. libtorch counts them by the
/// thread that calls it.
fn lock(networks: &Shared) -> MutexGuard<'_, Networks> {
    tch::set_num_threads(1);
    networks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What encoder and decoder of one stream have in common.
struct Session {
    networks: Shared,
    place: Place,
    size: (usize, usize),
    coding: Coding,
    reset_interval: u32,
    reference: Option<Reference>,
}

impl Session {
    fn open(width: u32, height: u32, settings: &Settings) -> Result<Self, CodecError> {
        let text = |name: &str| settings.get(name).map_or("", String::as_str);
        let bad =
            |name: &str| CodecError::Network(format!("option {name}: {:?} is no number for it", text(name)));
        let threshold: f32 = text(THRESHOLD).parse().map_err(|_| bad(THRESHOLD))?;
        if !(0.0..=16.0).contains(&threshold) {
            return Err(bad(THRESHOLD));
        }
        let two = u64::from(width) * u64::from(height) > u64::from(TWO_CODERS_ABOVE);
        Ok(Self {
            networks: load(settings)?,
            place: place(settings)?,
            size: (width as usize, height as usize),
            coding: Coding { threshold: (threshold > 0.0).then_some(threshold), two },
            reset_interval: text(RESET).parse().map_err(|_| bad(RESET))?,
            reference: None,
        })
    }

    /// The picture for the networks, `[1, 3, h, w]`.
    fn input(&self, picture: &Yuv420) -> Tensor {
        let (width, height) = (self.size.0 as i64, self.size.1 as i64);
        let rgb = to_rgb(picture, COLOUR);
        let picture = colour::from_rgb(&Tensor::from_slice(&rgb.data).view([height, width, 3]));
        picture.to_device(self.place.device).to_kind(self.place.kind)
    }

    /// Rows and columns as the networks see them.
    fn padded(&self) -> (i64, i64) {
        let up = |n: usize| (n as i64 + colour::MULTIPLE - 1) / colour::MULTIPLE * colour::MULTIPLE;
        (up(self.size.1), up(self.size.0))
    }

    fn output(&self, picture: &Tensor) -> Result<Yuv420, CodecError> {
        let (width, height) = self.size;
        let rgb = colour::to_rgb(picture, (height as i64, width as i64));
        let bytes = rgb.to_device(Device::Cpu).contiguous().view([-1]);
        let data =
            Vec::<u8>::try_from(&bytes).map_err(|e| CodecError::Network(format!("libtorch failed: {e}")))?;
        Ok(to_yuv420(&Rgb { width, height, data }, COLOUR))
    }

    fn begins_anew(&self, frame: u32) -> bool {
        self.reset_interval > 0 && frame % self.reset_interval == 1 % self.reset_interval
    }
}

struct Encoder {
    session: Session,
    quantisers: Quantisers,
}

impl Encoder {
    fn open(config: &EncoderConfig) -> Result<Self, CodecError> {
        let RateControl::ConstantQp(quantisers) = config.rate else {
            return Err(CodecError::Network(
                "DCVC-RT here has constant quantisers, no bitrate to keep".to_owned(),
            ));
        };
        Ok(Self { session: Session::open(config.width, config.height, &config.settings)?, quantisers })
    }
}

impl VideoEncoder for Encoder {
    fn encode(&mut self, frame: u32, picture: &Yuv420, key: bool) -> Result<Unit, CodecError> {
        let session = &mut self.session;
        if (picture.width, picture.height) != session.size {
            let (got, want) = ((picture.width, picture.height), session.size);
            return Err(CodecError::Network(format!(
                "picture is {got:?}, the encoder was opened for {want:?}"
            )));
        }
        let input = session.input(picture);
        let anew = session.begins_anew(frame);
        let networks = lock(&session.networks);
        let coding = session.coding;
        let reference = session.reference.as_mut().filter(|_| !key);
        let key = reference.is_none();
        let qp = self.quantisers.of(key);
        let (bytes, next) = match reference {
            None => {
                let (latents, decoded) = networks.image.encode(&input, i64::from(qp), coding);
                let bytes = latents.write(networks.image.tables(), i64::from(qp), coding.two);
                (bytes, Reference::of_key(&decoded))
            }
            Some(reference) => {
                if anew {
                    networks.video.reset(reference);
                }
                let (latents, feature) = networks.video.encode(&input, reference, i64::from(qp), coding);
                let bytes = latents.write(networks.video.tables(), i64::from(qp), coding.two);
                (bytes, Reference::of_predicted(&feature, i64::from(qp), None))
            }
        };
        drop(networks);
        session.reference = Some(next);
        Ok(Unit { bytes, key, qp })
    }
}

struct Decoder {
    session: Session,
}

impl Decoder {
    fn open(config: &DecoderConfig) -> Result<Self, CodecError> {
        Ok(Self { session: Session::open(config.width, config.height, &config.settings)? })
    }
}

impl VideoDecoder for Decoder {
    fn decode(&mut self, frame: u32, unit: &Unit) -> Result<Option<Yuv420>, CodecError> {
        let session = &mut self.session;
        // A forged header may say any quantiser; the networks have rows for these.
        if unit.qp > MOST_QP {
            return Ok(None);
        }
        let (qp, size, coding) = (i64::from(unit.qp), session.padded(), session.coding);
        let anew = session.begins_anew(frame);
        let networks = lock(&session.networks);
        let (picture, next) = if unit.key {
            let picture = networks.image.decode(&unit.bytes, size, qp, coding);
            let next = Reference::of_key(&picture);
            (picture, next)
        } else {
            let Some(reference) = &mut session.reference else { return Ok(None) };
            if anew {
                networks.video.reset(reference);
            }
            let (feature, picture) = networks.video.decode(&unit.bytes, size, reference, qp, coding);
            let next = Reference::of_predicted(&feature, qp, Some(&picture));
            (picture, next)
        };
        drop(networks);
        session.reference = Some(next);
        session.output(&picture).map(Some)
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        self.session.reference = None;
        Ok(())
    }

    fn made_by(&self) -> String {
        crate::SOURCES.to_owned()
    }
}
