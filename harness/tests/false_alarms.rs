//! Systems that do not differ are not said to differ.

mod made_up;

use freezeframe::report::comparisons_csv;
use freezeframe::report::false_alarms::{SIZES, SYSTEMS, WORLDS, World, share_called};
use freezeframe::report::group::group;
use freezeframe::report::load::Run;
use made_up::{MadeUp, page, run};

/// So many made-up reports; what chance adds to 5 % of them: four standard deviations, since some 120 shares are looked at.
const REPORTS: u32 = 200;

#[test]
fn at_most_one_report_in_twenty_calls_a_difference_where_there_is_none() {
    let margin = 4.0 * (0.05 * 0.95 / f64::from(REPORTS)).sqrt();
    for world in WORLDS {
        // Thirty clips of five seeds take long, and ten are no easier.
        let clips = [World::ClipsOf5Seeds, World::ClipsOf5SharedSeeds, World::FourClips].contains(&world);
        for size in SIZES.into_iter().filter(|n| !clips || *n <= 10) {
            for systems in [2, SYSTEMS] {
                let share = share_called(world, size, systems, 0.0, REPORTS);
                assert!(share <= 0.05 + margin, "{world:?}, n = {size}, {systems} systems: {share}");
                if size < 6 || world == World::Deterministic {
                    assert_eq!(share, 0.0, "{world:?}, n = {size}: there is nothing to test");
                }
            }
        }
    }
}

/// The same code is not simply blind: with ten seeds it finds 1.5 standard deviations nearly always, and with thirty among six systems one.
#[test]
fn differences_that_are_there_are_found() {
    let lead = |deviations: f64| deviations * 2f64.sqrt();
    assert!(share_called(World::Normal, 10, 2, lead(1.5), REPORTS) > 0.9);
    assert!(share_called(World::Normal, 30, SYSTEMS, lead(1.0), REPORTS) > 0.9);
    assert!(share_called(World::ClipsOf5Seeds, 10, 2, lead(2.0), REPORTS) > 0.9);
    assert_eq!(share_called(World::Normal, 5, 2, lead(9.0), REPORTS), 0.0, "never below six");
}

fn coloured(runs: &[Run]) -> usize {
    let page = page("x", runs, None);
    // The page's style names the classes, too.
    let body = &page[page.find("<body>").unwrap()..];
    body.matches("class=\"clear\"").count()
        + body.matches("class=\"trouble\"").count()
        + body.matches("first clear\"").count()
}

fn seeds(of: std::ops::RangeInclusive<u64>, bonus: f64, burst_percent: u64) -> Vec<Run> {
    let made = |system: &'static str, seed: u64, bonus: f64| {
        // Other dice per system: the two meet other losses, as systems of other packet sizes do.
        let dice = seed + if system == "a" { 0 } else { 5_000 };
        let mut run =
            run(&MadeUp { system, seed: dice, frames: 60, bonus, burst_percent, ..MadeUp::default() });
        (run.scores.run.seed, run.scores.key.seed) = (seed, seed);
        run
    };
    of.flat_map(|seed| [made("a", seed, 0.0), made("b", seed, bonus)]).collect()
}

#[test]
fn the_page_colours_what_the_statistics_call_and_nothing_else() {
    for n in 2..=5 {
        assert_eq!(coloured(&seeds(1..=n, 30.0, 5)), 0, "{n} seeds, however far apart");
    }
    // Twenty reports of equal systems, every result column of them: some 5 % are called.
    let (mut called, mut tested) = (0, 0);
    for k in 0..20 {
        let runs = seeds(100 * k + 1..=100 * k + 10, 0.0, 5);
        for line in comparisons_csv(&group(&runs), None).lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            tested += usize::from(!cells[13].is_empty());
            called += usize::from(!cells[14].is_empty());
        }
    }
    assert!(tested > 100 && called * 100 <= 15 * tested, "{called} of {tested}");
    let apart = page("x", &seeds(1..=10, 30.0, 5), None);
    assert!(coloured(&seeds(1..=10, 30.0, 5)) > 0 && apart.contains("10 seeds"));
    // Twelve repeats of one run each: nothing varies.
    let mut repeats = Vec::new();
    for seed in 1..=12 {
        for (system, bonus) in [("a", 0.0), ("b", 3.0)] {
            let mut run = run(&MadeUp { system, seed: 1, frames: 30, bonus, ..MadeUp::default() });
            (run.scores.run.seed, run.scores.key.seed) = (seed, seed);
            repeats.push(run);
        }
    }
    assert_eq!(coloured(&repeats), 0);
    assert!(page("x", &repeats, None).contains("no variation over seeds"));
}
