//! How much repair a block needs at a loss rate: the table of [`Own`](super::protection::Protection::Own)
//! protection, computed from the masks that are sent.
//!
//! libwebrtc reads it from a table found off line. Here it is derived: the least repair with which a block of n media
//! packets comes back whole in 99 of 100 cases ([`TARGET`]) when every packet, repair packets too, is lost with
//! probability p, independently.
//!
//! A mask pattern of [`masks`] is a graph: repair packets and a ground are vertices, a media packet is an edge between
//! the repair packets that cover it (or one of them and the ground). A lost repair packet merges its vertex with the
//! ground. Lost media packets come back exactly if their edges then make no cycle. So the recoverable patterns are
//! counted exactly, by number of losses, while edges are added one by one; a state is which vertices hang together,
//! among those that edges are still to come to.

use super::masks::masks;
use super::protection::MAX_BLOCK;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Blocks that may stay damaged, as a fraction.
pub const TARGET: f64 = 0.01;
/// Largest loss in the table, in 256ths: one half.
pub const MAX_LOSS: u8 = 128;
/// Largest factor: as many repair as media packets, that is half of all.
pub const MAX_FACTOR: u8 = 255;

/// Rows: 1 to [`MAX_BLOCK`] media packets. Columns: loss 0 to [`MAX_LOSS`] in 256ths.
static TABLE: LazyLock<Vec<[u8; MAX_LOSS as usize + 1]>> =
    LazyLock::new(|| (1..=MAX_BLOCK).map(table_row).collect());

/// The factor (repair per media packets, in 256ths) that a block of `media` packets needs when `loss` 256ths of all
/// packets are lost. 0 where the block needs none, [`MAX_FACTOR`] where no amount reaches [`TARGET`]. `media` is taken
/// as at least 1 and at most [`MAX_BLOCK`], `loss` as at most [`MAX_LOSS`].
#[must_use]
pub fn factor(media: usize, loss: u8) -> u8 {
    TABLE[media.clamp(1, MAX_BLOCK) - 1][usize::from(loss.min(MAX_LOSS))]
}

fn table_row(media: usize) -> [u8; MAX_LOSS as usize + 1] {
    let patterns: Vec<Vec<u128>> =
        (0..=media).map(|repair| recoverable(media, &masks(media, repair))).collect();
    let mut row = [0; MAX_LOSS as usize + 1];
    // The least repair that suffices never falls as the loss rises: what fails at a loss fails more often at a higher.
    let mut repair = 0;
    for (loss, factor) in row.iter_mut().enumerate() {
        while patterns.get(repair).is_some_and(|p| residual(p, loss as f64 / 256.0) > TARGET) {
            repair += 1;
        }
        *factor = if repair > media { MAX_FACTOR } else { factor_for(media, repair) };
    }
    row
}

/// The least factor that rounds to `repair` packets for `media`. The rule of one packet at least is not counted on, so
/// that a block that grows gets its share.
fn factor_for(media: usize, repair: usize) -> u8 {
    (256 * repair).saturating_sub(128).div_ceil(media).min(usize::from(MAX_FACTOR)) as u8
}

/// Probability that a block does not come back whole, each packet being lost with probability `p`; `patterns` from
/// [`recoverable`]. Additions and products in a fixed order: the same on every machine.
#[must_use]
pub fn residual(patterns: &[u128], p: f64) -> f64 {
    let power = |base: f64, exponent: usize| (0..exponent).fold(1.0, |product, _| product * base);
    let packets = patterns.len() - 1;
    let whole: f64 =
        patterns.iter().enumerate().map(|(w, &n)| n as f64 * power(p, w) * power(1.0 - p, packets - w)).sum();
    (1.0 - whole).max(0.0)
}

/// Entry w: how many of the patterns of w losses among `media` media packets and the repair packets of `masks` leave
/// all media packets recoverable. Every media packet is covered by two repair packets at most, as in [`masks`].
///
/// # Panics
/// If a media packet is covered by more.
#[must_use]
pub fn recoverable(media: usize, masks: &[u128]) -> Vec<u128> {
    const GROUND: usize = 0;
    let mut edges: Vec<(usize, usize)> = (0..media)
        .map(|i| {
            let mut ends = (1..=masks.len()).filter(|r| masks[r - 1] >> i & 1 == 1);
            let (a, b) = (ends.next().unwrap_or(GROUND), ends.next().unwrap_or(GROUND));
            assert!(ends.next().is_none(), "media packet {i} is covered more than twice");
            (a.max(b), a.min(b))
        })
        .collect();
    // In this order few vertices are between their first and their last edge at any time.
    edges.sort_unstable();
    let mut states = States::new(media, masks.len());
    let mut seen = vec![false; masks.len() + 1];
    seen[GROUND] = true;
    for (i, &(a, b)) in edges.iter().enumerate() {
        for vertex in [a, b] {
            if !std::mem::replace(&mut seen[vertex], true) {
                states.lose(vertex, GROUND, true);
            }
        }
        states.lose(a, b, false);
        for vertex in [a, b] {
            if vertex != GROUND && !edges[i + 1..].iter().any(|&(a, b)| a == vertex || b == vertex) {
                states.forget(vertex);
            }
        }
    }
    for vertex in (1..=masks.len()).filter(|v| !seen[*v]) {
        states.lose(vertex, GROUND, true); // covers nothing
    }
    states.total()
}

/// Which vertices hang together, and how many patterns of each number of losses lead there.
struct States {
    packets: usize,
    counts: BTreeMap<Vec<u8>, Vec<u128>>,
}

impl States {
    fn new(media: usize, repair: usize) -> Self {
        // A component is named after its lowest vertex.
        let apart: Vec<u8> = (0..=repair as u8).collect();
        let packets = media + repair;
        let mut none_lost = vec![0; packets + 1];
        none_lost[0] = 1;
        States { packets, counts: BTreeMap::from([(apart, none_lost)]) }
    }

    /// A packet arrives, or is lost and joins `a` and `b`. A lost media packet must not close a cycle.
    fn lose(&mut self, a: usize, b: usize, cycles: bool) {
        for (state, counts) in std::mem::take(&mut self.counts) {
            let (from, to) = (state[a].max(state[b]), state[a].min(state[b]));
            if from != to || cycles {
                let joined = state.iter().map(|&c| if c == from { to } else { c }).collect();
                self.add(joined, counts.iter().enumerate().map(|(w, n)| (w + 1, *n)));
            }
            self.add(state, counts.iter().copied().enumerate());
        }
    }

    /// No edge comes to `vertex` any more.
    fn forget(&mut self, vertex: usize) {
        for (mut state, counts) in std::mem::take(&mut self.counts) {
            let name = vertex as u8;
            if let Some(next) = (vertex + 1..state.len()).find(|v| state[vertex] == name && state[*v] == name)
            {
                state.iter_mut().filter(|c| **c == name).for_each(|c| *c = next as u8);
            }
            state[vertex] = u8::MAX;
            self.add(state, counts.iter().copied().enumerate());
        }
    }

    fn add(&mut self, state: Vec<u8>, counts: impl Iterator<Item = (usize, u128)>) {
        let sums = self.counts.entry(state).or_insert_with(|| vec![0; self.packets + 1]);
        for (w, n) in counts.filter(|(_, n)| *n > 0) {
            sums[w] += n;
        }
    }

    fn total(self) -> Vec<u128> {
        let mut sums = vec![0; self.packets + 1];
        for counts in self.counts.into_values() {
            sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::super::ulpfec;
    use super::super::xor::{RTP_FIXED, XorDecoder, repair_count};
    use super::*;

    /// The definition: peel until nothing more comes back.
    fn peels(masks: &[u128], mut lost: u128, have: u128) -> bool {
        while lost != 0 {
            let useful = |&(r, m): &(usize, &u128)| have >> r & 1 == 1 && (*m & lost).count_ones() == 1;
            match masks.iter().enumerate().find(useful) {
                Some((_, mask)) => lost &= !mask,
                None => return false,
            }
        }
        true
    }

    #[test]
    fn the_counts_are_those_of_peeling_every_pattern() {
        for (media, repair) in [
            (1, 1),
            (2, 1),
            (2, 2),
            (3, 3),
            (5, 2),
            (6, 3),
            (7, 7),
            (9, 4),
            (10, 5),
            (12, 2),
            (12, 5),
            (14, 3),
        ] {
            let masks = masks(media, repair);
            let mut expected = vec![0u128; media + repair + 1];
            for pattern in 0..1u128 << (media + repair) {
                let lost = pattern & ((1 << media) - 1);
                if peels(&masks, lost, !(pattern >> media)) {
                    expected[pattern.count_ones() as usize] += 1;
                }
            }
            assert_eq!(recoverable(media, &masks), expected, "{media} {repair}");
        }
    }

    #[test]
    fn a_block_without_repair_and_a_packet_sent_twice_are_what_arithmetic_says() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(residual(&recoverable(3, &[]), 0.1), 1.0 - 0.9f64.powi(3)));
        assert!(near(residual(&recoverable(1, &[1]), 0.1), 0.01));
        // Interleaved groups of 5, 5 and 4 are independent; each stands one loss, of the repair packet too.
        let group = |n: i32| 0.95f64.powi(n + 1) + f64::from(n + 1) * 0.05 * 0.95f64.powi(n);
        let whole = group(5) * group(5) * group(4);
        assert!(near(residual(&recoverable(14, &masks(14, 3)), 0.05), 1.0 - whole));
    }

    #[test]
    fn the_factor_rises_with_the_loss_and_is_the_least_that_meets_the_target() {
        for media in 1..=MAX_BLOCK {
            let patterns: Vec<_> = (0..=media).map(|r| recoverable(media, &masks(media, r))).collect();
            assert_eq!(factor(media, 0), 0);
            for loss in 1..=MAX_LOSS {
                let (p, now) = (f64::from(loss) / 256.0, factor(media, loss));
                assert!(now >= factor(media, loss - 1), "{media} packets at {loss}/256");
                let fails = |repair: usize| residual(&patterns[repair], p);
                let repair = if now == 0 { 0 } else { repair_count(media, now) };
                if now == 0 || fails(repair) <= TARGET {
                    assert!(fails(repair) <= TARGET, "{media} packets at {loss}/256");
                } else {
                    assert_eq!(now, MAX_FACTOR, "{media} packets at {loss}/256");
                }
                if loss % 16 == 0 {
                    let less = (0..repair).map(fails).fold(1.0, f64::min);
                    assert!(less > TARGET, "{repair} for {media} packets at {loss}/256 are more than needed");
                }
            }
        }
        assert_eq!(factor(0, 20), factor(1, 20));
        assert_eq!((factor(200, 20), factor(9, 255)), (factor(MAX_BLOCK, 20), factor(9, MAX_LOSS)));
    }

    /// The packets themselves, lost at random.
    #[test]
    fn blocks_sent_with_the_factor_fail_no_more_often_than_the_target() {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut lost = |loss: u8| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) < u64::from(loss)
        };
        for (media, loss) in [(2, 6), (4, 5), (6, 10), (9, 8), (12, 13), (16, 6), (30, 4), (48, 3)] {
            let factor = factor(media, loss);
            assert!((1..MAX_FACTOR).contains(&factor), "{media} at {loss}: {factor} is no test");
            let packets: Vec<Vec<u8>> = (0..media)
                .map(|i| {
                    let mut packet = vec![0x80, 96, 0, i as u8, 0, 0, 0, 0, 0, 0, 0, 1];
                    packet.extend((0..20 + i).map(|j| (31 * i + j) as u8));
                    assert!(packet.len() > RTP_FIXED);
                    packet
                })
                .collect();
            let repairs: Vec<_> = ulpfec::protect(&packets, repair_count(media, factor))
                .iter()
                .map(|payload| ulpfec::parse(1, payload).unwrap())
                .collect();
            let (blocks, mut damaged) = (20_000, 0);
            for _ in 0..blocks {
                let mut decoder = XorDecoder::default();
                let mut whole = 0;
                for packet in &packets {
                    if !lost(loss) {
                        whole += 1 + decoder.media(packet).len();
                    }
                }
                for repair in &repairs {
                    if !lost(loss) {
                        whole += decoder.repair(repair.clone()).len();
                    }
                }
                damaged += usize::from(whole < media);
            }
            let expected = {
                let masks = masks(media, repairs.len());
                residual(&recoverable(media, &masks), f64::from(loss) / 256.0)
            };
            let (got, blocks) = (damaged as f64 / f64::from(blocks), f64::from(blocks));
            let deviation = (expected * (1.0 - expected) / blocks).sqrt();
            assert!(expected <= TARGET);
            assert!(
                (got - expected).abs() < 4.5 * deviation,
                "{media} at {loss}: {got}, expected {expected}"
            );
        }
    }

    /// The table of docs/FEC.md: `cargo test --release -p freezeframe-sut-core rate_table -- --nocapture`.
    #[test]
    fn rate_table() {
        let losses = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0];
        println!("| media packets | {} |", losses.map(|l| format!("{l} %")).join(" | "));
        for media in [1, 2, 3, 4, 6, 8, 12, 24, 48] {
            let cells = losses.map(|l: f64| {
                let factor = factor(media, (l * 2.56).round() as u8);
                format!("{} ({})", factor, if factor == 0 { 0 } else { repair_count(media, factor) })
            });
            println!("| {media} | {} |", cells.join(" | "));
            assert_eq!(cells.len(), losses.len());
        }
    }
}
