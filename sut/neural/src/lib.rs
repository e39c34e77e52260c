//! What needs networks, and therefore libtorch: systems, codecs, recoveries, and the process that scoring asks.
//!
//! | module | what |
//! |---|---|
//! | [`reparo`] | Reparo |
//! | [`dcvcrt`] | ReVo's third codec; the system `revo-dcvcrt` is ReVo with it |
//! | [`dcvcrt_lite`] | a small codec of that kind, with weights of our own; the system `revo-dcvcrt-lite` is ReVo with it |
//! | [`catalogue`] | the systems by name |
//! | [`extension`] | the codecs and recoveries by name: a new one is one file and one line there (docs/ADDING.md) |
//! | [`serve`] | answers for programs that do not link libtorch |

pub mod catalogue;
pub mod dcvcrt;
pub mod dcvcrt_lite;
pub mod extension;
pub mod reparo;
pub mod serve;

/// Hash of the sources that decide what networks give.
pub const SOURCES: &str = env!("FREEZEFRAME_NETWORK_SOURCES");

/// Adds this crate's codecs and recoveries to the registry of this program.
pub fn register() {
    codecs::registry::extend(&extension::EXTENSION);
}
