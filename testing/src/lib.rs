//! How a test says that this machine cannot do what it needs.
//!
//! ```no_run
//! # fn is_here() -> bool { true }
//! if !is_here() {
//!     return testing::skip!("tshark", "no program of this name");
//! }
//! ```
//!
//! A skipped test passes, so that `./just test` works on any machine. What was skipped is never hidden: [`skip!`] prints
//! one line, appends it to the file that `FREEZEFRAME_SKIPS` names (`./just test` ends with that file), and panics if
//! `FREEZEFRAME_REQUIRE` has the thing: `FREEZEFRAME_REQUIRE=namespaces,zfec ./just test`, or `all`. The things are the
//! lines of `testing/things.tsv`, which says of each how to get it; shell scripts use `testing/skip.sh` and the same table.
//! A test that is skipped in any other way is a fault.

mod place;
pub use place::{Place, Said, ffmpeg, ffmpeg_encodes, ffmpeg_file, film, moving_y4m, processes};

use std::io::Write;
use std::path::{Path, PathBuf};

/// Skips the rest of a test: `return skip!(THING, "REASON", ...)`. See the crate's documentation.
#[macro_export]
macro_rules! skip {
    ($thing:expr, $($reason:tt)+) => { $crate::skip($thing, &format!($($reason)+)) };
}

const THINGS: &str = include_str!("../things.tsv");

/// The things that a test can lack, each with how to get it.
pub fn things() -> impl Iterator<Item = (&'static str, &'static str)> {
    THINGS.lines().filter_map(|line| line.split_once('\t'))
}

/// See [`skip!`].
///
/// # Panics
/// When the thing is required, is not in the table, or the requirement names something that is not in the table.
pub fn skip(thing: &str, reason: &str) {
    let thread = std::thread::current();
    let line = line(thing, reason, thread.name().unwrap_or("?"));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("FREEZEFRAME_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        // One write, so that lines of tests that run side by side do not mix.
        let written = file.and_then(|mut f| f.write_all(format!("{line}\n").as_bytes()));
        written.unwrap_or_else(|e| panic!("FREEZEFRAME_SKIPS={}: {e}", Path::new(&path).display()));
    }
    let required = std::env::var("FREEZEFRAME_REQUIRE").unwrap_or_default();
    assert!(!requires(&required, thing), "{line}; FREEZEFRAME_REQUIRE has it");
}

/// True, unless the thing cannot be had here; then the test is skipped.
#[must_use]
pub fn have<T, E: std::fmt::Display>(thing: &str, found: Result<T, E>) -> Option<T> {
    found.map_err(|e| skip(thing, &e.to_string())).ok()
}

/// A folder outside the repository with more to test on: `FREEZEFRAME_<THING>` or the usual place beside the checkout.
/// `None`, and skipped, where it is not.
#[must_use]
pub fn folder(thing: &str) -> Option<PathBuf> {
    let usual = match thing {
        "clips" => "media/dev",
        "lpips" => "weights/lpips",
        other => other,
    };
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(usual);
    let variable = format!("FREEZEFRAME_{}", thing.to_uppercase());
    let path = std::env::var_os(variable).map_or(usual, PathBuf::from);
    if !path.is_dir() {
        skip(thing, &format!("there is no folder {}", path.display()));
        return None;
    }
    Some(path)
}

fn line(thing: &str, reason: &str, test: &str) -> String {
    let known = things().find(|(name, _)| *name == thing);
    let (_, how) = known.unwrap_or_else(|| panic!("{thing} is not in testing/things.tsv"));
    let reason = reason.trim().replace(['\n', '\r'], " ");
    format!("skipped: {thing}: {reason} [{test}]; to get it: {how}")
}

fn requires(list: &str, thing: &str) -> bool {
    let mut names = list.split([',', ' ', '\n']).filter(|n| !n.is_empty());
    names.clone().for_each(|name| {
        let known = name == "all" || things().any(|(thing, _)| thing == name);
        assert!(known, "FREEZEFRAME_REQUIRE names {name}, which is not in testing/things.tsv");
    });
    names.any(|name| name == thing || name == "all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_turns_a_skip_into_a_failure() {
        assert!(requires("namespaces,zfec", "zfec") && requires("all", "zfec"));
        assert!(requires(" zfec , namespaces\n", "namespaces"));
        assert!(!requires("", "zfec") && !requires("namespaces", "zfec"));
    }

    #[test]
    #[should_panic(expected = "FREEZEFRAME_REQUIRE names zfecc")]
    fn a_misspelt_requirement_is_a_failure_of_its_own() {
        requires("namespaces,zfecc", "zfec");
    }

    #[test]
    #[should_panic(expected = "is not in testing/things.tsv")]
    fn a_thing_nobody_can_get_is_no_reason() {
        line("the-moon", "far away", "t");
    }

    #[test]
    fn a_skip_is_one_line_with_the_way_to_get_the_thing() {
        let line = line("zfec", "python3 has\nno zfec\n", "my_test");
        assert_eq!(line, "skipped: zfec: python3 has no zfec [my_test]; to get it: ./setup --for interop");
        assert_eq!(things().count(), THINGS.lines().count(), "every line of the table has two columns");
    }

    /// The shell's half: the same line, the same failure.
    #[test]
    fn scripts_skip_alike() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/skip.sh");
        let run = |require: &str| {
            let mut bash = std::process::Command::new("bash");
            bash.args(["-c", ". \"$1\"; skip zfec 'no python'; echo went on", "my_script", script]);
            bash.env("FREEZEFRAME_REQUIRE", require).env_remove("FREEZEFRAME_SKIPS");
            let output = bash.output().expect("bash");
            (output.status.code(), String::from_utf8(output.stdout).expect("text"))
        };
        let expected = line("zfec", "no python", "my_script");
        assert_eq!(run("namespaces"), (Some(0), format!("{expected}\nwent on\n")));
        assert_eq!(run("zfec"), (Some(1), format!("{expected}\nrequired by FREEZEFRAME_REQUIRE\n")));
    }
}
