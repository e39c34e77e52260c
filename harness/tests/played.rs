//! `rendered.rgb.mp4` shows the pictures that were scored.

use std::fs;

testing::place!(Place);

/// x265's GOPs are open: after a broken one, pictures depend on where the decoder began. A player that decoded the stored units in another
/// way than the receiver and the scores would show others. Played pictures have been through x264 at CRF 18, so that per slot their PSNR
/// against the clip is the scored one but for what that costs: where the score is poor nearly nothing, for it adds to a large error.
#[test]
fn what_is_played_is_what_was_scored_under_damage() {
    let place = Place(testing::Place::new());
    place.write("a.y4m", testing::moving_y4m((128, 96), 90, 1));
    place.write("s.toml", SCENARIO);
    let run = |arguments: &[&str]| {
        let said = place.said(env!("CARGO_BIN_EXE_freezeframe"), arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.err, said.out);
        said.out
    };
    for system in ["revo-h265", "revo-h264"] {
        let sizes = ["--clip", "a.y4m", "--size", "128x96", "--no-depth"];
        let how = [
            "--option",
            "transport=datagram",
            "--option",
            "chunk_size=100",
            "--metrics",
            "psnr",
            "--seed",
            "3",
            "--video",
            "--out",
            system,
        ];
        run(&[&["run", "./s.toml", "--system", system], &sizes[..], &how[..]].concat());
        let played = format!("{system}/rendered.rgb.mp4");
        let played = run(&["compare", "a.y4m", &played, "--metrics", "psnr", "--csv"]);
        let scored = fs::read_to_string(place.path(system).join("frames.csv")).unwrap();
        let column = |csv: &str, name: &str| -> Vec<String> {
            let mut lines = csv.lines();
            let at =
                lines.next().unwrap().split(',').position(|c| c == name).unwrap_or_else(|| panic!("{name}"));
            lines.map(|l| l.split(',').nth(at).unwrap().to_owned()).collect()
        };
        let number = |text: &String| text.parse::<f64>().unwrap();
        let status = column(&scored, "status");
        let scored: Vec<f64> = column(&scored, "psnr").iter().map(number).collect();
        let seen: Vec<f64> = column(&played, "psnr").iter().map(number).collect();
        assert!(status.iter().filter(|s| *s == "concealed").count() > 5, "{system}: {status:?}");
        assert_eq!((scored.len(), seen.len()), (90, 90), "{system}");
        for (slot, (scored, seen)) in scored.iter().zip(&seen).enumerate() {
            // x264 at CRF 18 alone is above 30 dB here; two errors add in power. What is nearly perfect says nothing.
            let both = -10.0 * (10f64.powf(-scored / 10.0) + 10f64.powf(-3.0)).log10();
            let range = if *scored < 38.0 { both - 0.5..scored + 0.5 } else { 30.0..f64::INFINITY };
            assert!(range.contains(seen), "{system}, slot {slot}: {seen} dB, scored {scored}");
        }
    }
}

const SCENARIO: &str = r#"
name = "s"
description = "packets lost one by one"
[forward]
delay = { base = "20ms" }
loss = { model = "random", probability = "8%" }
[reverse]
delay = { base = "20ms" }
"#;
