//! `freezeframe doctor`: what this machine can do, what each missing thing disables, and the command that fixes it.

use super::setup::{self, Need, What};
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum as _};
use codecs::Codec;
use contract::exit;
use netns::traffic::{self, Flow};
use netns::{End, Lab, LabConfig, LabError, Privilege, Shaper};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What this machine can do, what each missing thing disables, and the command that fixes it
#[derive(ClapArgs, Debug)]
pub struct Args {
    /// Remove what killed runs left behind (namespaces and processes in them)
    #[arg(long)]
    pub clean: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// There.
    Ok,
    /// There, with a drawback.
    Limited,
    /// Not there.
    Missing,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    what: &'static str,
    status: Status,
    /// What was found.
    found: String,
    /// What does not work without it; empty if it is there.
    disables: String,
    /// The command (or step) that fixes it; empty if there is nothing to fix.
    fix: String,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Finding {
        Finding { what, status: Status::Ok, found: found.into(), disables: String::new(), fix: String::new() }
    }

    fn lacking(
        what: &'static str,
        status: Status,
        found: impl Into<String>,
        disables: &str,
        fix: &str,
    ) -> Finding {
        Finding { what, status, found: found.into(), disables: disables.to_owned(), fix: fix.to_owned() }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When leftovers cannot be removed.
pub fn run(args: &Args) -> Result<i32> {
    // Before anything starts a thread: a user namespace takes only processes with one.
    let privilege = netns::become_capable();
    let cleaned = if args.clean && privilege.is_ok() { Some(netns::clean()?) } else { None };
    let mut findings = network(&privilege);
    findings.push(sandbox());
    findings.push(leftovers(cleaned.as_deref()));
    findings.extend([governor(), encoders(), vmaf(), torch(), cuda()]);
    findings.extend(weights());
    findings.extend(adapters());
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print!("{}", table(&findings));
    }
    Ok(exit::OK)
}

const NAMESPACES: &str = "the namespaces backend (`--backend namespaces`); virtual time works without";

fn network(privilege: &Result<Privilege, LabError>) -> Vec<Finding> {
    let permitted = match privilege {
        Ok(Privilege::Root) => Finding::ok("namespaces", "as root"),
        Ok(Privilege::Rootless) => Finding::ok("namespaces", "as root of a user namespace"),
        Err(e) => {
            return vec![Finding::lacking(
                "namespaces",
                Status::Missing,
                e.to_string(),
                NAMESPACES,
                "see the reason, or run as root",
            )];
        }
    };
    let mut findings = vec![permitted, rootless()];
    findings.extend(trial());
    match netns::shaper::probe() {
        Ok(probe) => {
            let notes = probe.notes.join("; ");
            let kernel = "`--shaper kernel`; the emulator process shapes instead, with the same fates";
            findings.push(match (probe.netem, probe.seed) {
                (true, true) => Finding::ok("netem", "with seed"),
                (true, false) => Finding::lacking("netem", Status::Limited, notes.clone(), kernel, "boot Linux 6.6 or newer"),
                _ => Finding::lacking(
                    "netem",
                    Status::Missing,
                    notes.clone(),
                    kernel,
                    "sudo modprobe sch_netem (on Ubuntu after: sudo apt-get install linux-modules-extra-$(uname -r))",
                ),
            });
            findings.push(if probe.tbf && probe.htb && probe.bridge {
                Finding::ok("tbf, htb, bridge", "there")
            } else {
                Finding::lacking(
                    "tbf, htb, bridge",
                    Status::Missing,
                    notes,
                    kernel,
                    "sudo modprobe -a sch_tbf sch_htb bridge",
                )
            });
        }
        Err(e) => findings.push(Finding::lacking(
            "netem",
            Status::Missing,
            e.to_string(),
            "`--shaper kernel`",
            "run as root",
        )),
    }
    findings
}

/// Whether systems under test are kept apart from the machine.
fn sandbox() -> Finding {
    match netns::sandbox::support() {
        netns::sandbox::Support::Full => {
            let ms = |boxed| netns::sandbox::cost(boxed).map_or(0.0, |d| d.as_secs_f64() * 1e3);
            let isolation = crate::launch::sandbox::isolation();
            Finding::ok(
                "sandbox",
                format!(
                    "{isolation}; a process starts and ends in {:.1} ms ({:.1} without)",
                    ms(true),
                    ms(false)
                ),
            )
        }
        netns::sandbox::Support::None(why) => Finding::lacking(
            "sandbox",
            Status::Limited,
            why.clone(),
            "isolation of systems under test: they see the machine's files, the clip among them",
            "run as root, or allow user namespaces (see rootless)",
        ),
    }
}

/// Whether users without rights could build labs, by the settings that forbid it.
fn rootless() -> Finding {
    let read = |path: &str| fs::read_to_string(path).map(|s| s.trim().to_owned()).unwrap_or_default();
    let disables = "labs for users without rights";
    for (path, bad, fix) in [
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=10000"),
    ] {
        if read(path) == bad {
            return Finding::lacking("rootless", Status::Missing, format!("{path} is {bad}"), disables, fix);
        }
    }
    if !Path::new("/proc/self/ns/user").exists() {
        return Finding::lacking(
            "rootless",
            Status::Missing,
            "the kernel has no user namespaces",
            disables,
            "run as root",
        );
    }
    Finding::ok("rootless", "user namespaces are allowed")
}

/// Builds a lab, sends a second of datagrams at 1000 per second over 20 ms, and removes it.
fn trial() -> Vec<Finding> {
    let attempt = || -> Result<_, LabError> {
        let delay = link::DelaySpec {
            base: link::DelayBase::Constant(link::Span::from_millis(20)),
            ..Default::default()
        };
        let spec = link::LinkSpec { delay, ..Default::default() };
        let mut config = LabConfig::new(spec.clone(), spec, 1);
        config.shaper = Shaper::User;
        let start = Instant::now();
        let lab = Lab::new(&config)?;
        let built = start.elapsed();
        let flow = Flow {
            packets: 1000,
            payload: 1172,
            interval: Duration::from_millis(1),
            patience: Duration::from_millis(300),
        };
        let arrivals = traffic::run(&lab, End::Sender, &flow)?;
        let start = Instant::now();
        let health = lab.stop()?;
        Ok((built, start.elapsed(), arrivals, health))
    };
    let (built, removed, arrivals, health) = match attempt() {
        Ok(result) => result,
        Err(e) => {
            return vec![Finding::lacking(
                "lab",
                Status::Missing,
                e.to_string(),
                NAMESPACES,
                "see the reason",
            )];
        }
    };
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let intact = arrivals.iter().filter(|a| a.intact).count();
    let lab = format!("built in {:.0} ms, removed in {:.0} ms", ms(built), ms(removed));
    // Wrong checksums (offloads that cannot be switched off) lose every datagram; a small buffer loses some.
    let offloads = format!("{intact} of 1000 datagrams byte for byte");
    let late = format!(
        "p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms at 20 ms and 1000 packets/s",
        health.lateness.p50_ns as f64 / 1e6,
        health.lateness.p99_ns as f64 / 1e6,
        health.lateness.max_ns as f64 / 1e6
    );
    vec![
        Finding::ok("lab", lab),
        if intact == 1000 {
            Finding::ok("offloads off", offloads)
        } else {
            Finding::lacking(
                "offloads off",
                Status::Missing,
                offloads,
                NAMESPACES,
                "report this kernel: `ethtool -k eth0` inside the namespace",
            )
        },
        if health.realtime {
            Finding::ok("SCHED_FIFO", "granted")
        } else {
            let fix = "run as root, or: echo '* - rtprio 10' | sudo tee /etc/security/limits.d/freezeframe.conf, and log in again";
            Finding::lacking(
                "SCHED_FIFO",
                Status::Limited,
                "not granted",
                "punctual packets on a busy machine",
                fix,
            )
        },
        if health.valid {
            Finding::ok("lateness", late)
        } else {
            Finding::lacking(
                "lateness",
                Status::Limited,
                late,
                "runs in namespaces: most will be marked invalid",
                "leave the machine idle, or use virtual time",
            )
        },
    ]
}

fn leftovers(cleaned: Option<&[String]>) -> Finding {
    let left: Vec<String> = netns::leftovers().iter().map(ToString::to_string).collect();
    match cleaned {
        Some(names) if left.is_empty() => {
            Finding::ok("leftovers", format!("none ({} namespaces removed now)", names.len()))
        }
        _ if left.is_empty() => Finding::ok("leftovers", "none"),
        _ => Finding::lacking(
            "leftovers",
            Status::Limited,
            left.join(", "),
            "nothing: the next lab removes them",
            "freezeframe doctor --clean",
        ),
    }
}

fn governor() -> Finding {
    let path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    match fs::read_to_string(path).map(|g| g.trim().to_owned()) {
        Err(_) => Finding::ok("CPU governor", "none (a virtual machine, or a fixed clock)"),
        Ok(g) if g == "performance" => Finding::ok("CPU governor", g),
        Ok(g) => Finding::lacking(
            "CPU governor",
            Status::Limited,
            g,
            "comparable processing times: the clock follows the load",
            "sudo cpupower frequency-set -g performance",
        ),
    }
}

fn encoders() -> Finding {
    let all = [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9];
    let (there, lacking): (Vec<Codec>, Vec<Codec>) = all.into_iter().partition(|c| c.is_available());
    let names = |list: &[Codec]| list.iter().map(|c| c.encoder_name()).collect::<Vec<_>>().join(", ");
    if lacking.is_empty() {
        return Finding::ok("FFmpeg encoders", names(&there));
    }
    Finding::lacking(
        "FFmpeg encoders",
        Status::Missing,
        format!("without {}", names(&lacking)),
        "systems that encode with them",
        "sudo apt-get install ffmpeg libavcodec-extra",
    )
}

/// Which program measures VMAF.
fn vmaf() -> Finding {
    match super::compare::vmaf::Program::find() {
        Ok(program) => Finding::ok("VMAF", program.to_string()),
        Err(reason) => Finding::lacking(
            "VMAF",
            Status::Missing,
            reason,
            "`freezeframe compare --metrics vmaf`; every other metric works without",
            "pip install imageio-ffmpeg, or FREEZEFRAME_VMAF=/path/to/ffmpeg-with-libvmaf",
        ),
    }
}

/// Which libtorch the process of the networks loads.
fn torch() -> Finding {
    match libraries() {
        Ok(libraries) => Finding::ok("libtorch", libraries),
        Err(error) => Finding::lacking(
            "libtorch",
            Status::Missing,
            error.to_string(),
            "neural systems and LPIPS",
            "./setup, then cargo build --release --workspace --bins",
        ),
    }
}

fn cuda() -> Finding {
    let card = fs::read_dir("/proc/driver/nvidia/gpus").is_ok_and(|mut d| d.next().is_some());
    let libraries = libraries().ok().filter(|l| l.contains("libtorch_cuda"));
    let disables = "neural systems on the GPU; they run on the CPU, slower";
    match (card, libraries) {
        (true, Some(libraries)) => Finding::ok("CUDA", libraries),
        (true, None) => Finding::lacking(
            "CUDA",
            Status::Limited,
            "a GPU, but libtorch without CUDA",
            disables,
            "LD_LIBRARY_PATH=$(python3 -c 'import torch,os;print(os.path.dirname(torch.__file__))')/lib freezeframe ... (torch 2.11.0)",
        ),
        (false, _) => {
            Finding::lacking("CUDA", Status::Limited, "no NVIDIA GPU", disables, "run on a machine with one")
        }
    }
}

/// What the networks are computed with.
fn libraries() -> anyhow::Result<String> {
    let shared = crate::networks::shared()?;
    let networks = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // After the hash of the code around them.
    Ok(networks.made_by().split_once(' ').map_or("", |(_, libraries)| libraries).to_owned())
}

/// Files of weights: part of their name, what they are for, and how to get them.
const WEIGHTS: [(&str, &str, &str, &str); 4] = [
    ("LPIPS weights", "lpips", "the metric LPIPS", "freezeframe weights --fetch"),
    ("Reparo's tokenizer", "reparo-tokenizer", "the system reparo", "just train-tokenizer"),
    (
        "Reparo's corrections",
        "reparo-corrections",
        "the system reparo with memory=corrections",
        "just train-corrections",
    ),
    ("Reparo's recovery", "reparo-recovery", "reparo's answer to lost tokens", "just train-recovery"),
];

/// Looks where `freezeframe weights` looks: in each folder directly, or one folder down.
fn weights() -> Vec<Finding> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default()
    };
    let top: Vec<PathBuf> = super::weights::folders().iter().flat_map(|f| list(f)).collect();
    let below: Vec<PathBuf> = top.iter().flat_map(|f| list(f)).collect();
    let files: Vec<String> = top
        .into_iter()
        .chain(below)
        .filter(|f| f.extension().is_some_and(|e| e == "safetensors"))
        .map(|f| f.display().to_string())
        .collect();
    WEIGHTS
        .into_iter()
        .map(|(what, name, disables, fix)| {
            let of_name = |f: &&String| f.rsplit('/').next().is_some_and(|n| n.contains(name));
            match files.iter().find(of_name) {
                Some(file) => Finding::ok(what, file),
                None => {
                    Finding::lacking(what, Status::Missing, format!("no {name}*.safetensors"), disables, fix)
                }
            }
        })
        .collect()
}

/// Programs of others that the adapters drive (`freezeframe setup` has a line for each).
fn adapters() -> Vec<Finding> {
    let finding = |what: &What| {
        let (there, missing): (Vec<&Need>, Vec<&Need>) =
            what.needs().iter().partition(|n| n.find().is_some());
        let names = |list: &[&Need]| list.iter().map(|n| n.name).collect::<Vec<_>>().join(", ");
        if missing.is_empty() {
            return Finding::ok(what.title(), names(&there));
        }
        let why: Vec<&str> = missing.iter().map(|n| n.why).collect();
        Finding::lacking(
            what.title(),
            Status::Missing,
            format!("without {}", names(&missing)),
            &why.join("; "),
            &setup::command(&missing),
        )
    };
    What::value_variants().iter().map(finding).collect()
}

fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.what.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for f in findings {
        let mark = match f.status {
            Status::Ok => "ok     ",
            Status::Limited => "limited",
            Status::Missing => "missing",
        };
        text.push_str(&format!("{mark}  {:width$}  {}\n", f.what, f.found));
        for (label, line) in [("disables", &f.disables), ("fix", &f.fix)] {
            if !line.is_empty() {
                text.push_str(&format!("{:9}{:width$}  {label}: {line}\n", "", ""));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_what_it_disables_and_how_to_fix_it() {
        for finding in
            [vec![governor(), encoders(), vmaf(), torch(), cuda(), rootless()], weights(), adapters()]
                .concat()
        {
            let said = !finding.disables.is_empty() && !finding.fix.is_empty();
            assert_eq!(finding.status == Status::Ok, !said, "{finding:?}");
        }
    }

    #[test]
    fn the_table_puts_the_remedy_below_the_finding() {
        let findings = [
            Finding::ok("lab", "built"),
            Finding::lacking(
                "netem",
                Status::Missing,
                "no such file",
                "the kernel's shaper",
                "modprobe sch_netem",
            ),
        ];
        assert_eq!(
            table(&findings),
            "ok       lab    built\n\
             missing  netem  no such file\n\
             \x20               disables: the kernel's shaper\n\
             \x20               fix: modprobe sch_netem\n"
        );
    }
}
