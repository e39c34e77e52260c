//! Freezes of a run under every named definition.

use super::session::nanos;
use crate::record::Slots;
use contract::frames::FrameRow;
use contract::scores::FreezeScores;
use metrics::{FreezeRule, FreezeSummary, freezes};
use std::collections::BTreeMap;

/// By name of the definition.
pub(super) fn all(rows: &[&FrameRow], slots: &Slots) -> BTreeMap<String, FreezeScores> {
    let mut rendered: Vec<u64> =
        rows.iter().filter_map(|r| r.render).map(link::Timestamp::as_nanos).collect();
    rendered.sort_unstable();
    let session = nanos(slots) * u64::from(slots.frames);
    FreezeRule::all(nanos(slots))
        .into_iter()
        .map(|rule| {
            let s = FreezeSummary::of(&freezes(rule, &rendered), session);
            let scores = FreezeScores {
                count: s.count,
                total_ns: s.total_ns,
                longest_ns: s.longest_ns,
                excess_ns: s.excess_ns,
                ratio: s.ratio,
                per_minute: s.per_minute,
            };
            (rule.name().to_owned(), scores)
        })
        .collect()
}
