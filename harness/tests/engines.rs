//! Parts of a sweep by ssh, between real programs of OpenSSH on this machine, and as a Kubernetes manifest, checked against the API's schema.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testing::skip;

fn write_inputs(root: &Path) {
    let mut clip = b"YUV4MPEG2 W64 H48 F30:1 Ip A1:1 C420jpeg\n".to_vec();
    for frame in 0..5u32 {
        clip.extend(b"FRAME\n");
        clip.extend((0..64 * 48).map(|i: u32| (i % 64 * 2 + i / 64 + frame * 3) as u8));
        clip.extend([128; 2 * 32 * 24]);
    }
    fs::create_dir_all(root.join("in")).unwrap();
    fs::write(root.join("in/a.y4m"), clip).unwrap();
    let plan = "name='p'\nscenarios=['ge-high']\nclips='a.y4m'\n[[block]]\nsystems=['vp8-ulpfec']\nseeds={from=1,to=6}\n";
    fs::write(root.join("in/p.toml"), plan).unwrap();
}

fn tool(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freezeframe"));
    command.args(words).current_dir(root.join("in")).env("FREEZEFRAME_CACHE", root.join("cache"));
    command
}

/// An sshd on loopback that lets in whoever has the key of the test.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Sshd {
    /// With `hide`, in a mount namespace in which that folder is another one: a machine that does not share it.
    fn start(root: &Path, name: &str, port: u16, hide: Option<&Path>) -> Self {
        let at = |file: &str| root.join(format!("{name}.{file}")).display().to_string();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", &at("host")])
            .status()
            .unwrap();
        assert!(made.success());
        let conf = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nSetEnv FREEZEFRAME_CACHE={} XDG_CACHE_HOME={}\n",
            at("host"),
            root.join("key.pub").display(),
            at("cache"),
            at("caches"),
        );
        fs::write(at("conf"), conf).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let sshd = format!("exec /usr/sbin/sshd -D -e -f {}", at("conf"));
        let mut command = match hide {
            None => Command::new("sh"),
            Some(_) => {
                let mut unshare = Command::new("unshare");
                unshare.args(["--mount", "sh"]);
                unshare
            }
        };
        let script =
            hide.map_or_else(|| sshd.clone(), |h| format!("mount -t tmpfs none '{}' && {sshd}", h.display()));
        let log = fs::File::create(at("log")).unwrap();
        let child = command
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{}",
                fs::read_to_string(at("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self(child)
    }
}

/// Two hosts, one of which shares the sweep's folder and one of which does not: the result is the local one.
#[test]
fn ns_parts_by_ssh_give_what_one_machine_gives() {
    if !Path::new("/usr/sbin/sshd").is_file() {
        return skip!("ssh", "there is no /usr/sbin/sshd");
    }
    if !nix::unistd::geteuid().is_root() {
        return skip!("ssh", "a test's sshd lets root in; be root");
    }
    let unshare = Command::new("unshare").args(["--mount", "true"]).status();
    if !unshare.is_ok_and(|s| s.success()) {
        return skip!("mount", "unshare --mount is not permitted");
    }
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_inputs(root);
    let key = root.join("key").display().to_string();
    assert!(
        Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", &key])
            .status()
            .unwrap()
            .success()
    );
    let out = root.join("out");
    fs::create_dir(&out).unwrap();
    let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (one, two) = (port(), port());
    let _daemons = [Sshd::start(root, "one", one, None), Sshd::start(root, "two", two, Some(&out))];
    let conf = format!(
        "Host *\n  HostName 127.0.0.1\n  User root\n  IdentityFile {key}\n  StrictHostKeyChecking no\n  UserKnownHostsFile {}\n\
         Host one\n  Port {one}\nHost two\n  Port {two}\n",
        root.join("known").display()
    );
    fs::write(root.join("ssh.conf"), conf).unwrap();
    let conf = root.join("ssh.conf").display().to_string();
    let out_word = out.display().to_string();
    let sweep = ["sweep", "p.toml", "--size", "64x48", "--no-video", "--out", &out_word];
    let on = ["--on", "ssh", "--hosts", "one,two", "--", "-F", &conf];
    let output = tool(root, &[&sweep[..], &on].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("part 1 of 2 on one, into the shared folder") && said.contains("part 2 of 2 on two\n"),
        "{said}"
    );
    assert!(!out.join(".sweep/fetched/2").exists(), "what was merged is not kept twice");

    let local = root.join("local").display().to_string();
    let alone =
        tool(root, &["sweep", "p.toml", "--size", "64x48", "--no-video", "--out", &local]).output().unwrap();
    assert!(alone.status.success());
    for table in ["report.csv", "report-pairs.csv", "report.md", "report.tex"] {
        let read = |folder: &Path| fs::read(folder.join(table)).unwrap();
        assert!(read(&out) == read(Path::new(&local)), "{table} differs");
    }
    // A host that is not there is a part that is lost; what the other did stays.
    let gone = root.join("gone").display().to_string();
    let sweep = ["sweep", "p.toml", "--size", "64x48", "--no-video", "--out", &gone];
    fs::write(
        root.join("ssh.conf"),
        fs::read_to_string(&conf).unwrap().replace(&format!("Port {two}"), "Port 1"),
    )
    .unwrap();
    let output = tool(root, &[&sweep[..], &on].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("part 2 was lost: two") && !said.contains("part 1 was lost"), "{said}");
}

/// The schema is the API's own, as the Python package kubernetes-validate carries it.
#[test]
fn the_kubernetes_manifest_is_one_that_the_api_takes() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write_inputs(root);
    let on = [
        "--on",
        "kubernetes",
        "--tasks",
        "7",
        "--image",
        "registry.example/freezeframe:0.1",
        "--claim",
        "data",
    ];
    let sweep = ["sweep", "p.toml", "--size", "64x48", "--seeds", "3"];
    let output = tool(root, &[&sweep[..], &on, &["--", "cpu=4", "namespace=lab", "parallelism=3"]].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<serde_json::Value> =
        manifest.split("\n---\n").map(|d| serde_json::from_str(d).expect("a document is JSON")).collect();
    let [plan, job] = &documents[..] else { panic!("{manifest}") };
    assert_eq!(plan["data"]["plan.toml"], fs::read_to_string(root.join("in/p.toml")).unwrap());
    assert_eq!((&job["spec"]["completions"], &job["spec"]["parallelism"]), (&7.into(), &3.into()));
    assert_eq!(job["spec"]["completionMode"], "Indexed");
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    // The shell of the container, with the index that Kubernetes gives the last pod: the tool is asked for the last part of this plan.
    let script = container["command"][2].as_str().unwrap().replace("exec freezeframe", "echo freezeframe");
    let shell = Command::new("sh").args(["-c", &script]).env("JOB_COMPLETION_INDEX", "6").output().unwrap();
    let words = String::from_utf8(shell.stdout).unwrap();
    assert!(
        words.starts_with("freezeframe sweep /plan/plan.toml ") && words.contains("--seeds=3"),
        "{words}"
    );
    assert!(words.trim_end().ends_with("--out runs/p --shard 7/7"), "{words}");
    // A plan that ships with the tool travels by name.
    let shipped = tool(root, &[&["sweep", "papers"], &on[..]].concat()).output().unwrap();
    let shipped: serde_json::Value = serde_json::from_slice(&shipped.stdout).expect("one document");
    assert_eq!(shipped["kind"], "Job");
    for (words, said) in [(&["gpu=1"][..], "cpu=2"), (&["parallelism=0"], "parallelism")] {
        let refused = tool(root, &[&sweep[..], &on, &["--"], words].concat()).output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && text.contains(said), "{text}");
    }

    let cache =
        contract::digest::cache_folder().map(|c| c.join("kubernetes-validate/bin/python").into_os_string());
    let pythons = [std::env::var_os("FREEZEFRAME_PYTHON"), cache, Some("python3".into())];
    let python = pythons.into_iter().flatten().find(|python| {
        let found =
            Command::new(python).args(["-c", "import kubernetes_validate"]).stderr(Stdio::null()).status();
        found.is_ok_and(|s| s.success())
    });
    let Some(python) = python else {
        return skip!("kubernetes-validate", "python3 has no package kubernetes_validate");
    };
    let script = "import sys, json, kubernetes_validate as k\n\
                  documents = [json.loads(d) for d in sys.stdin.read().split('\\n---\\n')]\n\
                  [k.validate(d, v, strict=True) for d in documents for v in ('1.33', k.latest_version())]\n\
                  documents[-1]['spec']['completionMode'] = 7\n\
                  try: k.validate(documents[-1], '1.33', strict=True)\n\
                  except k.ValidationError: print('checked')\n";
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), manifest.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"checked\n");
}
