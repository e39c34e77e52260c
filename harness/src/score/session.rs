//! Rows and counts as inputs of [`metrics`]; nothing is computed here.

use crate::record::{Finding, Ledger, Reports, Slots, Totals};
use contract::frames::{FrameRow, Metric, Traffic};
use contract::scores::{
    BitrateScores, Dist, Durations, FreezeScores, LostAtSender, Quality, StreamScores, Warning,
};
use contract::{Role, Status, Stream};
use link::Timestamp;
use metrics::{Better, FreezeRule, FreezeSummary, Screen};
use std::collections::BTreeMap;

/// Everything of one stream; `rows` are those of the stream, in frame order.
#[must_use]
pub fn stream_scores(rows: &[&FrameRow], slots: &Slots) -> StreamScores {
    let count =
        |status| u32::try_from(rows.iter().filter(|r| r.status == status).count()).unwrap_or(u32::MAX);
    let captured = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let (frozen, dropped) = (count(Status::Frozen), count(Status::DroppedSender));
    let psnr: Vec<f64> = rows.iter().filter_map(|r| r.metrics.get(&Metric::Psnr).copied()).collect();
    // By the frame clock: a sender that says it captured late shortens nothing. What comes before its own word has no latency.
    let captured_at = |r: &FrameRow| Some(slots.capture_by_clock(r.frame_id, r.capture?));
    let since_capture = |r: &FrameRow, to: Option<Timestamp>| {
        between(r.capture, to)?;
        between(captured_at(r), to)
    };
    let latency: Vec<Option<u64>> = rows.iter().map(|r| since_capture(r, r.render)).collect();
    let all_since_capture = |to: fn(&FrameRow) -> Option<Timestamp>| {
        Durations::of(rows.iter().filter_map(|r| since_capture(r, to(r))).collect())
    };
    let times = |from: fn(&FrameRow) -> Option<Timestamp>, to: fn(&FrameRow) -> Option<Timestamp>| {
        Durations::of(rows.iter().filter_map(|r| between(from(r), to(r))).collect())
    };
    let shown_ns: Vec<Option<u64>> = rows.iter().map(|r| r.render.map(Timestamp::as_nanos)).collect();
    let captured_ns = rows.first().and_then(|r| captured_at(r)).unwrap_or(slots.capture_start);
    let due = rows
        .first()
        .and_then(|r| r.deadline)
        .unwrap_or(captured_ns + slots.playout.budget().unwrap_or_default());
    let screen = Screen {
        captured_ns: captured_ns.as_nanos(),
        due_ns: due.as_nanos(),
        interval_ns: slots.interval_ns(),
        shown_ns: &shown_ns,
    };
    let startup = screen.startup();
    let still: Vec<bool> = rows.iter().map(|r| !r.is_shown()).collect();
    let mut causes = BTreeMap::new();
    for cause in rows.iter().filter_map(|r| r.loss_cause) {
        *causes.entry(cause).or_default() += 1;
    }
    StreamScores {
        rendered: count(Status::Rendered),
        concealed: count(Status::Concealed),
        frozen,
        dropped_sender: dropped,
        causes,
        non_rendered_play_percent: metrics::non_rendered_play(frozen, dropped, captured),
        non_rendered_of_sent_percent: metrics::non_rendered_of_sent(frozen, dropped, captured),
        non_rendered_psnr_percent: metrics::non_rendered_psnr(&psnr, metrics::PSNR_THETA_DB),
        non_rendered_psnr_curve: metrics::theta_sweep(&psnr).into_iter().collect(),
        quality: Metric::ALL.into_iter().filter_map(|m| Some((m, quality(rows, m)?))).collect(),
        startup_ns: startup.startup_ns,
        never_rendered: startup.never_rendered,
        startup_penalised_ns: startup.penalised_ns,
        freezes: freezes(&screen),
        frozen_runs: metrics::frozen_runs(&still, slots.interval_ns()),
        latency: metrics::latency(&latency),
        latency_penalised: metrics::latency_penalised(&latency),
        shown_ever_percent: share(&latency, u64::MAX),
        shown_within_percent: SHOWN_WITHIN_MS
            .into_iter()
            .filter_map(|ms| Some((ms, share(&latency, u64::from(ms) * 1_000_000)?)))
            .collect(),
        decoded_latency: all_since_capture(|r| r.decode_end),
        encode_time: all_since_capture(|r| r.encode_end),
        decode_time: times(|r| r.complete, |r| r.decode_end),
    }
}

/// Delays at which a report says how much was on the screen by then, milliseconds.
const SHOWN_WITHIN_MS: [u32; 7] = [100, 150, 200, 300, 500, 1000, 2000];

/// Percent of the frames that were shown, and at most so many nanoseconds after their capture.
#[allow(clippy::cast_precision_loss)] // frames are far fewer than 2^53
fn share(latency: &[Option<u64>], within_ns: u64) -> Option<f64> {
    let shown = latency.iter().flatten().filter(|ns| **ns <= within_ns).count();
    (!latency.is_empty()).then(|| 100.0 * shown as f64 / latency.len() as f64)
}

/// `None` where one of the two is not known, or they come in an order that cannot be (which is a finding of the record).
fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<u64> {
    to?.as_nanos().checked_sub(from?.as_nanos())
}

fn freezes(screen: &Screen) -> BTreeMap<String, FreezeScores> {
    let summary = |rule| FreezeSummary::of(&screen.freezes(rule), screen.session_ns());
    FreezeRule::all(screen.interval_ns).into_iter().map(|r| (r.name().to_owned(), summary(r))).collect()
}

fn quality(rows: &[&FrameRow], metric: Metric) -> Option<Quality> {
    let of = |keep: &dyn Fn(&FrameRow) -> bool| {
        let values = rows.iter().filter(|r| keep(r)).filter_map(|r| r.metrics.get(&metric).copied());
        dist(&values.collect::<Vec<_>>(), metric)
    };
    Some(Quality { all: of(&|_| true)?, rendered: of(&FrameRow::is_shown) })
}

/// The distribution of a picture metric's values over frames.
#[must_use]
pub fn dist(values: &[f64], metric: Metric) -> Option<Dist> {
    let mut dist = Dist::of(values, better(metric))?;
    if metric == Metric::FfmpegPsnr {
        dist.mean = metrics::psnr_of_mean_error(values)?;
    }
    Some(dist)
}

/// Which end of a metric's range is good.
#[must_use]
pub fn better(metric: Metric) -> Better {
    if metric.higher_is_better() { Better::Higher } else { Better::Lower }
}

/// What was sent in the clip's window.
#[must_use]
pub fn bitrate_scores(
    rows: &[FrameRow],
    totals: &Totals,
    reports: Reports,
    ledger: Option<&Ledger>,
    slots: &Slots,
) -> BitrateScores {
    let window = slots.window();
    let of = |role| totals.sent.get(&role).copied().unwrap_or_default();
    let (data, parity, repeat) = (of(Role::Data), of(Role::Parity), of(Role::Repeat));
    let all = totals.sent.values().fold(Traffic::default(), |a, b| Traffic {
        packets: a.packets + b.packets,
        bytes: a.bytes + b.bytes,
    });
    // Of what a system never reports there is no rate, not a rate of nothing.
    let sent = |bytes: u64| reports.sent.then_some(bytes);
    let rate = |bytes: u64| sent(bytes).and_then(|b| window.bits_per_second(b));
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    for (frame, bytes) in rows.iter().filter_map(|r| Some((r.frame_id, r.encoded_bytes?))) {
        *sizes.entry(frame).or_default() += u64::from(bytes);
    }
    let encoded: u64 = sizes.values().sum();
    let sizes = Durations::of(sizes.into_values().collect());
    BitrateScores {
        media_bps: reports.encoded.then(|| window.bits_per_second(encoded)).flatten(),
        data_bps: rate(data.bytes),
        parity_bps: rate(parity.bytes),
        repeat_bps: rate(repeat.bytes),
        payload_bps: rate(all.bytes),
        with_headers_bps: rate(metrics::with_headers(all.bytes, u64::from(all.packets))),
        wire_bps: ledger.and_then(|l| window.bits_per_second(l.forward.bytes)),
        reverse_wire_bps: ledger.and_then(|l| window.bits_per_second(l.reverse.bytes)),
        redundancy: metrics::redundancy(parity.bytes, data.bytes),
        redundancy_with_repeats: metrics::redundancy(parity.bytes + repeat.bytes, data.bytes),
        payload_before_bytes: sent(totals.sent_before.bytes),
        payload_after_bytes: sent(totals.sent_after.bytes),
        frame_bytes_p50: sizes.map(|s| s.p50_ns),
        frame_bytes_p95: sizes.map(|s| s.p95_ns),
        frame_bytes_max: sizes.map(|s| s.max_ns),
    }
}

/// Bytes that transport and encryption add to a packet above UDP at most.
const OVERHEAD: u64 = 92;
/// Bytes that a system need not tell of: a handshake, and in every second a telephone's voice (G.711, 64 kbit/s).
const UNTOLD: u64 = 4 << 10;
const UNTOLD_PER_SECOND: u64 = 8000;

/// What a sender says it sent against what entered the path. With `ledger_is_its_own`, in virtual time, the other way round as well.
#[must_use]
pub fn sent_against_entered(
    totals: &Totals,
    reports: Reports,
    (ledger, slots): (&Ledger, &Slots),
    ledger_is_its_own: bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !reports.sent {
        return findings;
    }
    let above_udp = |bytes: u64, packets: u64| bytes.saturating_sub(metrics::with_headers(0, packets));
    let path = &ledger.forward;
    let sent: u64 = totals.sent.values().map(|t| t.bytes).sum();
    let entered = above_udp(path.bytes, path.packets);
    let untold = UNTOLD + slots.window().length_ns() / 1_000_000 * UNTOLD_PER_SECOND / 1000;
    if entered.saturating_sub(OVERHEAD * path.packets) > 2 * sent + untold {
        findings.push(Finding::MoreEnteredThanSent { sent, entered });
    }
    let sent = sent + totals.sent_before.bytes + totals.sent_after.bytes;
    let entered = entered
        + above_udp(path.before.bytes, path.before.packets)
        + above_udp(path.after.bytes, path.after.packets);
    if ledger_is_its_own && !reports.transport && sent > entered {
        findings.push(Finding::LessEnteredThanSent { sent, entered });
    }
    findings
}

/// What the system lost before the path; `None` if it says of nothing.
#[must_use]
pub fn lost_at_sender(totals: &Totals) -> Option<LostAtSender> {
    let Traffic { packets, bytes } = totals.lost_at_sender;
    let sent: u64 = totals.sent.values().map(|t| u64::from(t.packets)).sum();
    let packets = u64::from(packets);
    #[allow(clippy::cast_precision_loss)] // counts of packets are far below 2^53
    let share = packets as f64 / (packets + sent) as f64;
    (packets > 0).then_some(LostAtSender { packets, bytes, share })
}

/// Code of the warning that a system brought losses of its own.
pub const LOST_AT_SENDER: &str = "lost_at_sender";

/// What a reader must know of such a run.
#[must_use]
pub fn lost_at_sender_warning(lost: LostAtSender) -> Warning {
    let LostAtSender { packets, share, .. } = lost;
    let text = format!(
        "the system's own loss model dropped {packets} packets ({:.2} %) before they were sent; the path's ledger and its realised loss know \
         nothing of them, and the scenario is not what this system lost its packets to",
        100.0 * share
    );
    Warning { code: LOST_AT_SENDER.to_owned(), text }
}

/// How late each frame was captured against the frame clock, and the frames (how many, the first) that came more than a
/// millisecond before their time, which the lateness leaves out.
#[must_use]
pub fn capture_lateness(rows: &[FrameRow], slots: &Slots) -> (Option<Durations>, Option<(u32, u32)>) {
    let mut late = Vec::new();
    let mut early: Option<(u32, u32)> = None;
    let first_stream = slots.streams.first().copied().unwrap_or(Stream::Rgb);
    for row in rows.iter().filter(|r| r.stream == first_stream) {
        let Some(capture) = row.capture else { continue };
        let due = slots.capture_time(row.frame_id).as_nanos();
        match capture.as_nanos().checked_sub(due) {
            Some(lateness) => late.push(lateness),
            // Whoever computes the frame clock in another unit is off by a rounding, not early.
            None if due - capture.as_nanos() <= 1_000_000 => late.push(0),
            None => early.get_or_insert((0, row.frame_id)).0 += 1,
        }
    }
    (Durations::of(late), early)
}

/// The rows of one stream, in frame order.
#[must_use]
pub fn of_stream(rows: &[FrameRow], stream: Stream) -> Vec<&FrameRow> {
    rows.iter().filter(|r| r.stream == stream).collect()
}
