//! Says which source this was built from.

#[path = "../build/sources.rs"]
mod sources;

use std::path::Path;
use std::process::Command;

/// Folders of the sources that decide a score: reading, decoding and comparing pictures.
const SCORING: [&str; 10] = [
    "src/score",
    "src/record",
    "contract/src",
    "../metrics/src",
    "../media/src",
    "../media/video/src",
    "../sut/codecs/src",
    "../sut/models/src",
    "../sut/neural/src",
    "../Cargo.lock",
];
/// Those that shape traffic.
const PATH: [&str; 2] = ["../netns/src", "../netns/link/src"];

fn main() {
    // Where the networks' library lies, for the sandboxes of systems that load it.
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = std::env::var("LIBTORCH").map(|root| Path::new(&root).join("lib")).unwrap_or_default();
    let libtorch = libtorch.canonicalize().unwrap_or(libtorch);
    println!("cargo:rustc-env=FREEZEFRAME_LIBTORCH={}", libtorch.display());
    // What uses networks itself (tests and examples that compare) finds it there; what does not, the program, does not load it.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.display());
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
