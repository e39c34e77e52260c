//! The loss channel that the published program has inside its sender: Gilbert-Elliott, one step per encoded frame, which drops packets
//! before they enter the send queue (`encoder.cc`: `gE_->transition()`, `is_received()`).
//!
//! The chain and its draws are the emulator's own, so that frame i and packet j meet the same fate here as on a path of the same seed
//! that steps once per frame.

use link::{Direction, Link, LinkSpec, LossBy, LossSpec, Probability, Span, Step, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the path of the scenario, as everything else of a run. The sender has sent every packet and misses what is not
    /// acknowledged.
    Network,
    /// In the sender, before the send queue, as in the published program: a frame that loses all its packets was never sent as far as
    /// the sender knows; nobody misses it, and no key frame comes for it.
    Sender,
    /// In the sender, but it remembers what it dropped: the one change that makes the program's figures those of a lossy network.
    SenderRemembers,
}

/// Parameters of the chain, as in scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Chance per frame to leave the good state.
    pub good_to_bad: Probability,
    /// Chance per frame to leave the bad state.
    pub bad_to_good: Probability,
    /// Loss of a packet in the good state.
    pub loss_good: Probability,
    /// Loss of a packet in the bad state.
    pub loss_bad: Probability,
}

/// A channel in operation.
pub struct Channel {
    link: Link,
    frames: u64,
    packets: u64,
}

impl Chain {
    /// The program's example configuration (`ringmaster_configs`), which is the medium level of Reparo's evaluation.
    pub const EXAMPLE: Chain = Chain {
        good_to_bad: thousandths(68),
        bad_to_good: thousandths(852),
        loss_good: thousandths(40),
        loss_bad: thousandths(500),
    };
}

const fn thousandths(n: u64) -> Probability {
    Probability::from_parts(n * 1_000_000_000).expect("below one")
}

impl Channel {
    /// One step of this clock is one frame.
    const STEP: Duration = Duration::from_millis(1);

    /// A channel before the first frame of a run with this seed.
    ///
    /// # Errors
    /// Parameters that no chain can have.
    pub fn new(chain: Chain, seed: u64) -> Result<Self, link::LinkError> {
        let Chain { good_to_bad, bad_to_good, loss_good, loss_bad } = chain;
        let loss = LossSpec::GilbertElliott {
            good_to_bad,
            bad_to_good,
            loss_good,
            loss_bad,
            step: Step::Interval(Span::from_millis(1)),
            loss_by: LossBy::New,
        };
        let spec = LinkSpec { loss, ..LinkSpec::default() };
        let mut link = Link::new(&spec, Direction::Forward.seed(seed))?;
        link.start_at(Timestamp::ZERO);
        Ok(Self { link, frames: 0, packets: 0 })
    }

    /// The next frame begins: the chain steps.
    pub fn step(&mut self) {
        self.frames += 1;
    }

    /// Whether the next packet of the frame is lost.
    pub fn loses(&mut self) -> bool {
        let frame = self.frames.saturating_sub(1);
        let now = Timestamp::ZERO + Self::STEP * u32::try_from(frame).unwrap_or(u32::MAX);
        let lost = self.link.enqueue(now, self.packets, 1).at().is_none();
        self.packets += 1;
        while self.link.deliver(now).is_some() {}
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame i, packet j meets the fate that it meets on a path of the same seed and chain.
    #[test]
    fn the_channel_in_the_sender_has_the_draws_of_the_path() {
        let path: LinkSpec = toml::from_str(
            "loss = { model = \"gilbert_elliott\", good_to_bad = \"6.8%\", bad_to_good = \"85.2%\", loss_good = \"4%\", \
             loss_bad = \"75%\", step = \"frame\", loss_by = \"new\" }",
        )
        .unwrap();
        let chain = Chain { loss_bad: "75%".parse().unwrap(), ..Chain::EXAMPLE };
        let (mut lost, mut all) = (0u32, 0u32);
        for seed in 1..6 {
            let mut link = Link::new(&path, Direction::Forward.seed(seed)).unwrap();
            link.start_at(Timestamp::ZERO);
            let mut channel = Channel::new(chain, seed).unwrap();
            for frame in 0..2000u64 {
                channel.step();
                let now = Timestamp(frame * 1_000_000_000 / 30);
                for packet in 0..4 {
                    let on_the_path = link.enqueue(now, 4 * frame + packet, 1000).at().is_none();
                    assert_eq!(channel.loses(), on_the_path, "seed {seed}, frame {frame}, packet {packet}");
                    (lost, all) = (lost + u32::from(on_the_path), all + 1);
                }
            }
        }
        // 0.0739 of the time in the bad state (6.8 / 92): 0.0739 x 75 % + 0.9261 x 4 % = 9.25 %.
        let percent = 100.0 * f64::from(lost) / f64::from(all);
        assert!((8.6..9.9).contains(&percent), "{percent}");
    }
}
