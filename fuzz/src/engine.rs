//! The loop around a target.

use crate::Target;
use crate::mutate::{Random, mutate};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// An input of at most 64 KiB that makes a parser hold more is a finding.
pub const MEMORY_LIMIT: usize = 256 << 20;
/// So is one that costs more processor time.
pub const TIME_LIMIT: Duration = Duration::from_secs(2);
/// And one that waits so long, busy or not.
pub const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// Inputs kept for further mutation.
const KEPT: usize = 2000;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting what is held. A binary that fuzzes installs it.
pub struct Counting;

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Something a parser must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which parser.
    pub target: &'static str,
    /// What it did.
    pub what: String,
    /// The bytes that made it.
    pub input: Vec<u8>,
}

/// Fuzzes one target; keeps its corpus between calls.
pub struct Engine {
    target: Target,
    random: Random,
    corpus: Vec<Vec<u8>>,
    outcomes: BTreeSet<u64>,
    /// Inputs run so far.
    pub runs: u64,
}

impl Engine {
    /// Starts from the target's seeds and `more` inputs.
    #[must_use]
    pub fn new(target: Target, more: Vec<Vec<u8>>, seed: u64) -> Self {
        let mut corpus = (target.seeds)();
        corpus.push(Vec::new());
        corpus.extend(more);
        let seed = seed ^ xxhash_rust::xxh3::xxh3_64(target.name.as_bytes());
        Engine { target, random: Random::new(seed), corpus, outcomes: BTreeSet::new(), runs: 0 }
    }

    /// How many different things happened so far.
    #[must_use]
    pub fn outcomes(&self) -> usize {
        self.outcomes.len()
    }

    /// Runs every input of the corpus as it is.
    pub fn replay(&mut self) -> Option<Finding> {
        (0..self.corpus.len()).find_map(|i| self.feed(self.corpus[i].clone()))
    }

    /// Runs mutations until `until` says so (it is told the number of runs) or something is found.
    pub fn run(&mut self, mut until: impl FnMut(u64) -> bool) -> Option<Finding> {
        while !until(self.runs) {
            let mut input = self.corpus[self.random.below(self.corpus.len())].clone();
            let other = self.random.below(self.corpus.len());
            mutate(&mut input, &self.corpus[other], &mut self.random);
            if let Some(finding) = self.feed(input) {
                return Some(finding);
            }
        }
        None
    }

    fn feed(&mut self, input: Vec<u8>) -> Option<Finding> {
        self.runs += 1;
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let (start, busy_before) = (Instant::now(), busy());
        let result = catch_unwind(AssertUnwindSafe(|| (self.target.run)(&input)));
        let (waited, took) = (start.elapsed(), busy().saturating_sub(busy_before));
        let held = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        let what = match result {
            Err(panic) => Some(format!("panicked: {}", message(&*panic))),
            Ok(_) if took > TIME_LIMIT => Some(format!("took {took:.1?} for {} bytes", input.len())),
            Ok(_) if waited > WAIT_LIMIT => Some(format!("waited {waited:.1?} for {} bytes", input.len())),
            Ok(_) if held > MEMORY_LIMIT => {
                Some(format!("held {} MiB for {} bytes", held >> 20, input.len()))
            }
            Ok(outcome) => {
                if self.outcomes.insert(outcome) && self.corpus.len() < KEPT {
                    self.corpus.push(input);
                }
                return None;
            }
        };
        what.map(|what| Finding { target: self.target.name, what, input })
    }
}

/// Time on a processor so far: what an input costs whoever else is busy on the machine.
fn busy() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(Duration::ZERO, Duration::from)
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".to_owned())
}
