//! Links libtorch. Says which sources decide what is encoded.

#[path = "../../build/libtorch.rs"]
mod libtorch;
#[path = "../../build/sources.rs"]
mod sources;

fn main() {
    libtorch::link();
    let encoding = [
        "src/encode.rs",
        "src/clip.rs",
        "src/kept.rs",
        "src/reparo/worker.rs",
        "../codecs/src",
        "../models/src",
        "../../media/src",
        "../../media/video/src",
        "../../Cargo.lock",
    ];
    println!("cargo:rustc-env=FREEZEFRAME_ENCODING_SOURCES={}", sources::hash(&encoding));
    println!("cargo:rerun-if-changed=build.rs");
}
