//! Networks, which this program does not link: decoders and restorers of stored units, LPIPS. They live in `sut-neural`, which is
//! started when something first needs one.

use crate::launch::program_beside;
use anyhow::Result;
use codecs::networks::{self, Lpips, Networks, PROGRAM, Shared};
use codecs::registry::{self, Fallback};
use codecs::{CodecError, DecoderConfig, Restorer, RestorerConfig, VideoDecoder};
use metrics::lpips::Net;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use xxhash_rust::xxh3::xxh3_64;

static FALLBACK: Fallback = Fallback { decoder, restorer };

/// Says that `sut-neural` opens what needs networks.
pub fn register() {
    registry::fall_back(&FALLBACK);
}

fn decoder(config: &DecoderConfig) -> Result<Box<dyn VideoDecoder>, CodecError> {
    networks::decoder(&shared()?, config)
}

fn restorer(name: &str, config: &RestorerConfig) -> Result<Box<dyn Restorer>, CodecError> {
    networks::restorer(&shared()?, name, config)
}

/// The one process that everything here shares.
///
/// # Errors
/// A program that is not there or does not start.
pub fn shared() -> Result<Shared, CodecError> {
    static SHARED: Mutex<Option<Shared>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(there) = &*shared {
        return Ok(there.clone());
    }
    let started = start(0)?;
    *shared = Some(started.clone());
    Ok(started)
}

/// A process of one's own, with so many threads (0: as many as it likes).
///
/// # Errors
/// As for [`shared`].
pub fn start(threads: u32) -> Result<Shared, CodecError> {
    let program = program_beside(PROGRAM).map_err(|e| CodecError::Network(format!("{e:#}")))?;
    Networks::start(&program, threads)
}

/// Loads an LPIPS net.
///
/// # Errors
/// Weights that are not there or not this net's.
pub fn lpips(networks: &Shared, net: Net, path: &Path, cuda: bool) -> Result<Lpips, CodecError> {
    Lpips::open(networks, net.metric(), path, cuda)
}

/// libtorch and the code around it, in eight digits.
///
/// # Errors
/// As for [`shared`].
pub fn version() -> Result<String, CodecError> {
    let shared = shared()?;
    let networks = shared.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(format!("{:016x}", xxh3_64(networks.made_by().as_bytes()))[..8].to_owned())
}
