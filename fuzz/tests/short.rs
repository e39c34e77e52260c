//! A short, seeded round of every target: always the same inputs, but for the keys in those of the data channel.

use fuzz::Target;
use fuzz::engine::{Counting, Engine};

#[global_allocator]
static COUNTING: Counting = Counting;

fn round(enough: u64, chosen: impl Fn(&Target) -> bool) {
    for target in fuzz::targets().into_iter().filter(chosen) {
        let mut engine = Engine::new(target, Vec::new(), 20_240_229);
        let found = engine.replay().or_else(|| engine.run(|runs| runs >= enough));
        assert_eq!(found, None, "{}", target.name);
        assert!(engine.outcomes() > 1, "{}: everything did the same: are its seeds valid?", target.name);
    }
}

fn is_a_call(target: &Target) -> bool {
    target.name.starts_with("ends-")
}

#[test]
fn every_parser_survives_its_seeds_and_many_mutations() {
    round(2000, |target| !is_a_call(target));
}

/// A whole call takes a hundred times as long as a parser; `just fuzz` does more of them.
#[test]
fn every_call_survives_its_seeds_and_some_mutations() {
    round(60, is_a_call);
}

/// The table of README.md is the list of targets.
#[test]
fn the_readme_names_every_target_and_no_other() {
    let readme = include_str!("../README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let named = rows.flat_map(|names| names.split(['`', ',', ' '])).filter(|name| !name.is_empty());
    let named: std::collections::BTreeSet<&str> = named.collect();
    let there: std::collections::BTreeSet<&str> =
        fuzz::targets().into_iter().map(|target| target.name).collect();
    assert_eq!(named, there);
}
