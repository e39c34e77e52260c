//! By which budget a run was really judged.

use super::{Finding, Slots};
use contract::scores::Budget;
use link::Timestamp;

/// Measures the budget of `slots`, each a capture and its slot; and says so if it is not the one that was asked for.
pub(super) fn measure(pairs: &[(Timestamp, Timestamp)], slots: &Slots) -> (Budget, Option<Finding>) {
    let mut kept: Vec<i128> = pairs
        .iter()
        .map(|(capture, slot)| i128::from(slot.as_nanos()) - i128::from(capture.as_nanos()))
        .collect();
    kept.sort_unstable();
    let count = u32::try_from(kept.len()).unwrap_or(u32::MAX);
    let Some(&median) = kept.get(kept.len().div_ceil(2).saturating_sub(1)) else {
        return (Budget { asked_ns: slots.playout, ..Budget::default() }, None);
    };
    let centre = slots.playout.budget_ns().map_or(median, i128::from);
    let off = |value: &i128| u64::try_from((value - centre).unsigned_abs()).unwrap_or(u64::MAX);
    let worst = kept.iter().map(off).max().unwrap_or(0);
    let kept_ns = u64::try_from(median.max(0)).unwrap_or(u64::MAX);
    let budget =
        Budget { asked_ns: slots.playout, slots: count, kept_ns: Some(kept_ns), max_deviation_ns: worst };
    let tolerance = u64::try_from(slots.slot_tolerance.as_nanos()).unwrap_or(u64::MAX);
    let outside = kept.iter().filter(|value| off(value) > tolerance).count();
    let interval = slots.interval_ns();
    // As the emulator's own lateness: a real clock may be late now and then, by less than a frame; of a short run two slots.
    let broken = outside > 0 && (tolerance == 0 || outside > (kept.len() / 100).max(2) || worst > interval);
    let finding = slots.playout.budget_ns().filter(|_| broken).map(|asked_ns| Finding::BudgetNotKept {
        asked_ns,
        kept_ns,
        count: u32::try_from(outside).unwrap_or(u32::MAX),
        slots: count,
        worst_ns: worst,
    });
    (budget, finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Playout, Stream};
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    fn judge(playout: &str, tolerance_ms: u64, offsets_us: &[u64]) -> (Budget, Option<Finding>) {
        let slots = Slots {
            frames: 0,
            capture_start: Timestamp::ZERO,
            streams: vec![Stream::Rgb],
            rate: (1000, 33),
            playout: playout.parse().unwrap(),
            slot_tolerance: Duration::from_millis(tolerance_ms),
            one_packet_per_message: false,
            last_slot: None,
            watched: false,
        };
        let pairs: Vec<_> = (0..)
            .zip(offsets_us)
            .map(|(i, us)| (Timestamp(i * 33 * MS), Timestamp(i * 33 * MS + us * 1000)))
            .collect();
        measure(&pairs, &slots)
    }

    #[test]
    fn virtual_time_is_exact_or_found() {
        let (budget, finding) = judge("150ms", 0, &[150_000; 40]);
        let asked_ns = "150ms".parse().unwrap();
        assert_eq!(budget, Budget { asked_ns, slots: 40, kept_ns: Some(150 * MS), max_deviation_ns: 0 });
        assert_eq!(finding, None);
        let mut one = [150_000; 40];
        one[7] = 149_999;
        let (budget, finding) = judge("150ms", 0, &one);
        assert_eq!((budget.kept_ns, budget.max_deviation_ns), (Some(150 * MS), 1000));
        assert!(matches!(finding, Some(Finding::BudgetNotKept { count: 1, slots: 40, .. })));
    }

    #[test]
    fn a_real_clock_may_be_late_now_and_then() {
        let mut kept = [150_300; 300];
        kept[..3].fill(158_000);
        assert_eq!(judge("150ms", 5, &kept).1, None);
        kept[3] = 158_000; // more than one in a hundred
        let (budget, finding) = judge("150ms", 5, &kept);
        assert_eq!((budget.kept_ns, budget.max_deviation_ns), (Some(150_300_000), 8 * MS));
        assert!(matches!(finding, Some(Finding::BudgetNotKept { count: 4, .. })));
        let mut far = [150_000; 300];
        far[9] = 184_000; // more than a frame
        assert!(judge("150ms", 5, &far).1.is_some());
        let text = judge("150ms", 5, &[400_000; 30]).1.unwrap().to_string();
        assert!(
            text.contains("30 of 30") && text.contains("150.000 ms") && text.contains("400.000 ms"),
            "{text}"
        );
    }

    #[test]
    fn an_own_clock_is_measured_and_never_found() {
        let (budget, finding) = judge("own", 0, &[152_700, 152_700, 170_000]);
        assert_eq!((budget.asked_ns, budget.kept_ns), (Playout::OWN, Some(152_700_000)));
        assert_eq!((budget.max_deviation_ns, finding), (17_300_000, None));
        assert_eq!(judge("own", 0, &[]).0.kept_ns, None);
    }
}
