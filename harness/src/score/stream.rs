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
//! Memory holds the queue and the worst pictures, whatever the clip's length, besides what a sweep shares ([`super::shared`]).
//!
//! Any number of runs of a clip may be scored at a time, in one process or several: whoever comes to a pair first claims it, computes it
//! and keeps its values before the claim ends; the others leave it out and find it known at their end.

use super::cache::{code, recall, store};
use super::claims::{Claim, Claims};
use super::pair::{Nets, PairScorer, Variants};
use super::pictures::{self, Meaning, Shown};
use super::shared::{Pictures, Seen, Shared, lock};
use super::strip::strip;
use crate::launch::child::{Failure, Interrupted, interrupted};
use crate::record::Finding;
use contract::table::Table;
use contract::{ClipSpec, FrameRow, Metric, Stream};
use media::Yuv420;
use metrics::Intrinsics;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;
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
    /// Threads that compare pictures; with one, everything is done on the caller's.
    pub threads: usize,
    /// What other scorings may share.
    pub shared: &'a Shared,
    /// The harness has seen the screen itself: each slot's picture in the store is what was there.
    pub watched: bool,
    /// Called after each slot with the number of slots done.
    pub progress: &'a (dyn Fn(u32) + Sync),
}

/// Slots closer to each other than this share one strip: the worst frames of one freeze look alike.
const STRIP_BUCKET: u32 = 15;

impl Job<'_> {
    /// The frame whose picture is on the screen in a slot; none: black. What a harness's screen showed may be no frame at all, and is the
    /// slot's own picture.
    fn on_screen(&self, row: &FrameRow) -> Option<u32> {
        row.shown_frame_id.or(self.watched.then_some(row.frame_id))
    }
}

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

impl Known {
    /// What the pair is known by.
    fn pair(&self) -> Option<u128> {
        Some(pair_key((self.captured?, self.truth), self.shown?))
    }
}

struct Caches {
    captured: Arc<Mutex<Table>>,
    decoded: Arc<Mutex<Table>>,
    scores: Arc<Mutex<Table>>,
}

/// How often a pair that somebody else has in hand is asked for.
const AGAIN: Duration = Duration::from_millis(2);

/// The same error without a [`crate::BadInput`] in it.
fn no_input(error: &anyhow::Error) -> anyhow::Error {
    match error.chain().find_map(|e| e.downcast_ref::<Failure>()) {
        Some(failure) => Failure::error(failure.code, failure.text.clone()),
        None => anyhow::anyhow!("{}", contract::said(&**error)),
    }
}

/// Scores the rows of a stream (in slot order) in place.
///
/// # Errors
/// When the clip or the store cannot be read or decoded.
pub fn score_stream(job: &Job, rows: &mut [&mut FrameRow]) -> anyhow::Result<Vec<Finding>> {
    let captured = job.shared.captured(job.clip, job.stream, job.cache)?;
    let meaning = captured.meaning();
    let screen = if job.watched {
        rows.iter().map(|row| Some(row.frame_id)).collect()
    } else {
        pictures::on_screen(rows.iter().map(|row| &**row))
    };
    let open = || -> anyhow::Result<Option<Shown>> {
        let mut shown = Shown::open(job.dir, job.clip, job.stream, meaning.colour)?;
        shown.iter_mut().for_each(|shown| shown.keep_the_screen(screen.clone()));
        Ok(shown)
    };
    // What a system stored is no input of the user's: whatever is wrong with it is the run's failure.
    let Some(shown) = open().map_err(|e| no_input(&e))? else {
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
    if interrupted() {
        return Err(Interrupted.into());
    }
    let caches = Caches {
        captured: job.shared.table(job.cache, "captured", &clip),
        decoded: job.shared.table(job.cache, "decoded", &clip),
        scores: job.shared.table(job.cache, "scores", &format!("{clip} {meaning:?}")),
    };
    let nothing = black(job, meaning).content_hash();
    let mut known: Vec<Known> = rows.iter().map(|row| look_up(row, &shown, &caches, job, nothing)).collect();
    let needed: Vec<usize> = (0..rows.len()).filter(|&i| !is_known(&known[i], &applicable)).collect();
    (job.progress)(u32::try_from(rows.len() - needed.len()).unwrap_or(u32::MAX));

    let mut worst = Worst::new(job.strips);
    let reopen = || -> anyhow::Result<Option<(Pictures, Shown)>> {
        Ok(open()?.zip(job.shared.captured(job.clip, job.stream, job.cache).ok()).map(|(s, c)| (c, s)))
    };
    let claims = Claims::open(job.cache, xxh3_128(clip.as_bytes()));
    let visit = Visit { job, meaning, wanted: &applicable, caches: &caches, claims };
    let mut sources = (captured, shown);
    let lacking = visit.all(rows, needed, &mut known, &mut worst, &mut sources, &reopen)?;
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
    let surplus = sources.1.surplus(slots)?;
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
    if let Some((_, slots)) = sources.1.compared()
        && let Some(&first) = slots.first()
    {
        let count = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        findings.push(Finding::FrozenStoreDiffers { stream: job.stream, count, first });
    }
    findings.extend(super::still::recount(job, rows, &sources.1)?);
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

fn look_up(row: &FrameRow, shown: &Shown, caches: &Caches, job: &Job, nothing: u128) -> Known {
    let mut known = Known::default();
    let from_hex = |text: &str| u128::from_str_radix(text, 16).ok();
    if let Some((picture, truth)) =
        lock(&caches.captured).get(u128::from(row.frame_id)).and_then(|text| text.split_once(' '))
    {
        (known.captured, known.truth) = (from_hex(picture), from_hex(truth).unwrap_or_default());
    }
    known.shown = match job.on_screen(row) {
        None => Some(nothing),
        Some(frame) => shown.key(frame).and_then(|key| lock(&caches.decoded).get(key).and_then(from_hex)),
    };
    if let Some(key) = known.pair()
        && let Some(text) = lock(&caches.scores).get(key)
    {
        known.values = parse_values(text, job.variants);
    }
    known
}

/// One stream's scoring, at work.
struct Visit<'a> {
    job: &'a Job<'a>,
    meaning: Meaning,
    wanted: &'a [Metric],
    caches: &'a Caches,
    claims: Claims,
}

/// A slot to be compared.
struct Pair<'a> {
    slot: usize,
    frame: u32,
    key: u128,
    captured: Arc<Seen>,
    shown: Arc<Yuv420>,
    /// What is known of it, LPIPS among it.
    values: BTreeMap<Metric, f64>,
    claim: Claim<'a>,
}

/// What a pass over the slots came to.
#[derive(Default)]
struct Passed {
    /// Slots whose pair somebody else has in hand.
    elsewhere: Vec<usize>,
    /// Frames whose picture the store lacks.
    lacking: Vec<u32>,
}

/// A slot and its values.
type Scored = (usize, anyhow::Result<BTreeMap<Metric, f64>>);

impl<'a> Visit<'a> {
    /// Decodes and compares the needed slots, and waits for those that others are comparing; gives the frames whose picture the store
    /// lacks.
    fn all(
        &self,
        rows: &[&mut FrameRow],
        needed: Vec<usize>,
        known: &mut [Known],
        worst: &mut Worst,
        sources: &mut (Pictures<'a>, Shown),
        reopen: &dyn Fn() -> anyhow::Result<Option<(Pictures<'a>, Shown)>>,
    ) -> anyhow::Result<Vec<u32>> {
        let mut lacking = Vec::new();
        let mut needed = needed;
        loop {
            let passed = self.pass(rows, &needed, known, worst, sources)?;
            lacking.extend(passed.lacking);
            needed = self.wait(passed.elsewhere, known)?;
            if needed.is_empty() {
                return Ok(lacking);
            }
            // Who had them in hand did not bring them to an end.
            match reopen()? {
                Some(again) => *sources = again,
                None => anyhow::bail!("the store of pictures is gone"),
            }
        }
    }

    /// Waits until the pairs of these slots are known; gives those that nobody computes any more.
    fn wait(&self, slots: Vec<usize>, known: &mut [Known]) -> anyhow::Result<Vec<usize>> {
        let mut left = slots;
        let unknown = |slot: usize, known: &mut [Known]| {
            self.recall(&mut known[slot]);
            let done = is_known(&known[slot], self.wanted);
            (self.job.progress)(u32::from(done));
            !done
        };
        loop {
            lock(&self.caches.scores).refresh();
            left.retain(|&slot| unknown(slot, known));
            let free = |slot: &usize| known[*slot].pair().is_none_or(|key| self.claims.take(key).is_some());
            if left.iter().any(free) {
                // What has just been given up may have been finished just before.
                lock(&self.caches.scores).refresh();
                left.retain(|&slot| unknown(slot, known));
                return Ok(left);
            }
            if left.is_empty() {
                return Ok(left);
            }
            if interrupted() {
                return Err(Interrupted.into());
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Looks up what is known of a pair.
    fn recall(&self, known: &mut Known) {
        if let Some(key) = known.pair()
            && let Some(text) = lock(&self.caches.scores).get(key)
        {
            known.values = parse_values(text, self.job.variants);
        }
    }

    /// Goes through the slots in their order, decodes, and compares what nobody else is comparing: here, or on the threads of the job.
    fn pass(
        &self,
        rows: &[&mut FrameRow],
        needed: &[usize],
        known: &mut [Known],
        worst: &mut Worst,
        (captured, shown): &mut (Pictures, Shown),
    ) -> anyhow::Result<Passed> {
        let job = self.job;
        let results: Mutex<Vec<Scored>> = Mutex::default();
        let keeper = Mutex::new(worst);
        let compare = |scorer: &mut PairScorer, pair: Pair| {
            let outcome = self.compare(scorer, &pair, &keeper);
            drop(pair.claim);
            lock(&results).push((pair.slot, outcome));
            (job.progress)(1);
        };
        let compare = &compare;
        let helpers = if job.threads > 1 { job.threads } else { 0 };
        let (to_helpers, from_producer) = sync_channel::<Pair>(job.threads * 2);
        let from_producer = Mutex::new(from_producer);
        let passed = std::thread::scope(|scope| -> anyhow::Result<Passed> {
            for _ in 0..helpers {
                scope.spawn(|| {
                    let mut scorer = PairScorer::new(job.camera);
                    loop {
                        // The lock is held only while waiting for the next pair.
                        let next = lock(&from_producer).recv();
                        let Ok(pair) = next else { return };
                        compare(&mut scorer, pair);
                    }
                });
            }
            // Dropped at the end of the scope's closure, also on an error: the helpers then end.
            let to_helpers = to_helpers;
            let mut scorer = PairScorer::new(job.camera);
            let mut passed = Passed::default();
            let mut in_hand = BTreeSet::new();
            for &slot in needed {
                let row = &rows[slot];
                let seen = captured.frame(row.frame_id)?;
                known[slot].truth = seen.truth;
                if known[slot].captured.replace(seen.hash).is_none() {
                    self.note_captured(row.frame_id, &seen);
                }
                let picture = match job.on_screen(row) {
                    None => Some(black(job, self.meaning)),
                    Some(frame) => shown.picture(row.frame_id, frame)?,
                };
                let Some(picture) = picture else {
                    passed.lacking.push(row.frame_id);
                    (job.progress)(1);
                    continue;
                };
                let hash = picture.content_hash();
                if known[slot].shown.replace(hash).is_none()
                    && let Some(feed) = row.shown_frame_id.and_then(|f| shown.key(f))
                {
                    let mut decoded = lock(&self.caches.decoded);
                    if decoded.get(feed).is_none() {
                        decoded.put(feed, hex(hash));
                    }
                }
                let key = pair_key((seen.hash, seen.truth), hash);
                let claim = if in_hand.insert(key) { self.claims.take(key) } else { None };
                let Some(claim) = claim else {
                    passed.elsewhere.push(slot);
                    continue;
                };
                // The pair may be known although its pictures' hashes were not, or since a moment ago.
                lock(&self.caches.scores).refresh();
                self.recall(&mut known[slot]);
                if is_known(&known[slot], self.wanted) {
                    (job.progress)(1);
                    continue;
                }
                let mut values = known[slot].values.clone();
                if !job.nets.is_empty() && job.stream == Stream::Rgb {
                    let pair = (&seen.shot.picture, &picture);
                    values.extend(scorer.lpips(self.meaning, pair, job.nets, self.wanted)?);
                }
                let shown = Arc::new(picture);
                let pair = Pair { slot, frame: row.frame_id, key, captured: seen, shown, values, claim };
                if helpers == 0 {
                    compare(&mut scorer, pair);
                } else if to_helpers.send(pair).is_err() {
                    anyhow::bail!("the threads that compare pictures are gone");
                }
            }
            Ok(passed)
        })?;
        for (slot, values) in results.into_inner().unwrap_or_default() {
            known[slot].values = values?;
        }
        Ok(passed)
    }

    /// All values of a pair, which are kept before anybody else may compute them.
    fn compare(
        &self,
        scorer: &mut PairScorer,
        pair: &Pair,
        keeper: &Mutex<&mut Worst>,
    ) -> anyhow::Result<BTreeMap<Metric, f64>> {
        let shot = &pair.captured.shot;
        let mut values = pair.values.clone();
        values.extend(scorer.score(self.job.stream, self.meaning, (shot, &pair.shown), self.wanted)?);
        for &metric in self.wanted {
            values.entry(metric).or_insert(f64::NAN);
        }
        lock(&self.caches.scores).put(pair.key, format_values(&values, self.job.variants));
        let pictures = (pair.captured.clone(), pair.shown.clone());
        lock(keeper).offer(pair.frame, values.get(&Metric::Psnr).copied(), Some(pictures));
        Ok(values)
    }

    fn note_captured(&self, frame: u32, seen: &Seen) {
        let key = u128::from(frame);
        // Whoever has this claim notes the same.
        let Some(_claim) = self.claims.take(xxh3_128(&key.to_le_bytes())) else { return };
        let mut captured = lock(&self.caches.captured);
        captured.refresh();
        if captured.get(key).is_none() {
            captured.put(key, format!("{} {}", hex(seen.hash), hex(seen.truth)));
        }
    }
}

/// The worst slots so far, at most one per bucket, with their pictures where they were at hand.
pub(super) struct Worst {
    keep: usize,
    buckets: BTreeMap<u32, Candidate>,
}

struct Candidate {
    frame: u32,
    psnr: f64,
    pictures: Option<(Arc<Seen>, Arc<Yuv420>)>,
}

impl Worst {
    fn new(keep: usize) -> Self {
        Self { keep, buckets: BTreeMap::new() }
    }

    /// A bucket that was given up comes back only with a still worse frame, so the final choice does not depend on the order.
    fn offer(&mut self, frame: u32, psnr: Option<f64>, pictures: Option<(Arc<Seen>, Arc<Yuv420>)>) {
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
fn write_strips<'a>(
    job: &Job,
    rows: &[&mut FrameRow],
    known: &[Known],
    mut worst: Worst,
    meaning: Meaning,
    reopen: &dyn Fn() -> anyhow::Result<Option<(Pictures<'a>, Shown)>>,
) -> anyhow::Result<()> {
    for row in rows {
        worst.offer(row.frame_id, row.metrics.get(&Metric::Psnr).copied(), None);
    }
    let folder = job.dir.join("strips");
    let mut again: Option<(Pictures<'a>, Shown)> = None;
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
            let (seen, picture) = match candidate.pictures {
                Some(pictures) => pictures,
                None => {
                    if again.is_none() {
                        again = reopen()?;
                    }
                    let Some((captured, shown)) = &mut again else { continue };
                    let seen = captured.frame(candidate.frame)?;
                    let picture = match job.on_screen(rows[slot]) {
                        None => Some(black(job, meaning)),
                        Some(frame) => shown.picture(candidate.frame, frame)?,
                    };
                    let Some(picture) = picture else { continue };
                    (seen, Arc::new(picture))
                }
            };
            let bytes = strip(&seen.shot.picture, &picture, meaning.colour)?;
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
