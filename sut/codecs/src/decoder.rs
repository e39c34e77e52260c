//! Decoding that survives anything the network does to a bitstream.

use crate::encoder::is_again;
use crate::hevc::Renumber;
use crate::{Codec, CodecError, Unit, VideoDecoder, ff::read_frame};
use ffmpeg as ff;
use media::Yuv420;

/// Zeros after every unit, bytes.
const OVERREAD: usize = 1 << 16;

/// An open decoder. Same units in the same order give the same pictures, on every machine.
pub struct Decoder {
    codec: Codec,
    inner: ff::decoder::Video,
    frame: ff::frame::Video,
    errors: u64,
    renumber: Option<Renumber>,
}

impl Decoder {
    /// Opens FFmpeg's own decoder of `codec`, one thread, no reordering delay, damaged pictures put out.
    pub fn new(codec: Codec) -> Result<Self, CodecError> {
        crate::ff::init();
        let name = codec.decoder_name();
        let found = ff::decoder::find_by_name(name).ok_or(CodecError::Missing { codec, name })?;
        let mut context = ff::codec::context::Context::new_with_codec(found);
        context.set_threading(ff::threading::Config::count(1));
        // SAFETY: the context is valid and not yet open; these are plain flag fields.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).flags |= (ff::ffi::AV_CODEC_FLAG_LOW_DELAY | ff::ffi::AV_CODEC_FLAG_OUTPUT_CORRUPT) as i32;
        }
        let inner = context
            .decoder()
            .open_as(found)
            .and_then(ff::decoder::Opened::video)
            .map_err(|source| CodecError::Ffmpeg { codec, doing: "open the decoder", source })?;
        Ok(Self { codec, inner, frame: ff::frame::Video::empty(), errors: 0, renumber: None })
    }

    /// The decoder, which goes on from its latest picture where the one that is referred to is missing. FFmpeg's H.264 decoder does so by
    /// itself, those of VP8 and VP9 know no missing pictures.
    #[must_use]
    pub fn going_on(self) -> Self {
        Self { renumber: (self.codec == Codec::H265).then(Renumber::default), ..self }
    }

    /// Units that the decoder refused so far.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// A refusal is the network's doing and counted; what no network does is an error.
    fn refused(&mut self, source: ff::Error) -> Result<(), CodecError> {
        if is_again(source) || matches!(source, ff::Error::Other { errno: ff::error::ENOMEM }) {
            return Err(CodecError::Ffmpeg { codec: self.codec, doing: "decode", source });
        }
        self.errors += 1;
        Ok(())
    }
}

impl VideoDecoder for Decoder {
    /// If several pictures come (a decoder that had held one back), the newest counts.
    fn decode(&mut self, _frame: u32, unit: &Unit) -> Result<Option<Yuv420>, CodecError> {
        let renumbered = self.renumber.as_mut().map(|renumber| renumber.unit(&unit.bytes));
        let unit = renumbered.as_ref().unwrap_or(&unit.bytes);
        if unit.is_empty() {
            return Ok(None); // FFmpeg reads an empty packet as "end of stream"
        }
        // The entropy decoders read on past the end of damaged units: let them find zeros there, always the same,
        // not whatever lies in memory.
        let mut packet = ff::Packet::new(unit.len() + OVERREAD);
        if let Some(bytes) = packet.data_mut() {
            bytes[..unit.len()].copy_from_slice(unit);
            bytes[unit.len()..].fill(0);
        }
        packet.shrink(unit.len());
        if let Err(error) = self.inner.send_packet(&packet) {
            self.refused(error)?;
        }
        let mut newest = None;
        loop {
            match self.inner.receive_frame(&mut self.frame) {
                Ok(()) => newest = read_frame(&self.frame).or(newest),
                Err(error) if is_again(error) || error == ff::Error::Eof => return Ok(newest),
                Err(error) => {
                    self.refused(error)?;
                    return Ok(newest);
                }
            }
        }
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        let renumber = self.renumber.take().map(|_| Renumber::default());
        *self = Self { errors: self.errors, renumber, ..Self::new(self.codec)? };
        Ok(())
    }
}
