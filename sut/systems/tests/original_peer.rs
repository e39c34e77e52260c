//! ReVo between two programs over the signalling server: both ends ours, and either end a stand-in for the original on aiortc 1.14 and
//! 1.16 (`./setup --for interop` installs them). Everything runs in a network namespace of its own, with an address that
//! is not loopback, which aiortc would not offer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use testing::skip;

/// Frames of a session; `FREEZEFRAME_PEER_FRAMES` says otherwise.
fn frames() -> u32 {
    std::env::var("FREEZEFRAME_PEER_FRAMES").ok().and_then(|n| n.parse().ok()).unwrap_or(75)
}

/// The script that opens the namespace; `$@` runs in it.
const NAMESPACE: &str = "ip link set lo up && ip address add 192.0.2.1/24 dev lo && exec \"$@\"";

struct Stage {
    dir: tempfile::TempDir,
    server: Child,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn sut() -> &'static str {
    env!("CARGO_BIN_EXE_sut")
}

impl Stage {
    /// A namespace with a signalling server in it, and a clip; `None` (said) where that cannot be had.
    fn set() -> Option<Stage> {
        let can = Command::new("unshare").args(["-rn", "sh", "-c", NAMESPACE, "sh", "true"]).output();
        if !can.is_ok_and(|o| o.status.success()) {
            skip!("namespaces", "no network namespace can be opened");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        for (name, source) in [("rgb", "testsrc2"), ("depth", "gradients")] {
            let out = dir.path().join(format!("{name}.mp4"));
            testing::film(source, frames(), &out)?;
        }
        let server = Command::new("unshare")
            .args(["-rn", "sh", "-c", NAMESPACE, "sh", sut(), "signalling", "--listen", "0.0.0.0:8080"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(500));
        Some(Stage { dir, server })
    }

    /// A program in the namespace.
    fn start(&self, words: &[OsString]) -> Child {
        let target = self.server.id().to_string();
        Command::new("nsenter")
            .args(["-t", &target, "-U", "-n", "--preserve-credentials"])
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn words(list: &[&str]) -> Vec<OsString> {
    list.iter().map(OsString::from).collect()
}

const URL: &str = "ws://192.0.2.1:8080/ws/demo";

/// Waits for a program, for two minutes at most.
fn output(name: &str, mut child: Child) -> Output {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(120) {
            let _ = child.kill();
            let out = child.wait_with_output().unwrap();
            panic!("{name} did not end in two minutes: {}", String::from_utf8_lossy(&out.stderr));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

/// Who plays a part: this program, or Python with this script.
#[derive(Clone)]
enum Who {
    Ours,
    Aiortc(OsString),
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/aiortc_revo.py")
}

fn meet(codec: &str, sender: &Who, receiver: &Who) {
    let Some(stage) = Stage::set() else { return };
    let system = format!("revo-{codec}");
    let (rgb, depth, got) = (stage.path("rgb.mp4"), stage.path("depth.mp4"), stage.path("got"));
    let count = frames().to_string();
    let receive = match receiver {
        Who::Ours => {
            [words(&[sut(), &system, "receive"]), vec![got.clone().into()], words(&["--signalling", URL])]
                .concat()
        }
        Who::Aiortc(python) => {
            [vec![python.clone(), script().into()], words(&["receive", URL, codec])].concat()
        }
    };
    let send = match sender {
        Who::Ours => [
            words(&[sut(), &system, "send"]),
            vec![stage.path("sent").into(), "--rgb".into(), rgb.into(), "--depth".into(), depth.into()],
            words(&["--signalling", URL]),
        ]
        .concat(),
        Who::Aiortc(python) => [
            vec![python.clone(), script().into()],
            words(&["send", URL, codec]),
            vec![rgb.into(), depth.into(), count.into()],
        ]
        .concat(),
    };
    let receiving = stage.start(&receive);
    std::thread::sleep(Duration::from_millis(700));
    let sending = stage.start(&send);
    let sent = output("the sender", sending);
    let received = output("the receiver", receiving);
    eprintln!("{} {}", String::from_utf8_lossy(&sent.stdout), String::from_utf8_lossy(&received.stdout));
    match receiver {
        Who::Aiortc(_) => {
            let said: serde_json::Value = serde_json::from_slice(&received.stdout).unwrap();
            for stream in ["rgb", "depth", "frames"] {
                assert_eq!(said[stream], frames(), "{stream}: {said}");
            }
        }
        Who::Ours => {
            let events = std::fs::read_to_string(got.join("events.receiver.jsonl")).unwrap();
            for stream in ["rgb", "depth"] {
                let decoded = events
                    .lines()
                    .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                    .filter(|e| e["event"] == "decoded" && e["stream"] == stream && !e["picture"].is_null())
                    .count();
                assert_eq!(decoded, frames() as usize, "pictures of {stream}");
                let info = video::probe(&got.join(format!("{stream}.mp4"))).unwrap();
                assert_eq!((info.width, info.height), (512, 512));
                let target = video::Target::new((512, 512), (30, 1));
                let mut film = video::Reader::open(&got.join(format!("{stream}.mp4")), &target).unwrap();
                let mut pictures = 0;
                while film.skip_frame().unwrap() {
                    pictures += 1;
                }
                assert_eq!(pictures, frames(), "no slot more and none less in {stream}.mp4");
            }
        }
    }
}

/// A Python that has this version of aiortc, aiohttp and zfec.
fn aiortc(minor: u32) -> Option<Who> {
    let cache = std::env::var_os("FREEZEFRAME_CACHE").map(PathBuf::from).or_else(|| {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
        let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        Some(caches.join("freezeframe"))
    });
    let own = cache.map(|c| c.join(format!("aiortc-1.{minor}/bin/python")).into_os_string());
    let named = std::env::var_os(format!("FREEZEFRAME_PYTHON_AIORTC_{minor}"));
    let check =
        format!("import aiortc, aiohttp, zfec, av; assert aiortc.__version__.startswith('1.{minor}.')");
    let python = [named, own].into_iter().flatten().find(|python| {
        Command::new(python).args(["-c", &check]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    });
    if python.is_none() {
        skip!("aiortc", "no Python with aiortc 1.{minor}, aiohttp and zfec");
    }
    python.map(Who::Aiortc)
}

#[test]
fn both_ends_ours() {
    for codec in ["h264", "h265"] {
        meet(codec, &Who::Ours, &Who::Ours);
    }
}

#[test]
fn our_sender_and_a_receiver_on_aiortc() {
    for (minor, codec) in [(14, "h264"), (16, "h265")] {
        let Some(them) = aiortc(minor) else { return };
        meet(codec, &Who::Ours, &them);
    }
}

#[test]
fn a_sender_on_aiortc_and_our_receiver() {
    for (minor, codec) in [(14, "h265"), (16, "h264")] {
        let Some(them) = aiortc(minor) else { return };
        meet(codec, &them, &Who::Ours);
    }
}
