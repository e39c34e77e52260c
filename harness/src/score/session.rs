//! Session metrics: everything that needs rows alone (METRICS.md 2).

use crate::record::{Ledger, Slots, Totals};
use contract::frames::{FrameRow, Metric};
use contract::scores::{BitrateScores, Dist, Durations, FrozenRuns, Quality, StreamScores};
use contract::{Status, Stream};
use std::collections::BTreeMap;

/// IPv4 and UDP header of a packet, bytes.
const IP_UDP_HEADER: u64 = 28;
/// Latency that the penalised variant charges for a frame never shown.
const PENALTY_NS: u64 = 300_000_000;
/// Below this PSNR a displayed picture counts as not rendered (Reparo's paper).
const THETA_DB: u32 = 30;

/// Everything of one stream; `rows` are those of the stream, in frame order.
#[must_use]
pub fn stream_scores(rows: &[&FrameRow], slots: &Slots) -> StreamScores {
    let mut scores = StreamScores::default();
    for row in rows {
        match row.status {
            Status::Rendered => scores.rendered += 1,
            Status::Concealed => scores.concealed += 1,
            Status::Frozen => scores.frozen += 1,
            Status::DroppedSender => scores.dropped_sender += 1,
        }
        if let Some(cause) = row.loss_cause {
            *scores.causes.entry(cause).or_default() += 1;
        }
    }
    let sent = rows.len() - scores.dropped_sender as usize;
    scores.non_rendered_play_percent = percent(scores.frozen as usize, sent);
    let psnr: Vec<f64> = rows.iter().filter_map(|r| r.metrics.get(&Metric::Psnr).copied()).collect();
    if !psnr.is_empty() {
        let below = |theta: u32| psnr.iter().filter(|&&p| p < f64::from(theta)).count();
        scores.non_rendered_psnr_percent = Some(percent(below(THETA_DB), psnr.len()));
        scores.non_rendered_psnr_curve =
            (20..=40).map(|theta| (theta, percent(below(theta), psnr.len()))).collect();
    }
    for metric in Metric::ALL {
        let of = |keep: &dyn Fn(&FrameRow) -> bool| {
            let values = rows.iter().filter(|r| keep(r)).filter_map(|r| r.metrics.get(&metric).copied());
            Dist::of(values.collect(), metric.higher_is_better())
        };
        if let Some(all) = of(&|_| true) {
            scores.quality.insert(metric, Quality { all, rendered: of(&FrameRow::is_shown) });
        }
    }
    scores.freezes = super::freeze::all(rows, slots);
    scores.frozen_runs = frozen_runs(rows, slots);
    latencies(&mut scores, rows);
    scores
}

fn latencies(scores: &mut StreamScores, rows: &[&FrameRow]) {
    let since = |from: fn(&FrameRow) -> Option<link::Timestamp>,
                 to: fn(&FrameRow) -> Option<link::Timestamp>| {
        let each = rows.iter().filter_map(|r| Some(to(r)?.as_nanos().saturating_sub(from(r)?.as_nanos())));
        Durations::of(each.collect())
    };
    scores.latency = since(|r| r.capture, |r| r.render);
    scores.decoded_latency = since(|r| r.capture, |r| r.decode_end);
    scores.encode_time = since(|r| r.capture, |r| r.encode_end);
    scores.decode_time = since(|r| r.complete, |r| r.decode_end);
    let penalised = rows.iter().map(|r| match (r.capture, r.render) {
        (Some(capture), Some(render)) => render.as_nanos().saturating_sub(capture.as_nanos()),
        _ => PENALTY_NS,
    });
    scores.latency_penalised = Durations::of(penalised.collect());
}

fn frozen_runs(rows: &[&FrameRow], slots: &Slots) -> FrozenRuns {
    let mut runs: Vec<u32> = Vec::new();
    let mut length = 0;
    for row in rows {
        if row.is_shown() {
            if length > 0 {
                runs.push(length);
            }
            length = 0;
        } else {
            length += 1;
        }
    }
    let terminal = length;
    if length > 0 {
        runs.push(length);
    }
    runs.sort_unstable();
    let rank = |p: usize| if runs.is_empty() { 0 } else { runs[(runs.len() * p).div_ceil(100).max(1) - 1] };
    FrozenRuns {
        count: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        p50: rank(50),
        p95: rank(95),
        max: runs.last().copied().unwrap_or(0),
        terminal,
        // The last new picture stays for its own slot and every frozen one after it.
        terminal_ns: if terminal > 0 { (u64::from(terminal) + 1) * nanos(slots) } else { 0 },
    }
}

/// What was sent, by the clip's duration.
#[must_use]
pub fn bitrate_scores(
    rows: &[FrameRow],
    totals: &Totals,
    ledger: Option<&Ledger>,
    slots: &Slots,
) -> BitrateScores {
    let duration = u128::from(nanos(slots)) * u128::from(slots.frames);
    let bps = |bytes: u64| {
        let bits = u128::from(bytes) * 8 * 1_000_000_000;
        u64::try_from(bits.checked_div(duration).unwrap_or(0)).unwrap_or(u64::MAX)
    };
    let sum = |of: fn(&FrameRow) -> u64| rows.iter().map(of).sum::<u64>();
    let (data, parity, repeat) = (sum(|r| r.data.bytes), sum(|r| r.parity.bytes), sum(|r| r.repeat.bytes));
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    for row in rows {
        *sizes.entry(row.frame_id).or_default() += u64::from(row.encoded_bytes);
    }
    let sizes = Durations::of(sizes.into_values().collect()).unwrap_or_default();
    BitrateScores {
        media_bps: bps(sum(|r| u64::from(r.encoded_bytes))),
        data_bps: bps(data),
        parity_bps: bps(parity),
        repeat_bps: bps(repeat),
        payload_bps: bps(totals.sent.bytes),
        with_headers_bps: bps(totals.sent.bytes + IP_UDP_HEADER * u64::from(totals.sent.packets)),
        wire_bps: ledger.map(|l| bps(l.forward.bytes)),
        reverse_wire_bps: ledger.map(|l| bps(l.reverse.bytes)),
        redundancy: ratio(parity, data),
        redundancy_with_repeats: ratio(parity + repeat, data),
        frame_bytes_p50: sizes.p50_ns,
        frame_bytes_p95: sizes.p95_ns,
        frame_bytes_max: sizes.max_ns,
    }
}

/// The rows of one stream, in frame order.
#[must_use]
pub fn of_stream(rows: &[FrameRow], stream: Stream) -> Vec<&FrameRow> {
    rows.iter().filter(|r| r.stream == stream).collect()
}

pub(super) fn nanos(slots: &Slots) -> u64 {
    u64::try_from(slots.interval.as_nanos()).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss)] // counts are far below 2^53
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
