//! A safety net under the DTLS handshake of the WebRTC stack.
//!
//! RFC 6347, 4.2.4 lets a peer that waits repeat its last flight when its timer expires or when the
//! other peer repeats its own. `rtc-dtls` 0.21.1 cancels its timer whenever a handshake record arrives
//! and does not start it again if that record was a repetition: a server whose flight was lost falls
//! silent for good as soon as the client repeats its hello. At 10 % loss every sixth connection never
//! opened. So the last flight is kept here and sent again, as it was, after a pause that the stack's
//! own timer (1 s) would not have let pass. A peer that has those records drops them as replays.

use link::Timestamp;
use std::time::Duration;

/// Longer than the stack's own retransmission timer, so that this one only acts when that one is dead.
const PAUSE: Duration = Duration::from_millis(1200);

/// The last handshake flight, until the peer shows that it needs no more: by sending application data.
#[derive(Debug, Default)]
pub(crate) struct LastFlight {
    over: bool,
    packets: Vec<Vec<u8>>,
    again_at: Option<Timestamp>,
}

impl LastFlight {
    /// Remembers the handshake packets among what was sent at one moment.
    pub(crate) fn note_sent<'a>(&mut self, now: Timestamp, sent: impl Iterator<Item = &'a Vec<u8>>) {
        if self.over {
            return;
        }
        let flight: Vec<Vec<u8>> = sent.filter(|packet| is_handshake(packet)).cloned().collect();
        if !flight.is_empty() {
            self.packets = flight;
            self.again_at = Some(now + PAUSE);
        }
    }

    /// The packets to send again if it is time.
    pub(crate) fn due(&mut self, now: Timestamp) -> &[Vec<u8>] {
        match self.again_at {
            Some(at) if at <= now => {
                self.again_at = Some(now + PAUSE);
                &self.packets
            }
            _ => &[],
        }
    }

    /// When [`due`](Self::due) is worth a call.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.again_at
    }

    /// Looks at a packet of the peer.
    pub(crate) fn note_received(&mut self, packet: &[u8]) {
        if packet.first() == Some(&APPLICATION_DATA) {
            *self = LastFlight { over: true, ..LastFlight::default() };
        }
    }
}

/// Content types of DTLS records (RFC 5246, 6.2.1). A STUN packet's first byte is below 4 (RFC 7983).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

fn is_handshake(packet: &[u8]) -> bool {
    matches!(packet.first(), Some(&(CHANGE_CIPHER_SPEC | HANDSHAKE)))
}
