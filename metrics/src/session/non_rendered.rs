//! Frames that the viewer did not get, counted both ways.
//!
//! Reparo's paper uses one way for itself (PSNR of the displayed picture below a threshold) and the other for its
//! baselines (nothing new at the playout deadline). Here both are computed for every system.

/// The threshold Reparo's paper uses, dB.
pub const PSNR_THETA_DB: f64 = 30.0;

/// Percent of the *captured* frames that did not come on the screen in their slot, whoever is to blame:
/// `100 (frozen + dropped by the sender) / captured`. `None` for no frame.
///
/// A sender that drops half of its frames shows the viewer half of the pictures, so they stay in the base: dropping can
/// never make a system look better.
#[must_use]
pub fn non_rendered_play(frozen: u32, dropped_sender: u32, captured: u32) -> Option<f64> {
    (captured > 0).then(|| 100.0 * f64::from(frozen + dropped_sender) / f64::from(captured))
}

/// Percent of the frames that the sender did send for which nothing new was on the screen at the playout deadline:
/// `100 frozen / (captured - dropped by the sender)`. `None` if nothing was sent.
///
/// Source: Reparo (baselines). What the network and the receiver did, blind to what the sender left out.
#[must_use]
pub fn non_rendered_of_sent(frozen: u32, dropped_sender: u32, captured: u32) -> Option<f64> {
    let sent = captured.checked_sub(dropped_sender).filter(|&n| n > 0)?;
    Some(100.0 * f64::from(frozen) / f64::from(sent))
}

/// Percent of frames whose *displayed* picture has a PSNR below `theta_db` against the captured one. `None` for no
/// frame. NaN counts as below: a frame without a value was not shown well.
///
/// Decides as the integer squared error would, although it has only the decibels: one unit of squared error moves the
/// PSNR by more than 1e-10 dB (pictures of up to 200 million samples below 40 dB), the rounding of the logarithm by less
/// than 1e-13 dB, so that a margin of 1e-12 dB meets neither.
///
/// Source: Reparo (`theta` = 30 dB, [`PSNR_THETA_DB`]).
#[must_use]
pub fn non_rendered_psnr(psnr_db: &[f64], theta_db: f64) -> Option<f64> {
    if psnr_db.is_empty() {
        return None;
    }
    let below = psnr_db.iter().filter(|v| v.is_nan() || **v < theta_db - 1e-12).count();
    Some(100.0 * below as f64 / psnr_db.len() as f64)
}

/// [`non_rendered_psnr`] for every whole threshold from 20 to 40 dB: how much the figure depends on the choice of 30.
#[must_use]
pub fn theta_sweep(psnr_db: &[f64]) -> Vec<(u32, f64)> {
    (20..=40).filter_map(|t| Some((t, non_rendered_psnr(psnr_db, f64::from(t))?))).collect()
}
