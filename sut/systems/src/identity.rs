//! What a system's results depend on besides its program and options: encoders, libraries, weights.

use anyhow::{Context, Result};
use codecs::identity as loaded;
use codecs::registry::CodecEntry;
use codecs::{RestorerConfig, RestorerEntry, Settings};
use contract::digest::{cache_folder, sha256};
use contract::identity::{DependsOn, Parts};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Hash of the sources that decide what an encoded stream is: readers, encoders.
pub const ENCODING_SOURCES: &str = env!("FREEZEFRAME_ENCODING_SOURCES");

/// A system that encodes with `codec`.
pub fn video(codec: &CodecEntry) -> Result<DependsOn> {
    depends_on(codec, &Settings::new(), None)
}

/// A system of this codec and, perhaps, this recovery, opened like that for every stream.
pub fn depends_on(
    codec: &CodecEntry,
    settings: &Settings,
    recovery: Option<(&RestorerEntry, &[RestorerConfig])>,
) -> Result<DependsOn> {
    let mut files = (codec.files)(settings)?;
    let mut with_networks = !files.is_empty();
    if let Some((recovery, streams)) = recovery {
        for config in streams {
            files.extend((recovery.files)(config)?);
        }
        with_networks |= recovery.makes_pictures;
    }
    let mut parts = if with_networks { networks(&files)? } else { DependsOn::default() };
    let hash = hasher();
    parts.libraries.extend(loaded::libraries(&hash));
    parts.encoders = loaded::encoder(codec.libraries, &hash);
    Ok(parts)
}

/// A system of networks with these weights.
pub fn networks(files: &[PathBuf]) -> Result<DependsOn> {
    let hash = hasher();
    let mut libraries = loaded::libraries(&hash);
    for name in ["libtorch_cpu", "libtorch_cuda"] {
        libraries.extend(loaded::library(name, &hash).map(|text| (name.to_owned(), text)));
    }
    let weight = |(path, hash): (PathBuf, String)| {
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        (name, hash)
    };
    Ok(DependsOn {
        weights: hashes(files)?.into_iter().map(weight).collect::<Parts>(),
        libraries,
        ..DependsOn::default()
    })
}

/// SHA-256 of every file.
///
/// # Errors
/// Names the one that cannot be read.
pub fn hashes(files: &[PathBuf]) -> Result<BTreeMap<PathBuf, String>> {
    let hash = hasher();
    let one = |path: &PathBuf| {
        let hash = hash(path).with_context(|| format!("failed to read the weights {}", path.display()))?;
        Ok((path.clone(), hash))
    };
    files.iter().map(one).collect()
}

/// Everything that an encoded stream of `codec` depends on besides its settings and pictures, as one text for a cache's key.
pub fn encoding(codec: &CodecEntry, settings: &Settings) -> Result<String> {
    let DependsOn { weights, encoders, libraries } = depends_on(codec, settings, None)?;
    Ok(format!("{ENCODING_SOURCES} {} {encoders:?} {libraries:?} {weights:?}", codec.sources))
}

fn hasher() -> impl Fn(&Path) -> std::io::Result<String> {
    let cache = cache_folder();
    move |path| sha256(path, cache.as_deref())
}
