//! What a run is made with: read from the files, libraries and machine that are there now.

use super::child::sut_program;
use crate::BadInput;
use anyhow::{Context, Result};
use contract::Manifest;
use contract::digest::{cache_folder, sha256};
use contract::identity::{DependsOn, Identity, Machine, Parts, SystemIdentity, Tool};
use std::path::{Path, PathBuf};

/// The identity of a run of `manifest`'s system, which says of itself that it depends on `depends_on`.
pub fn identity(manifest: &Manifest, depends_on: DependsOn) -> Result<Identity> {
    Ok(Identity { tool: tool(), system: system(manifest, depends_on)?, machine: Machine::here() })
}

/// This program.
#[must_use]
pub fn tool() -> Tool {
    Tool {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("FREEZEFRAME_COMMIT").to_owned(),
        dirty: env!("FREEZEFRAME_DIRTY") == "true",
        sources: env!("FREEZEFRAME_SOURCES").to_owned(),
        path_sources: env!("FREEZEFRAME_PATH_SOURCES").to_owned(),
        libraries: libraries(),
    }
}

/// The source revision this program was built from, in one word: the commit, or the hash of the sources if it was built outside a
/// checkout.
#[must_use]
pub fn revision() -> String {
    let tool = tool_words();
    match (tool.0, tool.1) {
        ("unknown", _) => format!("unknown-sources-{}", short(env!("FREEZEFRAME_SOURCES"))),
        (commit, false) => short(commit).to_owned(),
        (commit, true) => format!("{}-dirty", short(commit)),
    }
}

/// The libraries that clips are read and pictures decoded with, as loaded. That of networks is part of what needs it: the metric, the
/// system.
#[must_use]
pub fn libraries() -> Parts {
    let cache = cache_folder();
    let hash = |path: &Path| sha256(path, cache.as_deref());
    codecs::identity::libraries(&hash)
}

fn tool_words() -> (&'static str, bool) {
    (env!("FREEZEFRAME_COMMIT"), env!("FREEZEFRAME_DIRTY") == "true")
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// The system's program, file by file.
fn system(manifest: &Manifest, depends_on: DependsOn) -> Result<SystemIdentity> {
    let cache = cache_folder();
    let mut identity =
        SystemIdentity { manifest: manifest.hash.clone(), depends_on, ..SystemIdentity::default() };
    let mut add = |path: &Path| -> Result<()> {
        let hash = sha256(path, cache.as_deref())
            .with_context(|| format!("failed to read {} of the system {}", path.display(), manifest.name))?;
        identity.files.insert(path.display().to_string(), hash);
        Ok(())
    };
    let program = match manifest.command[0].as_str() {
        "{sut}" => Some(sut_program()?),
        other => on_the_path(other),
    };
    if let Some(program) = &program {
        let script = manifest.command[1..].iter().map(Path::new).find(|p| p.is_file());
        for program in interpreters(program, script) {
            add(&program)?;
        }
    }
    for word in &manifest.command[1..] {
        let path = Path::new(word);
        // What follows `{sut}` is the name of a system, whatever lies in the current folder.
        if manifest.command[0] != "{sut}" && path.is_file() {
            add(&std::path::absolute(path)?)?;
        }
    }
    for file in &manifest.files {
        if !file.exists() {
            return Err(BadInput(format!(
                "manifest of {}: field `files`: {} is not there; correct the path or remove it",
                manifest.name,
                file.display()
            ))
            .into());
        }
        for path in files_of(file)? {
            add(&path)?;
        }
    }
    Ok(identity)
}

/// Where the program lies that this word starts; `None` if there is none, which starting it will say.
fn on_the_path(word: &str) -> Option<PathBuf> {
    if word.contains('/') {
        return std::path::absolute(word).ok().filter(|p| p.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(word)).find(|p| p.is_file())
}

/// The program and, if it is a script, what runs it: named in its first line, or the program that a version manager (pyenv, rbenv,
/// nodenv, asdf) puts in the place of its shim.
fn interpreters(program: &Path, script: Option<&Path>) -> Vec<PathBuf> {
    let mut found = vec![program.to_owned()];
    while let Some(next) = found.last().and_then(|p| behind_a_shim(p, script).or_else(|| of_first_line(p))) {
        // Four scripts one behind the other is what the kernel executes.
        if found.len() > 4 || found.contains(&next) {
            break;
        }
        found.push(next);
    }
    found
}

/// The beginning of a script; none for a program.
fn script_text(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(1 << 16).read_to_end(&mut bytes).ok()?;
    bytes.starts_with(b"#!").then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn of_first_line(path: &Path) -> Option<PathBuf> {
    let text = script_text(path)?;
    let mut words = text.lines().next()?.trim_start_matches("#!").split_ascii_whitespace();
    let interpreter = words.next()?;
    if Path::new(interpreter).file_name()? != "env" {
        return on_the_path(interpreter);
    }
    // `env -S program`, `env NAME=value program`
    on_the_path(words.find(|w| !w.starts_with('-') && !w.contains('='))?)
}

/// A shim ends with `exec MANAGER exec ...`; `MANAGER which NAME` says what that executes.
fn behind_a_shim(path: &Path, script: Option<&Path>) -> Option<PathBuf> {
    if path.parent()?.file_name()? != "shims" {
        return None;
    }
    let text = script_text(path)?;
    let words = text
        .lines()
        .filter_map(|l| shlex::split(l.trim()))
        .find(|w| w.len() > 2 && w[0] == "exec" && w[2] == "exec")?;
    let mut command = std::process::Command::new(&words[1]);
    command.arg("which").arg(path.file_name()?);
    // pyenv looks for a version's name beside the script.
    if let Some(folder) = script.and_then(|s| std::path::absolute(s).ok()).as_deref().and_then(Path::parent) {
        command.env("PYENV_DIR", folder);
    }
    let output = command.stdin(std::process::Stdio::null()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(said.lines().next()?.trim()))
        .filter(|p| output.status.success() && p.is_absolute() && p.is_file())
}

/// The file, or every file in the folder and below, by name.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("failed to read {}", path.display()))?;
    let mut inside: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    inside.sort();
    let mut files = Vec::new();
    for path in inside.iter().filter(|p| !p.is_symlink() || p.is_file()) {
        files.extend(files_of(path)?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A shim as pyenv 2 and rbenv 1 write it, and the manager that they start, as far as `which` goes.
    #[test]
    fn the_interpreter_behind_a_shim_and_a_first_line_is_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let real = write("versions/3.12/bin/python3", "\x7fELF");
        let manager = write(
            "libexec/pyenv",
            &format!(
                "#!/bin/sh\n[ \"$1 $2 $PYENV_DIR\" = \"which python3 {}\" ] && echo {}\n",
                root.path().display(),
                real.display()
            ),
        );
        let shim = write(
            "shims/python3",
            &format!(
                "#!/usr/bin/env bash\nset -e\nprogram=\"${{0##*/}}\"\nexec \"{}\" exec \"$program\" \"$@\"\n",
                manager.display()
            ),
        );
        let script = write("plugin.py", "print(1)\n");
        assert_eq!(interpreters(&shim, Some(&script)), [shim, real]);

        let sh = on_the_path("/bin/sh").unwrap();
        let direct = write("direct", "#!/bin/sh -e\n");
        assert_eq!(interpreters(&direct, None), [direct, sh]);
        let through_env = write("through_env", "#!/usr/bin/env -S X=1 sh -e\n");
        assert_eq!(interpreters(&through_env, None), [through_env, on_the_path("sh").unwrap()]);
        let program = on_the_path("/bin/sh").unwrap();
        assert_eq!(interpreters(&program, None), [program]);
    }
}
