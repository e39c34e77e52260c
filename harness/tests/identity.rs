//! No result is taken for another's: runs are told apart by content, and what has changed is noticed and named.

use contract::{RunKey, RunSpec};
use std::fs;
use std::path::{Path, PathBuf};

testing::place!(Place);

/// A plug-in around `hostile/plugin.py`: it describes itself, with what `encoder.txt` says of an encoder.
const WRAPPER: &str = r#"#!/bin/sh
# revision 1
if [ "$1" = describe ]; then
    echo "{\"setup_ms\":300,\"options\":{},\"identity\":{\"encoders\":{\"mine\":\"$(cat encoder.txt)\"}}}"
else
    exec python3 plugin.py "$@"
fi
"#;

impl Place {
    fn new() -> Self {
        Self(testing::Place::new())
    }

    /// A moving picture of 64x48; `kind` is another motion.
    fn clip(&self, name: &str, kind: u32) -> PathBuf {
        self.write(name, testing::moving_y4m((64, 48), 8, kind))
    }

    fn wrapper(&self) {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/plugin.py");
        self.write("plugin.py", fs::read(example).unwrap());
        self.write("mine.sh", WRAPPER);
        self.write("encoder.txt", "1.0");
        self.write(
            "mine.toml",
            "name='mine'\nabout='a wrapper'\ncommand=['sh','mine.sh']\ndescribe=true\ncolour_only=true\n",
        );
    }

    /// Exit code, standard output and standard error.
    fn tool(&self, arguments: &[&str]) -> (i32, String, String) {
        let said = self.said(env!("CARGO_BIN_EXE_freezeframe"), arguments);
        (said.code, said.out, said.err)
    }

    fn done(&self, arguments: &[&str]) -> (String, String) {
        let (code, out, err) = self.tool(arguments);
        assert_eq!(code, 0, "{arguments:?}: {err}{out}");
        (out, err)
    }

    /// A sweep of one system over `clip`: its standard error.
    fn sweep(&self, system: &str, more: &[&str]) -> String {
        self.write("p.toml", format!("name='p'\n[[block]]\nsystems=['{system}']\nscenarios=['./s.toml']\n"));
        if !self.path("s.toml").exists() {
            self.write("s.toml", "name='s'\ndescription=''\n");
        }
        let sweep = ["sweep", "./p.toml", "--clip", "a.y4m", "--size", "64x48", "--out", "out", "--no-video"];
        self.done(&[&sweep[..], more].concat()).1
    }

    /// Every run directory below `folder`.
    fn runs(&self, folder: &str) -> Vec<PathBuf> {
        fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
            if dir.join("spec.toml").is_file() {
                return into.push(dir.to_owned());
            }
            let mut entries: Vec<PathBuf> = fs::read_dir(dir)
                .into_iter()
                .flatten()
                .map(|e| e.unwrap().path())
                .filter(|p| p.is_dir())
                .collect();
            entries.sort();
            entries.iter().for_each(|entry| walk(entry, into));
        }
        let mut found = Vec::new();
        walk(&self.path(folder), &mut found);
        found
    }
}

fn key(run: &Path) -> RunKey {
    let key = RunKey::of(&RunSpec::read(run).unwrap());
    let scores = contract::Scores::read(&run.join("scores.json")).unwrap();
    assert_eq!(scores.key, key, "scores.json and spec.toml say the same");
    key
}

/// Clips of one name, sizes, lengths, rates, scenarios of one name, play-out, seeds, options: a directory each, a row each (seeds
/// together), nothing averaged or overwritten.
#[test]
fn what_differs_has_a_directory_and_a_row_of_its_own() {
    let place = Place::new();
    for (name, kind) in [("anna/talk.y4m", 1), ("ben/talk.y4m", 2), ("Käthe's talk.y4m", 3)] {
        place.clip(name, kind);
    }
    let scenario = |loss: &str, playout: &str| {
        format!(
            "name='s'\ndescription=''\nplayout='{playout}'\n[forward.loss]\nmodel='random'\nprobability='{loss}'\n"
        )
    };
    place.write("one/s.toml", scenario("0%", "150ms"));
    place.write("two/s.toml", scenario("20%", "150ms"));
    place.write("three/s.toml", scenario("0%", "250ms"));
    let base = ["--clip", "anna/talk.y4m", "--size", "64x48", "--frames", "6"];
    let variants: [(&str, &[&str]); 10] = [
        ("one/s.toml", &[]),
        ("one/s.toml", &["--seed", "2"]),
        ("two/s.toml", &[]),
        ("three/s.toml", &[]),
        ("one/s.toml", &["--clip", "ben/talk.y4m"]),
        ("one/s.toml", &["--clip", "Käthe's talk.y4m"]),
        ("one/s.toml", &["--size", "32x32"]),
        ("one/s.toml", &["--frames", "5"]),
        ("one/s.toml", &["--fps", "15", "--frames", "4"]),
        ("one/s.toml", &["--option", "qp=40"]),
    ];
    for (scenario, change) in variants {
        let mut words = vec!["run", scenario, "--system", "revo-h264", "--no-video", "--metrics", "psnr"];
        let changed = |flag: &str| change.contains(&flag);
        words.extend(base.chunks(2).filter(|pair| !changed(pair[0])).flatten());
        words.extend(change);
        place.done(&words);
    }
    let runs = place.runs("runs");
    assert_eq!(runs.len(), variants.len(), "{runs:?}");
    let keys: std::collections::BTreeSet<RunKey> = runs.iter().map(|r| key(r)).collect();
    assert_eq!(keys.len(), variants.len());
    assert!(runs.iter().any(|r| r.to_str().unwrap().contains("/K_the_s_talk/")), "{runs:?}");
    let table = place.done(&["report", "runs", "--format", "csv", "--no-files"]).0;
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!(rows.len(), variants.len() - 1, "the two seeds are one row, everything else its own\n{table}");
    let names = |row: &str| row.split(',').take(3).collect::<Vec<_>>().join(",");
    let distinct: std::collections::BTreeSet<String> = rows.iter().map(|r| names(r)).collect();
    assert_eq!(distinct.len(), rows.len(), "no two rows read alike\n{table}");
    assert!(table.contains("Käthe's talk"), "people see the clip's own name\n{table}");
    // The same command again is the same run in the same place.
    place.done(&[
        "run",
        "one/s.toml",
        "--system",
        "revo-h264",
        "--no-video",
        "--metrics",
        "psnr",
        "--clip",
        "anna/talk.y4m",
        "--size",
        "64x48",
        "--frames",
        "6",
    ]);
    assert_eq!(place.runs("runs"), runs);
}

/// A file changes between two sweeps: which, and how the sweep calls it.
fn noticed(place: &Place, system: &str, change: &dyn Fn(), words: &[&str]) {
    let first = place.sweep(system, &[]);
    assert!(!first.contains("again:"), "{first}");
    let [before] = &place.runs("out")[..] else { panic!("{:?}", place.runs("out")) };
    let same = place.sweep(system, &[]);
    assert!(!same.contains("again:"), "nothing changed: {same}");
    change();
    let kept = place.sweep(system, &["--keep-stale"]);
    assert!(words.iter().all(|w| kept.contains(w)) && kept.contains("kept:"), "{kept}");
    assert_eq!(place.runs("out"), std::slice::from_ref(before), "nothing ran");
    let table = place.done(&["report", "out", "--format", "markdown"]).0;
    assert!(table.contains("(stale)"), "{table}");
    let page = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(page.contains("(stale)"));
    let details = fs::read_to_string(before.join("report-details.js")).unwrap();
    assert!(details.contains("Kept although it is stale"));
    let again = place.sweep(system, &[]);
    assert!(words.iter().all(|w| again.contains(w)) && again.contains("again:"), "{again}");
    let [after] = &place.runs("out")[..] else { panic!("{:?}", place.runs("out")) };
    assert!(!place.done(&["report", "out", "--format", "markdown"]).0.contains("(stale)"));
    assert!(!after.join("stale.txt").exists());
    let quiet = place.sweep(system, &[]);
    assert!(!quiet.contains("again:"), "{quiet}");
}

#[test]
fn a_changed_plug_in_is_noticed() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    place.wrapper();
    let text = fs::read_to_string(place.path("mine.sh")).unwrap();
    let change = || {
        place.write("mine.sh", text.replace("revision 1", "revision 2"));
    };
    noticed(&place, "./mine.toml", &change, &["system program changed:", "mine.sh", " -> "]);
}

#[test]
fn a_changed_encoder_is_noticed() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    place.wrapper();
    let change = || {
        place.write("encoder.txt", "1.1");
    };
    noticed(&place, "./mine.toml", &change, &["encoder changed: mine 1.0 -> 1.1"]);
}

#[test]
fn a_changed_manifest_is_noticed() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    place.wrapper();
    let change = || {
        place.write(
            "mine.toml",
            "name='mine'\nabout='a wrapper'\ncommand=['sh','mine.sh']\ndescribe=true\ncolour_only=true\nready_timeout_s=9\n",
        );
    };
    noticed(&place, "./mine.toml", &change, &["manifest changed:", " -> "]);
}

#[test]
fn a_changed_clip_is_noticed() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    let change = || {
        place.clip("a.y4m", 2);
    };
    noticed(&place, "revo-h264", &change, &["clip content changed:", " -> "]);
}

#[test]
fn a_changed_scenario_is_noticed() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    let change = || {
        place
            .write("s.toml", "name='s'\ndescription=''\n[forward.loss]\nmodel='random'\nprobability='30%'\n");
    };
    noticed(&place, "revo-h264", &change, &["scenario content changed:", " -> "]);
}

#[test]
fn changed_weights_are_noticed() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights");
    for network in ["tokenizer", "recovery"] {
        let name = format!("reparo-{network}-lite.safetensors");
        place.write(&format!("weights/{name}"), fs::read(shipped.join(name)).unwrap());
    }
    let weights = place.path("weights/reparo-tokenizer-lite.safetensors");
    let sweep = || {
        place.write(
            "p.toml",
            format!(
                "name='p'\n[[block]]\nsystems=['reparo']\nscenarios=['clean']\nframes=2\noptions=['weights={}', 'fill=copy']\n",
                place.path("weights").display()
            ),
        );
        let words = ["sweep", "./p.toml", "--clip", "a.y4m", "--size", "64x48", "--out", "out", "--no-video"];
        place.done(&[&words[..], &["--metrics", "psnr"]].concat()).1
    };
    assert!(!sweep().contains("again:"));
    assert!(!sweep().contains("again:"));
    let mut bytes = fs::read(&weights).unwrap();
    let low = bytes.len() - 4;
    bytes[low] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let said = sweep();
    assert!(
        said.contains("weights changed: reparo-tokenizer-lite.safetensors") && said.contains(" -> "),
        "{said}"
    );
    assert_eq!(place.runs("out").len(), 1);
}

/// What is asked of the scores decides whether a finished run is scored again; nothing runs again for it.
#[test]
fn scores_that_lack_something_are_made_again() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    place.sweep("revo-h264", &[]);
    let [run] = &place.runs("out")[..] else { panic!() };
    let ran = fs::metadata(run.join("events.jsonl")).unwrap().modified().unwrap();
    let scores = run.join("scores.json");
    let whole = fs::read_to_string(&scores).unwrap();
    let scored_again = |more: &[&str], why: &str| {
        let said = place.sweep("revo-h264", more);
        assert!(said.contains("scored again:") && said.contains(why), "{why}: {said}");
        assert!(!place.sweep("revo-h264", more).contains("scored again"), "once is enough");
        assert_eq!(
            fs::metadata(run.join("events.jsonl")).unwrap().modified().unwrap(),
            ran,
            "it did not run again"
        );
    };
    for (damage, why) in [
        (String::new(), "failed to read"),
        (whole[..whole.len() / 2].to_owned(), "failed to read"),
        ("{\"schema\": 1}".to_owned(), "schema 1"),
        (whole.replace("\"code\": \"", "\"code\": \"0"), "the code or the libraries"),
    ] {
        fs::write(&scores, damage).unwrap();
        scored_again(&[], why);
    }
    fs::remove_file(&scores).unwrap();
    scored_again(&[], "no scores.json");
    scored_again(&["--metrics", "default,ssim_full"], "lacks ssim_full");
    assert!(!place.sweep("revo-h264", &[]).contains("scored again"), "what it has more is no reason");
    // A metric without weights has no value; the weights' arrival is news.
    fs::create_dir(place.path("nets")).unwrap();
    let lpips = ["--metrics", "lpips_squeeze", "--lpips-weights", "nets"];
    scored_again(&lpips, "lacks lpips_squeeze");
    let name = freezeframe_net_file();
    place.write(&format!("nets/{name}"), "no weights, but other than none");
    scored_again(&lpips, "lpips_squeeze with");
    assert!(fs::read_to_string(&scores).unwrap().contains("ssim_full"), "scoring again loses no metric");
}

fn freezeframe_net_file() -> &'static str {
    metrics::lpips::Net::Squeeze.file()
}

#[test]
fn a_replaced_clip_is_not_scored_against() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    place.clip("d.y4m", 1);
    let run =
        ["run", "clean", "--system", "revo-h264", "--clip", "a.y4m", "--depth", "d.y4m", "--size", "64x48"];
    place.done(&[&run[..], &["--out", "r", "--no-video", "--metrics", "psnr"]].concat());
    let scores = fs::read(place.path("r/scores.json")).unwrap();
    for replaced in ["a.y4m", "d.y4m"] {
        let sent = fs::read(place.path(replaced)).unwrap();
        place.clip(replaced, 2);
        let (code, _, said) = place.tool(&["score", "r", "--metrics", "psnr"]);
        assert_eq!(code, 2, "{said}");
        for word in [replaced, "has changed since the run", "Put the file back", "--allow-changed-clip"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert_eq!(fs::read(place.path("r/scores.json")).unwrap(), scores, "nothing was lost");
        // With what the cache knows of the clip that was sent and without it: the same values, of the clip as it is, and marked.
        let score = |more: &[&str]| {
            let words = ["score", "r", "--metrics", "psnr", "--allow-changed-clip"];
            let (code, _, said) = place.tool(&[&words[..], more].concat());
            assert!(code == 0 || code == 4, "{said}");
            fs::read_to_string(place.path("r/scores.json")).unwrap()
        };
        let (known, anew) = (score(&[]), score(&["--no-cache"]));
        assert_eq!(known, anew);
        assert!(known.contains("\"another_clip\"") && known.as_bytes() != scores);
        place.write(replaced, sent);
        place.done(&["score", "r", "--metrics", "psnr"]);
        assert_eq!(fs::read(place.path("r/scores.json")).unwrap(), scores);
    }
}

/// A byte that flips anywhere in the cache changes no result.
#[test]
fn a_damaged_cache_changes_no_result() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    let run = || {
        place.done(&[
            "run",
            "ge-high",
            "--system",
            "revo-h264",
            "--clip",
            "a.y4m",
            "--size",
            "64x48",
            "--out",
            "r",
            "--no-video",
        ]);
        ["events.jsonl", "fates.jsonl", "frames.csv", "scores.json"]
            .map(|f| fs::read(place.path("r").join(f)).unwrap())
    };
    let first = run();
    let mut files = Vec::new();
    let mut folders = vec![place.path("cache")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|f| fs::metadata(f).unwrap().len() > 0);
    assert!(files.iter().any(|f| f.extension().is_some_and(|e| e == "units")), "{files:?}");
    for round in 0..3 {
        for file in &files {
            let Ok(mut bytes) = fs::read(file) else { continue };
            let at = (bytes.len() - 1) * round / 2;
            bytes[at] ^= 0x10;
            fs::write(file, bytes).unwrap();
        }
        assert!(run() == first, "round {round}");
    }
}

#[test]
fn a_damaged_embedded_clip_is_rendered_again() {
    let place = Place::new();
    let run = |out: &str| {
        let said = place
            .done(&[
                "run",
                "clean",
                "--system",
                "vp8-ulpfec",
                "--size",
                "64x64",
                "--frames",
                "2",
                "--out",
                out,
                "--no-video",
                "--no-score",
            ])
            .1;
        (said, RunSpec::read(&place.path(out)).unwrap().clip)
    };
    let (_, first) = run("a");
    assert!(!run("b").0.contains("damaged"));
    let mut bytes = fs::read(&first.rgb).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&first.rgb, bytes).unwrap();
    let (said, again) = run("c");
    assert!(said.contains("is damaged: rendering the clip again"), "{said}");
    assert_eq!(again.hash, first.hash);
}

#[test]
fn names_never_lead_elsewhere() {
    let place = Place::new();
    place.clip("a.y4m", 1);
    place.wrapper();
    for name in ["../../out", "/tmp/x", "", "a b", ".", "revo-h264"] {
        place.write("bad.toml", format!("name='{name}'\nabout=''\ncommand=['sh','mine.sh']\n"));
        let (code, _, said) =
            place.tool(&["run", "clean", "--system", "./bad.toml", "--clip", "a.y4m", "--size", "64x48"]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("bad.toml") && said.contains("name"), "{said}");
        place.write("bad-s.toml", format!("name='{}'\ndescription=''\n", name.replace("revo-h264", "..")));
        let (code, _, said) =
            place.tool(&["run", "bad-s.toml", "--system", "revo-h264", "--clip", "a.y4m", "--size", "64x48"]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("bad-s.toml") && said.contains("is no name"), "{said}");
    }
    assert!(!place.path("runs").exists());
}

#[test]
fn a_file_called_like_a_person_is_a_file() {
    let place = Place::new();
    for name in ["person-walk.y4m", "person-1.y4m", "person-.y4m"] {
        place.clip(name, 1);
        place.done(&[
            "run",
            "clean",
            "--system",
            "revo-h264",
            "--clip",
            name,
            "--size",
            "64x48",
            "--no-score",
            "--out",
            "r",
        ]);
        assert_eq!(RunSpec::read(&place.path("r")).unwrap().clip.frames, 8);
    }
    let (code, _, said) =
        place.tool(&["run", "clean", "--system", "revo-h264", "--clip", "person-walk", "--size", "64x48"]);
    assert!(code == 2 && said.contains("no such file") && said.contains("person-0"), "{said}");
}
