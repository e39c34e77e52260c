//! The table for programs and papers.

use super::columns::{Better, COLUMNS};
use super::group::Group;
use super::significance::families;
use super::table::{Row, Shown, Table, UNKNOWN, UNKNOWN_CSV};
use metrics::stats::Evidence;
use std::fmt::Write as _;

/// All columns, full precision, one row per line; `unknown` where there is no value. After the means come, per column, the ends
/// of the 95 % interval (empty where the mean has none) and how many runs the mean is over.
#[must_use]
pub fn csv(table: &Table) -> String {
    let mut out = String::from(
        "clip,scenario,system,runs,invalid_runs,failed_runs,fewer,another_clip,budget_differs,self_reported,not_isolated,own_loss",
    );
    for column in &COLUMNS {
        let _ = write!(out, ",{}", column.key);
    }
    for column in &COLUMNS {
        let _ = write!(out, ",{0}_low,{0}_high,{0}_n", column.key);
    }
    out.push('\n');
    for row in &table.rows {
        let names = [&row.clip, &row.scenario, &row.system].map(|s| quote(s));
        let marks = [
            row.fewer,
            row.another_clip,
            row.budget_differs,
            row.self_reported,
            row.not_isolated,
            row.own_loss,
        ]
        .map(|m| m.to_string())
        .join(",");
        let _ = write!(out, "{},{},{},{},{marks}", names.join(","), row.runs, row.invalid, row.failed);
        for value in &row.values {
            let _ = write!(out, ",{}", number(value.map(|v| v.mean)));
        }
        for value in &row.values {
            let interval = value.and_then(|v| v.interval);
            let (low, high) = (interval.map(|x| x.low), interval.map(|x| x.high));
            let _ = write!(out, ",{},{},{}", number(low), number(high), value.map_or(0, |v| v.n));
        }
        out.push('\n');
    }
    out
}

/// Every paired comparison of every result column ([`super::significance`]), one per line: what it is over, the mean
/// difference with its 95 % interval, p alone and corrected within its metric and scenario, and `first` or `second`, whichever
/// is better by more than chance. `note` says why a line has no test.
#[must_use]
pub fn comparisons_csv(groups: &[Group], against: Option<&str>) -> String {
    let mut out = String::from(
        "scenario,metric,clip,first,second,unit,units,pairs,seeds,difference,low,high,p,p_holm,better,note\n",
    );
    let keys: Vec<&str> = COLUMNS.iter().filter(|c| c.better != Better::Neither).map(|c| c.key).collect();
    for family in families(groups, &keys, against) {
        for row in &family.rows {
            let c = &row.comparison;
            let (interval, p, note) = match c.evidence {
                Evidence::Tested { interval, p } => (interval, Some(p), ""),
                Evidence::TooFew => (None, None, "too few"),
                Evidence::NoVariation => (None, None, "no variation"),
            };
            let clip = row.clip.map_or("", |at| &family.clips[at]);
            let names = [clip, &row.first, &row.second].map(quote).join(",");
            let better = match row.better(family.column.better) {
                Some(true) => "first",
                Some(false) => "second",
                None => "",
            };
            let _ = writeln!(
                out,
                "{},{},{names},{},{},{},{},{},{},{},{},{},{better},{note}",
                quote(&family.scenario),
                family.column.key,
                c.unit.word(1),
                c.units,
                c.pairs,
                c.seeds,
                c.mean,
                number(interval.map(|i| i.low)),
                number(interval.map(|i| i.high)),
                number(p),
                number(row.corrected),
            );
        }
    }
    out
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN_CSV.to_owned(), |v| v.to_string())
}

/// A GitHub-flavoured table; best of its scenario in bold, notes below. `keys` names the columns (absent: all that have a value).
#[must_use]
pub fn markdown(table: &Table, keys: Option<&[String]>) -> String {
    let used = used(table, keys);
    let several = table.several();
    let mut head = vec!["scenario".to_owned(), "system".to_owned()];
    let mut rule = vec!["---".to_owned(), "---".to_owned()];
    if several {
        head.push("runs".to_owned());
        rule.push("--:".to_owned());
    }
    for &i in &used {
        head.push(format!("{} {}", COLUMNS[i].group, COLUMNS[i].name).trim().to_owned());
        rule.push("--:".to_owned());
    }
    let mut out = format!("| {} |\n|{}|\n", head.join(" | "), rule.join("|"));
    for row in &table.rows {
        let mut cells = vec![pipe(&scenario(table, row)), pipe(&row.system) + &row.mark()];
        if several {
            cells.push(row.runs.to_string());
        }
        for &i in &used {
            let text = Shown::of(row, i).text(" ± ");
            cells.push(if row.best[i] { format!("**{text}**") } else { text });
        }
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    if !table.notes().is_empty() {
        let _ = writeln!(out, "\n{}.", pipe(&table.notes().join(". ")));
    }
    out
}

/// A `tabular` in the style of `booktabs`; best of its scenario in bold, notes as comments. `keys` as for [`markdown`].
#[must_use]
pub fn latex(table: &Table, keys: Option<&[String]>) -> String {
    let used = used(table, keys);
    let several = table.several();
    let lead = if several { 3 } else { 2 };
    let mut out = format!(
        "% \\usepackage{{booktabs}}\n\\begin{{tabular}}{{ll{}{}}}\n\\toprule\n",
        if several { "r" } else { "" },
        "r".repeat(used.len())
    );
    let mut top = vec![String::new(); lead];
    let mut rules = String::new();
    let mut k = 0;
    while k < used.len() {
        let group = COLUMNS[used[k]].group;
        let end = (k..used.len()).find(|&j| COLUMNS[used[j]].group != group).unwrap_or(used.len());
        top.push(format!("\\multicolumn{{{}}}{{c}}{{{}}}", end - k, latex_text(group)));
        let _ = write!(rules, "\\cmidrule(lr){{{}-{}}}", lead + k + 1, lead + end);
        k = end;
    }
    let mut sub = vec!["scenario".to_owned(), "system".to_owned()];
    if several {
        sub.push("runs".to_owned());
    }
    sub.extend(used.iter().map(|&i| latex_text(COLUMNS[i].name)));
    let _ = writeln!(out, "{} \\\\\n{rules}\n{} \\\\\n\\midrule", top.join(" & "), sub.join(" & "));
    for (n, row) in table.rows.iter().enumerate() {
        if n > 0 && (table.rows[n - 1].scenario != row.scenario || table.rows[n - 1].clip != row.clip) {
            out.push_str("\\midrule\n");
        }
        let mut cells =
            vec![latex_text(&scenario(table, row)), latex_text(&row.system) + &latex_text(&row.mark())];
        if several {
            cells.push(row.runs.to_string());
        }
        for &i in &used {
            // LaTeX's own en dash.
            let text = Shown::of(row, i).text("\\,$\\pm$\\,").replace(UNKNOWN, "--");
            cells.push(if row.best[i] { format!("\\textbf{{{text}}}") } else { text });
        }
        let _ = writeln!(out, "{} \\\\", cells.join(" & "));
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
    for note in table.notes() {
        let _ = writeln!(out, "% {note}");
    }
    out
}

/// One object per row, with all columns.
#[must_use]
pub fn json(table: &Table) -> serde_json::Value {
    let rows = table.rows.iter().map(|row| {
        let mut object = serde_json::Map::new();
        object.insert("clip".into(), row.clip.clone().into());
        object.insert("scenario".into(), row.scenario.clone().into());
        object.insert("system".into(), row.system.clone().into());
        object.insert("runs".into(), row.runs.into());
        object.insert("invalid_runs".into(), row.invalid.into());
        object.insert("failed_runs".into(), row.failed.into());
        object.insert("fewer".into(), row.fewer.into());
        object.insert("another_clip".into(), row.another_clip.into());
        object.insert("budget_differs".into(), row.budget_differs.into());
        object.insert("self_reported".into(), row.self_reported.into());
        object.insert("not_isolated".into(), row.not_isolated.into());
        object.insert("own_loss".into(), row.own_loss.into());
        for (column, value) in COLUMNS.iter().zip(&row.values) {
            let interval = value.and_then(|v| v.interval);
            object.insert(column.key.into(), value.map(|v| v.mean).into());
            object.insert(format!("{}_low", column.key), interval.map(|x| x.low).into());
            object.insert(format!("{}_high", column.key), interval.map(|x| x.high).into());
            object.insert(format!("{}_n", column.key), value.map_or(0, |v| v.n).into());
        }
        serde_json::Value::Object(object)
    });
    serde_json::Value::Array(rows.collect())
}

fn used(table: &Table, keys: Option<&[String]>) -> Vec<usize> {
    match keys {
        Some(keys) => keys.iter().filter_map(|k| COLUMNS.iter().position(|c| c.key == k)).collect(),
        None => table.used().iter().enumerate().filter(|(_, u)| **u).map(|(i, _)| i).collect(),
    }
}

fn scenario(table: &Table, row: &Row) -> String {
    if table.one_clip() { row.scenario.clone() } else { format!("{} ({})", row.scenario, row.clip) }
}

/// A CSV cell.
#[must_use]
pub fn quote(text: &str) -> String {
    let text = &contract::text::cell(text);
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Text inside a Markdown table.
pub(super) fn pipe(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// Text inside LaTeX.
#[must_use]
pub fn latex_text(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '%' | '_' | '&' | '#' | '$' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '\u{2020}' => out.push_str("$^\\dagger$"),
            '\u{2021}' => out.push_str("$^\\ddagger$"),
            '\u{a7}' => out.push_str("\\S{}"),
            '\u{b6}' => out.push_str("\\P{}"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '±' => out.push_str("$\\pm$"),
            '–' => out.push_str("--"),
            _ => out.push(c),
        }
    }
    out
}
