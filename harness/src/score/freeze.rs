//! Freezes of a run under every named definition.

use crate::record::Slots;
use contract::frames::FrameRow;
use contract::scores::FreezeScores;
use std::collections::BTreeMap;

/// By name of the definition.
pub(super) fn all(_rows: &[&FrameRow], _slots: &Slots) -> BTreeMap<String, FreezeScores> {
    BTreeMap::new()
}
