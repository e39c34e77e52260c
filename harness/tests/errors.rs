//! Bad input of every kind, given to the built program: the message names the file and what to do, says nothing twice, and the exit code is 2.

use std::fs;
use testing::{Said, moving_y4m};

testing::place!(Place);

impl Place {
    fn new() -> Self {
        let place = Self(testing::Place::new());
        fs::create_dir(place.path("folder")).unwrap();
        fs::create_dir(place.path("folder.toml")).unwrap();
        let write = |name: &str, content: &[u8]| place.write(name, content);
        write("clip.y4m", &moving_y4m((64, 48), 3, 1));
        write("text.mp4", b"no video at all, but some bytes of text");
        write("empty.mp4", b"");
        write("latin.toml", b"name = \"caf\xe9\"\n");
        write("broken.toml", b"name = \"x\ndescription = \"\"\n");
        write("key.toml", b"name = \"x\"\ndescription = \"\"\n[forward]\nlose = \"5%\"\n");
        write(
            "lonely.toml",
            b"name = \"x\"\ndescription = \"\"\n[forward.trace]\nfile = \"good.log\"\nformat = \"revo\"\n",
        );
        for (name, file) in [
            ("gone", "gone.log"),
            ("dir", "folder"),
            ("csv", "bare.csv"),
            ("mark", "wide.log"),
            ("wrong", "good.down"),
        ] {
            let text = format!(
                "name = \"x\"\ndescription = \"\"\n[reverse.trace]\nfile = \"{file}\"\nformat = \"revo\"\nreplay = \"full\"\n"
            );
            write(&format!("trace-{name}.toml"), text.as_bytes());
        }
        write("good.log", b"0 2 40ms 0\n1 2 40ms 0\n");
        write("good.down", b"0\n5\n10\n");
        write("bare.csv", b"0.0,2.5\n0.1,2.5\n");
        write("header.csv", b"time,bandwidth,rtt,loss\n0.0,2.5,14.0ms,0.0\n");
        write("nan.log", b"0 2 40ms 0\n1 nan 40ms 0\n");
        write("wide.log", b"\xff\xfe0\0 \x002\0\n\0");
        write("plan.toml", b"name = 'p'\n[[block]]\nsystems = ['revo-h264']\nscenarios = ['clean']\n");
        write("badplan.toml", b"name = 'p'\n[[block]]\nsistems = ['revo-h264']\nscenarios = ['clean']\n");
        write("manifest.toml", b"name = 'm'\nabout = 'x'\ncommand = ['./gone-program']\n");
        write("badmanifest.toml", b"name = 'm'\nabout = 'x'\ncommand = 'one string'\n");
        place
    }

    fn says(&self, words: &str) -> (Option<i32>, String) {
        let words: Vec<&str> = words.split_whitespace().collect();
        let Said { code, err, .. } = self.said(env!("CARGO_BIN_EXE_freezeframe"), &words);
        (Some(code), err)
    }
}

/// A sentence, or a reason between colons, that stands twice in a text.
fn said_twice(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split([';', '\n']).flat_map(|part| part.split(": ")).map(str::trim).collect();
    let long = |part: &&&str| part.len() >= 12 && part.contains(' ');
    parts.iter().filter(long).find(|part| text.matches(**part).count() > 1).map(|part| (*part).to_owned())
}

/// (command, the file or field, a remedy)
const MISTAKES: &[(&str, &str, &str)] = &[
    // Scenarios.
    ("run gone.toml --system revo-h264 --clip clip.y4m", "gone.toml", "check the path"),
    ("run folder.toml --system revo-h264 --clip clip.y4m", "folder.toml", "the path of a file in it"),
    ("run folder --system revo-h264 --clip clip.y4m", "folder", "ge-high"),
    ("run latin.toml --system revo-h264 --clip clip.y4m", "latin.toml", "save it as UTF-8"),
    ("run broken.toml --system revo-h264 --clip clip.y4m", "broken.toml", "line 1"),
    ("run key.toml --system revo-h264 --clip clip.y4m", "`lose`", "`loss`"),
    (
        "run plan.toml --system revo-h264 --clip clip.y4m",
        "plan.toml: this is a plan",
        "freezeframe sweep plan.toml",
    ),
    (
        "run manifest.toml --system revo-h264 --clip clip.y4m",
        "manifest.toml: this is a system's manifest",
        "--system manifest.toml",
    ),
    ("run gone.log --system revo-h264 --clip clip.y4m", "gone.log", "check the path"),
    ("link gone.toml", "gone.toml", "check the path"),
    ("link plan.toml", "this is a plan", "freezeframe sweep plan.toml"),
    ("trace tc manifest.toml", "manifest", "--system manifest.toml"),
    // Their traces.
    ("link trace-gone.toml", "gone.log", "check the path"),
    ("link trace-dir.toml", "folder", "the path of a file in it"),
    ("link trace-csv.toml", "bare.csv", "--columns time_s,rate_mbps"),
    ("link trace-mark.toml", "wide.log", "UTF-8"),
    ("link trace-wrong.toml", "reverse", "format = \"mahimahi\""),
    ("link lonely.toml", "forward: trace: no stage follows it", "replay = \"full\""),
    (
        "run lonely.toml --system revo-h264 --clip clip.y4m",
        "forward: trace: no stage follows it",
        "replay = \"full\"",
    ),
    ("trace tc lonely.toml", "no stage follows it", "replay = \"full\""),
    // Traces.
    ("trace info gone.log", "gone.log", "check the path"),
    ("trace info folder", "folder", "the path of a file in it"),
    ("trace info wide.log", "wide.log", "UTF-8"),
    ("trace info bare.csv", "bare.csv, line 1", "--columns time_s,rate_mbps"),
    ("trace info header.csv", "its columns are `time,bandwidth,rtt,loss`", "time_s"),
    ("trace info nan.log", "nan.log, line 2, column 2 (rate)", "write a number"),
    ("trace info good.log --format mahimahi", "good.log", "format = \"revo\""),
    ("trace info good.log --columns time_s,speeed,rtt_ms,loss", "`speeed`", "rate_mbps"),
    ("trace import plan.toml", "plan.toml", "TOML"),
    ("trace export text.mp4", "text.mp4", "--columns"),
    ("trace make wifi", "\"wifi\"", "wifi-lossy"),
    ("link --trace gone.log", "gone.log", "check the path"),
    // Systems.
    ("run clean --system gone.toml --clip clip.y4m", "gone.toml", "check the path"),
    ("run clean --system folder/ --clip clip.y4m", "folder", "the path of a file in it"),
    ("run clean --system plan.toml --clip clip.y4m", "this is a plan", "freezeframe sweep plan.toml"),
    ("run clean --system key.toml --clip clip.y4m", "this is a scenario", "freezeframe run key.toml"),
    ("run clean --system badmanifest.toml --clip clip.y4m", "badmanifest.toml", "expected a sequence"),
    ("run clean --system revo-h266 --clip clip.y4m", "revo-h266", "revo-h264"),
    ("run clean --system revo-h264 --clip clip.y4m -o qp", "qp", "key=value"),
    // Plans.
    ("sweep gone.toml", "gone.toml", "check the path"),
    ("sweep folder.toml", "folder.toml", "the path of a file in it"),
    ("sweep latin.toml", "latin.toml", "save it as UTF-8"),
    ("sweep badplan.toml", "sistems", "systems"),
    ("sweep lonely.toml", "lonely.toml: this is a scenario", "freezeframe run lonely.toml"),
    ("sweep manifest.toml", "this is a system's manifest", "--system manifest.toml"),
    // Clips.
    ("run clean --system revo-h264 --clip gone.mp4", "gone.mp4", "path"),
    ("run clean --system revo-h264 --clip text.mp4", "text.mp4", "ffprobe"),
    ("compare gone.mp4 clip.y4m", "gone.mp4", "path"),
    ("compare clip.y4m text.mp4", "text.mp4", "ffprobe"),
    ("compare clip.y4m folder", "folder", ".png"),
    ("compare clip.y4m clip.y4m --metrics pnsr", "pnsr", "psnr"),
    // Run directories.
    ("score gone", "gone", "path"),
    ("score folder", "folder holds no run", "a directory with spec.toml"),
    ("report gone", "gone", "path"),
    ("why gone", "gone", "path"),
    // Words of the command line.
    ("link --loss 120%", "120%", "random 5%"),
    ("link --rate 320kb", "320kb", "320kbit"),
];

#[test]
fn every_mistake_is_named_once_with_its_remedy() {
    let place = Place::new();
    let mut wrong = Vec::new();
    for (command, named, remedy) in MISTAKES {
        let (code, said) = place.says(command);
        let mut faults = Vec::new();
        if code != Some(2) {
            faults.push(format!("exit code {code:?}"));
        }
        if said.contains("panicked") {
            faults.push("a panic".into());
        }
        faults.extend(
            [named, remedy].iter().filter(|w| !said.contains(**w)).map(|w| format!("{w:?} is missing")),
        );
        faults.extend(said_twice(&said).map(|part| format!("{part:?} is said twice")));
        if !faults.is_empty() {
            wrong.push(format!(
                "{command}\n  {}\n  {}",
                faults.join(", "),
                said.trim().replace('\n', "\n  ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MISTAKES.len(), wrong.join("\n"));
}

#[test]
fn the_test_finds_what_is_said_twice() {
    let old = "failed to read trace /x/good.log: No such file or directory (os error 2): failed to read trace /x/good.log: No such file or directory (os error 2)";
    assert!(said_twice(old).is_some());
    assert_eq!(
        said_twice(
            "failed to read trace /x/good.log: No such file or directory (os error 2); check the path"
        ),
        None
    );
}
