//! The result table, before anybody decides how it looks.

use super::columns::{Better, COLUMNS, Column, Show};
use super::group::Group;

/// One row: a system under a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// System.
    pub system: String,
    /// Scenario.
    pub scenario: String,
    /// Clip.
    pub clip: String,
    /// Runs whose mean it is.
    pub runs: usize,
    /// Runs left out because their record is invalid.
    pub invalid: usize,
    /// True if not all rows of its scenario and clip were judged at one play-out budget.
    pub budget_differs: bool,
    /// One per column of [`COLUMNS`].
    pub values: Vec<Option<f64>>,
    /// True where the row is best among the systems of its scenario and clip, at the digits shown.
    pub best: Vec<bool>,
}

/// The table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// By clip, scenario, system.
    pub rows: Vec<Row>,
}

impl Table {
    /// The table of `groups`.
    #[must_use]
    pub fn of(groups: &[Group]) -> Self {
        let mut rows: Vec<Row> = groups
            .iter()
            .map(|g| Row {
                system: g.system.clone(),
                scenario: g.scenario.clone(),
                clip: g.clip.clone(),
                runs: g.valid().count(),
                invalid: g.invalid(),
                budget_differs: false,
                values: COLUMNS.iter().map(|c| g.value(c)).collect(),
                best: vec![false; COLUMNS.len()],
            })
            .collect();
        mark_budgets(&mut rows, groups);
        mark_best(&mut rows);
        Self { rows }
    }

    /// Columns of tables for people: those in which at least one row has a value worth showing ([`Show`]); `true` per
    /// column of [`COLUMNS`].
    #[must_use]
    pub fn used(&self) -> Vec<bool> {
        let worth = |c: usize, value: Option<f64>| match COLUMNS[c].show {
            Show::Always => value.is_some(),
            Show::WhenNotZero => value.is_some_and(|v| v != 0.0),
            Show::InFiles => false,
        };
        (0..COLUMNS.len()).map(|c| self.rows.iter().any(|r| worth(c, r.values[c]))).collect()
    }

    /// True if rows that stand together were judged at different budgets; [`BUDGET_NOTE`] then belongs below the table.
    #[must_use]
    pub fn budgets_differ(&self) -> bool {
        self.rows.iter().any(|r| r.budget_differs)
    }

    /// True if all rows are of one clip, which then belongs above the table.
    #[must_use]
    pub fn one_clip(&self) -> bool {
        self.rows.windows(2).all(|w| w[0].clip == w[1].clip)
    }
}

/// The value as it is shown: equal text counts as equal.
#[must_use]
pub fn show(column: &Column, value: Option<f64>) -> String {
    match value {
        Some(v) => {
            let text = format!("{v:.*}", column.digits);
            // "-0.0" is a rounding of a tiny negative, not a value.
            if text.trim_start_matches('-').bytes().all(|b| b == b'0' || b == b'.') {
                text.trim_start_matches('-').to_owned()
            } else {
                text
            }
        }
        None => String::new(),
    }
}

/// Beside the system's name of a row with [`Row::budget_differs`].
pub const BUDGET_MARK: &str = "\u{2020}";

/// What the mark means.
pub const BUDGET_NOTE: &str = "these rows of a scenario were judged at different play-out budgets (column budget ms): their non-rendered \
                               frames, freezes, latency and quality are not comparable";

/// Budgets closer than this are one: what clocks of real machines differ by, nanoseconds.
const SAME_BUDGET_NS: u64 = 5_000_000;

/// Marks scenarios whose runs were judged at different budgets.
fn mark_budgets(rows: &mut [Row], groups: &[Group]) {
    let kept = |g: &Group| -> Vec<u64> {
        let counted: Vec<&super::load::Run> =
            if g.runs.len() == 1 { g.runs.clone() } else { g.valid().collect() };
        counted.iter().filter_map(|r| r.scores.budget.kept_ns).collect()
    };
    for (row, group) in rows.iter_mut().zip(groups) {
        let beside = groups.iter().filter(|g| g.scenario == group.scenario && g.clip == group.clip);
        let all: Vec<u64> = beside.flat_map(kept).collect();
        let range = all.iter().min().zip(all.iter().max());
        row.budget_differs = range.is_some_and(|(least, most)| most - least > SAME_BUDGET_NS);
    }
}

fn mark_best(rows: &mut [Row]) {
    for (c, column) in COLUMNS.iter().enumerate() {
        if column.better == Better::Neither {
            continue;
        }
        for i in 0..rows.len() {
            let rivals: Vec<&Row> = rows
                .iter()
                .filter(|r| r.scenario == rows[i].scenario && r.clip == rows[i].clip && r.values[c].is_some())
                .collect();
            let Some(own) = rows[i].values[c] else { continue };
            if rows[i].budget_differs {
                continue; // nobody is best of an unequal comparison
            }
            let beaten = rivals.iter().any(|r| {
                let other = r.values[c].unwrap_or(own);
                let better = if column.better == Better::Higher { other > own } else { other < own };
                better && show(column, r.values[c]) != show(column, Some(own))
            });
            // Everybody alike is no distinction.
            let all_alike = rivals.iter().all(|r| show(column, r.values[c]) == show(column, Some(own)));
            rows[i].best[c] = !beaten && !all_alike;
        }
    }
}
