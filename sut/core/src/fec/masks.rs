//! Which media packets a repair packet covers, for the exclusive-or codes.
//!
//! A decoder reads masks from the packet, so any rule interoperates. libwebrtc's tables (random and bursty) are
//! not copied; the rule for up to 12 packets is a graph: the repair packets and a ground are its vertices, every
//! media packet is an edge and is covered by the repair packets at its ends. Lost media packets come back one by
//! one exactly if their edges make no cycle. Edges go round the vertices at distance 1, then 2, ..., so that
//! neighbours in sending order form paths: a burst as long as the number of repair packets comes back if it lies
//! within one round, and so do most scattered losses of that number.
//!
//! ```text
//! 6 media, 3 repair:   ground ─0─ A ─1─ B ─2─ C ─3─ ground,  ground ─4─ B,  A ─5─ C
//! ```
//! Above 12 packets repair packet r covers every packet i with i mod f = r, as libwebrtc does.

/// Above this many media packets masks are interleaved (libwebrtc's tables end there too).
pub const GRAPH_LIMIT: usize = 12;

/// Masks of `repair` repair packets over `media` media packets; bit i covers packet i. Never more masks than
/// media packets, at most 109 packets.
#[must_use]
pub fn masks(media: usize, repair: usize) -> Vec<u128> {
    let media = media.min(109);
    let repair = repair.min(media);
    let mut masks = vec![0u128; repair];
    if repair == 0 {
        return masks;
    }
    if media > GRAPH_LIMIT {
        for i in 0..media {
            masks[i % repair] |= 1 << i;
        }
        return masks;
    }
    // Vertex 0 is the ground.
    let vertices = repair + 1;
    let edges: Vec<(usize, usize)> = (1..=vertices / 2)
        .flat_map(|distance| {
            // The longest distance of an even ring meets every pair twice.
            let count = if 2 * distance == vertices { distance } else { vertices };
            (0..count).map(move |v| (v, (v + distance) % vertices))
        })
        .collect();
    for i in 0..media {
        let (a, b) = edges[i % edges.len()];
        for end in [a, b] {
            if let Some(mask) = end.checked_sub(1).and_then(|r| masks.get_mut(r)) {
                *mask |= 1 << i;
            }
        }
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether peeling brings back all of `lost` with the repair packets in `have`.
    fn recovers(masks: &[u128], mut lost: u128, have: u64) -> bool {
        loop {
            let one =
                masks.iter().enumerate().find(|(r, m)| have >> r & 1 == 1 && (*m & lost).count_ones() == 1);
            match one {
                Some((_, m)) => lost &= !m,
                None => return lost == 0,
            }
        }
    }

    #[test]
    fn every_packet_is_covered_and_bursts_come_back() {
        for media in 1..=48 {
            for repair in 1..=media {
                let masks = masks(media, repair);
                assert_eq!(masks.len(), repair);
                assert!(masks.iter().all(|m| *m != 0), "{media} {repair}");
                assert_eq!(masks.iter().fold(0, |a, m| a | m), (1 << media) - 1, "{media} {repair}");
                // Everywhere when interleaved; in the first round of the graph.
                let starts = if media > GRAPH_LIMIT { media - repair } else { (media - repair).min(1) };
                for start in 0..=starts {
                    let lost = ((1u128 << repair) - 1) << start;
                    assert!(recovers(&masks, lost, u64::MAX), "{media} {repair} {start}");
                }
            }
        }
    }

    /// How often a block is not repaired when each packet is lost with 10 %.
    fn residual(masks: &[u128], media: usize) -> f64 {
        let all = media + masks.len();
        let mut sum = 0.0;
        for pattern in 0..1u32 << all {
            let lost = u128::from(pattern) & ((1 << media) - 1);
            let have = u64::from(!(pattern >> media));
            if !recovers(masks, lost, have) {
                sum += 0.1f64.powi(pattern.count_ones() as i32)
                    * 0.9f64.powi((all - pattern.count_ones() as usize) as i32);
            }
        }
        sum
    }

    #[test]
    fn the_graph_fails_less_often_than_interleaving_at_half_redundancy() {
        for (media, repair) in [(4, 2), (5, 3), (6, 3), (8, 4), (10, 5), (12, 6)] {
            let interleaved: Vec<u128> = (0..repair)
                .map(|r| (0..media).filter(|i| i % repair == r).fold(0, |m, i| m | 1 << i))
                .collect();
            let (ours, theirs) = (residual(&masks(media, repair), media), residual(&interleaved, media));
            println!(
                "{media} + {repair}: block fails {:.3} % of the time, interleaved {:.3} %",
                100.0 * ours,
                100.0 * theirs
            );
            assert!(ours <= theirs, "{media} {repair}: {ours} > {theirs}");
        }
    }
}
