//! What systems say of themselves: asked of the system, or, for this project's own, kept from the last time.
//!
//! A kept answer is known by the program's content, the manifest and the options. What else it depends on it names itself, and each is
//! looked at again: the answer holds while every library and encoder is the one that this process has loaded, too. A system with weights is
//! always asked.

use super::child::{Failure, Running, command, sut_program};
use super::sandbox::{Part, Surroundings};
use crate::bad_input;
use crate::score::cache::{recall, store};
use anyhow::{Context, Result};
use contract::Manifest;
use contract::digest::{cache_folder, sha256};
use contract::identity::DependsOn;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// What a system says of itself before a run.
#[derive(Deserialize)]
pub struct Description {
    /// Milliseconds between the run's start and the first capture.
    pub setup_ms: u64,
    /// Every option with its value.
    pub options: toml::Table,
    /// What its results depend on besides its program.
    #[serde(default)]
    pub identity: DependsOn,
    /// Options that have an effect only with `playout = "own"`.
    #[serde(default)]
    pub own_clock: Vec<String>,
}

/// Asks the system of `manifest`, given these options, unless its answer is kept and still holds.
///
/// # Errors
/// When it refuses the options, fails, or says something else.
pub fn describe(manifest: &Manifest, options: &toml::Table) -> Result<Description> {
    let json = serde_json::to_string(options)?;
    let place = place(manifest, &json);
    let kept = place.as_deref().and_then(recall);
    if let Some(kept) = kept.and_then(|bytes| serde_json::from_slice::<Description>(&bytes).ok())
        && holds(&kept.identity)
    {
        return Ok(kept);
    }
    let said = ask(manifest, options, &json)?;
    let description: Description = serde_json::from_str(&said)
        .with_context(|| format!("{} did not describe itself (docs/PLUGIN.md)", manifest.name))?;
    if let Some(place) = place.filter(|_| holds(&description.identity)) {
        store(&place, said.as_bytes());
    }
    Ok(description)
}

/// Where the answer is kept; `None` for a plug-in's.
fn place(manifest: &Manifest, options: &str) -> Option<PathBuf> {
    let cache = cache_folder().filter(|_| manifest.is_shipped())?;
    let program = sha256(&sut_program().ok()?, Some(&cache)).ok()?;
    let key = format!("{program}\n{:?}\n{}\n{options}", manifest.command, manifest.hash);
    Some(cache.join("described").join(format!("{:032x}.json", xxh3_128(key.as_bytes()))))
}

/// Whether what an answer depends on is what is loaded here.
fn holds(on: &DependsOn) -> bool {
    let cache = cache_folder();
    let hash = |path: &Path| sha256(path, cache.as_deref());
    let encoders: Vec<&str> = on.encoders.keys().map(String::as_str).collect();
    let libraries: BTreeMap<String, String> = codecs::identity::libraries(&hash);
    on.weights.is_empty()
        && on.libraries.iter().all(|(name, what)| libraries.get(name) == Some(what))
        && on.encoders == codecs::identity::encoder(&encoders, &hash)
}

fn ask(manifest: &Manifest, options: &toml::Table, json: &str) -> Result<String> {
    let command = command(manifest, &["describe", "--options", json])?;
    let surroundings = Surroundings::of(manifest, Part::Describe, None, options)?;
    let name = format!("`describe` of {}", manifest.name);
    let mut child = Running::start(&name, command, &surroundings, None, None)?;
    let mut said = String::new();
    let ended = child.wait(Duration::from_secs(manifest.limits.describe_s), &mut |line| {
        said.push_str(&line);
        said.push('\n');
    });
    if let Err(error) = ended {
        // It ended by itself and said no: the options are wrong. Everything else is a system that failed.
        if error.downcast_ref::<Failure>().is_some_and(|f| f.code == "system_failed") {
            bad_input!("{} refuses its options: {}", manifest.name, child.last_words());
        }
        return Err(error);
    }
    Ok(said)
}
