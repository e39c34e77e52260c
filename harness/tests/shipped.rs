//! Systems of this project between namespaces, with the options that they have by themselves: nothing of what they send may make a run invalid.

use serde_json::Value;
use std::fs;
use testing::{Place, moving_y4m};

/// Those without networks of their own.
const SYSTEMS: [&str; 6] =
    ["revo-h264", "revo-h265", "vp9-tambur", "vp9-ringmaster", "vp8-ulpfec", "vp8-flexfec"];

/// Fault found: ReVo warms its data channel up with 240 kB before frame 0, four times what may cross the path before the channel begins, so that
/// every such run was invalid.
#[test]
fn ns_shipped_systems_are_valid_as_they_are() {
    if netns::privilege().is_none() {
        testing::skip("namespaces", "network namespaces are not permitted here");
        return;
    }
    let place = Place::new();
    place.write("clip.y4m", moving_y4m((128, 96), 30, 0));
    for system in SYSTEMS {
        let run = ["run", "clean", "--system", system, "--backend", "namespaces", "--clip", "clip.y4m"];
        let options = ["--size", "128x96", "--no-depth", "--metrics", "psnr", "--out", system];
        let said = place.said(env!("CARGO_BIN_EXE_freezeframe"), &[&run[..], &options[..]].concat());
        assert!(matches!(said.code, 0 | 4), "{system}: {}", said.err);
        let scores = fs::read(place.path(system).join("scores.json")).unwrap();
        let scores: Value = serde_json::from_slice(&scores).unwrap();
        // What a busy machine does to a run in real time is no fault of a system.
        let late = ["the path:", "captures are not on the frame clock", "slots did not come", "too busy"];
        for problem in scores["health"]["problems"].as_array().unwrap() {
            let problem = problem.as_str().unwrap();
            assert!(late.iter().any(|words| problem.contains(words)), "{system}: {problem}");
        }
    }
}
