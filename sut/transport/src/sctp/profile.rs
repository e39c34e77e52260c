//! Which SCTP: the constants and habits in which implementations differ.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whose congestion control, as scenarios and reports name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SctpKind {
    /// aiortc 1.14, which the original ReVo runs on.
    #[default]
    #[serde(rename = "aiortc")]
    Aiortc,
    /// aiortc 1.16, whose accounting of what is in flight was fixed.
    #[serde(rename = "aiortc-1.16")]
    Aiortc116,
    /// RFC 9260 and RFC 3758 as written.
    #[serde(rename = "standard")]
    Standard,
}

/// The constants and habits of one [`SctpKind`].
///
/// | | `aiortc` | `aiortc-1.16` | `standard` |
/// |---|---|---|---|
/// | user data per DATA chunk | 1200 | 1160 | 1104: IP packets of at most 1200 bytes (RFC 8831, 5) |
/// | first window | 3 x 1200 | 3 x 1160 | 4404 (RFC 9260, 7.2.1) |
/// | SACK | at every packet | at every packet | every second packet, 200 ms (RFC 9260, 6.2) |
/// | chunks per packet | one | one | as many as fit |
/// | FORWARD TSN | once | until acknowledged | until acknowledged (RFC 3758, 3.5 C3) |
/// | a chunk lost and abandoned leaves the flight | at every event that says so | once | once |
/// | first timeout | 3 s | 3 s | 1 s (RFC 9260, 16) |
/// | timeout after a timeout | the same | the same | doubled (RFC 9260, 6.3.3 E2) |
/// | given up after | never | never | 10 timeouts (RFC 9260, 16) |
/// | peer's window | ignored | ignored | obeyed |
/// | burst in fast recovery | 2 chunks | 2 chunks | 4 chunks (RFC 9260, 6.1 D) |
///
/// Everywhere: missing reports count in fast recovery too, a packet may leave while less than the window is in flight, the window grows by at most one chunk
/// per SACK and only if it was full, three missing reports halve it (not below four chunks), a timeout of at least 1 s leaves
/// one chunk. aiortc's column: its public source, versions 1.14.0 and 1.16.0, and measured packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// User data per DATA chunk; unit of the windows. A multiple of 4.
    pub fragment: usize,
    /// First congestion window in bytes of user data.
    pub initial_window: usize,
    /// Longest wait for a second packet before one is acknowledged; `None`: every packet is acknowledged at once.
    pub sack_delay: Option<Duration>,
    /// Several chunks may share a packet.
    pub bundles: bool,
    /// FORWARD TSN is sent again with every SACK that does not acknowledge it.
    pub repeats_forward_tsn: bool,
    /// A chunk is in flight or not. Otherwise every event that could take a chunk out of the flight takes its bytes out, also a
    /// second time: after losses more is sent than the window allows.
    pub counts_once: bool,
    /// First retransmission timeout.
    pub initial_timeout: Duration,
    /// A timeout doubles the next one.
    pub backs_off: bool,
    /// Timeouts in a row after which the peer is given up.
    pub patience: Option<u32>,
    /// The peer's receive window is obeyed.
    pub obeys_receive_window: bool,
    /// Most chunks of a burst in fast recovery (four otherwise).
    pub recovery_burst: usize,
    /// Congestion control looks at missing reports, window use and round trips exactly as the RFC says.
    pub strict: bool,
    /// In fast recovery, missing reports count at every SACK that acknowledges something newer (RFC 9260, 7.2.4), as at any other time. Some
    /// stacks, `rtc` among them, count them only if the SACK moves the cumulative acknowledgement: what is lost meanwhile
    /// waits for the timer.
    pub counts_in_recovery: bool,
    /// An idle peer is asked whether it is there.
    pub heartbeat: Option<Duration>,
}

impl SctpKind {
    /// Its constants and habits.
    #[must_use]
    pub fn profile(self) -> Profile {
        let aiortc = |fragment| Profile {
            fragment,
            initial_window: 3 * fragment,
            sack_delay: None,
            bundles: false,
            repeats_forward_tsn: false,
            counts_once: false,
            initial_timeout: Duration::from_secs(3),
            backs_off: false,
            patience: None,
            obeys_receive_window: false,
            recovery_burst: 2,
            strict: false,
            counts_in_recovery: true,
            heartbeat: None,
        };
        match self {
            SctpKind::Aiortc => aiortc(1200),
            SctpKind::Aiortc116 => Profile { repeats_forward_tsn: true, counts_once: true, ..aiortc(1160) },
            SctpKind::Standard => Profile {
                fragment: 1104,
                initial_window: 4404,
                sack_delay: Some(Duration::from_millis(200)),
                bundles: true,
                repeats_forward_tsn: true,
                counts_once: true,
                initial_timeout: Duration::from_secs(1),
                backs_off: true,
                patience: Some(10),
                obeys_receive_window: true,
                recovery_burst: 4,
                strict: true,
                counts_in_recovery: true,
                heartbeat: Some(Duration::from_secs(30)),
            },
        }
    }
}
