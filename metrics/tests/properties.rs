//! What must hold for any input.

mod naive;

use media::{Depth16, Rgb, Yuv420};
use metrics::{FreezeRule, Scorer, SimdLevel, freezes};
use proptest::prelude::*;

/// Pictures that are hard for single precision: flat and bright, flat with one bit of noise, steps, noise.
fn hard_pair(width: usize, height: usize, kind: u8, seed: u64) -> (Rgb, Rgb) {
    let noise = |i: usize, n: u64| (naive::mix(seed.wrapping_mul(31).wrapping_add(i as u64)) % n) as i64;
    let sample = |i: usize, shown: bool| -> i64 {
        let (x, second) = ((i / 3) % width, if shown { 1 } else { 0 });
        match kind % 6 {
            0 => 250 + noise(2 * i + second, 6),
            1 => noise(2 * i + second, 3) + if x < width / 2 { 3 } else { 252 },
            2 => noise(2 * i + second, 256),
            3 => 200 + (noise(i, 30)) + 25 * second as i64,
            4 => 128 + noise(i, 4) + if x < width / 2 { 20 } else { -20 } * second as i64,
            _ => (x as i64 * 2) % 256 + 5 * second as i64 * noise(i, 2),
        }
    };
    let make = |shown| {
        let data = (0..3 * width * height).map(|i| sample(i, shown).clamp(0, 255) as u8).collect();
        Rgb { width, height, data }
    };
    (make(false), make(true))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_level_is_within_tolerance_of_the_naive_definition(
        width in 11usize..140, height in 11usize..140, kind in 0u8..6, seed: u64,
    ) {
        let (a, b) = hard_pair(width, height, kind, seed);
        let reference = naive::FULL.of(&a, &b);
        for level in SimdLevel::available() {
            let ours = Scorer::with_level(level).ssim_full(&a, &b).unwrap();
            prop_assert!((ours - reference).abs() <= 1e-6, "{level:?} kind {kind}: {ours} {reference}");
        }
    }

    #[test]
    fn levels_agree_on_larger_pictures(width in 161usize..600, height in 161usize..600, kind in 0u8..6, seed: u64) {
        let (a, b) = hard_pair(width, height, kind, seed);
        let all: Vec<[f64; 4]> = SimdLevel::available().into_iter().map(|level| {
            let mut s = Scorer::with_level(level);
            [s.psnr(&a, &b).unwrap(), s.ssim(&a, &b).unwrap(), s.ssim_full(&a, &b).unwrap(), s.ms_ssim(&a, &b).unwrap()]
        }).collect();
        for other in &all[1..] {
            prop_assert_eq!(all[0][0].to_bits(), other[0].to_bits());
            for m in 1..4 {
                prop_assert!((all[0][m] - other[m]).abs() <= 1e-6, "kind {kind} metric {m}: {all:?}");
            }
        }
    }

    #[test]
    fn identity_symmetry_bounds(width in 11usize..200, height in 11usize..200, kind in 0u8..6, seed: u64) {
        let (a, b) = hard_pair(width, height, kind, seed);
        let mut s = Scorer::new();
        prop_assert_eq!(s.psnr(&a, &a).unwrap(), 80.0);
        prop_assert_eq!(s.ssim(&a, &a).unwrap(), 1.0);
        prop_assert_eq!(s.ssim_full(&a, &a).unwrap(), 1.0);
        prop_assert_eq!(s.psnr(&a, &b).unwrap(), s.psnr(&b, &a).unwrap());
        let (ab, ba) = (s.ssim_full(&a, &b).unwrap(), s.ssim_full(&b, &a).unwrap());
        prop_assert!((ab - ba).abs() < 1e-9);
        prop_assert!((-1.0..=1.0).contains(&ab));
        if width.min(height) > 160 {
            prop_assert_eq!(s.ms_ssim(&a, &a).unwrap(), 1.0);
            prop_assert!((0.0..=1.0).contains(&s.ms_ssim(&a, &b).unwrap()));
        }
    }

    #[test]
    fn a_scorer_does_not_remember(sizes in prop::collection::vec((11usize..300, 11usize..300), 2..5), seed: u64) {
        let mut kept = Scorer::new();
        for (w, h) in sizes {
            let (a, b) = hard_pair(w, h, 2, seed);
            prop_assert_eq!(kept.ssim(&a, &b), metrics::ssim(&a, &b));
            prop_assert_eq!(kept.ssim_full(&a, &b), metrics::ssim_full(&a, &b));
            prop_assert_eq!(kept.ms_ssim(&a, &b), metrics::ms_ssim(&a, &b));
        }
    }

    #[test]
    fn ffmpeg_values_do_not_depend_on_the_level(width in 15usize..150, height in 15usize..90, seed: u64) {
        let (a, b) = hard_pair(width, height, (seed % 6) as u8, seed);
        let [a, b] = [a, b].map(|p| media::convert::to_yuv420(&p, media::convert::Colour::BT601));
        let portable = Scorer::with_level(SimdLevel::Portable).ffmpeg_ssim(&a, &b).unwrap();
        for level in SimdLevel::available() {
            let mut s = Scorer::with_level(level);
            let ssim = s.ffmpeg_ssim(&a, &b).unwrap();
            prop_assert!((ssim.all - portable.all).abs() < 1e-6);
            prop_assert_eq!(s.ffmpeg_psnr(&a, &b).unwrap(), metrics::ffmpeg_psnr(&a, &b).unwrap());
        }
    }

    #[test]
    fn sse_is_exact(pairs in prop::collection::vec((any::<u8>(), any::<u8>()), 0..5000)) {
        let (a, b): (Vec<u8>, Vec<u8>) = pairs.iter().copied().unzip();
        let plain: u64 = pairs.iter().map(|&(x, y)| (i64::from(x) - i64::from(y)).pow(2) as u64).sum();
        prop_assert_eq!(metrics::sse(&a, &b), plain);
    }

    #[test]
    fn the_threshold_is_decided_as_the_logarithm_would(sse in 0u64..4_000_000, theta in 20.0f64..40.0) {
        let db = metrics::psnr_of_sse(sse, 3000).unwrap();
        // Away from the tie itself, where only the integers decide.
        if (db - theta).abs() > 1e-9 {
            prop_assert_eq!(metrics::psnr_below(sse, 3000, theta), db < theta);
        }
    }

    #[test]
    fn freezes_match_brute_force(gaps in prop::collection::vec(prop_oneof![Just(33_333_333u64), 1_000_000u64..80_000_000, 100_000_000u64..900_000_000], 0..120)) {
        let times: Vec<u64> = std::iter::once(0).chain(gaps.iter().scan(0, |t, g| { *t += g; Some(*t) })).collect();
        let brute = |rule: FreezeRule| -> Vec<usize> {
            (0..gaps.len()).filter(|&k| {
                let d = gaps[k] as f64 / 1e6;
                let mean = |r: &[u64]| r.iter().map(|g| *g as f64 / 1e6).sum::<f64>() / r.len() as f64;
                match rule {
                    FreezeRule::W3c => {
                        k > 0 && { let a = mean(&gaps[k.max(30) - 30..k]); d >= (3.0 * a).max(a + 150.0) }
                    }
                    FreezeRule::Tambur => {
                        k >= 30 && { let a = mean(&gaps[k - 30..k]); d > (3.0 * a).max(a + 150.0) }
                    }
                    FreezeRule::Libwebrtc => {
                        let ms: Vec<u64> = times.iter().map(|t| t / 1_000_000).collect();
                        let g: Vec<u64> = ms.windows(2).map(|w| w[1] - w[0]).collect();
                        let window = &g[(k + 1).max(30) - 30..=k];
                        let a = window.iter().sum::<u64>() / window.len() as u64;
                        k >= 4 && g[k] >= (3 * a).max(a + 150)
                    }
                    FreezeRule::Revo { .. } => ((d / 33.333_333).round() as i64) > 1,
                    FreezeRule::Stall200 => d > 200.0,
                }
            }).collect()
        };
        for rule in FreezeRule::all(33_333_333) {
            let starts: Vec<u64> = freezes(rule, &times).iter().map(|f| f.start_ns).collect();
            let expected: Vec<u64> = brute(rule).iter().map(|&k| times[k]).collect();
            prop_assert_eq!(starts, expected, "{}", rule.name());
        }
    }

    #[test]
    fn frozen_runs_add_up(frozen in prop::collection::vec(any::<bool>(), 0..200)) {
        let runs = metrics::frozen_runs(&frozen);
        prop_assert_eq!(runs.lengths.iter().sum::<u32>() as usize, frozen.iter().filter(|f| **f).count());
        let starts = (0..frozen.len()).filter(|&i| frozen[i] && (i == 0 || !frozen[i - 1])).count();
        prop_assert_eq!(runs.lengths.len(), starts);
        let terminal = frozen.iter().rposition(|f| !f).map_or(frozen.len(), |i| frozen.len() - 1 - i);
        prop_assert_eq!(runs.terminal as usize, terminal);
    }

    #[test]
    fn exact_wilcoxon_is_the_enumeration(values in prop::collection::vec(-1000i32..1000, 1..11)) {
        let a: Vec<f64> = values.iter().enumerate().map(|(i, v)| f64::from(*v) + i as f64 * 1e-6).collect();
        let zeros = vec![0.0; a.len()];
        let ours = metrics::stats::wilcoxon_signed_rank(&a, &zeros).unwrap();
        let mut order: Vec<f64> = a.iter().copied().filter(|v| *v != 0.0).collect();
        order.sort_by(|x, y| x.abs().total_cmp(&y.abs()));
        prop_assume!(order.windows(2).all(|w| w[0].abs() < w[1].abs()));
        let n = order.len();
        let sum = |signs: u32| -> usize { (0..n).filter(|i| signs >> i & 1 == 1).map(|i| i + 1).sum() };
        let positive: usize = order.iter().enumerate().filter(|(_, v)| **v > 0.0).map(|(i, _)| i + 1).sum();
        let smaller = positive.min(n * (n + 1) / 2 - positive);
        let below = (0..1u32 << n).filter(|&s| sum(s) <= smaller).count();
        let p = (2.0 * below as f64 / f64::from(1u32 << n)).min(1.0);
        prop_assert!((ours.p - p).abs() < 1e-12, "{} {}", ours.p, p);
    }

    #[test]
    fn holm_never_helps_and_keeps_order(p in prop::collection::vec(0.0f64..1.0, 1..12)) {
        let adjusted = metrics::stats::holm(&p);
        for i in 0..p.len() {
            prop_assert!(adjusted[i] >= p[i] && adjusted[i] <= 1.0);
            for j in 0..p.len() {
                if p[i] < p[j] { prop_assert!(adjusted[i] <= adjusted[j]); }
            }
        }
    }
}

#[test]
fn more_noise_is_never_better() {
    let a = naive::picture(320, 200);
    let mut s = Scorer::new();
    let values: Vec<[f64; 4]> = [1, 3, 6, 12, 25, 50]
        .into_iter()
        .map(|amplitude| {
            let b = naive::noisy(&a, amplitude, 0);
            [
                s.psnr(&a, &b).unwrap(),
                s.ssim(&a, &b).unwrap(),
                s.ssim_full(&a, &b).unwrap(),
                s.ms_ssim(&a, &b).unwrap(),
            ]
        })
        .collect();
    for w in values.windows(2) {
        for (m, (less, more)) in w[0].iter().zip(w[1]).enumerate() {
            assert!(*less > more, "metric {m}: {values:?}");
        }
    }
}

#[test]
fn what_cannot_be_compared_is_an_error_that_says_why() {
    let text = |r: Result<f64, metrics::MetricError>| r.unwrap_err().to_string();
    let (a, b) = (Rgb::black(20, 20), Rgb::black(20, 21));
    assert!(text(metrics::psnr(&a, &b)).contains("20x20 (reference) and 20x21 (shown)"));
    assert!(text(metrics::ssim(&Rgb::black(10, 20), &Rgb::black(10, 20))).contains("at least 11x11"));
    assert!(text(metrics::ms_ssim(&Rgb::black(160, 200), &Rgb::black(160, 200))).contains("161"));
    let short = Rgb { width: 20, height: 20, data: vec![0; 5] };
    assert!(text(metrics::ssim_full(&short, &short)).contains("1200 samples but has 5"));
    assert!(metrics::psnr(&Rgb::black(0, 0), &Rgb::black(0, 0)).is_err());
    let tiny = Yuv420::black(14, 14);
    assert!(metrics::ffmpeg_ssim(&tiny, &tiny).is_err());
    let blank = Depth16 { width: 2, height: 2, mm: vec![0; 4] };
    assert!(metrics::depth_errors(&blank, &blank).is_err());
}

#[test]
fn depth_by_hand() {
    let depth = |mm: [u16; 4]| Depth16 { width: 2, height: 2, mm: mm.to_vec() };
    // Errors 100, -500, (unknown), 4000 missing.
    let e = metrics::depth_errors(&depth([1000, 2000, 0, 4000]), &depth([1100, 1500, 900, 0])).unwrap();
    assert!((e.rmse_mm - ((100f64.powi(2) + 500f64.powi(2) + 4000f64.powi(2)) / 3.0).sqrt()).abs() < 1e-12);
    assert!((e.abs_rel - (0.1 + 0.25 + 1.0) / 3.0).abs() < 1e-12);
    assert!((e.delta1 - 1.0 / 3.0).abs() < 1e-12);
    assert!((e.coverage - 2.0 / 3.0).abs() < 1e-12);
}

#[test]
fn clouds_match_brute_force_whatever_the_threads() {
    let (w, h) = (37, 29);
    let make = |seed: u64, wobble: u64| {
        let mm = (0..w * h).map(|i| {
            let r = naive::mix(seed + i as u64);
            if r.is_multiple_of(17) {
                0
            } else {
                (900 + 4 * (i % w) + 3 * (i / w)) as u16 + (r % wobble) as u16
            }
        });
        Depth16 { width: w, height: h, mm: mm.collect() }
    };
    let (a, b) = (make(1, 3), make(2, 9));
    let camera = metrics::Intrinsics::from_field_of_view(w, h, 60.0);
    let points = |d: &Depth16| -> Vec<[f64; 3]> {
        (0..w * h)
            .filter(|&i| d.mm[i] > 0)
            .map(|i| {
                let z = f64::from(d.mm[i]);
                [
                    ((i % w) as f64 - camera.cx) * z / camera.fx,
                    ((i / w) as f64 - camera.cy) * z / camera.fy,
                    z,
                ]
            })
            .collect()
    };
    let (p, q) = (points(&a), points(&b));
    let one_way = |p: &[[f64; 3]], q: &[[f64; 3]]| {
        let nearest = |x: &[f64; 3]| {
            q.iter().map(|y| (0..3).map(|i| (x[i] - y[i]).powi(2)).sum::<f64>()).fold(f64::MAX, f64::min)
        };
        p.iter().map(nearest).sum::<f64>() / p.len() as f64
    };
    let mse = one_way(&p, &q).max(one_way(&q, &p));
    let scored: Vec<metrics::CloudPsnr> = [1, 3]
        .into_iter()
        .map(|n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| metrics::cloud_psnr(&a, &b, &camera).unwrap())
        })
        .collect();
    let expected = 10.0 * (3.0 * scored[0].peak_mm.powi(2) / mse).log10();
    assert!((scored[0].d1 - expected).abs() < 1e-9, "{} {expected}", scored[0].d1);
    assert!(scored[0].d2 >= scored[0].d1, "a component is never longer than the whole");
    assert_eq!(scored[0], scored[1]);
    assert_eq!(metrics::cloud_psnr(&a, &a, &camera).unwrap().d1, f64::INFINITY);
}

#[test]
fn bjontegaard_by_hand_and_its_refusals() {
    use metrics::stats::{BdError, RatePoint, bd_quality, bd_rate};
    let curve = |factor: f64, shift: f64| -> Vec<RatePoint> {
        [(100e3, 30.0), (200e3, 33.0), (400e3, 36.5), (800e3, 39.0), (1600e3, 41.0)]
            .into_iter()
            .map(|(r, q)| RatePoint { bps: r * factor, quality: q + shift })
            .collect()
    };
    let anchor = curve(1.0, 0.0);
    assert!(bd_rate(&anchor, &anchor).unwrap().abs() < 1e-9);
    assert!((bd_rate(&anchor, &curve(1.5, 0.0)).unwrap() - 50.0).abs() < 1e-9);
    assert!((bd_quality(&anchor, &curve(1.0, 0.7)).unwrap() - 0.7).abs() < 1e-9);
    assert!(matches!(
        bd_rate(&anchor[..3], &anchor),
        Err(BdError::TooFewPoints { curve: "anchor", found: 3 })
    ));
    assert!(matches!(bd_rate(&anchor, &curve(1.0, 8.0)), Err(BdError::Overlap { axis: "quality", .. })));
    assert!(matches!(bd_quality(&anchor, &curve(9.0, 0.0)), Err(BdError::Overlap { axis: "rate", .. })));
    let mut bent = anchor.clone();
    bent[3].quality = 36.0;
    assert!(matches!(bd_rate(&anchor, &bent), Err(BdError::NotMonotone { curve: "test", .. })));
    bent[3].quality = f64::NAN;
    assert!(matches!(bd_rate(&bent, &anchor), Err(BdError::BadPoint { .. })));
}

#[test]
fn bootstrap_is_seeded_and_covers() {
    use metrics::stats::paired_bootstrap;
    let a: Vec<f64> = (0..40).map(|i| 10.0 + (naive::mix(i) % 1000) as f64 / 1000.0).collect();
    let b: Vec<f64> = a
        .iter()
        .enumerate()
        .map(|(i, v)| v - 0.5 - (naive::mix(900 + i as u64) % 100) as f64 / 500.0)
        .collect();
    let first = paired_bootstrap(&a, &b, 10_000, 7).unwrap();
    assert_eq!(first, paired_bootstrap(&a, &b, 10_000, 7).unwrap());
    assert_ne!(first, paired_bootstrap(&a, &b, 10_000, 8).unwrap());
    assert!(first.low < first.mean && first.mean < first.high);
    // The normal interval of the same differences, which 40 of them support.
    let d: Vec<f64> = a.iter().zip(&b).map(|(x, y)| x - y).collect();
    let sd = (d.iter().map(|v| (v - first.mean).powi(2)).sum::<f64>() / 40.0).sqrt();
    let half = 1.96 * sd / 40f64.sqrt();
    assert!(
        (first.high - first.mean - half).abs() < 0.15 * half
            && (first.mean - first.low - half).abs() < 0.15 * half
    );
    assert!(paired_bootstrap(&a, &b, 9_999, 7).is_err());
    assert!(paired_bootstrap(&a, &b[1..], 10_000, 7).is_err());
}

#[test]
fn session_figures_by_hand() {
    assert_eq!(metrics::non_rendered_play(13, 110, 10), Some(13.0));
    assert_eq!(metrics::non_rendered_play(0, 5, 5), None);
    assert_eq!(metrics::non_rendered_psnr(&[29.99, 30.0, 31.0, f64::NAN], 30.0), Some(50.0));
    let sweep = metrics::theta_sweep(&[25.0, 35.0]);
    assert_eq!((sweep.len(), sweep[0], sweep[6], sweep[20]), (21, (20, 0.0), (26, 50.0), (40, 100.0)));
    let latency = [Some(40), None, Some(60), Some(50)].map(|v: Option<u64>| v.map(|ms| ms * 1_000_000));
    assert_eq!(metrics::Latency::rendered(&latency).unwrap().p50_ns, 50_000_000);
    let penalised = metrics::Latency::penalised(&latency).unwrap();
    assert_eq!((penalised.max_ns, penalised.frames), (metrics::NEVER_RENDERED_NS, 4));
    assert_eq!(metrics::Latency::rendered(&[None]), None);
    assert_eq!(metrics::bits_per_second(1_250_000, 10_000_000_000), 1_000_000);
    assert_eq!(metrics::with_headers(1000, 2), 1056);
    assert_eq!(metrics::redundancy(30, 60), Some(0.5));
    // 21 values: the worst 3.
    let values: Vec<f64> = (0..21).map(f64::from).collect();
    assert_eq!(metrics::worst10(&values, metrics::Better::Higher), Some(1.0));
    assert_eq!(metrics::worst10(&values, metrics::Better::Lower), Some(19.0));
    assert_eq!(metrics::percentile(&values, 2.5), Some(0.5));
    let (decoded, payload) = ([true, true, false, true, true, true], [true, true, false, true, true, true]);
    assert_eq!(metrics::revo_frozen_mask(&decoded, &payload, 4), [false, false, true, true, false, false]);
    let no_key = [false, true, true, true, true, true];
    assert_eq!(metrics::revo_corrupted_mask(&no_key, &no_key, 4), [false, true, true, true, false, false]);
    assert_eq!(metrics::revo_frozen_mask(&no_key, &no_key, 4), [true, true, true, true, false, false]);
}
