//! How much repair a real-time sender adds, and when a repair block closes: libwebrtc's rules.
//!
//! [`Protection::Fixed`] is one factor for all frames, as in the papers' evaluations. [`Protection::Own`]
//! follows the reported loss: libwebrtc's limits and switches around the table of [`super::rate`], which stands where
//! libwebrtc has a table of 6450 constants. Limits are shares of all packets: a delta frame at least a fifth once frames have several
//! packets, a key frame twice the share of a delta frame, either at most a half. Factors are repair per media packets.
//!
//! libwebrtc has two sets of rules (`modules/video_coding/media_opt_util.cc`): `VCMFecMethod` where lost packets are not sent again,
//! and `VCMNackFecMethod` where they are, with blocks of several frames. See [`Rules`].

use super::rate;
use super::xor::repair_count;
use link::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// Most media packets of a block.
pub const MAX_BLOCK: usize = 48;
/// A block closes early if rounding the number of repair packets costs less than this many 256ths ...
const MAX_EXCESS: usize = 50;
/// ... and it has that many media packets, above the factor [`HIGH_FACTOR`] (one more when frames have two packets or more).
const ENOUGH_PACKETS: usize = 4;
/// `kHighProtectionThreshold` of `ulpfec_generator.cc`.
const HIGH_FACTOR: u8 = 80;
/// The factor that makes a fifth of all packets repair.
const LEAST_FACTOR: u8 = 64;

/// How the factor is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Always the same.
    Fixed,
    /// By the loss that the receiver reports, with a table of this project's own.
    Own,
}

/// Which of libwebrtc's two sets of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rules {
    /// Repair alone: a block is a frame (`VCMProtectionMethod::MaxFramesFec` is 1), and small frames are protected too.
    Fec,
    /// Repair beside retransmission: a block has as many frames as two round trips, at most six; below 200 ms of round trip small frames
    /// have no repair, below 20 ms no delta frame has.
    FecAndNack,
}

/// What the rules depend on.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How the factor is chosen.
    pub protection: Protection,
    /// [`Protection::Fixed`]: repair per media, in percent.
    pub percent: u32,
    /// Which rules.
    pub rules: Rules,
    /// Frames per second.
    pub fps: u32,
    /// Columns times rows.
    pub pixels: u32,
}

/// Chooses factors and closes blocks.
#[derive(Clone, Debug)]
pub struct Controller {
    config: Config,
    /// As measured; zero until then, as in libwebrtc.
    round_trip: Duration,
    /// Loss reports of the last 10 s, in 256ths.
    reports: VecDeque<(Timestamp, u8)>,
    /// Mean bytes and packets of a delta frame, in 1/16.
    mean_bytes: u64,
    mean_packets: u64,
    /// Packets of the last key frame.
    key_packets: usize,
    frames_in_block: u32,
}

impl Controller {
    /// A controller without reports.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Controller {
            config,
            round_trip: Duration::ZERO,
            reports: VecDeque::new(),
            mean_bytes: 0,
            mean_packets: 0,
            key_packets: 0,
            frames_in_block: 0,
        }
    }

    /// The receiver reports this fraction of packets lost, in 256ths.
    pub fn report(&mut self, now: Timestamp, fraction_lost: u8) {
        self.reports.push_back((now, fraction_lost));
    }

    /// The round-trip time was measured.
    pub fn round_trip(&mut self, time: Duration) {
        self.round_trip = time;
    }

    /// Largest reported loss of the last 10 s, at most a half.
    fn loss(&mut self, now: Timestamp) -> u8 {
        let window = Duration::from_secs(10);
        while self.reports.front().is_some_and(|(at, _)| *at + window < now) {
            self.reports.pop_front();
        }
        self.reports.iter().map(|(_, l)| *l).max().unwrap_or(0).min(rate::MAX_LOSS)
    }

    /// The factor for a frame, in 256ths.
    pub fn factor(&mut self, now: Timestamp, key: bool) -> u8 {
        let config = self.config;
        if config.protection == Protection::Fixed {
            return (config.percent * 256 / 100).min(255) as u8;
        }
        let loss = self.loss(now);
        if loss == 0 {
            return 0;
        }
        if config.rules == Rules::FecAndNack {
            let resent_in_time = self.round_trip < Duration::from_millis(20);
            // Small frames are protected at more than their worth.
            let off_below = match config.pixels {
                0..=101_376 => 400,       // CIF
                101_377..=307_200 => 700, // VGA
                _ => 1000,
            };
            let small = self.round_trip < Duration::from_millis(200) && self.mean_bytes / 16 < off_below;
            if (resent_in_time && !key) || small {
                return 0;
            }
        }
        let least = if self.mean_packets > 16 { LEAST_FACTOR } else { 0 };
        let delta = rate::factor(self.block_packets(), loss).max(least);
        if key { twice_the_share(delta).max(rate::factor(self.key_packets, loss)) } else { delta }
    }

    /// Media packets that a block of delta frames has when it can close.
    fn block_packets(&self) -> usize {
        let frame = (self.mean_packets as usize + 8) / 16;
        let frames = ENOUGH_PACKETS.div_ceil(frame.max(1)).min(self.max_frames() as usize);
        frame.max(1) * frames
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
        } else {
            self.key_packets = packets;
        }
        self.frames_in_block += 1;
        let repair = repair_count(block, factor);
        let excess = (256 * repair / block.max(1)).saturating_sub(usize::from(factor));
        let several = block >= 2 * self.frames_in_block as usize;
        let enough = if factor > HIGH_FACTOR { ENOUGH_PACKETS } else { 1 } + usize::from(several);
        let closes = key
            || block >= MAX_BLOCK
            || self.frames_in_block >= self.max_frames()
            || (excess < MAX_EXCESS && block >= enough);
        if closes {
            self.frames_in_block = 0;
        }
        closes.then_some(repair)
    }

    /// Most frames of a block: one, or two round trips' worth, rounded, 1 to 6.
    fn max_frames(&self) -> u32 {
        if self.config.rules == Rules::Fec {
            return 1;
        }
        let frames = (2 * u128::from(self.config.fps) * self.round_trip.as_millis() + 500) / 1000;
        frames.clamp(1, 6) as u32
    }
}

/// The factor of twice the share of all packets, at most a half. A factor f is a share of f / (256 + f).
fn twice_the_share(factor: u8) -> u8 {
    let (f, rest) = (u32::from(factor), 256 - u32::from(factor));
    ((1024 * f + rest) / (2 * rest)).min(u32::from(rate::MAX_FACTOR)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(protection: Protection, rules: Rules, rtt_ms: u64) -> Controller {
        let mut c = Controller::new(Config { protection, percent: 50, rules, fps: 30, pixels: 512 * 512 });
        c.round_trip(Duration::from_millis(rtt_ms));
        c
    }

    /// libwebrtc without retransmission: `MaxFramesFec` is 1, and `NumFecPackets` gives one repair packet at least.
    #[test]
    fn without_retransmission_every_frame_is_a_block() {
        let mut c = controller(Protection::Fixed, Rules::Fec, 400);
        let factor = c.factor(Timestamp::ZERO, false);
        assert_eq!(factor, 128);
        // (n * 128 + 128) >> 8, at least 1.
        for (packets, repair) in [(1, 1), (2, 1), (3, 2), (4, 2), (6, 3), (7, 4)] {
            assert_eq!(c.frame(900 * packets, packets, packets, false, factor), Some(repair), "{packets}");
        }
    }

    #[test]
    fn beside_retransmission_blocks_span_two_round_trips() {
        let mut c = controller(Protection::Fixed, Rules::FecAndNack, 40);
        let factor = c.factor(Timestamp::ZERO, false);
        // 2 * 30 / s * 40 ms + 0.5 = 2.9: two frames a block. One packet a frame: one repair packet for two.
        assert_eq!(c.frame(900, 1, 1, false, factor), None);
        assert_eq!(c.frame(900, 1, 2, false, factor), Some(1));
        // Six packets: three repair packets at once.
        assert_eq!(c.frame(7000, 6, 6, false, factor), Some(3));
        // A key frame always closes.
        assert_eq!(c.frame(900, 1, 1, true, factor), Some(1));
        // 2 * 30 / s * 50 ms + 0.5 = 3.5: three; before anything is measured one.
        for (rtt, frames) in [(50, 3), (0, 1), (1000, 6)] {
            let mut c = controller(Protection::Fixed, Rules::FecAndNack, rtt);
            let closed = (1..=9).find(|&n| c.frame(900, 1, n, false, factor).is_some());
            // Four packets are enough whatever the round trip, for frames of one packet.
            assert_eq!(closed, Some(frames.min(4)), "{rtt}");
        }
    }

    #[test]
    fn the_rules_have_their_floors_and_switches() {
        let at = Timestamp::from_millis;
        let mut c = controller(Protection::Own, Rules::FecAndNack, 40);
        assert_eq!(c.factor(at(0), false), 0, "no loss, no repair");
        c.report(at(0), 3); // 1.2 %
        assert_eq!((c.factor(at(0), false), c.factor(at(0), true)), (0, 0), "small frames");
        c.frame(12_000, 10, 10, true, 0);
        for _ in 0..40 {
            c.frame(1000, 1, 1, false, 0);
        }
        // Blocks of two packets, from two frames.
        assert_eq!(c.factor(at(1), false), rate::factor(2, 3));
        assert_eq!(c.factor(at(1), true), twice_the_share(rate::factor(2, 3)).max(rate::factor(10, 3)));
        for _ in 0..40 {
            c.frame(14_000, 12, 12, false, 0);
        }
        assert!(rate::factor(12, 3) < LEAST_FACTOR);
        assert_eq!(c.factor(at(2), false), LEAST_FACTOR, "a fifth of all packets at least");
        assert_eq!(c.factor(at(2), true), 171, "two fifths for a key frame");
        c.report(at(5000), 26);
        assert_eq!(c.factor(at(5001), false), rate::factor(12, 26));
        c.report(at(5002), 200);
        assert_eq!(
            (c.factor(at(5003), false), c.factor(at(5003), true)),
            (255, 255),
            "half of all packets at most"
        );
        assert_eq!(c.factor(at(15_003), false), 0, "ten seconds later the maximum is forgotten");
        let mut c = controller(Protection::Own, Rules::FecAndNack, 19);
        c.report(at(0), 100);
        for _ in 0..40 {
            c.frame(3000, 3, 3, false, 0);
        }
        assert_eq!(c.factor(at(0), false), 0, "resending replaces repair below 20 ms");
        assert_eq!(c.factor(at(0), true), 255, "but not for key frames");
        // Alone, repair has neither switch.
        let mut c = controller(Protection::Own, Rules::Fec, 19);
        c.report(at(0), 100);
        c.frame(300, 1, 1, false, 0);
        assert_eq!(c.factor(at(0), false), rate::factor(1, 100));
        assert!(c.factor(at(0), false) > 0);
    }

    #[test]
    fn twice_the_share_of_all_packets_is_that() {
        for factor in 0..=255u8 {
            let share = |f: u8| f64::from(f) / (256.0 + f64::from(f));
            let (once, twice) = (share(factor), share(twice_the_share(factor)));
            assert!(twice >= once && (twice - (2.0 * once).min(0.499)).abs() < 0.003, "{factor}");
        }
    }
}
