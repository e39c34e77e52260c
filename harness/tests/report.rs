//! The report: tables as snapshots, the page well-formed and alone.

mod made_up;

use contract::scores::Warning;
use freezeframe::report::columns::COLUMNS;
use freezeframe::report::group::group;
use freezeframe::report::load::{Run, load_all};
use freezeframe::report::pair::pairs;
use freezeframe::report::rate::{Deltas, Refused, deltas};
use freezeframe::report::table::Table;
use freezeframe::report::{csv, json, latex, markdown, pooled, terminal};
use made_up::{MadeUp, page, run, sweep};
use std::path::Path;

#[test]
fn the_table_in_every_form() {
    let runs = sweep(1);
    let table = Table::of(&group(&runs));
    insta::assert_snapshot!("terminal", terminal(&table, false));
    insta::assert_snapshot!("csv", csv(&table));
    insta::assert_snapshot!("markdown", markdown(&table, None));
    insta::assert_snapshot!("latex", latex(&table, None));
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&json(&table)).unwrap());
}

#[test]
fn colours_change_no_letter() {
    let runs = sweep(1);
    let table = Table::of(&group(&runs));
    let coloured = terminal(&table, true);
    assert!(coloured.contains("\x1b["));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some(at) = rest.find("\x1b[") {
        plain.push_str(&rest[..at]);
        rest = &rest[at..][rest[at..].find('m').unwrap() + 1..];
    }
    plain.push_str(rest);
    let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
    assert_eq!(trimmed.join("\n") + "\n", terminal(&table, false));
}

#[test]
fn several_seeds_are_one_row_and_invalid_runs_are_left_out() {
    let mut runs: Vec<Run> = (1..=3).map(|seed| run(&MadeUp { seed, ..MadeUp::default() })).collect();
    let all = Table::of(&group(&runs)).rows[0].clone();
    assert_eq!((all.runs, all.invalid), (3, 0));
    runs[1].scores.health.valid = false;
    let table = Table::of(&group(&runs));
    let row = &table.rows[0];
    assert_eq!((row.runs, row.invalid), (2, 1));
    let psnr =
        |i: usize| runs[i].scores.streams[&contract::Stream::Rgb].quality[&contract::Metric::Psnr].all.mean;
    assert!((row.values[0].unwrap().mean - f64::midpoint(psnr(0), psnr(2))).abs() < 1e-12);
    let alone = [runs[1].clone()];
    let alone = Table::of(&group(&alone));
    assert_eq!((alone.rows[0].runs, alone.rows[0].invalid), (0, 1));
    assert_eq!(alone.rows[0].values[0].unwrap().mean, psnr(1), "a single run is shown, marked");
    insta::assert_snapshot!("terminal_with_invalid", terminal(&table, false));
}

/// The heading says "pooled": one tenth of the frames of both runs together, not the mean of each run's worst tenth.
#[test]
fn the_worst_tenth_of_a_row_is_that_of_all_its_frames() {
    use contract::{Metric, Stream};
    let mut runs: Vec<Run> =
        (1..=2).map(|seed| run(&MadeUp { seed, frames: 30, ..MadeUp::default() })).collect();
    // Run 1 is perfect; run 2 is as bad as can be in 6 of its 30 frames.
    for (i, run) in runs.iter_mut().enumerate() {
        for row in run.rows.iter_mut().filter(|r| r.stream == Stream::Rgb) {
            row.metrics.insert(Metric::Psnr, if i == 1 && row.frame_id < 6 { 10.0 } else { 40.0 });
        }
    }
    let place = COLUMNS.iter().position(|c| c.key == "psnr_worst10_db").unwrap();
    assert!(COLUMNS[place].name.contains("pooled"));
    let table = Table::of(&group(&runs));
    // The worst 6 of 60 frames; per run it would be (40 + 10) / 2.
    assert_eq!(table.rows[0].values[place].map(|v| v.mean), Some(10.0));
    runs[1].scores.health.valid = false;
    assert_eq!(Table::of(&group(&runs)).rows[0].values[place].map(|v| v.mean), Some(40.0), "of valid runs");
}

/// Two clips, two seeds, an invalid run: worked out by hand from the rows.
#[test]
fn the_pooled_table_is_of_all_frames_of_valid_runs() {
    use contract::{Metric, Stream};
    let mut runs: Vec<Run> =
        (1..=4).map(|seed| run(&MadeUp { seed, frames: 30, ..MadeUp::default() })).collect();
    for run in &mut runs[2..] {
        run.scores.run.clip = "talk".into();
    }
    runs[3].scores.health.valid = false;
    let text = pooled(&group(&runs));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let cell = |name: &str| -> String {
        let place = lines[0].split(" | ").position(|c| c.trim_matches(['|', ' ']) == name).expect(name);
        lines[2].split(" | ").nth(place).unwrap().trim_matches(['|', ' ']).to_owned()
    };
    let mut psnr: Vec<f64> =
        runs[..3].iter().flat_map(|r| r.stream(Stream::Rgb)).map(|r| r.metrics[&Metric::Psnr]).collect();
    psnr.sort_by(f64::total_cmp);
    assert_eq!((cell("runs"), cell("frames"), psnr.len()), ("3".into(), "90".into(), 90));
    assert_eq!(cell("PSNR dB"), format!("{:.2}", psnr.iter().sum::<f64>() / 90.0));
    assert_eq!(cell("worst 10 %"), format!("{:.2}", psnr[..9].iter().sum::<f64>() / 9.0));
    let frozen = runs[..3].iter().flat_map(|r| r.stream(Stream::Rgb)).filter(|r| !r.is_shown()).count();
    assert_eq!(cell("not rendered %"), format!("{:.1}", 100.0 * frozen as f64 / 90.0));
    let largest = runs[..3].iter().flat_map(|r| r.stream(Stream::Rgb)).map(|r| r.sent().unwrap().bytes).max();
    assert_eq!(cell("frame bytes max"), largest.unwrap().to_string());
}

/// Every field of `scores.json` that is a figure has its definition there, under its own name.
#[test]
fn every_figure_has_a_definition() {
    let scores = run(&MadeUp { frames: 30, ..MadeUp::default() }).scores;
    let json = serde_json::to_value(&scores).unwrap();
    let keys =
        |value: &serde_json::Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let mut fields =
        [keys(&json["streams"]["rgb"]), keys(&json["bitrate"]), keys(&json["network"]["forward"])].concat();
    fields.retain(|f| f != "freezes");
    fields.extend(keys(&json["streams"]["rgb"]["freezes"]).into_iter().map(|rule| format!("freezes.{rule}")));
    fields.extend(["capture_lateness", "emulator_lateness", "lost_at_sender"].map(String::from));
    let defined: Vec<&str> = metrics::SESSION_DEFINITIONS.iter().map(|(name, _)| *name).collect();
    for field in &fields {
        assert!(defined.contains(&field.as_str()), "{field} is in scores.json and has no definition");
    }
    for name in defined.iter().filter(|n| !["worst10", "percentiles", "aggregation"].contains(n)) {
        assert!(fields.iter().any(|f| f == name), "{name} is defined and no field of scores.json");
    }
}

/// docs/METRICS.md shows the definitions that the code has, word for word, and no others.
#[test]
fn the_documents_definitions_are_the_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table: Vec<String> =
        metrics::SESSION_DEFINITIONS.iter().map(|(name, words)| format!("| `{name}` | {words} |")).collect();
    let (begin, end) = ("| name in `scores.json` | definition |\n|---|---|\n", "\n\n");
    let shown = text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).expect("the table").0;
    let shown: Vec<&str> = shown.lines().collect();
    assert!(shown == table, "docs/METRICS.md, Sessions: replace the table by\n{}", table.join("\n"));
    for metric in contract::Metric::ALL {
        assert!(text.contains(&format!("`{}`", metric.name())), "docs/METRICS.md lacks {}", metric.name());
    }
}

/// Columns that are zero everywhere take no room in a table; files have them.
#[test]
fn a_sender_that_drops_frames_is_seen_in_the_table() {
    let mut runs = vec![run(&MadeUp { frames: 30, ..MadeUp::default() })];
    let table = |runs: &[Run]| Table::of(&group(runs));
    assert!(!terminal(&table(&runs), false).contains("dropped"));
    assert!(csv(&table(&runs)).contains("dropped_by_sender_percent"));
    runs[0].scores.streams.get_mut(&contract::Stream::Rgb).unwrap().dropped_sender = 3;
    assert!(terminal(&table(&runs), false).contains("dropped"));
    // What is unknown stays empty, and is not 0.
    (runs[0].scores.bitrate.redundancy, runs[0].scores.bitrate.media_bps) = (None, None);
    let table = table(&runs);
    for key in ["redundancy_percent", "media_kbps"] {
        let place = COLUMNS.iter().position(|c| c.key == key).unwrap();
        assert_eq!(table.rows[0].values[place], None, "{key}");
    }
    check_page("unknown", &page("Unknown", &runs, None));
}

/// A row whose losses are the system's own must never be believed to be the scenario's.
#[test]
fn a_system_with_a_loss_model_of_its_own_is_marked_everywhere() {
    let mut runs = vec![run(&MadeUp { frames: 30, ..MadeUp::default() })];
    let of = |runs: &[Run]| Table::of(&group(runs));
    let plain = terminal(&of(&runs), false);
    assert!(!plain.contains("at sender") && !plain.contains('\u{b6}'), "{plain}");
    runs[0].scores.lost_at_sender =
        Some(contract::scores::LostAtSender { packets: 7, bytes: 7000, share: 0.0731 });
    let table = of(&runs);
    for text in
        [terminal(&table, false), markdown(&table, None), latex(&table, None), page("Own", &runs, None)]
    {
        assert!(text.contains("loss model of its own"), "{text}");
        assert!(text.contains("7.31"), "{text}");
    }
    assert!(terminal(&table, false).contains(" \u{b6}"));
    assert!(csv(&table).contains("lost_at_sender_percent"));
}

#[test]
fn rows_judged_at_different_budgets_are_marked_and_nobody_is_best() {
    let mut runs = sweep(1);
    let of = |runs: &[Run]| Table::of(&group(runs));
    assert!(!of(&runs).rows.iter().any(|r| r.budget_differs));
    // A clock a little off is the same budget, another budget is not.
    let other = runs.iter().position(|r| r.scores.run.scenario == "ge-low").unwrap();
    runs[other].scores.budget.kept_ns = Some(152_700_000);
    assert!(!of(&runs).rows.iter().any(|r| r.budget_differs));
    runs[other].scores.budget.kept_ns = Some(170_000_000);
    let table = of(&runs);
    for row in &table.rows {
        assert_eq!(row.budget_differs, row.scenario == "ge-low", "{} {}", row.scenario, row.system);
        assert!(!row.budget_differs || row.best.iter().all(|b| !b));
    }
    for text in [terminal(&table, false), markdown(&table, None), latex(&table, None), page("x", &runs, None)]
    {
        assert!(text.contains("different play-out budgets"), "{text:.3000}");
    }
    assert_eq!(csv(&table).lines().filter(|l| l.contains(",true,")).count(), 3);
}

/// Fault found: a receiver that said of lost frames that they were decoded 1 ms after their capture had a curve of 0 % beside a run of 58 %.
#[test]
fn a_run_whose_decoding_contradicts_what_it_showed_has_no_curve() {
    use contract::Stream;
    use freezeframe::report::budget::curves;
    let run = made_up::run(&made_up::MadeUp::default());
    let budgets = ["150ms".parse::<contract::Playout>().unwrap()];
    let budgets: Vec<link::Span> = budgets.iter().map(|b| link::Span(b.budget_ns().unwrap())).collect();
    let curve = |run: &Run| curves(&group(std::slice::from_ref(run)), Stream::Rgb, &budgets).remove(0);
    let non_rendered = run.scores.streams[&Stream::Rgb].non_rendered_play_percent.unwrap();
    assert!(non_rendered > 0.0);
    let points = curve(&run).points.unwrap();
    assert!((points[0].non_rendered_percent - non_rendered).abs() < 1e-9, "the run's own figure");
    let mut lying = run.clone();
    for row in lying.rows.iter_mut().filter(|r| !r.is_shown()) {
        row.decode_end = row.capture.map(|t| t + std::time::Duration::from_millis(1));
    }
    let why = curve(&lying).points.unwrap_err();
    assert!(why.contains("said to have been decoded in time"), "{why}");
    // Nor is a frame shown before it was decoded.
    let mut early = run.clone();
    let shown = early.rows.iter_mut().find(|r| r.is_shown()).unwrap();
    shown.decode_end = shown.deadline.map(|t| t + std::time::Duration::from_millis(1));
    assert!(curve(&early).points.is_err());
}

/// What rests on a plug-in's word alone is said wherever its row stands.
#[test]
fn rows_that_a_plug_in_reported_itself_are_marked() {
    let mut runs = sweep(1);
    let system = runs[0].scores.run.system.clone();
    for run in runs.iter_mut().filter(|r| r.scores.run.system == system) {
        run.scores.health.self_reported = true;
    }
    let table = Table::of(&group(&runs));
    assert!(table.rows.iter().any(|r| r.self_reported) && !table.rows.iter().all(|r| r.self_reported));
    for text in [terminal(&table, false), markdown(&table, None), latex(&table, None), page("x", &runs, None)]
    {
        assert!(text.contains('\u{2021}') || text.contains("ddagger"), "{text:.3000}");
        assert!(text.contains("tells itself"), "{text:.3000}");
    }
    assert!(csv(&table).lines().next().unwrap().contains("budget_differs,self_reported"));
}

/// So is a plug-in that saw the machine.
#[test]
fn rows_of_plug_ins_that_were_not_kept_apart_are_marked() {
    let mut runs = sweep(1);
    let system = runs[0].scores.run.system.clone();
    for run in runs.iter_mut().filter(|r| r.scores.run.system == system) {
        run.scores.warnings.push(Warning { code: "not_isolated".into(), text: "no namespaces".into() });
    }
    let table = Table::of(&group(&runs));
    assert!(table.rows.iter().any(|r| r.not_isolated) && !table.rows.iter().all(|r| r.not_isolated));
    for text in [terminal(&table, false), markdown(&table, None), latex(&table, None), page("x", &runs, None)]
    {
        assert!(text.contains('\u{a7}') || text.contains("\\S{}"), "{text:.3000}");
        assert!(text.contains("could see the clip"), "{text:.3000}");
    }
    assert!(csv(&table).lines().next().unwrap().contains("self_reported,not_isolated"));
}

#[test]
fn transport_and_backend_are_named_where_they_differ() {
    let mut runs: Vec<Run> = (0..3).map(|_| run(&MadeUp { frames: 30, ..MadeUp::default() })).collect();
    runs[1].scores.key.options.insert("transport".into(), "\"datachannel\"".into());
    runs[2].scores.key.backend = contract::Backend::Namespaces;
    let groups = group(&runs);
    let names: Vec<&str> = groups.iter().map(|g| g.system.as_str()).collect();
    assert_eq!(
        names,
        ["revo-h265/datagram@virtual", "revo-h265/datachannel@virtual", "revo-h265/datagram@namespaces"]
    );
}

/// Each thing that tells runs apart makes a row of its own, and the words that say so; only seeds share one.
#[test]
fn only_seeds_are_averaged() {
    let base = || run(&MadeUp { frames: 30, ..MadeUp::default() });
    let changes: [(&str, fn(&mut contract::RunKey)); 13] = [
        ("256x", |k| k.width = 256),
        ("15/s", |k| k.fps = 15),
        ("60 frames", |k| k.frames = 60),
        ("#aaaaaa", |k| k.clip_hash = "aaaaaaaa-512x512@30".into()),
        ("#bbbbbb", |k| k.scenario_hash = "bbbbbbbb".into()),
        ("playout 99ms", |k| k.playout = "99ms".into()),
        ("rev cccccc", |k| k.revision = "cccccccc".into()),
        ("@namespaces", |k| k.backend = contract::Backend::Namespaces),
        ("+kernel", |k| k.shaper = contract::Shaping::Kernel),
        ("colour alone", |k| k.depth_hash = None),
        ("5000 codes/m", |k| k.depth_per_metre = Some("5000".into())),
        ("fov 61", |k| k.depth_fov_degrees = Some("61".into())),
        ("#", |k| _ = k.options.insert("hidden".into(), "1".into())),
    ];
    for (word, change) in changes {
        let mut runs = vec![base(), base()];
        runs[1].scores.run.seed = 2;
        runs[1].scores.key.seed = 2;
        assert_eq!(group(&runs).len(), 1, "two seeds");
        change(&mut runs[1].scores.key);
        let groups = group(&runs);
        assert_eq!(groups.len(), 2, "{word}");
        let reads = |i: usize| format!("{} | {} | {}", groups[i].clip, groups[i].scenario, groups[i].system);
        assert!(reads(1).contains(word) || reads(0).contains(word), "{word}: {} and {}", reads(0), reads(1));
        assert_ne!(reads(0), reads(1));
    }
}

#[test]
fn pairs_met_the_same_thing_by_content() {
    let made = |system: &'static str, scenario: &'static str, seed: u64| {
        run(&MadeUp { system, scenario, seed, frames: 30, ..MadeUp::default() })
    };
    let runs_of = |system| {
        let both =
            ["ge-low", "ge-high"].map(|scenario| (1..=3).map(move |seed| made(system, scenario, seed)));
        both.into_iter().flatten().collect::<Vec<Run>>()
    };
    let (a, mut b) = (runs_of("revo-h264"), runs_of("vp9-tambur"));
    // A baseline without depth is still a partner; another clip, shape, scenario content or play-out is none.
    b.iter_mut().for_each(|r| r.scores.key.depth_hash = None);
    assert_eq!(pairs(&a, &b).len(), 6);
    b[0].scores.key.clip_hash = "other".into();
    b[1].scores.key.frames = 60;
    b[2].scores.key.scenario_hash = "other".into();
    b[3].scores.key.playout = "99ms".into();
    b[4].scores.key.backend = contract::Backend::Namespaces;
    let found = pairs(&a, &b);
    assert_eq!(found.len(), 1);
    let seeds = [found[0].first, found[0].second].map(|r| (r.scores.run.scenario.clone(), r.scores.key.seed));
    assert!(seeds[0] == seeds[1] && seeds[0] == ("ge-high".to_owned(), 3), "{seeds:?}");
    // A repeat is paired as often as it was made; of two revisions under one condition nobody knows which is meant.
    let mut twice = [a[5].clone(), a[5].clone()];
    assert_eq!(pairs(&twice, &b).len(), 2);
    twice[1].scores.key.revision = "another".into();
    assert_eq!(pairs(&twice, &b).len(), 0);
}

#[test]
fn pages_are_well_formed_and_need_no_network() {
    let mut hostile = run(&MadeUp { frames: 60, ..MadeUp::default() });
    hostile.scores.run.clip = "</script><img src=x onerror=alert(1)> & \"quotes\"".into();
    hostile.scores.run.scenario = "<b>".into();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, page) in [
        ("sweep", page("Default plan", &sweep(1), None)),
        ("seeds", page("Seeds", &sweep(4), None)),
        ("run", page("revo-h265 under ge-high", &[run(&MadeUp::default())], None)),
        ("long", page("A long clip", &[run(&MadeUp { frames: 5400, ..MadeUp::default() })], None)),
        ("hostile", page("<title>", &[hostile.clone(), hostile.clone()], None)),
        ("empty", page("Nothing yet", &[], None)),
    ] {
        // Kept for a look at it.
        std::fs::write(dir.join(format!("{name}.html")), &page).unwrap();
        check_page(name, &page);
    }
    // What is loaded when a run is opened is a piece of a page, too.
    let inside = freezeframe::report::html::details::inside(&hostile);
    check_page("inside", &inside);
    assert!(!inside.contains("<img src=x") && !inside.contains("</script><img"), "{inside:.2000}");
}

/// A run's details are in a file of its own beside it, which the page names and does not contain.
#[test]
fn details_are_in_the_directories_of_runs() {
    let root = tempfile::tempdir().unwrap();
    let runs: Vec<Run> = sweep(2).iter().map(|run| made_up::on_disk(root.path(), run)).collect();
    freezeframe::report::write(root.path()).unwrap();
    let page = std::fs::read_to_string(root.path().join("report.html")).unwrap();
    assert!(page.contains(r#"data-base="ge-high/revo-h265/seed-2/""#), "the way from the page to the run");
    let details =
        std::fs::read_to_string(root.path().join("ge-high/revo-h265/seed-2/report-details.js")).unwrap();
    assert!(details.contains("freezeframeDetails(\"run-") && details.contains("Frame by frame"));
    assert!(!page.contains("Frame by frame"), "only what is opened is loaded");
    // Twice as many runs: the page grows by a line each, not by their frames.
    let more = made_up::page("x", &runs, None).len();
    let fewer = made_up::page("x", &sweep(1), None).len();
    assert!(more < fewer + 24 * 2_000, "{fewer} {more}");
    // Again: equal bytes are not written again.
    let when = |p: &Path| {
        std::fs::metadata(p.join("ge-high/revo-h265/seed-2/report-details.js")).unwrap().modified().unwrap()
    };
    let before = when(root.path());
    freezeframe::report::write(root.path()).unwrap();
    assert_eq!(when(root.path()), before);
    // A page elsewhere finds the runs, too.
    let elsewhere = root.path().join("a/b");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let page = freezeframe::report::html::page("x", &runs[..1], None, &elsewhere);
    assert!(page.contains(r#"data-base="../../clean/revo-h264/seed-1/""#));
}

#[test]
fn equal_runs_give_equal_pages() {
    assert_eq!(page("x", &sweep(1), None), page("x", &sweep(1), None));
}

#[test]
fn runs_are_found_below_a_directory_and_unfinished_ones_are_not() {
    let root = tempfile::tempdir().unwrap();
    for (name, seed) in [("b/seed-2", 2), ("a/seed-1", 1)] {
        let dir = root.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let run = run(&MadeUp { seed, frames: 30, ..MadeUp::default() });
        made_up::write(&dir, &run);
    }
    let unfinished = root.path().join("c");
    std::fs::create_dir_all(&unfinished).unwrap();
    std::fs::write(unfinished.join("events.jsonl"), "").unwrap();
    std::fs::write(unfinished.join("fates.jsonl"), "").unwrap();
    let runs = load_all(root.path()).unwrap().runs;
    assert_eq!(runs.iter().map(|r| r.scores.run.seed).collect::<Vec<_>>(), [1, 2]);
    let again = run(&MadeUp { seed: 1, frames: 30, ..MadeUp::default() });
    assert_eq!(runs[0].rows, again.rows, "frames.csv keeps every bit");
    assert_eq!(runs[0].scores.run, again.scores.run);
    let table = |runs: &[Run]| terminal(&Table::of(&group(runs)), false);
    assert_eq!(table(&runs[..1]), table(&[again]));

    std::fs::write(root.path().join("a/seed-1/scores.json"), "{\"schema\": 1").unwrap();
    // The others stand; alone it is an error. The run without scores is another that is left out.
    let left = load_all(root.path()).unwrap();
    assert_eq!(left.left_out, 2);
    assert_eq!(left.runs.iter().map(|r| r.scores.run.seed).collect::<Vec<_>>(), [2]);
    let error = load_all(&root.path().join("a")).unwrap_err().to_string();
    assert!(error.contains("a/seed-1/scores.json") && error.contains("freezeframe score"), "{error}");
}

/// A backup, a folder that was renamed, a link: none is a further seed. On the wall clock the same run again is another measurement of one
/// seed, which is one unit with it.
#[test]
fn a_run_that_is_there_twice_counts_once() {
    let root = tempfile::tempdir().unwrap();
    let one = |seed: u64| run(&MadeUp { seed, frames: 30, ..MadeUp::default() });
    for seed in 1..=6 {
        made_up::write(&root.path().join(format!("seed-{seed}")), &one(seed));
    }
    made_up::write(&root.path().join("backup"), &one(3));
    std::os::unix::fs::symlink(root.path().join("seed-4"), root.path().join("link")).unwrap();
    std::os::unix::fs::symlink(root.path(), root.path().join("seed-4-and-all")).unwrap();
    let loaded = load_all(root.path()).unwrap();
    let mut seeds: Vec<u64> = loaded.runs.iter().map(|r| r.scores.run.seed).collect();
    seeds.sort_unstable();
    assert_eq!((seeds, loaded.left_out), (vec![1, 2, 3, 4, 5, 6], 0));

    let outside = tempfile::tempdir().unwrap();
    made_up::write(&outside.path().join("elsewhere"), &one(9));
    std::os::unix::fs::symlink(outside.path(), root.path().join("linked")).unwrap();
    assert_eq!(load_all(root.path()).unwrap().runs.len(), 7, "a folder that is linked belongs to it");

    let real = |seed: u64, db: f64| {
        let mut run = one(seed);
        run.scores.key.backend = contract::Backend::Namespaces;
        let rgb = run.scores.streams.get_mut(&contract::Stream::Rgb).unwrap();
        rgb.quality.get_mut(&contract::Metric::Psnr).unwrap().all.mean = db;
        run
    };
    let mut runs: Vec<Run> = (1..=6).map(|seed| real(seed, 30.0 + seed as f64)).collect();
    let column = COLUMNS.iter().position(|c| c.key == "psnr_mean_db").unwrap();
    let value = |runs: &[Run]| Table::of(&group(runs)).rows[0].values[column].unwrap();
    let before = value(&runs);
    // The repeat of a seed and its mirror: 31 dB becomes the mean of 30 and 32.
    runs[0] = real(1, 30.0);
    runs.push(real(1, 32.0));
    let after = value(&runs);
    assert_eq!((after.mean, after.interval, after.units, after.n), (before.mean, before.interval, 6, 7));
}

/// Over clips that both have, the first is better; the second lacks the two hard ones and would have the higher mean.
#[test]
fn nobody_is_best_for_having_met_less() {
    let made = |system: &'static str, seed: u64, db: f64| {
        let mut run = run(&MadeUp { system, seed, frames: 30, ..MadeUp::default() });
        let rgb = run.scores.streams.get_mut(&contract::Stream::Rgb).unwrap();
        rgb.quality.get_mut(&contract::Metric::Psnr).unwrap().all.mean = db;
        run
    };
    let mut runs: Vec<Run> =
        [30.0, 31.0, 20.0, 21.0].iter().zip(1..).map(|(db, seed)| made("a", seed, *db)).collect();
    runs.extend([29.0, 30.0].iter().zip(1..).map(|(db, seed)| made("b", seed, *db)));
    let column = COLUMNS.iter().position(|c| c.key == "psnr_mean_db").unwrap();
    let table = Table::of(&group(&runs));
    let marks: Vec<(bool, bool)> = table.rows.iter().map(|r| (r.fewer, r.best[column])).collect();
    assert_eq!(marks, [(false, false), (true, false)]);
    assert!(
        markdown(&table, None).contains("b \u{b0}")
            && markdown(&table, None).contains("fewer clips or seeds")
    );
    // With what failed counted the mean is still of those that did not.
    runs.truncate(4);
    runs.extend((1..=4).map(|seed| made("b", seed, 40.0)));
    let mut table = Table::of(&group(&runs));
    assert!(table.rows[1].best[column]);
    runs[4].failed = vec![5, 6];
    table = Table::of(&group(&runs));
    assert!(!table.rows[1].best[column] && table.rows[1].failed == 2);
    assert!(terminal(&table, false).contains("b \u{d7}"));
    let csv = csv(&table);
    let (head, line) = (csv.lines().next().unwrap(), csv.lines().nth(2).unwrap());
    let at = head.split(',').position(|h| h == "failed_runs").unwrap();
    assert_eq!(line.split(',').nth(at), Some("2"), "{line}");
}

/// Every tag is closed in order, every attribute quoted, and nothing is fetched from anywhere.
fn check_page(name: &str, page: &str) {
    for word in ["http:", "https:", "<link", "@import", "url(", "//cdn", "<iframe", "<object"] {
        let fetched = page.replace("url(data:", "");
        assert!(!fetched.contains(word), "{name}: `{word}` would need a network");
    }
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if rest.starts_with("<!DOCTYPE") {
            rest = &rest[rest.find('>').unwrap() + 1..];
            continue;
        }
        let end = tag_end(rest).unwrap_or_else(|| panic!("{name}: open tag {rest:.60}"));
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        if let Some(closing) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closing), "{name}: </{closing}> closes something else");
            continue;
        }
        let element = tag.split([' ', '/']).next().unwrap();
        for part in ["src=\"", "href=\""] {
            if let Some(at) = tag.find(part) {
                let target = &tag[at + part.len()..];
                assert!(target.starts_with('#') || target.starts_with("data:"), "{name}: {tag:.80}");
            }
        }
        if tag.ends_with('/') || ["meta", "br", "img"].contains(&element) {
            continue;
        }
        if ["script", "style"].contains(&element) {
            let close = format!("</{element}>");
            rest = &rest[rest.find(&close).expect("raw text ends") + close.len()..];
            continue;
        }
        open.push(element);
    }
    assert_eq!(open, Vec::<&str>::new(), "{name}: never closed");
}

/// Where a tag ends, quoted attributes respected.
fn tag_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(i),
            '<' if i > 0 => return None,
            _ => {}
        }
    }
    None
}

/// A system at these rates: `bps` on the wire and a quality each, under its name and quantiser.
fn at_rates(system: &'static str, extra: &[(&str, u32)], points: &[(u32, u64, f64)]) -> Vec<Run> {
    let made = |&(qp, bps, psnr): &(u32, u64, f64)| {
        let mut run = run(&MadeUp { system, frames: 30, ..MadeUp::default() });
        run.scores.bitrate.wire_bps = Some(bps);
        for (metric, value) in [(contract::Metric::Psnr, psnr), (contract::Metric::Ssim, psnr / 50.0)] {
            let quality = run.scores.streams.get_mut(&contract::Stream::Rgb).unwrap();
            quality.quality.get_mut(&metric).unwrap().all.mean = value;
        }
        for (name, value) in
            std::iter::once(("qp", qp.to_string())).chain(extra.iter().map(|(k, v)| (*k, v.to_string())))
        {
            run.scores.key.options.insert(name.into(), value);
            run.scores.run.given.insert(name.into());
        }
        run
    };
    points.iter().map(made).collect()
}

const LADDER: [(u32, u64, f64); 4] =
    [(24, 2_000_000, 40.0), (28, 1_000_000, 37.0), (32, 500_000, 34.0), (36, 250_000, 31.0)];

/// The deltas of the first row as a person reads them.
fn first_row(deltas: &Deltas) -> Vec<Result<String, String>> {
    let Deltas::Table(table) = deltas else { panic!("{deltas:?}") };
    table.lines().next().expect("a row").1
}

fn rows(deltas: Deltas) -> Vec<freezeframe::report::rate::Comparison> {
    match deltas {
        Deltas::Table(table) => table.rows,
        Deltas::None(reason) => panic!("{reason}"),
    }
}

/// One rate was run with more loss patterns than the others, and better by them: it counts by the pattern that all have.
#[test]
fn curves_are_compared_over_the_seeds_that_all_their_points_have() {
    let cheaper = LADDER.map(|(qp, bps, psnr)| (qp, bps * 8 / 10, psnr));
    let with_seed = |seed: u64, points: &[(u32, u64, f64)]| {
        let mut runs = at_rates("revo-h264", &[], points);
        runs.iter_mut().for_each(|r| r.scores.key.seed = seed);
        runs
    };
    let others = || at_rates("revo-h265", &[], &cheaper);
    let own = others()[0].scores.key.seed;
    let mut runs = with_seed(own, &LADDER);
    runs.extend(with_seed(own + 1, &[(28, 1_000_000, 39.0)]));
    runs.extend(others());
    let found = rows(deltas(&runs, None));
    assert_eq!(found[0].seeds, (1, 2));
    assert!((found[0].deltas[0].as_ref().unwrap() + 20.0).abs() < 1e-9, "{:?}", found[0].deltas);
    assert!(deltas(&runs, None).markdown().contains("| 4 / 4 | 1 of 2 | -20.0 |"));
    // Nothing in common is no comparison.
    let mut runs = with_seed(own + 1, &LADDER);
    runs.extend(others());
    let found = rows(deltas(&runs, None));
    assert_eq!((found[0].seeds, found[0].deltas[0].clone()), ((0, 2), Err(Refused::Seeds)));
}

#[test]
fn systems_at_four_rates_get_a_bd_rate() {
    // The same quality for 20 % less at every rate: the curves differ by a constant in log rate.
    let cheaper = LADDER.map(|(qp, bps, psnr)| (qp, bps * 8 / 10, psnr));
    let mut runs = at_rates("revo-h264", &[], &LADDER);
    runs.extend(at_rates("revo-h265", &[], &cheaper));
    let found = rows(deltas(&runs, None));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].baseline.as_str(), found[0].system.as_str()), ("revo-h264", "revo-h265"));
    assert_eq!(found[0].rates, (4, 4));
    for bd_rate in [&found[0].deltas[0], &found[0].deltas[2]] {
        assert!((bd_rate.as_ref().unwrap() + 20.0).abs() < 1e-9, "{bd_rate:?}");
    }
    assert!(*found[0].deltas[1].as_ref().unwrap() > 0.5);
    let other = rows(deltas(&runs, Some("revo-h265")));
    assert!((other[0].deltas[0].as_ref().unwrap() - 25.0).abs() < 1e-9, "100 / 0.8 - 100");
    let page = page("Rates", &runs, None);
    check_page("rates", &page);
    assert!(page.contains("<td>-20.0</td>") && page.contains("BD-rate % (PSNR)"));
    assert!(deltas(&runs, None).markdown().contains("| revo-h264 | revo-h265 | 4 / 4 | 1 | -20.0 |"));
    assert!(deltas(&runs, None).terminal().contains("revo-h265 against revo-h264"));
}

/// LPIPS is a distance: less is better. The same distances for 20 % less at every rate are a BD-rate of -20 %; at equal rate the cheaper
/// curve is nearer, by the slope of distance over log rate: 0.05 per factor of two, so 0.05 log2(1 / 0.8) = 0.0161.
#[test]
fn where_every_run_has_lpips_deltas_of_it_stand_beside() {
    let mut runs = at_rates("revo-h264", &[], &LADDER);
    runs.extend(at_rates("revo-h265", &[], &LADDER.map(|(qp, bps, psnr)| (qp, bps * 8 / 10, psnr))));
    let lpips = |run: &mut Run, metric| {
        let qp: f64 = run.scores.key.option("qp").unwrap().parse().unwrap();
        let quality = &mut run.scores.streams.get_mut(&contract::Stream::Rgb).unwrap().quality;
        let mut of = quality[&contract::Metric::Psnr];
        of.all.mean = 0.2 + 0.05 * (qp - 24.0) / 4.0;
        quality.insert(metric, of);
    };
    runs.iter_mut().for_each(|run| lpips(run, contract::Metric::LpipsAlex));
    // One run alone has the other network's.
    lpips(&mut runs[0], contract::Metric::LpipsVgg);
    let Deltas::Table(table) = deltas(&runs, None) else { panic!() };
    let headings: Vec<&str> = table.columns.iter().map(|c| c.heading).collect();
    assert_eq!(headings[3..], ["BD-rate % (LPIPS Alex)", "BD-LPIPS (Alex)"]);
    let found = &table.rows[0].deltas;
    assert!((found[3].as_ref().unwrap() + 20.0).abs() < 1e-9, "{found:?}");
    assert!((found[4].as_ref().unwrap() + 0.05 * (1.0f64 / 0.8).log2()).abs() < 1e-9, "{found:?}");
    assert_eq!(first_row(&deltas(&runs, None))[4], Ok("-0.0161".to_owned()));
    let page = page("Rates", &runs, None);
    check_page("rates with lpips", &page);
    assert!(page.contains("BD-LPIPS (Alex)"));
    runs[1]
        .scores
        .streams
        .get_mut(&contract::Stream::Rgb)
        .unwrap()
        .quality
        .remove(&contract::Metric::LpipsAlex);
    assert_eq!(first_row(&deltas(&runs, None)).len(), 3, "not of every run");
}

#[test]
fn one_system_with_other_options_is_another_curve_and_seeds_are_one_point() {
    let mut runs = at_rates("revo-h264", &[("gop", 15)], &LADDER.map(|(q, b, p)| (q, b * 2, p)));
    runs.extend(at_rates("revo-h264", &[], &LADDER));
    // A second seed, twice as far off: the mean lies at half of it.
    let mut second = at_rates("revo-h264", &[], &LADDER.map(|(q, b, p)| (q, b * 3, p)));
    second.extend(at_rates("revo-h264", &[("gop", 15)], &LADDER.map(|(q, b, p)| (q, b * 2, p))));
    second.iter_mut().for_each(|r| r.scores.key.seed = 2);
    runs.extend(second);
    let found = rows(deltas(&runs, Some("revo-h264")));
    assert_eq!((found[0].system.as_str(), found[0].rates), ("revo-h264 gop=15", (4, 4)));
    assert!(found[0].deltas[0].as_ref().unwrap().abs() < 1e-9, "{:?}", found[0].deltas);
    // Invalid runs are no point.
    for at in [0, 12] {
        assert_eq!(runs[at].scores.key.option("gop").map(|v| v.to_string()).as_deref(), Some("15"));
        runs[at].scores.health.valid = false;
    }
    let found = rows(deltas(&runs, Some("revo-h264")));
    let said = first_row(&deltas(&runs, Some("revo-h264")))[0].clone().unwrap_err();
    assert!(found[0].rates == (4, 3) && said.contains("test curve has 3 points; at least 4"), "{said}");
}

#[test]
fn without_curves_the_reason_stands_there() {
    let reason = |runs: &[Run], baseline| match deltas(runs, baseline) {
        Deltas::None(reason) => reason,
        Deltas::Table(table) => panic!("{table:?}"),
    };
    assert!(reason(&sweep(2), None).contains("no system was run at several rates"));
    let page = page("Seeds", &sweep(2), None);
    assert!(page.contains("No BD-rate: no system was run at several rates"));
    let mut runs = at_rates("revo-h264", &[], &LADDER);
    assert!(reason(&runs, None).contains("only one curve has several rates (revo-h264)"));
    runs.extend(at_rates("revo-h265", &[], &LADDER));
    assert!(
        reason(&runs, Some("revo-h266"))
            .contains("revo-h266 was not run at several rates; there are: revo-h264, revo-h265")
    );
    // Another scenario is another condition.
    runs.iter_mut().skip(4).for_each(|r| {
        r.scores.run.scenario = "clean".into();
        r.scores.key.scenario = "clean".parse().unwrap();
    });
    assert!(reason(&runs, None).contains("only one curve"));
    // Curves that have nothing in common are refused with the overlap.
    let mut far = at_rates("revo-h264", &[], &LADDER);
    far.extend(at_rates("revo-h265", &[], &LADDER.map(|(q, b, p)| (q, b, p + 20.0))));
    assert!(first_row(&deltas(&far, None))[0].clone().unwrap_err().contains("overlap"));
    let mut bent = LADDER;
    bent[1].2 = 41.0;
    let mut runs = at_rates("revo-h264", &[], &LADDER);
    runs.extend(at_rates("revo-h265", &[], &bent));
    assert!(first_row(&deltas(&runs, None))[0].clone().unwrap_err().contains("not monotone"));
}

/// The built program, a plan of two systems at four quantisers, and what the report makes of it.
#[test]
fn a_little_sweep_over_rates_ends_in_a_bd_rate() {
    let root = tempfile::tempdir().unwrap();
    let size = (128, 96);
    let file = std::fs::File::create(root.path().join("a.y4m")).unwrap();
    let header = media::y4m::Header::new(size.0, size.1, (30, 1));
    let mut writer = media::y4m::Writer::new(std::io::BufWriter::new(file), header).unwrap();
    for frame in 0..12 {
        let mut picture = media::Yuv420::filled(size.0, size.1, (0, 128, 128));
        for (i, y) in picture.y.iter_mut().enumerate() {
            let (column, row) = (i % size.0, i / size.0);
            *y = u8::try_from(30 + (column + 2 * frame) % 80 + (row * 3) % 60 + (column * row + frame) % 37)
                .unwrap();
        }
        writer.write(&picture).unwrap();
    }
    writer.finish().unwrap();
    let mut plan = "name='rates'\n".to_owned();
    for qp in [22, 27, 32, 37] {
        plan += &format!(
            "[[block]]\nsystems=['revo-h264','revo-h265']\nscenarios=['clean']\noptions=['qp={qp}']\n"
        );
    }
    std::fs::write(root.path().join("p.toml"), plan).unwrap();
    let tool = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_freezeframe"));
        command.args(arguments).current_dir(root.path()).env("FREEZEFRAME_CACHE", root.path().join("cache"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let shape = ["--clip", "a.y4m", "--size", "128x96", "--no-video", "--out", "out"];
    let said = tool(&[&["sweep", "./p.toml"], &shape[..]].concat());
    assert!(said.contains("revo-h265 against revo-h264, clean, a:"), "{said}");
    let runs = load_all(&root.path().join("out")).unwrap().runs;
    let found = rows(deltas(&runs, Some("revo-h264")));
    assert_eq!((found.len(), found[0].rates), (1, (4, 4)));
    // What the report shows is what the statistics say of the runs' own numbers.
    let curve = |system: &str| -> Vec<metrics::stats::RatePoint> {
        let of = runs.iter().filter(|r| r.scores.run.system == system);
        of.map(|r| metrics::stats::RatePoint {
            bps: r.scores.bitrate.wire_bps.unwrap() as f64,
            quality: r.scores.streams[&contract::Stream::Rgb].quality[&contract::Metric::Psnr].all.mean,
        })
        .collect()
    };
    let said = metrics::stats::bd_rate(&curve("revo-h264"), &curve("revo-h265"));
    assert_eq!(found[0].deltas[0], said.map_err(Refused::from));
    assert!(found[0].deltas[0].is_ok(), "{:?}", found[0].deltas);
    let text = tool(&["report", "out", "--format", "markdown", "--baseline", "revo-h265"]);
    assert!(text.contains("| clean | a | revo-h265 | revo-h264 | 4 / 4 | 1 |"), "{text}");
    let page = std::fs::read_to_string(root.path().join("out/report.html")).unwrap();
    check_page("rates", &page);
    assert!(page.contains("BD-rate % (PSNR)"));
}

/// Six clips of two seeds; the numbers are worked out here from the runs' own values.
#[test]
fn means_over_clips_have_students_interval_over_clips_and_what_is_missing_is_counted() {
    let mut runs = Vec::new();
    for clip in 0..6u32 {
        for seed in 1..=2 {
            let mut run = run(&MadeUp { seed, frames: 30, ..MadeUp::default() });
            run.scores.run.clip = format!("clip-{clip}");
            run.scores.key.clip_hash = format!("hash-{clip}");
            let rgb = run.scores.streams.get_mut(&contract::Stream::Rgb).unwrap();
            rgb.quality.get_mut(&contract::Metric::Psnr).unwrap().all.mean = 30.0 + f64::from(clip);
            if clip == 5 {
                rgb.latency = None;
            }
            runs.push(run);
        }
    }
    let groups = group(&runs);
    assert_eq!(groups.len(), 6);
    let over = freezeframe::report::group::over_clips(&groups);
    let table = Table::of(&over);
    let column = |key: &str| freezeframe::report::columns::COLUMNS.iter().position(|c| c.key == key).unwrap();
    let row = &table.rows[0];
    assert_eq!((table.rows.len(), row.runs, row.clip.as_str()), (1, 12, "6 clips"));
    // 30 to 35: mean 32.5; t(5, .975) = 2.5706 times sqrt(3.5 / 6) over clips alone. Both seeds are alike, so they add nothing.
    let psnr = row.values[column("psnr_mean_db")].unwrap();
    let half = 2.570_581_835_6 * (3.5f64 / 6.0).sqrt();
    assert!((psnr.mean - 32.5).abs() < 1e-12 && psnr.n == 12);
    assert!((psnr.interval.unwrap().high - 32.5 - half).abs() < 1e-6, "{psnr:?} {half}");
    let latency = row.values[column("latency_p50_ms")].unwrap();
    assert_eq!(latency.n, 10, "two runs showed nothing");
    let text = terminal(&table, false);
    assert!(
        text.contains("32.50±1.96") && text.contains("(10)") && text.contains("only n of the runs"),
        "{text}"
    );
    assert!(markdown(&table, None).contains("32.50 ± 1.96"));
    assert!(latex(&table, None).contains("32.50\\,$\\pm$\\,1.96"));
    let csv = csv(&table);
    let (head, line) = csv.split_once('\n').unwrap();
    let cell = |key: &str| -> f64 {
        let at = head.split(',').position(|h| h == key).unwrap();
        line.trim().split(',').nth(at).unwrap().parse().unwrap()
    };
    assert!((cell("psnr_mean_db_low") - (32.5 - half)).abs() < 1e-6);
    assert!((cell("psnr_mean_db_high") - (32.5 + half)).abs() < 1e-6);
    assert_eq!((cell("psnr_mean_db_n"), cell("latency_p50_ms_n")), (12.0, 10.0));
    // The page has that row first, and its clips in a table that opens.
    let page = page("x", &runs, None);
    let (over, each) = page.split_once("Clip by clip").unwrap();
    assert!(over.contains("6 clips") && over.contains("32.50") && !over.contains(">clip-0<"));
    assert_eq!((0..6).filter(|clip| each.contains(&format!(">clip-{clip}<"))).count(), 6);
}

#[test]
fn an_invalid_run_is_never_best_and_is_marked_everywhere() {
    let good = run(&MadeUp { system: "a", frames: 30, ..MadeUp::default() });
    let mut better = run(&MadeUp { system: "b", frames: 30, bonus: 9.0, ..MadeUp::default() });
    better.scores.health.valid = false;
    let runs = [good, better];
    let table = Table::of(&group(&runs));
    assert!(table.rows[1].invalid == 1 && table.rows[1].best.iter().all(|b| !b), "{:?}", table.rows[1]);
    assert!(markdown(&table, None).contains("| b ! |") && latex(&table, None).contains("b ! &"));
    assert!(terminal(&table, false).contains("b !"));
}

#[test]
fn twenty_systems_have_twenty_looks() {
    let runs: Vec<Run> = (0..20u64)
        .map(|i| {
            let mut run = run(&MadeUp { frames: 30, seed: 1, ..MadeUp::default() });
            run.scores.run.system = format!("system-{i}");
            run.scores.key.system = format!("system-{i}").parse().unwrap();
            run
        })
        .collect();
    let page = page("x", &runs, None);
    let mut swatches: Vec<&str> =
        page.split("<svg class=\"key\"").skip(1).filter_map(|after| after.split("</svg>").next()).collect();
    assert_eq!(swatches.len(), 20, "one per row of the table");
    swatches.sort_unstable();
    swatches.dedup();
    assert_eq!(swatches.len(), 20, "{swatches:?}");
}

#[test]
fn bd_rates_of_six_clips_are_averaged_with_an_interval() {
    let mut runs = Vec::new();
    for clip in 0..6u64 {
        let cheaper = LADDER.map(|(qp, bps, psnr)| (qp, bps * (70 + 2 * clip) / 100, psnr));
        let mut of_clip = at_rates("revo-h264", &[], &LADDER);
        of_clip.extend(at_rates("revo-h265", &[], &cheaper));
        of_clip.iter_mut().for_each(|r| {
            r.scores.run.clip = format!("clip|{clip}");
            r.scores.key.clip_hash = format!("hash-{clip}");
        });
        runs.extend(of_clip);
    }
    let Deltas::Table(table) = deltas(&runs, None) else { panic!() };
    assert_eq!((table.rows.len(), table.over_clips.len(), table.over_clips[0].clips), (6, 1, 6));
    // -30, -28, ..., -20: mean -25, standard error sqrt(14 / 6), t(5, .975) = 2.5706.
    let over = table.over_clips[0].deltas[0].unwrap();
    assert!((over.mean + 25.0).abs() < 1e-6);
    assert!(
        (over.interval.unwrap().high + 25.0 - 2.570_581_8 * (14.0f64 / 6.0).sqrt()).abs() < 1e-5,
        "{over:?}"
    );
    assert_eq!(table.lines().last().unwrap().1[0], Ok("-25.0 ± 3.9".to_owned()));
    let text = deltas(&runs, None).markdown();
    assert!(
        text.contains("clip\\|0") && text.contains("-25.0 ± 3.9") && text.contains("on the wire"),
        "{text}"
    );
    runs[0].scores.bitrate.wire_bps = None;
    assert!(deltas(&runs, None).markdown().contains("1 of 48 have no record of the path"));
}

/// Runs with depth and runs of colour alone are told apart by that; how depth is meant is said only where it differs among the runs that have it.
#[test]
fn how_depth_is_meant_tells_only_runs_with_depth_apart() {
    let with = run(&MadeUp::default());
    let mut without = with.clone();
    let key = &mut without.scores.key;
    (key.depth_hash, key.depth_range_mm) = (None, None);
    let names = |runs: &[Run]| -> Vec<String> {
        freezeframe::report::group::labels(runs, &[]).into_iter().map(|l| l.system).collect()
    };
    assert_eq!(names(&[with.clone(), without.clone()]), ["revo-h265 with depth", "revo-h265 colour alone"]);
    let mut far = with.clone();
    far.scores.key.depth_range_mm = Some((400, 9000));
    let three = names(&[with, without, far]);
    assert_eq!(
        three,
        [
            "revo-h265 with depth range 400-4000 mm",
            "revo-h265 colour alone",
            "revo-h265 with depth range 400-9000 mm"
        ]
    );
}
