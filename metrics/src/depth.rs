//! Depth pictures against depth pictures, in millimetres and as point clouds.
//!
//! The way ReVo scores depth (SSIM and MS-SSIM of an 8-bit visualisation) is `Scorer::ssim_gray` on
//! `media::depth`'s view; the metrics here work on metric depth.

use crate::MetricError;
use crate::cloud::Cloud;
use media::Depth16;

/// Errors of metric depth over the pixels that are valid (non-zero) in the reference. Where the shown picture has no
/// depth there, the whole depth is the error: leaving pixels out would be the way to a good score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthErrors {
    /// Root mean squared error, millimetres, 0 and up.
    pub rmse_mm: f64,
    /// Mean of `|shown - reference| / reference`, 0 and up.
    pub abs_rel: f64,
    /// Share of pixels with `max(shown / reference, reference / shown) < 1.25`, 0 to 1.
    pub delta1: f64,
    /// Share of the reference's valid pixels that are valid in the shown picture too, 0 to 1.
    pub coverage: f64,
}

/// Pinhole camera of a depth picture, pixels; a pixel's centre has whole coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intrinsics {
    /// Focal length in columns.
    pub fx: f64,
    /// Focal length in rows.
    pub fy: f64,
    /// Column of the optical axis.
    pub cx: f64,
    /// Row of the optical axis.
    pub cy: f64,
}

impl Intrinsics {
    /// A camera of this horizontal field of view looking through the picture's middle; for clips that come without
    /// calibration (state it with the number).
    #[must_use]
    pub fn from_field_of_view(width: usize, height: usize, horizontal_degrees: f64) -> Self {
        let f = width as f64 / 2.0 / (horizontal_degrees.to_radians() / 2.0).tan();
        Self { fx: f, fy: f, cx: (width as f64 - 1.0) / 2.0, cy: (height as f64 - 1.0) / 2.0 }
    }
}

/// Point-cloud PSNR of two depth pictures after back-projection, dB; infinite for identical clouds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloudPsnr {
    /// Point to point.
    pub d1: f64,
    /// Point to plane.
    pub d2: f64,
    /// The peak used: the longest side of the reference cloud's bounding box, millimetres.
    pub peak_mm: f64,
}

/// RMSE, abs-rel and delta1, as the depth-estimation literature defines them.
///
/// Source: Eigen, Puhrsch, Fergus, NeurIPS 2014.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::BadBuffer`], [`MetricError::Nothing`] if the reference has no valid pixel.
pub fn depth_errors(reference: &Depth16, shown: &Depth16) -> Result<DepthErrors, MetricError> {
    check(reference, shown)?;
    let Counts { n, covered, squares, relative, near } = count(&reference.mm, &shown.mm);
    if n == 0 {
        return Err(MetricError::Nothing { metric: "depth", why: "the reference has no pixel with a depth" });
    }
    let n_f = n as f64;
    Ok(DepthErrors {
        rmse_mm: (squares as f64 / n_f).sqrt(),
        abs_rel: relative / n_f,
        delta1: near as f64 / n_f,
        coverage: covered as f64 / n_f,
    })
}

/// What is counted and added up over the reference's valid pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    n: u64,
    covered: u64,
    squares: u64,
    relative: f64,
    near: u64,
}

/// Pixels that are taken at once. Relative errors are added up for every eighth pixel, then those eight sums: in one order on every
/// machine.
const LANES: usize = 8;

fn count(reference: &[u16], shown: &[u16]) -> Counts {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::picture::SimdLevel;
        match SimdLevel::best() {
            // SAFETY: the processor has the instructions; the code is the same safe Rust, compiled for them.
            SimdLevel::Avx512 => return unsafe { count_avx512(reference, shown) },
            // SAFETY: as above.
            SimdLevel::Avx2 => return unsafe { count_avx2(reference, shown) },
            SimdLevel::Portable => {}
        }
    }
    count_lanes(reference, shown)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn count_avx2(reference: &[u16], shown: &[u16]) -> Counts {
    count_lanes(reference, shown)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn count_avx512(reference: &[u16], shown: &[u16]) -> Counts {
    count_lanes(reference, shown)
}

#[inline(always)]
fn count_lanes(reference: &[u16], shown: &[u16]) -> Counts {
    let mut total = Counts::default();
    let mut relative = [0.0f64; LANES];
    // Counts of so many pixels fit 32 bits.
    for (reference, shown) in reference.chunks(LANES << 16).zip(shown.chunks(LANES << 16)) {
        let [mut n, mut covered, mut near] = [[0u32; LANES]; 3];
        let mut squares = [0u64; LANES];
        let mut add = |reference: &[u16; LANES], shown: &[u16; LANES]| {
            for lane in 0..LANES {
                let (r, s) = (u32::from(reference[lane]), u32::from(shown[lane]));
                let valid = u32::from(r > 0);
                let error = r.abs_diff(s) * valid;
                n[lane] += valid;
                covered[lane] += valid & u32::from(s > 0);
                // max(s / r, r / s) < 5 / 4 on integers.
                near[lane] += u32::from(4 * r.max(s) < 5 * r.min(s));
                squares[lane] += u64::from(error) * u64::from(error);
                // Signed: there is an instruction for that on every machine.
                relative[lane] += f64::from(error as i32) / f64::from(r.max(1) as i32);
            }
        };
        let (whole, rest) = reference.as_chunks::<LANES>();
        let (whole_shown, rest_shown) = shown.as_chunks::<LANES>();
        whole.iter().zip(whole_shown).for_each(|(r, s)| add(r, s));
        // Pixels without a depth in the reference count nowhere.
        let [mut r, mut s] = [[0; LANES]; 2];
        r[..rest.len()].copy_from_slice(rest);
        s[..rest_shown.len()].copy_from_slice(rest_shown);
        add(&r, &s);
        let sum = |lanes: [u32; LANES]| lanes.into_iter().map(u64::from).sum::<u64>();
        total.n += sum(n);
        total.covered += sum(covered);
        total.near += sum(near);
        total.squares += squares.into_iter().sum::<u64>();
    }
    total.relative = relative.into_iter().sum();
    total
}

/// D1 and D2 of the clouds that two depth pictures back-project to: for each point the nearest point of the other
/// cloud; the mean squared distance (D1) or its component along that point's normal (D2); the larger of the two
/// directions; `10 log10(3 peak^2 / mse)`. Normals come from each picture's own neighbouring pixels; a point
/// whose nearest neighbour has none counts with its whole distance.
///
/// The factor 3 and the symmetric maximum follow MPEG's `pc_error`; its peak is the voxel grid's size, for
/// which metric clouds have no counterpart: here it is the longest side of the reference's bounding box.
///
/// Source: Tian, Ochimizu, Feng, Cohen, Vetro, ICIP 2017; ISO/IEC JTC1/SC29/WG11 N18189.
///
/// # Errors
/// [`MetricError::SizeMismatch`], [`MetricError::BadBuffer`], [`MetricError::Nothing`] if a picture has no valid pixel,
/// [`MetricError::BadArgument`] for focal lengths that are not positive.
pub fn cloud_psnr(
    reference: &Depth16,
    shown: &Depth16,
    camera: &Intrinsics,
) -> Result<CloudPsnr, MetricError> {
    check(reference, shown)?;
    if !(camera.fx > 0.0 && camera.fy > 0.0) {
        return Err(MetricError::BadArgument {
            metric: "cloud_psnr",
            what: format!("focal lengths must be positive, got {} and {}", camera.fx, camera.fy),
        });
    }
    let (a, b) = (Cloud::of(reference, camera), Cloud::of(shown, camera));
    if a.is_empty() || b.is_empty() {
        return Err(MetricError::Nothing { metric: "cloud_psnr", why: "a depth picture has no valid pixel" });
    }
    let peak_mm = a.longest_side();
    let (forth, back) = (a.mean_squares_to(&b), b.mean_squares_to(&a));
    let psnr = |kind: usize| 10.0 * (3.0 * peak_mm * peak_mm / forth[kind].max(back[kind])).log10();
    let (d1, d2) = (psnr(0), psnr(1));
    Ok(CloudPsnr { d1, d2, peak_mm })
}

fn check(reference: &Depth16, shown: &Depth16) -> Result<(), MetricError> {
    crate::picture::same_size((reference.width, reference.height), (shown.width, shown.height))?;
    for p in [reference, shown] {
        crate::picture::whole(p.width, p.height, p.width * p.height, p.mm.len())?;
    }
    Ok(())
}
