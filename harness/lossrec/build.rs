//! Links libtorch.

#[path = "../../build/libtorch.rs"]
mod libtorch;

fn main() {
    libtorch::link();
    println!("cargo:rerun-if-changed=build.rs");
}
