//! Many tests at once.

/// Holm's step-down adjustment: adjusted p-values in the order given; reject where one is below the family-wise level.
///
/// Source: Holm, Scandinavian Journal of Statistics 6(2), 1979.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&i, &j| p[i].total_cmp(&p[j]));
    let mut adjusted = vec![0.0; p.len()];
    let mut running: f64 = 0.0;
    for (step, &i) in order.iter().enumerate() {
        running = running.max(p[i] * (p.len() - step) as f64).min(1.0);
        adjusted[i] = running;
    }
    adjusted
}
