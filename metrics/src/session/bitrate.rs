//! Bytes into rates, packets into losses: what was sent while the clip was captured.
//!
//! Three rates are in use and differ by 5-30 %: what the encoder produced (media), that plus the system's own packet
//! headers, repair and copies (payload), and that plus IP and UDP headers, encryption and transport (wire). Papers quote
//! the first or second; name which.
//!
//! All of them count what happened in the clip's [`Window`] and divide by its length. An application that goes on
//! sending after the clip, as any real one does, is not charged for it: what came before and after is counted apart.

/// The time in which a session is measured: from the capture of frame 0 to the moment at which frame N would be captured, or
/// [later](Window::counting_until). Rates are always over the clip's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Capture of frame 0, nanoseconds.
    pub from_ns: u64,
    /// What happens from here on is not counted any more.
    pub until_ns: u64,
    length_ns: u64,
}

/// Where a moment lies against a [`Window`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Set-up.
    Before,
    /// The clip.
    Within,
    /// The tail.
    After,
}

impl Window {
    /// The window of `frames` frames every `interval_ns`, the first captured at `from_ns`.
    #[must_use]
    pub fn new(from_ns: u64, interval_ns: u64, frames: u32) -> Self {
        let length_ns = interval_ns * u64::from(frames);
        Self { from_ns, until_ns: from_ns + length_ns, length_ns }
    }

    /// The same, with what happens before `t_ns` counted as the clip's, too: a system that shows its last frame long after the clip may
    /// send it long after the clip.
    #[must_use]
    pub fn counting_until(self, t_ns: u64) -> Self {
        Self { until_ns: self.until_ns.max(t_ns), ..self }
    }

    /// Length of the clip, nanoseconds.
    #[must_use]
    pub fn length_ns(&self) -> u64 {
        self.length_ns
    }

    /// Where `t_ns` lies.
    #[must_use]
    pub fn place(&self, t_ns: u64) -> Place {
        if t_ns < self.from_ns {
            Place::Before
        } else if t_ns < self.until_ns {
            Place::Within
        } else {
            Place::After
        }
    }

    /// Bits per second of `bytes` in the window, rounded to the nearest; `None` for an empty one.
    #[must_use]
    pub fn bits_per_second(&self, bytes: u64) -> Option<u64> {
        let length = u128::from(self.length_ns());
        let bits = u128::from(bytes) * 8 * 1_000_000_000;
        (length > 0).then(|| u64::try_from((bits + length / 2) / length).unwrap_or(u64::MAX))
    }
}

/// Bytes of `packets` datagrams together with their IPv4 (20) and UDP (8) headers.
#[must_use]
pub fn with_headers(payload_bytes: u64, packets: u64) -> u64 {
    payload_bytes + 28 * packets
}

/// Repair bytes over source bytes, 0 and up; `None` without source bytes.
#[must_use]
pub fn redundancy(repair_bytes: u64, source_bytes: u64) -> Option<f64> {
    (source_bytes > 0).then(|| repair_bytes as f64 / source_bytes as f64)
}

/// Share of the packets that entered a path and did not come out intact, 0 to 1; `None` if none entered.
#[must_use]
pub fn realised_loss(lost: u64, entered: u64) -> Option<f64> {
    (entered > 0).then(|| lost as f64 / entered as f64)
}
