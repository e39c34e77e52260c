//! Labs whose owner was killed together with its emulator: found by their names, removed by the next lab.

use crate::error::LabError;
use crate::names::{LabName, Role};
use crate::space::{self, Space};
use std::path::Path;

/// Every lab that has at least one namespace now, in order.
#[must_use]
pub fn labs() -> Vec<LabName> {
    let mut labs: Vec<LabName> = namespaces().into_iter().map(|(_, name, _)| name).collect();
    labs.sort_unstable();
    labs.dedup();
    labs
}

/// Labs whose owner no longer runs.
#[must_use]
pub fn leftovers() -> Vec<LabName> {
    labs().into_iter().filter(|name| !name.owner_runs()).collect()
}

/// Ends the processes in the namespaces of every leftover and removes them; returns the names removed.
///
/// # Errors
/// When a namespace cannot be removed.
pub fn clean() -> Result<Vec<String>, LabError> {
    let dead =
        namespaces().into_iter().filter(|(_, name, _)| !name.owner_runs()).map(|(namespace, ..)| namespace);
    remove(&dead.collect::<Vec<_>>())
}

/// Ends the processes inside namespaces and removes them; returns those that were still there.
pub(crate) fn remove(namespaces: &[String]) -> Result<Vec<String>, LabError> {
    // A name without a namespace (half made) opens as a plain file, which no process is in.
    let spaces: Vec<Space> = namespaces.iter().filter_map(|n| Space::open(n).ok()).collect();
    space::end_processes(&spaces);
    drop(spaces);
    let mut removed = Vec::new();
    for namespace in namespaces {
        match space::remove_name(namespace) {
            // Another process cleans at the same moment.
            Err(_) if !Path::new(space::DIRECTORY).join(namespace).exists() => {}
            Err(e) => return Err(e),
            Ok(()) => removed.push(namespace.clone()),
        }
    }
    Ok(removed)
}

fn namespaces() -> Vec<(String, LabName, Role)> {
    let Ok(entries) = std::fs::read_dir(space::DIRECTORY) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter_map(|n| LabName::parse(&n).map(|(name, role)| (n, name, role)))
        .collect();
    found.sort();
    found
}
