//! The project's own traces, made from a seed: nobody's recording, so that anyone may copy, change and check them.
//!
//! All arithmetic is in integers, so the same text comes out everywhere; a test compares it with the files in `traces/`.

use super::mahimahi::{self, OPPORTUNITY_BYTES, Opportunities};
use super::revo::{self, Row};
use crate::Bitrate;
use crate::rng::{Purpose, Stream};
use crate::units::{Probability, Span};

/// Random numbers, one after the other.
struct Noise {
    stream: Stream,
    k: u64,
}

impl Noise {
    fn new(seed: u64) -> Self {
        Noise { stream: Stream::new(seed, Purpose::TraceMaking), k: 0 }
    }

    /// Uniform from `low` to `high`, both included.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        let word = self.stream.draw(self.k);
        self.k += 1;
        low + ((u64::from(word) * (high - low + 1)) >> 32)
    }

    /// True once in `n` on average.
    fn once_in(&mut self, n: u64) -> bool {
        self.between(1, n) == 1
    }
}

/// 60 s of a person walking with a phone: near the access point, farther away, and behind something now and then.
/// Rows of 15 ms.
#[must_use]
pub fn wifi_lossy() -> String {
    #[derive(Clone, Copy)]
    enum Place {
        Near,
        Far,
        Behind,
    }
    let mut noise = Noise::new(1);
    let mut place = Place::Near;
    let mut rate_kbps = 18_000u64;
    let rows: Vec<Row> = (0..4000u64)
        .map(|i| {
            place = match place {
                Place::Near if noise.once_in(160) => Place::Far,
                Place::Far if noise.once_in(70) => Place::Behind,
                Place::Far if noise.once_in(160) => Place::Near,
                Place::Behind if noise.once_in(12) => Place::Far,
                same => same,
            };
            let (target_kbps, rtt_ms10, loss_percent) = match place {
                Place::Near => (noise.between(14_000, 24_000), noise.between(60, 120), 0),
                Place::Far => {
                    let loss = if noise.once_in(12) { noise.between(1, 8) } else { 0 };
                    (noise.between(3000, 8000), noise.between(110, 260), loss)
                }
                Place::Behind => (noise.between(500, 2000), noise.between(280, 700), noise.between(8, 60)),
            };
            // A quarter of the way to the target per row: the sender's rate control does not jump either.
            rate_kbps = (rate_kbps * 3 + target_kbps) / 4;
            Row {
                start: Span(i * 15_000_000),
                rate: Bitrate(rate_kbps / 10 * 10_000),
                rtt: Span(rtt_ms10 * 100_000),
                loss: Probability::from_parts(loss_percent * 10_000_000_000).unwrap_or_default(),
            }
        })
        .collect();
    revo::write(&rows)
}

/// 60 s of a cellular downlink from a moving car, as opportunities of 1500 bytes: the rate wanders between 0.3 and 6 Mbit/s and
/// stops now and then for a handover.
#[must_use]
pub fn cellular() -> String {
    let mut noise = Noise::new(2);
    let mut kbps = 2500u64;
    let mut stalled_ms = 0u64;
    let mut credit_bits = 0u64;
    let mut at_ms = Vec::new();
    for ms in 0..60_000u64 {
        // Every 20 ms the rate goes up or down by up to a sixth, and a hundredth of the way back to 2200 kbit/s.
        if ms % 20 == 0 {
            kbps = (kbps * noise.between(1000, 1400) / 1200 * 99 + 2200) / 100;
            kbps = kbps.clamp(300, 6000);
            if noise.once_in(400) {
                stalled_ms = noise.between(80, 350);
            }
        }
        if stalled_ms > 0 {
            stalled_ms -= 1;
            continue;
        }
        credit_bits += kbps;
        while credit_bits >= OPPORTUNITY_BYTES * 8 {
            credit_bits -= OPPORTUNITY_BYTES * 8;
            at_ms.push(ms);
        }
    }
    mahimahi::write(&Opportunities { at_ms })
}

/// 2 Mbit/s, from 10 s on 250 kbit/s, from 20 s on 2 Mbit/s again; round-trip time 40 ms, no random loss.
#[must_use]
pub fn step_down() -> String {
    let row = |s: u64, kbps: u64| Row {
        start: Span(s * 1_000_000_000),
        rate: Bitrate::from_kbps(kbps),
        rtt: Span::from_millis(40),
        loss: Probability::ZERO,
    };
    revo::write(&[row(0, 2000), row(10, 250), row(20, 2000)])
}
