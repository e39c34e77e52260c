//! The tc commands of every option. The same files go to a real kernel with a real tc: `netns/netem-vm`.

use crate::specs::spec;
use link::*;
use std::fmt::Write;
use std::path::Path;

/// The two directions of every file in `tests/model/tc`.
fn cases() -> Vec<(String, String, LinkSpec)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/tc");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let table: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        for direction in ["forward", "reverse"] {
            if let Some(link) = table.get(direction) {
                cases.push((name.clone(), direction.to_owned(), spec(&toml::to_string(link).unwrap())));
            }
        }
    }
    cases.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    cases
}

#[test]
fn commands_of_every_option() {
    let mut text = String::new();
    for (name, direction, spec) in cases() {
        let script =
            tc_script(&spec, "eth0", 7).unwrap_or_else(|e| panic!("{name} {direction}: {e}")).to_string();
        let _ = writeln!(text, "## {name}, {direction}");
        // Of a long trace the beginning.
        let lines: Vec<&str> = script.lines().collect();
        lines.iter().take(16).for_each(|l| _ = writeln!(text, "{l}"));
        if lines.len() > 16 {
            let _ = writeln!(text, "... {} lines in all", lines.len());
        }
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}

/// A link that tc can do says nothing about differences; one that it cannot names each.
#[test]
fn differences_are_said_where_there_are_some() {
    let differences = |text: &str| tc_script(&spec(text), "eth0", 1).unwrap().differences;
    let none: &[&str] = &[
        "",
        "delay = { base = \"20ms\" }",
        "model = \"netem\"\nloss = { model = \"random\", probability = \"1%\" }\nduplicate = \"1%\"\ncorrupt = \"1%\"",
        "model = \"netem\"\ndelay = { base = \"20ms\", jitter = \"5ms\", reorder = true }",
        "overhead = \"14B\"\nbottleneck = { rate = \"1Mbit\", burst = \"1540B\", queue = \"6000B\" }",
        "overhead = \"14B\"\nbottleneck = { rate = \"1Mbit\", burst = \"1540B\", debt = true, queue = \"50p\" }",
    ];
    for text in none {
        assert_eq!(differences(text), Vec::<String>::new(), "{text}");
    }
    let some = [
        ("loss = { model = \"random\", probability = \"1%\" }", "other random numbers"),
        ("corrupt = \"1%\"", "other random numbers"),
        ("loss = { model = \"pattern\", pattern = \".x\" }", "pattern"),
        (
            "delay = { base = \"trace\" }\ntrace = { shipped = \"step-down\", format = \"revo\", duration = \"5s\" }",
            "overtake",
        ),
        ("bottleneck = { rate = \"1Mbit\", burst = \"1540B\", queue = \"6000B\" }", "Ethernet"),
        ("overhead = \"14B\"\nbottleneck = { rate = \"1Mbit\", queue = \"6000B\" }", "hold a frame"),
        (
            "overhead = \"14B\"\nbottleneck = { rate = \"1Mbit\", burst = \"1540B\", queue = \"9p\" }",
            "in bytes",
        ),
        (
            "overhead = \"14B\"\nbottleneck = { rate = \"1Mbit\", burst = \"1540B\", queue = \"90ms\" }",
            "in time",
        ),
    ];
    for (text, words) in some {
        let said = differences(text);
        assert!(said.len() == 1 && said[0].contains(words), "{text}: {said:?}");
    }
}

/// Seeds of later rows are those of the model, so that the script's fates can be predicted.
#[test]
fn rows_are_seeded_as_the_model_seeds_them() {
    let text = "model = \"netem\"\nloss = { model = \"trace\" }\ntrace = { shipped = \"wifi-lossy\", format = \"revo\" }";
    let script = tc_script(&spec(text), "eth0", 99).unwrap();
    let seeds: Vec<&str> = script.commands.iter().filter_map(|c| Some(c.rsplit_once(" seed ")?.1)).collect();
    assert_eq!(seeds.len(), 4000);
    for played in [0, 1, 2, 3999] {
        assert_eq!(seeds[played], row_seed(99, played as u64).to_string());
    }
}
