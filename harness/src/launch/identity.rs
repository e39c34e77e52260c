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
        add(program)?;
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
