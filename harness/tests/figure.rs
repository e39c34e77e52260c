//! Figures: every one is drawn from made-up runs, its texts neither overlap nor leave the picture, its bytes are the same every time, and
//! its numbers are those of tables.

mod made_up;

use contract::{Metric, Stream};
use freezeframe::figure::data::{Choice, Data};
use freezeframe::figure::draw::{draw, with_lengths};
use freezeframe::figure::files::{Kind, bytes};
use freezeframe::figure::model::{Figure, Shape};
use freezeframe::figure::{ALL, find, numbers, text, vega};
use freezeframe::report::columns::COLUMNS;
use freezeframe::report::load::Run;
use made_up::{MadeUp, run, sweep};
use resvg::usvg::roxmltree::{Document, Node};

/// A system at several rates, and behind a bottleneck where asked.
fn at_rates(
    system: &'static str,
    option: &str,
    values: &[u32],
    scenario: &'static str,
    seeds: u64,
) -> Vec<Run> {
    let mut runs = Vec::new();
    for (i, value) in values.iter().enumerate() {
        for seed in 1..=seeds {
            let bonus = f64::from(u32::try_from(i).unwrap());
            let mut run = run(&MadeUp { system, scenario, seed, bonus, frames: 60, ..MadeUp::default() });
            run.scores.key.options.insert(option.to_owned(), value.to_string());
            run.scores.run.given.insert(option.to_owned());
            run.scores.bitrate.payload_bps = Some(100_000 + 90_000 * i as u64);
            run.scores.bitrate.wire_bps = Some(110_000 + 95_000 * i as u64);
            if scenario.starts_with("fifo") {
                run.scores.run.conditions.insert("forward_bottleneck".into(), "320kbit, queue 6000B".into());
            }
            runs.push(run);
        }
    }
    runs
}

fn rates() -> Vec<Run> {
    let mut runs = Vec::new();
    for scenario in ["clean", "ge-high", "fifo-320k"] {
        runs.extend(at_rates("reparo", "drop_permille", &[0, 200, 400], scenario, 6));
        runs.extend(at_rates("vp9-tambur", "target_kbps", &[80, 160, 240, 320], scenario, 6));
        let mut variant = at_rates("reparo", "drop_permille", &[0, 500], scenario, 2);
        for run in &mut variant {
            run.scores.key.options.insert("grid".into(), "16".into());
            run.scores.run.given.insert("grid".into());
        }
        runs.extend(variant);
    }
    runs
}

/// Fourteen systems with long names under six scenarios with long names.
fn crowd() -> Vec<Run> {
    let mut runs = Vec::new();
    for s in 0..6u32 {
        for i in 0..14u32 {
            let mut run = run(&MadeUp {
                seed: u64::from(s + 1),
                frames: 40,
                bonus: f64::from(i) / 3.0,
                ..MadeUp::default()
            });
            run.scores.run.scenario = format!("a-scenario-with-a-long-name-{s}");
            run.scores.key.scenario = run.scores.run.scenario.parse().unwrap();
            run.scores.key.scenario_hash = format!("hash {s}");
            run.scores.run.system = format!("quite-a-long-name-of-a-system-{i}");
            run.scores.key.system = run.scores.run.system.parse().unwrap();
            runs.push(run);
        }
    }
    runs
}

fn worlds() -> Vec<(&'static str, Vec<Run>)> {
    let mut all = sweep(6);
    all.retain(|r| r.scores.run.scenario != "ge-low");
    vec![("sweep", all), ("one", vec![run(&MadeUp::default())]), ("rates", rates()), ("crowd", crowd())]
}

fn made(name: &str, runs: &[Run]) -> Result<Figure, String> {
    (find(name).unwrap().make)(&Data::new(runs, Choice::default()))
}

#[test]
fn every_figure_is_drawn_and_its_texts_are_readable() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("figures");
    std::fs::create_dir_all(&dir).unwrap();
    let mut drawn: Vec<&str> = Vec::new();
    for (world, runs) in &worlds() {
        for entry in &ALL {
            let figure = match made(entry.name, runs) {
                Ok(figure) => figure,
                Err(why) => {
                    assert!(!why.is_empty() && !why.ends_with('.'), "{}: {why}", entry.name);
                    continue;
                }
            };
            drawn.push(entry.name);
            let svg = with_lengths(&draw(&figure).svg);
            // Kept for a look at it.
            std::fs::write(dir.join(format!("{world}-{}.svg", entry.name)), &svg).unwrap();
            check_texts(&format!("{world}, {}", entry.name), &svg);
        }
    }
    let never: Vec<&str> = ALL.iter().map(|e| e.name).filter(|n| !drawn.contains(n)).collect();
    assert_eq!(never, Vec::<&str>::new(), "drawn in no world");
}

/// Rectangles of texts: inside the picture, and none over another.
fn check_texts(name: &str, svg: &str) {
    let document = Document::parse(svg).unwrap_or_else(|e| panic!("{name}: {e}"));
    let root = document.root_element();
    let size: Vec<f64> = root.attribute("viewBox").unwrap().split(' ').map(|v| v.parse().unwrap()).collect();
    let (width, height) = (size[2], size[3]);
    assert!(root.attribute("width").unwrap().ends_with("mm"), "{name}");
    let boxes: Vec<(String, [f64; 4])> =
        document.descendants().filter(|n| n.has_tag_name("text")).filter_map(text_box).collect();
    assert!(!boxes.is_empty(), "{name}: no text");
    for (i, (what, [left, right, top, bottom])) in boxes.iter().enumerate() {
        let inside = *left >= -2.0 && *right <= width + 2.0 && *top >= -2.0 && *bottom <= height + 2.0;
        assert!(
            inside,
            "{name}: {what:?} leaves the picture: {left:.0}-{right:.0} of {width}, {top:.0}-{bottom:.0} of {height}"
        );
        for (other, [l, r, t, b]) in &boxes[i + 1..] {
            let across = right.min(*r) - left.max(*l);
            let down = bottom.min(*b) - top.max(*t);
            assert!(across < 8.0 || down < 12.0, "{name}: {what:?} and {other:?} lie over each other");
        }
    }
}

fn text_box(node: Node) -> Option<(String, [f64; 4])> {
    let text = node.text()?.trim().to_owned();
    let number = |name: &str| node.attribute(name).and_then(|v| v.parse::<f64>().ok()).unwrap();
    let (x, y, size) = (number("x"), number("y"), number("font-size"));
    assert!(size >= 40.0 || text.is_empty(), "{text:?} in {} pt", size / 10.0);
    let bold = node.attribute("font-weight").is_some();
    let width = if bold { text::width_bold(&text, size) } else { text::width(&text, size) };
    // Shown with any other font it is as wide.
    assert!((number("textLength") - width).abs() <= 0.51, "{text:?}");
    let (left, right) = match node.attribute("text-anchor").unwrap() {
        "start" => (0.0, width),
        "middle" => (-width / 2.0, width / 2.0),
        _ => (-width, 0.0),
    };
    // From the line that dy sets: letters are .72 of the size above it, .2 below.
    let base = match node.attribute("dy").unwrap() {
        "0.76em" => 0.76 * size,
        "0.5ex" => 0.26 * size,
        _ => -0.26 * size,
    };
    let (top, bottom) = (base - 0.72 * size, base + 0.2 * size);
    let turned = node.attribute("transform").is_some_and(|t| t.starts_with("rotate(270"));
    let area = if turned {
        [x + top, x + bottom, y - right, y - left]
    } else {
        [x + left, x + right, y + top, y + bottom]
    };
    Some((text, area))
}

#[test]
fn equal_runs_give_equal_bytes_in_every_format() {
    let runs = sweep(1);
    for name in ["cdf", "timeline", "reparo-table-1"] {
        let make = || made(name, &runs).unwrap();
        for kind in [Kind::Svg, Kind::Pdf, Kind::Png] {
            let (a, b) = (bytes(&make(), kind, 150).unwrap(), bytes(&make(), kind, 150).unwrap());
            assert_eq!(a, b, "{name} {kind:?}");
            let begins: &[u8] = match kind {
                Kind::Svg => b"<svg xmlns",
                Kind::Pdf => b"%PDF-",
                Kind::Png => b"\x89PNG",
            };
            assert!(a.starts_with(begins));
        }
    }
}

/// 85 mm are 85/25.4 inches: 502 pixels at 150 dots per inch, 240.9 points in a PDF.
#[test]
fn files_have_the_size_of_a_column() {
    let runs = [run(&MadeUp { frames: 60, ..MadeUp::default() })];
    let figure = made("non-rendered", &runs).unwrap();
    assert!(!figure.wide);
    let png = bytes(&figure, Kind::Png, 150).unwrap();
    assert_eq!(u32::from_be_bytes(png[16..20].try_into().unwrap()), 502);
    let pdf = bytes(&figure, Kind::Pdf, 300).unwrap();
    let text = String::from_utf8_lossy(&pdf);
    let media = text.split("/MediaBox [").nth(1).unwrap().split(']').next().unwrap().to_owned();
    let right: f64 = media.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!((right - 85.0 / 25.4 * 72.0).abs() < 0.5, "{media}");
    // Text stays text: the font is inside.
    assert!(text.contains("/FontFile") && text.contains("Arimo"));
}

/// The bars are the table's means and intervals.
#[test]
fn numbers_behind_bars_are_those_of_the_table() {
    let runs = sweep(6);
    let data = Data::new(&runs, Choice::default());
    let figure = made("non-rendered", &runs).unwrap();
    let csv = numbers::csv(&figure);
    let head: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let at = |name: &str| head.iter().position(|h| *h == name).unwrap();
    let column = COLUMNS.iter().find(|c| c.key == "non_rendered_play_percent").unwrap();
    let mut seen = 0;
    for line in csv.lines().skip(1) {
        let line = line.replace("\"non-rendered frames, %\"", "nr");
        let cells: Vec<&str> = line.split(',').collect();
        if cells[at("panel")] != "1" {
            continue;
        }
        let group = data.group(cells[at("series")], cells[at("category")]).unwrap();
        let value = group.value(column).unwrap();
        assert_eq!(cells[at("y")].parse::<f64>().unwrap(), value.mean);
        assert_eq!(cells[at("n")], "6");
        match value.interval {
            Some(i) => assert_eq!(cells[at("high")].parse::<f64>().unwrap(), i.high),
            None => assert_eq!(cells[at("high")], ""),
        }
        seen += 1;
    }
    assert_eq!(seen, 12, "{csv}");
}

/// A distribution's share at a value is counted here over the frames themselves.
#[test]
fn a_cdf_is_the_share_of_frames() {
    let runs = vec![run(&MadeUp { frames: 200, ..MadeUp::default() })];
    let figure = made("cdf", &runs).unwrap();
    let values: Vec<f64> = runs[0].stream(Stream::Rgb).map(|r| r.metrics[&Metric::Psnr]).collect();
    let records = numbers::records(&figure);
    assert_eq!(records.len(), 121);
    for record in records {
        let (x, y) = (record["x"].as_f64().unwrap(), record["y"].as_f64().unwrap());
        let below = values.iter().filter(|v| **v <= x).count();
        assert!((y - 100.0 * below as f64 / 200.0).abs() < 1e-9);
    }
}

#[test]
fn every_specification_has_its_numbers_and_names() {
    for (_, runs) in worlds() {
        for entry in &ALL {
            let Ok(figure) = made(entry.name, &runs) else { continue };
            let spec = vega::spec(&figure);
            assert_eq!(spec["$schema"], "https://vega.github.io/schema/vega-lite/v5.json");
            if figure.table.is_none() {
                let panels = spec["concat"].as_array().unwrap();
                assert_eq!(panels.len(), figure.panels.len());
                let count: usize = panels.iter().map(|p| p["data"]["values"].as_array().unwrap().len()).sum();
                assert_eq!(count, numbers::records(&figure).len(), "{}", entry.name);
            }
        }
    }
}

#[test]
fn what_runs_lack_is_said_with_the_plan_that_makes_it() {
    let runs = sweep(1);
    for (name, word) in [
        ("reparo-5", "several rates"),
        ("reparo-11", "bottleneck"),
        ("reparo-12", "two variants of reparo"),
        ("rate-quality", "several rates"),
    ] {
        let why = made(name, &runs).unwrap_err();
        assert!(why.contains(word), "{name}: {why}");
    }
    // And the program says it with the command.
    let root = tempfile::tempdir().unwrap();
    made_up::on_disk(root.path(), &runs[0]);
    let tool = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_freezeframe"));
        let output = command.args(arguments).current_dir(root.path()).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, said) = tool(&["figure", "reparo-5", "."]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("freezeframe sweep reparo-figures"), "{said}");
    let (code, said) = tool(&["figure", "bogus", "."]);
    assert!(code == 2 && said.contains("non-rendered"), "{said}");
    let (code, said) = tool(&["figure", "non-rendered", ".", "--scenario", "nowhere"]);
    assert!(code == 2 && said.contains("there are: clean"), "{said}");
    let (code, said) =
        tool(&["figure", "non-rendered", ".", "--out", "x.pdf", "--out", "x.svg", "--vega=x.json", "--csv"]);
    assert!(code == 0 && said.contains("panel,"), "{said}");
    for file in ["x.pdf", "x.svg", "x.json"] {
        assert!(root.path().join(file).is_file(), "{file}");
    }
    let (code, said) = tool(&["figure", "--list"]);
    assert!(code == 0 && ALL.iter().all(|e| said.contains(e.name)), "{said}");
}

#[test]
fn the_page_lists_every_figure_and_column() {
    let page =
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/FIGURES.md"))
            .unwrap();
    for e in &ALL {
        assert!(
            page.contains(&format!("| `{}` | {} | `{}` |", e.name, e.about, e.plan)),
            "docs/FIGURES.md: {}",
            e.name
        );
    }
    for (name, about) in numbers::COLUMNS {
        assert!(page.contains(&format!("| `{name}` | {about} |")), "docs/FIGURES.md: {name}");
    }
}

/// The points of the only line of that name in a panel.
fn line(figure: &Figure, panel: usize, name: &str) -> Vec<(f64, f64)> {
    let mut lines = figure.panels[panel].layers.iter().filter(|l| l.name == name);
    let (Some(layer), None) = (lines.next(), lines.next()) else { panic!("one line {name}") };
    match &layer.shape {
        Shape::Line { points, .. } => points.iter().map(|p| (p.x, p.y)).collect(),
        other => panic!("{other:?}"),
    }
}

/// Two runs of frames of 1 and of 3 kB: by half of all frames the distribution is at 3 (percentile 50 of one half each, counted once).
#[test]
fn sizes_over_all_runs_count_each_run_once() {
    let runs: Vec<Run> = [(1, 1000), (2, 2000), (3, 3000)]
        .into_iter()
        .map(|(seed, bytes)| {
            let mut run = run(&MadeUp { seed, frames: 60, ..MadeUp::default() });
            run.rows.iter_mut().for_each(|row| row.encoded_bytes = Some(bytes));
            run
        })
        .collect();
    let data = Data::new(&runs, Choice::default());
    let figure = (find("frame-sizes").unwrap().make)(&data).unwrap();
    let spread = line(&figure, 1, "revo-h265");
    let at = |percent: f64| spread.iter().find(|(_, y)| (*y - percent).abs() < 1e-9).unwrap().0;
    // A third of the frames each.
    assert_eq!([0.0, 30.0, 40.0, 60.0, 70.0, 100.0].map(at), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
}

/// A panel is of one loss pattern, the first that most systems met, and of valid runs.
#[test]
fn masks_show_systems_under_one_loss_pattern() {
    let of = |system, seed| run(&MadeUp { system, seed, frames: 60, ..MadeUp::default() });
    let mut runs: Vec<Run> = (1..=3).map(|seed| of("vp8-ulpfec", seed)).collect();
    runs.extend([of("vp9-tambur", 2), of("vp9-tambur", 3), of("reparo", 1), of("reparo", 2)]);
    let shown = |runs: &[Run]| {
        let figure = (find("masks").unwrap().make)(&Data::new(runs, Choice::default())).unwrap();
        assert_eq!(figure.panels.len(), 1);
        (figure.panels[0].title.clone(), figure.panels[0].y.names.clone())
    };
    let (title, systems) = shown(&runs);
    assert!(title.ends_with("seed 2") && systems.len() == 3, "{title}: {systems:?}");
    runs.iter_mut()
        .find(|r| r.scores.key.system.as_str() == "reparo" && r.scores.key.seed == 2)
        .unwrap()
        .scores
        .health
        .valid = false;
    let (title, systems) = shown(&runs);
    // Of seed 1 and 2 alike two systems are left.
    assert!(title.ends_with("seed 1") && !systems.contains(&"vp9-tambur".to_owned()), "{title}: {systems:?}");
    runs.iter_mut().for_each(|r| r.scores.health.valid = false);
    for name in ["masks", "timeline", "frame-sizes"] {
        let said = (find(name).unwrap().make)(&Data::new(&runs, Choice::default())).unwrap_err();
        assert!(said.contains("valid run"), "{name}: {said}");
    }
}
