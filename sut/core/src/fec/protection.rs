//! How much repair a real-time sender adds, and when a repair block closes: libwebrtc's rules.
//!
//! [`Protection::Fixed`] is one factor for all frames, as in the papers' evaluations. [`Protection::Adaptive`]
//! follows the reported loss. libwebrtc takes the factor of a delta frame from a table of 50 x 129 entries; here it
//! is twice the loss, which keeps its limits (20 % at least once frames have several packets, 50 % at most).

use super::xor::repair_count;
use link::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// Most media packets of a block.
pub const MAX_BLOCK: usize = 48;
/// A block closes early if rounding the number of repair packets costs less than this many 256ths ...
const MAX_EXCESS: usize = 50;
/// ... and it has that many media packets.
const ENOUGH_PACKETS: usize = 4;

/// How the factor is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Always the same.
    Fixed,
    /// By the loss that the receiver reports.
    Adaptive,
}

/// What the rules depend on.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How the factor is chosen.
    pub protection: Protection,
    /// [`Protection::Fixed`]: repair per media, in percent.
    pub percent: u32,
    /// Round-trip time the sender assumes.
    pub rtt: Duration,
    /// Frames per second.
    pub fps: u32,
    /// Columns times rows.
    pub pixels: u32,
    /// Lost packets are also sent again. [`Protection::Adaptive`]: turns FEC off below 20 ms RTT, as libwebrtc does.
    pub nack: bool,
}

/// Chooses factors and closes blocks.
#[derive(Clone, Debug)]
pub struct Controller {
    config: Config,
    /// Loss reports of the last 10 s, in 256ths.
    reports: VecDeque<(Timestamp, u8)>,
    /// Mean bytes and packets of a delta frame, in 1/16.
    mean_bytes: u64,
    mean_packets: u64,
    frames_in_block: u32,
}

impl Controller {
    /// A controller without reports.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Controller { config, reports: VecDeque::new(), mean_bytes: 0, mean_packets: 0, frames_in_block: 0 }
    }

    /// The receiver reports this fraction of packets lost, in 256ths.
    pub fn report(&mut self, now: Timestamp, fraction_lost: u8) {
        self.reports.push_back((now, fraction_lost));
    }

    /// Largest reported loss of the last 10 s, at most a half.
    fn loss(&mut self, now: Timestamp) -> u32 {
        let window = Duration::from_secs(10);
        while self.reports.front().is_some_and(|(at, _)| *at + window < now) {
            self.reports.pop_front();
        }
        self.reports.iter().map(|(_, l)| u32::from(*l)).max().unwrap_or(0).min(128)
    }

    /// The factor for a frame, in 256ths.
    pub fn factor(&mut self, now: Timestamp, key: bool) -> u8 {
        let config = self.config;
        if config.protection == Protection::Fixed {
            return (config.percent * 256 / 100).min(255) as u8;
        }
        let loss = self.loss(now);
        if loss == 0 || (config.nack && config.rtt < Duration::from_millis(20)) {
            return 0;
        }
        // Small frames are protected at more than their worth.
        let off_below = match config.pixels {
            0..=101_376 => 400,       // CIF
            101_377..=307_200 => 700, // VGA
            _ => 1000,
        };
        if config.rtt < Duration::from_millis(200) && self.mean_bytes / 16 < off_below && !key {
            return 0;
        }
        let least = if self.mean_packets > 16 { 256 / 5 } else { 0 };
        let delta = (2 * loss).max(least).min(128);
        (if key { 2 * delta } else { delta }).min(255) as u8
    }

    /// A frame of `bytes` in `packets` joined the block, which now has `block` media packets: repair packets to
    /// send if the block closes here.
    pub fn frame(
        &mut self,
        bytes: usize,
        packets: usize,
        block: usize,
        key: bool,
        factor: u8,
    ) -> Option<usize> {
        if !key {
            let mix = |mean: u64, new: u64| if mean == 0 { 16 * new } else { mean - mean / 8 + 2 * new };
            self.mean_bytes = mix(self.mean_bytes, bytes as u64);
            self.mean_packets = mix(self.mean_packets, packets as u64);
        }
        self.frames_in_block += 1;
        let repair = repair_count(block, factor);
        let excess = (256 * repair / block.max(1)).saturating_sub(usize::from(factor));
        let closes = key
            || block >= MAX_BLOCK
            || self.frames_in_block >= self.max_frames()
            || (excess < MAX_EXCESS && block >= ENOUGH_PACKETS);
        if closes {
            self.frames_in_block = 0;
        }
        closes.then_some(repair)
    }

    /// Most frames of a block: two round trips' worth, 1 to 6.
    fn max_frames(&self) -> u32 {
        let frames = 2 * u128::from(self.config.fps) * self.config.rtt.as_millis() / 1000;
        frames.clamp(1, 6) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(protection: Protection) -> Config {
        let rtt = Duration::from_millis(40);
        Config { protection, percent: 50, rtt, fps: 30, pixels: 512 * 512, nack: false }
    }

    #[test]
    fn half_redundancy_is_half_of_the_packets_over_blocks_of_two_frames() {
        let mut c = Controller::new(config(Protection::Fixed));
        let factor = c.factor(Timestamp::ZERO, false);
        assert_eq!(factor, 128);
        // RTT 40 ms at 30 fps: two frames a block. One packet a frame: one repair packet for two.
        assert_eq!(c.frame(900, 1, 1, false, factor), None);
        assert_eq!(c.frame(900, 1, 2, false, factor), Some(1));
        // Six packets: three repair packets at once.
        assert_eq!(c.frame(7000, 6, 6, false, factor), Some(3));
        // A key frame always closes.
        assert_eq!(c.frame(900, 1, 1, true, factor), Some(1));
    }

    #[test]
    fn the_adaptive_rules_have_their_floors_and_switches() {
        let at = Timestamp::from_millis;
        let mut c = Controller::new(config(Protection::Adaptive));
        assert_eq!(c.factor(at(0), false), 0, "no loss, no repair");
        c.report(at(0), 13); // 5 %
        assert_eq!(c.factor(at(0), false), 0, "small frames");
        for _ in 0..40 {
            c.frame(3000, 3, 3, false, 0);
        }
        assert_eq!(c.factor(at(1), false), 51, "at least 20 %");
        assert_eq!(c.factor(at(1), true), 102, "a key frame gets twice that");
        c.report(at(5000), 200);
        assert_eq!(c.factor(at(5001), false), 128, "at most 50 %");
        assert_eq!(c.factor(at(15_001), false), 0, "ten seconds later the maximum is forgotten");
        let mut c = Controller::new(Config {
            nack: true,
            rtt: Duration::from_millis(19),
            ..config(Protection::Adaptive)
        });
        c.report(at(0), 100);
        assert_eq!(c.factor(at(0), true), 0, "resending replaces repair below 20 ms");
    }
}
