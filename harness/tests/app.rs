//! Systems of `kind = "app"`: the harness is camera and screen. An honest one and such as cheat, with a screen that is a pipe; Chromium on
//! an X screen where it is installed.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use testing::skip;

const SIZE: (usize, usize) = (64, 48);
const FRAMES: usize = 45;

// A folder with the program and a clip of noise, new in every frame.
testing::place!(Place);

impl Place {
    fn new() -> Self {
        let place = Self(testing::Place::new());
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/app");
        fs::create_dir(place.path("app")).unwrap();
        for name in ["app.py", "relay.py"] {
            fs::copy(here.join(name), place.path("app").join(name)).unwrap();
        }
        let (width, height) = SIZE;
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 57) as u8
        };
        let mut raw = Vec::new();
        for _ in 0..FRAMES {
            raw.extend((0..width * height).map(|_| 60 + noise()));
            raw.extend(vec![128; width * height / 2]);
        }
        let mut clip = format!("YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n").into_bytes();
        for picture in raw.chunks(width * height * 3 / 2) {
            clip.extend(b"FRAME\n");
            clip.extend(picture);
        }
        fs::write(place.path("clip.y4m"), clip).unwrap();
        // What a receiver may have that has seen the clip before: not the file, but its pictures.
        fs::write(place.path("app/pictures"), raw).unwrap();
        place
    }

    fn run(&self, way: &str, lines: &str) -> Output {
        let manifest = format!(
            "name = \"app\"\nabout = \"a small call\"\ncommand = [\"python3\", \"app.py\", \"{way}\"]\nkind = \"app\"\nscreen = \"pipe\"\n\
             describe = false\nwarm_s = 2\n{lines}\n"
        );
        fs::write(self.path("app/app.toml"), manifest).unwrap();
        let size = format!("{}x{}", SIZE.0, SIZE.1);
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezeframe"));
        command.args(["run", "clean", "--system", "app/app.toml", "--clip", "clip.y4m", "--size", &size]);
        command.args(["--metrics", "psnr", "--no-video", "--out", "out", "--backend", "namespaces"]);
        command.current_dir(self.root()).env("FREEZEFRAME_CACHE", self.path("cache"));
        command.env("LOCAL", self.path("app/pictures")).env("ROWS", SIZE.1.to_string());
        command.output().unwrap()
    }

    fn read(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn codes(&self) -> Vec<String> {
        let scores = self.read("out/scores.json");
        let warnings = scores["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().filter_map(|w| w["code"].as_str().map(str::to_owned)).collect()
    }
}

impl Place {
    /// The columns of every slot of `frames.csv`.
    fn slots(&self) -> Vec<BTreeMap<String, String>> {
        let text = fs::read_to_string(self.path("out/frames.csv")).unwrap_or_default();
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
        let head: Vec<String> = lines.next().into_iter().flatten().collect();
        lines.map(|values| head.iter().cloned().zip(values).collect()).collect()
    }
}

fn said(output: &Output) -> String {
    [&output.stderr, &output.stdout].map(|t| String::from_utf8_lossy(t).into_owned()).concat()
}

fn possible() -> bool {
    let python =
        Command::new("python3").args(["-c", "import tomllib"]).output().is_ok_and(|o| o.status.success());
    if !python {
        skip!("python3", "the app is written in it, and needs 3.11 for tomllib");
        return false;
    }
    if netns::privilege().is_none() {
        skip!("namespaces", "network namespaces are not permitted here");
        return false;
    }
    true
}

#[test]
fn ns_an_honest_app_is_scored_by_what_was_on_the_screen() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let output = place.run("honest", "");
    let text = said(&output);
    assert!(matches!(output.status.code(), Some(0 | 4)), "{text}");
    let scores = place.read("out/scores.json");
    let app = &scores["health"]["app"];
    let number = |name: &str| app[name].as_u64().unwrap_or(u64::MAX);
    assert_eq!((number("unmarked"), number("contradicted")), (0, 0), "{app}");
    assert_eq!(number("compared"), number("nearest"), "noise is like no other noise: {app}");
    // A clean path shows what the camera filmed; a machine with other work may drop some.
    assert!(number("pictures") >= FRAMES as u64 * 8 / 10, "{app}\n{text}");
    assert!(number("first_picture_ms") <= number("set_up_ms"), "{app}");
    let decoded = &scores["streams"]["rgb"]["decoded_latency"]["n"];
    assert_eq!(
        decoded.as_u64(),
        Some(number("pictures")),
        "when each came is known: the curve of `budget` rests on it"
    );
    let rows = fs::read_to_string(place.path("out/frames.csv")).unwrap();
    let mut lines = rows.lines();
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column =
        |name: &str| head.iter().position(|h| *h == name).unwrap_or_else(|| panic!("{name}: {head:?}"));
    let psnr: Vec<f64> = lines
        .filter(|l| l.split(',').nth(column("status")) == Some("rendered"))
        .filter_map(|l| l.split(',').nth(column("psnr"))?.parse().ok())
        .collect();
    assert!(psnr.iter().all(|p| *p >= 60.0), "what is sent uncoded is shown as it was: {psnr:?}");
    let log = fs::read_to_string(place.path("out/sender.log")).unwrap();
    assert!(log.contains("BLOCKED") && !log.contains("SUCCEEDED"), "{log}");
}

/// The call's set-up is the app's own time, from its first process on: neither end waits for the harness, and nothing of it is counted.
#[test]
fn ns_the_first_picture_is_timed_from_the_first_process() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let text = said(&place.run("honest", ""));
    let moment = |log: &str, word: &str| -> u64 {
        let log = fs::read_to_string(place.path(log)).unwrap_or_default();
        let line = log.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
        line.unwrap_or_else(|| panic!("{word}: {log}\n{text}"))
    };
    let began = ["out/receiver.log", "out/sender.log"].map(|log| moment(log, "began"));
    let first = moment("out/receiver.log", "showed") - began[0].min(began[1]);
    let app = &place.read("out/scores.json")["health"]["app"];
    let measured = app["first_picture_ms"].as_u64().unwrap_or(0);
    // The program's own word, and what its interpreter takes to start.
    assert!((first / 1_000_000..first / 1_000_000 + 1500).contains(&measured), "{measured} ms, {first} ns");
    assert!(began[1].abs_diff(began[0]) < 1_000_000_000, "{began:?}");
}

/// A screen that shows something else than the newest frame is scored by what it shows. Noise of 128 values against other such noise has
/// 13.8 dB (two independent even draws: mean square 2 * 128^2 / 12), less in RGB, where limited range is stretched; against black still less.
#[test]
fn ns_what_stands_on_the_screen_is_what_is_scored() {
    if !possible() {
        return;
    }
    for (way, code) in [
        ("goes_black", Some("screen_unreadable")),
        ("goes_back", Some("screen_went_back")),
        ("flashes", None),
        ("flickers", Some("frames_flashed")),
    ] {
        let place = Place::new();
        let output = place.run(way, "");
        let (text, codes) = (said(&output), place.codes());
        assert!(matches!(output.status.code(), Some(0 | 4)), "{way}: {text}");
        assert!(code.is_none_or(|code| codes.iter().any(|c| c == code)), "{way}: {codes:?}\n{text}");
        let slots = place.slots();
        assert_eq!(slots.len(), FRAMES, "{way}: {text}");
        let psnr: Vec<f64> = slots.iter().map(|slot| slot["psnr"].parse().unwrap_or(f64::NAN)).collect();
        let bad = psnr.iter().filter(|p| **p < 15.0).count();
        // From 0.9 s of 1.5 on, from the beginning, from 0.5 s on.
        let least = match way {
            "goes_black" | "goes_back" => 8,
            "flickers" => 20,
            _ => FRAMES * 8 / 10,
        };
        assert!(bad >= least, "{way}: {bad} slots of {psnr:?}\n{text}");
        let last = slots.last().unwrap();
        assert_eq!(last["status"], "frozen", "{way}: {last:?}");
        let shown: Option<usize> = last["shown_frame_id"].parse().ok();
        match way {
            "goes_black" => assert_eq!(shown, None, "{last:?}"),
            "goes_back" => assert!(shown.is_some_and(|f| f + 20 < FRAMES), "{last:?}"),
            // 14 frames before the newest, which is 4 or 5 pictures after the clip's end.
            "flickers" => assert!(shown.is_some_and(|f| f + 5 < FRAMES), "{last:?}"),
            _ => {}
        }
        if way.starts_with("goes") {
            assert!(
                psnr[..10].iter().filter(|p| **p > 60.0).count() >= 5,
                "what came before counts: {psnr:?}"
            );
        }
    }
}

/// What each cheat is found out as.
#[test]
fn ns_apps_that_cheat_are_caught_under_a_name_of_their_own() {
    if !possible() {
        return;
    }
    let relay = "serve = [\"python3\", \"relay.py\", \"9000\"]\nserve_port = 9000";
    for (way, lines, code) in [
        // It plays its own copy of the clip instead of what it receives.
        ("local_file", "", "unmarked_pictures"),
        // The same with markers that it makes up.
        ("guessed_markers", "", "unmarked_pictures"),
        // Other pictures above the markers that it receives.
        ("others_pictures", "", "marker_contradicted"),
        // Media around the path, by the server that is meant for signalling.
        ("through_the_server", relay, "server_traffic"),
    ] {
        let place = Place::new();
        let output = place.run(way, lines);
        let codes = place.codes();
        assert!(codes.iter().any(|c| c == code), "{way}: {codes:?}\n{}", said(&output));
        assert_eq!(output.status.code(), Some(4), "{way}: {}", said(&output));
        assert_eq!(place.read("out/scores.json")["health"]["valid"], false, "{way}");
    }
}

/// The likeliest mistake, a screen without the marker's strip, is said at once and by name, not after the whole of `ready_timeout_s`.
#[test]
fn ns_a_screen_of_another_size_is_said_at_once() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let began = std::time::Instant::now();
    let output = place.run("no_strip", "ready_timeout_s = 50");
    let text = said(&output);
    assert!(text.contains("[screen_broken]") && text.contains("with its strip"), "{text}");
    assert!(!text.contains("never_ready") && began.elapsed().as_secs() < 40, "{text}");
}

#[test]
fn an_app_runs_in_namespaces_only_and_at_sizes_that_carry_a_marker() {
    let place = Place::new();
    let manifest = "name = \"app\"\nabout = \"\"\ncommand = [\"true\"]\nkind = \"app\"\ndescribe = false\n";
    fs::write(place.path("app/app.toml"), manifest).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezeframe"));
        command.args(["run", "clean", "--system", "app/app.toml", "--clip", "clip.y4m"]).args(more);
        command.current_dir(place.root()).env("FREEZEFRAME_CACHE", place.path("cache"));
        let output = command.output().unwrap();
        (output.status.code(), said(&output))
    };
    let (code, text) = run(&["--size", "64x48"]);
    assert_eq!((code, text.contains("--backend namespaces")), (Some(2), true), "{text}");
    if netns::privilege().is_some() {
        let (code, text) = run(&["--size", "32x48", "--backend", "namespaces"]);
        assert_eq!((code, text.contains("64 columns")), (Some(2), true), "{text}");
    }
}

/// The newcomer's script, which is also the adapters' smoke test: an unmodified page of two ends, and Chromium with the project's own page.
#[test]
fn ns_chromium_brings_a_page_to_a_scored_report() {
    if no_pages() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let place = tempfile::tempdir().unwrap();
    let script = root.join("examples/webapp/evaluate.sh");
    let output = Command::new("bash")
        .arg(&script)
        .current_dir(place.path())
        .env("FREEZEFRAME", env!("CARGO_BIN_EXE_freezeframe"))
        .env("FREEZEFRAME_CACHE", place.path().join("cache"))
        .output()
        .unwrap();
    let text = said(&output);
    assert!(matches!(output.status.code(), Some(0 | 4)), "{text}");
    for run in ["page", "chromium"] {
        let scores = fs::read_to_string(place.path().join(run).join("scores.json"))
            .unwrap_or_else(|e| panic!("{run}: {e}\n{text}"));
        let scores: Value = serde_json::from_str(&scores).unwrap();
        let app = &scores["health"]["app"];
        assert!(app["pictures"].as_u64().unwrap_or(0) >= 20, "{run}: {app}\n{text}");
        assert_eq!(app["contradicted"], 0, "{run}: {app}");
        assert!(place.path().join(run).join("report.html").is_file(), "{run}");
    }
}

/// What of Chromium, Python and FFmpeg a test of pages lacks here.
fn no_pages() -> bool {
    let needs = freezeframe::cmd::setup::WEBRTC;
    let missing: Vec<&str> = needs.iter().filter(|n| n.find().is_none()).map(|n| n.name).collect();
    if !missing.is_empty() {
        skip!("chromium", "not installed: {}", missing.join(", "));
    }
    !missing.is_empty() || !possible()
}

/// The example's page, with a callee that has its own copy of the clip and plays it instead of what it receives, as soon as the call stands.
#[test]
fn ns_a_page_that_plays_its_own_copy_of_the_clip_is_caught() {
    if no_pages() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let film = |name: &str, more: &[&str]| {
        let source = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=30:d=3"];
        testing::ffmpeg_file(&[&source, more].concat(), &path(name))
    };
    let Some(()) = film("clip.y4m", &["-pix_fmt", "yuv420p"]) else { return };
    let Some(()) = film("copy.webm", &["-c:v", "libvpx", "-b:v", "1M"]) else { return };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/webapp");
    let site = path("site");
    fs::create_dir(&site).unwrap();
    fs::copy(example.join("server.py"), site.join("server.py")).unwrap();
    let copy = Command::new("base64").args(["-w", "0"]).arg(path("copy.webm")).output().unwrap();
    let cheat = format!(
        "<script>
        if (role === 'callee') document.getElementById('theirs').addEventListener('playing', () => setTimeout(async () => {{
          const mine = document.createElement('video');
          Object.assign(mine, {{muted: true, loop: true, src: 'data:video/webm;base64,{}'}});
          await mine.play();
          document.getElementById('theirs').srcObject = mine.captureStream();
          console.log('plays its own copy');
        }}, 1000), {{once: true}});
        </script>",
        String::from_utf8(copy.stdout).unwrap()
    );
    // Pages name servers on the Internet, which nothing here reaches; the call comes about without.
    let turn = "{iceServers: [{urls: 'turn:192.0.2.1:3478', username: 'u', credential: 'p'}, {urls: 'stun:192.0.2.1'}]}";
    let honest = fs::read_to_string(example.join("index.html")).unwrap();
    assert!(honest.contains("RTCPeerConnection()"));
    let page = honest.replace("RTCPeerConnection()", &format!("RTCPeerConnection({turn})")) + &cheat;
    fs::write(site.join("index.html"), page).unwrap();
    let serve = format!("python3 {} 8080", site.join("server.py").display());
    let output = Command::new(env!("CARGO_BIN_EXE_freezeframe"))
        .args([
            "app",
            "http://127.0.0.1:8080",
            "--serve",
            &serve,
            "--caller",
            "/?role=caller",
            "--callee",
            "/?role=callee",
        ])
        .args([
            "--scenario",
            "clean",
            "--clip",
            "clip.y4m",
            "--size",
            "320x240",
            "--frames",
            "60",
            "--no-depth",
        ])
        .args(["--metrics", "psnr", "--out", "out"])
        .current_dir(place.path())
        .env("FREEZEFRAME_CACHE", path("cache"))
        .output()
        .unwrap();
    let text = said(&output);
    let log = fs::read_to_string(path("out/receiver.log")).unwrap_or_default();
    assert!(log.contains("plays its own copy"), "the page did not come to its cheat: {text}\n{log}");
    let scores: Value = serde_json::from_str(&fs::read_to_string(path("out/scores.json")).unwrap()).unwrap();
    let codes: Vec<&str> =
        scores["warnings"].as_array().unwrap().iter().filter_map(|w| w["code"].as_str()).collect();
    assert!(codes.contains(&"unmarked_pictures"), "{codes:?}\n{text}");
    assert_eq!((output.status.code(), &scores["health"]["valid"]), (Some(4), &Value::Bool(false)), "{text}");
    // Two seconds of the clip were shown, and not one of them counts.
    let unrendered = scores["streams"]["rgb"]["non_rendered_play_percent"].as_f64().unwrap();
    assert!(unrendered > 90.0, "{unrendered} % not rendered");
}
