//! Units that are made once and kept in the cache.

use anyhow::{Context, Result};
use contract::lock::Lock;
use contract::units::{UnitsHeader, UnitsReader, UnitsWriter};
use std::fs;
use std::path::Path;

/// The units at `path`, made now by `make` if they are not there. One maker at a time, between processes too: whoever
/// waited reads what the other made.
///
/// # Errors
/// When the lock, the file or `make` fails; nothing is left behind then.
pub fn units(
    path: &Path,
    header: &UnitsHeader,
    make: impl FnOnce(&mut UnitsWriter) -> Result<()>,
) -> Result<UnitsReader> {
    if !path.exists() {
        let lock = path.with_extension("lock");
        let _held = Lock::take(&lock, &|| false)
            .with_context(|| format!("failed to lock the cache with {}", lock.display()))?;
        if !path.exists() {
            write_whole(path, header, make)?;
        }
    }
    Ok(UnitsReader::open(path)?)
}

/// Whole or not at all: this process may be killed midway. Whoever holds the lock next writes over what is left then.
fn write_whole(
    path: &Path,
    header: &UnitsHeader,
    make: impl FnOnce(&mut UnitsWriter) -> Result<()>,
) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let made = (|| -> Result<()> {
        let mut writer = UnitsWriter::create(&temporary, header)?;
        make(&mut writer)?;
        writer.finish()?;
        Ok(fs::rename(&temporary, path)?)
    })();
    if made.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    made
}
