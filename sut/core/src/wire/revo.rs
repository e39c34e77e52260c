//! ReVo's messages (its sender and receiver, `INIT` and `DESC`): little-endian, packed.
//!
//! ```text
//! INIT  0: type=1 | 1: width u16 | 3: height u16 | 5: fps u16 | 7: chunk size RGB u16 | 9: chunk size depth u16
//! DESC  0: type=2 | 1: frame type u8 (3 RGB, 4 depth) | 2: frame id u32 | 6: GOP id u32 | 10: QP u8
//!       11: chunk index u16 | 13: number of chunks n u16 | 15: data chunks k u16 | 17: frame size u32 | 21: chunk
//! ```

use contract::Stream;

/// Bytes of an INIT message.
pub const INIT_LEN: usize = 11;
/// Bytes of a DESC header; the chunk follows.
pub const DESC_LEN: usize = 21;
/// More chunks than this per frame and stream are refused, so that garbage cannot claim memory. The original
/// declares the same limit and never enforces it.
pub const MAX_CHUNKS: u16 = 2000;

const TYPE_INIT: u8 = 1;
const TYPE_DESC: u8 = 2;
const FRAME_RGB: u8 = 3;
const FRAME_DEPTH: u8 = 4;

/// What the receiver must know before the first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Frames per second.
    pub fps: u16,
    /// Bytes per chunk of the colour stream.
    pub chunk_size_rgb: u16,
    /// Bytes per chunk of the depth stream.
    pub chunk_size_depth: u16,
}

/// Which chunk of which frame follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desc {
    /// Colour or depth.
    pub stream: Stream,
    /// Captured frame, from 0.
    pub frame: u32,
    /// Frame id of the latest key frame; equal to `frame` on a key frame.
    pub gop: u32,
    /// Quantiser, for codecs that need it.
    pub qp: u8,
    /// Position among the `n` chunks; positions from `k` on are parity.
    pub index: u16,
    /// Chunks sent for this frame and stream.
    pub n: u16,
    /// Chunks that suffice; equal to `n` without parity.
    pub k: u16,
    /// Bytes of the encoded frame, without padding.
    pub total: u32,
}

/// A parsed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// See [`Init`].
    Init(Init),
    /// See [`Desc`]; the slice is the chunk.
    Chunk(Desc, &'a [u8]),
    /// Zero bytes that open the path before a session; carries nothing.
    WarmUp,
}

/// Why bytes are no ReVo message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Fewer bytes than the header.
    #[error("message of {0} bytes is shorter than its header")]
    Short(usize),
    /// First byte is no known type.
    #[error("unknown message type {0}")]
    Type(u8),
    /// Second byte of a DESC is neither RGB nor depth.
    #[error("unknown frame type {0}")]
    FrameType(u8),
    /// Chunk numbers contradict each other.
    #[error("chunk {index} of n = {n}, k = {k} makes no sense")]
    Chunks {
        /// Claimed position.
        index: u16,
        /// Claimed count.
        n: u16,
        /// Claimed sufficient count.
        k: u16,
    },
}

impl Init {
    /// The 11 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; INIT_LEN] {
        let mut out = [TYPE_INIT; INIT_LEN];
        let fields = [self.width, self.height, self.fps, self.chunk_size_rgb, self.chunk_size_depth];
        for (at, field) in fields.into_iter().enumerate() {
            out[1 + 2 * at..3 + 2 * at].copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    /// Bytes per chunk of `stream`.
    #[must_use]
    pub fn chunk_size(&self, stream: Stream) -> u16 {
        match stream {
            Stream::Rgb => self.chunk_size_rgb,
            Stream::Depth => self.chunk_size_depth,
        }
    }
}

impl Desc {
    /// Header and chunk as one message.
    #[must_use]
    pub fn encode(&self, chunk: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(DESC_LEN + chunk.len());
        out.push(TYPE_DESC);
        out.push(match self.stream {
            Stream::Rgb => FRAME_RGB,
            Stream::Depth => FRAME_DEPTH,
        });
        out.extend_from_slice(&self.frame.to_le_bytes());
        out.extend_from_slice(&self.gop.to_le_bytes());
        out.push(self.qp);
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.n.to_le_bytes());
        out.extend_from_slice(&self.k.to_le_bytes());
        out.extend_from_slice(&self.total.to_le_bytes());
        out.extend_from_slice(chunk);
        out
    }

    /// The original derives this from `frame % 30`, so that both ends must agree on the GOP beforehand; the GOP id
    /// says the same for any GOP.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.frame == self.gop
    }
}

/// Parses one message.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, WireError> {
    let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    match bytes.first() {
        None => Err(WireError::Short(0)),
        Some(0) => Ok(Message::WarmUp),
        Some(&TYPE_INIT) if bytes.len() == INIT_LEN => Ok(Message::Init(Init {
            width: u16_at(1),
            height: u16_at(3),
            fps: u16_at(5),
            chunk_size_rgb: u16_at(7),
            chunk_size_depth: u16_at(9),
        })),
        Some(&(TYPE_INIT | TYPE_DESC)) if bytes.len() < DESC_LEN => Err(WireError::Short(bytes.len())),
        Some(&TYPE_DESC) => {
            let stream = match bytes[1] {
                FRAME_RGB => Stream::Rgb,
                FRAME_DEPTH => Stream::Depth,
                other => return Err(WireError::FrameType(other)),
            };
            let (index, n, k) = (u16_at(11), u16_at(13), u16_at(15));
            if index >= n || k == 0 || k > n || n > MAX_CHUNKS {
                return Err(WireError::Chunks { index, n, k });
            }
            let desc = Desc {
                stream,
                frame: u32_at(2),
                gop: u32_at(6),
                qp: bytes[10],
                index,
                n,
                k,
                total: u32_at(17),
            };
            Ok(Message::Chunk(desc, &bytes[DESC_LEN..]))
        }
        Some(&other) => Err(WireError::Type(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn init_is_the_original_s_eleven_bytes() {
        let init = Init { width: 512, height: 512, fps: 30, chunk_size_rgb: 1024, chunk_size_depth: 1024 };
        assert_eq!(init.encode(), [1, 0, 2, 0, 2, 30, 0, 0, 4, 0, 4]);
    }

    #[test]
    fn desc_is_the_original_s_layout() {
        let desc = Desc {
            stream: Stream::Depth,
            frame: 0x0102_0304,
            gop: 0x0506_0708,
            qp: 30,
            index: 0x0102,
            n: 0x0304,
            k: 0x0203,
            total: 0x0A0B_0C0D,
        };
        let bytes = desc.encode(&[0xEE]);
        assert_eq!(bytes, [2, 4, 4, 3, 2, 1, 8, 7, 6, 5, 30, 2, 1, 4, 3, 3, 2, 0x0D, 0x0C, 0x0B, 0x0A, 0xEE]);
    }

    fn any_desc() -> impl Strategy<Value = Desc> {
        (any::<bool>(), any::<u32>(), any::<u32>(), any::<u8>(), 1..=MAX_CHUNKS, any::<u32>()).prop_flat_map(
            |(depth, frame, gop, qp, n, total)| {
                (0..n, 1..=n).prop_map(move |(index, k)| Desc {
                    stream: if depth { Stream::Depth } else { Stream::Rgb },
                    frame,
                    gop,
                    qp,
                    index,
                    n,
                    k,
                    total,
                })
            },
        )
    }

    proptest! {
        #[test]
        fn chunks_come_back(desc in any_desc(), chunk in prop::collection::vec(any::<u8>(), 0..1100)) {
            let bytes = desc.encode(&chunk);
            prop_assert_eq!(parse(&bytes), Ok(Message::Chunk(desc, &chunk)));
        }

        #[test]
        fn init_comes_back(f in any::<[u16; 5]>()) {
            let init = Init { width: f[0], height: f[1], fps: f[2], chunk_size_rgb: f[3], chunk_size_depth: f[4] };
            let bytes = init.encode();
            prop_assert_eq!(parse(&bytes), Ok(Message::Init(init)));
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn garbage_after_a_type_never_panics(kind in 0_u8..6, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut message = vec![kind];
            message.extend(bytes);
            let _ = parse(&message);
        }
    }
}
