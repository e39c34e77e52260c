//! One captured and one shown picture, all metrics that were asked for.

use super::camera;
use super::pictures::{Meaning, Shot};
use codecs::networks::Lpips;
use contract::{Metric, Stream};
use media::convert::{Range, greys_into, to_rgb_into};
use media::{Rgb, Yuv420};
use metrics::{Intrinsics, Scorer};
use std::collections::BTreeMap;

/// What a value depends on besides the two pictures, by metric: weights, camera. Absent: nothing.
pub type Variants = BTreeMap<Metric, String>;

/// What one thread needs to score pictures without allocating for each.
pub struct PairScorer {
    scorer: Scorer,
    camera: Intrinsics,
    reference: Rgb,
    shown: Rgb,
    greys: [Vec<u8>; 2],
}

/// Loaded LPIPS nets by metric, all in one process, which uses several threads itself.
pub type Nets = BTreeMap<Metric, Lpips>;

impl PairScorer {
    /// A scorer; depth is projected back with `camera`.
    #[must_use]
    pub fn new(camera: Intrinsics) -> Self {
        let empty = || Rgb { width: 0, height: 0, data: Vec::new() };
        Self {
            scorer: Scorer::new(),
            camera,
            reference: empty(),
            shown: empty(),
            greys: [Vec::new(), Vec::new()],
        }
    }

    /// The values of `wanted` (those that apply to the stream).
    ///
    /// # Errors
    /// When the pictures do not fit each other or are too small for a metric.
    pub fn score(
        &mut self,
        stream: Stream,
        meaning: Meaning,
        (captured, shown): (&Shot, &Yuv420),
        wanted: &[Metric],
    ) -> anyhow::Result<BTreeMap<Metric, f64>> {
        match stream {
            Stream::Rgb => self.colour(meaning, (&captured.picture, shown), wanted),
            Stream::Depth => self.depth(meaning, (captured, shown), wanted),
        }
    }

    fn colour(
        &mut self,
        meaning: Meaning,
        (captured, shown): (&Yuv420, &Yuv420),
        wanted: &[Metric],
    ) -> anyhow::Result<BTreeMap<Metric, f64>> {
        to_rgb_into(captured, meaning.colour, &mut self.reference);
        to_rgb_into(shown, meaning.colour, &mut self.shown);
        let (a, b) = (&self.reference, &self.shown);
        let mut values = BTreeMap::new();
        let both = wants_both(wanted);
        if both {
            let (ms_ssim, ssim) = self.scorer.ms_ssim_and_ssim(a, b)?;
            values.extend([(Metric::MsSsim, ms_ssim), (Metric::Ssim, ssim)]);
        }
        for &metric in wanted {
            let value = match metric {
                Metric::Ssim | Metric::MsSsim if both => continue,
                Metric::Psnr => self.scorer.psnr(a, b)?,
                Metric::Ssim => self.scorer.ssim(a, b)?,
                Metric::SsimFull => self.scorer.ssim_full(a, b)?,
                Metric::MsSsim => self.scorer.ms_ssim(a, b)?,
                Metric::FfmpegPsnr => metrics::ffmpeg_psnr(captured, shown)?.avg(),
                Metric::FfmpegSsim => metrics::ffmpeg_ssim(captured, shown)?.all,
                _ => continue,
            };
            values.insert(metric, value);
        }
        Ok(values)
    }

    /// Depth is scored twice over: its 8-bit view as a grey picture (ReVo's way), and in millimetres.
    fn depth(
        &mut self,
        meaning: Meaning,
        (captured, shown): (&Shot, &Yuv420),
        wanted: &[Metric],
    ) -> anyhow::Result<BTreeMap<Metric, f64>> {
        let size = (captured.picture.width, captured.picture.height);
        let [a, b] = &mut self.greys;
        greys_into(&captured.picture.y, meaning.colour, a);
        greys_into(&shown.y, meaning.colour, b);
        let (a, b) = (&a[..], &b[..]);
        let metric_depth = (captured.depth.as_ref())
            .zip(meaning.view)
            .map(|(truth, view)| (truth, view.to_depth16(shown, Range::Limited)));
        let wants = |some: &[Metric]| wanted.iter().any(|m| some.contains(m));
        // A picture in which nothing was measured has no depth error to report.
        let errors = match &metric_depth {
            Some((truth, shown))
                if wants(&[Metric::DepthRmseMm, Metric::DepthAbsRel, Metric::DepthDelta1]) =>
            {
                metrics::depth_errors(truth, shown).ok()
            }
            _ => None,
        };
        let clouds = match &metric_depth {
            Some((truth, shown)) if wants(&camera::METRICS) => {
                metrics::cloud_psnr(truth, shown, &self.camera).ok()
            }
            _ => None,
        };
        let mut values = BTreeMap::new();
        let both = wants_both(wanted);
        if both {
            let (ms_ssim, ssim) = self.scorer.ms_ssim_and_ssim_gray(size, a, b)?;
            values.extend([(Metric::MsSsim, ms_ssim), (Metric::Ssim, ssim)]);
        }
        for &metric in wanted {
            let value = match metric {
                Metric::Ssim | Metric::MsSsim if both => continue,
                Metric::Psnr => metrics::psnr_of_sse(metrics::sse(a, b), a.len() as u64)?,
                Metric::Ssim => self.scorer.ssim_gray(size, a, b, true)?,
                Metric::SsimFull => self.scorer.ssim_gray(size, a, b, false)?,
                Metric::MsSsim => self.scorer.ms_ssim_gray(size, a, b)?,
                Metric::DepthRmseMm | Metric::DepthAbsRel | Metric::DepthDelta1 => {
                    let Some(errors) = errors else { continue };
                    match metric {
                        Metric::DepthRmseMm => errors.rmse_mm,
                        Metric::DepthAbsRel => errors.abs_rel,
                        _ => errors.delta1,
                    }
                }
                Metric::DepthD1 | Metric::DepthD2 => {
                    let Some(clouds) = clouds else { continue };
                    if metric == Metric::DepthD1 { clouds.d1 } else { clouds.d2 }
                }
                _ => continue,
            };
            values.insert(metric, value);
        }
        Ok(values)
    }

    /// LPIPS of the pair that was scored last.
    ///
    /// # Errors
    /// When a picture is too small for a net, or the process that has it fails.
    pub fn lpips(
        &mut self,
        meaning: Meaning,
        (captured, shown): (&Yuv420, &Yuv420),
        nets: &Nets,
        wanted: &[Metric],
    ) -> anyhow::Result<BTreeMap<Metric, f64>> {
        to_rgb_into(captured, meaning.colour, &mut self.reference);
        to_rgb_into(shown, meaning.colour, &mut self.shown);
        let mut values = BTreeMap::new();
        for (&metric, net) in nets.iter().filter(|(m, _)| wanted.contains(m)) {
            values.insert(metric, net.distance(&self.reference, &self.shown)?);
        }
        Ok(values)
    }
}

/// SSIM and MS-SSIM, which have filtered pictures in common.
fn wants_both(wanted: &[Metric]) -> bool {
    wanted.contains(&Metric::Ssim) && wanted.contains(&Metric::MsSsim)
}
