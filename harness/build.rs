//! Links the whole of libtorch, so that a CUDA build found at run time loads its kernels too, and leaves the path of the libtorch
//! built against in the binary. Says which source this was built from.

#[path = "../build/sources.rs"]
mod sources;

use std::path::Path;
use std::process::Command;

/// Folders of the sources that decide a score: reading, decoding and comparing pictures.
const SCORING: [&str; 10] = [
    "src/score",
    "src/record",
    "src/unit_decoder.rs",
    "contract/src",
    "../metrics/src",
    "../media/src",
    "../media/video/src",
    "../sut/codecs/src",
    "../sut/models/src",
    "../Cargo.lock",
];
/// Those that shape traffic.
const PATH: [&str; 2] = ["../netns/src", "../netns/link/src"];

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(root) = std::env::var("LIBTORCH") {
        let lib = std::path::Path::new(&root).join("lib");
        let lib = lib.canonicalize().unwrap_or(lib);
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-L{}", lib.display());
        println!("cargo:rustc-link-arg=-ltorch");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
    let all = [&["src"][..], &SCORING, &PATH].concat();
    println!("cargo:rustc-env=FREEZEFRAME_SOURCES={}", sources::hash(&all));
    println!("cargo:rustc-env=FREEZEFRAME_SCORING_SOURCES={}", sources::hash(&SCORING));
    println!("cargo:rustc-env=FREEZEFRAME_PATH_SOURCES={}", sources::hash(&PATH));
    let (commit, dirty) = revision();
    println!("cargo:rustc-env=FREEZEFRAME_COMMIT={commit}");
    println!("cargo:rustc-env=FREEZEFRAME_DIRTY={dirty}");
    println!("cargo:rerun-if-changed=build.rs");
}

/// Commit, and whether the sources differ from it; `unknown` outside a checkout of this very project.
fn revision() -> (String, bool) {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // A copy of the sources inside somebody else's repository is no checkout of this project.
    if git(&["ls-files", "--error-unmatch", "build.rs"]).is_none() {
        return ("unknown".to_owned(), false);
    }
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return ("unknown".to_owned(), false) };
    // Every commit, checkout and rebase adds a line to it.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|p| Path::new(p).is_file()) {
        println!("cargo:rerun-if-changed={log}");
    }
    let changes = git(&[
        "status",
        "--porcelain",
        "--",
        "..",
        ":(exclude,top)docs",
        ":(exclude,top)golden",
        ":(exclude,top)*.md",
    ]);
    (commit, changes.is_none_or(|c| !c.is_empty()))
}
