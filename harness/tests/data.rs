//! Tidy tables: what is in them is what runs have, and the recipes of docs/DATA.md run on them.

mod made_up;

use freezeframe::cmd::export;
use freezeframe::tidy::{Value, tables};
use made_up::{MadeUp, record, run, sweep};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Made-up runs with their frames and packets, and their tables.
fn exported() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("runs");
    for run in sweep(2) {
        let id = &run.scores.run;
        let dir = folder.join(&id.scenario).join(&id.system).join(format!("seed-{}", id.seed));
        std::fs::create_dir_all(&dir).unwrap();
        // Before the seal, which names it.
        let mut file = std::fs::File::create(dir.join("fates.jsonl")).unwrap();
        for fate in record(&MadeUp { seed: id.seed, ..MadeUp::default() }).1 {
            writeln!(file, "{}", serde_json::to_string(&fate).unwrap()).unwrap();
        }
        made_up::write(&dir, &run);
    }
    let data = root.path().join("data");
    let said = tool(&["export", folder.to_str().unwrap(), "--out", data.to_str().unwrap()]);
    assert!(said.contains("24 rows of runs"), "{said}");
    (root, data)
}

fn tool(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_freezeframe")).args(arguments).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn tables_have_a_row_for_everything_and_equal_runs_give_equal_files() {
    let (root, data) = exported();
    let lines = |name: &str| std::fs::read_to_string(data.join(name)).unwrap().lines().count() - 1;
    assert_eq!(lines("runs.csv"), 24);
    // 300 frames of two streams; the packets of the ledger.
    assert_eq!(lines("frames.csv"), 24 * 600);
    let packets: usize = (1..=2).map(|seed| record(&MadeUp { seed, ..MadeUp::default() }).1.len()).sum();
    assert_eq!(lines("packets.csv"), 12 * packets);
    let again = root.path().join("again");
    tool(&["export", root.path().join("runs").to_str().unwrap(), "--out", again.to_str().unwrap()]);
    for table in ["runs", "frames", "packets"] {
        for end in ["csv", "parquet"] {
            let name = format!("{table}.{end}");
            assert!(
                std::fs::read(data.join(&name)).unwrap() == std::fs::read(again.join(&name)).unwrap(),
                "{name}"
            );
        }
    }
    // The same run twice, in virtual time: it is there once, and that is said.
    let both = root.path().join("runs");
    let output = Command::new(env!("CARGO_BIN_EXE_freezeframe"))
        .arg("export")
        .args([&both, &both, &PathBuf::from("--out"), &again])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is the same run as") && said.contains("not counted again"), "{said}");
    assert!(said.contains("24 rows of runs"), "{said}");
}

#[test]
fn a_rows_values_are_those_of_the_run() {
    let run = run(&MadeUp::default());
    let table = tables::runs();
    let row = tables::run_row(&run, "x");
    assert_eq!(row.len(), table.columns.len());
    let value = |name: &str| &row[table.columns.iter().position(|c| c.name == name).unwrap()];
    let psnr = run.scores.streams[&contract::Stream::Rgb].quality[&contract::Metric::Psnr].all.mean;
    assert_eq!(*value("psnr_mean_db"), Value::Float(psnr));
    assert_eq!(*value("run"), Value::Text(run.scores.key.hash()));
    assert_eq!(*value("options"), Value::Text(r#"{"transport":"datagram"}"#.into()));
    assert_eq!(*value("lpips_vgg_mean"), Value::Null, "not measured, not 0");
}

#[test]
fn the_page_has_the_columns_that_the_tool_prints() {
    let page = std::fs::read_to_string(docs()).unwrap();
    let (_, columns) = page.split_once("## Columns\n\n").unwrap();
    assert_eq!(
        columns,
        export::markdown(),
        "docs/DATA.md, Columns: put the output of `freezeframe export --columns` there"
    );
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/DATA.md")
}

/// A Python with DuckDB, pandas and pyarrow.
fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let python = std::env::var_os("FREEZEFRAME_DATA_PYTHON")
        .map(PathBuf::from)
        .or_else(|| Some(cache?.join("freezeframe/data/bin/python")).filter(|p| p.is_file()))
        .unwrap_or_else(|| "python3".into());
    let output = Command::new(&python).args(["-c", "import duckdb, pandas, pyarrow"]).output();
    match output {
        Ok(output) if output.status.success() => Some(python),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
            testing::skip!("duckdb", "{}: {why}", python.display());
            None
        }
        Err(e) => {
            testing::skip!("duckdb", "{}: {e}", python.display());
            None
        }
    }
}

#[test]
fn every_recipe_runs() {
    let Some(python) = python() else { return };
    let (_root, data) = exported();
    let page = std::fs::read_to_string(docs()).unwrap();
    let mut blocks: Vec<(&str, &str)> = Vec::new();
    for part in page.split("\n```").skip(1).step_by(2) {
        let (language, code) = part.split_once('\n').unwrap();
        blocks.push((language, code));
    }
    assert!(blocks.iter().filter(|(l, _)| *l == "sql").count() >= 6, "{blocks:?}");
    assert!(blocks.iter().filter(|(l, _)| *l == "python").count() >= 2);
    for (language, code) in blocks {
        let script = match language {
            // A query that gives no row shows nothing.
            "sql" => format!(
                "import duckdb\nrows = duckdb.sql('''{code}''').fetchall()\nprint(rows)\nassert rows and all(any(v is not None for v in r) for r in rows)"
            ),
            "python" => code.to_owned(),
            other => panic!("a block of {other:?} is run by nobody"),
        };
        let output = Command::new(&python).arg("-c").arg(&script).current_dir(&data).output().unwrap();
        assert!(output.status.success(), "{code}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.is_empty(), "{code}");
    }
    // Types and numbers are those of the runs: counted in the Parquet file, summed in the CSV file, compared with the report's table.
    let check = r"
import duckdb, json, subprocess, sys
types = {r[0]: r[1] for r in duckdb.sql('''DESCRIBE SELECT * FROM 'runs.parquet' ''').fetchall()}
assert types['psnr_mean_db'] == 'DOUBLE' and types['valid'] == 'BOOLEAN' and types['seed'] == 'BIGINT' and types['system'] == 'VARCHAR', types
both = duckdb.sql('''SELECT count(*), count(p.psnr), max(abs(p.psnr - c.psnr)) FROM 'frames.parquet' p JOIN read_csv('frames.csv') c USING (run, frame_id, stream)''').fetchall()[0]
assert both == (14400, 14400, 0.0), both
about = dict(duckdb.sql('''SELECT decode(key), decode(value) FROM parquet_kv_metadata('packets.parquet')''').fetchall())
assert 'direction' in about, about
";
    let output = Command::new(&python).arg("-c").arg(check).current_dir(&data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// frames.csv is the authority: same columns, same order.
#[test]
fn frames_have_the_columns_of_frames_csv() {
    let metrics = contract::Metric::ALL.map(contract::Metric::name);
    let of_file: Vec<&str> = contract::frames::COLUMNS.iter().map(|c| c.name).chain(metrics).collect();
    let table = tables::frames();
    let ours: Vec<&str> = table.columns.iter().skip(1).map(|c| c.name.as_str()).collect();
    assert_eq!(ours, of_file);
    let row = contract::FrameRow::new(3, contract::Stream::Rgb);
    assert_eq!(tables::frame_row("x", &row).len(), table.columns.len());
}

#[test]
fn no_two_columns_have_one_name() {
    for table in [tables::runs(), tables::frames(), tables::packets()] {
        let mut names: Vec<&String> = table.columns.iter().map(|c| &c.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), table.columns.len(), "{}", table.name);
        assert!(table.columns.iter().all(|c| !c.about.is_empty()));
    }
}
