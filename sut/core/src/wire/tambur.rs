//! Feedback of the Tambur system, receiver to sender. Media packets are [`crate::fec::streaming`]'s.
//!
//! | bytes | message |
//! |---|---|
//! | `3`, report u8 | quality report 0, 1 or 2 |
//! | `4`, frame u32, before u32 | frame is complete; bit i of `before`: so is frame - 1 - i |
//!
//! Big-endian. The published program acknowledges one frame per message and never loses one (its reverse path is
//! perfect); with `before`, a lost message costs nothing while any of the next 32 arrives.

use crate::fec::streaming::Quality;

/// A feedback message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// How much parity the receiver wants.
    Report(Quality),
    /// Which video frames are complete.
    Complete {
        /// The newest of them.
        frame: u32,
        /// Bit i: frame - 1 - i is complete too.
        before: u32,
    },
}

impl Feedback {
    /// The message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match *self {
            Feedback::Report(quality) => vec![3, quality as u8],
            Feedback::Complete { frame, before } => {
                [&[4][..], &frame.to_be_bytes(), &before.to_be_bytes()].concat()
            }
        }
    }

    /// Reads a message; `None` if it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Feedback> {
        match bytes {
            [3, quality] => Quality::from_byte(*quality).map(Feedback::Report),
            [4, a, b, c, d, e, f, g, h] => Some(Feedback::Complete {
                frame: u32::from_be_bytes([*a, *b, *c, *d]),
                before: u32::from_be_bytes([*e, *f, *g, *h]),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_round_and_garbage_is_none() {
        for message in [
            Feedback::Report(Quality::None),
            Feedback::Report(Quality::Quarter),
            Feedback::Complete { frame: 0x0102_0304, before: 0x8000_0001 },
        ] {
            assert_eq!(Feedback::parse(&message.encode()), Some(message));
        }
        assert_eq!(Feedback::Report(Quality::Half).encode(), [3, 1]);
        for bad in [&[][..], &[3][..], &[3, 3][..], &[4, 0, 0, 0, 0][..], &[5, 0][..]] {
            assert_eq!(Feedback::parse(bad), None);
        }
    }
}
