//! A short, seeded round of every target: always the same inputs, but for the keys in those of the data channel.

use fuzz::engine::{Counting, Engine};

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn every_target_survives_its_seeds_and_many_mutations() {
    for target in fuzz::targets() {
        let mut engine = Engine::new(target, Vec::new(), 20_240_229);
        // A whole call takes a hundred times as long as a parser.
        let enough = if target.name.starts_with("ends-") { 300 } else { 2000 };
        let found = engine.replay().or_else(|| engine.run(|runs| runs >= enough));
        assert_eq!(found, None, "{}", target.name);
        assert!(engine.outcomes() > 1, "{}: everything did the same: are its seeds valid?", target.name);
    }
}
