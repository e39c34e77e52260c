//! What a system's results depend on besides its program and options: encoders, libraries, weights.

use anyhow::{Context, Result};
use codecs::{Codec, identity as loaded};
use contract::digest::{cache_folder, sha256};
use contract::identity::{DependsOn, Parts};
use std::path::PathBuf;

/// Hash of the sources that decide what an encoded stream or a frame's tokens are: readers, encoders, tokenizer.
pub const ENCODING_SOURCES: &str = env!("FREEZEFRAME_ENCODING_SOURCES");

/// A system that encodes with `codec`.
pub fn video(codec: Codec) -> Result<DependsOn> {
    let hash = hasher();
    Ok(DependsOn {
        encoders: loaded::encoder(codec, &hash),
        libraries: loaded::libraries(&hash),
        ..DependsOn::default()
    })
}

/// A system of networks with these weights.
pub fn networks(files: &[PathBuf]) -> Result<DependsOn> {
    let hash = hasher();
    let mut libraries = loaded::libraries(&hash);
    for name in ["libtorch_cpu", "libtorch_cuda"] {
        libraries.extend(loaded::library(name, &hash).map(|text| (name.to_owned(), text)));
    }
    let weight = |path: &PathBuf| {
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let hash = hash(path).with_context(|| format!("failed to read the weights {}", path.display()))?;
        Ok((name, hash))
    };
    Ok(DependsOn {
        weights: files.iter().map(weight).collect::<Result<Parts>>()?,
        libraries,
        ..DependsOn::default()
    })
}

/// Everything that an encoded stream of `codec` depends on besides its settings and pictures, as one text for a cache's key.
#[must_use]
pub fn encoding(codec: Codec) -> String {
    let hash = hasher();
    format!("{ENCODING_SOURCES} {:?} {:?}", loaded::encoder(codec, &hash), loaded::libraries(&hash))
}

/// The same of tokens, besides the weights.
#[must_use]
pub fn tokenizing() -> String {
    let hash = hasher();
    let torch = loaded::library("libtorch_cpu", &hash);
    format!("{ENCODING_SOURCES} {torch:?} {:?}", loaded::libraries(&hash))
}

fn hasher() -> impl Fn(&std::path::Path) -> std::io::Result<String> {
    let cache = cache_folder();
    move |path| sha256(path, cache.as_deref())
}
