//! A sweep on a real Slurm: slurmctld, slurmd and munged on this machine, started for the test and ended with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use testing::skip;

/// A cluster of one node that takes two tasks at a time. Everything it writes is in its folder.
struct Slurm {
    folder: PathBuf,
}

impl Slurm {
    /// `None`, and skipped, where there is no Slurm.
    fn start(folder: &Path) -> Option<Self> {
        for program in ["slurmctld", "slurmd", "munged", "sbatch", "squeue"] {
            let found = Command::new("sh")
                .args(["-c", &format!("command -v {program}")])
                .stdout(Stdio::null())
                .status();
            if !found.is_ok_and(|s| s.success()) {
                skip!("slurm", "no program {program}");
                return None;
            }
        }
        if !nix::unistd::geteuid().is_root() {
            skip!("slurm", "slurmd of another user cannot start tasks; be root");
            return None;
        }
        for name in ["state", "spool"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let at = |name: &str| folder.join(name).display().to_string();
        fs::write(at("munge.key"), [7; 64]).unwrap();
        fs::set_permissions(at("munge.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let host = run(Command::new("hostname"));
        let host = String::from_utf8(host.stdout).unwrap().trim().to_owned();
        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let conf = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\nAuthInfo=socket={}\n\
             StateSaveLocation={}\nSlurmdSpoolDir={}\nSlurmctldLogFile={}\nSlurmdLogFile={}\nSlurmctldPidFile={}\nSlurmdPidFile={}\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n\
             SlurmdParameters=config_overrides\nReturnToService=2\nSlurmctldPort={}\nSlurmdPort={}\nMpiDefault=none\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN\n\
             PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n",
            at("munge.sock"),
            at("state"),
            at("spool"),
            at("ctld.log"),
            at("d.log"),
            at("ctld.pid"),
            at("d.pid"),
            port(),
            port(),
        );
        fs::write(at("slurm.conf"), conf).unwrap();
        let slurm = Self { folder: folder.to_owned() };
        let munge: Vec<String> = [
            "key-file=munge.key",
            "socket=munge.sock",
            "pid-file=munge.pid",
            "log-file=munge.log",
            "seed-file=munge.seed",
        ]
        .map(|o| o.split_once('=').map(|(k, v)| format!("--{k}={}", at(v))).unwrap())
        .to_vec();
        run(Command::new("munged").arg("--force").args(munge));
        run(slurm.client("slurmctld"));
        run(slurm.client("slurmd"));
        wait_for("an idle node", Duration::from_secs(60), || {
            String::from_utf8_lossy(&slurm.client("sinfo").arg("--noheader").output().unwrap().stdout)
                .contains("idle")
        });
        Some(slurm)
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.folder.join("slurm.conf"));
        command
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let _ = self.client("scancel").args(["--user", "root"]).output();
        std::thread::sleep(Duration::from_secs(1));
        for name in ["d.pid", "ctld.pid", "munge.pid"] {
            let pid = fs::read_to_string(self.folder.join(name)).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse() {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGTERM,
                );
            }
        }
    }
}

fn run(mut command: impl std::borrow::BorrowMut<Command>) -> Output {
    let command = command.borrow_mut();
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Every run's scores below a folder, with the time at which they were written.
fn finished(folder: &Path) -> BTreeMap<PathBuf, std::time::SystemTime> {
    fn walk(dir: &Path, root: &Path, into: &mut BTreeMap<PathBuf, std::time::SystemTime>) {
        let scores = dir.join("scores.json");
        if let Ok(data) = fs::metadata(&scores) {
            into.insert(scores.strip_prefix(root).unwrap().to_owned(), data.modified().unwrap());
            return;
        }
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if entry.path().is_dir() && !hidden {
                walk(&entry.path(), root, into);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// Two hundred runs in two tasks, one of which is killed midway: the other's runs and what the killed one had finished stay, the lost
/// part is named, the same command does the rest and nothing twice, and the result is the local sweep's to the byte.
#[test]
fn ns_a_sweep_on_slurm_survives_a_killed_task_and_equals_the_local_one() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let Some(slurm) = Slurm::start(&at("slurm")) else { return };
    let mut clip = b"YUV4MPEG2 W64 H48 F30:1 Ip A1:1 C420jpeg\n".to_vec();
    for frame in 0..5u32 {
        clip.extend(b"FRAME\n");
        clip.extend((0..64 * 48).map(|i: u32| (i % 64 * 2 + i / 64 + frame * 3) as u8));
        clip.extend([128; 2 * 32 * 24]);
    }
    fs::write(at("a.y4m"), clip).unwrap();
    fs::write(
        at("p.toml"),
        "name='p'\nscenarios=['ge-high','ge-low']\nclips='a.y4m'\n[[block]]\nsystems=['vp8-ulpfec','vp8-flexfec']\nseeds={from=1,to=50}\n",
    )
    .unwrap();
    let sweep = |out: &str, cache: &str, more: &[&str]| {
        let mut command = slurm.client(env!("CARGO_BIN_EXE_freezeframe"));
        command.args(["sweep", "p.toml", "--size", "64x48", "--no-video", "--out", out]).args(more);
        command.current_dir(root.path()).env("FREEZEFRAME_CACHE", at(cache));
        command
    };
    let on = ["--on", "slurm", "--tasks", "2", "--", "--time=30", "--comment=passed-on"];

    let mut first = sweep("cluster", "cache-1", &on);
    let first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the first runs", Duration::from_secs(300), || finished(&at("cluster")).len() >= 10);
    let id = fs::read_to_string(at("cluster/.sweep/slurm.job")).unwrap().trim().to_owned();
    let shown = run(slurm.client("scontrol").args(["show", "job", &format!("{id}_2")]));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("TimeLimit=00:30:00") && shown.contains("Comment=passed-on"), "{shown}");
    run(slurm.client("scancel").args(["--signal=KILL", "--full", &format!("{id}_2")]));
    let output = first.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("part 2 was lost: task {id}_2 did not come to its end")), "{said}");
    assert!(!said.contains("part 1 was lost"), "{said}");
    let before = finished(&at("cluster"));
    assert!(before.len() >= 10 && before.len() < 200, "{} runs", before.len());
    assert!(at("cluster/report.csv").is_file(), "what there is is shown");

    let second = run(sweep("cluster", "cache-1", &on));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("tasks 2 of 2"), "only the lost part is submitted: {said}");
    let after = finished(&at("cluster"));
    assert_eq!(after.len(), 200);
    assert!(before.iter().all(|(run, made)| after[run] == *made), "a finished run was done again");
    let third = run(sweep("cluster", "cache-1", &on));
    assert!(
        !String::from_utf8_lossy(&third.stderr).contains("slurm: job"),
        "there is nothing left to submit"
    );

    run(sweep("local", "cache-2", &["--jobs", "2"]));
    let local = finished(&at("local"));
    assert!(local.keys().eq(after.keys()));
    for run in local.keys() {
        for file in ["scores.json", "frames.csv", "events.jsonl", "fates.jsonl"] {
            let read = |folder: &str| fs::read(at(folder).join(run).with_file_name(file)).unwrap();
            assert!(read("local") == read("cluster"), "{} {file}", run.display());
        }
    }
    for table in ["report.csv", "report-pairs.csv", "report.md", "report.tex", "report.html"] {
        let read = |folder: &str| fs::read(at(folder).join(table)).unwrap();
        assert!(read("local") == read("cluster"), "{table} differs");
    }
}
