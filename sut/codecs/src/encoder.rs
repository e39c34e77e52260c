//! Encoding, one picture in, one encoded frame out.

use crate::{Codec, CodecError, Settings, Unit, VideoEncoder, VpxSettings, ff::fill_frame};
use ffmpeg as ff;
use media::Yuv420;
use serde::{Deserialize, Serialize};

/// How many bits a frame may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RateControl {
    /// Constant quantisers.
    ConstantQp(Quantisers),
    /// Constant bitrate in bits per second, one pass, no frame dropping.
    Cbr(u64),
}

/// Quantisers of key frames and of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantisers {
    /// Of key frames; absent: what the encoder derives from the other (x264 and x265: 2.9 less, rounded).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<u8>,
    /// Of all other frames.
    pub other: u8,
}

impl Quantisers {
    /// One for both, as encoders understand it.
    #[must_use]
    pub const fn both(qp: u8) -> Self {
        Self { key: None, other: qp }
    }

    /// The one to announce with a frame.
    #[must_use]
    pub fn of(self, key: bool) -> u8 {
        if key { self.key.unwrap_or(self.other) } else { self.other }
    }

    /// x264's and x265's `ipratio` that makes the quantiser of key frames what was asked for: they take `6 log2(ipratio)` off the
    /// other one and round.
    fn ip_ratio(self) -> Option<f64> {
        self.key.map(|key| ((f64::from(self.other) - f64::from(key)) / 6.0).exp2())
    }
}

/// Everything that decides an encoder's output. Equal configurations and pictures give equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Name of the codec in the [registry](crate::registry).
    pub codec: String,
    /// Columns; even.
    pub width: u32,
    /// Rows; even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// How many bits a frame may cost.
    pub rate: RateControl,
    /// A key frame every so many frames, counted from the last; 0: only the first and on request.
    pub gop: u32,
    /// x264 and x265: their preset's name.
    pub preset: String,
    /// x264: slices per frame, each by a thread of its own (at most one per four rows of macroblocks). The original ReVo has one per
    /// core of its sender, at most 8 at 512x512; pinned so that machines agree.
    pub slices: u32,
    /// Everything else that libvpx is told; VP8 and VP9 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpx: Option<VpxSettings>,
    /// What other codecs need to be told.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
}

impl EncoderConfig {
    /// ReVo's settings for H.264 and H.265 (its codec wrappers): constant QP 30, GOP 30, no B-frames, no look-ahead.
    #[must_use]
    pub fn revo(codec: &str, width: u32, height: u32, fps: u32) -> Self {
        let preset = if codec == Codec::H265.name() { "ultrafast" } else { "medium" };
        Self {
            codec: codec.to_owned(),
            width,
            height,
            fps,
            rate: RateControl::ConstantQp(Quantisers::both(30)),
            gop: 30,
            preset: preset.into(),
            slices: 1,
            vpx: None,
            settings: Settings::new(),
        }
    }

    /// libvpx for a target bitrate (bits per second), key frames on request: VP8 as libwebrtc opens it, VP9 as Ringmaster does.
    #[must_use]
    pub fn vpx(codec: Codec, width: u32, height: u32, fps: u32, bps: u64) -> Self {
        let vpx = match codec {
            Codec::Vp9 => VpxSettings::ringmaster(fps),
            _ => VpxSettings::libwebrtc(width, height, fps),
        };
        Self {
            codec: codec.name().to_owned(),
            width,
            height,
            fps,
            rate: RateControl::Cbr(bps),
            gop: 0,
            preset: String::new(),
            slices: 1,
            vpx: Some(vpx),
            settings: Settings::new(),
        }
    }
}

/// An open x264 or x265 encoder.
pub struct Encoder {
    codec: Codec,
    config: EncoderConfig,
    inner: ff::encoder::Video,
    frame: ff::frame::Video,
    next_pts: i64,
}

impl Encoder {
    /// Opens the encoder of `config`.
    pub fn new(config: &EncoderConfig) -> Result<Self, CodecError> {
        crate::ff::init();
        let codec: Codec = config.codec.parse()?;
        let name = codec.encoder_name();
        let found = ff::encoder::find_by_name(name).ok_or(CodecError::Missing { codec, name })?;
        let fail = |doing| move |source| CodecError::Ffmpeg { codec, doing, source };

        let context = ff::codec::context::Context::new_with_codec(found);
        let mut video = context.encoder().video().map_err(fail("open the encoder"))?;
        video.set_width(config.width);
        video.set_height(config.height);
        video.set_format(ff::format::Pixel::YUV420P);
        video.set_time_base((1, config.fps as i32));
        video.set_frame_rate(Some((config.fps as i32, 1)));
        video.set_max_b_frames(0);
        video.set_threading(ff::threading::Config::count(1));
        let mut options = ff::Dictionary::new();
        match codec {
            Codec::H264 => x264(config, &mut video, &mut options),
            Codec::H265 => x265(config, &mut video, &mut options),
            Codec::Vp8 | Codec::Vp9 => {
                return Err(CodecError::Unknown { what: "encoder of FFmpeg's", name: config.codec.clone() });
            }
        }
        let inner = open(codec, video, found, options)?;
        let frame = ff::frame::Video::new(ff::format::Pixel::YUV420P, config.width, config.height);
        Ok(Self { codec, config: config.clone(), inner, frame, next_pts: 0 })
    }

    fn submit(&mut self, picture: &Yuv420, force_key: bool) -> Result<(), CodecError> {
        let codec = self.codec;
        let want = (self.config.width as usize, self.config.height as usize);
        if (picture.width, picture.height) != want {
            return Err(CodecError::Size { codec, got: (picture.width, picture.height), want });
        }
        // The encoder may still hold the previous picture's buffer.
        // SAFETY: `frame` owns a valid AVFrame; the call copies its buffers if they are shared.
        let writable = unsafe { ff::ffi::av_frame_make_writable(self.frame.as_mut_ptr()) };
        if writable < 0 {
            return Err(self.failed(ff::Error::from(writable)));
        }
        fill_frame(picture, &mut self.frame);
        self.frame.set_pts(Some(self.next_pts));
        self.next_pts += 1;
        self.frame.set_kind(if force_key { ff::picture::Type::I } else { ff::picture::Type::None });
        self.inner.send_frame(&self.frame).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: ff::Error) -> CodecError {
        CodecError::Ffmpeg { codec: self.codec, doing: "encode", source }
    }
}

impl VideoEncoder for Encoder {
    fn encode(&mut self, _frame: u32, picture: &Yuv420, key: bool) -> Result<Unit, CodecError> {
        self.submit(picture, key)?;
        let mut units = Vec::with_capacity(1);
        let mut packet = ff::Packet::empty();
        loop {
            match self.inner.receive_packet(&mut packet) {
                Ok(()) => {
                    let key = packet.is_key();
                    let qp = match self.config.rate {
                        RateControl::ConstantQp(quantisers) => quantisers.of(key),
                        RateControl::Cbr(_) => 0,
                    };
                    units.push(Unit { bytes: packet.data().unwrap_or(&[]).to_vec(), key, qp });
                }
                Err(error) if is_again(error) => break,
                Err(error) => return Err(self.failed(error)),
            }
        }
        match units.len() {
            1 => Ok(units.remove(0)),
            n => Err(CodecError::Latency { codec: self.codec, units: n }),
        }
    }
}

/// Opens the encoder with every option or not at all: one that the wrapper left over, and one that it or the encoder behind it
/// complained about, is an error. FFmpeg itself goes on without them.
fn open(
    codec: Codec,
    mut video: ff::encoder::video::Video,
    found: ff::Codec,
    options: ff::Dictionary<'_>,
) -> Result<ff::encoder::Video, CodecError> {
    let refused = |said: String| CodecError::Options { codec, said };
    // SAFETY: the context is a valid one that is not open yet; the dictionary is handed over and taken back.
    let (opened, left) = unsafe {
        let mut options = options.disown();
        let (opened, said) =
            crate::ff::warnings(|| ff::ffi::avcodec_open2(video.as_mut_ptr(), found.as_ptr(), &mut options));
        if opened >= 0 && !said.is_empty() {
            ff::Dictionary::own(options);
            return Err(refused(said.join("; ")));
        }
        (opened, ff::Dictionary::own(options))
    };
    if opened < 0 {
        return Err(CodecError::Ffmpeg { codec, doing: "open the encoder", source: ff::Error::from(opened) });
    }
    let left: Vec<String> = left.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !left.is_empty() {
        return Err(refused(format!("nothing consumed {}", left.join(", "))));
    }
    Ok(ff::encoder::video::Encoder(video))
}

/// The codec wants input before it gives more.
pub(crate) fn is_again(error: ff::Error) -> bool {
    matches!(error, ff::Error::Other { errno: ff::error::EAGAIN })
}

fn x264(config: &EncoderConfig, _video: &mut ff::encoder::video::Video, options: &mut ff::Dictionary<'_>) {
    options.set("preset", &config.preset);
    options.set("tune", "zerolatency");
    let gop = if config.gop == 0 { "infinite".into() } else { config.gop.to_string() };
    let mut params = format!(
        "keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:rc-lookahead=0:sync-lookahead=0:threads={}:\
         sliced-threads=1:force-cfr=1",
        config.slices // sliced threads, unlike slices alone, do not filter across slice borders
    );
    match config.rate {
        RateControl::ConstantQp(quantisers) => params.push_str(&quantised(quantisers)),
        RateControl::Cbr(bps) => {
            let kbps = bps / 1000;
            params.push_str(&format!(":bitrate={kbps}:vbv-maxrate={kbps}:vbv-bufsize={kbps}"));
        }
    }
    options.set("x264-params", &params);
    options.set("forced-idr", "1");
}

/// The quantisers as x264 and x265 take them.
fn quantised(quantisers: Quantisers) -> String {
    let ratio = quantisers.ip_ratio().map_or_else(String::new, |ratio| format!(":ipratio={ratio:.6}"));
    format!(":qp={}{ratio}", quantisers.other)
}

/// One thread of a pool: with a pool x265 codes rows as wave fronts (WPP), which is part of the bitstream, without one it does not.
fn x265(config: &EncoderConfig, _video: &mut ff::encoder::video::Video, options: &mut ff::Dictionary<'_>) {
    options.set("preset", &config.preset);
    options.set("tune", "zerolatency");
    let gop = if config.gop == 0 { "-1".into() } else { config.gop.to_string() };
    let mut params = format!(
        "keyint={gop}:min-keyint=1:scenecut=0:bframes=0:rc-lookahead=0:frame-threads=1:pools=1:open-gop=1:log-level=none"
    );
    match config.rate {
        RateControl::ConstantQp(quantisers) => params.push_str(&quantised(quantisers)),
        RateControl::Cbr(bps) => {
            let kbps = bps / 1000;
            params.push_str(&format!(":bitrate={kbps}:vbv-maxrate={kbps}:vbv-bufsize={kbps}"));
        }
    }
    options.set("x265-params", &params);
    // Key frames after the first are CRA pictures of an open group of pictures, as the original's.
    options.set("forced-idr", "0");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An option that nobody takes is an error that names it: the wrapper's own, and those of the encoders behind it, of which FFmpeg
    /// only warns.
    #[test]
    fn options_that_nobody_takes_are_errors() {
        crate::ff::init();
        let attempt = |codec: Codec, options: &[(&str, &str)]| {
            let found = ff::encoder::find_by_name(codec.encoder_name()).unwrap();
            let mut video = ff::codec::context::Context::new_with_codec(found).encoder().video().unwrap();
            video.set_width(64);
            video.set_height(64);
            video.set_format(ff::format::Pixel::YUV420P);
            video.set_time_base((1, 30));
            open(codec, video, found, options.iter().copied().collect()).map(|_| ())
        };
        for (codec, params) in [(Codec::H264, "x264-params"), (Codec::H265, "x265-params")] {
            attempt(codec, &[(params, "bframes=0")]).unwrap();
            let error = attempt(codec, &[("tune", "zerolatency"), ("no-such-option", "7")]).unwrap_err();
            assert!(error.to_string().contains("no-such-option=7"), "{error}");
            if cfg!(target_arch = "x86_64") {
                for bad in ["no-such-option=7", "bframes=many"] {
                    let error = attempt(codec, &[(params, bad)]).unwrap_err().to_string();
                    let name = bad.split('=').next().unwrap();
                    assert!(error.contains(name), "{codec} {bad}: {error}");
                }
            }
        }
    }
}
