//! Bad input and faults, from outside: what the built program says, how it ends, and what it leaves behind.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder for one test, with a cache of its own.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A moving picture of 64x48 in `name`.
    fn clip(&self, name: &str, frames: u32) -> String {
        self.write(name, y4m(frames))
    }

    fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezeframe"));
        command.args(arguments).current_dir(self.0.path()).env("FREEZEFRAME_CACHE", self.path("cache"));
        command
    }

    /// `freezeframe run` of a small clip into `out`.
    fn run(&self, scenario: &str, system: &str, clip: &str, more: &[&str]) -> Command {
        let mut command =
            self.tool(&["run", scenario, "--system", system, "--clip", clip, "--size", "64x48"]);
        command.args(["--out", "out"]).args(more);
        command
    }

    /// Neither a run directory nor a half-written one.
    fn assert_nothing_left(&self) {
        for name in ["out", ".out.partial", "runs"] {
            assert!(!self.path(name).exists(), "{name} was left behind");
        }
    }

    /// Ends with 2, says all of `words`, leaves nothing.
    fn refuses(&self, mut command: Command, words: &[&str]) {
        let said = ends_with(&mut command, 2);
        for word in words {
            assert!(said.contains(word), "{word:?} is missing in: {said}");
        }
        self.assert_nothing_left();
    }
}

fn y4m(frames: u32) -> Vec<u8> {
    let mut bytes = b"YUV4MPEG2 W64 H48 F30:1 Ip A1:1 C420jpeg\n".to_vec();
    for frame in 0..frames {
        bytes.extend(b"FRAME\n");
        bytes.extend((0..64 * 48).map(|i| (i % 64 * 2 + i / 64 + frame * 3) as u8));
        bytes.extend([128; 2 * 32 * 24]);
    }
    bytes
}

/// An mp4 whose second half is missing.
fn half_an_mp4(place: &Place) -> String {
    let path = place.path("half.mp4");
    let mut writer = video::Writer::create(
        &path,
        (64, 48),
        (30, 1),
        media::convert::Colour::BT601,
        video::Quality::Crf(18),
    )
    .unwrap();
    for luma in 0..30 {
        writer.write(&media::Yuv420::filled(64, 48, (luma * 5, 128, 128))).unwrap();
    }
    writer.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    place.write("half.mp4", &bytes[..bytes.len() / 2])
}

fn ends_with(command: &mut Command, code: i32) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(code), "{said}{}", String::from_utf8_lossy(&stdout));
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// Processes whose command line contains `mark`, other than shells' own mention of this test.
fn processes(mark: &str) -> Vec<i32> {
    let number = |e: std::io::Result<fs::DirEntry>| e.ok()?.file_name().to_str()?.parse().ok();
    let has = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(mark)
    };
    fs::read_dir("/proc").unwrap().filter_map(number).filter(has).collect()
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn unknown_words_are_named_with_the_known_ones() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 3);
    place.refuses(place.run("ge-hgih", "revo-h264", &clip, &[]), &["ge-hgih", "ge-high"]);
    place.refuses(place.run("clean", "revo-h266", &clip, &[]), &["revo-h266", "revo-h264"]);
    place.refuses(place.run("clean", "revo-h264", &clip, &["-o", "colour=1"]), &["colour", "qp"]);
    place.refuses(
        place.run("clean", "revo-h264", &clip, &["-o", "transport=pigeon"]),
        &["pigeon", "datagram"],
    );
    place.refuses(place.run("clean", "revo-h264", &clip, &["-o", "qp"]), &["key=value"]);
    let plan =
        place.write("p.toml", "name = 'p'\n[[block]]\nsistems = ['revo-h264']\nscenarios = ['clean']\n");
    place.refuses(place.tool(&["sweep", &plan]), &["p.toml", "sistems", "systems"]);
    place.refuses(place.tool(&["sweep", "defalt"]), &["defalt", "default"]);
    let scenario = place.write("s.toml", "name='s'\ndescription=''\n[forward]\nlose='5%'\n");
    place.refuses(place.run(&scenario, "revo-h264", &clip, &[]), &["s.toml", "lose", "loss"]);
}

#[test]
fn clips_that_cannot_be_used_are_named() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 5);
    let go = |clip: &str, more: &[&str]| place.run("clean", "revo-h264", clip, more);
    place.refuses(go("gone.mp4", &[]), &["gone.mp4"]);
    let empty = place.write("empty.mp4", "");
    place.refuses(go(&empty, &[]), &["empty.mp4", "empty"]);
    let text = place.write("text.mp4", "no video at all, but some bytes of text");
    place.refuses(go(&text, &[]), &["text.mp4"]);
    place.refuses(go(&half_an_mp4(&place), &[]), &["half.mp4", "cut"]);
    place.refuses(go(&clip, &["--frames", "6"]), &["a.y4m", "5 frames", "6 were asked", "--frames"]);
    place.refuses(go(&clip, &["--depth", "gone.mkv"]), &["gone.mkv"]);
    let mut odd = place.tool(&["run", "clean", "--system", "revo-h264", "--clip", &clip, "--size", "65x48"]);
    odd.args(["--out", "out"]);
    place.refuses(odd, &["65x48", "even"]);
}

#[test]
fn traces_that_are_none_are_named_by_line() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 3);
    for (rows, words) in [
        ("hello\n", vec!["t.log"]),
        ("0.000 2.00 40.0ms 1.50\n", vec!["t.log", "above 1"]),
        ("0.000 2.00 40.0ms -x\n", vec!["t.log", "loss"]),
        ("", vec!["t.log"]),
    ] {
        place.write("t.log", rows);
        let text = "name='s'\ndescription=''\n[forward]\ntrace = { file = 't.log', format = 'revo', replay = 'full' }\n";
        let scenario = place.write("s.toml", text);
        place.refuses(place.run(&scenario, "revo-h264", &clip, &[]), &words);
    }
}

#[test]
fn a_directory_that_holds_no_run_stays_as_it_is() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 3);
    fs::create_dir(place.path("out")).unwrap();
    place.write("out/letter.txt", "dear");
    let said = ends_with(&mut place.run("clean", "revo-h264", &clip, &[]), 2);
    assert!(said.contains("no run directory") && said.contains("--out"), "{said}");
    assert_eq!(fs::read_to_string(place.path("out/letter.txt")).unwrap(), "dear");
    assert!(!place.path(".out.partial").exists());
}

#[test]
fn a_killed_system_is_a_failed_run() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 6000);
    let harness = place.run("clean", "revo-h264", &clip, &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mark = format!("simulate {}", place.0.path().display());
    let mark = if processes(&mark).is_empty() { "simulate .out.partial".to_owned() } else { mark };
    let own = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| {
            s.rsplit(')')
                .next()
                .is_some_and(|r| r.split_whitespace().nth(1) == Some(&harness.id().to_string()))
        })
    };
    let system = wait_for("the system", || processes(&mark).into_iter().find(own));
    kill(Pid::from_raw(system), Signal::SIGKILL).unwrap();
    let Output { status, stderr, .. } = harness.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("revo-h264") && said.contains("signal: 9"), "{said}");
    place.assert_nothing_left();
}

#[test]
fn the_same_run_twice_is_the_same_to_the_byte() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 40);
    let once = || -> Vec<Vec<u8>> {
        ends_with(&mut place.run("ge-high", "revo-h264", &clip, &["--seed", "3"]), 0);
        let names = ["events.jsonl", "fates.jsonl", "frames.csv", "scores.json"];
        names.iter().map(|n| fs::read(place.path("out").join(n)).unwrap()).collect()
    };
    let first = once();
    assert!(first.iter().all(|file| !file.is_empty()));
    fs::remove_dir_all(place.path("cache")).unwrap();
    assert!(first == once(), "with everything made again");
    assert!(first == once(), "with a warm cache");
}

#[test]
fn an_interrupted_sweep_resumes_and_does_nothing_twice() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 600);
    let plan = "name='p'\n[[block]]\nsystems=['revo-h264']\nscenarios=['clean']\nseeds=[1,2,3,4]\n";
    let plan = place.write("p.toml", plan);
    let sweep =
        || place.tool(&["sweep", &plan, "--clip", &clip, "--size", "64x48", "--out", "out", "--no-video"]);
    let mut first = sweep().stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let seed = |n: u32| place.path(&format!("out/clean/revo-h264/a/seed-{n}"));
    wait_for("the first run", || seed(1).join("scores.json").exists().then_some(()));
    kill(Pid::from_raw(i32::try_from(first.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(130));
    assert!(!seed(4).exists(), "it was to be interrupted before the end");
    let made = |n: u32| fs::metadata(seed(n).join("scores.json")).unwrap().modified().unwrap();
    let before = made(1);
    ends_with(&mut sweep(), 0);
    assert_eq!(before, made(1), "a finished run was done again");
    assert!((1..=4).all(|n| seed(n).join("scores.json").is_file()));
    assert!(place.path("out/report.html").is_file());
}

#[test]
fn a_full_disk_fails_the_run_and_leaves_nothing() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 600);
    fs::create_dir(place.path("small")).unwrap();
    let mount = "mount -t tmpfs -o size=64k none small";
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_freezeframe"), &clip]);
        command.current_dir(place.0.path()).env("FREEZEFRAME_CACHE", place.path("cache"));
        command
    };
    if !unshare(mount).output().is_ok_and(|o| o.status.success()) {
        println!(
            "skipped: mounting a small file system in a mount namespace of its own is not permitted here"
        );
        return;
    }
    let script = format!(
        "{mount}; \"$1\" run clean --system revo-h264 --clip \"$2\" --size 64x48 --out small/out; code=$?; ls -A small >&2; exit $code"
    );
    let said = ends_with(&mut unshare(&script), 1);
    assert!(said.contains("disk full") || said.contains("No space left"), "{said}");
    assert!(!said.contains(".out.partial\n") && !said.ends_with("out\n"), "left behind: {said}");
}

/// False, with the reason printed, where labs cannot be built.
fn labs_are_permitted() -> bool {
    let permitted = netns::privilege().is_some();
    if !permitted {
        println!("skipped: network namespaces are not permitted here");
    }
    permitted
}

fn hanging(place: &Place, seconds: u32, limit: &str) -> String {
    let text = format!(
        "name='hang'\nabout='never ready'\ncommand=['sh','-c','exec sleep {seconds}']\nsimulate=false\ndescribe=false\n{limit}\n"
    );
    place.write("hang.toml", text)
}

#[test]
fn ns_a_system_that_hangs_is_stopped() {
    if !labs_are_permitted() {
        return;
    }
    let place = Place::new();
    let clip = place.clip("a.y4m", 3);
    let seconds = 100_000 + std::process::id();
    let system = hanging(&place, seconds, "ready_timeout_s = 1");
    let said = ends_with(&mut place.run("clean", &system, &clip, &["--backend", "namespaces"]), 1);
    assert!(said.contains("not both ready within 1s"), "{said}");
    place.assert_nothing_left();
    assert!(processes(&format!("sleep {seconds}")).is_empty());
}

#[test]
fn ns_after_a_killed_harness_the_next_run_works_and_nothing_is_left() {
    if !labs_are_permitted() {
        return;
    }
    let place = Place::new();
    let clip = place.clip("a.y4m", 10);
    let seconds = 200_000 + std::process::id();
    let system = hanging(&place, seconds, "");
    let mark = format!("sleep {seconds}");
    let mut harness = place.run("clean", &system, &clip, &["--backend", "namespaces"]);
    let mut harness = harness.stderr(Stdio::null()).spawn().unwrap();
    wait_for("both processes", || (processes(&mark).len() == 2).then_some(()));
    harness.kill().unwrap();
    harness.wait().unwrap();
    wait_for("the end of its processes", || processes(&mark).is_empty().then_some(()));
    // Its lab and half-written directory are the next run's to clean.
    let code =
        place.run("clean", "revo-h264", &clip, &["--backend", "namespaces"]).output().unwrap().status.code();
    assert!(matches!(code, Some(0 | 4)), "{code:?}"); // 4: the machine was too busy for a valid run
    assert!(Path::new(&place.path("out/events.jsonl")).is_file());
    assert!(!place.path(".out.partial").exists());
    let clean = place.tool(&["doctor", "--clean"]).output().unwrap();
    let said = String::from_utf8_lossy(&clean.stdout).into_owned();
    assert!(said.contains("none (0 namespaces removed now)"), "{said}");
}
