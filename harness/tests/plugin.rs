//! What a newcomer meets: the example of docs/PLUGIN.md in both backends, `system check`, and the keys of the contract that only real time has.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testing::skip;

testing::place!(Place);

impl Place {
    fn new() -> Self {
        let place = Self(testing::Place::new());
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        for name in ["plugin.py", "plugin.toml"] {
            fs::copy(examples.join(name), place.path(name)).unwrap();
        }
        let mut clip = b"YUV4MPEG2 W128 H96 F30:1 Ip A1:1 C420jpeg\n".to_vec();
        for frame in 0..45u32 {
            clip.extend(b"FRAME\n");
            clip.extend((0..128 * 96u32).map(|i| (60 + (i % 128 + i / 128 + frame * 5) % 128) as u8));
            clip.extend([128; 2 * 64 * 48]);
        }
        fs::write(place.path("clip.y4m"), clip).unwrap();
        place
    }

    fn tool(&self, words: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_freezeframe"), words).output().unwrap()
    }

    fn run(&self, scenario: &str, manifest: &str, backend: &str) -> (Option<i32>, String, Value) {
        let words = [
            "run",
            scenario,
            "--system",
            manifest,
            "--backend",
            backend,
            "--clip",
            "clip.y4m",
            "--size",
            "128x96",
        ];
        let output =
            self.tool(&[&words[..], &["--metrics", "psnr", "--no-video", "--out", "out"][..]].concat());
        let scores = fs::read_to_string(self.path("out/scores.json")).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said, serde_json::from_str(&scores).unwrap_or_default())
    }

    /// The example, changed: `edits` are texts of the program and what stands in their place.
    fn changed(&self, name: &str, manifest: &str, edits: &[(&str, &str)]) -> String {
        let mut program = fs::read_to_string(self.path("plugin.py")).unwrap();
        for (from, to) in edits {
            assert_eq!(program.matches(from).count(), 1, "{from:?} is not in examples/plugin.py once");
            program = program.replace(from, to);
        }
        fs::write(self.path(&format!("{name}.py")), program).unwrap();
        let text = format!(
            "name='{name}'\nabout='changed'\ncommand=['python3','{name}.py']\ncolour_only=true\nsetup_ms=300\n{manifest}\n"
        );
        fs::write(self.path(&format!("{name}.toml")), text).unwrap();
        format!("{name}.toml")
    }
}

/// False, and said, where the example cannot run.
fn possible(namespaces: bool) -> bool {
    let runs = |program: &str, words: &[&str]| {
        Command::new(program).args(words).output().is_ok_and(|o| o.status.success())
    };
    if !runs("python3", &["-c", "import tomllib"]) {
        skip!("python3", "the example is written in it, and needs 3.11 for tomllib");
        return false;
    }
    if !runs("ffmpeg", &["-version"]) {
        skip!("ffmpeg", "the example reads the clip with it");
        return false;
    }
    if namespaces && netns::privilege().is_none() {
        skip!("namespaces", "network namespaces are not permitted here");
        return false;
    }
    true
}

/// Nothing is wrong but that this machine was busy.
fn valid(scores: &Value) -> bool {
    let late = ["the path:", "slots did not come", "captures are not on the frame clock"];
    let problems = scores["health"]["problems"].as_array();
    problems.is_some_and(|p| p.iter().all(|p| late.iter().any(|words| p.as_str().unwrap().contains(words))))
}

fn the_example_runs(backend: &str) {
    let place = Place::new();
    let (code, said, scores) = place.run("clean", "plugin.toml", backend);
    assert!(matches!(code, Some(0 | 4)) && valid(&scores), "{said}\n{}", scores["health"]);
    let rgb = &scores["streams"]["rgb"];
    assert!(rgb["rendered"].as_u64() > Some(40), "{rgb}");
    assert_eq!(rgb["quality"]["psnr"]["rendered"]["mean"].as_f64(), Some(80.0), "lossless");
    assert!(
        rgb["shown_within_percent"]["150"].is_number() && rgb["shown_ever_percent"].as_f64() > Some(88.0),
        "{rgb}"
    );
    let (code, said, scores) = place.run("ge-high", "plugin.toml", backend);
    assert!(matches!(code, Some(0 | 4)) && valid(&scores), "{said}\n{}", scores["health"]);
    assert!(scores["streams"]["rgb"]["causes"]["network"].as_u64() > Some(0), "{}", scores["streams"]);
}

#[test]
fn the_example_runs_in_virtual_time() {
    if possible(false) {
        the_example_runs("virtual");
    }
    let lines = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/plugin.py"))
        .unwrap()
        .lines()
        .count();
    assert!(lines < 60, "the smallest whole system has {lines} lines");
}

#[test]
fn ns_the_example_runs_in_namespaces() {
    if possible(true) {
        the_example_runs("namespaces");
    }
}

fn check(place: &Place, manifest: &str, backend: &str) -> (Option<i32>, Value) {
    let output = place.tool(&[
        "system",
        "check",
        manifest,
        "--backend",
        backend,
        "--frames",
        "20",
        "--size",
        "128x96",
        "--json",
    ]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

fn broken(report: &Value) -> Vec<String> {
    let lines = report["lines"].as_array().unwrap().iter();
    lines
        .filter(|l| l["status"] == "fail")
        .map(|l| format!("{} | {} | {}", l["rule"], l["found"], l["remedy"]))
        .collect()
}

#[test]
fn a_check_names_the_rule_that_is_broken() {
    if !possible(false) {
        return;
    }
    let place = Place::new();
    let (code, report) = check(&place, "plugin.toml", "virtual");
    assert_eq!((code, broken(&report)), (Some(0), Vec::new()));
    assert!(report["lines"].as_array().unwrap().len() > 15, "{report:#}");
    let kept = PathBuf::from(report["directories"][0].as_str().unwrap());
    assert!(place.path(kept.to_str().unwrap()).join("events.jsonl").is_file(), "the directory is kept");
    for (name, edit, rule, remedy) in [
        // A frozen slot left out; a slot too late; a picture less; a line that is none; a crash.
        (
            "omits",
            ("1, i) for i in range(N)]", "1, i) for i in range(N - 1)]"),
            "every frame has one slot",
            "frozen ones too",
        ),
        (
            "late",
            ("(captured(i) + budget, 1, i)", "(captured(i) + budget + 7, 1, i)"),
            "play-out budget",
            "adaptive",
        ),
        (
            "fewer",
            ("b\"FRAME\\n\".join(screen)", "b\"FRAME\\n\".join(screen[:-1])"),
            "one picture per slot",
            "once more",
        ),
        (
            "none",
            ("event(t, \"sender\", \"captured\", frame=i)", "log.write(\"{}\\n\")"),
            "every line of its events",
            "schema event",
        ),
        (
            "dies",
            (
                "if part == \"simulate\":",
                "if part == \"simulate\": raise SystemExit(3)\nif part == \"simulate\":",
            ),
            "ends with exit code 0",
            "log",
        ),
    ] {
        let manifest = place.changed(name, "", &[edit]);
        let (code, report) = check(&place, &manifest, "virtual");
        let broken = broken(&report);
        assert_eq!(code, Some(1), "{name}: {report:#}");
        assert!(broken.iter().any(|b| b.contains(rule) && b.contains(remedy)), "{name}: {broken:?}");
        let kept = report["directories"][0].as_str().unwrap_or_else(|| panic!("{name}: {report:#}"));
        assert!(place.path(kept).join("spec.toml").is_file(), "{name}: {kept}");
    }
    fs::write(place.path("gone.toml"), "name='gone'\nabout=''\ncommand=['./gone']\nfiles=['nothing.bin']\n")
        .unwrap();
    let (code, report) = check(&place, "gone.toml", "virtual");
    let broken = broken(&report);
    assert_eq!(code, Some(1));
    assert!(
        broken.iter().any(|b| b.contains("./gone")) && broken.iter().any(|b| b.contains("nothing.bin")),
        "{broken:?}"
    );
    fs::write(place.path("bad.toml"), "name='bad'\nabout=''\ncommand=['a']\ncolor=1\n").unwrap();
    let output = place.tool(&["system", "check", "bad.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("color"));
}

#[test]
fn schemas_are_printed() {
    let place = Place::new();
    for (name, word) in
        [("manifest", "warm_s"), ("spec", "playout_ns"), ("event", "recovered"), ("line", "capturing")]
    {
        let output = place.tool(&["system", "schema", name]);
        let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(schema["$schema"].is_string() && schema.to_string().contains(word), "{name}");
    }
}

/// The channel is on in the warm-up, and nothing of it is scored.
#[test]
fn ns_a_warm_up_meets_the_channel() {
    if !possible(true) {
        return;
    }
    let place = Place::new();
    let warm = "    for k in range(200 * (part == \"send\")):\n        time.sleep(max(0, captured(0) - 10**9 + k * 4_500_000 - now()) / 1e9)\n        sock.sendto(bytes(100), address[\"--peer\"])\n    for i in range(N):\n        while (left";
    let ignores =
        ("def arrived(t, packet):\n", "def arrived(t, packet):\n    if len(packet) == 100: return\n");
    let manifest = place.changed(
        "warm",
        "simulate=false\nwarm_s=1",
        &[("    for i in range(N):\n        while (left", warm), ignores],
    );
    let (code, said, scores) = place.run("ge-high", &manifest, "namespaces");
    assert!(matches!(code, Some(0 | 4)) && valid(&scores), "{said}\n{}", scores["health"]);
    let before = &scores["network"]["forward"]["before"];
    assert!(before["packets"].as_u64() > Some(150), "{before}");
    // ge-high loses some 13 % (docs/NETWORK.md): of 200 packets some, and not most.
    let lost = before["lost"].as_u64().unwrap();
    assert!((1..150).contains(&lost), "{before}");
    let spec = fs::read_to_string(place.path("out/spec.toml")).unwrap();
    assert!(
        spec.contains("warm_ns = 1000000000") && spec.contains("capture_start_ns = 1300000000"),
        "{spec}"
    );
}

const CAPTURES: &[(&str, &str)] = &[
    (
        "captured = lambda i: spec[\"capture_start_ns\"] + i",
        "first = [spec[\"capture_start_ns\"]]\ncaptured = lambda i: first[0] + i",
    ),
    (
        "    now = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC) - epoch\n",
        "    now = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC) - epoch\n    if part == \"send\":\n        time.sleep(max(0, first[0] + 700_000_000 - now()) / 1e9)\n        first[0] = now()\n        print(json.dumps({\"type\": \"capturing\", \"frame0_ns\": first[0] + epoch + SHIFT}), flush=True)\n    else:\n        first[0] = next(m[\"frame0_ns\"] for m in map(json.loads, sys.stdin) if m[\"type\"] == \"capturing\") - epoch\n",
    ),
    (
        "parts, shown, screen",
        "SHIFT = int(spec.get(\"options\", {}).get(\"shift\", 0))\nparts, shown, screen",
    ),
];

/// A program whose own camera begins when it likes.
#[test]
fn ns_a_camera_of_its_own_says_when_it_begins() {
    if !possible(true) {
        return;
    }
    let place = Place::new();
    let manifest = place.changed("camera", "simulate=false\ncapturing=true", CAPTURES);
    let (code, said, scores) = place.run("clean", &manifest, "namespaces");
    assert!(matches!(code, Some(0 | 4)) && valid(&scores), "{said}\n{}", scores["health"]);
    assert!(scores["streams"]["rgb"]["rendered"].as_u64() > Some(35), "{}", scores["streams"]);
    let spec: toml::Table = fs::read_to_string(place.path("out/spec.toml")).unwrap().parse().unwrap();
    let first = spec["captured_from_ns"].as_integer().unwrap();
    assert!((1_000_000_000..3_000_000_000).contains(&first), "{first}: 300 ms of set-up and 700 ms");
    // It cannot say so long after or before, and cannot be silent.
    for shift in ["3000000000", "-2000000000"] {
        let option = format!("shift={shift}");
        let words = [
            "run",
            "clean",
            "--system",
            &manifest,
            "--backend",
            "namespaces",
            "--clip",
            "clip.y4m",
            "--size",
            "128x96",
        ];
        let output = place.tool(&[&words[..], &["--out", "other", "-o", &option][..]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("[bad_capturing]"), "{said}");
    }
    let manifest = place.changed("silent", "simulate=false\ncapturing=true", &[]);
    let (code, said, _) = place.run("clean", &manifest, "namespaces");
    assert!(code == Some(1) && said.contains("[never_capturing]"), "{said}");
}

/// Whatever the scenario fixes, a jitter buffer of its own is judged as such.
#[test]
fn an_adaptive_play_out_is_its_own_clock() {
    if !possible(false) {
        return;
    }
    let place = Place::new();
    let later = [("(captured(i) + budget, 1, i)", "(captured(i) + budget + 50_000_000 + i * 1000, 1, i)")];
    let manifest = place.changed("adapts", "playout='adaptive'", &later);
    let (code, said, scores) = place.run("clean", &manifest, "virtual");
    assert!(code == Some(0) && scores["health"]["valid"] == true, "{said}{}", scores["health"]);
    assert_eq!(scores["budget"]["asked_ns"], "own");
    let rgb = &scores["streams"]["rgb"];
    assert_eq!(
        (rgb["shown_within_percent"]["150"].as_f64(), rgb["shown_within_percent"]["300"].as_f64()),
        (Some(0.0), Some(100.0))
    );
    assert_eq!(rgb["shown_ever_percent"].as_f64(), Some(100.0));
}
