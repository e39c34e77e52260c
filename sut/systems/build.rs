//! Says which sources decide what is encoded.

#[path = "../../build/sources.rs"]
mod sources;

fn main() {
    let encoding = [
        "src/encode.rs",
        "src/history.rs",
        "src/store.rs",
        "src/clip.rs",
        "src/kept.rs",
        "src/pictures.rs",
        "../codecs/src",
        "../../media/src",
        "../../media/video/src",
        "../../Cargo.lock",
    ];
    println!("cargo:rustc-env=FREEZEFRAME_ENCODING_SOURCES={}", sources::hash(&encoding));
    println!("cargo:rerun-if-changed=build.rs");
}
