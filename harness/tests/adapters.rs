//! The adapters that ship (`adapters/`), run where their programs are installed: real calls in namespaces whose packets the harness reads
//! itself.

use link::{Direction, FateRecord};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use testing::skip;

const FRAMES: u32 = 90;

// A copy of an adapter, and a clip.
testing::place!(Place);

impl Place {
    fn new(adapter: &str) -> Self {
        let place = Self(testing::Place::new());
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters");
        fs::create_dir_all(place.path(adapter)).unwrap();
        fs::copy(from.join("ff.py"), place.path("ff.py")).unwrap();
        for entry in fs::read_dir(from.join(adapter)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), place.path(adapter).join(entry.file_name())).unwrap();
            }
        }
        fs::write(place.path("clip.y4m"), clip()).unwrap();
        place
    }

    fn tool(&self, words: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_freezeframe"), words).output().unwrap()
    }

    /// Runs the adapter; its scores. What a busy machine does to a run in real time is no fault of the adapter.
    fn run(&self, adapter: &str, scenario: &str, more: &[&str]) -> Value {
        let manifest = format!("{adapter}/{adapter}.toml");
        let words = ["run", scenario, "--system", &manifest, "--backend", "namespaces", "--clip", "clip.y4m"];
        let options = ["--size", "320x240", "--metrics", "psnr", "--no-video", "--out", "out"];
        let output = self.tool(&[&words[..], &options[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let log = |name: &str| fs::read_to_string(self.path(name)).unwrap_or_default();
        let logs =
            ["out/sender.log", "out/receiver.log", ".failed/out/sender.log", ".failed/out/receiver.log"]
                .map(log)
                .concat();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{said}\n{logs}");
        let scores: Value = serde_json::from_str(&log("out/scores.json")).expect("scores.json");
        let late = ["the path:", "captures are not on the frame clock"];
        for problem in scores["health"]["problems"].as_array().unwrap() {
            let problem = problem.as_str().unwrap();
            assert!(late.iter().any(|words| problem.contains(words)), "{problem}\n{logs}");
        }
        let codes: Vec<&str> =
            scores["warnings"].as_array().unwrap().iter().filter_map(|w| w["code"].as_str()).collect();
        assert!(!codes.contains(&"wire_not_read"), "{codes:?}");
        scores
    }

    fn fates(&self) -> Vec<FateRecord> {
        let text = fs::read_to_string(self.path("out/fates.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Soft waves that move, new in every frame.
fn clip() -> Vec<u8> {
    let mut file = b"YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420jpeg\n".to_vec();
    for frame in 0..FRAMES {
        file.extend(b"FRAME\n");
        for y in 0..240u32 {
            file.extend((0..320u32).map(|x| {
                let wave = (x + 2 * y + 5 * frame) % 120;
                (60 + wave.min(120 - wave) * 2 + (x * y / 64 + frame) % 8) as u8
            }));
        }
        file.extend(std::iter::repeat_n(118, 160 * 120).chain(std::iter::repeat_n(138, 160 * 120)));
    }
    file
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A clean call shows what it is given, and the harness knows its packets.
fn a_clean_call(scores: &Value, least_shown: f64, repair: &std::ops::Range<f64>) {
    let rgb = &scores["streams"]["rgb"];
    assert!(number(&rgb["shown_ever_percent"]) >= least_shown, "{rgb:#}");
    assert!(number(&rgb["quality"]["psnr"]["rendered"]["mean"]) > 25.0, "{rgb:#}");
    assert!(number(&rgb["decoded_latency"]["n"]) > 0.0, "when pictures were ready is known: {rgb:#}");
    let rate = &scores["bitrate"];
    let [media, payload, wire] = ["media_bps", "payload_bps", "wire_bps"].map(|key| number(&rate[key]));
    assert!(0.0 < media && media < payload && payload < wire, "{rate:#}");
    // 28 bytes of IPv4 and UDP per packet lie between payload and wire, and nothing else.
    assert_eq!(rate["with_headers_bps"], rate["wire_bps"]);
    let redundancy = rate["redundancy"].as_f64().expect("redundancy is known");
    assert!(repair.contains(&redundancy), "{redundancy}");
}

/// Of each packet of media: frame, RTP timestamp.
fn media(fates: &[FateRecord]) -> Vec<(u32, u32)> {
    let of = |fate: &FateRecord| {
        let head = freezeframe::record::rtp::demux::head(fate);
        let stamp = head.get(32..36)?.try_into().ok()?;
        (fate.direction == Direction::Forward && fate.role.as_deref() == Some("data"))
            .then(|| fate.frame.map(|frame| (frame, u32::from_be_bytes(stamp))))?
    };
    fates.iter().filter_map(of).collect()
}

/// False, and said, where a python without these elements of GStreamer is all there is.
fn has_gstreamer(modules: &str, elements: &[&str]) -> bool {
    let script = format!(
        "import gi\nfor m in {modules:?}.split():\n    gi.require_version(m, '1.0')\nfrom gi.repository import Gst, GLib, {}\nGst.init(None)\nlacking = [e for e in {elements:?} if not Gst.ElementFactory.find(e)]\nassert not lacking, lacking",
        modules.replace(' ', ", ")
    );
    match Command::new("/usr/bin/python3").args(["-c", &script]).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
            skip!("gstreamer-adapters", "{words}");
            false
        }
        Err(error) => {
            skip!("gstreamer-adapters", "/usr/bin/python3: {error}");
            false
        }
    }
}

fn has_namespaces() -> bool {
    let has = netns::privilege().is_some();
    if !has {
        skip!("namespaces", "network namespaces are not permitted here");
    }
    has
}

#[test]
fn ns_gstreamer_rtp() {
    let elements =
        ["vp8enc", "vp8dec", "rtpbin", "rtpulpfecenc", "rtpulpfecdec", "rtpvp8pay", "appsrc", "udpsrc"];
    if !has_namespaces() || !has_gstreamer("Gst GstRtp", &elements) {
        return;
    }
    let place = Place::new("gstreamer-rtp");
    let scores = place.run("gstreamer-rtp", "clean", &[]);
    a_clean_call(&scores, 90.0, &(0.3..0.9));
    // Its payloader begins timestamps at 0: the harness, which knows nothing of that, has found the same frames.
    let media = media(&place.fates());
    assert!(media.len() > FRAMES as usize / 2);
    for (frame, stamp) in media {
        assert_eq!(frame, stamp.div_ceil(3000), "{stamp}");
    }
    assert_eq!(scores["streams"]["rgb"]["causes"].get("sender"), None);

    // Under loss: frames are lost by the network, and `why` names the packets.
    let scores = place.run("gstreamer-rtp", "ge-high", &["-o", "redundancy_percent=0", "--seed", "3"]);
    assert_eq!(scores["bitrate"]["redundancy"].as_f64(), Some(0.0), "known, and none");
    let csv = fs::read_to_string(place.path("out/frames.csv")).unwrap();
    let lost: Vec<&str> = csv.lines().filter(|row| row.contains(",frozen,network,")).collect();
    let frame = lost
        .first()
        .unwrap_or_else(|| panic!("no frame was lost by the network: {}", scores["streams"]))
        .split(',')
        .next()
        .unwrap();
    let why = place.tool(&["why", "out", frame]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("packets arrived") && why.contains("lost by ge_"), "{why}");

    the_capture_opens(&place);
}

/// `freezeframe pcap`, and tshark on it.
fn the_capture_opens(place: &Place) {
    let output = place.tool(&["pcap", "out"]);
    assert!(output.status.success(), "{output:?}");
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-d", "udp.port==5000,rtp", "-r"]).arg(place.path("out/path.pcapng"));
    tshark.args([
        "-T",
        "fields",
        "-e",
        "frame.interface_name",
        "-e",
        "rtp.p_type",
        "-e",
        "rtp.seq",
        "-e",
        "frame.comment",
    ]);
    let output = match tshark.output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(e) => return skip!("tshark", "{e}"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();
    assert_eq!(rows.len(), place.fates().len(), "a packet for each fate");
    let of_media: Vec<&Vec<&str>> = rows.iter().filter(|r| r[3].contains("media, RTP 96")).collect();
    assert!(of_media.len() > FRAMES as usize / 2, "{text}");
    for row in of_media {
        // Another program reads the same header out of the capture.
        assert_eq!((row[0], row[1]), ("forward", "96"), "{row:?}");
        assert!(row[3].contains(&format!("RTP 96 sequence {}", row[2])), "{row:?}");
    }
    assert!(rows.iter().any(|r| r[3].contains("dropped (ge_bad)")), "{text}");
}

#[test]
fn ns_gstreamer_webrtcbin() {
    let elements = ["vp8enc", "webrtcbin", "nicesrc", "dtlssrtpenc", "rtpulpfecenc", "rtpredenc"];
    if !has_namespaces() || !has_gstreamer("Gst GstRtp GstSdp GstVideo GstWebRTC", &elements) {
        return;
    }
    let place = Place::new("gstreamer-webrtcbin");
    let scores = place.run("gstreamer-webrtcbin", "clean", &[]);
    a_clean_call(&scores, 90.0, &(0.3..0.9));
    // One grid, whatever the offset: neighbours in time are neighbours in number.
    let media = media(&place.fates());
    let base = media.iter().map(|(frame, stamp)| stamp.wrapping_sub(frame * 3000)).min().unwrap();
    assert!(
        media.iter().all(|(frame, stamp)| stamp.wrapping_sub(frame * 3000).wrapping_sub(base) < 300),
        "{media:?}"
    );
    let roles: std::collections::BTreeSet<String> =
        place.fates().into_iter().filter_map(|f| f.role).collect();
    assert!(["data", "parity", "feedback"].iter().all(|role| roles.contains(*role)), "{roles:?}");
}

#[test]
fn ns_aiortc() {
    if !has_namespaces() {
        return;
    }
    // What `./setup --for interop` made lies in the cache, which no system sees: a copy of it.
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/aiortc/venv");
    let cached = contract::digest::cache_folder().map(|c| c.join("aiortc-1.16"));
    let Some(venv) = [Some(beside), cached].into_iter().flatten().find(|v| v.join("bin/python").exists())
    else {
        return skip!("aiortc", "neither adapters/aiortc/venv nor the one of ./setup is there");
    };
    let place = Place::new("aiortc");
    let copied = Command::new("cp").arg("-a").arg(&venv).arg(place.path("aiortc/venv")).status().unwrap();
    assert!(copied.success());
    let scores = place.run("aiortc", "clean", &[]);
    a_clean_call(&scores, 80.0, &(-0.001..0.001));
    let media = media(&place.fates());
    let base = media.iter().map(|(frame, stamp)| stamp.wrapping_sub(frame * 3000)).min().unwrap();
    assert!(
        media.iter().all(|(frame, stamp)| stamp.wrapping_sub(frame * 3000).wrapping_sub(base) < 300),
        "{media:?}"
    );
}
