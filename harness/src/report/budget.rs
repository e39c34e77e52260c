//! Non-rendered frames and freezes against the play-out budget, from what finished runs recorded.
//!
//! A system that decodes what comes when it comes would have decoded the same at any budget: its curve is exact, and at the budget of the
//! run it is the run's own figure. A system that decides at a deadline (fills what is missing, or gives a frame up) would have decided
//! otherwise at another one: its curve is what this run's decisions allow, and [`Curve::decided_at_deadline`] says how many frames
//! that concerns.

use super::group::Group;
use super::load::Run;
use contract::{FrameRow, LossCause, Status, Stream};
use link::Span;
use metrics::{FreezeRule, FreezeSummary, Screen};

/// The rule in words.
pub const RULE: &str = "At budget T a frame is shown if its picture was decoded by capture + T in the run; stalls are gaps above 200 ms \
                        between the pictures then shown. Frames made or given up at the run's own deadline count as they were then: for them the curve is what the \
                        run's own deliveries allow.";

/// Packets of the last frames are taken for this long after the clip; beyond it, a curve may miss what came later.
pub const RECORDED: Span = Span::from_millis(1000);

/// Budgets of tables, unless told otherwise.
#[must_use]
pub fn usual() -> Vec<Span> {
    [50, 75, 100, 125, 150, 175, 200, 250, 300, 400, 500, 1000].map(Span::from_millis).to_vec()
}

/// Budgets of plots.
#[must_use]
pub fn plotted() -> Vec<Span> {
    (0..=120).map(|i| Span::from_millis(5 * i)).collect()
}

/// One system under one condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// System, as tables call it.
    pub system: String,
    /// Scenario.
    pub scenario: String,
    /// Clip.
    pub clip: String,
    /// Runs whose mean it is.
    pub runs: usize,
    /// Budget that the runs kept, milliseconds: mean of their medians.
    pub kept_ms: Option<f64>,
    /// Percent of the frames that were concealed, or given up though all their packets came, of a system that conceals.
    pub decided_at_deadline: f64,
    /// One per budget; or why there are none.
    pub points: Result<Vec<Point>, String>,
}

/// A curve at one budget: means over runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Capture to screen.
    pub budget: Span,
    /// Percent of all captured frames.
    pub non_rendered_percent: f64,
    /// Its 95 % interval over runs, where there is one.
    pub non_rendered_interval: Option<(f64, f64)>,
    /// Freezes, `stall200`.
    pub freezes: f64,
    /// Their share of the clip's time, percent.
    pub freeze_time_percent: f64,
    /// Its 95 % interval over runs, where there is one.
    pub freeze_time_interval: Option<(f64, f64)>,
}

/// One curve per group.
#[must_use]
pub fn curves(groups: &[Group], stream: Stream, budgets: &[Span]) -> Vec<Curve> {
    groups.iter().filter_map(|group| curve(group, stream, budgets)).collect()
}

fn curve(group: &Group, stream: Stream, budgets: &[Span]) -> Option<Curve> {
    // As Group::mean: a single run is shown even if it is invalid.
    let runs: Vec<&Run> = if group.runs.len() == 1 { group.runs.clone() } else { group.valid().collect() };
    let runs: Vec<(&Run, Vec<&FrameRow>)> = runs
        .into_iter()
        .map(|run| (run, run.stream(stream).collect::<Vec<_>>()))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    if runs.is_empty() {
        return None;
    }
    let mean = |of: &dyn Fn(&(&Run, Vec<&FrameRow>)) -> f64| -> f64 {
        #[allow(clippy::cast_precision_loss)] // run counts are far below 2^53
        let n = runs.len() as f64;
        runs.iter().map(of).sum::<f64>() / n
    };
    let silent = runs.iter().find_map(|(run, rows)| {
        let row = rows.iter().find(|r| r.is_shown() && (r.decode_end.is_none() || r.capture.is_none()))?;
        Some(format!(
            "frame {} of {} was shown without a `decoded` event: when it was ready is not known (docs/PLUGIN.md)",
            row.frame_id,
            run.dir.display()
        ))
    });
    let refused = silent.or_else(|| runs.iter().find_map(|(run, rows)| contradicts_itself(run, rows)));
    let points = refused.map_or_else(
        || {
            let at = |&budget: &Span| {
                let each: Vec<Point> = runs.iter().map(|(run, rows)| point(run, rows, budget)).collect();
                let mean = |of: fn(&Point) -> f64| {
                    #[allow(clippy::cast_precision_loss)]
                    let n = each.len() as f64;
                    each.iter().map(of).sum::<f64>() / n
                };
                let interval = |of: fn(&Point) -> f64| {
                    let of_run = |run: &Run| {
                        let at = runs.iter().position(|(r, _)| std::ptr::eq(*r, run))?;
                        Some(of(&each[at]))
                    };
                    group.estimate(of_run)?.interval.map(|i| (i.low.max(0.0), i.high.min(100.0)))
                };
                Point {
                    budget,
                    non_rendered_percent: mean(|p| p.non_rendered_percent),
                    non_rendered_interval: interval(|p| p.non_rendered_percent),
                    freezes: mean(|p| p.freezes),
                    freeze_time_percent: mean(|p| p.freeze_time_percent),
                    freeze_time_interval: interval(|p| p.freeze_time_percent),
                }
            };
            Ok(budgets.iter().map(at).collect())
        },
        Err,
    );
    let kept = runs.iter().all(|(run, _)| run.scores.budget.kept_ns.is_some());
    // A system that conceals is one that decides at a deadline; others give frames up by rules of their own, whatever the budget.
    let conceals = runs.iter().any(|(_, rows)| rows.iter().any(|r| r.status == Status::Concealed));
    Some(Curve {
        system: group.system.clone(),
        scenario: group.scenario.clone(),
        clip: group.clip.clone(),
        runs: runs.len(),
        kept_ms: kept.then(|| mean(&|(run, _)| ms(run.scores.budget.kept_ns.unwrap_or(0)))),
        decided_at_deadline: mean(&|(_, rows)| {
            let count = rows.iter().filter(|r| decided_at_deadline(r)).count();
            percent(if conceals { count } else { 0 }, rows.len())
        }),
        points,
    })
}

/// How far from its slot a frame's decoding may be seen to be on the other side of it, on the wall clock.
const CLOCKS_APART_NS: u64 = 5_000_000;

/// Why a run has no curve: at its own budget the rule would not give what the run showed, so that its `decoded` events are not to be believed
/// at any other. On the wall clock one frame in a hundred may be decoded so close to its slot, or be noted so late, that it is either.
fn contradicts_itself(run: &Run, rows: &[&FrameRow]) -> Option<String> {
    let budget = run.scores.budget.asked_ns.budget_ns()?;
    let live = run.scores.key.backend == contract::Backend::Namespaces;
    let apart = if live { CLOCKS_APART_NS } else { 0 };
    let contradicts = |row: &&&FrameRow| {
        let Some((captured, decoded)) = run.captured(row).zip(row.decode_end) else { return false };
        let (slot, decoded) = (captured.as_nanos() + budget, decoded.as_nanos());
        match row.status {
            Status::Rendered | Status::Concealed => decoded > slot + apart,
            Status::Frozen => decoded.saturating_add(apart) <= slot,
            Status::DroppedSender => false,
        }
    };
    let found: Vec<u32> = rows.iter().filter(contradicts).map(|r| r.frame_id).collect();
    let allowed = if live { (rows.len() / 100).max(2) } else { 0 };
    (found.len() > allowed).then(|| {
        format!(
            "{} frames of {} (first: {}) are said to have been decoded in time and were not shown, or were shown and decoded later: its \
             `decoded` events do not give what the run itself showed",
            found.len(),
            run.dir.display(),
            found[0]
        )
    })
}

fn decided_at_deadline(row: &FrameRow) -> bool {
    match row.status {
        Status::Concealed => true,
        Status::Frozen => {
            row.loss_cause == Some(LossCause::Late) && row.complete.is_none() && row.decode_end.is_none()
        }
        Status::Rendered | Status::DroppedSender => false,
    }
}

fn point(run: &Run, rows: &[&FrameRow], budget: Span) -> Point {
    let shown_ns: Vec<Option<u64>> = rows
        .iter()
        .map(|r| {
            let slot = run.captured(r)?.as_nanos() + budget.as_nanos();
            let in_time = r.status != Status::DroppedSender && r.decode_end?.as_nanos() <= slot;
            in_time.then_some(slot)
        })
        .collect();
    let captured_ns = rows.first().and_then(|r| run.captured(r)).map_or(0, link::Timestamp::as_nanos);
    let screen = Screen {
        captured_ns,
        due_ns: captured_ns + budget.as_nanos(),
        interval_ns: run.scores.interval_ns,
        shown_ns: &shown_ns,
    };
    let stalls = FreezeSummary::of(&screen.freezes(FreezeRule::Stall200), screen.session_ns());
    Point {
        budget,
        non_rendered_percent: percent(shown_ns.iter().filter(|t| t.is_none()).count(), rows.len()),
        non_rendered_interval: None,
        freezes: f64::from(stalls.count),
        freeze_time_percent: 100.0 * stalls.ratio,
        freeze_time_interval: None,
    }
}

#[allow(clippy::cast_precision_loss)] // frame counts are far below 2^53
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// Milliseconds.
#[must_use]
#[allow(clippy::cast_precision_loss)] // durations are far below 2^53
pub fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}
