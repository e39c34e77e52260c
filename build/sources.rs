//! For build scripts: one hash over source files, so that what was computed by other code is never taken for this code's.

use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// XXH3 (128 bit, 32 hex digits) over names and contents of `roots` (relative to the package): files, and the `.rs` files below folders.
/// Asks cargo to run the build script again when one changes.
pub fn hash(roots: &[&str]) -> String {
    let mut hash = Xxh3::new();
    for root in roots {
        println!("cargo:rerun-if-changed={root}");
        let mut files = Vec::new();
        if Path::new(root).is_file() {
            files.push(root.into());
        } else {
            collect(Path::new(root), &mut files);
        }
        files.sort();
        for file in files {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let name = file.to_string_lossy();
            for part in [name.as_bytes(), &bytes] {
                hash.update(&(part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
    }
    format!("{:032x}", hash.digest128())
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}
