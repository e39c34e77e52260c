//! VP8 and VP9 by libvpx's own interface: every setting written down, the rate changed while encoding, frames dropped.

use crate::{Codec, CodecError, EncoderConfig, Quantisers, RateControl, Unit, VideoEncoder};
use media::Yuv420;
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, c_int, c_long, c_ulong};
use std::ptr;
use vpx as ffi;

/// What libvpx is told besides size and rate. docs/CODECS.md has the two tables with a source per line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpxSettings {
    /// Ticks of the time base per second (`g_timebase`).
    pub timebase: u32,
    /// Threads (`g_threads`).
    pub threads: u32,
    /// Frames can be decoded without the entropy state of the frame before (`g_error_resilient`).
    pub error_resilient: bool,
    /// A frame is dropped while the rate controller's buffer is fuller than allowed: percent of its optimal level (`rc_dropframe_thresh`);
    /// 0: never.
    pub drop_below: u32,
    /// After so long without a frame the next one is not dropped, milliseconds.
    pub longest_drop_ms: u32,
    /// Smallest and largest quantiser (`rc_min_quantizer`, `rc_max_quantizer`).
    pub quantizers: (u32, u32),
    /// `rc_undershoot_pct` and `rc_overshoot_pct`.
    pub shoot_percent: (u32, u32),
    /// The rate controller's buffer: initial level, optimal level, size, milliseconds (`rc_buf_initial_sz`, ...).
    pub buffer_ms: [u32; 3],
    /// A key frame after so many others at the latest, or at a change of scene (`kf_mode` auto); absent: on request alone.
    pub key_distance: Option<u32>,
    /// Most bits of a key frame, percent of a frame's share (`..._MAX_INTRA_BITRATE_PCT`).
    pub max_intra_percent: u32,
    /// Speed (`VP8E_SET_CPUUSED`). VP8 reads positive values as "as fast as the clock asks", so it is given negative ones.
    pub cpu_used: i32,
    /// Denoiser (`VP8E_SET_NOISE_SENSITIVITY`, `VP9E_SET_NOISE_SENSITIVITY`).
    pub noise_sensitivity: u32,
    /// Blocks that change less are not coded (`VP8E_SET_STATIC_THRESHOLD`).
    pub static_threshold: u32,
    /// Frames refer to the last one alone; golden and alternate picture stay those of the key frame (frame flags).
    pub last_frame_only: bool,
    /// Of VP8 or of VP9.
    pub own: OwnSettings,
}

/// What only one of the two has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OwnSettings {
    /// VP8.
    Vp8 {
        /// Partitions of the coefficients, as a power of two (`VP8E_SET_TOKEN_PARTITIONS`).
        token_partitions: u32,
    },
    /// VP9.
    Vp9 {
        /// `VP9E_SET_AQ_MODE`; 3: cyclic refresh.
        aq_mode: u32,
        /// As a power of two (`VP9E_SET_TILE_COLUMNS`); pictures below 256 columns per tile have fewer.
        tile_columns: u32,
        /// `VP9E_SET_ROW_MT`.
        row_mt: bool,
        /// `VP9E_SET_FRAME_PARALLEL_DECODING`.
        frame_parallel: bool,
    },
}

impl VpxSettings {
    /// As libwebrtc opens VP8 for a camera with one spatial and one temporal layer on a desktop machine
    /// (`modules/video_coding/codecs/vp8/libvpx_vp8_encoder.cc`, branch of M119).
    #[must_use]
    pub fn libwebrtc(width: u32, height: u32, fps: u32) -> Self {
        let buffer_ms = [500, 600, 1000];
        Self {
            timebase: 90_000,
            // One thread up to VGA; above, libwebrtc takes more of a machine that has them, so this is pinned.
            threads: 1,
            error_resilient: false,
            drop_below: 30,
            longest_drop_ms: 2000,
            quantizers: (2, 56),
            shoot_percent: (100, 15),
            buffer_ms,
            key_distance: Some(3000),
            // Half of the optimal buffer, at least three frames' share.
            max_intra_percent: (buffer_ms[1] * fps / 2 / 10).max(300),
            cpu_used: if width * height < 352 * 288 { -4 } else { -6 },
            noise_sensitivity: 4,
            static_threshold: 1,
            last_frame_only: true,
            own: OwnSettings::Vp8 { token_partitions: 0 },
        }
    }

    /// As Ringmaster opens VP9 (`src/app/encoder.cc`, microsoft/ringmaster @ cf696bf), with its speed and threads pinned
    /// instead of taken from the number of cores.
    #[must_use]
    pub fn ringmaster(fps: u32) -> Self {
        Self {
            timebase: fps,
            threads: 1,
            error_resilient: true,
            drop_below: 0,
            longest_drop_ms: 0,
            quantizers: (2, 52),
            shoot_percent: (50, 50),
            buffer_ms: [500, 600, 1000],
            key_distance: None,
            max_intra_percent: 900,
            cpu_used: 8,
            noise_sensitivity: 1,
            static_threshold: 1,
            last_frame_only: false,
            own: OwnSettings::Vp9 { aq_mode: 3, tile_columns: 2, row_mt: true, frame_parallel: false },
        }
    }

    /// VP9 as Tambur's program opens it (`src/ringmaster_app/encoder.cc`): Ringmaster's settings but for the most that a key frame may
    /// have. It is computed so that 16 bits count it, trailer of 6 bytes left out: 65529 *bits*, as percent of a frame's share of `bps`.
    #[must_use]
    pub fn tambur(fps: u32, bps: u64) -> Self {
        let percent = 100 * 65_529 * u64::from(fps) / bps.max(1);
        Self { max_intra_percent: u32::try_from(percent).unwrap_or(u32::MAX), ..Self::ringmaster(fps) }
    }
}

/// An open libvpx encoder.
pub struct VpxEncoder {
    codec: Codec,
    config: EncoderConfig,
    settings: VpxSettings,
    context: Box<ffi::vpx_codec_ctx_t>,
    now: ffi::vpx_codec_enc_cfg_t,
    /// Ticks of the next picture.
    pts: i64,
    /// Pictures since the last that gave a frame.
    dropped: u32,
    first: bool,
}

// SAFETY: libvpx's encoders have no tie to the thread that made them; `&mut self` keeps calls apart.
unsafe impl Send for VpxEncoder {}

impl VpxEncoder {
    /// Opens the encoder of `config`.
    ///
    /// # Errors
    /// No settings of libvpx for this codec, or what libvpx refuses.
    pub fn new(config: &EncoderConfig) -> Result<Self, CodecError> {
        let codec: Codec = config.codec.parse()?;
        let refused = |doing: &'static str, said: String| CodecError::Vpx { codec, doing, said };
        let settings = config.vpx.clone().ok_or_else(|| refused("open", "no settings of libvpx".into()))?;
        // SAFETY: both functions return a constant of the library.
        let interface = match (codec, &settings.own) {
            (Codec::Vp8, OwnSettings::Vp8 { .. }) => unsafe { ffi::vpx_codec_vp8_cx() },
            (Codec::Vp9, OwnSettings::Vp9 { .. }) => unsafe { ffi::vpx_codec_vp9_cx() },
            _ => return Err(refused("open", "the settings are of another codec".into())),
        };
        // SAFETY: a plain struct of numbers and pointers, filled by the call; zeros are valid until then.
        let mut now: ffi::vpx_codec_enc_cfg_t = unsafe { std::mem::zeroed() };
        let status = unsafe { ffi::vpx_codec_enc_config_default(interface, &mut now, 0) };
        check(codec, "read the defaults of", status, None)?;
        configure(&mut now, config, &settings);

        // SAFETY: zeros are what vpx_codec_enc_init_ver asks for.
        let mut context: Box<ffi::vpx_codec_ctx_t> = Box::new(unsafe { std::mem::zeroed() });
        let version = ffi::VPX_ENCODER_ABI_VERSION as c_int;
        // SAFETY: the context stays where it is until it is destroyed, the configuration is copied.
        let status = unsafe { ffi::vpx_codec_enc_init_ver(&mut *context, interface, &now, 0, version) };
        check(codec, "open", status, Some(&mut context))?;
        let mut encoder =
            Self { codec, config: config.clone(), settings, context, now, pts: 0, dropped: 0, first: true };
        encoder.control()?;
        Ok(encoder)
    }

    /// Every control that the settings name; one that libvpx does not take is an error.
    fn control(&mut self) -> Result<(), CodecError> {
        let s = self.settings.clone();
        let mut controls = vec![
            (ffi::VP8E_SET_CPUUSED, s.cpu_used),
            (ffi::VP8E_SET_STATIC_THRESHOLD, s.static_threshold as c_int),
            (ffi::VP8E_SET_MAX_INTRA_BITRATE_PCT, s.max_intra_percent as c_int),
        ];
        match s.own {
            OwnSettings::Vp8 { token_partitions } => controls.extend([
                (ffi::VP8E_SET_NOISE_SENSITIVITY, s.noise_sensitivity as c_int),
                (ffi::VP8E_SET_TOKEN_PARTITIONS, token_partitions as c_int),
                (ffi::VP8E_SET_SCREEN_CONTENT_MODE, 0),
            ]),
            OwnSettings::Vp9 { aq_mode, tile_columns, row_mt, frame_parallel } => controls.extend([
                (ffi::VP9E_SET_NOISE_SENSITIVITY, s.noise_sensitivity as c_int),
                (ffi::VP9E_SET_AQ_MODE, aq_mode as c_int),
                (ffi::VP9E_SET_TILE_COLUMNS, tile_columns as c_int),
                (ffi::VP9E_SET_ROW_MT, c_int::from(row_mt)),
                (ffi::VP9E_SET_FRAME_PARALLEL_DECODING, c_int::from(frame_parallel)),
            ]),
        }
        if let RateControl::ConstantQp(Quantisers { other, .. }) = self.config.rate {
            controls.push((ffi::VP8E_SET_CQ_LEVEL, c_int::from(other)));
        }
        for (control, value) in controls {
            self.set(control, value)?;
        }
        Ok(())
    }

    fn set(&mut self, control: ffi::vp8e_enc_control_id, value: c_int) -> Result<(), CodecError> {
        // SAFETY: the context is open; every control used here takes one int.
        let status = unsafe { ffi::vpx_codec_control_(&mut *self.context, control as c_int, value) };
        check(self.codec, "set an option of", status, Some(&mut self.context))
    }

    fn reconfigure(&mut self) -> Result<(), CodecError> {
        // SAFETY: the context is open, the configuration is copied.
        let status = unsafe { ffi::vpx_codec_enc_config_set(&mut *self.context, &self.now) };
        check(self.codec, "change the rate of", status, Some(&mut self.context))
    }

    fn submit(&mut self, picture: &Yuv420, key: bool) -> Result<(), CodecError> {
        let Self { codec, config, settings, .. } = self;
        let want = (config.width as usize, config.height as usize);
        if (picture.width, picture.height) != want {
            return Err(CodecError::Size { codec: *codec, got: (picture.width, picture.height), want });
        }
        let mut flags = 0;
        if key || (config.gop > 0 && self.first) {
            flags |= ffi::VPX_EFLAG_FORCE_KF as c_long;
        } else if settings.last_frame_only {
            flags |= (ffi::VP8_EFLAG_NO_REF_GF
                | ffi::VP8_EFLAG_NO_REF_ARF
                | ffi::VP8_EFLAG_NO_UPD_GF
                | ffi::VP8_EFLAG_NO_UPD_ARF) as c_long;
        }
        // SAFETY: a plain struct; zeros are valid. The planes are only read, and only during the call.
        let mut image: ffi::vpx_image_t = unsafe { std::mem::zeroed() };
        let (columns, rows) = (config.width, config.height);
        let data = picture.y.as_ptr().cast_mut();
        // SAFETY: fills the struct; nothing is read from `data`.
        if unsafe { ffi::vpx_img_wrap(&mut image, ffi::VPX_IMG_FMT_I420, columns, rows, 1, data) }.is_null() {
            return Err(CodecError::Vpx {
                codec: *codec,
                doing: "hand a picture to",
                said: "its size".into(),
            });
        }
        for (i, plane) in picture.planes().into_iter().enumerate() {
            image.planes[i] = plane.as_ptr().cast_mut();
            image.stride[i] = if i == 0 { columns } else { columns.div_ceil(2) } as c_int;
        }
        let duration = u64::from(settings.timebase / config.fps.max(1)).max(1);
        let deadline = ffi::VPX_DL_REALTIME as c_ulong;
        // SAFETY: the context is open; picture and planes outlive the call.
        let status = unsafe {
            ffi::vpx_codec_encode(&mut *self.context, &image, self.pts, duration as c_ulong, flags, deadline)
        };
        check(self.codec, "encode with", status, Some(&mut self.context))?;
        self.pts += duration as i64;
        self.first = false;
        Ok(())
    }

    /// The frame that the last picture gave; `None` if it was dropped.
    fn frame(&mut self) -> Result<Option<Unit>, CodecError> {
        let qp = match self.config.rate {
            RateControl::ConstantQp(quantisers) => quantisers.other,
            RateControl::Cbr(_) => 0,
        };
        let mut units: Vec<Unit> = Vec::with_capacity(1);
        let mut iterator: ffi::vpx_codec_iter_t = ptr::null();
        loop {
            // SAFETY: the context is open; what is returned is valid until the next call on it.
            let packet = unsafe { ffi::vpx_codec_get_cx_data(&mut *self.context, &mut iterator) };
            let Some(packet) = (unsafe { packet.as_ref() }) else { break };
            if packet.kind != ffi::VPX_CODEC_CX_FRAME_PKT {
                continue;
            }
            // SAFETY: of this kind of packet, the union holds a frame: `sz` bytes at `buf`.
            let (bytes, flags) = unsafe {
                let frame = packet.data.frame;
                (std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz).to_vec(), frame.flags)
            };
            units.push(Unit { bytes, key: flags & ffi::VPX_FRAME_IS_KEY != 0, qp });
        }
        if units.len() > 1 {
            return Err(CodecError::Latency { codec: self.codec, units: units.len() });
        }
        // VP9 says of a dropped frame that it has no bytes, VP8 says nothing.
        Ok(units.pop().filter(|unit| !unit.bytes.is_empty()))
    }
}

impl VideoEncoder for VpxEncoder {
    fn encode(&mut self, _frame: u32, picture: &Yuv420, key: bool) -> Result<Unit, CodecError> {
        let silent_ms = 1000 * u64::from(self.dropped) / u64::from(self.config.fps.max(1));
        let forced =
            self.now.rc_dropframe_thresh > 0 && silent_ms >= u64::from(self.settings.longest_drop_ms);
        if forced {
            self.now.rc_dropframe_thresh = 0;
            self.reconfigure()?;
        }
        self.submit(picture, key)?;
        let unit = self.frame()?;
        if forced {
            self.now.rc_dropframe_thresh = self.settings.drop_below;
            self.reconfigure()?;
        }
        match unit {
            Some(unit) => {
                self.dropped = 0;
                Ok(unit)
            }
            None if self.settings.drop_below > 0 => {
                self.dropped += 1;
                Ok(Unit::default())
            }
            None => Err(CodecError::Latency { codec: self.codec, units: 0 }),
        }
    }

    fn set_rate(&mut self, bps: u64) -> Result<(), CodecError> {
        let kbps = kbps(bps);
        if matches!(self.config.rate, RateControl::Cbr(_)) && self.now.rc_target_bitrate != kbps {
            self.now.rc_target_bitrate = kbps;
            self.reconfigure()?;
        }
        Ok(())
    }
}

impl Drop for VpxEncoder {
    fn drop(&mut self) {
        // SAFETY: the context was opened and is destroyed once.
        unsafe { ffi::vpx_codec_destroy(&mut *self.context) };
    }
}

fn kbps(bps: u64) -> u32 {
    u32::try_from(bps / 1000).unwrap_or(u32::MAX).max(1)
}

fn configure(c: &mut ffi::vpx_codec_enc_cfg_t, config: &EncoderConfig, s: &VpxSettings) {
    (c.g_w, c.g_h, c.g_threads) = (config.width, config.height, s.threads);
    (c.g_timebase.num, c.g_timebase.den) = (1, s.timebase as c_int);
    c.g_error_resilient = if s.error_resilient { ffi::VPX_ERROR_RESILIENT_DEFAULT } else { 0 };
    c.g_pass = ffi::VPX_RC_ONE_PASS;
    c.g_lag_in_frames = 0;
    (c.rc_dropframe_thresh, c.rc_resize_allowed) = (s.drop_below, 0);
    (c.rc_min_quantizer, c.rc_max_quantizer) = s.quantizers;
    (c.rc_undershoot_pct, c.rc_overshoot_pct) = s.shoot_percent;
    [c.rc_buf_initial_sz, c.rc_buf_optimal_sz, c.rc_buf_sz] = s.buffer_ms;
    match config.rate {
        RateControl::Cbr(bps) => {
            c.rc_end_usage = ffi::VPX_CBR;
            c.rc_target_bitrate = kbps(bps);
        }
        RateControl::ConstantQp(Quantisers { other, .. }) => {
            c.rc_end_usage = ffi::VPX_Q;
            (c.rc_min_quantizer, c.rc_max_quantizer) = (other.into(), other.into());
            c.rc_dropframe_thresh = 0;
        }
    }
    match (config.gop, s.key_distance) {
        (0, None) => {
            c.kf_mode = ffi::VPX_KF_DISABLED;
            (c.kf_min_dist, c.kf_max_dist) = (0, u32::MAX);
        }
        (0, Some(most)) => {
            c.kf_mode = ffi::VPX_KF_AUTO;
            c.kf_max_dist = most;
        }
        (gop, _) => {
            c.kf_mode = ffi::VPX_KF_AUTO;
            (c.kf_min_dist, c.kf_max_dist) = (0, gop);
        }
    }
}

/// libvpx's own words for what it did not do.
fn check(
    codec: Codec,
    doing: &'static str,
    status: ffi::vpx_codec_err_t,
    context: Option<&mut ffi::vpx_codec_ctx_t>,
) -> Result<(), CodecError> {
    if status == ffi::VPX_CODEC_OK {
        return Ok(());
    }
    // SAFETY: both functions return a text of the library, or null.
    let text = |at: *const std::ffi::c_char| unsafe {
        (!at.is_null()).then(|| CStr::from_ptr(at).to_string_lossy().into_owned())
    };
    let mut said = text(unsafe { ffi::vpx_codec_err_to_string(status) }).unwrap_or_default();
    if let Some(detail) = context.and_then(|c| text(unsafe { ffi::vpx_codec_error_detail(c) })) {
        said = format!("{said}: {detail}");
    }
    Err(CodecError::Vpx { codec, doing, said })
}
