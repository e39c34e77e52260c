//! Fuzzing of everything that reads bytes from a network or a file.
//!
//! | module | what |
//! |---|---|
//! | [`endpoints`] | both ends of every system, any options, over a network that does anything |
//! | [`wire`] | message and packet formats, FEC decoders, transports: network bytes |
//! | [`rans`] | streams of neural video |
//! | [`files`] | traces, scenarios, specs, run records, pictures: files |
//! | [`mutate`] | seeded mutations of inputs |
//! | [`engine`] | the loop: keeps inputs that do something new, catches panics, slowness and memory use |
//!
//! A [`Target`] is a function that takes bytes, with valid inputs to start from. `just fuzz SECONDS` runs them all on stable
//! Rust; `fuzz/cargo-fuzz` hands the same targets to libFuzzer (nightly).

pub mod endpoints;
pub mod engine;
pub mod files;
pub mod mutate;
pub mod rans;
pub mod wire;

/// A parser, or a pair of endpoints, under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// On the command line and in file names.
    pub name: &'static str,
    /// Valid inputs to start from, made by the code that writes them.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Feeds one input. The value stands for what happened (which error, how much came out): an input with a
    /// new value is kept and mutated further.
    pub run: fn(&[u8]) -> u64,
}

/// Every target, whole endpoints first.
#[must_use]
pub fn targets() -> Vec<Target> {
    let network = endpoints::TARGETS.iter().chain(wire::TARGETS).chain(rans::TARGETS);
    network.chain(files::TARGETS).copied().collect()
}

/// A value for what happened: the text without numbers and without what it quotes of the input.
pub(crate) fn outcome(text: &str) -> u64 {
    let said = text.split(['"', '`', '\'', '|']).step_by(2).flat_map(str::chars);
    let plain: String = said.filter(|c| c.is_ascii_alphabetic() || *c == ' ').take(100).collect();
    xxhash_rust::xxh3::xxh3_64(plain.as_bytes())
}

/// [`outcome`] of a result, telling apart what succeeded by `scale` (rounded to a power of two).
pub(crate) fn outcome_of<T, E: std::fmt::Display>(result: &Result<T, E>, scale: impl Fn(&T) -> usize) -> u64 {
    match result {
        Ok(value) => u64::from(scale(value).checked_ilog2().unwrap_or(0)) << 8 | 1,
        Err(error) => outcome(&error.to_string()),
    }
}
