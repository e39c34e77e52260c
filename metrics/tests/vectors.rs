//! Reference values of PIQ, pytorch_msssim, skimage, FFmpeg and scipy. The project's own vectors are beside this file, made
//! by `just metric-vectors`; a larger set outside the repository (`FREEZEFRAME_VECTORS`) is an extra.

mod naive;

use media::Rgb;
use naive::{FULL, POOLED, Ssim};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The larger set, where it is.
fn larger_set() -> Option<PathBuf> {
    testing::folder("vectors").map(|vectors| vectors.join("metrics"))
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
    if reference == "inf" {
        return assert_eq!(ours, f64::INFINITY, "{name} {what}");
    }
    let r = reference.as_f64().unwrap_or_else(|| panic!("{name} {what}: the vectors have {reference}"));
    assert!(
        (ours - r).abs() <= tolerance,
        "{name} {what}: ours {ours}, reference {r}, off by {:e}",
        ours - r
    );
}

#[test]
fn picture_pairs_match_the_reference_libraries() {
    let Some(dir) = larger_set() else { return };
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
    let Some(dir) = larger_set() else { return };
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
        let sent = case["sent"].as_u64().unwrap() as u32;
        let frozen = sent - times.len() as u32;
        let play = metrics::non_rendered_play(frozen, 0, sent).unwrap();
        close(name, "non-rendered", play, &case["non_rendered_pct"], 1e-9);
    }
}

#[test]
fn ffmpeg_filters_match() {
    let Some(dir) = larger_set() else { return };
    let json: Value = serde_json::from_slice(&std::fs::read(dir.join("y4m_pairs.json")).unwrap()).unwrap();
    for (name, pair) in json.as_object().unwrap() {
        let open = |side: &str| {
            let file = std::fs::File::open(dir.join(format!("{name}_{side}.y4m"))).unwrap();
            media::y4m::Reader::new(std::io::BufReader::new(file)).unwrap()
        };
        let (mut a, mut b) = (open("ref"), open("dist"));
        let mut clip = Vec::new();
        for (i, frame) in pair["frames"].as_array().unwrap().iter().enumerate() {
            let (a, b) = (a.next_frame().unwrap().unwrap(), b.next_frame().unwrap().unwrap());
            let n = format!("{name} frame {i}");
            let psnr = metrics::ffmpeg_psnr(&a, &b).unwrap();
            clip.push(psnr.avg());
            let ssim = metrics::ffmpeg_ssim(&a, &b).unwrap();
            for p in 0..3 {
                close(&n, "psnr", psnr.planes()[p], &frame["np_psnr_yuv"][p], 1e-9);
                close(&n, "ssim", ssim.planes[p], &frame["np_ffssim_yuv"][p], 1e-6);
            }
            close(&n, "psnr avg", psnr.avg(), &frame["np_psnr_allplanes"], 1e-9);
            let all: f64 = frame["ff_ssim_All"].as_str().unwrap().parse().unwrap();
            assert!((ssim.all - all).abs() <= 1e-6, "{n}: {} {all}", ssim.all);
        }
        let summary = pair["ffmpeg_psnr_summary"].as_str().unwrap();
        let average: f64 =
            summary.split("average:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((metrics::psnr_of_mean_error(&clip).unwrap() - average).abs() < 1e-6);
    }
}

fn own() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

/// A list of cases of which there are so many: none is lost without a word.
fn cases<'a>(of: &'a Value, key: &str, count: usize) -> &'a [Value] {
    let all = of[key].as_array().unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(all.len(), count, "{key}");
    all
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
    cases(&own(), "pictures", 6).iter().map(pair).collect()
}

fn changed(a: &Rgb, how: &str) -> Rgb {
    let mut b = a.clone();
    let row = 3 * a.width;
    match how {
        "same" => {}
        "one sample" => b.data[(a.height / 2) * row + (a.width / 2) * 3 + 1] ^= 64,
        "last bit" => b.data.iter_mut().for_each(|v| *v ^= 1),
        "inverted" => b.data.iter_mut().for_each(|v| *v = 255 - *v),
        "grey blocks" => (64..128).for_each(|y| b.data[y * row + 96 * 3..][..64 * 3].fill(128)),
        "moved" => b.data.rotate_right(2 * row),
        other => panic!("{other}"),
    }
    if how == "moved" {
        b.data.chunks_mut(row).for_each(|line| line.rotate_right(3 * 3));
    }
    b
}

fn judge(name: &str, a: &Rgb, b: &Rgb, expected: &Value) {
    for level in metrics::SimdLevel::available() {
        let mut scorer = metrics::Scorer::with_level(level);
        let n = format!("{name} {level:?}");
        close(&n, "psnr", scorer.psnr(a, b).unwrap(), &expected["psnr"], 1e-9);
        close(&n, "ssim", scorer.ssim(a, b).unwrap(), &expected["ssim"], 1e-6);
        close(&n, "ssim_full", scorer.ssim_full(a, b).unwrap(), &expected["ssim_full"], 1e-6);
        close(&n, "skimage", scorer.ssim_full(a, b).unwrap(), &expected["skimage_ssim_full"], 1e-6);
        if a.width.min(a.height) > 160 {
            close(&n, "ms_ssim", scorer.ms_ssim(a, b).unwrap(), &expected["ms_ssim"], 1e-6);
        }
    }
}

#[test]
fn own_pictures_match_the_reference_libraries() {
    for (name, a, b, expected) in own_pictures() {
        judge(&name, &a, &b, &expected);
    }
    let own = own();
    for expected in cases(&own, "changes", 6) {
        let size = |k: &str| expected[k].as_u64().unwrap() as usize;
        let how = expected["how"].as_str().unwrap();
        let a = naive::picture(size("width"), size("height"));
        let b = changed(&a, how);
        assert_eq!(
            b.data.iter().map(|&v| u64::from(v)).sum::<u64>(),
            expected["sum_shown"].as_u64().unwrap()
        );
        judge(how, &a, &b, expected);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures");
    let face = png(&folder.join("face.png"));
    for expected in cases(&own, "photographs", 2) {
        let name = expected["shown"].as_str().unwrap();
        judge(name, &face, &png(&folder.join(name)), expected);
    }
}

/// Planes of 4:2:0 as the generator makes them: channel 0 of a large picture, 1 and 2 of a small one.
fn planes(width: usize, height: usize, amplitude: i64) -> media::Yuv420 {
    let of = |width: usize, height: usize, channel: usize| -> Vec<u8> {
        let mut p = naive::picture(width, height);
        if amplitude > 0 {
            p = naive::noisy(&p, amplitude, 0);
        }
        p.data.iter().skip(channel).step_by(3).copied().collect()
    };
    let (w, h) = (width.div_ceil(2), height.div_ceil(2));
    media::Yuv420 { width, height, y: of(width, height, 0), u: of(w, h, 1), v: of(w, h, 2) }
}

#[test]
fn own_frames_match_ffmpegs_filters() {
    for case in cases(&own(), "filters", 2) {
        let size = |k: &str| case[k].as_u64().unwrap() as usize;
        let (width, height) = (size("width"), size("height"));
        let reference = planes(width, height, 0);
        let mut clip = Vec::new();
        for frame in cases(case, "frames", 3) {
            let amplitude = frame["amplitude"].as_i64().unwrap();
            let shown = planes(width, height, amplitude);
            let name = format!("{width}x{height} noise {amplitude}");
            let psnr = metrics::ffmpeg_psnr(&reference, &shown).unwrap();
            clip.push(psnr.avg());
            let ssim = metrics::ffmpeg_ssim(&reference, &shown).unwrap();
            for p in 0..3 {
                close(&name, "psnr", psnr.planes()[p], &frame["psnr"][p], 6e-7); // six decimals
                close(&name, "ssim", ssim.planes[p], &frame["ssim"][p], 1e-6);
            }
            close(&name, "psnr avg", psnr.avg(), &frame["psnr"][3], 6e-7);
            close(&name, "ssim all", ssim.all, &frame["ssim"][3], 1e-6);
        }
        close("clip", "psnr", metrics::psnr_of_mean_error(&clip).unwrap(), &case["clip_psnr"], 6e-7);
    }
}

/// Of each rule the places and lengths of its freezes, by a second implementation with fractions.
#[test]
fn own_timelines_have_the_freezes_of_each_definition() {
    for case in cases(&own(), "freezes", 9) {
        let name = case["name"].as_str().unwrap();
        let mut times = vec![0];
        for gap in case["gaps_us"].as_array().unwrap() {
            times.push(times[times.len() - 1] + gap.as_u64().unwrap() * 1000);
        }
        for (rule, key) in [
            (metrics::FreezeRule::W3c, "w3c"),
            (metrics::FreezeRule::Libwebrtc, "libwebrtc"),
            (metrics::FreezeRule::Tambur, "tambur"),
        ] {
            let found = metrics::freezes(rule, &times);
            let starts: Vec<u64> = found.iter().map(|f| f.start_ns).collect();
            let expected: Vec<u64> = case[key]["at"]
                .as_array()
                .unwrap()
                .iter()
                .map(|k| times[usize::try_from(k.as_u64().unwrap()).unwrap()])
                .collect();
            assert_eq!(starts, expected, "{name} {key}");
            let total: u64 = found.iter().map(|f| f.duration_ns).sum();
            assert_eq!(total, case[key]["total_ns"].as_u64().unwrap(), "{name} {key}");
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
fn interpolation_matches_scipy() {
    let list =
        |v: &Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    for case in cases(&own(), "pchip", 4) {
        let curve = metrics::stats::Pchip::new(&list(&case["x"]), &list(&case["y"])).unwrap();
        let ours = curve.integral(case["from"].as_f64().unwrap(), case["to"].as_f64().unwrap());
        close("pchip", "integral", ours, &case["integral"], 1e-12);
    }
}
