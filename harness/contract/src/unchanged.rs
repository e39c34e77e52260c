//! Files that must not change while they are read, because what comes of them is kept under their content's hash: encoded frames, tokens,
//! scores. One that is overwritten in the middle would leave another clip's under this one's name.

use crate::digest;
use std::io;
use std::path::PathBuf;
use xxhash_rust::xxh3::Xxh3;

/// XXH3 (128 bit) of the content of files, one after the other.
///
/// # Errors
/// When one cannot be read; the message names it.
pub fn hash_of(files: &[PathBuf]) -> io::Result<u128> {
    let cache = digest::cache_folder();
    let named = |file: &PathBuf, e: io::Error| {
        io::Error::new(e.kind(), format!("failed to read {}: {e}", file.display()))
    };
    if let [file] = files {
        return digest::xxh3(file, cache.as_deref()).map_err(|e| named(file, e));
    }
    let mut hash = Xxh3::new();
    for file in files {
        hash.update(&std::fs::read(file).map_err(|e| named(file, e))?);
    }
    Ok(hash.digest128())
}

/// Files that are being read.
#[derive(Clone, Debug)]
pub struct Unchanged {
    files: Vec<PathBuf>,
    /// What their content must be; `None`: only that it stays is asked.
    hash: Option<u128>,
    states: Vec<String>,
    verified: bool,
}

impl Unchanged {
    /// Of `files` as they are now. `hash` begins with the 32 hexadecimal digits of [`hash_of`]; where it does not, nobody knows what their
    /// content should be.
    ///
    /// # Errors
    /// When one is not there.
    pub fn of(files: Vec<PathBuf>, hash: &str) -> io::Result<Self> {
        let hash = hash.get(..32).and_then(|digits| u128::from_str_radix(digits, 16).ok());
        let states = states(&files)?;
        Ok(Self { files, hash, states, verified: false })
    }

    /// To be called after something was read, before anything of it is used: fails if it may not be what the hash says. The first
    /// call reads the files, unless their hash is remembered ([`digest`]).
    ///
    /// # Errors
    /// When a file has changed or is gone; the message names it.
    pub fn check(&mut self) -> io::Result<()> {
        if !self.verified {
            let same = match self.hash {
                Some(hash) => hash_of(&self.files)? == hash,
                None => true,
            };
            if !same {
                return Err(changed(self.files.first()));
            }
            self.verified = true;
        }
        let now = states(&self.files)?;
        match self.states.iter().zip(&now).position(|(then, now)| then != now) {
            Some(at) => Err(changed(self.files.get(at))),
            None => Ok(()),
        }
    }
}

fn states(files: &[PathBuf]) -> io::Result<Vec<String>> {
    let state = |file: &PathBuf| {
        let found = std::fs::metadata(file);
        found
            .map(|m| digest::state(&m))
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))
    };
    files.iter().map(state).collect()
}

fn changed(file: Option<&PathBuf>) -> io::Error {
    let name = file.map(|f| f.display().to_string()).unwrap_or_default();
    io::Error::other(format!(
        "{name} changed while it was read. Nothing of it is kept; run again when it stays as it is"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_changes_in_the_middle_is_noticed_even_if_it_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        fs::write(&a, "one").unwrap();
        fs::write(&b, "two").unwrap();
        let files = vec![a, b.clone()];
        let hash = format!("{:032x}-512x512@30", hash_of(&files).unwrap());
        assert_eq!(hash_of(&files).unwrap(), xxhash_rust::xxh3::xxh3_128(b"onetwo"));
        let mut watched = Unchanged::of(files.clone(), &hash).unwrap();
        watched.check().unwrap();
        watched.check().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        for text in ["TWO", "two"] {
            fs::write(&b, text).unwrap();
            let said = watched.check().unwrap_err().to_string();
            assert!(said.contains(&*b.to_string_lossy()) && said.contains("run again"), "{said}");
        }
        // Whoever begins now finds it as it should be; and what is another content from the start is none.
        Unchanged::of(files.clone(), &hash).unwrap().check().unwrap();
        fs::write(&b, "TWO").unwrap();
        assert!(Unchanged::of(files.clone(), &hash).unwrap().check().is_err());
        Unchanged::of(files.clone(), "").unwrap().check().unwrap();
        fs::remove_file(&b).unwrap();
        assert!(Unchanged::of(files, &hash).is_err());
    }
}
