//! Round numbers: ranges, ticks and labels of axes.

/// The range of `values` with a little air, snapped to round numbers; `None` without finite values.
#[must_use]
pub fn range_of(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (lo, hi) = ends(values)?;
    let span = (hi - lo).max(hi.abs() * 0.02).max(1e-6);
    let step = nice_step(span / 5.0);
    Some((((lo - span * 0.04) / step).floor() * step, ((hi + span * 0.04) / step).ceil() * step))
}

/// Smallest and largest finite value.
#[must_use]
pub fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (lo, hi) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    (lo <= hi).then_some((lo, hi))
}

/// Round values inside the range, about `target` of them and at least three.
#[must_use]
pub fn ticks((lo, hi): (f64, f64), target: u32) -> Vec<f64> {
    let at = |target: u32| -> Vec<f64> {
        let step = nice_step((hi - lo) / f64::from(target));
        let first = (lo / step - 1e-9).ceil();
        (0..64).map(|i| (first + f64::from(i)) * step).take_while(|t| *t <= hi + step * 1e-9).collect()
    };
    (target.max(1)..target + 9).map(at).find(|t| t.len() > 2).unwrap_or_else(|| at(target.max(1)))
}

/// 1, 2 and 5 times powers of ten between two powers of ten's exponents, as exponents; powers of ten alone where the range is wide.
#[must_use]
pub fn log_ticks((lo, hi): (f64, f64)) -> Vec<f64> {
    let factors: &[f64] = if hi - lo > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    #[allow(clippy::cast_possible_truncation)] // exponents
    let (first, last) = (lo.floor() as i32, hi.ceil() as i32);
    let all = (first..=last).flat_map(|e| factors.iter().map(move |f| f.log10() + f64::from(e)));
    all.filter(|t| *t >= lo - 1e-9 && *t <= hi + 1e-9).collect()
}

/// A number as short as its axis needs.
#[must_use]
pub fn label(value: f64) -> String {
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn nice_step(rough: f64) -> f64 {
    let magnitude = 10f64.powf(rough.log10().floor());
    let mantissa = rough / magnitude;
    let nice = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|n| mantissa <= *n + 1e-9).unwrap_or(10.0);
    nice * magnitude
}
