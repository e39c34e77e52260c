//! Prints ReVo by data channel beside runs of the original: `just revo-original RGB DEPTH`.
//!
//! The only argument is the folder of the runs (plan `revo-original`). The original's figures: umassos/ReVo @ 16027a7 unmodified, on
//! aiortc 1.14.0 (and 1.16.0 where said) under this project's emulator, in slow motion, 150 frames of a clip of a person
//! with moving hands; colour stream; one run per line of numbers. Its channel draws are not ours: both ends send
//! other packets, so that distributions are compared, not runs.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Scenario, codec, frozen frames of every run, mean PSNR of every run.
const ORIGINAL: &[(&str, &str, &[f64], &[f64])] = &[
    ("clean", "revo-h264", &[0.0], &[37.88]),
    ("clean", "revo-h265", &[0.0], &[36.85]),
    ("ge-low", "revo-h264", &[3.0, 31.0, 61.0], &[33.96, 33.10, 26.95]),
    ("ge-low", "revo-h265", &[31.0, 74.0], &[29.28, 22.55]),
    ("ge-high", "revo-h264", &[63.0], &[28.64]),
    ("wifi-lossy", "revo-h264", &[30.0], &[34.64]),
];

/// The same on aiortc 1.16.0.
const ORIGINAL_116: &[(&str, &str, &[f64], &[f64])] =
    &[("ge-low", "revo-h264", &[62.0, 98.0], &[25.19, 21.76])];

fn main() {
    let Some(dir) = std::env::args().nth(1) else {
        eprintln!("revo_original: the argument is the folder of the runs of the plan revo-original");
        std::process::exit(contract::exit::BAD_INPUT);
    };
    let mut runs = BTreeMap::new();
    if let Err(error) = collect(Path::new(&dir), &mut runs) {
        eprintln!("revo_original: {dir}: {error}");
        std::process::exit(contract::exit::FAILED);
    }
    println!(
        "| scenario | system | SCTP | runs | frozen: median (min to max) | PSNR dB: median (min to max) | original: frozen | original: PSNR dB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for ((scenario, system, sctp), mut figures) in runs {
        let frozen = spread(figures.iter().map(|f| f.0).collect(), 0);
        let psnr = spread(figures.drain(..).map(|f| f.1).collect(), 2);
        let table = match sctp.as_str() {
            "aiortc" => ORIGINAL,
            "aiortc-1.16" => ORIGINAL_116,
            _ => &[],
        };
        let original = table.iter().find(|o| o.0 == scenario && o.1 == system);
        let list = |values: &[f64], digits: usize| {
            values.iter().map(|v| format!("{v:.digits$}")).collect::<Vec<_>>().join(", ")
        };
        let (their_frozen, their_psnr) =
            original.map_or_else(|| ("-".into(), "-".into()), |o| (list(o.2, 0), list(o.3, 2)));
        println!(
            "| {scenario} | {system} | {sctp} | {} | {} | {} | {their_frozen} | {their_psnr} |",
            frozen.0, frozen.1, psnr.1
        );
    }
}

/// How many, and "median (min to max)".
fn spread(mut values: Vec<f64>, digits: usize) -> (usize, String) {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let median = (values[(n - 1) / 2] + values[n / 2]) / 2.0;
    (n, format!("{median:.digits$} ({:.digits$} to {:.digits$})", values[0], values[n - 1]))
}

type Runs = BTreeMap<(String, String, String), Vec<(f64, f64)>>;

/// Every valid run below `dir`: frozen frames and mean PSNR of the colour stream.
fn collect(dir: &Path, runs: &mut Runs) -> Result<(), Box<dyn std::error::Error>> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, runs)?;
        } else if path.file_name().is_some_and(|name| name == "scores.json") {
            let scores: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
            let text = |value: &Value| value.as_str().unwrap_or_default().trim_matches('"').to_owned();
            let key = &scores["key"];
            let who = (text(&key["scenario"]), text(&key["system"]), text(&key["options"]["sctp"]));
            let rgb = &scores["streams"]["rgb"];
            let (frozen, psnr) = (rgb["frozen"].as_f64(), rgb["quality"]["psnr"]["all"]["mean"].as_f64());
            if let (Some(frozen), Some(psnr), Some(true)) =
                (frozen, psnr, scores["health"]["valid"].as_bool())
            {
                runs.entry(who).or_default().push((frozen, psnr));
            }
        }
    }
    Ok(())
}
