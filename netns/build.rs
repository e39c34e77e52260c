//! Says which sources the emulator is of.

#[path = "../build/sources.rs"]
mod sources;

fn main() {
    println!("cargo:rustc-env=FREEZEFRAME_EMULATOR_SOURCES={}", sources::hash(&["src", "link/src"]));
    println!("cargo:rerun-if-changed=build.rs");
}
