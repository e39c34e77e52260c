//! Scores every picture pair of two sources on some threads, in constant memory: one thread reads (FFmpeg's readers stay
//! on theirs), hands pairs to the others while they have room, and scores the rest itself; buffers come back to it.

use super::align::{Alignment, LOOKED_AT_UNASKED, Small};
use super::notes::Filters;
use super::rgb::{self, Buffers};
use super::source::{AnyPicture, Source};
use super::{feed, vmaf};
use crate::cmd::weights;
use crate::networks;
use anyhow::Result;
use codecs::networks::Lpips;
use contract::Metric;
use media::picture::Picture;
use media::wide::widen;
use metrics::lpips::Net;
use metrics::{Intrinsics, MetricError, Scorer};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{TrySendError, channel, sync_channel};

/// What to compute.
pub struct Options {
    pub metrics: Vec<Metric>,
    pub threads: usize,
    pub cuda: bool,
    pub fov: Option<f64>,
    /// What FFmpeg's filters are given, or why nothing.
    pub filters: Result<Filters, String>,
    /// What must be said of the two files.
    pub notes: Vec<String>,
}

/// Which of the two clips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Reference,
    Shown,
}

/// Everything that was computed.
pub struct Scored {
    pub metrics: Vec<Metric>,
    /// Per frame, a value per metric.
    pub frames: Vec<Vec<Option<f64>>>,
    /// What must be said of the two files.
    pub notes: Vec<String>,
    /// Metrics without a value, and why.
    pub missing: BTreeMap<Metric, String>,
    /// The clip that has more pictures than the other.
    pub longer: Option<Side>,
    /// Small luma pictures of the beginning of both: whether one is behind the other.
    pub smalls: [Vec<Small>; 2],
    /// How many frames the second was found to be late, if that was asked for.
    pub aligned: Option<Alignment>,
    /// What another program says, if it was asked for.
    pub vmaf: Option<Result<vmaf::Measured, String>>,
}

/// A picture pair and its place in the clip.
struct Pair {
    frame: usize,
    reference: AnyPicture,
    shown: AnyPicture,
}

/// One scored pair.
struct Row {
    frame: usize,
    values: Vec<Option<f64>>,
}

/// What one thread computed: rows, and why metrics have no value.
type Part = (Vec<Row>, BTreeMap<Metric, String>);

/// Scores all pairs.
///
/// # Errors
/// [`super::source::Unreadable`] pictures, libtorch's failures.
pub fn all(mut reference: Source, mut shown: Source, options: &Options) -> Result<Scored> {
    let helpers = options.threads - 1;
    let (work, queue) = sync_channel::<Pair>(2 * helpers);
    let (used, spare) = channel::<Pair>();
    let queue = Mutex::new(queue);
    let mut longer = None;
    let mut smalls = [Vec::new(), Vec::new()];
    let parts: Vec<Part> = std::thread::scope(|scope| -> Result<Vec<Part>> {
        let threads: Vec<_> = (0..helpers)
            .map(|_| {
                let (queue, used) = (&queue, used.clone());
                scope.spawn(move || -> Result<Part> {
                    let mut worker = Worker::new(options)?;
                    loop {
                        // The lock is held while waiting; whoever waits for it would wait for a pair anyway.
                        let next = queue.lock().expect("no worker panicked").recv();
                        let Ok(pair) = next else { return Ok(worker.part()) };
                        worker.score(&pair)?;
                        // The reader may be gone already.
                        used.send(pair).ok();
                    }
                })
            })
            .collect();
        let read = || -> Result<Part> {
            // Ends the helpers' queue when this closure ends, however it ends.
            let work = work;
            let mut worker = Worker::new(options)?;
            let mut kept: Vec<Pair> = Vec::new();
            for frame in 0.. {
                kept.extend(spare.try_iter());
                let mut pair = kept.pop().unwrap_or(Pair {
                    frame,
                    reference: AnyPicture::Nothing,
                    shown: AnyPicture::Nothing,
                });
                pair.frame = frame;
                match (reference.next_into(&mut pair.reference)?, shown.next_into(&mut pair.shown)?) {
                    (true, true) if frame < LOOKED_AT_UNASKED => {
                        smalls[0].extend(feed::small(&pair.reference));
                        smalls[1].extend(feed::small(&pair.shown));
                    }
                    (true, true) => {}
                    (false, false) => break,
                    (more, _) => {
                        longer = Some(if more { Side::Reference } else { Side::Shown });
                        break;
                    }
                }
                // This thread scores, too, whenever the helpers have enough to do.
                match work.try_send(pair) {
                    Ok(()) => {}
                    Err(TrySendError::Full(pair) | TrySendError::Disconnected(pair)) => {
                        worker.score(&pair)?;
                        kept.push(pair);
                    }
                }
            }
            Ok(worker.part())
        };
        let own = read();
        let others: Vec<Result<Part>> =
            threads.into_iter().map(|t| t.join().expect("a worker panicked")).collect();
        std::iter::once(own).chain(others).collect()
    })?;
    let (mut rows, mut missing) = (Vec::new(), BTreeMap::new());
    for (some, reasons) in parts {
        rows.extend(some);
        missing.extend(reasons);
    }
    rows.sort_by_key(|r| r.frame);
    Ok(Scored {
        metrics: options.metrics.clone(),
        notes: options.notes.clone(),
        frames: rows.into_iter().map(|r| r.values).collect(),
        missing,
        longer,
        smalls,
        aligned: None,
        vmaf: None,
    })
}

struct Worker<'a> {
    options: &'a Options,
    scorer: Scorer,
    nets: BTreeMap<Metric, (Net, Lpips)>,
    missing: BTreeMap<Metric, String>,
    rgb: Buffers,
    rows: Vec<Row>,
}

impl<'a> Worker<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let (mut nets, mut missing) = (BTreeMap::new(), BTreeMap::new());
        // Frames are scored side by side: a process for each thread, with one thread.
        let mut process = None;
        for net in Net::ALL {
            let metric = Metric::from_name(net.metric()).expect("every net is a metric");
            if !options.metrics.contains(&metric) {
                continue;
            }
            match weights::find(net.file()) {
                Ok(path) => {
                    let process = match &process {
                        Some(process) => process,
                        None => process.insert(networks::start(1)?),
                    };
                    nets.insert(metric, (net, networks::lpips(process, net, &path, options.cuda)?));
                }
                Err(absent) => {
                    missing.insert(metric, absent.to_string());
                }
            }
        }
        Ok(Self { options, scorer: Scorer::new(), nets, missing, rgb: Buffers::new(), rows: Vec::new() })
    }

    fn part(self) -> Part {
        (self.rows, self.missing)
    }

    fn score(&mut self, pair: &Pair) -> Result<()> {
        let Pair { frame, reference, shown } = pair;
        let mut cloud = None;
        let mut values = Vec::with_capacity(self.options.metrics.len());
        let needs_rgb =
            |m: &Metric| matches!(m, Metric::Psnr | Metric::Ssim | Metric::SsimFull | Metric::MsSsim);
        let rgb =
            if self.options.metrics.iter().any(needs_rgb) { self.rgb.pair(reference, shown) } else { None };
        let mut measured = Vec::with_capacity(self.options.metrics.len());
        for &metric in &self.options.metrics {
            measured.push(match &rgb {
                Some(rgb::Pair::Eight(a, b)) => of_rgb(&mut self.scorer, metric, *a, *b),
                Some(rgb::Pair::Deep(a, b)) => of_rgb(&mut self.scorer, metric, *a, *b),
                None => None,
            });
        }
        for (&metric, of_rgb) in self.options.metrics.iter().zip(measured) {
            let value: Result<f64, String> = match (metric, of_rgb, reference, shown) {
                (_, Some(value), ..) => value,
                (
                    Metric::LpipsVgg | Metric::LpipsAlex | Metric::LpipsSqueeze,
                    _,
                    AnyPicture::Picture(..),
                    AnyPicture::Picture(..),
                ) => {
                    let Some((net, lpips)) = self.nets.get(&metric) else {
                        values.push(None);
                        continue;
                    };
                    let Some((a, b)) = self.rgb.rounded(reference, shown) else {
                        unreachable!("both are pictures")
                    };
                    match net.compares((a.width, a.height), (b.width, b.height)) {
                        Ok(()) => Ok(lpips.distance(a, b)?),
                        Err(reason) => Err(reason),
                    }
                }
                (
                    Metric::FfmpegPsnr | Metric::FfmpegSsim,
                    _,
                    AnyPicture::Picture(a, _),
                    AnyPicture::Picture(b, _),
                ) => {
                    let range = reference.range();
                    self.options.filters.clone().and_then(|filters| {
                        let wide = |p: &Picture| match filters {
                            Filters::Widened(bits) if p.format.bits < bits => Some(widen(p, range, bits)),
                            _ => None,
                        };
                        let (wide_a, wide_b) = (wide(a), wide(b));
                        let (a, b) = (wide_a.as_ref().unwrap_or(a), wide_b.as_ref().unwrap_or(b));
                        text(if metric == Metric::FfmpegSsim {
                            self.scorer.ffmpeg_ssim_of(a, b).map(|s| s.all)
                        } else {
                            self.scorer.ffmpeg_psnr_of(a, b).map(|p| p.avg())
                        })
                    })
                }
                (Metric::DepthRmseMm, _, AnyPicture::Depth(a), AnyPicture::Depth(b)) => {
                    text(metrics::depth_errors(a, b).map(|e| e.rmse_mm))
                }
                (Metric::DepthAbsRel, _, AnyPicture::Depth(a), AnyPicture::Depth(b)) => {
                    text(metrics::depth_errors(a, b).map(|e| e.abs_rel))
                }
                (Metric::DepthDelta1, _, AnyPicture::Depth(a), AnyPicture::Depth(b)) => {
                    text(metrics::depth_errors(a, b).map(|e| e.delta1))
                }
                (Metric::DepthD1 | Metric::DepthD2, _, AnyPicture::Depth(a), AnyPicture::Depth(b)) => {
                    let psnr = cloud.get_or_insert_with(|| match self.options.fov {
                        Some(fov) => {
                            let camera = Intrinsics::from_field_of_view(a.width, a.height, fov);
                            text(metrics::cloud_psnr(a, b, &camera))
                        }
                        None => Err("needs the camera: --fov DEGREES".into()),
                    });
                    psnr.clone().map(|p| if metric == Metric::DepthD1 { p.d1 } else { p.d2 })
                }
                _ => Err("does not apply to these inputs".into()),
            };
            if let Err(reason) = &value {
                self.missing.entry(metric).or_insert_with(|| reason.clone());
            }
            values.push(value.ok());
        }
        self.rows.push(Row { frame: *frame, values });
        Ok(())
    }
}

/// A metric of RGB pictures; `None` if it is not one.
fn of_rgb<P: metrics::RgbPicture>(
    scorer: &mut Scorer,
    metric: Metric,
    a: &P,
    b: &P,
) -> Option<Result<f64, String>> {
    Some(text(match metric {
        Metric::Psnr => scorer.psnr(a, b),
        Metric::Ssim => scorer.ssim(a, b),
        Metric::SsimFull => scorer.ssim_full(a, b),
        Metric::MsSsim => scorer.ms_ssim(a, b),
        _ => return None,
    }))
}

fn text<T>(value: Result<T, MetricError>) -> Result<T, String> {
    value.map_err(|e| e.to_string())
}
