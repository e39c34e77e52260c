//! `freezeframe diff` and `freezeframe power`: the built program on made-up folders of runs.

mod made_up;

use freezeframe::report::load::Run;
use made_up::{MadeUp, run};
use std::path::Path;
use std::process::{Command, Output};

fn write(root: &Path, runs: &[Run]) {
    for (i, run) in runs.iter().enumerate() {
        let dir = root.join(format!("run-{i}"));
        std::fs::create_dir_all(&dir).unwrap();
        made_up::write(&dir, run);
    }
}

fn tool(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_freezeframe")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn made(system: &'static str, seed: u64, bonus: f64) -> Run {
    run(&MadeUp { system, seed, frames: 30, bonus, ..MadeUp::default() })
}

#[test]
fn two_folders_are_compared_run_by_run() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let old = [made("revo-h264", 1, 0.0), made("revo-h264", 2, 0.0), made("revo-h265", 1, 0.0)];
    write(&root.path().join("old"), &old);
    // Another revision: the same runs.
    let mut same = old.clone();
    same.iter_mut().for_each(|r| r.scores.key.revision = "other".into());
    write(&root.path().join("same"), &same);
    let output = tool(&["diff", &path("old"), &path("same")]);
    assert!(output.status.success() && said(&output).contains("3 runs in common"), "{}", said(&output));
    assert!(said(&output).contains(" 0 differ"), "{}", said(&output));

    // One seed 0.3 dB up, the other 0.3 dB down: their mean is the old one, and yet both changed.
    let moved = [made("revo-h264", 1, 0.3), made("revo-h264", 2, -0.3), made("revo-h265", 1, 0.0)];
    write(&root.path().join("moved"), &moved);
    let output = tool(&["diff", &path("old"), &path("moved"), "--json"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = json["rows"].as_array().unwrap().iter().find(|r| r["value"] == "psnr_mean_db").unwrap().clone();
    assert_eq!((row["pairs"].as_u64(), row["beyond"].as_u64()), (Some(2), Some(2)), "{row}");
    assert!((row["largest"].as_f64().unwrap().abs() - 0.3).abs() < 0.05, "{row}");
    assert!((row["old"].as_f64().unwrap() - row["new"].as_f64().unwrap()).abs() < 0.05, "{row}");
    // For a machine: one case per system, scenario and clip.
    let junit = path("diff.xml");
    let output = tool(&["diff", &path("old"), &path("moved"), "--junit", &junit, "--annotations", "github"]);
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(xml.contains(r#"<testsuites name="freezeframe diff" tests="2" failures="1""#), "{xml}");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let annotations: Vec<&str> = stderr.lines().filter(|l| l.starts_with("::")).collect();
    assert!(
        matches!(annotations[..], [one] if one.starts_with("::error title=freezeframe diff%3A revo-h264 ge-high ") && one.contains("psnr_mean_db")),
        "{stderr}"
    );
    let wide = ["--tolerance", "all=100%", "--tolerance", "psnr_mean_db=0.5"];
    let output = tool(&[&["diff", &path("old"), &path("moved")][..], &wide].concat());
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("psnr_mean_db"),
        "what differs within tolerance is shown: {}",
        said(&output)
    );
    let output = tool(&[
        "diff",
        &path("old"),
        &path("moved"),
        "--tolerance",
        "all=100%",
        "--tolerance",
        "psnr_mean_db=0",
    ]);
    assert_eq!(output.status.code(), Some(3), "the last one counts");

    // Single directories, and a run that is gone.
    let output = tool(&["diff", &path("old/run-2"), &path("moved/run-2")]);
    assert!(output.status.success(), "{}", said(&output));
    let output = tool(&["diff", &path("old"), &path("same/run-2")]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        said(&output).contains("missing in the second folder: ge-high revo-h264 builtin:0 seed 2"),
        "{}",
        said(&output)
    );
    assert!(tool(&["diff", &path("old"), &path("same/run-2"), "--common"]).status.success());
    let output = tool(&["diff", &path("same/run-2"), &path("old")]);
    assert!(
        output.status.success() && said(&output).contains("only in the second folder"),
        "{}",
        said(&output)
    );
    // A run that is not valid any more.
    let mut broken = old.clone();
    broken[0].scores.health.valid = false;
    write(&root.path().join("broken"), &broken);
    let output = tool(&["diff", &path("old"), &path("broken")]);
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("not valid any more"), "{}", said(&output));

    for (arguments, words) in [
        (vec!["diff", &path("old"), &path("nowhere")], "nowhere"),
        (vec!["diff", &path("old/run-0"), &path("old/run-2")], "no run in common"),
        (vec!["diff", &path("old"), &path("same"), "--tolerance", "psnr=1"], "no column is called \"psnr\""),
        (vec!["diff", &path("old"), &path("same"), "--tolerance", "psnr_mean_db=-1"], "is no tolerance"),
    ] {
        let output = tool(&arguments);
        assert!(!output.status.success() && output.status.code() != Some(3), "{arguments:?}");
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn power_says_how_many_seeds_a_difference_needs() {
    let root = tempfile::tempdir().unwrap();
    // Differences of 1 to 8 dB: standard deviation sqrt 6.
    let mut runs = Vec::new();
    for seed in 1..=8 {
        for (system, psnr) in [("a", 30.0 + f64::from(u32::try_from(seed).unwrap())), ("b", 30.0)] {
            let mut run = made(system, seed, 0.0);
            let rgb = run.scores.streams.get_mut(&contract::Stream::Rgb).unwrap();
            rgb.quality.get_mut(&contract::Metric::Psnr).unwrap().all.mean = psnr;
            runs.push(run);
        }
    }
    write(root.path(), &runs);
    let dir = root.path().to_str().unwrap();
    let power = |difference: &str| -> serde_json::Value {
        let output = tool(&["power", dir, "--metric", "psnr_mean_db", "--difference", difference, "--json"]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let rows = power("1");
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert!((rows[0]["spread"].as_f64().unwrap() - 6f64.sqrt()).abs() < 1e-9, "{rows}");
    assert_eq!((rows[0]["unit"].as_str(), rows[0]["units"].as_u64()), (Some("seed"), Some(8)));
    // (1.96 + 0.84)^2 x 6 / (3 / pi) = 49.3 for large samples; the t distribution asks for two more.
    let needs = rows[0]["needs"].as_u64().unwrap();
    assert!((50..=53).contains(&needs), "{needs}");
    assert!(
        power("2")[0]["needs"].as_u64().unwrap() < 16 && rows[0]["needs_at_most"].as_u64().unwrap() > needs
    );
    let output = tool(&["power", dir, "--metric", "psnr_mean_db", "--difference", "1"]);
    assert!(said(&output).contains(&format!("{needs} seeds")), "{}", said(&output));
    for (arguments, words) in [
        (vec!["power", dir, "--metric", "psnr"], "no result column"),
        (vec!["power", dir, "--metric", "psnr_mean_db", "--difference", "0"], "give another"),
        (vec!["power", dir, "--metric", "psnr_mean_db", "--baseline", "c"], "no such system"),
        (vec!["power", dir, "--metric", "depth_d1_mean_db"], "at least two seeds"),
    ] {
        let output = tool(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    }
}

/// Values that no column of the default table has count as the others; of a folder with two revisions nobody knows which is meant.
#[test]
fn what_is_not_in_the_table_is_compared_and_two_revisions_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let with = |metric: contract::Metric, value: f64| {
        let mut run = made("revo-h264", 1, 0.0);
        let rgb = run.scores.streams.get_mut(&contract::Stream::Depth).unwrap();
        let mut quality = rgb.quality[&contract::Metric::Ssim];
        quality.all.mean = value;
        rgb.quality.insert(metric, quality);
        run
    };
    for metric in contract::Metric::ALL {
        let _ = std::fs::remove_dir_all(root.path());
        write(&root.path().join("old"), &[with(metric, 0.9)]);
        write(&root.path().join("new"), &[with(metric, 0.2)]);
        let output = tool(&["diff", &path("old"), &path("new"), "--tolerance", "all=0"]);
        assert_eq!(output.status.code(), Some(3), "{metric:?}: {}", said(&output));
    }
    let mut worse = made("revo-h264", 1, -25.0);
    worse.scores.key.revision = "worse".into();
    write(&root.path().join("both"), &[made("revo-h264", 1, 0.0), worse]);
    write(&root.path().join("one"), &[made("revo-h264", 1, 0.0)]);
    for (old, new) in [("one", "both"), ("both", "one")] {
        let output = tool(&["diff", &path(old), &path(new)]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(
            said(&output).contains("another revision") && said(&output).contains("take one away"),
            "{}",
            said(&output)
        );
    }
}
