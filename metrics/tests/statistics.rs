//! Statistics against scipy, against enumeration and against arithmetic done by hand.

use metrics::stats::{
    Evidence, Interval, Method, Observation, Pair, Random, Unit, Zeros, compare, crossed, estimate, holm,
    needed, power, student, wilcoxon_signed_rank,
};
use proptest::prelude::*;
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("statistics.json")).unwrap()
}

fn list(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn wilcoxon_is_scipys_and_the_enumerations() {
    for case in reference()["wilcoxon"].as_array().unwrap() {
        let zeros = if case["zeros"] == "pratt" { Zeros::Pratt } else { Zeros::Wilcoxon };
        let d = list(&case["d"]);
        let ours = wilcoxon_signed_rank(&d, zeros).unwrap();
        let method = if case["method"] == "exact" { Method::Exact } else { Method::Normal };
        assert_eq!(ours.method, method, "{d:?}");
        assert_eq!(ours.rank_sum_positive, case["up"].as_f64().unwrap(), "{d:?}");
        assert_eq!(ours.rank_sum_negative, case["down"].as_f64().unwrap(), "{d:?}");
        let p = case["p"].as_f64().unwrap();
        assert!((ours.p - p).abs() < 1e-9, "{d:?} {zeros:?}: {} {p}", ours.p);
    }
}

/// Five equal differences: 2 of the 32 patterns of signs are as far out, 1 / 16; two: 2 of 4.
#[test]
fn equal_differences_have_the_p_value_of_a_coin() {
    for (n, p) in [(2usize, 0.5), (5, 0.0625), (6, 0.03125), (10, 2.0 / 1024.0)] {
        assert_eq!(wilcoxon_signed_rank(&vec![0.7; n], Zeros::Pratt).unwrap().p, p);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Small whole numbers have ties and zeros in all combinations.
    #[test]
    fn exact_wilcoxon_is_the_share_of_sign_patterns(values in prop::collection::vec(-4i32..5, 1..11), pratt: bool) {
        let zeros = if pratt { Zeros::Pratt } else { Zeros::Wilcoxon };
        let kept: Vec<i32> = values.iter().copied().filter(|v| pratt || *v != 0).collect();
        // Twice the mean rank: how many are smaller, twice, plus how many are equal, plus one.
        let rank = |v: i32| -> usize {
            let smaller = kept.iter().filter(|w| w.abs() < v.abs()).count();
            let equal = kept.iter().filter(|w| w.abs() == v.abs()).count();
            2 * smaller + equal + 1
        };
        let ranks: Vec<(usize, bool)> = kept.iter().filter(|v| **v != 0).map(|v| (rank(*v), *v > 0)).collect();
        let total: usize = ranks.iter().map(|r| r.0).sum();
        let up: usize = ranks.iter().filter(|r| r.1).map(|r| r.0).sum();
        let smaller = up.min(total - up);
        let of = |signs: u32| -> usize { ranks.iter().enumerate().filter(|(i, _)| signs >> i & 1 == 1).map(|(_, r)| r.0).sum() };
        let patterns = 1u32 << ranks.len();
        let out = (0..patterns).filter(|s| of(*s) <= smaller).count();
        let p = if ranks.is_empty() { 1.0 } else { (2.0 * out as f64 / f64::from(patterns)).min(1.0) };
        let d: Vec<f64> = values.iter().map(|v| f64::from(*v) * 0.1).collect();
        let ours = wilcoxon_signed_rank(&d, zeros).unwrap();
        prop_assert!((ours.p - p).abs() < 1e-12, "{} {p}", ours.p);
    }

    #[test]
    fn exchanging_the_systems_turns_the_sign_and_keeps_p(values in prop::collection::vec((0.0f64..9.0, 0.0f64..9.0), 6..20)) {
        let pairs: Vec<Pair> = of(&values);
        let turned: Vec<Pair> = pairs.iter().map(|p| Pair { first: p.second, second: p.first, ..*p }).collect();
        let (a, b) = (compare(&pairs).unwrap(), compare(&turned).unwrap());
        prop_assert_eq!(a.mean, -b.mean);
        if let (Evidence::Tested { p: x, .. }, Evidence::Tested { p: y, .. }) = (a.evidence, b.evidence) {
            prop_assert!((x - y).abs() < 1e-9, "{x} {y}");
        }
    }
}

fn of(values: &[(f64, f64)]) -> Vec<Pair> {
    let pair = |(seed, &(first, second)): (usize, &(f64, f64))| Pair {
        clip: 0,
        trace: 0,
        seed: seed as u64,
        first,
        second,
    };
    values.iter().enumerate().map(pair).collect()
}

#[test]
fn students_interval_is_scipys() {
    for case in reference()["student"].as_array().unwrap() {
        let Interval { low, high } = student(&list(&case["v"])).unwrap();
        for (ours, theirs) in [(low, &case["low"]), (high, &case["high"])] {
            let theirs = theirs.as_f64().unwrap();
            assert!((ours - theirs).abs() < 1e-9 * (1.0 + theirs.abs()), "{ours} {theirs}");
        }
    }
    assert_eq!(student(&[1.0]), None);
}

#[test]
fn nothing_is_said_below_six_and_nothing_about_repeats() {
    let evidence = |values: &[(f64, f64)]| compare(&of(values)).unwrap().evidence;
    let apart: Vec<(f64, f64)> = (0..5).map(|i| (10.0 + f64::from(i), 1.0)).collect();
    assert_eq!(evidence(&apart), Evidence::TooFew);
    let repeats = [(35.74, 32.37); 30];
    assert_eq!(evidence(&repeats), Evidence::NoVariation, "30 repeats of one deterministic condition");
    assert_eq!(compare(&of(&repeats)).unwrap().spread, Some(0.0));
    // The same up to rounding: 0.3 - 0.2 is not 0.2 - 0.1 in binary.
    let rounded: Vec<(f64, f64)> = (1..9).map(|i| (f64::from(i) * 0.1 + 0.1, f64::from(i) * 0.1)).collect();
    assert_eq!(evidence(&rounded), Evidence::NoVariation);
    let noise: Vec<(f64, f64)> = (1..9).map(|i| (35.0 + f64::from(i) * 1e-14, 35.0)).collect();
    assert_eq!(evidence(&noise), Evidence::NoVariation, "rounding of equal values is no difference");
    let values =
        |n: usize| (0..n).map(|i| Observation { clip: 0, trace: 0, seed: i as u64, value: i as f64 });
    assert_eq!(estimate(&values(5).collect::<Vec<_>>()).unwrap().interval, None);
    assert!(estimate(&values(6).collect::<Vec<_>>()).unwrap().interval.is_some());
    assert_eq!(estimate(&[]), None);
    assert!(compare(&[]).is_err() && compare(&of(&[(f64::INFINITY, 1.0)])).is_err());
}

/// Differences 1, 2, ..., 8: all signs alike, so Wilcoxon's p is 2 / 256; the t statistic is 4.5 / (2.449 / sqrt 8) = 5.196, far
/// beyond what resampling gives, so p is near the smallest that 9,999 resamples can show.
#[test]
fn a_clear_difference_is_found_and_its_interval_holds_the_mean() {
    let values: Vec<(f64, f64)> = (1..=8).map(|i| (30.0 + f64::from(i), 30.0)).collect();
    let found = compare(&of(&values)).unwrap();
    assert_eq!((found.unit, found.units, found.pairs, found.seeds), (Unit::Seed, 8, 8, 8));
    assert!((found.mean - 4.5).abs() < 1e-12 && (found.spread.unwrap() - 6f64.sqrt()).abs() < 1e-12);
    let Evidence::Tested { interval: Some(interval), p } = found.evidence else { panic!("{found:?}") };
    assert!((2.0 / 256.0..0.02).contains(&p), "{p}");
    assert!(
        0.5 < interval.low && interval.low < 4.5 && 4.5 < interval.high && interval.high < 8.0,
        "{interval:?}"
    );
    assert_eq!(found, compare(&of(&values)).unwrap(), "seeded");
    let mut shuffled = of(&values);
    shuffled.reverse();
    assert_eq!(found, compare(&shuffled).unwrap(), "the order of runs does not matter");
}

#[test]
fn clips_are_the_unit_and_count_once_however_many_seeds_they_have() {
    let mut pairs = Vec::new();
    for clip in 0..7 {
        for seed in 0..if clip == 0 { 50 } else { 2 } {
            // Own seeds per clip: nothing is crossed.
            let first = 30.0 + clip as f64 + if seed % 2 == 0 { 0.1 } else { -0.1 };
            pairs.push(Pair { clip, trace: 0, seed: 1000 * clip as u64 + seed, first, second: 30.0 });
        }
    }
    let found = compare(&pairs).unwrap();
    assert_eq!((found.unit, found.units, found.pairs), (Unit::Clip, 7, 62));
    assert!(
        (found.mean - 3.0).abs() < 1e-12,
        "the mean of 0 to 6, not drawn to the clip of 50 seeds: {}",
        found.mean
    );
}

/// Six clips under the same two loss patterns, one of which favours the first system by 4 everywhere: the clips agree, and yet it
/// is two observations of the network.
#[test]
fn a_loss_pattern_that_all_clips_share_is_not_evidence_per_clip() {
    let at = |clip: usize, seed: u64| 0.01 * clip as f64 + if seed == 1 { 4.0 } else { 0.5 };
    let mut observations = Vec::new();
    for clip in 0..6 {
        for seed in [1, 2] {
            observations.push(Observation { clip, trace: 0, seed, value: at(clip, seed) });
        }
    }
    let both = crossed(&observations).unwrap();
    assert!(both.p > 0.2 && both.interval.low < 0.0, "{both:?}");
    let pairs: Vec<Pair> = observations
        .iter()
        .map(|o| Pair { clip: o.clip, trace: 0, seed: o.seed, first: o.value, second: 0.0 })
        .collect();
    let Evidence::Tested { p, .. } = compare(&pairs).unwrap().evidence else { panic!() };
    assert!(p > 0.2, "{p}");
    let own_seeds: Vec<Observation> =
        observations.iter().enumerate().map(|(i, o)| Observation { seed: i as u64, ..*o }).collect();
    assert_eq!(crossed(&own_seeds), None, "no seed is shared");
}

#[test]
fn few_clips_speak_for_themselves_over_their_seeds() {
    let mut observations = Vec::new();
    for clip in 0..4 {
        for seed in 0..6 {
            observations.push(Observation { clip, trace: 0, seed, value: 10.0 * clip as f64 + seed as f64 });
        }
    }
    let found = estimate(&observations).unwrap();
    assert_eq!((found.unit, found.units, found.n, found.mean), (Unit::Seed, 6, 24, 17.5));
    // The seeds' means are 15 to 20: t(5, .975) = 2.5706, standard error sqrt(3.5 / 6).
    let half = 2.570_581_835_6 * (3.5f64 / 6.0).sqrt();
    assert!((found.interval.unwrap().high - 17.5 - half).abs() < 1e-6);
}

#[test]
fn holm_by_hand() {
    // 3 x .01, then max(2 x .03, before), then max(.04, before).
    let adjusted = holm(&[0.04, 0.01, 0.03]);
    for (ours, hand) in adjusted.iter().zip([0.06, 0.03, 0.06]) {
        assert!((ours - hand).abs() < 1e-12, "{adjusted:?}");
    }
}

#[test]
fn power_is_that_of_the_noncentral_t_and_of_the_test_itself() {
    for case in reference()["power"].as_array().unwrap() {
        let value = |k: &str| case[k].as_f64().unwrap();
        let ours = power(value("effect"), case["n"].as_u64().unwrap() as usize, value("level"));
        assert!((ours - value("power")).abs() < 0.02, "{ours} {case}");
    }
    // What `needed` promises, tried out: normal differences of 1 standard deviation.
    let wanted = needed(1.0, 1.0, 1000, 1).unwrap();
    let mut random = Random::new(3);
    let found = (0..400)
        .filter(|_| {
            let values: Vec<(f64, f64)> = (0..wanted.units).map(|_| (1.0 + random.normal(), 0.0)).collect();
            matches!(compare(&of(&values)).unwrap().evidence, Evidence::Tested { p, .. } if p < 0.05)
        })
        .count();
    assert!((280..=360).contains(&found), "{found} of 400 with {wanted:?}");
    assert!(wanted.at_most >= wanted.units);
    // Fewer pairs seen, more to plan for; more comparisons, more units; never fewer than six.
    let of = |seen, family| needed(0.5, 1.0, seen, family).unwrap();
    assert!(of(3, 1).at_most > of(10, 1).at_most && of(10, 15).units > of(10, 1).units);
    assert_eq!(needed(100.0, 1.0, 10, 1).unwrap().units, 6);
    assert_eq!(needed(100.0, 1.0, 10, 15).unwrap().units, 10, "2^-9 is the first p below .05 / 15");
    assert_eq!(
        (needed(0.0, 1.0, 10, 1), needed(1.0, 0.0, 10, 1), needed(1.0, 1.0, 1, 1)),
        (None, None, None)
    );
}
