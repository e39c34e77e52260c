//! Long seeded runs against theory: mean loss, lengths of loss bursts, losses per frame, times between changes of state.

use crate::specs::link;
use link::*;
use std::collections::BTreeMap;

const P: f64 = 0.068;
const R: f64 = 0.852;
const GOOD: f64 = 0.04;

fn gilbert_elliott(model: &str, bad: f64, step: &str, by: &str, seed: u64) -> Link {
    link(
        &format!(
            "model = \"{model}\"\nloss = {{ model = \"gilbert_elliott\", good_to_bad = \"6.8%\", bad_to_good = \"85.2%\", \
             loss_good = \"4%\", loss_bad = \"{}%\", step = \"{step}\", loss_by = \"{by}\" }}",
            bad * 100.0
        ),
        seed,
    )
}

/// 1 - 1e-5 quantile of the chi-square distribution (Wilson and Hilferty 1931; z = 4.265).
fn chi_square_bound(degrees: usize) -> f64 {
    let k = degrees as f64;
    k * (1.0 - 2.0 / (9.0 * k) + 4.265 * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

/// Compares counts with probabilities; outcomes expected fewer than 10 times go together.
fn assert_distribution(what: &str, counts: &BTreeMap<usize, u64>, probability: impl Fn(usize) -> f64) {
    let total: u64 = counts.values().sum();
    let (mut chi, mut bins) = (0.0, 0);
    let (mut rest_expected, mut rest_seen) = (total as f64, total);
    for outcome in 0.. {
        let expected = probability(outcome) * total as f64;
        if rest_expected - expected < 10.0 || outcome > 1000 {
            break;
        }
        let seen = counts.get(&outcome).copied().unwrap_or(0);
        rest_expected -= expected;
        rest_seen -= seen;
        if expected >= 10.0 {
            chi += (seen as f64 - expected).powi(2) / expected;
            bins += 1;
        } else {
            // Put back what is too rare to be judged alone.
            rest_expected += expected;
            rest_seen += seen;
        }
    }
    chi += (rest_seen as f64 - rest_expected).powi(2) / rest_expected;
    assert!(bins >= 2, "{what}: too few outcomes to judge");
    assert!(
        chi < chi_square_bound(bins),
        "{what}: chi-square {chi:.1} with {bins} degrees of freedom; {counts:?}"
    );
}

/// Lengths of runs of lost packets in a chain that steps per packet: the loss in each state on the diagonal, the
/// chain between; probability of length n is proportional to `start (D P)^(n-1) D P (1 - D)`.
fn burst_probability(bad: f64, n: usize) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let step = |v: [f64; 2]| [v[0] * (1.0 - P) + v[1] * R, v[0] * P + v[1] * (1.0 - R)];
    let lost = |v: [f64; 2]| [v[0] * GOOD, v[1] * bad];
    let kept = |v: [f64; 2]| [v[0] * (1.0 - GOOD), v[1] * (1.0 - bad)];
    let in_bad = P / (P + R);
    let mut v = step(kept([1.0 - in_bad, in_bad]));
    let begun = lost(v);
    let all = begun[0] + begun[1];
    for _ in 1..n {
        v = step(lost(v));
    }
    let ended = kept(step(lost(v)));
    (ended[0] + ended[1]) / all
}

#[test]
fn bursts_of_a_chain_stepped_per_packet() {
    for (model, by) in [("native", "old"), ("native", "new"), ("netem", "old")] {
        for bad in [0.25, 0.5, 0.75] {
            for seed in 1..=5 {
                let mut link = gilbert_elliott(model, bad, "packet", by, seed);
                let mut bursts: BTreeMap<usize, u64> = BTreeMap::new();
                let mut run = 0;
                for n in 0..200_000 {
                    if link.enqueue(Timestamp(n), n, 100).at().is_none() {
                        run += 1;
                    } else if run > 0 {
                        *bursts.entry(run).or_default() += 1;
                        run = 0;
                    }
                }
                let what = format!("{model}, by {by}, loss in bad {bad}, seed {seed}");
                assert_distribution(&what, &bursts, |n| burst_probability(bad, n));
            }
        }
    }
}

fn binomial(n: usize, k: usize, p: f64) -> f64 {
    let choose = (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
    choose * p.powi(i32::try_from(k).unwrap()) * (1.0 - p).powi(i32::try_from(n - k).unwrap())
}

/// Ten packets per frame and one step per frame: losses per frame are a mixture of two binomials. This is what
/// makes the papers' channel so much harder than netem's with the same four numbers.
#[test]
fn losses_per_frame_of_a_chain_stepped_per_frame() {
    let in_bad = P / (P + R);
    for bad in [0.25, 0.5, 0.75] {
        let mixture = |k: usize| {
            if k > 10 { 0.0 } else { (1.0 - in_bad) * binomial(10, k, GOOD) + in_bad * binomial(10, k, bad) }
        };
        for seed in 1..=5 {
            let mut link = gilbert_elliott("native", bad, "frame", "new", seed);
            let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
            let (mut lost_five, mut total) = (0, 0u64);
            for frame in 0..100_000u64 {
                let mut lost = 0;
                for packet in 0..10 {
                    let now = Timestamp(frame * 1_000_000_000 / 30 + packet * 3_000_000);
                    lost += usize::from(link.enqueue(now, 0, 1200).at().is_none());
                }
                *counts.entry(lost).or_default() += 1;
                lost_five += u64::from(lost >= 5);
                total += lost as u64;
            }
            assert_distribution(&format!("loss in bad {bad}, seed {seed}"), &counts, mixture);
            // Mean loss: per frame m = 10 packets, loss d by state, neighbouring frames correlated by 1 - p - r.
            let mean = in_bad * bad + (1.0 - in_bad) * GOOD;
            let inner = in_bad * bad * (1.0 - bad) + (1.0 - in_bad) * GOOD * (1.0 - GOOD);
            let outer = in_bad * (1.0 - in_bad) * (bad - GOOD).powi(2);
            let memory = 1.0 - P - R;
            let variance = 100_000.0 * (10.0 * inner + 100.0 * outer * (1.0 + memory) / (1.0 - memory));
            let off = (total as f64 - 1_000_000.0 * mean) / variance.sqrt();
            assert!(
                off.abs() < 4.5,
                "loss in bad {bad}, seed {seed}: {off:.2} standard deviations off the mean"
            );
            if bad == 0.5 {
                // The design's example: 4.65 % of frames lose five packets or more, against 0.06 % per packet.
                assert!((lost_five as f64 / 1000.0 - 4.65).abs() < 0.35, "seed {seed}: {lost_five}");
            }
        }
    }
}

/// Times in a state are geometric, in frames.
#[test]
fn stays_in_a_state_are_geometric() {
    for seed in 1..=5 {
        let mut link = gilbert_elliott("native", 0.5, "frame", "new", seed);
        let mut stays: [BTreeMap<usize, u64>; 2] = Default::default();
        let (mut was, mut stay) = (None, 0);
        for frame in 0..300_000u64 {
            let state = link.enqueue(Timestamp(frame * 1_000_000_000 / 30), 0, 100).channel().state;
            if state == was {
                stay += 1;
            } else {
                if let Some(was) = was {
                    *stays[usize::from(was == State::Bad)].entry(stay).or_default() += 1;
                }
                (was, stay) = (state, 1);
            }
        }
        for (state, leaving) in [(0, P), (1, R)] {
            let geometric = |n: usize| {
                if n == 0 { 0.0 } else { (1.0 - leaving).powi(i32::try_from(n).unwrap() - 1) * leaving }
            };
            assert_distribution(&format!("state {state}, seed {seed}"), &stays[state], geometric);
        }
    }
}

#[test]
fn independent_losses() {
    for model in ["native", "netem"] {
        for percent in [0.5, 5.0, 30.0] {
            for seed in 1..=5 {
                let p = percent / 100.0;
                let mut link = link(
                    &format!(
                        "model = \"{model}\"\nloss = {{ model = \"random\", probability = \"{percent}%\" }}"
                    ),
                    seed,
                );
                let mut bursts: BTreeMap<usize, u64> = BTreeMap::new();
                let (mut run, mut lost) = (0usize, 0u64);
                let n = 300_000;
                for i in 0..n {
                    if link.enqueue(Timestamp(i), i, 100).at().is_none() {
                        run += 1;
                        lost += 1;
                    } else {
                        *bursts.entry(run).or_default() += 1;
                        run = 0;
                    }
                }
                let deviation = (n as f64 * p * (1.0 - p)).sqrt();
                assert!((lost as f64 - n as f64 * p).abs() < 4.5 * deviation, "{model} {percent} %: {lost}");
                let geometric = |k: usize| p.powi(i32::try_from(k).unwrap()) * (1.0 - p);
                if percent > 1.0 {
                    assert_distribution(&format!("{model} {percent} %, seed {seed}"), &bursts, geometric);
                }
            }
        }
    }
}

#[test]
fn certain_and_impossible_are_exact() {
    for (percent, lost) in [("0%", 0), ("100%", 10_000)] {
        let mut link = link(&format!("loss = {{ model = \"random\", probability = \"{percent}\" }}"), 3);
        assert_eq!((0..10_000).filter(|n| link.enqueue(Timestamp(*n), *n, 1).at().is_none()).count(), lost);
    }
}

/// Jitter is uniform over its whole range, both ends included.
#[test]
fn jitter_is_uniform() {
    let mut link = link("delay = { base = \"10ms\", jitter = \"10ns\", reorder = true }", 5);
    let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
    for n in 0..100_000u64 {
        let at = link.enqueue(Timestamp(n * 100), n, 1).at().unwrap().0 - n * 100;
        *counts.entry((at - 9_999_990) as usize).or_default() += 1;
    }
    assert_eq!((counts.keys().min(), counts.keys().max()), (Some(&0), Some(&20)));
    assert_distribution("jitter", &counts, |k| if k <= 20 { 1.0 / 21.0 } else { 0.0 });
}

#[test]
fn copies_and_damage_come_as_often_as_asked() {
    for model in ["native", "netem"] {
        let mut link = link(&format!("model = \"{model}\"\nduplicate = \"2%\"\ncorrupt = \"7%\""), 11);
        let n = 200_000;
        let (mut copies, mut damaged) = (0, 0);
        for i in 0..n {
            if let Fate::Delivered { copy, corrupted, .. } = link.enqueue(Timestamp(i), i, 100) {
                copies += u64::from(copy.is_some());
                damaged += u64::from(corrupted);
            }
        }
        for (seen, p) in [(copies, 0.02), (damaged, 0.07)] {
            let deviation = (n as f64 * p * (1.0 - p)).sqrt();
            assert!((seen as f64 - n as f64 * p).abs() < 4.5 * deviation, "{model}: {seen}");
        }
    }
}
