//! The result table, before anybody decides how it looks.

use super::columns::{Better, COLUMNS, Column, Show};
use super::group::Group;
use super::significance::families;
use crate::launch::sandbox::NOT_ISOLATED;
use crate::score::describe::ANOTHER_CLIP;
use metrics::stats::{Estimate, Unit};
use std::collections::BTreeSet;

/// One row: a system under a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// System.
    pub system: String,
    /// Scenario.
    pub scenario: String,
    /// Clip, or how many.
    pub clip: String,
    /// True if it is over several clips.
    pub over_clips: bool,
    /// Runs whose mean it is.
    pub runs: usize,
    /// Runs left out because their record is invalid.
    pub invalid: usize,
    /// Runs that failed and left nothing to average.
    pub failed: usize,
    /// True if other rows of its scenario and clip are over clips or seeds that it lacks.
    pub fewer: bool,
    /// True if a run was scored against another clip than was sent (warning `another_clip`).
    pub another_clip: bool,
    /// True if not all rows of its scenario and clip were judged at one play-out budget.
    pub budget_differs: bool,
    /// True if a plug-in said itself what happened in virtual time (`health.self_reported`) in any of its runs.
    pub self_reported: bool,
    /// True if a plug-in was not kept apart from the machine (warning `not_isolated`) in any of its runs.
    pub not_isolated: bool,
    /// True if a loss model of the system's own dropped packets before they were sent (warning `lost_at_sender`) in any of its runs.
    pub own_loss: bool,
    /// One per column of [`COLUMNS`].
    pub values: Vec<Option<Estimate>>,
    /// True where the row has the best mean among the systems of its scenario and clip, at the digits shown. Rows without a
    /// valid run are never best.
    pub best: Vec<bool>,
    /// True where it is better than every one of them by more than chance ([`super::significance`]).
    pub clear: Vec<bool>,
}

impl Row {
    /// What stands beside the system's name: signs that the notes below a table explain.
    #[must_use]
    pub fn mark(&self) -> String {
        let signs: String = self.marks().map(|m| format!(" {}", m.sign)).collect();
        signs + if self.invalid > 0 { " !" } else { "" }
    }

    /// The signs of this row.
    pub fn marks(&self) -> impl Iterator<Item = &'static Mark> {
        MARKS.iter().filter(|m| (m.of)(self))
    }
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
                over_clips: g.clips.iter().any(|c| *c != g.clip),
                runs: g.valid().count(),
                invalid: g.invalid(),
                failed: g.runs.iter().map(|r| r.failed.len()).sum(),
                fewer: false,
                another_clip: warned(g, ANOTHER_CLIP),
                budget_differs: false,
                self_reported: g.runs.iter().any(|r| r.scores.health.self_reported),
                not_isolated: warned(g, NOT_ISOLATED),
                own_loss: g.runs.iter().any(|r| r.scores.lost_at_sender.is_some()),
                values: COLUMNS.iter().map(|c| g.value(c)).collect(),
                best: vec![false; COLUMNS.len()],
                clear: vec![false; COLUMNS.len()],
            })
            .collect();
        mark_budgets(&mut rows, groups);
        mark_fewer(&mut rows, groups);
        mark_best(&mut rows);
        mark_clear(&mut rows, groups);
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
        (0..COLUMNS.len()).map(|c| self.rows.iter().any(|r| worth(c, r.values[c].map(|v| v.mean)))).collect()
    }

    /// True if all rows are of one clip, which then belongs above the table.
    #[must_use]
    pub fn one_clip(&self) -> bool {
        self.rows.windows(2).all(|w| w[0].clip == w[1].clip)
    }

    /// True if a row stands for more than one run.
    #[must_use]
    pub fn several(&self) -> bool {
        self.rows.iter().any(|r| r.runs + r.invalid > 1)
    }

    /// What a reader must know about the signs in the table, a sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let cells = || self.rows.iter().flat_map(|r| r.values.iter().flatten().map(move |v| (r, v)));
        if let Some((_, with)) = cells().find(|(_, v)| v.interval.is_some()) {
            let over = match with.unit {
                Unit::Clip => "clips",
                Unit::Trace => "traces",
                Unit::Seed => "seeds",
            };
            notes.push(format!(
                "± is half of the 95 % interval of the mean over {over} (Student); none below 6 or where all are alike"
            ));
        } else if self.rows.iter().any(|r| (1..6).contains(&r.runs)) && self.several() {
            notes.push("fewer than 6 runs a row: no intervals, and no difference here is shown to be more than chance".into());
        } else if self.several() {
            notes.push(
                "the runs of a row are all alike: no intervals, for repeats of one run say nothing of chance"
                    .into(),
            );
        }
        if cells().any(|(r, v)| left_out(r, v)) {
            notes.push("(n): only n of the runs have this value, the mean is over them alone".into());
        }
        let used = self.used();
        let blank = |r: &Row| r.values.iter().zip(&used).any(|(value, used)| *used && value.is_none());
        if self.rows.iter().any(blank) {
            notes.push(format!("{UNKNOWN} {UNKNOWN_NOTE}"));
        }
        if self.rows.iter().any(|r| r.invalid > 0) {
            notes.push("! runs whose record is invalid are left out of means (scores.json: health)".into());
        }
        let used = MARKS.iter().filter(|m| self.rows.iter().any(m.of));
        notes.extend(used.map(|m| format!("{} {}", m.sign, m.note)));
        notes
    }
}

fn left_out(row: &Row, value: &Estimate) -> bool {
    row.runs > 0 && value.n < row.runs
}

/// A cell as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Mean, or [`UNKNOWN`].
    pub mean: String,
    /// Half of the interval.
    pub half: Option<String>,
    /// How many runs it is over, where not all have a value.
    pub n: Option<usize>,
}

impl Shown {
    /// The cell of column `i`.
    #[must_use]
    pub fn of(row: &Row, i: usize) -> Self {
        let Some(value) = &row.values[i] else {
            return Self { mean: UNKNOWN.to_owned(), ..Self::default() };
        };
        let half = value.interval.map(|x| show(&COLUMNS[i], Some((x.high - x.low) / 2.0)));
        Self { mean: show(&COLUMNS[i], Some(value.mean)), half, n: left_out(row, value).then_some(value.n) }
    }

    /// As text, with this sign between mean and half.
    #[must_use]
    pub fn text(&self, plus_minus: &str) -> String {
        let half = self.half.as_ref().map(|h| format!("{plus_minus}{h}")).unwrap_or_default();
        let n = self.n.map(|n| format!(" ({n})")).unwrap_or_default();
        format!("{}{half}{n}", self.mean)
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
        None => UNKNOWN.to_owned(),
    }
}

/// What stands in a table for people where there is no value; in CSV it is [`UNKNOWN_CSV`], in JSON `null`. Never a zero, never
/// an empty cell.
pub const UNKNOWN: &str = "\u{2013}";

/// The same in CSV.
pub const UNKNOWN_CSV: &str = "unknown";

/// What the sign means.
pub const UNKNOWN_NOTE: &str =
    "unknown: not measured, not told by the system's record, or nothing of the kind happened";

/// A sign beside the system's name of some rows.
pub struct Mark {
    /// The sign.
    pub sign: &'static str,
    /// What it means.
    pub note: &'static str,
    /// Which rows have it.
    pub of: fn(&Row) -> bool,
}

/// Every sign, in the order in which a row has them.
pub static MARKS: [Mark; 7] = [
    Mark {
        sign: "\u{2020}",
        note: "these rows of a scenario were judged at different play-out budgets (column budget ms): their non-rendered frames, freezes, \
               latency and quality are not comparable",
        of: |row| row.budget_differs,
    },
    Mark {
        sign: "\u{2021}",
        note: "a plug-in in virtual time, which tells itself what happened when; --backend namespaces proves it",
        of: |row| row.self_reported,
    },
    Mark {
        sign: "\u{a7}",
        note: "a plug-in on a machine without namespaces, which could see the clip; nothing but its word says that it did not",
        of: |row| row.not_isolated,
    },
    Mark {
        sign: "\u{b6}",
        note: "the system dropped packets by a loss model of its own before they were sent (column loss % at sender, by its own word); not the \
               path of the scenario lost them, so the row does not compare with others",
        of: |row| row.own_loss,
    },
    Mark {
        sign: "\u{d7}",
        note: "runs of this row failed (failed_runs in CSV and JSON): the loss patterns that they met are missing from its means, which do not \
               compare with others",
        of: |row| row.failed > 0,
    },
    Mark {
        sign: "\u{b0}",
        note: "this row is over fewer clips or seeds than others of its scenario; its means do not compare with theirs, paired differences do",
        of: |row| row.fewer,
    },
    Mark {
        sign: "#",
        note: "scored against another clip than was sent (--allow-changed-clip)",
        of: |row| row.another_clip,
    },
];

fn warned(group: &Group, code: &str) -> bool {
    group.runs.iter().any(|r| r.scores.warnings.iter().any(|w| w.code == code))
}

/// Marks rows that lack clips or seeds which others beside them have.
fn mark_fewer(rows: &mut [Row], groups: &[Group]) {
    let met = |g: &Group| -> BTreeSet<(String, u64)> {
        let all = g.runs.iter().zip(&g.clips).filter(|(r, _)| r.scores.health.valid);
        all.map(|(r, clip)| (clip.clone(), r.scores.key.seed)).collect()
    };
    let sets: Vec<BTreeSet<(String, u64)>> = groups.iter().map(met).collect();
    for i in 0..rows.len() {
        let beside = (0..rows.len()).filter(|&k| compared(&rows[k], &rows[i]) && !sets[k].is_empty());
        rows[i].fewer = !sets[i].is_empty() && beside.into_iter().any(|k| !sets[k].is_subset(&sets[i]));
    }
}

/// Whether two rows stand in one comparison: one scenario, one clip or all of them.
fn compared(a: &Row, b: &Row) -> bool {
    a.scenario == b.scenario && (a.clip == b.clip || (a.over_clips && b.over_clips))
}

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

/// Systems that stand in one comparison with row `i` in column `c`: same scenario and clip, a value from valid runs.
fn rivals(rows: &[Row], i: usize, c: usize) -> impl Iterator<Item = (usize, &Row, f64)> {
    let of = &rows[i];
    rows.iter().enumerate().filter_map(move |(k, r)| {
        let value = r.values[c].as_ref()?.mean;
        (compared(r, of) && r.runs > 0).then_some((k, r, value))
    })
}

fn mark_best(rows: &mut [Row]) {
    for (c, column) in COLUMNS.iter().enumerate().filter(|(_, c)| c.better != Better::Neither) {
        for i in 0..rows.len() {
            let unequal = |r: &Row| r.budget_differs || r.fewer || r.failed > 0 || r.another_clip;
            if unequal(&rows[i]) || rivals(rows, i, c).any(|(_, r, _)| r.fewer) {
                continue; // nobody is best of an unequal comparison
            }
            let Some(own) = rivals(rows, i, c).find(|(k, ..)| *k == i).map(|(.., v)| v) else { continue };
            let alike = |other: f64| show(column, Some(other)) == show(column, Some(own));
            let beaten = rivals(rows, i, c).any(|(.., other)| {
                (if column.better == Better::Higher { other > own } else { other < own }) && !alike(other)
            });
            // Everybody alike is no distinction.
            let all_alike = rivals(rows, i, c).all(|(.., other)| alike(other));
            rows[i].best[c] = !beaten && !all_alike;
        }
    }
}

fn mark_clear(rows: &mut [Row], groups: &[Group]) {
    let keys: Vec<&str> = COLUMNS.iter().filter(|c| c.better != Better::Neither).map(|c| c.key).collect();
    for family in families(groups, &keys, None) {
        let Some(c) = COLUMNS.iter().position(|x| x.key == family.column.key) else { continue };
        for i in 0..rows.len() {
            if rows[i].scenario != family.scenario || !rows[i].best[c] {
                continue;
            }
            let beats = |rival: &str| {
                family.rows.iter().any(|r| {
                    let same = match r.clip {
                        Some(clip) => family.clips[clip] == rows[i].clip,
                        None => rows[i].over_clips,
                    };
                    let own = r.better(family.column.better);
                    same && match (r.first == rows[i].system, r.second == rows[i].system) {
                        (true, _) => r.second == rival && own == Some(true),
                        (_, true) => r.first == rival && own == Some(false),
                        _ => false,
                    }
                })
            };
            let all = rivals(rows, i, c).filter(|(k, ..)| *k != i).all(|(_, r, _)| beats(&r.system));
            rows[i].clear[c] = all;
        }
    }
}
