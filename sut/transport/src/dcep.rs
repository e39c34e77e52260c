//! The messages that open a data channel (RFC 8832), and what kinds of messages there are (RFC 8831, 8).

/// Payload protocol identifiers.
pub(crate) mod ppid {
    pub(crate) const DCEP: u32 = 50;
    pub(crate) const STRING: u32 = 51;
    pub(crate) const BINARY: u32 = 53;
    pub(crate) const STRING_EMPTY: u32 = 56;
    pub(crate) const BINARY_EMPTY: u32 = 57;
}

const ACK: u8 = 2;
const OPEN: u8 = 3;
/// Unordered, bounded by retransmissions (RFC 8832, 5.1).
const UNORDERED_REXMIT: u8 = 0x81;
/// Bytes of OPEN before the label.
const FIXED: usize = 12;

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dcep {
    /// Opens a channel, here always unordered and without retransmission.
    Open { label: Vec<u8> },
    /// It is open.
    Ack,
}

impl Dcep {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Dcep::Ack => vec![ACK],
            Dcep::Open { label } => {
                // Priority 0, no retransmission, no protocol.
                let mut out = vec![OPEN, UNORDERED_REXMIT, 0, 0, 0, 0, 0, 0];
                out.extend_from_slice(&(label.len() as u16).to_be_bytes());
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(label);
                out
            }
        }
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Dcep> {
        match *bytes.first()? {
            ACK => Some(Dcep::Ack),
            OPEN => {
                let fixed = bytes.get(..FIXED)?;
                let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
                Some(Dcep::Open { label: bytes.get(FIXED..FIXED + length)?.to_vec() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_is_what_the_original_sends() {
        // Captured from the original: type, priority, reliability, lengths 11 and 0, label.
        let bytes = Dcep::Open { label: b"rgb_payload".to_vec() }.encode();
        assert_eq!(bytes[..12], [3, 0x81, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0]);
        assert_eq!(Dcep::parse(&bytes), Some(Dcep::Open { label: b"rgb_payload".to_vec() }));
        assert_eq!(Dcep::parse(&bytes[..20]), None);
        assert_eq!(Dcep::parse(&Dcep::Ack.encode()), Some(Dcep::Ack));
        assert_eq!(Dcep::parse(&[]), None);
    }
}
