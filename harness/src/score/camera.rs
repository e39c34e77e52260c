//! The camera that depth is projected back with.

use super::DEFAULT_FOV;
use contract::{ClipSpec, Metric};
use metrics::Intrinsics;

/// Metrics that depend on it.
pub const METRICS: [Metric; 2] = [Metric::DepthD1, Metric::DepthD2];

/// A camera, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Camera {
    /// What the pictures' pixels mean.
    pub intrinsics: Intrinsics,
    degrees: f64,
    source: &'static str,
}

/// The camera of a clip: as asked for, as the clip says, or [`DEFAULT_FOV`].
#[must_use]
pub fn of(clip: &ClipSpec, asked: Option<f64>) -> Camera {
    let (degrees, source) = match (asked, clip.depth_fov_degrees) {
        (Some(degrees), _) => (degrees, "as asked for"),
        (None, Some(degrees)) => (degrees, "the clip's"),
        (None, None) => (DEFAULT_FOV, "assumed, the clip does not say"),
    };
    let size = (clip.width as usize, clip.height as usize);
    Camera { intrinsics: Intrinsics::from_field_of_view(size.0, size.1, degrees), degrees, source }
}

impl Camera {
    /// Tells values of one camera from those of another.
    #[must_use]
    pub fn variant(&self) -> String {
        format!("{}deg", self.degrees)
    }

    /// For definitions.
    #[must_use]
    pub fn words(&self) -> String {
        let digits = (self.degrees * 100.0).round() / 100.0;
        format!("pinhole camera of {digits} degrees horizontally, {}", self.source)
    }
}
