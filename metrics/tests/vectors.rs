//! Reference values of PIQ, pytorch_msssim, skimage and FFmpeg. The project's own small vectors are beside this file;
//! the larger set lies outside the repository and is skipped, saying so, where it is absent.

mod naive;

use media::Rgb;
use naive::{FULL, POOLED, Ssim};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn shared(path: &str) -> Option<PathBuf> {
    let p = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if !p.exists() {
        eprintln!("skipped: {} is absent", p.display());
        return None;
    }
    Some(p)
}

fn png(path: &Path) -> Rgb {
    let file = std::io::BufReader::new(std::fs::File::open(path).expect("picture"));
    let mut reader = png::Decoder::new(file).read_info().expect("png");
    let mut data = vec![0; reader.output_buffer_size().expect("size")];
    let info = reader.next_frame(&mut data).expect("png data");
    data.truncate(info.buffer_size());
    let data = match info.color_type {
        png::ColorType::Rgb => data,
        // Three equal channels have the grey picture's PSNR and SSIM.
        png::ColorType::Grayscale => data.iter().flat_map(|&v| [v; 3]).collect(),
        other => panic!("{other:?}"),
    };
    Rgb { width: info.width as usize, height: info.height as usize, data }
}

fn close(name: &str, what: &str, ours: f64, reference: &Value, tolerance: f64) {
    let Some(r) = reference.as_f64() else { return };
    assert!(
        (ours - r).abs() <= tolerance,
        "{name} {what}: ours {ours}, reference {r}, off by {:e}",
        ours - r
    );
}

#[test]
fn picture_pairs_match_the_reference_libraries() {
    let Some(dir) = shared("vectors/metrics") else { return };
    let json: Value = serde_json::from_slice(&std::fs::read(dir.join("image_pairs.json")).unwrap()).unwrap();
    for pair in json["pairs"].as_array().unwrap() {
        let name = pair["name"].as_str().unwrap();
        let a = png(&dir.join(pair["ref"].as_str().unwrap()));
        let b = png(&dir.join(pair["dist"].as_str().unwrap()));
        for level in metrics::SimdLevel::available() {
            let mut scorer = metrics::Scorer::with_level(level);
            let n = format!("{name} {level:?}");
            close(&n, "psnr", scorer.psnr(&a, &b).unwrap(), &pair["piq_psnr_f64"], 1e-9);
            close(&n, "ssim", scorer.ssim(&a, &b).unwrap(), &pair["piq_ssim_ds_f64"], 1e-6);
            close(&n, "ssim f32", scorer.ssim(&a, &b).unwrap(), &pair["piq_ssim_ds_f32"], 5e-5);
            close(&n, "ssim_full", scorer.ssim_full(&a, &b).unwrap(), &pair["piq_ssim_nods_f64"], 1e-6);
            if a.width.min(a.height) > 160 {
                let ours = scorer.ms_ssim(&a, &b).unwrap();
                close(&n, "ms_ssim", ours, &pair["pytorch_msssim_msssim_f64"], 1e-6);
            } else {
                assert!(scorer.ms_ssim(&a, &b).is_err());
            }
        }
    }
}

#[test]
fn freeze_timelines_match() {
    let Some(dir) = shared("vectors/metrics") else { return };
    let json: Value = serde_json::from_slice(&std::fs::read(dir.join("freeze_cases.json")).unwrap()).unwrap();
    let ms = |ns: u64| ns as f64 / 1e6;
    for case in json["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let times: Vec<u64> = case["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| (f[1].as_f64().unwrap() * 1e6).round() as u64)
            .collect();
        for (rule, key) in
            [(metrics::FreezeRule::W3c, "w3c_excl"), (metrics::FreezeRule::Libwebrtc, "libwebrtc")]
        {
            let found = metrics::freezes(rule, &times);
            assert_eq!(found.len() as u64, case[key]["freezeCount"].as_u64().unwrap(), "{name} {key}");
            let total: u64 = found.iter().map(|f| f.duration_ns).sum();
            close(name, key, ms(total), &case[key]["totalFreezesDuration_ms"], 1e-4);
        }
        let tambur = metrics::freezes(metrics::FreezeRule::Tambur, &times);
        let expected = &case["tambur"];
        assert_eq!(tambur.len() as u64, expected["n"].as_u64().unwrap(), "{name}");
        let total: u64 = tambur.iter().map(|f| f.duration_ns).sum();
        let judged = times[times.len() - 1] - times[30];
        close(name, "tambur time", total as f64 / judged as f64, &expected["frac_time"], 1e-9);
        close(
            name,
            "tambur frames",
            tambur.len() as f64 / (times.len() - 31) as f64,
            &expected["frac_frames"],
            1e-9,
        );
        let fps = metrics::harmonic_fps(&times);
        close(name, "harmonic fps", fps, &case["libwebrtc"]["harmonic_fps"], 1e-9);
        let sent = case["sent"].as_u64().unwrap() as u32;
        let frozen = sent - times.len() as u32;
        let play = metrics::non_rendered_play(frozen, sent, 0).unwrap();
        close(name, "non-rendered", play, &case["non_rendered_pct"], 1e-9);
    }
}

#[test]
fn ffmpeg_filters_match() {
    let Some(dir) = shared("vectors/metrics") else { return };
    let json: Value = serde_json::from_slice(&std::fs::read(dir.join("y4m_pairs.json")).unwrap()).unwrap();
    for (name, pair) in json.as_object().unwrap() {
        let open = |side: &str| {
            let file = std::fs::File::open(dir.join(format!("{name}_{side}.y4m"))).unwrap();
            media::y4m::Reader::new(std::io::BufReader::new(file)).unwrap()
        };
        let (mut a, mut b) = (open("ref"), open("dist"));
        let mut clip = metrics::FfmpegPsnrClip::default();
        for (i, frame) in pair["frames"].as_array().unwrap().iter().enumerate() {
            let (a, b) = (a.next_frame().unwrap().unwrap(), b.next_frame().unwrap().unwrap());
            let n = format!("{name} frame {i}");
            let psnr = metrics::ffmpeg_psnr(&a, &b).unwrap();
            clip.add(&psnr);
            let ssim = metrics::ffmpeg_ssim(&a, &b).unwrap();
            for p in 0..3 {
                close(&n, "psnr", psnr.planes()[p], &frame["np_psnr_yuv"][p], 1e-9);
                close(&n, "ssim", ssim.planes[p], &frame["np_ffssim_yuv"][p], 1e-6);
            }
            match frame["np_psnr_allplanes"].as_f64() {
                Some(_) => close(&n, "psnr avg", psnr.avg(), &frame["np_psnr_allplanes"], 1e-9),
                None => assert_eq!(psnr.avg(), f64::INFINITY, "{n}"),
            }
            let all: f64 = frame["ff_ssim_All"].as_str().unwrap().parse().unwrap();
            assert!((ssim.all - all).abs() <= 1e-6, "{n}: {} {all}", ssim.all);
        }
        let summary = pair["ffmpeg_psnr_summary"].as_str().unwrap();
        let average: f64 =
            summary.split("average:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((clip.value().unwrap().avg() - average).abs() < 1e-6);
    }
}

fn own() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

/// The pictures of `vectors.json`, checked against the sum that the generator saw.
fn own_pictures() -> Vec<(String, Rgb, Rgb, Value)> {
    let pair = |p: &Value| {
        let size = |k: &str| p[k].as_u64().unwrap() as usize;
        let a = naive::picture(size("width"), size("height"));
        let b = naive::noisy(&a, p["amplitude"].as_i64().unwrap(), p["offset"].as_i64().unwrap());
        let sum: u64 = b.data.iter().map(|&v| u64::from(v)).sum();
        assert_eq!(sum, p["sum_shown"].as_u64().unwrap());
        (format!("{}x{}", a.width, a.height), a, b, p.clone())
    };
    own()["pictures"].as_array().unwrap().iter().map(pair).collect()
}

#[test]
fn own_pictures_match_the_reference_libraries() {
    for (name, a, b, expected) in own_pictures() {
        for level in metrics::SimdLevel::available() {
            let mut scorer = metrics::Scorer::with_level(level);
            let n = format!("{name} {level:?}");
            close(&n, "psnr", scorer.psnr(&a, &b).unwrap(), &expected["psnr"], 1e-9);
            close(&n, "ssim", scorer.ssim(&a, &b).unwrap(), &expected["ssim"], 1e-6);
            close(&n, "ssim_full", scorer.ssim_full(&a, &b).unwrap(), &expected["ssim_full"], 1e-6);
            close(&n, "skimage", scorer.ssim_full(&a, &b).unwrap(), &expected["skimage_ssim_full"], 1e-6);
            if !expected["ms_ssim"].is_null() {
                close(&n, "ms_ssim", scorer.ms_ssim(&a, &b).unwrap(), &expected["ms_ssim"], 1e-6);
            }
        }
    }
}

/// The vectors are worth something only if they tell the definition from its neighbours.
#[test]
fn the_vectors_catch_a_wrong_definition() {
    let full: [(&str, Ssim); 7] = [
        ("window 9", Ssim { window: 9, ..FULL }),
        ("window 13", Ssim { window: 13, ..FULL }),
        ("sigma 1.4", Ssim { sigma: 1.4, ..FULL }),
        ("sample covariance", Ssim { sample_covariance: true, ..FULL }),
        ("k2 0.02", Ssim { k2: 0.02, ..FULL }),
        ("reflected border", Ssim { padded: true, ..FULL }),
        ("7x7 box", Ssim { window: 7, uniform: true, sample_covariance: true, ..FULL }),
    ];
    let pooled: [(&str, Ssim); 3] = [
        ("no pooling", FULL),
        ("halves away from zero", Ssim { pooling: Some(f64::round), ..FULL }),
        ("pooling rounded down", Ssim { pooling: Some(f64::floor), ..FULL }),
    ];
    // The small pictures tell windows apart, the larger ones pooling; the largest would only take time.
    let pictures: Vec<_> = own_pictures().into_iter().filter(|(_, a, ..)| a.width < 1000).collect();
    let value = |v: &Value| v.as_f64().unwrap();
    let (_, a, b, expected) = &pictures[0];
    assert!((FULL.of(a, b) - value(&expected["ssim_full"])).abs() < 1e-9, "the naive implementation itself");
    for (what, wrong) in full {
        let off = (wrong.of(a, b) - value(&expected["ssim_full"])).abs();
        assert!(off > 1e-5, "{what} is off by only {off:e}");
    }
    let large: Vec<_> = pictures.iter().filter(|(_, a, ..)| a.width >= 640).collect();
    for (_, a, b, expected) in &large {
        assert!((POOLED.of(a, b) - value(&expected["ssim"])).abs() < 1e-9, "the naive implementation itself");
    }
    for (what, wrong) in pooled {
        let off =
            large.iter().map(|(_, a, b, e)| (wrong.of(a, b) - value(&e["ssim"])).abs()).fold(0.0, f64::max);
        assert!(off > 1e-5, "{what} is off by only {off:e}");
    }
}

#[test]
fn statistics_match_scipy() {
    let list =
        |v: &Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    for case in own()["wilcoxon"].as_array().unwrap() {
        let ours = metrics::stats::wilcoxon_signed_rank(&list(&case["a"]), &list(&case["b"])).unwrap();
        let statistic = ours.rank_sum_positive.min(ours.rank_sum_negative);
        close("wilcoxon", "statistic", statistic, &case["statistic"], 0.0);
        close("wilcoxon", "p", ours.p, &case["p"], 1e-12);
    }
    for case in own()["pchip"].as_array().unwrap() {
        let curve = metrics::stats::Pchip::new(&list(&case["x"]), &list(&case["y"])).unwrap();
        let ours = curve.integral(case["from"].as_f64().unwrap(), case["to"].as_f64().unwrap());
        close("pchip", "integral", ours, &case["integral"], 1e-12);
    }
}
