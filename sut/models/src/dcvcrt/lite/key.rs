//! Key frames: x265's, as ReVo has them.

use codecs::registry::H265;
use codecs::{CodecError, DecoderConfig, EncoderConfig, Quantisers, RateControl, Settings, Unit};
use media::Yuv420;

/// The bytes of a picture, from an encoder of its own: a key frame depends on nothing before it.
///
/// # Errors
/// Those of x265.
pub fn encode(picture: &Yuv420, qp: u8, config: &EncoderConfig) -> Result<Vec<u8>, CodecError> {
    let config = EncoderConfig {
        codec: H265.name.to_owned(),
        rate: RateControl::ConstantQp(Quantisers::both(qp)),
        settings: Settings::new(),
        ..config.clone()
    };
    Ok((H265.encoder)(&config)?.encode(0, picture, true)?.bytes)
}

/// The picture of a key frame's bytes, if they have one of this size.
///
/// # Errors
/// What no network does.
pub fn decode(bytes: &[u8], (width, height): (usize, usize)) -> Result<Option<Yuv420>, CodecError> {
    let config = DecoderConfig::new(H265.name, (width as u32, height as u32));
    let unit = Unit { bytes: bytes.to_vec(), key: true, qp: 0 };
    let picture = (H265.decoder)(&config)?.decode(0, &unit)?;
    Ok(picture.filter(|p| (p.width, p.height) == (width, height)))
}
