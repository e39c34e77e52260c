//! The bottleneck against exact fractions: a rate, a burst, a limit and packets, worked out the long way.

use crate::specs::{link, spec};
use link::*;
use proptest::prelude::*;

/// Nanobits in a byte.
const BYTE: u128 = 8_000_000_000;

/// A serialiser by Lindley's recursion in exact fractions: times are numerators over `rate`.
fn serialiser(rate: u64, packets: &[(u64, u32)]) -> Vec<u64> {
    let rate = u128::from(rate);
    let mut free = 0u128;
    let leave = |(at, bytes): &(u64, u32)| {
        free = free.max(u128::from(*at) * rate) + u128::from(*bytes) * BYTE;
        u64::try_from(free.div_ceil(rate)).unwrap()
    };
    packets.iter().map(leave).collect()
}

/// A token bucket by its tokens, in nanobits times nothing: exact because a rate in bit/s gains so many nanobits per ns.
/// `debt`: a packet goes when there is no debt; otherwise when the bucket holds all of it (or, for a packet that never fits,
/// when it would if the bucket had no bottom).
fn token_bucket(rate: u64, burst: u64, debt: bool, packets: &[(u64, u32)]) -> Vec<u64> {
    let (rate, burst) = (i128::from(rate), i128::from(burst) * BYTE as i128);
    let mut tokens = burst;
    let mut at = 0u64;
    let mut leave = Vec::new();
    for (arrives, bytes) in packets {
        let bytes = i128::from(*bytes) * BYTE as i128;
        // The bucket fills while nothing waits; a packet that waits takes every token that comes.
        if *arrives > at {
            tokens = (tokens + rate * i128::from(arrives - at)).min(burst);
            at = *arrives;
        }
        let wanted = if debt { 0 } else { bytes };
        let missing = (wanted - tokens).max(0);
        let wait = (missing + rate - 1) / rate;
        at += u64::try_from(wait).unwrap();
        tokens += rate * wait;
        if wait == 0 {
            tokens = tokens.min(burst);
        }
        leave.push(at);
        tokens -= bytes;
    }
    leave
}

fn packets() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let gap = prop_oneof![Just(0u64), 0u64..3_000_000, 0u64..200_000_000];
    proptest::collection::vec((gap, 1u32..1600), 1..100).prop_map(|gaps| {
        let mut now = 0;
        gaps.into_iter()
            .map(|(gap, bytes)| {
                now += gap;
                (now, bytes)
            })
            .collect()
    })
}

fn leaves(text: &str, packets: &[(u64, u32)]) -> Vec<Option<u64>> {
    let mut link = link(text, 1);
    packets.iter().map(|(at, bytes)| link.enqueue(Timestamp(*at), 0, *bytes).at().map(|t| t.0)).collect()
}

proptest! {
    #[test]
    fn serialising_is_exact(rate in 1000u64..3_000_000_000, packets in packets()) {
        let text = format!("epoch = \"run\"\nbottleneck = {{ rate = \"{rate}bit\" }}");
        let expected: Vec<_> = serialiser(rate, &packets).into_iter().map(Some).collect();
        prop_assert_eq!(leaves(&text, &packets), expected);
    }

    /// Whatever the packets are, a link that is never idle sends its rate: less than one nanosecond is lost in all.
    #[test]
    fn the_rate_is_kept(rate in 1000u64..10_000_000_000, sizes in proptest::collection::vec(40u32..1500, 50..400)) {
        let packets: Vec<_> = sizes.iter().map(|bytes| (0, *bytes)).collect();
        let out = leaves(&format!("bottleneck = {{ rate = \"{rate}bit\" }}"), &packets);
        let sent: u128 = sizes.iter().map(|b| u128::from(*b) * BYTE).sum();
        let exact = sent as f64 / rate as f64;
        let took = out.last().unwrap().unwrap() as f64;
        prop_assert!((took - exact).abs() <= 1.0 + exact * 1e-15, "{took} ns instead of {exact} ns");
    }

    #[test]
    fn a_bucket_is_one(
        rate in 100_000u64..3_000_000_000, burst in 1600u64..200_000, debt: bool, packets in packets(),
    ) {
        let text = format!(
            "epoch = \"run\"\nbottleneck = {{ rate = \"{rate}bit\", burst = \"{burst}B\", debt = {debt} }}");
        // The slow bucket waits in whole nanoseconds, packet by packet; the model carries fractions on, so that it
        // may be earlier, by less than a nanosecond for each packet that waited.
        let slow = token_bucket(rate, burst, debt, &packets);
        for (i, (got, slow)) in leaves(&text, &packets).into_iter().zip(slow).enumerate() {
            let got = got.unwrap();
            prop_assert!(got <= slow && slow - got <= i as u64 + 1, "packet {i}: {got} instead of {slow}");
        }
    }

    /// Against a queue that is searched from end to end each time.
    #[test]
    fn limits_are_kept(
        rate in 50_000u64..5_000_000,
        limit in prop_oneof![
            (1000u64..20_000).prop_map(|b| QueueLimit::Bytes(ByteCount(b))),
            (1u64..20).prop_map(QueueLimit::Packets),
            (1u64..300).prop_map(|ms| QueueLimit::Delay(Span::from_millis(ms))),
        ],
        overhead in 0u64..60,
        packets in packets(),
    ) {
        let text = format!("epoch = \"run\"\noverhead = \"{overhead}B\"\nbottleneck = {{ rate = \"{rate}bit\", queue = \"{limit}\" }}");
        let mut taken: Vec<(u64, u64)> = Vec::new();
        let mut sent = Vec::new();
        for ((at, bytes), got) in packets.iter().zip(leaves(&text, &packets)) {
            let bytes = *bytes + u32::try_from(overhead).unwrap();
            let inside: Vec<u64> = taken.iter().filter(|(leaves, _)| leaves > at).map(|(_, b)| *b).collect();
            let mut with_this = sent.clone();
            with_this.push((*at, bytes));
            let leaves = *serialiser(rate, &with_this).last().unwrap();
            let fits = match limit {
                QueueLimit::Bytes(limit) => inside.iter().sum::<u64>() + u64::from(bytes) <= limit.0,
                QueueLimit::Packets(limit) => (inside.len() as u64) < limit,
                QueueLimit::Delay(limit) => leaves - at <= limit.0,
                QueueLimit::Unlimited => true,
            };
            prop_assert_eq!(got, fits.then_some(leaves));
            if fits {
                taken.push((leaves, u64::from(bytes)));
                sent = with_this;
            }
        }
    }
}

/// The papers' 6000 bytes at 320 kbit/s: 150 ms, to the nanosecond, and a packet leaves every 30 ms.
#[test]
fn the_longest_wait_is_the_queue_over_the_rate() {
    for (bytes, every_us) in [(1200, 10), (1200, 30_000), (1000, 3000), (60, 100), (1500, 29_999)] {
        let mut link = link("bottleneck = { rate = \"320kbit\", queue = \"6000B\" }", 1);
        let mut waits = Vec::new();
        let mut out = Vec::new();
        let mut dropped = 0;
        for n in 0..20_000u64 {
            let now = Timestamp(n * every_us * 1000);
            match link.enqueue(now, n, bytes) {
                Fate::Delivered { at, .. } => {
                    waits.push((at - now).as_nanos());
                    out.push(at.0);
                }
                Fate::Dropped { cause, .. } => {
                    assert_eq!(cause, DropCause::Queue);
                    dropped += 1;
                }
            }
        }
        let longest = *waits.iter().max().unwrap();
        assert!(longest <= 150_000_000, "{bytes} bytes: {longest} ns");
        let per_packet = u64::from(bytes) * 25_000;
        if every_us * 1000 < per_packet {
            assert!(dropped > 0);
            // All the room is used: the longest wait is that of as many packets as fit, less what has been sent of the first
            // since it began, which is less than one interval between arrivals.
            let fit = u128::from(6000 / u64::from(bytes) * per_packet);
            assert!(longest > fit - u128::from(every_us * 1000), "{bytes} bytes: {longest} of {fit} ns");
            let rate = (out.len() as f64 - 1.0) * f64::from(bytes) * 8.0
                / ((out[out.len() - 1] - out[0]) as f64 / 1e9);
            assert!((rate / 320_000.0 - 1.0).abs() < 1e-6, "{rate} bit/s");
        }
    }
    // Back to back, the fifth packet of 1200 bytes waits exactly as long as the queue is.
    let mut link = link("bottleneck = { rate = \"320kbit\", queue = \"6000B\" }", 1);
    let out: Vec<_> = (0..6).map(|n| link.enqueue(Timestamp(0), n, 1200).at()).collect();
    let ms = |ms| Some(Timestamp::from_millis(ms));
    assert_eq!(out, [ms(30), ms(60), ms(90), ms(120), ms(150), None]);
    // At 30 ms the first has left and its room is free at that same nanosecond.
    assert_eq!(link.enqueue(Timestamp(29_999_999), 6, 1200).at(), None);
    assert_eq!(link.enqueue(Timestamp(30_000_000), 7, 1200).at(), ms(180));
}

/// Measured with a real htb (`rate 2.5Mbit burst 150k`, 1172-byte datagrams, that is 1214 bytes with all headers): the first two packets
/// at once, the third after 2.4 ms, then one every 3.885 ms. The bucket of 150 kB did not act.
#[test]
fn revo_compat_behaves_like_the_kernel() {
    let text = "trace = { shipped = \"step-down\", format = \"revo\", replay = \"compat\" }";
    let resolved = spec(text).resolved().unwrap();
    assert_eq!(resolved.overhead, ByteCount(14));
    let mut at_2500 = resolved;
    at_2500.bottleneck.as_mut().unwrap().rate = RateSpec::Constant(Bitrate(2_500_000));
    let mut link = Link::new(&at_2500, 1).unwrap();
    let out: Vec<u64> =
        (0..200).map(|n| link.enqueue(Timestamp(0), n, 1200).at().unwrap().0 - 40_000_000).collect();
    assert_eq!(out[..2], [0, 0]);
    assert_eq!(out[2], (2 * 1214 - 1600) * 8 * 400);
    assert!(out[2..].windows(2).all(|w| w[1] - w[0] == 3_884_800));
}

#[test]
fn order_of_stages_decides_who_pays() {
    let out = |order: &str, loss: &str| {
        let mut link = link(
            &format!(
                "order = \"{order}\"\nloss = {{ model = \"pattern\", pattern = \"{loss}\" }}\n\
                      delay = {{ base = \"5ms\" }}\nbottleneck = {{ rate = \"8Mbit\", queue = \"2p\" }}"
            ),
            1,
        );
        (0..4).map(|n| link.enqueue(Timestamp(0), n, 1000).at().map(|t| t.0 / 1_000_000)).collect::<Vec<_>>()
    };
    // 1 ms each; the first is lost and takes no room: the next two fit.
    assert_eq!(out("loss_first", "x..."), [None, Some(6), Some(7), None]);
    // The lost one has been through the queue: one fits beside it.
    assert_eq!(out("queue_first", "x..."), [None, Some(7), None, None]);
    // In netem's own queue the packets count while they are delayed, too.
    assert_eq!(out("delay_first", "x..."), [None, Some(6), Some(7), None]);
}

/// netem's `limit` counts packets from entering until they have left, delay included.
#[test]
fn a_delay_line_fills_up() {
    let mut link = link(
        "order = \"delay_first\"\ndelay = { base = \"20ms\" }\nbottleneck = { rate = \"unlimited\", queue = \"10p\" }",
        1,
    );
    let lost: Vec<bool> =
        (0..60).map(|n| link.enqueue(Timestamp::from_millis(n), n, 100).at().is_none()).collect();
    for (n, lost) in lost.iter().enumerate() {
        assert_eq!(*lost, n % 20 >= 10, "packet {n}");
    }
}

/// htb in its own variables (`net/sched/sch_htb.c`): tokens are nanoseconds, what a packet costs is its time at the class's rate when
/// it leaves, and a change of the class leaves the tokens as they are.
#[test]
fn along_a_trace_debt_is_paid_as_htb_pays_it() {
    let text = "order = \"delay_first\"\noverhead = \"14B\"\n\
                bottleneck = { rate = \"trace\", burst = \"1600B\", debt = true, queue = \"30p\" }\n\
                trace = { shipped = \"wifi-lossy\", format = \"revo\", offset = \"18s\" }";
    let schedule = spec(text).schedule().unwrap().unwrap();
    let mut link = link(text, 1);
    link.start_at(Timestamp(0));
    let rate_at = |t: u64| {
        let mut played = 0;
        while schedule.row(played + 1).is_some_and(|r| r.start.0 <= t) {
            played += 1;
        }
        schedule.row(played).unwrap().rate.as_bps()
    };
    let time = |bytes: u64, bps: u64| (bytes * 8_000_000_000).div_ceil(bps) as i64;
    let (mut tokens, mut checked, mut dropped) = (time(1600, rate_at(0)), 0u64, 0);
    let mut inside: Vec<u64> = Vec::new();
    for n in 0..6000u64 {
        let now = n * 1_000_000;
        inside.retain(|leaves| *leaves > now);
        let got = link.enqueue(Timestamp(now), n, 1186).at().map(|t| t.0);
        if inside.len() == 30 {
            assert_eq!(got, None, "packet {n}");
            dropped += 1;
            continue;
        }
        // Can send as soon as tokens and the time since they were counted are not below zero.
        let earliest = checked.saturating_add_signed((-tokens).max(0));
        let leaves = now.max(earliest).max(inside.last().copied().unwrap_or(0));
        let buffer = (1600u64 * 8_000_000_000 / rate_at(leaves)) as i64;
        tokens = (tokens + (leaves - checked) as i64).min(buffer) - time(1200, rate_at(leaves));
        checked = leaves;
        assert_eq!(got, Some(leaves), "packet {n}");
        inside.push(leaves);
    }
    assert!(dropped > 500, "{dropped} dropped: the link was not full");
}
