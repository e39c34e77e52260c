//! Exact texts, and how two of them differ in words.

use super::Explained;
use similar::{ChangeTag, TextDiff};
use std::fmt::Write as _;

/// Differing lines shown, with context.
const SHOWN: usize = 24;

/// A way in which two texts can be the same: without these columns (words of a line, from 0).
pub(super) struct Shape {
    /// Said when the texts agree without the columns.
    pub what: &'static str,
    /// The columns left out.
    pub strip: &'static [usize],
}

/// Compares exact texts; `None` if they are equal.
#[must_use]
pub fn compare_text(kept: &str, now: &str) -> Option<Explained> {
    lines_diff(kept, now, &[])
}

pub(super) fn lines_diff(kept: &str, now: &str, shapes: &[Shape]) -> Option<Explained> {
    if kept == now {
        return None;
    }
    let diff = TextDiff::from_lines(kept, now);
    let count = |tag: ChangeTag| diff.iter_all_changes().filter(|c| c.tag() == tag).count();
    let (removed, added) = (count(ChangeTag::Delete), count(ChangeTag::Insert));
    let nature = shapes
        .iter()
        .find(|shape| without(kept, shape.strip) == without(now, shape.strip))
        .map_or_else(|| format!("{removed} lines gone, {added} lines new"), |shape| shape.what.to_owned());
    let first = diff
        .iter_all_changes()
        .find(|c| c.tag() != ChangeTag::Equal)
        .and_then(|c| c.old_index().or(c.new_index()))
        .map_or(1, |line| line + 1);
    let mut explanation = format!(
        "{} lines kept, {} now; first difference at line {first}\n",
        kept.lines().count(),
        now.lines().count()
    );
    let unified = diff.unified_diff().context_radius(2).to_string();
    for line in unified.lines().take(SHOWN) {
        let _ = writeln!(explanation, "  {line}");
    }
    let rest = unified.lines().count().saturating_sub(SHOWN);
    if rest > 0 {
        let _ = writeln!(explanation, "  … {rest} more lines of difference");
    }
    Some(Explained { summary: nature, explanation })
}

fn without(text: &str, columns: &[usize]) -> Vec<String> {
    let strip = |line: &str| -> String {
        let words = line.split_whitespace().enumerate();
        words.filter(|(i, _)| !columns.contains(i)).map(|(_, w)| w).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(strip).collect()
}
