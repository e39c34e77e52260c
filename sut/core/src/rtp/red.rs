//! RED (RFC 2198) with its one, primary block: how ULPFEC shares a stream with its media.

/// Bytes of RED before one block.
pub const BYTES: usize = 1;

/// A RED payload with one block.
#[must_use]
pub fn wrap(payload_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + payload.len());
    out.push(payload_type & 0x7F); // F = 0: the last block
    out.extend(payload);
    out
}

/// Payload type and payload of the primary block; `None` if it is no RED payload. Redundant blocks before it
/// (which video senders do not use) are skipped.
#[must_use]
pub fn unwrap(payload: &[u8]) -> Option<(u8, &[u8])> {
    let (mut headers, mut redundant) = (0, 0);
    loop {
        let header = payload.get(headers..)?;
        if header.first()? & 0x80 == 0 {
            return Some((header[0], header.get(1 + redundant..)?));
        }
        let block = header.get(..4)?;
        redundant += usize::from(u16::from_be_bytes([block[2] & 3, block[3]]));
        headers += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_round_and_redundant_ones_are_skipped() {
        assert_eq!(unwrap(&wrap(100, b"xyz")), Some((100, &b"xyz"[..])));
        // One redundant block of two bytes (type 5, offset 0), then the primary one.
        assert_eq!(unwrap(&[0x85, 0, 0, 2, 96, 1, 2, 7, 8]), Some((96, &[7, 8][..])));
        for bad in [&[][..], &[0x85][..], &[0x85, 0, 0, 2][..], &[0x85, 0, 0, 9, 96, 1][..]] {
            assert_eq!(unwrap(bad), None);
        }
    }
}
