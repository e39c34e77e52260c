//! What stands for `run_sender_eval.py` and `run_receiver_eval.py`: a signalling server, a service that starts receivers, and a sender that
//! goes through a `trace_map.txt`, each a process of its own, over loopback.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testing::film;

const FRAMES: u32 = 20;

/// A process that is ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sut(words: &[&str]) -> Process {
    Process(
        Command::new(env!("CARGO_BIN_EXE_sut"))
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    )
}

/// An address that nobody has.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn wait_for(address: &str) {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "nobody listens on {address}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn frames(path: &Path) -> u32 {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-select_streams", "v"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).trim().parse().unwrap_or(0)
}

#[test]
fn a_map_of_sessions_goes_from_one_machine_to_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let Some(()) = film("testsrc2", FRAMES, at("A.mp4").as_ref()) else { return };
    let Some(()) = film("gradients", FRAMES, at("A_vis.mp4").as_ref()) else { return };
    std::fs::write(at("trace1.log"), "0 2 40ms 0\n").unwrap();
    // The second line's clip is not there: it is left out, and said.
    std::fs::write(
        at("trace_map.txt"),
        "# sessions\nwifi\tA\ttrace1.log\ncell\tB\ttrace1.log\neth\tA\ttrace1.log\n",
    )
    .unwrap();

    let (signalling, service) = (free(), free());
    let _server = sut(&["signalling", "--listen", &signalling]);
    let url = format!("ws://{signalling}/ws/demo");
    let got = at("got/{run}");
    let receive = [env!("CARGO_BIN_EXE_sut"), "revo-h264", "receive", &got, "--local", "127.0.0.1"];
    let listen = ["receiver-service", "--listen", &service, "--sessions", "2", "--limit", "60", "--"];
    wait_for(&signalling);
    let _service = sut(&[&listen[..], &receive, &["--signalling", &url, "--patience", "10"]].concat());
    std::thread::sleep(Duration::from_millis(500));

    let shaper = format!("sh -c 'echo {{trace}} >> {}; sleep 100'", at("shaped"));
    let (map, sent, folder) = (at("trace_map.txt"), at("sent"), dir.path().display().to_string());
    let evaluate = ["revo-h264", "evaluate", &map, "--service", &service, "--signalling", &url];
    let files = ["--rgb", &folder, "--depth", &folder, "--out", &sent];
    let rest = ["--local", "127.0.0.1", "--shaper", &shaper, "--cooldown", "1", "--patience", "30"];
    let output = Command::new(env!("CARGO_BIN_EXE_sut"))
        .args([&evaluate[..], &files, &rest].concat())
        .output()
        .unwrap();
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("B_cell_trace1 is left out") && said.contains("B.mp4"), "{said}");
    assert!(said.contains("1 of 3 sessions failed"), "{said}");
    assert!(out.contains("A_wifi_trace1") && out.contains("A_eth_trace1"), "{out}");
    assert_eq!(std::fs::read_to_string(at("shaped")).unwrap().lines().count(), 2, "a shaper per session");

    for run in ["A_wifi_trace1", "A_eth_trace1"] {
        for stream in ["rgb", "depth"] {
            let film = dir.path().join("got").join(run).join(format!("{stream}.mp4"));
            let start = Instant::now();
            // The receiver writes its films after the sender's bye.
            while frames(&film) != FRAMES {
                assert!(start.elapsed() < Duration::from_secs(30), "{}: {}", film.display(), frames(&film));
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}
