//! Scores one stream of a run: plans which pairs are still unknown, decodes what those need, compares in parallel.
//!
//! ```text
//!  plan ─▶ every pair known? ─▶ done, nothing decoded
//!            │ no
//!            ▼
//!  captured ─┐ in slot order          ┌─▶ worker ─┐
//!            ├─▶ pairs ─▶ short queue ┼─▶ worker ─┼─▶ values, cache, worst pictures
//!  shown ────┘                        └─▶ worker ─┘
//! ```
//! Memory holds the queue and the worst pictures, whatever the clip's length.

use super::cache::{Table, code, recall, store};
use super::pair::{Nets, PairScorer, Variants};
use super::pictures::{self, Captured, Meaning, Shot, Shown};
use super::strip::strip;
use crate::launch::child::{Interrupted, interrupted};
use crate::record::Finding;
use contract::lock::Lock;
use contract::{ClipSpec, FrameRow, Metric, Stream};
use media::Yuv420;
use metrics::Intrinsics;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use xxhash_rust::xxh3::xxh3_128;

/// What scoring a stream needs to know.
pub struct Job<'a> {
    /// The run's directory.
    pub dir: &'a Path,
    /// What was captured.
    pub clip: &'a ClipSpec,
    /// Which of its pictures.
    pub stream: Stream,
    /// Metrics asked for.
    pub wanted: &'a [Metric],
    /// Loaded LPIPS nets.
    pub nets: &'a Nets,
    /// What tells a cached value from one of other weights or another camera.
    pub variants: &'a Variants,
    /// What depth is projected back with.
    pub camera: Intrinsics,
    /// Cache folder.
    pub cache: Option<&'a Path>,
    /// How many picture strips to keep.
    pub strips: usize,
    /// Threads that compare pictures.
    pub threads: usize,
    /// Called after each slot with the number of slots done.
    pub progress: &'a (dyn Fn(u32) + Sync),
}

/// Slots closer to each other than this share one strip: the worst frames of one freeze look alike.
const STRIP_BUCKET: u32 = 15;

/// What is known of a slot.
#[derive(Clone, Debug, Default)]
struct Known {
    captured: Option<u128>,
    /// Hash of the metric depth behind the captured picture.
    truth: u128,
    shown: Option<u128>,
    /// NaN: there is none (a depth picture in which nothing was measured has no depth error).
    values: BTreeMap<Metric, f64>,
}

struct Caches {
    captured: Table,
    decoded: Table,
    scores: Table,
}

/// Scores the rows of a stream (in slot order) in place.
///
/// # Errors
/// When the clip or the store cannot be read or decoded.
pub fn score_stream(job: &Job, rows: &mut [&mut FrameRow]) -> anyhow::Result<Vec<Finding>> {
    let mut captured = Captured::open(job.clip, job.stream)?;
    let meaning = captured.meaning();
    let open = || Shown::open(job.dir, job.clip, job.stream, meaning.colour);
    // What a system stored is no input of the user's: whatever is wrong with it is the run's failure.
    let Some(mut shown) = open().map_err(|e| anyhow::anyhow!("{}", contract::said(&*e)))? else {
        return Ok(if rows.iter().any(|r| r.is_shown()) {
            vec![Finding::StoreMissing { stream: job.stream }]
        } else {
            Vec::new()
        });
    };
    let applicable: Vec<Metric> = job.wanted.iter().copied().filter(|m| applies(*m, job, meaning)).collect();
    let clip = format!(
        "{} {} {}x{}@{}",
        job.clip.pictures(job.stream),
        job.stream.name(),
        job.clip.width,
        job.clip.height,
        job.clip.fps
    );
    // Runs of one clip share most of their pictures: one scores them, the others then find them known. Without a cache that
    // can be written, everybody for himself.
    let _one_at_a_time = job.cache.and_then(|dir| {
        let lock = dir.join("locks").join(format!("{:032x}.lock", xxh3_128(clip.as_bytes())));
        Lock::take(&lock, &interrupted).ok()
    });
    if interrupted() {
        return Err(Interrupted.into());
    }
    let mut caches = Caches {
        captured: Table::open(job.cache, "captured", &clip),
        decoded: Table::open(job.cache, "decoded", &clip),
        scores: Table::open(job.cache, "scores", &format!("{clip} {meaning:?}")),
    };
    let mut known: Vec<Known> = rows.iter().map(|row| look_up(row, &shown, &caches, job, meaning)).collect();
    let needed: Vec<usize> = (0..rows.len()).filter(|&i| !is_known(&known[i], &applicable)).collect();
    (job.progress)(u32::try_from(rows.len() - needed.len()).unwrap_or(u32::MAX));

    let mut worst = Worst::new(job.strips);
    let lacking = visit(
        job,
        rows,
        &needed,
        (&mut captured, &mut shown),
        meaning,
        &applicable,
        &mut known,
        &mut caches,
        &mut worst,
    )?;
    for (row, known) in rows.iter_mut().zip(&known) {
        row.captured_picture = known.captured.map(hex);
        for (&metric, &value) in known.values.iter().filter(|(m, v)| applicable.contains(m) && !v.is_nan()) {
            row.metrics.insert(metric, value);
        }
    }
    let mut findings = Vec::new();
    if let Some(&first) = lacking.first() {
        let count = u32::try_from(lacking.len()).unwrap_or(u32::MAX);
        findings.push(Finding::StoreLacks { stream: job.stream, count, first });
    }
    let slots = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let surplus = shown.surplus(slots)?;
    if surplus > 0 {
        let pictures = slots.saturating_add(surplus);
        findings.push(Finding::StoreSurplus { stream: job.stream, pictures, slots });
    }
    let differs: Vec<u32> = rows
        .iter()
        .zip(&known)
        .filter(|(r, k)| {
            r.shown_frame_id.is_some()
                && k.shown.is_some_and(|h| r.shown_picture.as_ref().is_some_and(|p| *p != hex(h)))
        })
        .map(|(r, _)| r.frame_id)
        .collect();
    if let Some(&first) = differs.first() {
        let count = u32::try_from(differs.len()).unwrap_or(u32::MAX);
        findings.push(Finding::RedecodeDiffers { stream: job.stream, count, first });
    }
    for (row, known) in rows.iter_mut().zip(&known) {
        if let (Some(hash), true) = (known.shown, row.shown_frame_id.is_some()) {
            row.shown_picture = Some(hex(hash)); // what was really decoded, whatever was claimed
        }
    }
    findings.extend(super::still::recount(job, rows)?);
    let reopen = || -> anyhow::Result<Option<(Captured, Shown)>> {
        Ok(open()?.zip(Captured::open(job.clip, job.stream).ok()).map(|(s, c)| (c, s)))
    };
    write_strips(job, rows, &known, worst, meaning, &reopen)?;
    Ok(findings)
}

fn applies(metric: Metric, job: &Job, meaning: Meaning) -> bool {
    let lpips = matches!(metric, Metric::LpipsVgg | Metric::LpipsAlex | Metric::LpipsSqueeze);
    match job.stream {
        Stream::Rgb if lpips => job.nets.contains_key(&metric),
        Stream::Rgb => !metric.name().starts_with("depth"),
        Stream::Depth if metric.name().starts_with("depth") => meaning.view.is_some(),
        Stream::Depth => !lpips && !matches!(metric, Metric::FfmpegPsnr | Metric::FfmpegSsim),
    }
}

fn is_known(known: &Known, wanted: &[Metric]) -> bool {
    known.captured.is_some() && known.shown.is_some() && wanted.iter().all(|m| known.values.contains_key(m))
}

fn look_up(row: &FrameRow, shown: &Shown, caches: &Caches, job: &Job, meaning: Meaning) -> Known {
    let mut known = Known::default();
    let from_hex = |text: &str| u128::from_str_radix(text, 16).ok();
    if let Some((picture, truth)) =
        caches.captured.get(u128::from(row.frame_id)).and_then(|text| text.split_once(' '))
    {
        (known.captured, known.truth) = (from_hex(picture), from_hex(truth).unwrap_or_default());
    }
    known.shown = match row.shown_frame_id {
        None => Some(black(job, meaning).content_hash()),
        Some(frame) => shown.key(frame).and_then(|key| caches.decoded.get(key)).and_then(from_hex),
    };
    if let (Some(a), Some(b)) = (known.captured, known.shown)
        && let Some(text) = caches.scores.get(pair_key((a, known.truth), b))
    {
        known.values = parse_values(text, job.variants);
    }
    known
}

/// Decodes and compares the needed slots; gives the slots whose picture the store lacks.
#[allow(clippy::too_many_arguments)] // one caller, and a struct would only rename the list
fn visit(
    job: &Job,
    rows: &[&mut FrameRow],
    needed: &[usize],
    (captured, shown): (&mut Captured, &mut Shown),
    meaning: Meaning,
    wanted: &[Metric],
    known: &mut [Known],
    caches: &mut Caches,
    worst: &mut Worst,
) -> anyhow::Result<Vec<u32>> {
    let mut lacking = Vec::new();
    let (to_workers, from_producer) = sync_channel::<Pair>(job.threads * 2);
    let from_producer = Mutex::new(from_producer);
    let results: Mutex<Vec<Scored>> = Mutex::new(Vec::new());
    let keeper = Mutex::new(worst);
    let mut lpips = PairScorer::new(job.camera);
    let mut lpips_values: BTreeMap<usize, BTreeMap<Metric, f64>> = BTreeMap::new();
    // What the workers may see; LPIPS is asked for on this thread.
    let (stream, progress, camera) = (job.stream, job.progress, job.camera);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        for _ in 0..job.threads {
            scope.spawn(|| {
                let mut scorer = PairScorer::new(camera);
                loop {
                    // The lock is held only while waiting for the next pair.
                    let next = from_producer.lock().map(|queue| queue.recv());
                    let Ok(Ok(pair)) = next else { return };
                    let values = scorer.score(stream, meaning, (&pair.captured, &pair.shown), wanted);
                    if let (Ok(values), Ok(mut keeper)) = (&values, keeper.lock()) {
                        keeper.offer(
                            pair.frame,
                            values.get(&Metric::Psnr).copied(),
                            Some((pair.captured, pair.shown)),
                        );
                    }
                    if let Ok(mut results) = results.lock() {
                        results.push((pair.slot, values));
                    }
                    progress(1);
                }
            });
        }
        // Dropped at the end of the scope's closure, also on an error: the workers then end.
        let to_workers = to_workers;
        for &slot in needed {
            let row = &rows[slot];
            let shot = captured.frame(row.frame_id)?;
            let (hash, truth) = (shot.picture.content_hash(), shot.truth_hash());
            known[slot].truth = truth;
            if known[slot].captured.replace(hash).is_none() {
                caches.captured.put(u128::from(row.frame_id), format!("{} {}", hex(hash), hex(truth)));
            }
            let picture = match row.shown_frame_id {
                None => Some(black(job, meaning)),
                Some(frame) => shown.picture(row.frame_id, frame)?,
            };
            let Some(picture) = picture else {
                lacking.push(row.frame_id);
                (job.progress)(1);
                continue;
            };
            let hash = picture.content_hash();
            if known[slot].shown.replace(hash).is_none()
                && let Some(key) = row.shown_frame_id.and_then(|f| shown.key(f))
                && caches.decoded.get(key).is_none()
            {
                caches.decoded.put(key, hex(hash));
            }
            // The pair may be known although its pictures' hashes were not.
            if let (Some(a), Some(b)) = (known[slot].captured, known[slot].shown)
                && let Some(text) = caches.scores.get(pair_key((a, truth), b))
            {
                known[slot].values = parse_values(text, job.variants);
                if is_known(&known[slot], wanted) {
                    (job.progress)(1);
                    continue;
                }
            }
            if !job.nets.is_empty() && job.stream == Stream::Rgb {
                lpips_values.insert(slot, lpips.lpips(meaning, (&shot.picture, &picture), job.nets, wanted)?);
            }
            let pair = Pair { slot, frame: row.frame_id, captured: Arc::new(shot), shown: Arc::new(picture) };
            if to_workers.send(pair).is_err() {
                anyhow::bail!("the threads that compare pictures are gone");
            }
        }
        Ok(())
    })?;
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(slot, _)| *slot); // the cache file is then the same whatever the threads did
    for (slot, values) in results {
        let mut values = values?;
        values.append(&mut lpips_values.remove(&slot).unwrap_or_default());
        for &metric in wanted {
            values.entry(metric).or_insert(f64::NAN);
        }
        known[slot].values.append(&mut values);
        if let (Some(a), Some(b)) = (known[slot].captured, known[slot].shown) {
            caches
                .scores
                .put(pair_key((a, known[slot].truth), b), format_values(&known[slot].values, job.variants));
        }
    }
    caches.captured.save();
    caches.decoded.save();
    caches.scores.save();
    Ok(lacking)
}

/// A slot and its values.
type Scored = (usize, anyhow::Result<BTreeMap<Metric, f64>>);

struct Pair {
    slot: usize,
    frame: u32,
    captured: Arc<Shot>,
    shown: Arc<Yuv420>,
}

/// The worst slots so far, at most one per bucket, with their pictures where they were at hand.
pub(super) struct Worst {
    keep: usize,
    buckets: BTreeMap<u32, Candidate>,
}

struct Candidate {
    frame: u32,
    psnr: f64,
    pictures: Option<(Arc<Shot>, Arc<Yuv420>)>,
}

impl Worst {
    fn new(keep: usize) -> Self {
        Self { keep, buckets: BTreeMap::new() }
    }

    /// A bucket that was given up comes back only with a still worse frame, so the final choice does not depend on the order.
    fn offer(&mut self, frame: u32, psnr: Option<f64>, pictures: Option<(Arc<Shot>, Arc<Yuv420>)>) {
        let Some(psnr) = psnr else { return };
        let bucket = frame / STRIP_BUCKET;
        let better = self.buckets.get(&bucket).is_none_or(|c| (psnr, frame) < (c.psnr, c.frame));
        if self.keep == 0 || !better {
            return;
        }
        self.buckets.insert(bucket, Candidate { frame, psnr, pictures });
        if self.buckets.len() > self.keep {
            let best = self
                .buckets
                .iter()
                .max_by(|a, b| a.1.psnr.total_cmp(&b.1.psnr).then(a.1.frame.cmp(&b.1.frame)));
            if let Some(bucket) = best.map(|(b, _)| *b) {
                self.buckets.remove(&bucket);
            }
        }
    }
}

/// Writes `strips/<stream>-<frame>.jpg` for the worst slots: from pictures at hand, from the cache, or by a second look.
fn write_strips(
    job: &Job,
    rows: &[&mut FrameRow],
    known: &[Known],
    mut worst: Worst,
    meaning: Meaning,
    reopen: &dyn Fn() -> anyhow::Result<Option<(Captured, Shown)>>,
) -> anyhow::Result<()> {
    for row in rows {
        worst.offer(row.frame_id, row.metrics.get(&Metric::Psnr).copied(), None);
    }
    let folder = job.dir.join("strips");
    let mut again: Option<(Captured, Shown)> = None;
    let chosen: Vec<Candidate> = worst.buckets.into_values().collect();
    let last = rows.last().map_or(0, |r| r.frame_id);
    for candidate in chosen {
        let Some(slot) = rows.iter().position(|r| r.frame_id == candidate.frame) else { continue };
        let cached = job.cache.zip(known[slot].captured.zip(known[slot].shown)).map(|(dir, (a, b))| {
            let name = format!("{}-{:032x}.jpg", job.stream.name(), pair_key((a, 0), b));
            dir.join("strips").join(&code()[..16]).join(name)
        });
        let ready = cached.as_ref().and_then(|path| recall(path));
        let jpeg = if let Some(bytes) = ready {
            bytes
        } else {
            let (shot, picture) = match candidate.pictures {
                Some(pictures) => pictures,
                None => {
                    if again.is_none() {
                        again = reopen()?;
                    }
                    let Some((captured, shown)) = &mut again else { continue };
                    let shot = captured.frame(candidate.frame)?;
                    let picture = match rows[slot].shown_frame_id {
                        None => Some(black(job, meaning)),
                        Some(frame) => shown.picture(candidate.frame, frame)?,
                    };
                    let Some(picture) = picture else { continue };
                    (Arc::new(shot), Arc::new(picture))
                }
            };
            let bytes = strip(&shot.picture, &picture, meaning.colour)?;
            if let Some(path) = &cached {
                store(path, &bytes);
            }
            bytes
        };
        std::fs::create_dir_all(&folder)?;
        let digits = last.to_string().len().max(6);
        std::fs::write(folder.join(format!("{}-{:0digits$}.jpg", job.stream.name(), candidate.frame)), jpeg)?;
    }
    Ok(())
}

fn black(job: &Job, meaning: Meaning) -> Yuv420 {
    pictures::black((job.clip.width as usize, job.clip.height as usize), meaning.colour.range)
}

/// A captured picture with the metric depth behind it, and a shown one.
fn pair_key((captured, truth): (u128, u128), shown: u128) -> u128 {
    xxh3_128(&[captured, truth, shown].map(u128::to_le_bytes).concat())
}

fn hex(hash: u128) -> String {
    format!("{hash:032x}")
}

/// Bits, not decimals: what comes back is what was computed.
fn format_values(values: &BTreeMap<Metric, f64>, variants: &Variants) -> String {
    let one = |(m, v): (&Metric, &f64)| match variants.get(m) {
        Some(variant) => format!("{}@{variant}={:016x}", m.name(), v.to_bits()),
        None => format!("{}={:016x}", m.name(), v.to_bits()),
    };
    let parts: Vec<String> = values.iter().map(one).collect();
    parts.join(" ")
}

/// Values of other variants than these are skipped.
fn parse_values(text: &str, variants: &Variants) -> BTreeMap<Metric, f64> {
    let parse = |part: &str| {
        let (name, bits) = part.split_once('=')?;
        let (name, variant) = name.split_once('@').map_or((name, None), |(n, v)| (n, Some(v)));
        let metric = Metric::from_name(name)?;
        if variants.get(&metric).map(String::as_str) != variant {
            return None;
        }
        Some((metric, f64::from_bits(u64::from_str_radix(bits, 16).ok()?)))
    };
    text.split(' ').filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_worst_are_the_same_in_every_order(psnr in prop::collection::vec(10u32..60, 1..200), seed in any::<u64>()) {
            let frames: Vec<(u32, f64)> = (0u32..).zip(psnr.iter().map(|p| f64::from(*p))).collect();
            let choose = |order: &[(u32, f64)]| {
                let mut worst = Worst::new(3);
                order.iter().for_each(|(f, p)| worst.offer(*f, Some(*p), None));
                worst.buckets.values().map(|c| c.frame).collect::<Vec<_>>()
            };
            let mut shuffled = frames.clone();
            let mut state = seed | 1;
            for i in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                shuffled.swap(i, (state >> 33) as usize % (i + 1));
            }
            prop_assert_eq!(choose(&frames), choose(&shuffled));
        }

        #[test]
        fn cached_values_come_back_to_the_bit(psnr in any::<f64>(), ssim in any::<f64>()) {
            let values = BTreeMap::from([(Metric::Psnr, psnr), (Metric::Ssim, ssim)]);
            let none = Variants::new();
            let back = parse_values(&format_values(&values, &none), &none);
            prop_assert_eq!(back[&Metric::Psnr].to_bits(), psnr.to_bits());
            prop_assert_eq!(back[&Metric::Ssim].to_bits(), ssim.to_bits());
            // What depends on a camera or on weights is another value with others.
            let camera = |degrees: &str| Variants::from([(Metric::Psnr, degrees.to_owned())]);
            let text = format_values(&values, &camera("70deg"));
            prop_assert!(parse_values(&text, &camera("70deg")).contains_key(&Metric::Psnr));
            prop_assert!(!parse_values(&text, &camera("60deg")).contains_key(&Metric::Psnr));
            prop_assert!(!parse_values(&text, &none).contains_key(&Metric::Psnr));
        }
    }
}
