//! What a run was made with, so that a result is never taken for that of another program, other weights or another encoder.
//!
//! The system's part decides what a run does and is in its key ([`SystemIdentity::revision`]). The tool's part decides what it is
//! scored with. The machine's part is written down for people and compared with nothing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128;

/// Name of a part to its version or hash.
pub type Parts = BTreeMap<String, String>;

/// What a run was made with (`[identity]` of `spec.toml`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// The harness.
    pub tool: Tool,
    /// The system under test.
    pub system: SystemIdentity,
    /// The machine.
    pub machine: Machine,
}

/// The harness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tool {
    /// Version of the package.
    pub version: String,
    /// Commit of the source; `unknown` for a build outside a checkout.
    pub commit: String,
    /// True if the source differed from the commit.
    pub dirty: bool,
    /// Hash of the source files that it was built from.
    pub sources: String,
    /// Hash of those that shape traffic between namespaces.
    pub path_sources: String,
    /// Libraries that it reads clips and decodes with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub libraries: Parts,
}

/// What a system says its results depend on besides its program (`identity` in the answer to `describe`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DependsOn {
    /// Weights of networks: file to SHA-256.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: Parts,
    /// Encoders: name to version or hash.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub encoders: Parts,
    /// Other libraries: name to version or hash.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub libraries: Parts,
}

/// The system under test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SystemIdentity {
    /// SHA-256 of the manifest's text.
    pub manifest: String,
    /// Files of the program, by path as started: the program itself, every file among its arguments, and what the manifest
    /// lists in `files`; with their SHA-256.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: Parts,
    /// What it says of itself.
    pub depends_on: DependsOn,
}

impl SystemIdentity {
    /// One hash for all of it, 12 hex digits; the same wherever the files lie. `unknown` where nothing is known.
    #[must_use]
    pub fn revision(&self) -> String {
        if *self == Self::default() {
            return "unknown".to_owned();
        }
        let base = |path: &String| path.rsplit('/').next().unwrap_or(path).to_owned();
        let mut files: Vec<(String, &String)> = self.files.iter().map(|(p, hash)| (base(p), hash)).collect();
        files.sort();
        let text = serde_json::to_string(&(&self.manifest, files, &self.depends_on)).expect("keys are text");
        format!("{:032x}", xxh3_128(text.as_bytes()))[..12].to_owned()
    }
}

/// The machine, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// Host name.
    pub host: String,
    /// Model of the processor.
    pub cpu: String,
    /// Kernel's release.
    pub kernel: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':').map(|(_, m)| m.trim()));
        Self {
            host: line("/proc/sys/kernel/hostname"),
            cpu: model.unwrap_or(std::env::consts::ARCH).to_owned(),
            kernel: line("/proc/sys/kernel/osrelease"),
        }
    }
}

/// What differs between two makings of a run that its revision depends on, one line each: `what changed: name old -> new`.
#[must_use]
pub fn differences(old: &SystemIdentity, new: &SystemIdentity) -> Vec<String> {
    let mut lines = Vec::new();
    if old.manifest != new.manifest {
        lines.push(changed("manifest", "", Some(&old.manifest), Some(&new.manifest)));
    }
    let (a, b) = (&old.depends_on, &new.depends_on);
    for (what, old, new) in [
        ("system program", &old.files, &new.files),
        ("weights", &a.weights, &b.weights),
        ("encoder", &a.encoders, &b.encoders),
        ("library", &a.libraries, &b.libraries),
    ] {
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            if old.get(name) != new.get(name) {
                lines.push(changed(what, name, old.get(name), new.get(name)));
            }
        }
    }
    lines
}

/// `WHAT changed: NAME OLD -> NEW`.
#[must_use]
pub fn changed(what: &str, name: &str, old: Option<&String>, new: Option<&String>) -> String {
    let short = |value: Option<&String>| match value {
        None => "none".to_owned(),
        Some(v) if v.len() > 16 && v.bytes().all(|b| b.is_ascii_hexdigit()) => v[..12].to_owned(),
        Some(v) if v.is_empty() => "unknown".to_owned(),
        Some(v) => v.clone(),
    };
    let space = if name.is_empty() { "" } else { " " };
    // Names and versions are a system's own words.
    crate::text::line(&format!("{what} changed: {name}{space}{} -> {}", short(old), short(new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> SystemIdentity {
        let parts =
            |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SystemIdentity {
            manifest: "aa".into(),
            files: parts(&[("/one/mine.py", "11"), ("/usr/bin/python3", "22")]),
            depends_on: DependsOn {
                weights: parts(&[("net.safetensors", "33")]),
                encoders: parts(&[("libx264", "164 44")]),
                libraries: parts(&[("libavcodec", "59.37.100 55")]),
            },
        }
    }

    /// Each part that changes changes the revision, and is named with both values.
    #[test]
    fn every_part_counts_and_is_named() {
        let old = identity();
        let set = |of: &dyn Fn(&mut SystemIdentity)| {
            let mut new = identity();
            of(&mut new);
            assert_ne!(new.revision(), old.revision());
            differences(&old, &new)
        };
        assert_eq!(set(&|i| i.manifest = "ab".into()), ["manifest changed: aa -> ab"]);
        assert_eq!(
            set(&|i| *i.files.get_mut("/one/mine.py").unwrap() = "12".into()),
            ["system program changed: /one/mine.py 11 -> 12"]
        );
        assert_eq!(
            set(&|i| *i.depends_on.weights.get_mut("net.safetensors").unwrap() = "34".into()),
            ["weights changed: net.safetensors 33 -> 34"]
        );
        assert_eq!(
            set(&|i| *i.depends_on.encoders.get_mut("libx264").unwrap() = "165 45".into()),
            ["encoder changed: libx264 164 44 -> 165 45"]
        );
        assert_eq!(
            set(&|i| i.depends_on.libraries.clear()),
            ["library changed: libavcodec 59.37.100 55 -> none"]
        );
        assert_eq!(differences(&old, &identity()), Vec::<String>::new());
    }

    #[test]
    fn a_systems_own_words_command_no_terminal() {
        let mut new = identity();
        new.depends_on.encoders.insert("libx264".into(), "\u{1b}]0;owned\u{7}\n164".into());
        assert_eq!(differences(&identity(), &new), ["encoder changed: libx264 164 44 ->  ]0;owned  164"]);
    }

    #[test]
    fn where_the_files_lie_does_not_count() {
        let mut moved = identity();
        let hash = moved.files.remove("/one/mine.py").unwrap();
        moved.files.insert("/two/mine.py".into(), hash);
        assert_eq!(moved.revision(), identity().revision());
        assert_eq!(SystemIdentity::default().revision(), "unknown");
    }
}
