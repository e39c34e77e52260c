//! VP8's payload descriptor (RFC 7741): S, partition and a 15-bit picture number, which tells frames apart.

/// What is before the VP8 bytes in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of the frame (start of partition 0).
    pub start: bool,
    /// No other frame refers to this one.
    pub non_reference: bool,
    /// Low 15 bits of the frame's number.
    pub picture: u16,
}

impl Descriptor {
    /// Bytes of the descriptor as sent.
    pub const BYTES: usize = 4;

    /// X, N, S; I; 15-bit picture number. A frame is sent as one partition.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let number = self.picture | 0x8000;
        let first = 0x80 | u8::from(self.non_reference) << 5 | u8::from(self.start) << 4;
        [first, 0x80, (number >> 8) as u8, number as u8]
    }

    /// Descriptor and VP8 bytes of a payload; `None` if it is none or has no picture number.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<(Descriptor, &[u8])> {
        let mut bytes = payload.iter();
        let first = *bytes.next()?;
        let (mut picture, mut start) = (None, first & 0x10 != 0);
        start &= first & 7 == 0; // partition 0
        if first & 0x80 != 0 {
            let extension = *bytes.next()?;
            if extension & 0x80 != 0 {
                let high = *bytes.next()?;
                picture = Some(if high & 0x80 != 0 {
                    u16::from(high & 0x7F) << 8 | u16::from(*bytes.next()?)
                } else {
                    u16::from(high)
                });
            }
            if extension & 0x40 != 0 {
                bytes.next()?; // TL0PICIDX
            }
            if extension & 0x30 != 0 {
                bytes.next()?; // TID, Y, KEYIDX
            }
        }
        let descriptor = Descriptor { start, non_reference: first & 0x20 != 0, picture: picture? };
        Some((descriptor, bytes.as_slice()))
    }
}

/// Whether a VP8 frame is a key frame (RFC 6386, 9.1: bit 0 of the first byte is 0).
#[must_use]
pub fn is_key(frame: &[u8]) -> bool {
    frame.first().is_some_and(|b| b & 1 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_go_round_and_foreign_ones_are_understood() {
        let descriptor = Descriptor { start: true, non_reference: false, picture: 0x1234 };
        assert_eq!(descriptor.to_bytes(), [0x90, 0x80, 0x92, 0x34]);
        let mut payload = descriptor.to_bytes().to_vec();
        payload.extend([1, 2]);
        assert_eq!(Descriptor::parse(&payload), Some((descriptor, &[1, 2][..])));
        // 7-bit picture number, TL0PICIDX and TID present.
        let (parsed, rest) = Descriptor::parse(&[0xB0, 0xE0, 0x05, 9, 9, 7]).unwrap();
        assert_eq!((parsed.picture, parsed.non_reference, rest), (5, true, &[7][..]));
        assert_eq!(Descriptor::parse(&[0x10, 1]), None, "no picture number");
        for cut in 0..4 {
            assert_eq!(Descriptor::parse(&payload[..cut]), None);
        }
    }
}
