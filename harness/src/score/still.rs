//! Slots that are called shown and show nothing new.
//!
//! Whether a picture is on the screen is a system's word; whether the screen changed is not. A slot that shows, to the bit, the picture of
//! the slot before is a frozen one if the camera's picture changed visibly since that picture came. A change below [`VISIBLE_DB`] is none:
//! an encoder may leave a whole picture of noise uncoded.

use super::shared::Seen;
use super::stream::Job;
use crate::record::Finding;
use contract::{FrameRow, LossCause, Status};
use media::Yuv420;
use std::sync::Arc;

/// PSNR of luma between two captured pictures below which they differ visibly.
const VISIBLE_DB: f64 = 40.0;

/// Counts such slots of `rows` (one stream, in slot order, with the hashes of their pictures) as frozen.
///
/// # Errors
/// When the clip cannot be read.
pub fn recount(job: &Job, rows: &mut [&mut FrameRow]) -> anyhow::Result<Option<Finding>> {
    // Per slot, the first one of those before it that show the same picture without a break.
    let mut since: Vec<usize> = (0..rows.len()).collect();
    for i in 1..rows.len() {
        let (before, row) = (&rows[i - 1], &rows[i]);
        if row.shown_picture.is_some() && row.shown_picture == before.shown_picture {
            since[i] = since[i - 1];
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
    for &i in &still {
        let shown = rows[since[i]].shown_frame_id;
        let row = &mut rows[i];
        // Nor was there a picture of its own to decode, at any play-out budget.
        (row.status, row.shown_frame_id, row.render, row.decode_end) = (Status::Frozen, shown, None, None);
        row.loss_cause.get_or_insert(LossCause::Unknown);
    }
    let count = u32::try_from(still.len()).unwrap_or(u32::MAX);
    let first = still.first().map(|&i| rows[i].frame_id);
    Ok(first.map(|first| Finding::StillCalledShown { stream: job.stream, count, first }))
}

fn luma_psnr(a: &Yuv420, b: &Yuv420) -> f64 {
    let error: u64 = a.y.iter().zip(&b.y).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    #[allow(clippy::cast_precision_loss)] // below 2^53 for any picture
    let mean = error as f64 / a.y.len().max(1) as f64;
    10.0 * (65_025.0 / mean.max(1e-9)).log10()
}
