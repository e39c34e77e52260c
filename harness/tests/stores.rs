//! Pictures that a system stores, in the ways that people's programs write them: one per slot whatever the file says of time, with the
//! file's own colour tags; what is not the screen at the clip's size is refused.

use std::fs;
use std::path::Path;

/// Runs `hostile/plugin.py` and stores its pictures anew, by FFmpeg with the arguments of option `how`.
const AGAIN: &str = r#"
import os, subprocess, sys, tomllib
run = sys.argv[2]
how = tomllib.load(open(os.path.join(run, "spec.toml"), "rb"))["options"]["how"]
subprocess.run([sys.executable, "plugin.py", *sys.argv[1:]], check=True)
made = os.path.join(run, "rendered.rgb.y4m")
os.rename(made, os.path.join(run, "made.y4m"))
name, arguments = how[0], how[1:]
subprocess.run(["ffmpeg", "-v", "error", "-i", os.path.join(run, "made.y4m"), *arguments, "-y", os.path.join(run, name)], check=True)
os.remove(os.path.join(run, "made.y4m"))
"#;

const FRAMES: u32 = 12;

/// A moving picture in limited range, BT.601, whose every frame is another; all of it exists in RGB, which FFmpeg's scaler goes through.
fn clip() -> Vec<u8> {
    let mut clip = b"YUV4MPEG2 W64 H48 F30:1 Ip A1:1 C420jpeg\n".to_vec();
    for frame in 0..FRAMES {
        clip.extend(b"FRAME\n");
        clip.extend((0..64 * 48).map(|i: u32| (80 + (i % 64 + i / 64 + frame * 9) % 90) as u8));
        clip.extend((0..2 * 32 * 24).map(|i: u32| (112 + (i % 32 + frame * 5) % 32) as u8));
    }
    clip
}

/// Mean PSNR over all slots, or what was said.
fn run(how: &[&str]) -> Result<f64, String> {
    let place = testing::Place::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/plugin.py");
    place.write("plugin.py", fs::read(example).unwrap());
    place.write("again.py", AGAIN);
    place.write(
        "again.toml",
        "name='again'\nabout='stores anew'\ncommand=['python3','again.py']\ndescribe=false\ncolour_only=true\nsetup_ms=300\nfiles=['plugin.py']\n",
    );
    place.write("clip.y4m", clip());
    let option = format!("how={}", serde_json::to_string(how).unwrap());
    let mut words = vec!["run", "clean", "--system", "again.toml", "--clip", "clip.y4m", "--size", "64x48"];
    words.extend(["--metrics", "psnr", "--no-video", "--out", "out", "--option", &option]);
    let said = place.said(env!("CARGO_BIN_EXE_freezeframe"), &words).err;
    let Ok(scores) = fs::read_to_string(place.path("out/scores.json")) else { return Err(said) };
    let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
    if scores["health"]["valid"] != true {
        return Err(scores["health"]["problems"].to_string());
    }
    Ok(scores["streams"]["rgb"]["quality"]["psnr"]["all"]["mean"].as_f64().expect("a mean"))
}

#[test]
fn pictures_are_one_per_slot_with_their_own_colours() {
    if testing::ffmpeg().is_none() {
        return;
    }
    let lossless = run(&["rendered.rgb.y4m"]).expect("as the example stores them");
    // Every sample is the captured one: the most that is ever said.
    assert!(lossless >= 80.0, "{lossless}");
    for how in [
        &["rendered.rgb.mkv", "-c:v", "ffv1"][..],
        // 25 a second by FFmpeg's default for piped pictures, 1 a second, 240, and uneven.
        &["rendered.rgb.mkv", "-vf", "setpts=N/25/TB", "-r", "25", "-c:v", "ffv1"],
        &["rendered.rgb.mkv", "-vf", "setpts=N/TB", "-r", "1", "-c:v", "ffv1"],
        &["rendered.rgb.mkv", "-vf", "settb=1/240,setpts=N", "-r", "240", "-c:v", "ffv1"],
        &["rendered.rgb.mkv", "-vf", "setpts=(N+mod(N\\,3)*0.3)/30/TB", "-fps_mode", "vfr", "-c:v", "ffv1"],
        &["rendered.rgb.mkv", "-vf", "setpts=(N+1000)/30/TB", "-copyts", "-c:v", "ffv1"],
        &["rendered.rgb.y4m", "-vf", "setpts=N/25/TB", "-r", "25"],
        &["rendered.rgb.mkv", "-c:v", "libx264", "-qp", "0", "-bf", "2"],
    ] {
        assert_eq!(run(how), Ok(lossless), "{how:?}");
    }
    // The same pictures in other samples, tagged. Twice rounding to 8 bits leaves an error of about 1/6 square codes a channel, 56 dB; the
    // matrices of FFmpeg's scaler and chroma cost some more. Read without their tags they are at 20 to 31 dB.
    for (scale, tags) in [
        ("in_range=tv:out_range=pc", &["-color_range", "pc"][..]),
        ("in_color_matrix=bt601:out_color_matrix=bt709", &["-colorspace", "bt709", "-color_range", "tv"]),
        (
            "in_color_matrix=bt601:in_range=tv:out_color_matrix=bt709:out_range=pc",
            &["-colorspace", "bt709", "-color_range", "pc"],
        ),
    ] {
        let filter = format!("scale={scale}:flags=accurate_rnd+full_chroma_int+full_chroma_inp");
        let how = [&["rendered.rgb.mkv", "-vf", &filter, "-c:v", "ffv1"][..], tags].concat();
        let result = run(&how);
        assert!(result.clone().is_ok_and(|db| db > 44.0), "{how:?}: {result:?}");
    }
}

#[test]
fn what_is_not_the_screen_at_the_clips_size_is_refused() {
    if testing::ffmpeg().is_none() {
        return;
    }
    for (how, word) in [
        (&["rendered.rgb.mkv", "-vf", "scale=32:24", "-c:v", "ffv1"][..], "32x24"),
        (&["rendered.rgb.mkv", "-vf", "scale=96:48,setsar=1", "-c:v", "ffv1"], "96x48"),
        (&["rendered.rgb.y4m", "-vf", "transpose"], "48x64"),
        (&["rendered.rgb.mkv", "-pix_fmt", "bgr0", "-c:v", "ffv1"], "4:2:0"),
        (&["rendered.rgb.mkv", "-pix_fmt", "yuv444p", "-c:v", "ffv1"], "4:2:0"),
        (&["rendered.rgb.mkv", "-pix_fmt", "yuv420p10le", "-c:v", "ffv1"], "4:2:0"),
        (&["rendered.rgb.mkv", "-frames:v", "11", "-c:v", "ffv1"], "11"),
        (&["rendered.rgb.mkv", "-vf", "tpad=stop=3:stop_mode=clone", "-c:v", "ffv1"], "15"),
    ] {
        let said = run(how).expect_err(&format!("{how:?}"));
        assert!(said.contains(word), "{how:?}: {said}");
    }
}
