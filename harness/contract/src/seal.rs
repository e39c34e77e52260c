//! `seal.sha256`: SHA-256 of every file that a finished run's numbers rest on, so that damage is noticed by whoever reads them.
//!
//! The file is what `sha256sum --check` reads. Its first line, a comment to that program, holds a hash of the lines below it: a
//! seal that is cut off or changed is no seal. The launcher seals what the run has left (the evidence), scoring adds what it
//! made of it (the results). A seal tells damage from what was written; who wants to forge a run can make another seal.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

/// Name of the file.
pub const FILE_NAME: &str = "seal.sha256";

/// What scoring makes. Everything else that is sealed is evidence.
pub const RESULTS: [&str; 2] = ["frames.csv", "scores.json"];

const HEAD: &str = "# seal 1 ";

/// Files of a run directory that are made after the run, as often as somebody likes, and prove nothing.
fn is_made_later(name: &str) -> bool {
    name == FILE_NAME
        || RESULTS.contains(&name)
        || name == "stale.txt"
        // How long what took on this machine.
        || name == "profile.json"
        || name.starts_with("report")
        || name.starts_with('.')
        || ["mp4", "part", "npy"].iter().any(|end| name.rsplit('.').next() == Some(end))
}

/// Files that readers would believe: none may lie beside a seal that does not name it.
fn is_believed(name: &str) -> bool {
    let store = name.starts_with("rendered.") && !is_made_later(name);
    store
        || RESULTS.contains(&name)
        || ["spec.toml", "events.jsonl", "fates.jsonl", "health.json", "emulator.json"].contains(&name)
}

/// Why the files of a run directory are not believed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No seal.
    #[error(
        "{path}: missing, so that nobody can tell whether the run's files are whole (made by an earlier version, or removed); \
         run it again, or take the files as they are with `freezeframe score --reseal`"
    )]
    Missing {
        /// The seal.
        path: String,
    },
    /// The seal itself is damaged.
    #[error(
        "{path}: damaged ({why}); run it again, or take the files as they are with `freezeframe score --reseal`"
    )]
    Broken {
        /// The seal.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Evidence is not what the run left.
    #[error("{path}: {why}; run it again, or take the files as they are with `freezeframe score --reseal`")]
    Evidence {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A result is not what scoring wrote.
    #[error("{path}: {why}; run `freezeframe score` on the directory again")]
    Result {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file could not be read or written.
    #[error("failed to read or write {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The hashes of a run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal(BTreeMap<String, String>);

impl Seal {
    /// Seals the evidence in `dir` as it is now; results that may be there are not part of it.
    ///
    /// # Errors
    /// When a file cannot be read, or the seal not be written.
    pub fn evidence(dir: &Path) -> Result<Self, SealError> {
        let mut seal = Self::default();
        for name in names(dir)?.iter().filter(|name| !is_made_later(name)) {
            seal.0.insert(name.clone(), hash_of(dir, name)?);
        }
        seal.write(dir)?;
        Ok(seal)
    }

    /// The seal of `dir`.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn read(dir: &Path) -> Result<Self, SealError> {
        let path = dir.join(FILE_NAME);
        let name = || path.display().to_string();
        let text = match std::fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(SealError::Missing { path: name() }),
            Err(source) => return Err(SealError::Io { path: name(), source }),
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        Self::parse(&text).map_err(|why| SealError::Broken { path: name(), why })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (head, body) = text.split_once('\n').ok_or("it has no first line")?;
        let check = head.strip_prefix(HEAD).ok_or("its first line is that of no seal")?;
        if check != hex(Sha256::digest(body)) {
            return Err("its lines are not those that were written".to_owned());
        }
        let line = |line: &str| {
            let (hash, name) = line.split_once("  ")?;
            let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
            plain.then(|| (name.to_owned(), hash.to_owned()))
        };
        let lines: Option<BTreeMap<String, String>> = body.lines().map(line).collect();
        lines.map(Self).ok_or_else(|| "a line of it is no hash and name".to_owned())
    }

    fn text(&self) -> String {
        let body: String = self.0.iter().map(|(name, hash)| format!("{hash}  {name}\n")).collect();
        format!("{HEAD}{}\n{body}", hex(Sha256::digest(&body)))
    }

    fn write(&self, dir: &Path) -> Result<(), SealError> {
        let path = dir.join(FILE_NAME);
        crate::write_whole(&path, self.text().as_bytes())
            .map_err(|source| SealError::Io { path: path.display().to_string(), source })
    }

    /// The results are about to be made again.
    ///
    /// # Errors
    /// When the seal cannot be written.
    pub fn without_results(&mut self, dir: &Path) -> Result<(), SealError> {
        self.0.retain(|name, _| !RESULTS.contains(&name.as_str()));
        self.write(dir)
    }

    /// Adds a result with this content. It is sealed before it stands in its place, so that no moment is taken for damage but
    /// that in which somebody writes.
    ///
    /// # Errors
    /// When the seal cannot be written.
    pub fn add_results(&mut self, dir: &Path, frames: &[u8], scores: &[u8]) -> Result<(), SealError> {
        for (name, content) in RESULTS.into_iter().zip([frames, scores]) {
            self.0.insert(name.to_owned(), hex(Sha256::digest(content)));
        }
        self.write(dir)
    }

    /// The harness itself has written `name` anew.
    ///
    /// # Errors
    /// When the file cannot be read, or the seal not be written.
    pub fn renew(&mut self, dir: &Path, name: &str) -> Result<(), SealError> {
        self.0.insert(name.to_owned(), hash_of(dir, name)?);
        self.write(dir)
    }

    /// Whether the run has been scored.
    #[must_use]
    pub fn has_results(&self) -> bool {
        self.0.contains_key(RESULTS[1])
    }

    /// Whether the evidence is what the run left.
    ///
    /// # Errors
    /// The first file that is missing, changed, or was not there.
    pub fn check_evidence(&self, dir: &Path) -> Result<(), SealError> {
        let evidence = || self.0.iter().filter(|(name, _)| !RESULTS.contains(&name.as_str()));
        let wrong = |name: &str, why: &str| SealError::Evidence {
            path: dir.join(name).display().to_string(),
            why: why.to_owned(),
        };
        for (name, hash) in evidence() {
            if let Some(why) = differs(dir, name, hash)? {
                return Err(wrong(name, why));
            }
        }
        let believed = |name: &&String| is_believed(name) && !RESULTS.contains(&name.as_str());
        match names(dir)?.iter().filter(believed).find(|name| !self.0.contains_key(*name)) {
            Some(name) => Err(wrong(name, "was not there when the run ended")),
            None => Ok(()),
        }
    }

    /// Whether the results are what scoring wrote.
    ///
    /// # Errors
    /// The first file that is missing or changed.
    pub fn check_results(&self, dir: &Path) -> Result<(), SealError> {
        for name in RESULTS {
            let why = match self.0.get(name) {
                Some(hash) => differs(dir, name, hash)?,
                None => Some("is not what scoring wrote"),
            };
            if let Some(why) = why {
                let path = dir.join(name).display().to_string();
                return Err(SealError::Result { path, why: why.to_owned() });
            }
        }
        Ok(())
    }
}

/// Whether all that a finished run's numbers rest on is as it was written.
///
/// # Errors
/// The first file that is not, with what to do.
pub fn check(dir: &Path) -> Result<(), SealError> {
    let seal = Seal::read(dir)?;
    seal.check_evidence(dir)?;
    seal.check_results(dir)
}

/// Whether all that scoring reads is as the run left it.
///
/// # Errors
/// The first file that is not, with what to do.
pub fn check_evidence(dir: &Path) -> Result<(), SealError> {
    Seal::read(dir)?.check_evidence(dir)
}

fn differs(dir: &Path, name: &str, hash: &str) -> Result<Option<&'static str>, SealError> {
    match hash_of(dir, name) {
        Ok(found) if found == hash => Ok(None),
        Ok(_) => Ok(Some("has changed since it was written (SHA-256)")),
        Err(SealError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(Some("is missing"))
        }
        Err(error) => Err(error),
    }
}

/// Plain files of a run directory, without what lies in folders.
fn names(dir: &Path) -> Result<Vec<String>, SealError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    };
    list().map_err(|source| SealError::Io { path: dir.display().to_string(), source })
}

fn hash_of(dir: &Path, name: &str) -> Result<String, SealError> {
    let path = dir.join(name);
    let read = || -> io::Result<String> {
        let mut file = std::fs::File::open(&path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(hash.finalize())),
                n => hash.update(&buffer[..n]),
            }
        }
    };
    read().map_err(|source| SealError::Io { path: path.display().to_string(), source })
}

fn hex(hash: impl AsRef<[u8]>) -> String {
    hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn run() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("spec.toml", "a"), ("events.jsonl", "b\nc\n"), ("rendered.rgb.units", "d")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut seal = Seal::evidence(dir.path()).unwrap();
        assert!(!seal.has_results());
        seal.add_results(dir.path(), b"f", b"s").unwrap();
        fs::write(dir.path().join("frames.csv"), "f").unwrap();
        fs::write(dir.path().join("scores.json"), "s").unwrap();
        check(dir.path()).unwrap();
        dir
    }

    #[test]
    fn every_kind_of_damage_to_every_file_is_noticed() {
        for name in
            ["spec.toml", "events.jsonl", "rendered.rgb.units", "frames.csv", "scores.json", FILE_NAME]
        {
            for damage in ["changed", "cut off", "emptied", "missing"] {
                let dir = run();
                let path = dir.path().join(name);
                let mut content = fs::read(&path).unwrap();
                match damage {
                    "changed" => content[0] ^= 1,
                    "cut off" => drop(content.pop()),
                    _ => content.clear(),
                }
                if damage == "missing" { fs::remove_file(&path) } else { fs::write(&path, content) }.unwrap();
                let error = check(dir.path()).unwrap_err().to_string();
                assert!(
                    error.contains(name) && error.contains("freezeframe score"),
                    "{name} {damage}: {error}"
                );
                let result = RESULTS.contains(&name);
                assert_eq!(check_evidence(dir.path()).is_ok(), result, "{name} {damage}");
            }
        }
    }

    #[test]
    fn files_that_were_not_there_are_not_believed_and_those_made_later_are_nobodys_business() {
        for (name, fine) in [
            ("health.json", false),
            ("rendered.rgb.mkv", false),
            ("fates.jsonl", false),
            ("report.html", true),
            ("rendered.rgb.mp4", true),
            ("stale.txt", true),
            ("notes.txt", true),
        ] {
            let dir = run();
            fs::write(dir.path().join(name), "x").unwrap();
            assert_eq!(check(dir.path()).is_ok(), fine, "{name}");
        }
    }

    /// `sha256sum --check` is the reference.
    #[test]
    fn coreutils_reads_it() {
        let dir = run();
        let output = std::process::Command::new("sha256sum")
            .args(["--check", FILE_NAME])
            .current_dir(dir.path())
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 5);
    }
}
