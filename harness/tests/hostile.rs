//! Systems that lie, cheat, and attack (`harness/tests/hostile/hostile.py`), in both backends: each is caught under a name of its own or
//! refused by the machine, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use testing::{processes, skip};

/// How an attack ends.
#[derive(Clone, Copy, Debug)]
enum Caught {
    /// The run is invalid or has failed, under this name.
    Named(&'static str),
    /// The machine refused: the run is as good as any, and the attack got nowhere.
    Refused,
    /// The run stands, with the lie put right and a warning of this name.
    Corrected(&'static str),
    /// Honest: the run must be valid, with none of the findings.
    Honest,
    /// What is asked for is wrong, exit code 2, with this word.
    BadInput(&'static str),
}

use Caught::{BadInput, Corrected, Honest, Named, Refused};

/// Attack, backends (v, n), lines of its manifest, how it ends.
const ATTACKS: &[(&str, &str, &str, Caught)] = &[
    ("honest", "vn", "", Honest),
    ("liar", "vn", "", Named("nothing_sent")),
    ("liar_noise", "v", "", Named("better_than_delivered")),
    ("liar_frugal", "v", "", Named("better_than_delivered")),
    ("tunnel_tcp", "n", "", Named("unexpected_traffic")),
    ("tunnel_multicast", "n", "", Named("unexpected_traffic")),
    ("tunnel_icmp", "n", "", Refused),
    ("tunnel_port", "n", "", Honest), // another port is shaped like the first
    ("signals", "n", "", Named("signal_traffic")),
    ("signal_count", "n", "", Named("signal_traffic")),
    ("setup_media", "n", "", Named("setup_traffic")),
    ("shared", "n", "", Refused),
    ("keyring", "n", "", Refused),
    ("locks", "n", "", Refused),
    ("other_kernels_ways", "vn", "", Refused),
    ("root_only", "vn", "", Refused),
    ("makes_the_clip", "n", "", Refused),
    ("more_than_link", "v", "", Refused),
    ("knows_the_path", "n", "", Refused),
    ("inherits", "vn", "", Refused),
    ("escalates", "vn", "", Refused),
    ("fakes_the_harness", "vn", "", Honest),
    ("extreme_numbers", "vn", "", Named("beyond_clip")),
    ("nested_event", "vn", "", Named("bad_events")),
    ("endless_line", "vn", "", Named("bad_events")),
    ("playlist_for_pictures", "vn", "", Named("bad_store")),
    ("bomb_for_pictures", "vn", "", Named("bad_store")),
    ("units_of_nonsense", "vn", "", Named("bad_store")),
    ("second_store", "vn", "", Named("bad_store")),
    ("fork_bomb", "vn", "limits.processes = 320", Named("process_limit")),
    ("memory_eater", "vn", "limits.memory_mb = 300", Named("memory_limit")),
    ("shared_memory_eater", "vn", "limits.memory_mb = 300", Named("memory_limit")),
    ("stdout_flood", "vn", "", Named("stdout_limit")),
    ("stderr_flood", "vn", "", Named("stderr_limit")),
    ("events_flood", "v", "limits.events_mb = 20", Named("events_limit")),
    ("packet_flood", "n", "limits.packets = 5000", Named("packet_flood")),
    ("disk_filler", "vn", "limits.disk_mb = 50", Named("disk_limit")),
    ("nests_folders", "vn", "", Named("disk_limit")),
    ("closes_a_folder", "vn", "", Named("bad_file")),
    ("closes_its_folder", "vn", "", Named("bad_file")),
    ("symlinked_events", "vn", "", Named("bad_file")),
    ("symlinked_pictures", "vn", "", Named("bad_file")),
    ("folder_for_events", "vn", "", Named("bad_file")),
    ("writes_elsewhere", "vn", "", Refused),
    ("forged_ledger", "v", "", Named("ledger_not_the_models")),
    ("no_loss_ledger", "v", "", Named("ledger_not_the_models")),
    ("never_ends", "v", "limits.simulate_s = 3", Named("time_limit")),
    ("never_ends", "n", "limits.stop_s = 1", Named("hangs")),
    ("never_ready", "n", "ready_timeout_s = 1", Named("never_ready")),
    ("describe_hangs", "v", "describe = true\nlimits.describe_s = 1", Named("time_limit")),
    ("describe_floods", "v", "describe = true", Named("stdout_limit")),
    ("daemon", "vn", "", Honest),
    ("kills_others", "vn", "", Refused),
    ("reads_memory", "vn", "", Refused),
    ("mounts", "vn", "", Refused),
    ("finds_the_clip", "n", "", Refused),
    ("finds_the_clip", "n", "read = [\"../clip.y4m\", \"../programs/../copy.y4m\"]", Refused),
    ("finds_the_clip", "n", "files = [\"../programs/../clip.y4m\", \"../linked.y4m\"]", Refused),
    ("finds_the_clip", "n", "read = [\"..\", \"../cache\"]", Refused),
    ("says_nothing", "v", "read = [\"/\"]", BadInput("whole machine")),
    ("says_nothing", "n", "read = [\"/usr/../proc\"]", BadInput("whole machine")),
    ("future", "n", "", Named("events_from_the_future")),
    ("past", "vn", "", Named("shown_without_packets")),
    ("captures_late", "vn", "", Named("capture_off_schedule")),
    ("captures_a_little_late", "vn", "", Named("capture_off_schedule")),
    ("frozen_called_rendered", "vn", "", Corrected("still_called_shown")),
    ("frozen_called_concealed", "vn", "", Corrected("still_called_shown")),
    ("one_picture", "vn", "", Corrected("still_called_shown")),
    ("one_sample", "vn", "", Corrected("still_called_shown")),
    ("frozen_but_perfect", "vn", "", Corrected("frozen_store_differs")),
    ("names_another", "vn", "", Corrected("frozen_shows_other")),
    ("late_pictures", "n", "scenario = slow", Named("shown_without_packets")),
    ("decoded_early", "vn", "", Named("decoded_without_packets")),
    ("captures_15ms_late", "n", "", Honest), // what it would gain is put right: see `figures`
    ("sent_bytes_lie", "vn", "", Named("more_entered_than_sent")),
    ("short_ledger", "v", "", Named("less_entered_than_sent")),
    ("sender_drops_what_it_sent", "vn", "", Named("dropped_yet_sent")),
    ("receiver_says_dropped", "vn", "", Named("wrong_side")),
    ("sends_before", "v", "setup_ms = 1000", Named("setup_traffic")),
    ("sends_after", "v", "scenario = own", Honest), // likewise
    ("warm_media", "n", "warm_s = 2", Named("better_than_delivered")),
    ("sparse_store", "v", "", Named("bad_store")),
    ("sparse_files", "v", "limits.disk_mb = 50", Named("disk_limit")),
    ("concealed_liar", "v", "", Named("better_than_delivered")),
    ("too_many_pictures", "vn", "", Named("store_surplus")),
    ("no_pictures", "vn", "", Named("store_missing")),
    ("events_of_no_number", "vn", "", Named("bad_events")),
    ("setup_of_ages", "v", "setup_ms = 9223372036854775", BadInput("setup_ms")),
    ("later_picture", "vn", "", Named("shows_later")),
    ("reversed_slots", "v", "", Named("slots_out_of_order")),
    ("repeats_slots", "vn", "", Named("slots_repeated")),
    ("omits_slots", "vn", "", Named("slots_missing")),
    ("shows_future", "vn", "", Named("shows_future")),
    ("wrong_side", "vn", "", Named("wrong_side")),
    ("claims_more", "vn", "", Named("received_more_than_delivered")),
    ("too_few_pictures", "vn", "", Named("store_lacks")),
    ("escape_codes", "vn", "", Named("system_failed")),
    ("not_utf8", "vn", "", Named("system_failed")),
    ("says_127", "v", "", Named("unsupported")),
    ("allows_what_is_not_there", "v", "allow = [\"pigeons\"]", BadInput("pigeons")),
];

/// A folder with the programs, a clip of noise, new in every frame, and something of value.
struct Place {
    folder: TempDir,
    mark: String,
}

const VALUE: &str = "of great value";

impl Place {
    fn new(mark: u32) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), mark: (300_000 + mark).to_string() };
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::create_dir(place.path("programs")).unwrap();
        fs::copy(here.join("tests/hostile/hostile.py"), place.path("programs/hostile.py")).unwrap();
        fs::copy(here.join("tests/hostile/plugin.py"), place.path("programs/plugin.py")).unwrap();
        fs::write(place.path("victim"), VALUE).unwrap();
        for (name, delay, playout) in [("slow", "300ms", ""), ("own", "20ms", "playout = \"own\"\n")] {
            let text = format!(
                "name = \"{name}\"\ndescription = \"{name}\"\n{playout}[forward.delay]\nbase = \"{delay}\"\n"
            );
            fs::write(place.path(&format!("{name}.toml")), text).unwrap();
        }
        let mut clip = b"YUV4MPEG2 W128 H96 F30:1 Ip A1:1 C420jpeg\n".to_vec();
        let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 25) as u8;
        for frame in 0..15 {
            clip.extend(b"FRAME\n");
            clip.extend((0..128 * 96).map(|i| 60 + noise(i + frame * 1_000_003) / 2));
            clip.extend([128; 2 * 64 * 48]);
        }
        fs::write(place.path("clip.y4m"), &clip).unwrap();
        fs::write(place.path("copy.y4m"), clip).unwrap();
        // An earlier run, beside the program.
        fs::create_dir(place.path("programs/earlier")).unwrap();
        for name in ["spec.toml", "scores.json", "rendered.rgb.units"] {
            fs::write(place.path("programs/earlier").join(name), "earlier").unwrap();
        }
        fs::hard_link(place.path("clip.y4m"), place.path("linked.y4m")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, attack: &str, lines: &str, backend: &str) -> Output {
        self.run_by(Command::new(env!("CARGO_BIN_EXE_freezeframe")), attack, lines, backend)
    }

    /// With the tool started by `command`, whose last word it is.
    fn run_by(&self, mut command: Command, attack: &str, lines: &str, backend: &str) -> Output {
        let program = self.path("programs/hostile.py");
        let setup = if lines.contains("setup_ms") { "" } else { "setup_ms = 300" };
        let scenario = lines.lines().find_map(|l| l.strip_prefix("scenario = "));
        let scenario = scenario.map_or("ge-low".to_owned(), |name| format!("./{name}.toml"));
        let lines = lines.lines().filter(|l| !l.starts_with("scenario"));
        let (lines, limits): (Vec<&str>, Vec<&str>) = lines.partition(|l| !l.starts_with("limits."));
        let describe = if lines.iter().any(|l| l.starts_with("describe")) { "" } else { "describe = false" };
        let manifest = format!(
            "name = \"hostile\"\nabout = \"\\u001b[31mred\"\ncommand = [\"python3\", {program:?}, \"{attack}\"]\ncolour_only = true\n{setup}\n{describe}\n{}\n{}\n",
            lines.join("\n"),
            limits.join("\n")
        );
        fs::write(self.path("programs/hostile.toml"), manifest).unwrap();
        command.args([
            "run",
            &scenario,
            "--system",
            "programs/hostile.toml",
            "--clip",
            "clip.y4m",
            "--size",
            "128x96",
        ]);
        command.args([
            "--metrics",
            "psnr",
            "--no-video",
            "--out",
            "out",
            "--seed",
            "3",
            "--backend",
            backend,
        ]);
        command.current_dir(self.folder.path()).env("FREEZEFRAME_CACHE", self.path("cache"));
        command.env("VICTIM", self.path("victim")).env("MARK", &self.mark);
        command.env("HARNESS", std::process::id().to_string()).env("CLIP", self.path("clip.y4m"));
        command.env("CLIP_BYTES", fs::metadata(self.path("clip.y4m")).unwrap().len().to_string());
        command.output().unwrap()
    }

    /// What a lie would have made of the run's figures, where they are wrong.
    fn figures(&self, attack: &str) -> Option<String> {
        let text = fs::read_to_string(self.path("out/scores.json")).unwrap_or_default();
        let scores: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let of = |path: &str| scores.pointer(path).and_then(serde_json::Value::as_f64);
        let (psnr, latency) = ("/streams/rgb/quality/psnr/all/mean", "/streams/rgb/latency/p50_ns");
        match attack {
            // Two frames of noise of 64 levels are 20 dB apart (64 squared / 6); one of 15 slots has the clip's own picture, of 80 dB.
            "frozen_but_perfect" if of(psnr) > Some(30.0) => Some(format!("{:?} dB", of(psnr))),
            // Slots come 150 ms after the frame clock's captures.
            "captures_15ms_late" if of(latency) < Some(149e6) => Some(format!("{:?} ns", of(latency))),
            // 15 pictures of some 700 bytes in half a second.
            "sends_after" if of("/bitrate/wire_bps") < Some(1e5) => {
                Some(format!("{:?} bit/s", of("/bitrate/wire_bps")))
            }
            _ => None,
        }
    }

    /// Names under which the run was found out, and what its processes wrote to their standard errors.
    fn outcome(&self) -> (Vec<String>, Vec<String>, String) {
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap_or_default();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
        let (scores, failure) = (json(&read("out/scores.json")), json(&read(".failed/out/failure.json")));
        let texts = |v: &serde_json::Value, key: &str| -> Vec<String> {
            let text = |w: &serde_json::Value| {
                (if key.is_empty() { w } else { &w[key] }).as_str().map(str::to_owned)
            };
            v.as_array().into_iter().flatten().filter_map(text).collect()
        };
        let mut codes = texts(&scores["warnings"], "code");
        codes.extend(failure["code"].as_str().map(str::to_owned));
        let logs = ["out", ".failed/out"]
            .iter()
            .flat_map(|d| ["system", "sender", "receiver"].map(|n| read(&format!("{d}/{n}.log"))));
        (codes, texts(&scores["health"]["problems"], ""), logs.collect())
    }
}

/// Why an attack counts as not caught; `None` if it is.
fn got_away(attack: &str, lines: &str, backend: &str, caught: Caught, number: u32) -> Option<String> {
    let place = Place::new(number);
    let output = place.run(attack, lines, backend);
    let said = [output.stderr, output.stdout].map(|t| String::from_utf8_lossy(&t).into_owned()).concat();
    let (codes, problems, logs) = place.outcome();
    let code = output.status.code();
    let all = format!("exit {code:?}, codes {codes:?}, problems {problems:?}\n{said}\n{logs}");
    let wrong = |what: &str| Some(format!("{attack} in {backend}: {what}: {all}"));
    if said.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return wrong("control characters in the terminal");
    }
    if fs::read_to_string(place.path("victim")).ok().as_deref() != Some(VALUE) {
        return wrong("the victim was written");
    }
    if Path::new("/etc/freezeframe-was-here").exists() || Path::new("/usr/bin/freezeframe-was-here").exists()
    {
        return wrong("a file elsewhere");
    }
    let left =
        [processes(&format!("sleep {}", place.mark)), processes(&place.path("programs").to_string_lossy())]
            .concat();
    if !left.is_empty() {
        return wrong("processes were left");
    }
    if fs::read_dir(place.path("."))
        .unwrap()
        .flatten()
        .any(|e| e.path().extension().is_some_and(|e| e == "partial"))
    {
        return wrong("a half-written run was left");
    }
    // A machine that is busy may make any run in namespaces invalid: that is another finding.
    let late = ["slots did not come", "the machine is too busy"];
    let busy = |p: &&String| {
        p.starts_with("the path:") || (backend == "namespaces" && late.iter().any(|words| p.contains(words)))
    };
    let own: Vec<&String> = problems.iter().filter(|p| !busy(p)).collect();
    if let Some(figures) = place.figures(attack) {
        return wrong(&format!("wrong figures: {figures}"));
    }
    match caught {
        Named(name) => {
            let expected: &[i32] = if name == "unsupported" { &[127] } else { &[1, 4] };
            let named =
                codes.iter().any(|c| c == name) || (codes.is_empty() && said.contains(&format!("[{name}]")));
            if !code.is_some_and(|c| expected.contains(&c)) || !named {
                return wrong(&format!("expected {name}"));
            }
            if code == Some(1) && place.path("out").exists() {
                return wrong("a failed run stands as one");
            }
        }
        Corrected(name) => {
            if !matches!(code, Some(0 | 4)) || !own.is_empty() || !codes.iter().any(|c| c == name) {
                return wrong(&format!("expected the warning {name}"));
            }
        }
        Refused | Honest => {
            let refused = !matches!(caught, Refused) || logs.contains("BLOCKED");
            if !matches!(code, Some(0 | 4)) || !own.is_empty() || logs.contains("SUCCEEDED") || !refused {
                return wrong("expected an ordinary run");
            }
        }
        BadInput(word) => {
            if code != Some(2) || !said.contains(word) {
                return wrong("expected a refusal");
            }
        }
    }
    None
}

fn all_are_caught(backend: &str, letter: char) {
    let only = std::env::var("FREEZEFRAME_HOSTILE").unwrap_or_default();
    let wanted = |attack: &str| only.is_empty() || only.split(',').any(|o| o == attack);
    let mut hostile = 0;
    let mut free = Vec::new();
    for (number, (attack, backends, lines, caught)) in (0..).zip(ATTACKS) {
        if !backends.contains(letter) || !wanted(attack) {
            continue;
        }
        let started = std::time::Instant::now();
        let result = got_away(attack, lines, backend, *caught, number + 1000 * u32::from(letter == 'n'));
        let mark = if result.is_none() { "ok  " } else { "FREE" };
        println!("{mark} {attack} ({:.1} s)", started.elapsed().as_secs_f64());
        hostile += usize::from(!matches!(caught, Honest));
        free.extend(result);
    }
    println!("hostile systems, {backend}: {} of {hostile} caught", hostile - free.len().min(hostile));
    assert!(free.is_empty(), "{}", free.join("\n----\n"));
}

/// False, with the reason printed, where a sandbox or the programs are not to be had.
fn possible() -> bool {
    let python =
        Command::new("python3").args(["-c", "import tomllib"]).output().is_ok_and(|o| o.status.success());
    match netns::sandbox::support() {
        _ if !python => skip!("python3", "hostile systems are written in it, and need 3.11 for tomllib"),
        _ if testing::ffmpeg().is_none() => {}
        netns::sandbox::Support::None(why) => skip!("namespaces", "no sandbox here: {why}"),
        netns::sandbox::Support::Full => return true,
    }
    false
}

#[test]
fn hostile_systems_are_caught_in_virtual_time() {
    if possible() {
        all_are_caught("virtual", 'v');
    }
}

/// In a container single files of `/etc` are mounts (Docker and podman: `hosts`, `hostname`, `resolv.conf`); a plug-in there is kept apart as
/// anywhere, and reads them.
#[test]
fn where_files_of_etc_are_mounts_plug_ins_are_kept_apart_too() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost made-for-this-test\n").unwrap();
    let mounts =
        "mount --bind \"$1\" /etc/hosts && mount --bind /etc/hostname /etc/hostname && shift && exec \"$@\"";
    for (number, (attack, backend)) in (0..).zip([("mounted_files", "virtual"), ("locks", "namespaces")]) {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "bash", "-c", mounts, "mounts"])
            .arg(&hosts)
            .arg(env!("CARGO_BIN_EXE_freezeframe"));
        let place = Place::new(9_002 + number);
        let output = place.run_by(command, attack, "", backend);
        let (codes, _, logs) = place.outcome();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 4)), "{attack}: {said} {logs}");
        assert!(logs.contains("BLOCKED") && !logs.contains("SUCCEEDED"), "{attack}: {said} {logs}");
        assert!(!codes.iter().any(|c| c == "not_isolated"), "{attack}: {said}");
    }
}

/// What a machine without namespaces and rights can do: virtual time, with its rows marked; no lab, with the reason and exit code 69.
#[test]
fn without_namespaces_rows_are_marked_and_labs_refused() {
    if !possible() {
        return;
    }
    let bare = || {
        let mut command = Command::new("unshare");
        let none = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --bounding-set=-all --no-new-privs \"$@\"";
        command.args(["-Ur", "bash", "-c", none, "bare", env!("CARGO_BIN_EXE_freezeframe")]);
        command
    };
    let works = bare().arg("--version").output();
    if !works.as_ref().is_ok_and(|o| o.status.success()) {
        return skip!("namespaces", "no namespace in which there are none: {works:?}");
    }
    let place = Place::new(9_000);
    let output = place.run_by(bare(), "honest", "", "virtual");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let (codes, problems, _) = place.outcome();
    assert_eq!(output.status.code(), Some(0), "{problems:?} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(codes, ["not_isolated"]);
    assert!(
        table.contains("hostile ‡ §") && table.contains("§ a plug-in on a machine without namespaces"),
        "{table}"
    );
    let place = Place::new(9_001);
    let output = place.run_by(bare(), "honest", "", "namespaces");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(contract::exit::UNAVAILABLE), "{said}");
    assert!(said.contains("max_user_namespaces") && said.contains("run as root"), "{said}");
}

#[test]
fn ns_hostile_systems_are_caught_in_namespaces() {
    if netns::privilege().is_none() {
        return skip!("namespaces", "network namespaces are not permitted here");
    }
    if possible() {
        all_are_caught("namespaces", 'n');
    }
}
