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

    /// Whatever the size: where SSIM is measured on a scale of MS-SSIM (512, 640x512, 320, 1024) and where it is not, in colour and grey.
    #[test]
    fn both_at_once_are_what_each_is_alone(
        size in prop_oneof![
            (161usize..700, 161usize..700),
            Just((512, 512)), Just((640, 512)), Just((320, 321)), Just((1024, 896)), Just((1022, 900)),
        ],
        kind in 0u8..6,
        seed: u64,
    ) {
        let (a, b) = hard_pair(size.0, size.1, kind, seed);
        let bits = |v: f64| v.to_bits();
        for level in SimdLevel::available() {
            let mut s = Scorer::with_level(level);
            let (ms_ssim, ssim) = s.ms_ssim_and_ssim(&a, &b).unwrap();
            prop_assert_eq!(bits(ms_ssim), bits(s.ms_ssim(&a, &b).unwrap()));
            prop_assert_eq!(bits(ssim), bits(s.ssim(&a, &b).unwrap()));
            let [x, y] = [&a, &b].map(|p| p.data.iter().copied().step_by(3).collect::<Vec<u8>>());
            let (ms_ssim, ssim) = s.ms_ssim_and_ssim_gray(size, &x, &y).unwrap();
            prop_assert_eq!(bits(ms_ssim), bits(s.ms_ssim_gray(size, &x, &y).unwrap()));
            prop_assert_eq!(bits(ssim), bits(s.ssim_gray(size, &x, &y, true).unwrap()));
        }
    }

    /// Errors of depth against their definition, pixel by pixel in plain doubles.
    #[test]
    fn depth_errors_are_their_definition(pixels in prop::collection::vec((0u16..4, any::<u16>(), any::<u16>()), 1..300)) {
        let pixels: Vec<(u16, u16)> = pixels.into_iter().map(|(kind, r, s)| match kind {
            0 => (0, s),
            1 => (r, 0),
            2 => (r, r.saturating_add(s % 8)),
            _ => (r, s),
        }).collect();
        let picture = |mm: Vec<u16>| Depth16 { width: mm.len(), height: 1, mm };
        let found = metrics::depth_errors(
            &picture(pixels.iter().map(|p| p.0).collect()), &picture(pixels.iter().map(|p| p.1).collect()),
        );
        let valid: Vec<(f64, f64)> =
            pixels.iter().filter(|p| p.0 > 0).map(|&(r, s)| (f64::from(r), f64::from(s))).collect();
        if valid.is_empty() {
            prop_assert!(found.is_err());
            return Ok(());
        }
        let found = found.unwrap();
        let mean = |of: &dyn Fn(f64, f64) -> f64| valid.iter().map(|&(r, s)| of(r, s)).sum::<f64>() / valid.len() as f64;
        let near = |value: f64, wanted: f64| (value - wanted).abs() <= 1e-12 * wanted.max(1.0);
        prop_assert!(near(found.rmse_mm, mean(&|r, s| (r - s).powi(2)).sqrt()));
        prop_assert!(near(found.abs_rel, mean(&|r, s| (r - s).abs() / r)));
        prop_assert!(near(found.delta1, mean(&|r, s| f64::from(u8::from(r.max(s) / r.min(s) < 1.25)))));
        prop_assert!(near(found.coverage, mean(&|_, s| f64::from(u8::from(s > 0.0)))));
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

    /// PSNR below 30 dB in integers: `sse / (65025 n) + 1e-8 > 1e-3`, both sides times 1e8 65025 n. Pictures around the limit
    /// and, where the limit is a whole number (12 million samples: 780 292 197), on it.
    #[test]
    fn the_threshold_is_decided_as_integers_would(samples in prop_oneof![Just(3000u64), Just(786_432), Just(12_000_000), Just(150_994_944), 1u64..200_000_000], off in -3i64..=3) {
        let limit = 99_999 * 65_025 * u128::from(samples) / 100_000_000;
        let Some(sse) = (limit as u64).checked_add_signed(off) else { return Ok(()) };
        let below = u128::from(sse) * 100_000_000 > 99_999 * 65_025 * u128::from(samples);
        let db = metrics::psnr_of_sse(sse, samples).unwrap();
        prop_assert_eq!(metrics::non_rendered_psnr(&[db], 30.0), Some(if below { 100.0 } else { 0.0 }), "{} of {}", sse, samples);
    }

    /// Slot by slot, on a grid of whole slots: a picture, then whatever stays on the screen until the next.
    #[test]
    fn freezes_of_a_screen_are_those_a_slot_by_slot_walk_finds(shown in prop::collection::vec(prop::bool::weighted(0.4), 0..60), offset in 0u64..500) {
        const T: u64 = 40_000_000;
        let due = offset * 1_000_000;
        let times: Vec<Option<u64>> = (0..).zip(&shown).map(|(i, s)| s.then_some(due + i * T)).collect();
        let screen = metrics::Screen { captured_ns: 0, due_ns: due, interval_ns: T, shown_ns: &times };
        // One entry per stretch of slots with one picture (or none yet): where it begins, slots, of them repeats.
        let (mut stretches, mut any) = (Vec::new(), false);
        for (i, &new) in shown.iter().enumerate() {
            if new || i == 0 {
                stretches.push((i as u64, 0u64, 0u64));
            }
            any |= new;
            let last = stretches.last_mut().unwrap();
            last.1 += 1;
            last.2 += u64::from(!new);
        }
        let stalls: Vec<(u64, u64)> = stretches.iter().filter(|s| s.2 > 0 && s.1 * T > 200_000_000).map(|s| (due + s.0 * T, s.1 * T)).collect();
        let repeats: Vec<(u64, u64)> = stretches.iter().filter(|s| s.2 > 0).map(|s| (due + s.0 * T, s.2 * T)).collect();
        let found = |rule| -> Vec<(u64, u64)> { screen.freezes(rule).iter().map(|f| (f.start_ns, f.duration_ns)).collect() };
        prop_assert_eq!(found(FreezeRule::Stall200), stalls);
        prop_assert_eq!(found(FreezeRule::Revo { interval_ns: T }), repeats);
        let startup = screen.startup();
        prop_assert_eq!(startup.never_rendered, !any);
        prop_assert_eq!(startup.startup_ns, shown.iter().position(|s| *s).map(|i| due + i as u64 * T));
        for rule in FreezeRule::all(T) {
            let sum = metrics::FreezeSummary::of(&screen.freezes(rule), screen.session_ns());
            prop_assert!(sum.ratio <= 1.0, "{} is longer than the session", rule.name());
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
        let runs = metrics::frozen_runs(&frozen, 40);
        let starts: Vec<usize> = (0..frozen.len()).filter(|&i| frozen[i] && (i == 0 || !frozen[i - 1])).collect();
        let mut lengths: Vec<u32> = starts.iter().map(|&i| frozen[i..].iter().take_while(|f| **f).count() as u32).collect();
        lengths.sort_unstable();
        prop_assert_eq!(runs.count as usize, starts.len());
        prop_assert_eq!(runs.max, lengths.last().copied().unwrap_or(0));
        // Nearest rank: the smallest value that at least p per cent are not above.
        for (p, got) in [(50, runs.p50), (95, runs.p95)] {
            let rank = lengths.iter().copied().find(|v| 100 * lengths.iter().filter(|l| **l <= *v).count() >= p * lengths.len());
            prop_assert_eq!(got, rank.unwrap_or(0));
        }
        let terminal = frozen.iter().rposition(|f| !f).map_or(frozen.len(), |i| frozen.len() - 1 - i);
        prop_assert_eq!((runs.terminal as usize, runs.terminal_ns), (terminal, 40 * terminal as u64));
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
    let mut doubled = anchor.clone();
    doubled[3].bps = doubled[2].bps;
    assert!(matches!(bd_rate(&anchor, &doubled), Err(BdError::EqualRates { curve: "test", .. })));
    bent[3].quality = f64::NAN;
    assert!(matches!(bd_rate(&bent, &anchor), Err(BdError::BadPoint { .. })));
}

#[test]
fn session_figures_by_hand() {
    // Of 110 frames 10 were never sent and 13 froze: the viewer missed 23, the network and the receiver 13 of 100.
    assert_eq!(metrics::non_rendered_play(13, 10, 110), Some(100.0 * 23.0 / 110.0));
    assert_eq!(metrics::non_rendered_of_sent(13, 10, 110), Some(13.0));
    // A sender that drops everything shows nothing, and of what it sent nothing can be said.
    assert_eq!(metrics::non_rendered_play(0, 5, 5), Some(100.0));
    assert_eq!((metrics::non_rendered_of_sent(0, 5, 5), metrics::non_rendered_play(0, 0, 0)), (None, None));
    assert_eq!(metrics::non_rendered_psnr(&[29.99, 30.0, 31.0, f64::NAN], 30.0), Some(50.0));
    let sweep = metrics::theta_sweep(&[25.0, 35.0]);
    assert_eq!((sweep.len(), sweep[0], sweep[6], sweep[20]), (21, (20, 0.0), (26, 50.0), (40, 100.0)));
    let latency = [Some(40), None, Some(60), Some(50)].map(|v: Option<u64>| v.map(|ms| ms * 1_000_000));
    assert_eq!(metrics::latency(&latency).unwrap().p50_ns, 50_000_000);
    let penalised = metrics::latency_penalised(&latency).unwrap();
    assert_eq!((penalised.max_ns, penalised.n), (metrics::NEVER_RENDERED_NS, 4));
    assert_eq!(metrics::latency(&[None]), None);
    assert_eq!(metrics::with_headers(1000, 2), 1056);
    assert_eq!((metrics::redundancy(30, 60), metrics::redundancy(30, 0)), (Some(0.5), None));
    assert_eq!((metrics::realised_loss(3, 12), metrics::realised_loss(0, 0)), (Some(0.25), None));
    // 21 values: the worst 3.
    let values: Vec<f64> = (0..21).map(f64::from).collect();
    assert_eq!(metrics::worst10(&values, metrics::Better::Higher), Some(1.0));
    assert_eq!(metrics::worst10(&values, metrics::Better::Lower), Some(19.0));
    assert_eq!(metrics::percentile(&values, 2.5), Some(0.5));
}

#[test]
fn distributions_are_numpys() {
    // numpy.percentile([1, 2, 3, 4], [5, 25, 50, 75, 95])
    let dist = metrics::Dist::of(&[4.0, 1.0, 3.0, 2.0], metrics::Better::Higher).unwrap();
    for (got, expected) in [
        (dist.p5, 1.15),
        (dist.p25, 1.75),
        (dist.p50, 2.5),
        (dist.p75, 3.25),
        (dist.p95, 3.85),
        (dist.max, 4.0),
    ] {
        assert!((got - expected).abs() < 1e-12, "{dist:?}");
    }
    let values: Vec<f64> = (1..=25).map(f64::from).collect();
    assert_eq!(metrics::Dist::of(&values, metrics::Better::Higher).unwrap().worst10, 2.0);
    assert_eq!(metrics::Dist::of(&values, metrics::Better::Lower).unwrap().worst10, 24.0);
    assert_eq!(metrics::Dist::of(&[], metrics::Better::Higher), None);
    let d = metrics::Durations::of((1..=100).rev().collect()).unwrap();
    assert_eq!((d.p50_ns, d.p95_ns, d.p98_ns, d.p99_ns, d.max_ns), (50, 95, 98, 99, 100));
    assert_eq!(metrics::Durations::of(vec![7]).unwrap().p50_ns, 7);
    assert_eq!(metrics::Durations::of(vec![]), None);
    // JSON has no infinity.
    let dist = metrics::Dist::of(&[40.0, f64::INFINITY, f64::INFINITY], metrics::Better::Higher).unwrap();
    assert_eq!((dist.p50, dist.p95, dist.max), (f64::INFINITY, f64::INFINITY, f64::INFINITY));
    let text = serde_json::to_string(&dist).unwrap();
    assert!(text.contains(r#""max":"inf""#) && text.contains(r#""min":40.0"#), "{text}");
    assert_eq!(serde_json::from_str::<metrics::Dist>(&text).unwrap(), dist);
    assert!(serde_json::from_str::<metrics::Dist>(&text.replace("inf", "large")).is_err());
}

/// Mean squared errors of 0 (identical), 65.025 (30 dB) and 6.5025 (40 dB): their mean is 23.8425.
#[test]
fn ffmpegs_clip_value_is_the_psnr_of_the_mean_error() {
    let got = metrics::psnr_of_mean_error(&[f64::INFINITY, 30.0, 40.0]).unwrap();
    assert!((got - 10.0 * (65025.0f64 / 23.8425).log10()).abs() < 1e-12, "{got}");
    assert_eq!(metrics::psnr_of_mean_error(&[f64::INFINITY]), Some(f64::INFINITY));
    assert_eq!(metrics::psnr_of_mean_error(&[]), None);
}

#[test]
fn rates_count_the_window_and_nothing_else() {
    use metrics::Place::{After, Before, Within};
    // 10 s of 25 frames per second, the first captured at 0.5 s.
    let window = metrics::Window::new(500_000_000, 40_000_000, 250);
    assert_eq!((window.from_ns, window.until_ns), (500_000_000, 10_500_000_000));
    for (t, place) in
        [(499_999_999, Before), (500_000_000, Within), (10_499_999_999, Within), (10_500_000_000, After)]
    {
        assert_eq!(window.place(t), place, "{t}");
    }
    assert_eq!(window.bits_per_second(1_250_000), Some(1_000_000));
    assert_eq!(
        metrics::Window::new(0, 40_000_000, 0).bits_per_second(7),
        None,
        "a clip of no frames has no rate"
    );
}

/// 150 frames of 1/30 s due 150 ms after their capture; some of them shown at their slot.
fn screen(shown: impl Fn(u64) -> bool) -> Vec<Option<u64>> {
    (0..150).map(|i| shown(i).then_some(150_000_000 + i * 33_333_333)).collect()
}

fn summary(times: &[Option<u64>], rule: FreezeRule) -> (u32, u64) {
    let screen =
        metrics::Screen { captured_ns: 0, due_ns: 150_000_000, interval_ns: 33_333_333, shown_ns: times };
    let sum = metrics::FreezeSummary::of(&screen.freezes(rule), screen.session_ns());
    (sum.count, sum.total_ns)
}

const REVO: FreezeRule = FreezeRule::Revo { interval_ns: 33_333_333 };

/// Measured with Chromium without NACK: frames 1 to 92 never came. W3C's rule has no gap before this one, and counts none.
#[test]
fn a_freeze_after_frame_0_is_seen() {
    let times = screen(|i| i == 0 || i > 92);
    assert_eq!(summary(&times, FreezeRule::W3c), (0, 0));
    assert_eq!(summary(&times, FreezeRule::Stall200), (1, 93 * 33_333_333));
    assert_eq!(summary(&times, REVO), (1, 92 * 33_333_333));
    let still: Vec<bool> = times.iter().map(Option::is_none).collect();
    assert_eq!(
        (metrics::frozen_runs(&still, 33_333_333).count, metrics::frozen_runs(&still, 33_333_333).max),
        (1, 92)
    );
}

#[test]
fn the_beginning_and_the_end_of_a_session_are_seen() {
    let late = screen(|i| i >= 12);
    assert_eq!(summary(&late, FreezeRule::Stall200), (1, 12 * 33_333_333));
    assert_eq!(summary(&late, REVO), (1, 12 * 33_333_333));
    // The last picture stays for its own slot and ten more; ReVo's rule counts the ten repeats.
    let ends = screen(|i| i < 140);
    assert_eq!(summary(&ends, FreezeRule::Stall200), (1, 11 * 33_333_333));
    assert_eq!(summary(&ends, REVO), (1, 10 * 33_333_333));
    let never = screen(|_| false);
    assert_eq!(summary(&never, FreezeRule::Stall200), (1, 150 * 33_333_333), "the whole clip, not more");
    assert_eq!(summary(&never, REVO), (1, 150 * 33_333_333));
    for rule in [FreezeRule::W3c, FreezeRule::Libwebrtc, FreezeRule::Tambur] {
        assert_eq!(summary(&never, rule), (0, 0), "{} sees gaps between pictures alone", rule.name());
    }
    let startup = |times: &[Option<u64>]| {
        let screen = metrics::Screen {
            captured_ns: 50,
            due_ns: 150_000_050,
            interval_ns: 33_333_333,
            shown_ns: times,
        };
        screen.startup()
    };
    let first = startup(&[None, Some(200_000_050)]);
    assert_eq!(
        (first.startup_ns, first.never_rendered, first.penalised_ns),
        (Some(200_000_000), false, 200_000_000)
    );
    let none = startup(&[None, None]);
    assert_eq!(
        (none.startup_ns, none.never_rendered, none.penalised_ns),
        (None, true, 150_000_000 + 2 * 33_333_333)
    );
}
