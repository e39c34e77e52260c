//! A short, seeded round of every target: always the same inputs, but for the keys in those of the data channel.

use fuzz::engine::{Counting, Engine};

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn every_parser_survives_its_seeds_and_two_thousand_mutations() {
    for target in fuzz::targets() {
        let mut engine = Engine::new(target, Vec::new(), 20_240_229);
        let found = engine.replay().or_else(|| engine.run(|runs| runs >= 2000));
        assert_eq!(found, None, "{}", target.name);
        assert!(engine.outcomes() > 1, "{}: everything did the same: are its seeds valid?", target.name);
    }
}
