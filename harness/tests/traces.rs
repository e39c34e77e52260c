//! `freezeframe trace` from outside: what it says of files as people have them, conversions, and commands that the installed tc takes.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn tool(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_freezeframe")).args(words).current_dir(folder).output().unwrap()
}

fn good(folder: &Path, words: &[&str]) -> (String, String) {
    let Output { status, stdout, stderr } = tool(folder, words);
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(status.code(), Some(0), "{words:?}: {stderr}");
    (stdout, stderr)
}

fn whole(folder: &Path, file: &str) -> Value {
    let (json, _) = good(folder, &["trace", "info", file, "--json"]);
    serde_json::from_str::<Value>(&json).unwrap()
}

#[test]
fn info_says_kind_length_rate_and_outages() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    // 2 Mbit/s for a second, nothing for a second: 1 Mbit/s in the mean.
    fs::write(at.join("a.log"), "\u{feff}0.0 2 20.0ms 0\r\n1.0 0 20ms 0\r\n").unwrap();
    fs::write(at.join("a.csv"), "Time (ms);Bandwidth (kbps);lat\n1700000000000;2000;1\n1700000001000;0;1\n")
        .unwrap();
    for (file, kind) in [("a.log", "revo"), ("a.csv", "csv")] {
        let info = whole(at, file);
        assert_eq!(info["format"], kind);
        let whole = &info["whole"];
        for (key, value) in [
            ("length_ns", 2_000_000_000u64),
            ("rows", 2),
            ("rate_mean_bps", 1_000_000),
            ("outages", 1),
            ("outage_total_ns", 1_000_000_000),
            ("longest_outage_ns", 1_000_000_000),
        ] {
            assert_eq!(whole[key], value, "{file} {key}");
        }
    }
    let (text, _) = good(at, &["trace", "info", "a.csv"]);
    for words in [
        "a table with a header (csv)",
        "2s, 2 rows",
        "mean 1Mbit",
        "1, 1s in all",
        "a time since 1970",
        "left out: lat",
    ] {
        assert!(text.contains(words), "{words:?} is missing in {text}");
    }
    let (text, _) = good(at, &["trace", "info", "cellular"]);
    assert!(text.contains("packet deliveries") && text.contains("8537 deliveries of 1500 bytes"), "{text}");
}

#[test]
fn an_outage_at_the_end_survives_export_and_import() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("end.log"), "0.0 2 20.0ms 0\n1.0 0 20ms 0\n").unwrap();
    let (_, said) = good(at, &["trace", "export", "end.log", "-o", "end.down"]);
    assert!(said.contains("moved from 996 ms to the end at 2000 ms"), "{said}");
    let info = whole(at, "end.down");
    // 166 times 1500 bytes fit into 2 Mbit.
    assert_eq!(
        (&info["whole"]["length_ns"], &info["whole"]["rate_mean_bps"]),
        (&2_000_000_000u64.into(), &996_000u64.into())
    );
    assert_eq!(info["whole"]["longest_outage_ns"], 1_010_000_000u64);
    good(at, &["trace", "import", "end.down", "-o", "again.log"]);
    let info = whole(at, "again.log");
    assert_eq!(info["whole"]["length_ns"], 2_000_000_000u64);
    assert_eq!(info["whole"]["longest_outage_ns"], 900_000_000u64);
    fs::write(at.join("two"), "0.0 2\n0.5 3e0\n").unwrap();
    let (text, _) = good(at, &["trace", "import", "two", "--columns", "time_s,rate_mbps"]);
    assert_eq!(text, "0.000 2.00 0.0ms 0.00\n0.500 3.00 0.0ms 0.00\n");
}

/// The commands of every scenario and option, given to the installed tc in a namespace of their own: it may say what this kernel lacks, but
/// there must be no word that it does not know.
#[test]
fn the_installed_tc_takes_every_word() {
    let isolated = || Command::new("unshare");
    if !isolated().args(["-rn", "tc", "-V"]).output().is_ok_and(|o| o.status.success()) {
        return testing::skip!("namespaces", "`unshare -rn tc -V` fails");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut scenarios: Vec<String> =
        contract::Scenario::shipped().into_iter().map(|s| s.name.to_string()).collect();
    let options = Path::new(env!("CARGO_MANIFEST_DIR")).join("../netns/link/tests/model/tc");
    for entry in fs::read_dir(options).unwrap() {
        scenarios.push(entry.unwrap().path().to_str().unwrap().to_owned());
    }
    let mut commands = 0;
    for scenario in &scenarios {
        for direction in ["forward", "reverse"] {
            let (script, _) =
                good(dir.path(), &["trace", "tc", scenario, "--direction", direction, "--dev", "lo"]);
            let mut batch: Vec<&str> = script.lines().filter_map(|l| l.strip_prefix("tc ")).collect();
            batch.truncate(40);
            commands += batch.len();
            fs::write(dir.path().join("batch"), batch.join("\n") + "\n").unwrap();
            let tried = isolated()
                .args(["-rn", "tc", "-force", "-batch", "batch"])
                .current_dir(dir.path())
                .output()
                .unwrap();
            let said =
                String::from_utf8_lossy(&tried.stderr).into_owned() + &String::from_utf8_lossy(&tried.stdout);
            // What iproute2 says of words that it does not take; what the kernel says begins with "Error:" or "RTNETLINK answers:".
            for refusal in
                ["What is", "Illegal", "Usage", "Unknown", "Invalid", "argument", "required", "garbage"]
            {
                assert!(!said.contains(refusal), "{scenario} {direction}: {refusal}\n{said}\n{script}");
            }
            let usage = isolated()
                .args(["-rn", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "help"])
                .output()
                .unwrap();
            let knows = String::from_utf8_lossy(&usage.stderr).contains("seed");
            assert_eq!(
                script.lines().any(|l| l.starts_with("tc ") && l.contains(" seed ")),
                knows && script.contains("netem"),
                "{script}"
            );
        }
    }
    assert!(commands > 100, "{commands}");
    let (newest, _) = good(dir.path(), &["trace", "tc", "ge-high-packet", "--newest"]);
    assert!(newest.contains(" seed "), "{newest}");
}
