//! VP9's payload descriptor (RFC 9628) in non-flexible mode without layers: a 15-bit picture number, begin and end.

/// What is before the VP9 bytes in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The frame refers to earlier ones.
    pub inter: bool,
    /// First packet of the frame.
    pub begin: bool,
    /// Last packet of the frame.
    pub end: bool,
    /// Low 15 bits of the frame's number.
    pub picture: u16,
}

impl Descriptor {
    /// Bytes of the descriptor as sent.
    pub const BYTES: usize = 3;

    /// I, P, B, E; 15-bit picture number.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let first = 0x80 | u8::from(self.inter) << 6 | u8::from(self.begin) << 3 | u8::from(self.end) << 2;
        let number = self.picture | 0x8000;
        [first, (number >> 8) as u8, number as u8]
    }

    /// Descriptor and VP9 bytes of a payload; `None` if it is none or has no picture number. Layer indices,
    /// reference lists and the scalability structure are skipped.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<(Descriptor, &[u8])> {
        let mut bytes = payload.iter();
        let first = *bytes.next()?;
        let set = |bit: u8| first & bit != 0;
        if !set(0x80) {
            return None;
        }
        let high = *bytes.next()?;
        let picture = if high & 0x80 != 0 {
            u16::from(high & 0x7F) << 8 | u16::from(*bytes.next()?)
        } else {
            u16::from(high)
        };
        let (layers, flexible) = (set(0x20), set(0x10));
        if layers {
            bytes.next()?; // TID, U, SID, D
            if !flexible {
                bytes.next()?; // TL0PICIDX
            }
        }
        if flexible && set(0x40) {
            // up to three P_DIFF bytes, the last with N = 0
            while bytes.next()? & 1 != 0 {}
        }
        if set(0x02) {
            let structure = *bytes.next()?;
            let spatial = usize::from(structure >> 5) + 1;
            if structure & 0x10 != 0 {
                bytes.nth(4 * spatial - 1)?; // width and height of each layer
            }
            if structure & 0x08 != 0 {
                for _ in 0..*bytes.next()? {
                    let references = usize::from(*bytes.next()? >> 2 & 3);
                    if references > 0 {
                        bytes.nth(references - 1)?;
                    }
                }
            }
        }
        let descriptor = Descriptor { inter: set(0x40), begin: set(0x08), end: set(0x04), picture };
        Some((descriptor, bytes.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_go_round_and_foreign_ones_are_understood() {
        let descriptor = Descriptor { inter: true, begin: true, end: false, picture: 0x7001 };
        assert_eq!(descriptor.to_bytes(), [0xC8, 0xF0, 0x01]);
        let mut payload = descriptor.to_bytes().to_vec();
        payload.extend([5, 6]);
        assert_eq!(Descriptor::parse(&payload), Some((descriptor, &[5, 6][..])));
        // Layers in non-flexible mode, scalability structure with one resolution and one picture of one reference.
        let foreign = [0xAE, 0x03, 0x11, 0x22, 0x18, 2, 0, 2, 0, 1, 0x04, 9, 77];
        let (parsed, rest) = Descriptor::parse(&foreign).unwrap();
        assert_eq!((parsed.picture, parsed.begin, parsed.end, rest), (3, true, true, &[77][..]));
        for cut in 0..foreign.len() - 1 {
            assert_eq!(Descriptor::parse(&foreign[..cut]), None, "{cut}");
        }
    }
}
