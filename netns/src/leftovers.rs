//! Labs whose owner was killed together with its emulator: found by their names, removed by the next lab.

use crate::error::LabError;
use crate::names::{LabName, Role};
use crate::space::{self, Space};

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
    let mut removed = Vec::new();
    for (namespace, name, _) in namespaces() {
        if name.owner_runs() {
            continue;
        }
        match remove(&namespace) {
            // Another process cleans at the same moment.
            Err(_) if !std::path::Path::new(space::DIRECTORY).join(&namespace).exists() => {}
            Err(e) => return Err(e),
            Ok(()) => removed.push(namespace),
        }
    }
    Ok(removed)
}

/// Ends the processes inside one namespace and removes it.
pub(crate) fn remove(namespace: &str) -> Result<(), LabError> {
    match Space::open(namespace) {
        Ok(space) => {
            space.end_processes();
            space.remove()
        }
        // Half made: a name without a namespace.
        Err(_) => space::remove_name(namespace),
    }
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
