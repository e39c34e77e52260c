//! How a training sequence loses tokens: what its sender drops itself, which the encoder knows, and what a network
//! loses of the rest. Drawn as in the paper: self-drop from a truncated Gaussian, packets of a frame
//! independently at a rate from U(0, 0.8); beside it two fifths of the sequences have no self-drop, and half have
//! their losses in bursts of frames.

use super::Random;

/// One sequence's losses.
#[derive(Clone, Copy, Debug)]
pub struct Losses {
    /// Share that the sender drops.
    pub self_drop: f64,
    /// Share of packets that the network loses.
    pub packet: f64,
    /// Whether it loses them in bursts instead.
    pub bursts: bool,
}

impl Losses {
    /// Nothing gets lost.
    pub const NONE: Self = Self { self_drop: 0.0, packet: 0.0, bursts: false };

    /// Of a lossy sequence.
    #[must_use]
    pub fn draw(random: &mut Random) -> Self {
        // Without self-drop the frames before a loss are whole; trained on thinned ones alone, a network
        // would be no better than a copy there.
        let self_drop = match random.chance(0.4) {
            true => 0.0,
            false => loop {
                let drawn = 0.3 + 0.3 * random.normal();
                if (0.0..=0.6).contains(&drawn) {
                    break drawn;
                }
            },
        };
        Self { self_drop, packet: 0.8 * random.unit(), bursts: random.chance(0.5) }
    }

    /// Which tokens of a frame the sender sends.
    #[must_use]
    pub fn sent(&self, places: usize, random: &mut Random) -> Vec<bool> {
        (0..places).map(|_| !random.chance(self.self_drop)).collect()
    }

    /// Which of a frame's tokens a receiver gets, in rows of `columns`.
    #[must_use]
    pub fn arrived(&self, sent: &[bool], columns: usize, random: &mut Random) -> Vec<bool> {
        let packet = match self.bursts {
            true if random.chance(0.7) => 0.0,
            true => 0.5 + 0.5 * random.unit(),
            false => self.packet,
        };
        let lost: [bool; 4] = std::array::from_fn(|_| random.chance(packet));
        sent.iter().enumerate().map(|(place, &sent)| sent && !lost[packet_of(place, columns)]).collect()
    }
}

/// The packet in which the token at a place travels, in rows of `columns`.
#[must_use]
pub fn packet_of(place: usize, columns: usize) -> usize {
    2 * (place / columns % 2) + place % columns % 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_lost_whole_and_what_is_not_sent_never_arrives() {
        let mut random = Random::of_step(1, 0);
        let losses = Losses { self_drop: 0.5, packet: 0.5, bursts: false };
        let (mut sent_tokens, mut lost_packets) = (0, 0);
        for _ in 0..200 {
            let sent = losses.sent(16 * 8, &mut random);
            let arrived = losses.arrived(&sent, 8, &mut random);
            for packet in 0..4 {
                let of = |what: &[bool]| -> Vec<bool> {
                    let mine = |p: &usize| 2 * (p / 8 % 2) + p % 2 == packet;
                    (0..16 * 8).filter(mine).map(|p| what[p]).collect()
                };
                let (sent, arrived) = (of(&sent), of(&arrived));
                assert!(arrived == sent || !arrived.contains(&true));
                sent_tokens += sent.iter().filter(|&&s| s).count();
                lost_packets += usize::from(arrived != sent);
            }
        }
        assert!((0.48..0.52).contains(&(sent_tokens as f64 / (200.0 * 128.0))));
        assert!((0.45..0.55).contains(&(f64::from(lost_packets as u32) / 800.0)));
        let none = Losses::NONE.sent(12, &mut random);
        assert_eq!(Losses::NONE.arrived(&none, 4, &mut random), [true; 12]);
    }
}
