//! The engine finds what it is there for. In a file of its own: memory is counted per process.

use fuzz::engine::{Counting, Engine};

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_panic_a_wait_and_a_feast_are_found() {
    let target = |run| fuzz::Target { name: "bad", seeds: || vec![b"seed".to_vec()], run };
    let find = |run| Engine::new(target(run), Vec::new(), 1).run(|runs| runs > 100_000);
    let panics = find(|input| {
        assert!(input.len() != 7, "seven");
        0
    });
    assert!(panics.unwrap().what.contains("seven"));
    let works = find(|input| {
        let start = std::time::Instant::now();
        // Twice the limit on the clock, should the machine give it half of its time.
        while input.is_empty() && start.elapsed() < std::time::Duration::from_millis(5000) {}
        0
    });
    assert!(works.unwrap().what.starts_with("took"));
    let eats = find(|input| {
        let size = if input.starts_with(b"seed") { 0 } else { 300 << 20 };
        std::hint::black_box(vec![0u8; size]).len() as u64
    });
    assert!(eats.unwrap().what.starts_with("held 300 MiB"));
}
