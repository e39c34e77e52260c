//! Bad input and faults, from outside: what the built program says, how it ends, and what it leaves behind.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use testing::{processes, skip};

testing::place!(Place);

impl Place {
    fn new() -> Self {
        Self(testing::Place::new())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.0.write(name, content).to_str().unwrap().to_owned()
    }

    /// A moving picture of 64x48 in `name`.
    fn clip(&self, name: &str, frames: u32) -> String {
        self.write(name, testing::moving_y4m((64, 48), frames, 1))
    }

    fn tool(&self, arguments: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_freezeframe"), arguments)
    }

    /// `freezeframe run` of a small clip into `out`.
    fn run(&self, scenario: &str, system: &str, clip: &str, more: &[&str]) -> Command {
        let mut command =
            self.tool(&["run", scenario, "--system", system, "--clip", clip, "--size", "64x48"]);
        command.args(["--out", "out"]).args(more);
        command
    }

    /// Directory of the run with this seed, once there is one: its name ends with a hash.
    fn seed(&self, folder: &str, n: u32) -> PathBuf {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let named = |p: &PathBuf| p.file_name().unwrap().to_str().unwrap().starts_with(&format!("seed-{n}-"));
        let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(named).collect();
        assert!(found.len() < 2, "{found:?}");
        found.pop().unwrap_or_else(|| self.path(folder).join(format!("seed-{n}-none")))
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

/// A video file whose second half is missing.
fn half_a_video(place: &Place, name: &str) -> String {
    let path = place.path(name);
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
    place.write(name, &bytes[..bytes.len() / 2])
}

fn ends_with(command: &mut Command, code: i32) -> String {
    let said = testing::Said::of(command);
    assert_eq!(said.code, code, "{}{}", said.err, said.out);
    said.err
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
    place.refuses(go(&half_a_video(&place, "half.mp4"), &[]), &["half.mp4", "cut"]);
    place.refuses(go(&half_a_video(&place, "half.mkv"), &[]), &["half.mkv", "truncated"]);
    let whole = testing::moving_y4m((64, 48), 5, 1);
    let half = place.write("half.y4m", &whole[..whole.len() - 1000]);
    let words = ["half.y4m is truncated", "picture 4 is cut off (3608 of 4608 bytes)", "copy it again"];
    place.refuses(go(&half, &[]), &words);
    let header = place.write("header.y4m", testing::moving_y4m((64, 48), 0, 1));
    place.refuses(go(&header, &[]), &["header.y4m", "no pictures (zero length)"]);
    let noise: Vec<u8> = (0..60_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    place.refuses(go(&place.write("noise.mkv", &noise), &[]), &["noise.mkv", "not a video"]);
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
        ("0.000 2.00 40.0ms 0.00\n0.015 2.00 40.0ms -0.01\n", vec!["t.log", "line 2", "-0.01", "compat"]),
        ("", vec!["t.log"]),
    ] {
        place.write("t.log", rows);
        let text = "name='s'\ndescription=''\n[forward]\ntrace = { file = 't.log', format = 'revo', replay = 'full' }\n";
        let scenario = place.write("s.toml", text);
        place.refuses(place.run(&scenario, "revo-h264", &clip, &[]), &words);
    }
    // ReVo's own traces have such rows; a replay of its script plays them as the script does.
    place.write("t.log", "0.000 2.00 40.0ms 0.00\n0.015 2.00 40.0ms -0.01\n");
    let scenario = place.write(
        "s.toml",
        "name='s'\ndescription=''\n[forward]\ntrace = { file = 't.log', format = 'revo', replay = 'compat' }\n",
    );
    ends_with(&mut place.run(&scenario, "revo-h264", &clip, &[]), 0);
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
    let mark = format!("work {}", harness.id());
    let system = wait_for("the system", || processes(&mark).into_iter().next());
    kill(Pid::from_raw(system), Signal::SIGKILL).unwrap();
    let Output { status, stderr, .. } = harness.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("revo-h264") && said.contains("signal: 9"), "{said}");
    place.assert_nothing_left();
    // What it left is kept, and named.
    let kept = place.path(".failed/out");
    assert!(said.contains(".failed/out"), "{said}");
    assert!(fs::read_to_string(kept.join("failure.json")).unwrap().contains("system_failed"));
    assert!(kept.join("spec.toml").is_file());
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
    let plan = "name='p'\n[[block]]\nsystems=['revo-h264']\nscenarios=['clean']\nseeds=[1,2,3,4,5,6,7,8]\n";
    let plan = place.write("p.toml", plan);
    let sweep =
        || place.tool(&["sweep", &plan, "--clip", &clip, "--size", "64x48", "--out", "out", "--no-video"]);
    let mut first = sweep().stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let seed = |n: u32| place.seed("out/clean/revo-h264/a", n);
    wait_for("the first run", || seed(1).join("scores.json").exists().then_some(()));
    kill(Pid::from_raw(i32::try_from(first.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(130));
    assert!(!seed(8).exists(), "it was to be interrupted before the end");
    assert!(place.path("out/report.html").is_file(), "what is finished is shown");
    fs::remove_file(place.path("out/report.html")).unwrap();
    let made = |n: u32| fs::metadata(seed(n).join("scores.json")).unwrap().modified().unwrap();
    let before = made(1);
    ends_with(&mut sweep(), 0);
    assert_eq!(before, made(1), "a finished run was done again");
    assert!((1..=8).all(|n| seed(n).join("scores.json").is_file()));
    assert!(place.path("out/report.html").is_file());
}

/// Everything that a run leaves, by its path below `root`; how long things took is no result.
fn results(root: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, into: &mut std::collections::BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, into);
            } else if path.file_name().unwrap() != "profile.json" {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                into.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut files = std::collections::BTreeMap::new();
    walk(root, root, &mut files);
    files
}

const SIDE_BY_SIDE: &str =
    "name='p'\n[[block]]\nsystems=['revo-h264','vp8-ulpfec']\nscenarios=['ge-high','clean']\nseeds=[1,2]\n";

#[test]
fn runs_side_by_side_give_the_same_bytes() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 60);
    let plan = place.write("p.toml", SIDE_BY_SIDE);
    let sweep = |jobs: &str| {
        let mut sweep = place.tool(&[
            "sweep",
            &plan,
            "--clip",
            &clip,
            "--size",
            "64x48",
            "--jobs",
            jobs,
            "--out",
            "out",
            "--no-video",
        ]);
        ends_with(&mut sweep, 0);
        let files = results(&place.path("out"));
        fs::remove_dir_all(place.path("out")).unwrap();
        fs::remove_dir_all(place.path("cache")).unwrap();
        files
    };
    let one = sweep("1");
    assert_eq!(one.keys().filter(|k| k.ends_with("/scores.json")).count(), 8);
    let four = sweep("4");
    assert_eq!(one.keys().collect::<Vec<_>>(), four.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(*bytes == four[name], "{name} differs");
    }
    place.refuses(place.tool(&["sweep", &plan, "--jobs", "0"]), &["--jobs", "0"]);
}

#[test]
fn several_processes_share_runs_and_cache_and_do_nothing_twice() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 120);
    let plan = place.write("p.toml", SIDE_BY_SIDE);
    let sweep = |out: &str| {
        let mut sweep =
            place.tool(&["sweep", &plan, "--clip", &clip, "--size", "64x48", "--out", out, "--no-video"]);
        sweep.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    };
    // Two into one directory, one into another, all at once.
    let children = [sweep("out"), sweep("out"), sweep("other")];
    for child in children {
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
    }
    let (a, b) = (results(&place.path("out")), results(&place.path("other")));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in a.iter().filter(|(n, _)| n.ends_with("frames.csv") || n.ends_with("scores.json")) {
        assert!(*bytes == b[name], "{name} differs");
    }
    // Every key of the score cache is written once: nobody scored what another had.
    let mut keys = 0;
    for kind in ["captured", "scores"] {
        for file in fs::read_dir(place.path("cache/scores").join(kind)).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let mut seen = std::collections::BTreeSet::new();
            for key in text.lines().filter(|l| !l.is_empty()).map(|l| l.split(' ').next().unwrap()) {
                assert!(seen.insert(key.to_owned()), "{kind}: {key} was computed twice");
                keys += 1;
            }
        }
    }
    assert!(keys > 240, "{keys}");
    let units = |dir: &Path| {
        fs::read_dir(dir)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "units"))
            .count()
    };
    assert_eq!(units(&place.path("cache/encoded")), 2, "one file for each system's stream");
    assert!(
        !fs::read_dir(place.path("cache/encoded")).unwrap().any(|e| e
            .unwrap()
            .path()
            .extension()
            .is_some_and(|e| e == "tmp"))
    );
}

#[test]
fn a_killed_maker_leaves_no_lock_and_nothing_that_is_trusted() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 3000);
    let mut first = place.run("clean", "revo-h264", &clip, &["--no-video"]);
    let mut first = first.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let kept = || {
        let mut files = fs::read_dir(place.path("cache/encoded")).ok()?.filter_map(|e| Some(e.ok()?.path()));
        files.find(|p| {
            p.extension().is_some_and(|e| e == "units") && fs::metadata(p).is_ok_and(|m| m.len() > 0)
        })
    };
    let kept = wait_for("a stream that is begun", kept);
    first.kill().unwrap();
    first.wait().unwrap();
    // Its worker notices that it is alone and ends.
    wait_for("the end of its processes", || {
        testing::processes(place.root().to_str().unwrap()).is_empty().then_some(())
    });
    let begun = fs::read(&kept).unwrap();
    // A writer may be killed in the middle of a record, too.
    fs::write(&kept, &begun[..begun.len() - 10]).unwrap();
    let shown = |place: &Place| {
        ends_with(&mut place.run("clean", "revo-h264", &clip, &["--no-video"]), 0);
        assert!(place.path("out/scores.json").is_file() && !place.path(".out.partial").exists());
        let shown = fs::read(place.path("out/rendered.rgb.units")).unwrap();
        fs::remove_dir_all(place.path("out")).unwrap();
        shown
    };
    let from_the_rest = shown(&place);
    let whole = fs::read(&kept).unwrap().len();
    assert!(begun.len() < whole, "it was to be killed midway: {} of {whole}", begun.len());
    fs::remove_dir_all(place.path("cache")).unwrap();
    assert!(from_the_rest == shown(&place), "another stream than one that nobody interrupted");
}

#[test]
fn metrics_that_finished_runs_lack_are_added_when_asked_for() {
    let place = Place::new();
    let clip = place.clip("a.y4m", 20);
    let plan = place.write("p.toml", "name='p'\n[[block]]\nsystems=['revo-h264']\nscenarios=['clean']\n");
    let sweep = |more: &[&str]| {
        let mut sweep =
            place.tool(&["sweep", &plan, "--clip", &clip, "--size", "64x48", "--out", "out", "--no-video"]);
        ends_with(sweep.args(more), 0);
        let dir = place.seed("out/clean/revo-h264/a", 1);
        let made = fs::metadata(dir.join("scores.json")).unwrap().modified().unwrap();
        (
            fs::read_to_string(dir.join("scores.json")).unwrap(),
            made,
            fs::metadata(dir.join("events.jsonl")).unwrap().modified().unwrap(),
        )
    };
    let (first, _, ran) = sweep(&[]);
    assert!(!first.contains("ssim_full"));
    let (more, made, ran_again) = sweep(&["--metrics", "default,ssim_full"]);
    assert!(more.contains("ssim_full") && ran == ran_again, "scored again, not run again");
    let (_, made_again, _) = sweep(&["--metrics", "default,ssim_full"]);
    assert_eq!(made, made_again, "nothing lacks any more");
    let said = ends_with(&mut place.run("clean", "revo-h264", &clip, &["--metrics", "psnr,snr"]), 2);
    assert!(said.contains("`snr`") && said.contains("ms_ssim"), "{said}");
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
        command.current_dir(place.root()).env("FREEZEFRAME_CACHE", place.path("cache"));
        command
    };
    if !unshare(mount).output().is_ok_and(|o| o.status.success()) {
        return skip!(
            "mount",
            "mounting a small file system in a mount namespace of its own is not permitted"
        );
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
        skip!("namespaces", "network namespaces are not permitted here");
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
    assert!(said.contains("sender and receiver: not ready within 1 s"), "{said}");
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

/// Processes of a system's two ends in `place`: `send` and `receive`.
fn end_of_run(place: &Place, part: &str) -> i32 {
    let mark = format!("revo-h264 {part} {}/", place.path(".out.partial").display());
    wait_for(part, || processes(&mark).into_iter().next())
}

/// One end of a running call is killed or stopped: the run fails in time and says which, nothing is left, and the next works.
fn one_end_fails(part: &str, signal: Signal, words: &[&str], within: Duration) {
    if !labs_are_permitted() {
        return;
    }
    let place = Place::new();
    // Eight seconds: time enough to find the processes on a busy machine.
    let clip = place.clip("a.y4m", 240);
    let mut harness = place.run("clean", "revo-h264", &clip, &["--backend", "namespaces", "--no-score"]);
    let harness = harness.stderr(Stdio::piped()).spawn().unwrap();
    let end = end_of_run(&place, part);
    let other = end_of_run(&place, if part == "send" { "receive" } else { "send" });
    // In the middle of the call: the receiver has decoded something.
    let units = place.path(".out.partial/receiver/rendered.rgb.units");
    wait_for("the first units", || fs::metadata(&units).is_ok_and(|m| m.len() > 0).then_some(()));
    kill(Pid::from_raw(end), signal).unwrap();
    let started = Instant::now();
    let Output { status, stderr, .. } = harness.wait_with_output().unwrap();
    let (took, said) = (started.elapsed(), String::from_utf8_lossy(&stderr).into_owned());
    assert_eq!(status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
    assert!(took < within, "{took:?}: {said}");
    place.assert_nothing_left();
    for pid in [end, other] {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "process {pid} was left behind");
    }
    let clean = place.tool(&["doctor", "--clean"]).output().unwrap();
    let said = String::from_utf8_lossy(&clean.stdout).into_owned();
    assert!(said.contains("none (0 namespaces removed now)"), "{said}");
    let short = place.clip("b.y4m", 10);
    let code = place.run("clean", "revo-h264", &short, &["--backend", "namespaces"]).output().unwrap().status;
    assert!(matches!(code.code(), Some(0 | 4)), "{code:?}"); // 4: the machine was too busy for a valid run
    assert!(place.path("out/scores.json").is_file());
}

/// What a loaded machine may take to notice and to clean up.
const SOON: Duration = Duration::from_secs(15);
/// The clip, the grace of a hung process, and cleaning up.
const HANG_LIMIT: Duration = Duration::from_secs(8 + 20 + 15);

#[test]
fn ns_a_killed_sender_is_named() {
    one_end_fails("send", Signal::SIGKILL, &["the sender ended with signal: 9"], SOON);
}

#[test]
fn ns_a_killed_receiver_is_named() {
    one_end_fails("receive", Signal::SIGKILL, &["the receiver ended with signal: 9"], SOON);
}

#[test]
fn ns_a_stopped_sender_is_named_and_ended() {
    one_end_fails("send", Signal::SIGSTOP, &["the sender hangs", "20 s of grace"], HANG_LIMIT);
}

#[test]
fn ns_a_stopped_receiver_is_named_and_ended() {
    one_end_fails("receive", Signal::SIGSTOP, &["the receiver hangs", "20 s of grace"], HANG_LIMIT);
}
