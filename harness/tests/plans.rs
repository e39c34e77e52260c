//! Plans and their parts, by the built program: lists before running, parts that give what one machine gives, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

testing::place!(Place);

const PLAN: &str = "name='p'\nscenarios=['ge-high','clean']\nseeds={from=1,to=4}\nclips=[{folder='clips'}]\n\
                    [[block]]\nsystems=['vp8-ulpfec']\noptions={target_kbps=[200,400]}\n\
                    exclude=[{scenarios=['clean'],seeds={from=2,to=4},reason='nothing is drawn'}]\n";

impl Place {
    fn new() -> Self {
        let place = Self(testing::Place::new());
        for (name, kind) in [("b", 2), ("a", 1)] {
            place.clip(&format!("clips/{name}.y4m"), kind);
        }
        place.write("p.toml", PLAN);
        place
    }

    /// A moving picture of 64x48; `kind` is another motion.
    fn clip(&self, name: &str, kind: u32) {
        self.write(name, testing::moving_y4m((64, 48), 6, kind));
    }

    fn tool(&self, words: &str) -> (i32, String, String) {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = self.command(env!("CARGO_BIN_EXE_freezeframe"), &words);
        let said = testing::Said::of(command.env_remove("GITHUB_ACTIONS"));
        (said.code, said.out, said.err)
    }

    fn done(&self, words: &str) -> (String, String) {
        let (code, out, err) = self.tool(words);
        assert_eq!(code, 0, "{words}: {err}{out}");
        (out, err)
    }

    fn refused(&self, words: &str, said: &[&str]) {
        let (code, out, err) = self.tool(words);
        assert_eq!(code, 2, "{words}: {err}{out}");
        said.iter().for_each(|s| assert!(err.contains(s), "{words}: {s}: {err}"));
    }

    /// The tables of a folder of runs.
    fn tables(&self, folder: &str) -> BTreeMap<String, String> {
        let read = |name: &str| {
            fs::read_to_string(self.path(folder).join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        ["report.csv", "report-pairs.csv", "report.md", "report.tex", "report.html"]
            .map(|name| (name.to_owned(), read(name)))
            .into()
    }
}

fn run_dirs(dir: &Path, root: &Path, into: &mut Vec<PathBuf>) {
    if dir.join("scores.json").is_file() {
        return into.push(dir.strip_prefix(root).unwrap().to_owned());
    }
    let mut below: Vec<PathBuf> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    below.sort();
    below.iter().for_each(|d| run_dirs(d, root, into));
}

/// As if a run had left the file as it is now.
fn reseal(run: &Path, file: &str) {
    contract::seal::Seal::read(run).unwrap().renew(run, file).unwrap();
}

const SHAPE: &str = "--size 64x48 --no-video";

#[test]
fn a_list_says_what_would_be_done_what_is_done_and_what_the_rest_takes() {
    let place = Place::new();
    let list = || {
        let (out, _) = place.done(&format!("sweep p.toml {SHAPE} --out runs --list --json"));
        serde_json::from_str::<serde_json::Value>(&out).expect("JSON")
    };
    let before = list();
    // 2 clips x 2 rates x (4 seeds under loss, 1 without)
    let runs = before["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &before["remaining"], &before["finished"]), (20, &20.into(), &0.into()));
    assert_eq!(before["estimate"]["runs_not_measured_yet"], 20);
    assert!(runs.iter().all(|r| r["state"] == "to_do" && r["estimate"].is_null()));
    let command = runs[0]["command"].as_str().unwrap();
    assert!(command.contains("clips/a.y4m") && command.contains("target_kbps=200"), "{command}");
    assert!(!place.path("runs").exists(), "a list runs nothing");
    // The command of a line is the run of that line.
    let words = shlex::split(command).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_freezeframe"))
        .args(&words[1..])
        .args(["--no-video", "--out", runs[0]["dir"].as_str().unwrap()])
        .current_dir(place.root())
        .env("FREEZEFRAME_CACHE", place.path("cache"))
        .output()
        .unwrap();
    assert!(output.status.success());
    let again = list();
    assert_eq!((&again["finished"], &again["runs"][0]["state"]), (&1.into(), &"finished".into()));
    place.done(&format!("sweep p.toml {SHAPE} --out runs --seeds 1"));
    let after = list();
    assert_eq!((&after["finished"], &after["remaining"]), (&8.into(), &12.into()));
    assert_eq!(after["estimate"]["runs_not_measured_yet"], 0);
    assert!(
        after["estimate"]["seconds"].as_f64().unwrap() > 0.0
            && after["estimate"]["bytes"].as_u64().unwrap() > 1000
    );
    // Of nine runs of one kind, the one to come is as large as they are, more or less.
    let (_, size) = (0, after["runs"].as_array().unwrap().iter().find(|r| r["state"] == "to_do").unwrap()["estimate"]["bytes"].as_u64().unwrap());
    let made = fs::read_dir(place.path(runs[0]["dir"].as_str().unwrap())).unwrap();
    let made: u64 = made.map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(size > made / 3 && size < made * 3, "{size} for {made}");
    let (text, _) = place.done(&format!("sweep p.toml {SHAPE} --out runs --list"));
    assert!(text.contains("20 runs: 8 finished, 12 to do; about") && text.contains("MB"), "{text}");
    let (part, _) = place.done(&format!("sweep p.toml {SHAPE} --out runs --list --shard 1/2 --json"));
    let part: serde_json::Value = serde_json::from_str(&part).unwrap();
    assert!(part["runs"].as_array().unwrap().iter().all(|r| r["part"] == 1));
    // A split file in the current folder, with its clips beside it.
    place.clip("here.y4m", 1);
    place.write("s.json", r#"{"test": ["here"], "train": ["there"]}"#);
    place.write("s.toml", "name='s'\nclips={split='s.json',part='test'}\n[[block]]\nsystems=['vp8-ulpfec']\nscenarios=['clean']");
    let (text, _) = place.done(&format!("sweep s.toml {SHAPE} --list"));
    assert!(text.contains("/here/") && text.contains("1 runs"), "{text}");
    // A system that refuses its options is found before anything runs.
    place.write(
        "wrong.toml",
        "name='w'\n[[block]]\nsystems=['vp8-ulpfec']\nscenarios=['clean']\noptions={no_such=1}",
    );
    let (code, out, _) = place.tool(&format!("sweep wrong.toml {SHAPE} --clips clips --list"));
    assert!(code == 2 && out.contains("cannot") && out.contains("no_such"), "{code} {out}");
}

#[test]
fn parts_of_a_plan_merge_into_what_one_machine_gives() {
    let place = Place::new();
    place.done(&format!("sweep p.toml {SHAPE} --out whole"));
    let whole = place.tables("whole");
    // Another cache, and so another machine as far as the parts are concerned.
    fs::rename(place.path("cache"), place.path("cache-of-whole")).unwrap();
    let parts: Vec<usize> = [1, 2, 3]
        .map(|i| {
            place.done(&format!("sweep p.toml {SHAPE} --out part-{i} --shard {i}/3"));
            let mut dirs = Vec::new();
            run_dirs(&place.path(&format!("part-{i}")), &place.path(""), &mut dirs);
            assert!(!place.path(&format!("part-{i}/report.html")).exists(), "a part is no result");
            dirs.len()
        })
        .to_vec();
    assert_eq!(parts.iter().sum::<usize>(), 20, "{parts:?}");
    // One is missing: the table is written, each run of it is named, and the exit code says so.
    let (code, _, err) = place.tool("merge part-1 part-2 --into two");
    assert!(code == 1 && err.matches("(part 3/3)").count() == parts[2], "{code} {err}");
    place.done("merge part-1 part-3 part-2 --into merged");
    assert!(place.tables("merged") == whole, "tables differ");
    // In place, and again: the same.
    place.done("merge merged");
    assert!(place.tables("merged") == whole, "tables differ");
    // Parts into one folder, as machines do that share it.
    fs::remove_dir_all(place.path("cache")).unwrap();
    for i in [3, 1, 2] {
        place.done(&format!("sweep p.toml {SHAPE} --out shared --shard {i}/3"));
    }
    place.done("merge shared");
    assert!(place.tables("shared") == whole, "tables differ");
    let (mut a, mut b) = (Vec::new(), Vec::new());
    run_dirs(&place.path("whole"), &place.path("whole"), &mut a);
    run_dirs(&place.path("merged"), &place.path("merged"), &mut b);
    assert_eq!(a, b);
    for dir in &a {
        for file in ["scores.json", "frames.csv", "spec.toml", "events.jsonl", "fates.jsonl"] {
            let read = |folder: &str| fs::read(place.path(folder).join(dir).join(file)).unwrap();
            assert!(read("whole") == read("merged"), "{} {file}", dir.display());
        }
    }

    // What contradicts is refused, and nothing is changed.
    let scores = place.path("merged").join(&a[0]).join("frames.csv");
    let kept = fs::read_to_string(&scores).unwrap();
    let write = |text: &str| {
        fs::write(&scores, text).unwrap();
        reseal(scores.parent().unwrap(), "frames.csv");
    };
    write(&kept.replacen(",rendered,", ",concealed,", 1));
    place.refused(
        "merge part-1 part-2 part-3 merged --into other",
        &["their results differ", "freezeframe diff", "keep one"],
    );
    assert!(!place.path("other").exists());
    write(&kept);
    place.done(&format!("sweep p.toml {SHAPE} --seeds 2 --out part-of-less --shard 2/3"));
    place.refused("merge part-1 part-of-less --into other", &["different runs", "the same plan"]);
    place.done(&format!("sweep p.toml {SHAPE} --out part-of-two --shard 2/2"));
    place.refused("merge part-1 part-of-two --into other", &["one of 3 and one of 2"]);
    place.refused("merge part-1 part-2", &["--into"]);
    place.refused("merge cache", &["no finished run"]);
    // A part made with another encoder: its runs have another revision, and by that other names.
    let mut of_two = Vec::new();
    run_dirs(&place.path("part-2"), &place.path("part-2"), &mut of_two);
    let old = place.path("part-2").join(&of_two[0]);
    let text = fs::read_to_string(old.join("spec.toml")).unwrap();
    let line = text.lines().find(|l| l.contains("libvpx")).unwrap_or_else(|| panic!("{text}"));
    fs::write(old.join("spec.toml"), text.replace(line, &format!("{}0.0.1\"", line.trim_end_matches('"'))))
        .unwrap();
    reseal(&old, "spec.toml");
    let below = freezeframe::cmd::run::relative_dir(&contract::RunSpec::read(&old).unwrap());
    assert_ne!(below, of_two[0]);
    fs::rename(&old, place.path("part-2").join(&below)).unwrap();
    let record = place.path("part-2/.sweep/shard-2-of-3.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace(of_two[0].to_str().unwrap(), below.to_str().unwrap())).unwrap();
    place.refused("merge part-1 part-2 part-3 --into other", &["not the same system", "encoder"]);
    assert!(!place.path("other").exists());
}

#[test]
fn what_continuous_integration_reads() {
    let place = Place::new();
    place.write(
        "ci.toml",
        "name='ci'\n[[block]]\nsystems=['vp8-ulpfec']\nscenarios=['clean']\n[[block]]\nsystems=['vp8-ulpfec']\nscenarios=['clean']\n\
         options={no_such=1}\n[[block]]\nsystems=['vp8-flexfec']\nscenarios=['clean']\noptions={no_such=1}\noptional=true\n",
    );
    let sweep = format!("sweep ci.toml {SHAPE} --clip clips/a.y4m");
    let (code, _, err) = place.tool(&format!("{sweep} --out ci --junit ci.xml --annotations github"));
    assert_eq!(code, 1, "{err}");
    let xml = fs::read_to_string(place.path("ci.xml")).unwrap();
    assert!(xml.contains(r#"<testsuites name="freezeframe sweep" tests="3" failures="1""#), "{xml}");
    assert!(xml.contains("<skipped") && xml.contains("no_such"), "{xml}");
    let annotations: Vec<&str> = err.lines().filter(|l| l.starts_with("::")).collect();
    assert!(
        matches!(annotations[..], [one] if one.starts_with("::error title=freezeframe sweep%3A clean vp8-ulpfec no_such=1")),
        "{err}"
    );

    let (_, err) = place.done("diff ci ci --junit diff.xml --annotations github");
    assert!(!err.contains("::error"), "{err}");
    let xml = fs::read_to_string(place.path("diff.xml")).unwrap();
    assert!(xml.contains(r#"tests="1" failures="0""#), "{xml}");
    // The same at another rate: other values of every kind.
    place.write("rate.toml", "name='ci'\n[[block]]\nsystems=['vp8-ulpfec']\nscenarios=['clean']\n");
    place.clip("clips/other/a.y4m", 3);
    place.done(&format!("sweep rate.toml {SHAPE} --clip clips/b.y4m --out b --junit b.xml"));
    let (code, _, err) = place.tool("diff ci b --annotations github");
    assert!(code == 2 && err.contains("no run in common"), "{err}");
}

/// One line of one kept file is changed: that file alone is a failed case, and the annotation names it from the repository's root.
#[test]
fn a_golden_that_moved_is_a_case_and_an_annotation() {
    let place = Place::new();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/repair");
    for name in ["reed-solomon.txt", "tambur.txt", "zfec.txt"] {
        place.write(&format!("golden/repair/{name}"), fs::read_to_string(kept.join(name)).unwrap());
    }
    place.write("golden/README.md", "");
    let check = "golden --check --filter repair --junit out/golden.xml --annotations github";
    let (_, err) = place.done(check);
    assert!(!err.contains("::error"), "{err}");
    let text = fs::read_to_string(place.path("golden/repair/zfec.txt")).unwrap();
    let last = text.lines().last().unwrap();
    place.write("golden/repair/zfec.txt", text.replace(last, &format!("{last}0")));
    let (code, _, err) = place.tool(check);
    assert_eq!(code, 3, "{err}");
    let annotations: Vec<&str> = err.lines().filter(|l| l.starts_with("::")).collect();
    assert!(
        matches!(annotations[..], [one] if one.starts_with("::error file=golden/repair/zfec.txt,title=freezeframe golden%3A repair zfec.txt::")),
        "{err}"
    );
    let xml = fs::read_to_string(place.path("out/golden.xml")).unwrap();
    assert!(xml.contains(r#"<testsuites name="freezeframe golden" tests="3" failures="1""#), "{xml}");
    assert!(xml.contains(r#"<testsuite name="repair" tests="3""#), "{xml}");
}

/// The manual and the completions are those of this program: every command has a page, every shell its script, with today's options.
#[test]
fn manual_pages_and_completions_have_every_command() {
    let place = Place::new();
    let (help, _) = place.done("--help");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|l| *l != "Commands:")
        .skip(1)
        .take_while(|l| !l.is_empty())
        .filter_map(|l| l.strip_prefix("  ").filter(|l| !l.starts_with(' '))?.split(' ').next())
        .filter(|c| *c != "help")
        .collect();
    assert!(commands.len() > 15 && commands.contains(&"merge"), "{commands:?}");
    place.done("man pages/man1");
    for command in &commands {
        let page = fs::read_to_string(place.path(&format!("pages/man1/freezeframe-{command}.1"))).unwrap();
        assert!(page.contains(".SH OPTIONS") || page.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(
        fs::read_to_string(place.path("pages/man1/freezeframe-sweep.1")).unwrap().contains("\\-\\-shard")
    );
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = place.done(&format!("completions {shell}"));
        assert!(commands.iter().all(|c| script.contains(c)) && script.contains("shard"), "{shell}");
        place.write(shell, &script);
    }
    assert!(Command::new("bash").arg("-n").arg(place.path("bash")).status().unwrap().success());
}
