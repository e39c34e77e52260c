//! Links libtorch, which the systems under test bring.

#[path = "../build/libtorch.rs"]
mod libtorch;

fn main() {
    libtorch::link();
    println!("cargo:rerun-if-changed=build.rs");
}
