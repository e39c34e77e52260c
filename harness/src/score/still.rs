//! Slots that are called shown and show nothing new.
//!
//! Whether a picture is on the screen is a system's word; whether the screen changed is not. A slot that shows the picture of the slot
//! before is a frozen one if the camera's picture changed visibly since that picture came: to the bit, or in a video of slots as good as to
//! the bit (docs/RELIABILITY.md has the arithmetic). A change below [`VISIBLE_DB`] is none: an encoder may leave a whole picture of noise
//! uncoded.

use super::pictures::{Shown, VISIBLE_DB, luma_psnr};
use super::shared::Seen;
use super::stream::Job;
use crate::record::Finding;
use contract::{FrameRow, LossCause, Status};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts such slots of `rows` (one stream, in slot order, with the hashes of their pictures) as frozen. `shown`: where these come from,
/// read to its end.
///
/// # Errors
/// When the clip cannot be read.
pub fn recount(job: &Job, rows: &mut [&mut FrameRow], shown: &Shown) -> anyhow::Result<Option<Finding>> {
    // Per slot, the first one of those before it that show the same picture without a break.
    let mut since: Vec<usize> = (0..rows.len()).collect();
    for i in 1..rows.len() {
        let (before, row) = (&rows[i - 1], &rows[i]);
        if row.shown_picture.is_some() && row.shown_picture == before.shown_picture {
            since[i] = since[i - 1];
        }
    }
    for (&slot, &first) in shown.compared().into_iter().flat_map(|(since, _)| since) {
        if let Some(since) = since.get_mut(slot as usize) {
            *since = (first as usize).min(*since);
        }
    }
    let is_suspect = |i: usize| {
        let moved = rows[i].captured_picture != rows[since[i]].captured_picture;
        since[i] < i && rows[i].is_shown() && rows[i].captured_picture.is_some() && moved
    };
    let suspects: Vec<usize> = (0..rows.len()).filter(|&i| is_suspect(i)).collect();
    let Some(&last) = suspects.last() else { return Ok(None) };
    let mut captured = job.shared.captured(job.clip, job.stream, job.cache)?;
    let (mut base, mut still) = (None::<(usize, Arc<Seen>)>, Vec::new());
    let bases: std::collections::BTreeSet<usize> = suspects.iter().map(|&i| since[i]).collect();
    for i in 0..=last {
        if !bases.contains(&i) && suspects.binary_search(&i).is_err() {
            continue;
        }
        let picture = captured.frame(rows[i].frame_id)?;
        match &base {
            Some((of, first)) if *of == since[i] => {
                if luma_psnr(&first.shot.picture, &picture.shot.picture) < VISIBLE_DB {
                    still.push(i);
                }
            }
            _ => base = Some((i, picture)),
        }
    }
    let mut really = BTreeMap::new();
    for i in 0..rows.len() {
        let shown = rows[since[i]].shown_frame_id;
        let row = &mut rows[i];
        if still.binary_search(&i).is_ok() {
            really.insert(row.frame_id, shown);
            // Nor was there a picture of its own to decode, at any play-out budget.
            (row.status, row.shown_frame_id, row.render, row.decode_end) =
                (Status::Frozen, shown, None, None);
            row.loss_cause.get_or_insert(LossCause::Unknown);
        } else if !row.is_shown()
            && let Some(shown) = row.shown_frame_id.and_then(|frame| really.get(&frame))
        {
            row.shown_frame_id = *shown; // it stays on the screen
        }
    }
    let count = u32::try_from(still.len()).unwrap_or(u32::MAX);
    let first = still.first().map(|&i| rows[i].frame_id);
    Ok(first.map(|first| Finding::StillCalledShown { stream: job.stream, count, first }))
}
