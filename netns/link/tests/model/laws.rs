//! What holds for every link there can be.

use crate::specs::{any_spec, link};
use link::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::path::Path;

/// A link of `spec` with its trace, if the spec is one.
fn build(mut spec: LinkSpec, seed: u64) -> Option<Link> {
    // A nonsensical spec must say so, and not panic.
    spec.load(Path::new("")).ok()?;
    Link::new(&spec, seed).ok()
}

/// Gaps between packets and sizes: bursts, streams and long pauses, sizes from nothing to beyond any IP packet.
fn traffic() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let gap = prop_oneof![Just(0u64), 0u64..1_000_000, 0u64..100_000_000, 0u64..3_600_000_000_000];
    let size = prop_oneof![40u32..1500, Just(0), Just(u32::MAX)];
    proptest::collection::vec((gap, size), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Every packet comes out or is dropped, once, when its fate said; copies too. Nothing comes out early, and
    /// out of order only where that is asked for.
    #[test]
    fn what_goes_in_comes_out_or_is_dropped(spec in any_spec(), seed: u64, traffic in traffic()) {
        let reorders = spec.delay.reorder;
        let Some(mut link) = build(spec, seed) else { return Ok(()) };
        let mut now = 0u64;
        let mut expected = Vec::new();
        let mut delivered = Vec::new();
        let mut dropped = 0;
        let mut entered = Vec::new();
        for (id, (gap, size)) in traffic.iter().enumerate() {
            now += gap;
            while let Some(d) = link.deliver(Timestamp(now)) {
                prop_assert!(d.at.0 <= now);
                delivered.push(d);
            }
            prop_assert!(link.next_delivery().is_none_or(|at| at.0 > now));
            entered.push(now);
            match link.enqueue(Timestamp(now), id as u64, *size) {
                Fate::Delivered { at, copy, .. } => {
                    prop_assert!(at.0 >= now);
                    expected.push((id as u64, at));
                    if let Some(copy) = copy {
                        prop_assert!(copy.0 >= now);
                        expected.push((id as u64, copy));
                    }
                }
                Fate::Dropped { .. } => dropped += 1,
            }
            let s = *link.stats();
            prop_assert_eq!(s.offered + s.copies, s.delivered + link.in_flight() + s.all_dropped());
        }
        while let Some(at) = link.next_delivery() {
            let d = link.deliver(at).unwrap();
            prop_assert_eq!(d.at, at);
            delivered.push(d);
        }
        prop_assert!(delivered.is_sorted_by_key(|d| (d.at, d.id)));
        if !reorders {
            prop_assert!(delivered.is_sorted_by_key(|d| d.id));
        }
        let mut out: Vec<_> = delivered.iter().map(|d| (d.id, d.at)).collect();
        out.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(&out, &expected);
        let ids: std::collections::BTreeSet<u64> = out.iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(ids.len() + dropped, traffic.len());
    }

    /// Equal specs, seeds and packets have equal fates.
    #[test]
    fn a_link_repeats_itself(spec in any_spec(), seed: u64, traffic in traffic()) {
        let (Some(mut a), Some(mut b)) = (build(spec.clone(), seed), build(spec, seed)) else { return Ok(()) };
        let mut now = 0;
        for (id, (gap, size)) in traffic.into_iter().enumerate() {
            now += gap;
            // Taking packets out, or not, changes nothing.
            while a.deliver(Timestamp(now)).is_some() {}
            prop_assert_eq!(a.enqueue(Timestamp(now), id as u64, size), b.enqueue(Timestamp(now), id as u64, size));
        }
    }

    /// The state in an interval is the same whatever is sent, and so is the fate of the j-th packet in it.
    #[test]
    fn an_interval_channel_is_a_function_of_time(
        seed: u64,
        gb in 1u32..100,
        bg in 1u32..100,
        old: bool,
        traffic_a in proptest::collection::vec(0u64..50_000_000, 1..200),
        traffic_b in proptest::collection::vec(0u64..50_000_000, 1..200),
    ) {
        let by = if old { "old" } else { "new" };
        let text = format!(
            "epoch = \"run\"\nloss = {{ model = \"gilbert_elliott\", good_to_bad = \"{gb}%\", bad_to_good = \"{bg}%\", \
             loss_good = \"10%\", loss_bad = \"60%\", step = \"frame\", loss_by = \"{by}\" }}"
        );
        let judged = |traffic: Vec<u64>| {
            let mut link = link(&text, seed);
            let mut seen = std::collections::BTreeMap::new();
            let (mut now, mut last, mut j) = (0, u64::MAX, 0);
            for gap in traffic {
                now += gap;
                let i = now / 33_333_333;
                j = if i == last { j + 1 } else { 0 };
                last = i;
                let fate = link.enqueue(Timestamp(now), 0, 1200);
                seen.insert((i, j), (fate.channel().state, fate.cause()));
            }
            seen
        };
        let (a, b) = (judged(traffic_a), judged(traffic_b));
        for (place, fate) in &a {
            if let Some(other) = b.get(place) {
                prop_assert_eq!(fate, other);
            }
            // And the state does not depend on j.
            if let Some(first) = b.get(&(place.0, 0)) {
                prop_assert_eq!(fate.0, first.0);
            }
        }
    }

    /// What one purpose draws does not move another's: loss fates stay when jitter, copies, damage and a queue are added.
    #[test]
    fn purposes_do_not_disturb_each_other(seed: u64) {
        let loss = "loss = { model = \"random\", probability = \"20%\" }";
        let mut plain = link(loss, seed);
        let mut full = link(&format!(
            "{loss}\nduplicate = \"30%\"\ncorrupt = \"30%\"\ndelay = {{ base = \"20ms\", jitter = \"9ms\", reorder = true }}\n\
             bottleneck = {{ rate = \"10Mbit\" }}"), seed);
        for n in 0..300 {
            let at = Timestamp::from_millis(n);
            prop_assert_eq!(plain.enqueue(at, n, 1000).cause(), full.enqueue(at, n, 1000).cause());
        }
    }
}

#[test]
fn a_clock_that_steps_back_is_held() {
    let mut link = link("delay = { base = \"20ms\" }", 1);
    assert_eq!(link.enqueue(Timestamp::from_millis(10), 0, 100).at(), Some(Timestamp::from_millis(30)));
    assert_eq!(link.enqueue(Timestamp::from_millis(5), 1, 100).at(), Some(Timestamp::from_millis(30)));
}

#[test]
fn a_corrupted_packet_has_one_bit_wrong() {
    let mut link = link("corrupt = \"100%\"", 1);
    for n in 0..1000 {
        assert_eq!(link.enqueue(Timestamp(n), n, 100).outcome(), Outcome::Corrupted);
        let delivery = link.deliver(Timestamp(n)).unwrap();
        let mut packet = [0u8; 100];
        delivery.damage(&mut packet);
        assert_eq!(packet.iter().map(|b| b.count_ones()).sum::<u32>(), 1);
        delivery.damage(&mut []);
    }
}

#[test]
fn jitter_reorders_only_when_asked() {
    let out = |reorder: bool| {
        let mut link =
            link(&format!("delay = {{ base = \"20ms\", jitter = \"20ms\", reorder = {reorder} }}"), 7);
        (0..1000u64)
            .map(|n| link.enqueue(Timestamp(n * 1_000_000), n, 100).at().unwrap().0)
            .collect::<Vec<_>>()
    };
    let (free, held) = (out(true), out(false));
    assert!(!free.is_sorted() && held.is_sorted());
    // A held packet comes out when it and all before it are there.
    let mut latest = 0;
    for (f, h) in free.iter().zip(&held) {
        latest = latest.max(*f);
        assert_eq!(*h, latest);
    }
}

/// A driver's epoch aligns intervals with the capture clock, whatever the first packet's own delay; a packet before it starts the channel.
#[test]
fn the_epoch_is_the_drivers_or_the_first_packets() {
    let pattern = "loss = { model = \"pattern\", pattern = \"x.\", repeat = true, step = \"10ms\" }\ndelay = { base = \"1ms\" }";
    let lost = |epoch: Option<u64>, first_ms: u64| {
        let mut link = link(pattern, 1);
        if let Some(ms) = epoch {
            link.start_at(Timestamp::from_millis(ms));
        }
        let ms = |ms: u64| Timestamp::from_millis(ms);
        (0..4).map(|n| link.enqueue(ms(first_ms + 5 * n), n, 100).at().is_none()).collect::<Vec<_>>()
    };
    assert_eq!(lost(None, 107), [true, true, false, false]);
    assert_eq!(lost(Some(100), 107), [true, false, false, true]);
    // Before the epoch: the channel starts with the packet, and nothing is held back until the epoch.
    assert_eq!(lost(Some(900), 107), [true, true, false, false]);
    let mut link = link("delay = { base = \"1ms\" }", 1);
    link.start_at(Timestamp::from_millis(900));
    assert_eq!(link.enqueue(Timestamp::from_millis(5), 0, 100).at(), Some(Timestamp::from_millis(6)));
}

/// The laws above are worth something only if enough of the specs they try are links.
#[test]
fn many_of_the_specs_tried_are_links() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let links =
        (0..2000).filter(|_| build(any_spec().new_tree(&mut runner).unwrap().current(), 1).is_some()).count();
    assert!(links > 150, "{links} of 2000");
}

/// By the old state a packet is judged as the packet before it is by the new one; the first by the good state a chain starts in.
#[test]
fn old_is_new_one_step_later() {
    for step in ["packet", "frame"] {
        let states = |by: &str, seed| {
            let mut link = link(
                &format!(
                    "loss = {{ model = \"gilbert_elliott\", good_to_bad = \"40%\", bad_to_good = \"40%\", \
                          loss_good = \"0%\", loss_bad = \"100%\", step = \"{step}\", loss_by = \"{by}\" }}"
                ),
                seed,
            );
            (0..200u64)
                .map(|n| {
                    let fate = link.enqueue(Timestamp(n * 33_333_333), n, 100);
                    let bad = fate.channel().state == Some(State::Bad);
                    assert_eq!(fate.at().is_none(), bad);
                    bad
                })
                .collect::<Vec<_>>()
        };
        let mut first_new = 0;
        for seed in 0..100 {
            let (old, new) = (states("old", seed), states("new", seed));
            assert!(!old[0]);
            assert_eq!(old[1..], new[..199]);
            first_new += u32::from(new[0]);
        }
        // By the new state the first packet may well be bad: 40 of 100, give or take.
        assert!((20..60).contains(&first_new), "{first_new}");
    }
}

/// At equal times packets come out in the order in which they went in, however they got there.
#[test]
fn ties_come_out_in_order() {
    let mut link = link("delay = { base = \"2ns\", jitter = \"2ns\", reorder = true }", 3);
    for n in 0..1000 {
        link.enqueue(Timestamp(n / 7), n, 100);
    }
    let mut out = Vec::new();
    while let Some(d) = link.deliver(Timestamp::MAX) {
        out.push((d.at, d.id));
    }
    assert_eq!(out.len(), 1000);
    assert!(out.is_sorted() && !out.is_sorted_by_key(|(_, id)| *id));
}
