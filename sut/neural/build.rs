//! Links libtorch. Says which sources decide what networks give.

#[path = "../../build/libtorch.rs"]
mod libtorch;
#[path = "../../build/sources.rs"]
mod sources;

fn main() {
    libtorch::link();
    println!("cargo:rustc-env=FREEZEFRAME_NETWORK_SOURCES={}", sources::hash(&["src", "../models/src"]));
    println!("cargo:rerun-if-changed=build.rs");
}
