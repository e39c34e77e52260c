//! `freezeframe compare` of clips that begin at different frames, and VMAF by another program.

use media::Yuv420;
use media::y4m::{Header, Writer};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SIZE: (usize, usize) = (192, 176);

/// Frame `i` of a scene that moves; `noise` is added.
fn picture(i: usize, noise: u32) -> Yuv420 {
    let mut p = Yuv420::filled(SIZE.0, SIZE.1, (0, 120, 136));
    let mut random = (i as u32).wrapping_mul(2_654_435_761) | 1;
    for (at, y) in p.y.iter_mut().enumerate() {
        let (column, row) = ((at % SIZE.0) as f64, (at / SIZE.0) as f64);
        let t = i as f64;
        let value = 120.0 + 50.0 * ((column + 4.0 * t) / 17.0).sin() + 40.0 * ((row - 3.0 * t) / 13.0).cos();
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        *y = (value as i32 + (random % (2 * noise + 1)) as i32 - noise as i32).clamp(0, 255) as u8;
    }
    p
}

testing::place!(Place);

impl Place {
    fn new() -> Self {
        Self(testing::Place::new())
    }

    fn clip(&self, name: &str, frames: impl IntoIterator<Item = Yuv420>) {
        let file = fs::File::create(self.path(name)).unwrap();
        let mut writer =
            Writer::new(std::io::BufWriter::new(file), Header::new(SIZE.0, SIZE.1, (30, 1))).unwrap();
        frames.into_iter().for_each(|f| writer.write(&f).unwrap());
        writer.finish().unwrap();
    }

    fn compare(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezeframe"));
        command.arg("compare").args(words).current_dir(self.root());
        command
    }

    fn json(&self, words: &[&str]) -> (Value, String) {
        let Output { status, stdout, stderr } = self.compare(words).arg("--json").output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(0), "{words:?}: {said}");
        (serde_json::from_slice(&stdout).unwrap(), said)
    }
}

/// The values of an aligned comparison are those of files that were cut by hand; nothing is shifted that nobody asked to shift.
#[test]
fn an_offset_is_found_said_and_compared() {
    let place = Place::new();
    place.clip("ref.y4m", (0..30).map(|i| picture(i, 0)));
    place.clip("early.y4m", (3..30).map(|i| picture(i, 6)));
    let black = Yuv420::filled(SIZE.0, SIZE.1, (16, 128, 128));
    place.clip("late.y4m", std::iter::repeat_n(black, 5).chain((0..28).map(|i| picture(i, 6))));
    place.clip("same.y4m", (0..30).map(|i| picture(i, 6)));
    place.clip("ref-from-3.y4m", (3..30).map(|i| picture(i, 0)));
    let metrics = ["--metrics", "psnr,ssim,ffmpeg_psnr"];
    let with = |files: [&str; 2], more: &[&str]| place.json(&[&files[..], &metrics, more].concat());

    let (by_hand, said) = with(["ref-from-3.y4m", "early.y4m"], &[]);
    assert_eq!(said, "");
    let (found, said) = with(["ref.y4m", "early.y4m"], &["--align"]);
    assert!(
        said.contains("early.y4m is 3 frames early") && said.contains("3 frames of ref.y4m, 0 of early.y4m"),
        "{said}"
    );
    assert_eq!((&found["frames"], &found["mean"]), (&by_hand["frames"], &by_hand["mean"]));
    assert_eq!(found["aligned"]["offset"], -3);
    assert_eq!(found["aligned"]["skipped_reference"], 3);

    let (found, said) = with(["ref.y4m", "late.y4m"], &["--align=8"]);
    assert!(said.contains("5 frames late"), "{said}");
    assert_eq!((&found["aligned"]["offset"], found["frames"].as_array().unwrap().len()), (&5.into(), 28));
    assert!(found["mean"]["psnr"].as_f64().unwrap() > 30.0, "{}", found["mean"]);

    let (found, said) = with(["ref.y4m", "same.y4m"], &["--align"]);
    assert!(said.contains("not shifted"), "{said}");
    let (as_is, said) = with(["ref.y4m", "same.y4m"], &[]);
    assert_eq!((&found["mean"], said.as_str()), (&as_is["mean"], ""));

    // Unasked: a note, and the values as they are.
    let (as_is, said) = with(["ref.y4m", "early.y4m"], &["--shortest"]);
    assert!(said.contains("note: early.y4m looks 3 frames early") && said.contains("--align"), "{said}");
    assert!(as_is["mean"]["psnr"].as_f64().unwrap() < 20.0, "{}", as_is["mean"]);
    assert!(as_is.get("aligned").is_none());
    // Of different length: refused, with both counts' difference and the offset.
    let refused = place.compare(&["ref.y4m", "early.y4m"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    for words in ["early.y4m ends after 27 frames", "--shortest", "looks 3 frames early", "--align"] {
        assert!(said.contains(words), "{words:?} is missing in {said}");
    }
}

#[test]
fn still_pictures_do_not_say_how_they_belong_together() {
    let place = Place::new();
    place.clip("ref.y4m", std::iter::repeat_n(picture(0, 0), 20));
    place.clip("shown.y4m", std::iter::repeat_n(picture(0, 0), 24));
    let (found, said) = place.json(&["ref.y4m", "shown.y4m", "--align", "--metrics", "psnr"]);
    assert!(said.contains("not shifted") && said.contains("warning: it fits as well"), "{said}");
    assert_eq!((&found["aligned"]["offset"], found["frames"].as_array().unwrap().len()), (&0.into(), 20));
    let (_, said) = place.json(&["ref.y4m", "shown.y4m", "--shortest", "--metrics", "psnr"]);
    assert!(!said.contains("note"), "{said}");
}

/// Per frame and pooled, what the program says of the same files when it is run by hand.
#[test]
fn vmaf_is_the_programs_own() {
    let place = Place::new();
    place.clip("ref.y4m", (0..12).map(|i| picture(i, 0)));
    place.clip("shown.y4m", (2..12).map(|i| picture(i, 9)));
    place.clip("cut.y4m", (2..12).map(|i| picture(i, 0)));
    let (ours, said) = place.json(&["ref.y4m", "shown.y4m", "--align", "--metrics", "psnr,vmaf"]);
    if let Some(reason) = ours["missing"]["vmaf"].as_str() {
        assert!(reason.contains("imageio-ffmpeg") && said.contains(reason), "{reason}");
        return testing::skip!("vmaf", "{reason}");
    }
    let external = &ours["external"]["vmaf"];
    assert_eq!(external["model"], "vmaf_v0.6.1");
    let program = external["program"].as_str().unwrap();
    let path = program.rsplit_once('(').unwrap().1.trim_end_matches(')');
    let log = by_hand(path, program, place.root());
    let theirs = |v: &Value| v.as_f64().unwrap();
    for key in ["mean", "harmonic_mean", "min"] {
        assert_eq!(theirs(&external[key]), theirs(&log["pooled_metrics"]["vmaf"][key]), "{key}");
    }
    assert_eq!(theirs(&ours["mean"]["vmaf"]), theirs(&external["mean"]));
    let frames = ours["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 10);
    let mut values = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!(frame["vmaf"], log["frames"][i]["metrics"]["vmaf"], "frame {i}");
        values.push(theirs(&frame["vmaf"]));
    }
    values.sort_by(f64::total_cmp);
    let median = ours["percentiles"]["vmaf"]["p50"].as_f64().unwrap();
    assert!((median - (values[4] + values[5]) / 2.0).abs() < 1e-9, "{median} {values:?}");
    assert!(values[0] > 5.0 && values[9] < 100.0, "{values:?}");
    let table = place.compare(&["cut.y4m", "shown.y4m", "--metrics", "vmaf"]).output().unwrap();
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.contains("harmonic mean") && text.contains("model vmaf_v0.6.1, libvmaf"), "{text}");
    let unknown = place.json(&["cut.y4m", "shown.y4m", "--metrics", "psnr,vmaf", "--vmaf-model", "vmaf_v9"]);
    assert!(unknown.0["missing"]["vmaf"].as_str().unwrap().contains("vmaf_v9"), "{}", unknown.1);
}

fn by_hand(path: &str, program: &str, folder: &Path) -> Value {
    let mut command = Command::new(path);
    if program.starts_with("ffmpeg") {
        command.args([
            "-v",
            "error",
            "-i",
            "shown.y4m",
            "-i",
            "cut.y4m",
            "-lavfi",
            "libvmaf=log_fmt=json:log_path=log.json",
        ]);
        command.args(["-f", "null", "-"]);
    } else {
        command.args(["-r", "cut.y4m", "-d", "shown.y4m", "--json", "-o", "log.json"]);
    }
    let ended = command.current_dir(folder).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_str(&fs::read_to_string(folder.join("log.json")).unwrap()).unwrap()
}

#[test]
fn without_a_program_every_other_value_is_there_with_the_reason() {
    let place = Place::new();
    place.clip("ref.y4m", (0..3).map(|i| picture(i, 0)));
    let output = place
        .compare(&["ref.y4m", "ref.y4m", "--metrics", "psnr,vmaf", "--json"])
        .env("FREEZEFRAME_VMAF", "/bin/true")
        .output()
        .unwrap();
    let (json, said): (Value, _) =
        (serde_json::from_slice(&output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0));
    assert!(said.contains("vmaf: no value: FREEZEFRAME_VMAF=/bin/true measures no VMAF"), "{said}");
    assert!(json["mean"]["psnr"].as_f64().is_some() && json.get("external").is_none());
}
