//! Bytes into rates.
//!
//! Three rates are in use and differ by 5-30 %: what the encoder produced (media), that plus the system's own packet
//! headers, repair and copies (payload), and that plus 28 bytes of IPv4 and UDP header per packet (wire). Papers
//! quote the first or second without the last; name which.

/// Bits per second, rounded to the nearest; 0 for an empty session.
#[must_use]
pub fn bits_per_second(bytes: u64, session_ns: u64) -> u64 {
    if session_ns == 0 {
        return 0;
    }
    let bits = u128::from(bytes) * 8 * 1_000_000_000;
    let session = u128::from(session_ns);
    u64::try_from((bits + session / 2) / session).unwrap_or(u64::MAX)
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
