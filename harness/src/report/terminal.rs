//! The table as a person sees it in a terminal.

use super::columns::{COLUMNS, Column};
use super::table::{Row, Shown, Table};
use std::fmt::Write as _;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

/// Two header lines, a rule, one line per row, notes. Columns without any value are left out. `colour` adds ANSI escapes:
/// best of its scenario bold, and green where that is more than chance; trouble yellow or red.
#[must_use]
pub fn terminal(table: &Table, colour: bool) -> String {
    let used = table.used();
    let columns: Vec<(usize, &Column)> = COLUMNS.iter().enumerate().filter(|(i, _)| used[*i]).collect();
    let widths: Vec<usize> = columns
        .iter()
        .map(|&(i, c)| {
            let cells = table.rows.iter().map(|r| cell(r, i).chars().count()).max().unwrap_or(0);
            cells.max(c.name.len())
        })
        .collect();
    let widths = widen_for_groups(&columns, widths);
    let several = table.several();
    let scenario_width = table.rows.iter().map(|r| r.scenario.len()).max().unwrap_or(0).max("scenario".len());
    let system_width =
        table.rows.iter().map(|r| r.system.len() + r.mark().chars().count()).max().unwrap_or(0).max(6);
    let mut out = String::new();
    if table.one_clip()
        && let Some(row) = table.rows.first()
    {
        let _ = writeln!(out, "clip {}", row.clip);
    }
    let lead = scenario_width + 2 + system_width + if several { 6 } else { 0 };
    headers(&mut out, &columns, &widths, lead, (scenario_width, system_width, several), colour);
    let mut last: Option<&Row> = None;
    for row in &table.rows {
        if !table.one_clip() && last.is_none_or(|l| l.clip != row.clip) {
            let _ = writeln!(out, "{}", paint(colour, DIM, &format!("clip {}", row.clip)));
        }
        let same = last.is_some_and(|l| l.scenario == row.scenario && l.clip == row.clip);
        let scenario = if same { "" } else { &row.scenario };
        let system = format!("{}{}", row.system, row.mark());
        let _ = write!(out, "{scenario:scenario_width$}  {system:system_width$}");
        if several {
            let _ = write!(out, "  {:>4}", row.runs);
        }
        for (&(i, column), &width) in columns.iter().zip(&widths) {
            let gap = if starts_group(&columns, i) { "   " } else { " " };
            let text = format!("{:>width$}", cell(row, i));
            out.push_str(gap);
            out.push_str(&paint(colour, style(row, i, column), &text));
        }
        out.push('\n');
        last = Some(row);
    }
    for note in table.notes() {
        let style = match note.chars().next() {
            Some('!') => RED,
            Some('†') => YELLOW,
            _ => DIM,
        };
        let _ = writeln!(out, "{}", paint(colour, style, &note));
    }
    let trailing: Vec<&str> = out.lines().map(str::trim_end).collect();
    trailing.join("\n") + "\n"
}

fn headers(
    out: &mut String,
    columns: &[(usize, &Column)],
    widths: &[usize],
    lead: usize,
    (scenario_width, system_width, several): (usize, usize, bool),
    colour: bool,
) {
    let mut top = " ".repeat(lead);
    let mut sub = format!("{:scenario_width$}  {:system_width$}", "scenario", "system");
    if several {
        sub.push_str("  runs");
    }
    let mut k = 0;
    while k < columns.len() {
        let group = columns[k].1.group;
        let end = (k..columns.len()).find(|&j| columns[j].1.group != group).unwrap_or(columns.len());
        let span = widths[k..end].iter().sum::<usize>() + (end - k - 1);
        let _ = write!(top, "   {group:>span$}");
        for j in k..end {
            let gap = if j == k { "   " } else { " " };
            let _ = write!(sub, "{gap}{:>width$}", columns[j].1.name, width = widths[j]);
        }
        k = end;
    }
    let rule = "─".repeat(sub.chars().count().max(top.chars().count()));
    let _ = writeln!(out, "{}", paint(colour, BOLD, &top));
    let _ = writeln!(out, "{}", paint(colour, BOLD, &sub));
    let _ = writeln!(out, "{}", paint(colour, DIM, &rule));
}

/// A heading shared by narrow columns must fit above them.
fn widen_for_groups(columns: &[(usize, &Column)], mut widths: Vec<usize>) -> Vec<usize> {
    let mut k = 0;
    while k < columns.len() {
        let group = columns[k].1.group;
        let end = (k..columns.len()).find(|&j| columns[j].1.group != group).unwrap_or(columns.len());
        let span = widths[k..end].iter().sum::<usize>() + (end - k - 1);
        widths[k] += group.len().saturating_sub(span);
        k = end;
    }
    widths
}

fn starts_group(columns: &[(usize, &Column)], index: usize) -> bool {
    let place = columns.iter().position(|&(i, _)| i == index).unwrap_or(0);
    place == 0 || columns[place - 1].1.group != columns[place].1.group
}

fn cell(row: &Row, i: usize) -> String {
    Shown::of(row, i).text("±")
}

fn style(row: &Row, i: usize, column: &Column) -> &'static str {
    let Some(value) = row.values[i].map(|v| v.mean) else { return DIM };
    if row.clear[i] {
        return "\x1b[1;32m";
    }
    if row.best[i] {
        return BOLD;
    }
    match column.group {
        "non-rendered %" if value >= 10.0 => RED,
        "non-rendered %" | "stalls >200 ms" if value > 0.0 => YELLOW,
        "non-rendered %" | "stalls >200 ms" => GREEN,
        "kbit/s" | "loss %" | "redund." | "budget" => DIM,
        _ => "",
    }
}

fn paint(colour: bool, style: &str, text: &str) -> String {
    if colour && !style.is_empty() { format!("{style}{text}{RESET}") } else { text.to_owned() }
}
