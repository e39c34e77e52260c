//! A few machines by ssh: one part each. Where they share the sweep's folder the runs are written there; where they do not, into
//! `freezeframe/parts` of the machine's cache folder, from which they are fetched (with tar, through the same ssh) and merged.

use super::{Job, Lost, last_words, quoted};
use crate::launch::child::{Interrupted, interrupted};
use crate::sweep::shard::FOLDER;
use anyhow::{Context, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often the machines are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Does part `I` on host `I`, all at once, and waits. The parts that did not come to their end, and the folders to merge.
///
/// # Errors
/// [`Interrupted`]; when ssh cannot be started.
pub fn run(job: &Job, hosts: &[String], program: Option<&str>) -> Result<(Vec<Lost>, Vec<PathBuf>)> {
    let folder = job.out.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let mark = folder.join(format!("mark-{}", std::process::id()));
    std::fs::write(&mark, "").with_context(|| format!("failed to write {}", mark.display()))?;
    let mut parts = Vec::new();
    for &part in job.pending {
        let host = &hosts[part as usize - 1];
        let shared = ssh(job, host, &format!("test -e {}", quoted(&[text(&mark)])?)).status();
        let shared = shared.map_err(no_ssh)?.success();
        let log = folder.join(format!("task-{part}.log"));
        let (place, command) = command(job, part, shared, program)?;
        let said = File::create(&log).with_context(|| format!("failed to write {}", log.display()))?;
        let mut child = ssh(job, host, &command);
        child.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        eprintln!(
            "ssh: part {part} of {} on {host}{}",
            job.parts,
            if shared { ", into the shared folder" } else { "" }
        );
        parts.push(Part {
            number: part,
            host,
            elsewhere: (!shared).then_some(place),
            log,
            child: child.spawn().map_err(no_ssh)?,
        });
    }
    let _ = std::fs::remove_file(&mark);
    let mut at_work = true;
    while at_work {
        std::thread::sleep(LOOK);
        at_work = false;
        for part in &mut parts {
            at_work |= part.child.try_wait()?.is_none();
        }
        if interrupted() {
            // The remote half ends when it finds its connection gone; what it has finished is kept there.
            parts.iter_mut().for_each(|p| drop(p.child.kill().and_then(|()| p.child.wait())));
            return Err(Interrupted.into());
        }
    }
    let (mut lost, mut fetched) = (Vec::new(), Vec::new());
    for mut part in parts {
        let status = part.child.wait()?;
        // 1: it came to its end, and runs failed; its record says which.
        let mut trouble = match status.code() {
            Some(0 | 1) => None,
            _ => Some(format!("{status}; {}", last_words(&part.log))),
        };
        if let Some(place) = &part.elsewhere {
            let into = folder.join("fetched").join(part.number.to_string());
            match fetch(job, part.host, place, &into) {
                Ok(()) => fetched.push(into),
                Err(why) => trouble = trouble.or(Some(format!("{why:#}"))),
            }
        }
        lost.extend(trouble.map(|why| Lost { part: part.number, why: format!("{}: {why}", part.host) }));
    }
    Ok((lost, fetched))
}

/// A part at work.
struct Part<'a> {
    number: u32,
    host: &'a str,
    /// Where its runs go, for the shell there, if it does not share the sweep's folder.
    elsewhere: Option<String>,
    log: PathBuf,
    child: Child,
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn no_ssh(why: std::io::Error) -> anyhow::Error {
    crate::BadInput(format!("--on ssh: failed to start ssh ({why}); install openssh-client")).into()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn ssh(job: &Job, host: &str, command: &str) -> Command {
    let mut ssh = Command::new("ssh");
    // Nobody is there to type a password; a machine that vanishes is noticed within a minute.
    ssh.args(["-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]);
    ssh.args(job.options).args([host, command]);
    ssh
}

/// Where the part's runs go, for the shell there, and what it is to do.
fn command(job: &Job, part: u32, shared: bool, program: Option<&str>) -> Result<(String, String)> {
    let here = std::env::current_dir().context("failed to name the current folder")?;
    let me = std::env::current_exe().context("failed to find this program's own path")?;
    let mut words = vec![program.map_or_else(|| text(&me), str::to_owned)];
    words.extend(job.words.iter().cloned());
    // The same folder for the same sweep, so that it resumes there.
    let place = if shared {
        quoted(&[text(job.out)])?
    } else {
        let name = format!("{}-{:016x}", job.name, xxhash_rust::xxh3::xxh3_64(text(job.out).as_bytes()));
        format!("\"${{XDG_CACHE_HOME:-$HOME/.cache}}/freezeframe/parts\"/{}", quoted(&[name])?)
    };
    let command = format!(
        "cd {} && exec {} --shard {part}/{} --out {place}",
        quoted(&[text(&here)])?,
        quoted(&words)?,
        job.parts
    );
    Ok((place, command))
}

/// What lies in `place` there, into `into`.
fn fetch(job: &Job, host: &str, place: &str, into: &Path) -> Result<()> {
    crate::launch::remove::remove_tree(into)?;
    std::fs::create_dir_all(into).with_context(|| format!("failed to create {}", into.display()))?;
    let mut from = ssh(job, host, &format!("tar -C {place} -cf - .")).stdout(Stdio::piped()).spawn()?;
    let archive = from.stdout.take().context("ssh has no output")?;
    let unpacked = Command::new("tar").arg("-C").arg(into).args(["-xf", "-"]).stdin(archive).status();
    let (sent, unpacked) = (from.wait()?, unpacked.context("failed to start tar")?);
    anyhow::ensure!(
        sent.success() && unpacked.success(),
        "its runs could not be fetched (ssh: {sent}, tar: {unpacked})"
    );
    Ok(())
}
