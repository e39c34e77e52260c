//! Damage to a finished run is noticed by everything that reads it: no number of a damaged run is printed, and a sweep repairs it.

use contract::seal::Seal;
use serde_json::Value;
use std::fs;
use std::path::Path;
use testing::{Place, Said, moving_y4m};

const EVIDENCE: [&str; 5] =
    ["spec.toml", "events.jsonl", "fates.jsonl", "rendered.rgb.units", contract::seal::FILE_NAME];
const RESULTS: [&str; 2] = ["frames.csv", "scores.json"];
const DAMAGES: [&str; 4] = ["changed", "cut off", "emptied", "removed"];

fn tool(place: &Place, words: &[&str]) -> Said {
    place.said(env!("CARGO_BIN_EXE_freezeframe"), words)
}

fn sweep(place: &Place) -> Said {
    tool(
        place,
        &["sweep", "plan.toml", "--clip", "clip.y4m", "--size", "64x48", "--out", "runs", "--no-video"],
    )
}

/// A folder with a plan of one short run, done.
fn swept() -> (Place, String) {
    let place = Place::new();
    place.write("clip.y4m", moving_y4m((64, 48), 8, 1));
    place.write(
        "plan.toml",
        "name='p'\n[[block]]\nseeds=[1]\nsystems=['vp8-ulpfec']\nscenarios=['ge-high']\n",
    );
    let said = sweep(&place);
    assert_eq!(said.code, 0, "{}", said.err);
    let runs = freezeframe::score::run_dirs(&place.path("runs")).unwrap();
    assert_eq!(runs.len(), 1);
    let run = runs[0].to_str().unwrap().to_owned();
    (place, run)
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn damage(path: &Path, how: &str) {
    let mut content = fs::read(path).unwrap();
    let middle = content.len() / 2;
    match how {
        "changed" => content[middle] ^= 1,
        "cut off" => content.truncate(middle),
        "emptied" => content.clear(),
        _ => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, content).unwrap();
}

#[test]
fn every_reader_notices_every_damage() {
    let (place, run) = swept();
    let (whole, hurt) = (Path::new(&run), place.path("hurt/run"));
    for file in EVIDENCE.iter().chain(&RESULTS) {
        for how in DAMAGES {
            copy(whole, &hurt);
            damage(&hurt.join(file), how);
            let result = RESULTS.contains(file);
            for (words, reads_results) in [
                (&["report", "hurt/run", "--no-files"][..], true),
                (&["report", "hurt", "--no-files", "--format", "csv"][..], true),
                (&["budget", "hurt/run"][..], true),
                (&["diff", "hurt/run", &run][..], true),
                (&["diff", &run, "hurt"][..], true),
                (&["power", "hurt/run", "--metric", "psnr_mean_db"][..], true),
                (&["why", "hurt/run"][..], false),
                (&["score", "hurt/run"][..], false),
            ] {
                if result && !reads_results {
                    continue; // it does not read them, or makes them
                }
                let said = tool(&place, words);
                let about = format!("{file} {how}, {words:?}: {} {}{}", said.code, said.out, said.err);
                assert_eq!((said.code, said.out.as_str()), (2, ""), "{about}");
                let remedy = said.err.contains("freezeframe score") || said.err.contains("again");
                assert!(said.err.contains(file) && remedy, "{about}");
                assert_eq!(said.err.lines().filter(|l| l.starts_with("freezeframe:")).count(), 1, "{about}");
            }
        }
    }
    // The files as they are, by the user's own word.
    copy(whole, &hurt);
    let events = fs::read_to_string(hurt.join("events.jsonl")).unwrap();
    fs::write(hurt.join("events.jsonl"), events.replace("\"rendered\"", "\"concealed\"")).unwrap();
    assert_eq!(tool(&place, &["score", "hurt/run"]).code, 2);
    assert_eq!(tool(&place, &["score", "hurt/run", "--reseal"]).code, 0);
    assert_eq!(tool(&place, &["report", "hurt/run", "--no-files"]).code, 0);
}

#[test]
fn a_damaged_run_is_left_out_of_the_others_table_and_the_exit_code_says_so() {
    let place = Place::new();
    place.write("clip.y4m", moving_y4m((64, 48), 8, 1));
    place.write(
        "two.toml",
        "name='p'\n[[block]]\nseeds=[1,2]\nsystems=['vp8-ulpfec']\nscenarios=['ge-high']\n",
    );
    for out in ["all", "same"] {
        let words =
            ["sweep", "two.toml", "--clip", "clip.y4m", "--size", "64x48", "--out", out, "--no-video"];
        let _ = tool(&place, &words).well();
    }
    let report = ["report", "all", "--no-files", "--format", "csv"];
    assert_eq!(tool(&place, &report).code, 0);
    let hurt = freezeframe::score::run_dirs(&place.path("all")).unwrap().pop().unwrap();
    damage(&hurt.join("events.jsonl"), "cut off");
    let said = tool(&place, &report);
    assert_eq!(said.code, 4, "{}", said.err);
    let named = said.err.lines().find(|l| l.contains("left out: ")).unwrap_or_default();
    assert!(named.contains("seed-2") && named.contains("events.jsonl: has changed"), "{}", said.err);
    let runs = said.out.lines().nth(1).unwrap().split(',').nth(3).unwrap().to_owned();
    assert_eq!(runs, "1");
    // A missing half of a comparison is a difference.
    assert_eq!(tool(&place, &["diff", "same", "all", "--common"]).code, 3);
    assert_eq!(tool(&place, &["budget", "all"]).code, 4);
}

#[test]
fn a_sweep_mends_what_is_damaged_with_one_line_each_and_then_rests() {
    let (place, run) = swept();
    let run = Path::new(&run);
    let scores = fs::read(run.join("scores.json")).unwrap();
    for file in EVIDENCE.iter().chain(&RESULTS) {
        for how in DAMAGES {
            damage(&run.join(file), how);
            let said = sweep(&place);
            assert_eq!(said.code, 0, "{file} {how}: {}", said.err);
            let word = if RESULTS.contains(file) { "scored again: " } else { "again: " };
            let lines: Vec<&str> = said.err.lines().filter(|l| l.contains("again")).collect();
            assert!(
                lines.len() == 1 && lines[0].starts_with(word) && lines[0].contains(file),
                "{how}: {lines:?}"
            );
            assert_eq!(fs::read(run.join("scores.json")).unwrap(), scores, "{file} {how}");
            let said = sweep(&place);
            assert!(said.code == 0 && !said.err.contains("again"), "{file} {how}: {}", said.err);
        }
    }
}

#[test]
fn values_that_cannot_be_are_refused_by_field_even_if_the_seal_fits() {
    let (place, run) = swept();
    let hurt = place.path("hurt");
    let rewrite = |from: &str, to: &str| {
        copy(Path::new(&run), &hurt);
        let text = fs::read_to_string(hurt.join("scores.json")).unwrap();
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert!(parsed.pointer(from).is_some(), "{from}");
        // The one place of the field: its last name, in the object that its path leads to.
        let mut at = 0;
        for name in from.split('/').skip(1) {
            at += text[at..].find(&format!("\"{name}\":")).unwrap();
        }
        let at = at + text[at..].find(':').unwrap() + 1;
        let end = at + text[at..].find([',', '\n', '}']).unwrap();
        let changed = format!("{} {to}{}", &text[..at], &text[end..]);
        let frames = fs::read(hurt.join("frames.csv")).unwrap();
        let mut seal = Seal::read(&hurt).unwrap();
        seal.add_results(&hurt, &frames, changed.as_bytes()).unwrap();
        fs::write(hurt.join("scores.json"), changed).unwrap();
    };
    for (field, value, said) in [
        ("/streams/rgb/quality/ssim/all/mean", "7.0", "streams.rgb.quality.ssim.all.mean"),
        ("/streams/rgb/quality/ssim/all/mean", "NaN", "mean"),
        ("/streams/rgb/quality/psnr/all/mean", "-3.5", "streams.rgb.quality.psnr.all.mean"),
        ("/streams/rgb/quality/psnr/all/max", "1e999", "max"),
        ("/streams/rgb/quality/psnr/all/p5", "79.5", "streams.rgb.quality.psnr.all"),
        ("/streams/rgb/frozen", "-1", "streams.rgb.frozen"),
        ("/streams/rgb/rendered", "4000000000", "streams.rgb.rendered"),
        ("/streams/rgb/non_rendered_play_percent", "140.0", "streams.rgb.non_rendered_play_percent"),
        ("/streams/rgb/freezes/stall200/ratio", "1.2", "streams.rgb.freezes.stall200.ratio"),
        ("/streams/rgb/latency/p50_ns", "99999999999999", "streams.rgb.latency"),
        ("/network/forward/realised_loss", "1.5", "network.forward.realised_loss"),
        ("/network/forward/delivered", "1000000", "network.forward.delivered"),
        ("/bitrate/redundancy", "-0.5", "bitrate.redundancy"),
    ] {
        rewrite(field, value);
        for words in [&["report", "hurt", "--no-files"][..], &["budget", "hurt"], &["diff", "hurt", &run]] {
            let answer = tool(&place, words);
            let about = format!("{field} = {value}, {words:?}: {}{}", answer.out, answer.err);
            assert_eq!((answer.code, answer.out.as_str()), (2, ""), "{about}");
            for word in ["hurt/scores.json", said, "run `freezeframe score`"] {
                assert!(answer.err.contains(word), "{word} is missing: {about}");
            }
        }
    }
    // The same in the table of frames.
    copy(Path::new(&run), &hurt);
    let frames = fs::read_to_string(hurt.join("frames.csv")).unwrap();
    let ssim = frames.lines().next().unwrap().split(',').position(|c| c == "ssim").unwrap();
    let lines: Vec<String> = frames
        .lines()
        .enumerate()
        .map(|(i, line)| {
            let mut cells: Vec<&str> = line.split(',').collect();
            if i == 3 {
                cells[ssim] = "7";
            }
            cells.join(",")
        })
        .collect();
    let changed = lines.join("\n") + "\n";
    let scores = fs::read(hurt.join("scores.json")).unwrap();
    Seal::read(&hurt).unwrap().add_results(&hurt, changed.as_bytes(), &scores).unwrap();
    fs::write(hurt.join("frames.csv"), changed).unwrap();
    let answer = tool(&place, &["report", "hurt", "--no-files"]);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains("line 4: column ssim: `7` makes no sense"), "{}", answer.err);
}
