//! The table for programs and papers.

use super::columns::COLUMNS;
use super::table::{BUDGET_MARK, BUDGET_NOTE, Row, Table, show};
use std::fmt::Write as _;

/// All columns, full precision, one row per line; empty cells where nothing was measured.
#[must_use]
pub fn csv(table: &Table) -> String {
    let mut out = String::from("clip,scenario,system,runs,invalid_runs,budget_differs");
    for column in &COLUMNS {
        let _ = write!(out, ",{}", column.key);
    }
    out.push('\n');
    for row in &table.rows {
        let names = [&row.clip, &row.scenario, &row.system].map(|s| quote(s));
        let _ = write!(out, "{},{},{},{}", names.join(","), row.runs, row.invalid, row.budget_differs);
        for value in &row.values {
            out.push(',');
            if let Some(value) = value {
                let _ = write!(out, "{value}");
            }
        }
        out.push('\n');
    }
    out
}

/// A GitHub-flavoured table; best of its scenario in bold.
#[must_use]
pub fn markdown(table: &Table) -> String {
    let used = used(table);
    let several = several(table);
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
        let mut cells = vec![pipe(&scenario(table, row)), pipe(&row.system) + mark(row)];
        if several {
            cells.push(row.runs.to_string());
        }
        for &i in &used {
            let text = show(&COLUMNS[i], row.values[i]);
            cells.push(if row.best[i] { format!("**{text}**") } else { text });
        }
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    if table.budgets_differ() {
        let _ = writeln!(out, "\n{BUDGET_MARK} {BUDGET_NOTE}");
    }
    out
}

/// A `tabular` in the style of `booktabs`; best of its scenario in bold.
#[must_use]
pub fn latex(table: &Table) -> String {
    let used = used(table);
    let several = several(table);
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
        top.push(format!("\\multicolumn{{{}}}{{c}}{{{}}}", end - k, tex(group)));
        let _ = write!(rules, "\\cmidrule(lr){{{}-{}}}", lead + k + 1, lead + end);
        k = end;
    }
    let mut sub = vec!["scenario".to_owned(), "system".to_owned()];
    if several {
        sub.push("runs".to_owned());
    }
    sub.extend(used.iter().map(|&i| tex(COLUMNS[i].name)));
    let _ = writeln!(out, "{} \\\\\n{rules}\n{} \\\\\n\\midrule", top.join(" & "), sub.join(" & "));
    for (n, row) in table.rows.iter().enumerate() {
        if n > 0 && (table.rows[n - 1].scenario != row.scenario || table.rows[n - 1].clip != row.clip) {
            out.push_str("\\midrule\n");
        }
        let mut cells = vec![tex(&scenario(table, row)), tex(&row.system) + &tex(mark(row))];
        if several {
            cells.push(row.runs.to_string());
        }
        for &i in &used {
            let text = show(&COLUMNS[i], row.values[i]);
            cells.push(if row.best[i] { format!("\\textbf{{{text}}}") } else { text });
        }
        let _ = writeln!(out, "{} \\\\", cells.join(" & "));
    }
    out.push_str("\\bottomrule\n");
    if table.budgets_differ() {
        let (columns, note) = (lead + used.len(), tex(&format!("{BUDGET_MARK} {BUDGET_NOTE}")));
        let _ = writeln!(out, "\\multicolumn{{{columns}}}{{l}}{{\\footnotesize {note}}} \\\\");
    }
    out.push_str("\\end{tabular}\n");
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
        object.insert("budget_differs".into(), row.budget_differs.into());
        for (column, value) in COLUMNS.iter().zip(&row.values) {
            object.insert(column.key.into(), (*value).into());
        }
        serde_json::Value::Object(object)
    });
    serde_json::Value::Array(rows.collect())
}

fn mark(row: &Row) -> &'static str {
    if row.budget_differs { " \u{2020}" } else { "" }
}

fn used(table: &Table) -> Vec<usize> {
    table.used().iter().enumerate().filter(|(_, u)| **u).map(|(i, _)| i).collect()
}

fn several(table: &Table) -> bool {
    table.rows.iter().any(|r| r.runs + r.invalid > 1)
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

fn pipe(text: &str) -> String {
    text.replace('|', "\\|")
}

fn tex(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '%' | '_' | '&' | '#' | '$' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '\u{2020}' => out.push_str("$^\\dagger$"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            _ => out.push(c),
        }
    }
    out
}
