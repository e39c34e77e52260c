//! `freezeframe compare` from outside: what it prints, to the key and the bit, and how it refuses.

use contract::Metric;
use media::convert::{Colour, to_rgb};
use media::y4m::{Header, Writer};
use media::{Depth16, Yuv420, still};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SIZE: (usize, usize) = (192, 176);
const FRAMES: usize = 4;

/// A moving pattern; `noise` of it is off by some.
fn picture((width, height): (usize, usize), frame: usize, noise: usize) -> Yuv420 {
    let mut p = Yuv420::filled(width, height, (0, 120, 136));
    for (i, y) in p.y.iter_mut().enumerate() {
        let (column, row) = (i % width, i / width);
        let wrong = if noise > 0 && (i * 31 + frame) % 7 < noise { 9 } else { 0 };
        *y = u8::try_from(40 + (column * 2 + 3 * frame) % 90 + row % 70 + wrong).unwrap();
    }
    p
}

testing::place!(Place);

impl Place {
    fn new() -> Self {
        Self(testing::Place::new())
    }

    fn y4m(&self, name: &str, size: (usize, usize), frames: usize, noise: usize) {
        let file = fs::File::create(self.path(name)).unwrap();
        let mut writer =
            Writer::new(std::io::BufWriter::new(file), Header::new(size.0, size.1, (30, 1))).unwrap();
        (0..frames).for_each(|f| writer.write(&picture(size, f, noise)).unwrap());
        writer.finish().unwrap();
    }

    fn png(&self, name: &str, size: (usize, usize), noise: usize) {
        still::write_rgb(&self.path(name), &to_rgb(&picture(size, 0, noise), Colour::BT601)).unwrap();
    }

    /// Exit code, standard output, standard error.
    fn compare(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezeframe"));
        let Output { status, stdout, stderr } =
            command.arg("compare").args(arguments).current_dir(self.root()).output().unwrap();
        let (out, said) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(!said.contains("panicked"), "{said}");
        (status.code().unwrap(), out, said)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, said) = self.compare(&[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{said}");
        serde_json::from_str(&out).unwrap()
    }

    /// Ends with 2, prints nothing, and says all of `words`.
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let (code, out, said) = self.compare(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is missing in: {said}");
        }
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted(names: &[&'static str]) -> Vec<&'static str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

#[test]
fn videos_as_json_have_exactly_these_keys_and_full_precision() {
    let place = Place::new();
    place.y4m("ref.y4m", SIZE, FRAMES, 0);
    place.y4m("shown.y4m", SIZE, FRAMES, 2);
    let whole = place.json(&["ref.y4m", "shown.y4m"]);
    let top =
        ["reference", "shown", "frames", "mean", "worst10", "percentiles", "missing", "notes", "definitions"];
    let mut found = keys(&whole);
    found.sort_unstable();
    assert_eq!(found, sorted(&top));
    assert_eq!((whole["reference"].as_str(), whole["shown"].as_str()), (Some("ref.y4m"), Some("shown.y4m")));
    let usual = ["psnr", "ssim", "ssim_full", "ms_ssim"];
    for part in
        [&whole["mean"], &whole["worst10"], &whole["percentiles"], &whole["definitions"], &whole["frames"][0]]
    {
        let mut found = keys(part);
        found.sort_unstable();
        assert_eq!(found, sorted(&usual));
    }
    assert_eq!(keys(&whole["missing"]), Vec::<&str>::new());
    let mut found = keys(&whole["percentiles"]["psnr"]);
    found.sort_unstable();
    assert_eq!(found, ["p25", "p5", "p50", "p75", "p95"]);
    let frames = whole["frames"].as_array().unwrap();
    assert_eq!(frames.len(), FRAMES);
    let rgb = |frame, noise| to_rgb(&picture(SIZE, frame, noise), Colour::BT601);
    let mut psnr = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        let (a, b) = (rgb(i, 0), rgb(i, 2));
        assert_eq!(frame["psnr"].as_f64().unwrap(), metrics::psnr(&a, &b).unwrap());
        assert_eq!(frame["ssim_full"].as_f64().unwrap(), metrics::ssim_full(&a, &b).unwrap());
        psnr.push(frame["psnr"].as_f64().unwrap());
    }
    assert_eq!(whole["mean"]["psnr"].as_f64().unwrap(), metrics::mean(&psnr).unwrap());
    let worst = psnr.iter().copied().fold(f64::MAX, f64::min);
    assert_eq!(whole["worst10"]["psnr"].as_f64().unwrap(), worst);
}

#[test]
fn threads_change_nothing() {
    let place = Place::new();
    place.y4m("ref.y4m", SIZE, 9, 0);
    place.y4m("shown.y4m", SIZE, 9, 3);
    let with = |n: &str| place.compare(&["ref.y4m", "shown.y4m", "--json", "--threads", n]);
    assert_eq!(with("1"), with("3"));
}

#[test]
fn images_and_identical_ones() {
    let place = Place::new();
    place.png("a.png", SIZE, 0);
    place.png("b.png", SIZE, 1);
    let whole = place.json(&["a.png", "b.png", "--metrics", "psnr,ssim"]);
    assert_eq!(keys(&whole["frames"][0]), ["psnr", "ssim"]);
    let psnr = whole["mean"]["psnr"].as_f64().unwrap();
    assert!(psnr > 20.0 && psnr < 80.0, "{psnr}");
    let same = place.json(&["a.png", "a.png", "--metrics", "psnr,ssim"]);
    assert_eq!((same["mean"]["psnr"].as_f64(), same["mean"]["ssim"].as_f64()), (Some(80.0), Some(1.0)));
    // FFmpeg's filter on RGB has the same squared error, without the 1e-8; all that is infinite is the text `inf`.
    let all = place.json(&["a.png", "b.png", "--metrics", "psnr,ffmpeg_psnr"]);
    let ffmpeg = all["mean"]["ffmpeg_psnr"].as_f64().unwrap();
    assert!((-10.0 * (10f64.powf(-ffmpeg / 10.0) + 1e-8).log10() - psnr).abs() < 1e-9, "{ffmpeg} {psnr}");
    place.y4m("ref.y4m", SIZE, 2, 0);
    let same = place.json(&["ref.y4m", "ref.y4m", "--metrics", "ffmpeg_psnr"]);
    for value in [&same["frames"][1], &same["mean"], &same["worst10"], &same["percentiles"]] {
        let value = &value["ffmpeg_psnr"];
        assert!(value == "inf" || value["p50"] == "inf" && value["p95"] == "inf", "{value}");
    }
}

#[test]
fn csv_has_one_row_per_frame() {
    let place = Place::new();
    place.y4m("ref.y4m", SIZE, FRAMES, 0);
    place.y4m("shown.y4m", SIZE, FRAMES, 2);
    let (code, out, _) = place.compare(&["ref.y4m", "shown.y4m", "--csv", "--metrics", "ssim,psnr"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len(), lines[0]), (0, FRAMES + 1, "frame,ssim,psnr"));
    let json = place.json(&["ref.y4m", "shown.y4m", "--metrics", "ssim,psnr"]);
    for (i, line) in lines[1..].iter().enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells[0], i.to_string());
        assert_eq!(cells[1].parse::<f64>().ok(), json["frames"][i]["ssim"].as_f64());
        assert_eq!(cells[2].parse::<f64>().ok(), json["frames"][i]["psnr"].as_f64());
    }
    place.refuses(&["ref.y4m", "shown.y4m", "--csv", "--json"], &["--json", "--csv"]);
    let (code, out, _) = place.compare(&["ref.y4m", "shown.y4m"]);
    assert!(code == 0 && out.starts_with("4 frames\n") && out.contains("ms_ssim"), "{out}");
}

#[test]
fn sizes_must_agree_or_be_scaled() {
    let place = Place::new();
    place.y4m("ref.y4m", SIZE, 2, 0);
    place.y4m("small.y4m", (96, 88), 2, 0);
    place.refuses(&["ref.y4m", "small.y4m"], &["ref.y4m is 192x176", "small.y4m is 96x88", "--scale"]);
    let whole = place.json(&["ref.y4m", "small.y4m", "--scale", "--metrics", "psnr"]);
    assert_eq!(whole["frames"].as_array().unwrap().len(), 2);
    place.png("a.png", SIZE, 0);
    place.png("b.png", (96, 88), 0);
    place.refuses(&["a.png", "b.png"], &["192x176", "96x88", "--scale"]);
    assert!(place.json(&["a.png", "b.png", "--scale", "--metrics", "psnr"])["mean"]["psnr"].is_number());
}

#[test]
fn lengths_must_agree_or_the_shorter_one_counts() {
    let place = Place::new();
    place.y4m("ref.y4m", SIZE, 5, 0);
    place.y4m("short.y4m", SIZE, 3, 1);
    for order in [["ref.y4m", "short.y4m"], ["short.y4m", "ref.y4m"]] {
        place.refuses(&order, &["short.y4m ends after 3 frames", "ref.y4m goes on", "--shortest"]);
        let whole = place.json(&[&order[..], &["--shortest", "--metrics", "psnr"]].concat());
        assert_eq!(whole["frames"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn what_cannot_be_read_or_is_not_known_is_named() {
    let place = Place::new();
    place.y4m("ref.y4m", SIZE, 3, 0);
    place.refuses(&["ref.y4m", "ref.y4m", "--metrics", "psnr,snr"], &["\"snr\"", "psnr", "lpips_vgg"]);
    place.refuses(&["ref.y4m", "ref.y4m", "--metrics", "depth_d1"], &["depth_d1", "metric depth", "ref.y4m"]);
    place.refuses(&["gone.y4m", "ref.y4m"], &["gone.y4m"]);
    place.refuses(&["ref.y4m", "gone.png"], &["gone.png"]);
    for (name, content) in
        [("empty.y4m", ""), ("text.y4m", "no video"), ("text.mp4", "no video"), ("text.png", "no")]
    {
        fs::write(place.path(name), content).unwrap();
        place.refuses(&["ref.y4m", name], &[name]);
    }
    let whole = fs::read(place.path("ref.y4m")).unwrap();
    fs::write(place.path("cut.y4m"), &whole[..whole.len() - 100]).unwrap();
    let picture = SIZE.0 * SIZE.1 * 3 / 2;
    let words = format!("picture 2 is cut off ({} of {picture} bytes)", picture - 100);
    place.refuses(&["ref.y4m", "cut.y4m"], &["cut.y4m, frame 2", &words, "copy the file again"]);
    fs::create_dir(place.path("folder")).unwrap();
    place.refuses(&["ref.y4m", "folder"], &["folder", ".png"]);
}

fn depth(folder: &Path, off: usize) {
    fs::create_dir(folder).unwrap();
    for frame in 0..2 {
        let mm = |i: usize| u16::try_from(800 + i % 64 * 9 + i / 64 * 5 + 3 * frame + off * (i % 5)).unwrap();
        let picture = Depth16 { width: 64, height: 48, mm: (0..64 * 48).map(mm).collect() };
        still::write_depth16(&folder.join(format!("{frame}.png")), &picture).unwrap();
    }
}

#[test]
fn depth_needs_a_camera_for_point_clouds_alone() {
    let place = Place::new();
    depth(&place.path("ref"), 0);
    depth(&place.path("shown"), 4);
    let with = place.json(&["ref", "shown", "--fov", "60"]);
    let names: Vec<&str> = Metric::ALL.iter().map(|m| m.name()).filter(|n| n.starts_with("depth_")).collect();
    let mut found = keys(&with["mean"]);
    found.sort_unstable();
    assert_eq!(found, {
        let mut n = names.clone();
        n.sort_unstable();
        n
    });
    assert!(names.iter().all(|n| with["mean"][*n].is_number()), "{}", with["mean"]);
    let without = place.json(&["ref", "shown"]);
    assert!(without["mean"]["depth_rmse_mm"] == with["mean"]["depth_rmse_mm"]);
    assert!(without["mean"]["depth_d1"].is_null());
    assert!(without["missing"]["depth_d2"].as_str().unwrap().contains("--fov"));
    place.refuses(&["ref", "shown", "--fov", "200"], &["200", "degrees"]);
    place.refuses(&["ref", "shown", "--metrics", "psnr"], &["psnr", "ref"]);
    place.y4m("clip.y4m", SIZE, 2, 0);
    place.refuses(&["clip.y4m", "shown"], &["clip.y4m is a video", "shown is metric depth"]);
}
