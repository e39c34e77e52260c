//! What a lane gives is what its encoder alone gives, asked for the same: whatever is kept of other streams, and wherever encoders begin anew.

use codecs::registry::{self, CodecEntry};
use codecs::{Codec, EncoderConfig, Quantisers, RateControl, Unit, VpxSettings};
use contract::{ClipSpec, Stream};
use media::Yuv420;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use sut_core::Worker;
use systems::encode::{EncodeLane, EncodeWorker, OpenPictures, Pictures, Source};
use systems::jobs::EncodeJob;

const SIZE: (u32, u32) = (96, 64);
const FRAMES: u32 = 60;

/// A pattern that moves, so that frames refer to each other, over noise that does not.
fn picture(frame: u32) -> Yuv420 {
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    let mut picture = Yuv420::black(width, height);
    for (i, y) in picture.y.iter_mut().enumerate() {
        let (column, row) = ((i % width) as u32, (i / width) as u32);
        let noise = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(frame * 97) >> 29;
        *y = (16 + ((column + 2 * frame) / 5 * 37 + (row + frame) / 7 * 91) % 180 + noise) as u8;
    }
    picture
}

/// The clip, which counts the pictures that are taken from it, those that are skipped not.
struct Clip(u32, Arc<AtomicUsize>);

impl Source for Clip {
    fn next(&mut self) -> anyhow::Result<Option<Yuv420>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0 += 1;
        Ok(Some(picture(self.0 - 1)))
    }

    fn pass_over(&mut self) -> anyhow::Result<bool> {
        self.0 += 1;
        Ok(true)
    }
}

fn opener(taken: &Arc<AtomicUsize>) -> OpenPictures {
    let taken = taken.clone();
    Box::new(move || -> anyhow::Result<Pictures> { Ok(Box::new(Clip(0, taken.clone()))) })
}

fn clip() -> ClipSpec {
    let (width, height) = SIZE;
    toml::from_str(&format!(
        "name = 'made-up'\nrgb = 'nowhere.mkv'\nhash = '0123'\nwidth = {width}\nheight = {height}\nfps = 30\nframes = {FRAMES}"
    ))
    .unwrap()
}

fn h264(slices: u32, qp: Quantisers) -> (&'static CodecEntry, EncoderConfig) {
    let config = EncoderConfig::revo("h264", SIZE.0, SIZE.1, 30);
    (&registry::H264, EncoderConfig { slices, gop: 10, rate: RateControl::ConstantQp(qp), ..config })
}

/// What the encoder alone gives.
fn alone((codec, config): &(&'static CodecEntry, EncoderConfig), jobs: &[EncodeJob]) -> Vec<Unit> {
    let mut encoder = (codec.encoder)(config).unwrap();
    let one = |job: &EncodeJob| {
        if let Some(bps) = job.target_bps {
            encoder.set_rate(bps).unwrap();
        }
        encoder.encode(job.frame, &picture(job.frame), job.key).unwrap()
    };
    jobs.iter().map(one).collect()
}

/// What a lane gives, and how many pictures of the clip it took.
fn lane(
    (codec, config): &(&'static CodecEntry, EncoderConfig),
    kept: Option<(&Path, bool)>,
    jobs: &[EncodeJob],
) -> (Vec<Unit>, usize) {
    let taken = Arc::new(AtomicUsize::new(0));
    let (stream, open, config) = (Stream::Rgb, opener(&taken), config.clone());
    let lane = match kept {
        None => EncodeLane::live(stream, codec, config, open),
        Some((dir, false)) => EncodeLane::kept(stream, codec, config, open, dir, &clip()).unwrap(),
        Some((dir, true)) => EncodeLane::on_the_grid(stream, codec, config, open, dir, &clip()).unwrap(),
    };
    let mut worker = EncodeWorker::new(vec![lane], Duration::ZERO);
    let before = taken.load(Ordering::Relaxed);
    let units = jobs.iter().map(|job| worker.run(job.clone()).unwrap().unit).collect();
    (units, taken.load(Ordering::Relaxed) - before)
}

fn job(frame: u32, key: bool) -> EncodeJob {
    EncodeJob { frame, stream: Stream::Rgb, key, target_bps: None }
}

/// As ReVo's sender asks: a key frame every ten, put off where frames are dropped.
fn with_drops(dropped: &[u32]) -> Vec<EncodeJob> {
    let mut due = false;
    let mut ask = |frame: u32| {
        due |= frame.is_multiple_of(10);
        let sent = !dropped.contains(&frame);
        let key = sent && due;
        due &= !sent;
        sent.then(|| job(frame, key))
    };
    (0..FRAMES).filter_map(&mut ask).collect()
}

/// A stream that leaves the grid is encoded anew up to its next key frame. What comes then has been encoded, but for marks: once for every
/// number of dropped frames, or less.
#[test]
fn a_dropped_frame_costs_its_group_of_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let codec = h264(1, Quantisers::both(30));
    let grid = with_drops(&[]);
    assert_eq!(lane(&codec, Some((dir.path(), true)), &grid), (alone(&codec, &grid), 0));
    // Dropped; how many pictures are taken from the clip at most.
    for (dropped, most) in [
        (vec![33], 9 + 20), // its group, and two with the marks of one frame less
        (vec![34], 9),
        (vec![30], 9),     // the key frame itself
        (vec![39], 0),     // none of its group refers to it
        (vec![3], 9 + 30), // nor the three after it with these marks
        (vec![11, 47], 9 + 9 + 10),
        ((20..30).collect(), 30), // a whole group: the numbers of key frames show as well
        ((20..30).chain([55]).collect(), 9),
    ] {
        let jobs = with_drops(&dropped);
        let (units, taken) = lane(&codec, Some((dir.path(), true)), &jobs);
        assert!(units == alone(&codec, &jobs), "{dropped:?}");
        assert!(taken <= most, "{dropped:?}: {taken} pictures taken");
        assert_eq!(lane(&codec, Some((dir.path(), true)), &jobs), (units, 0), "{dropped:?}, again");
    }
}

fn codecs_tried() -> Vec<(&'static CodecEntry, EncoderConfig)> {
    let libvpx = |codec, drop_below| {
        let mut config = EncoderConfig::vpx(codec, SIZE.0, SIZE.1, 30, 60_000);
        config.vpx = config.vpx.map(|vpx| VpxSettings { drop_below, ..vpx });
        (registry::of(codec), config)
    };
    let h265 = EncoderConfig { gop: 10, ..EncoderConfig::revo("h265", SIZE.0, SIZE.1, 30) };
    let own_rate = EncoderConfig { rate: RateControl::Cbr(80_000), ..h264(1, Quantisers::both(30)).1 };
    vec![
        h264(1, Quantisers::both(30)),
        h264(4, Quantisers { key: Some(22), other: 35 }),
        (&registry::H264, own_rate),
        (&registry::H265, h265),
        libvpx(Codec::Vp8, 30),
        libvpx(Codec::Vp9, 0),
    ]
}

/// Which frames are asked for, which as key frames, and, of libvpx, at which rates.
fn requests() -> impl Strategy<Value = Vec<(bool, bool, Option<u64>)>> {
    let rate = prop::option::weighted(0.1, prop::sample::select(vec![30_000u64, 60_000, 90_000]));
    let one = (prop::bool::weighted(0.85), prop::bool::weighted(0.08), rate);
    prop::collection::vec(one, 5..FRAMES as usize)
}

fn jobs(codec: &CodecEntry, gop: u32, requests: &[(bool, bool, Option<u64>)]) -> Vec<EncodeJob> {
    let libvpx = codec.libraries.contains(&"libvpx");
    let ask = |(frame, &(sent, key, rate)): (u32, &(bool, bool, Option<u64>))| {
        let key = key || frame == 0 || (gop > 0 && frame.is_multiple_of(gop));
        sent.then(|| EncodeJob { target_bps: rate.filter(|_| libvpx), ..job(frame, key) })
    };
    (0..).zip(requests).filter_map(ask).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// Streams one after the other, each in part like those before it, with one cache: every unit is the encoder's own.
    #[test]
    fn what_is_kept_is_what_the_encoder_gives(
        streams in prop::collection::vec((requests(), any::<prop::sample::Index>()), 1..5),
    ) {
        for codec in codecs_tried() {
            let dir = tempfile::tempdir().unwrap();
            let mut earlier: Vec<(bool, bool, Option<u64>)> = Vec::new();
            for (requests, cut) in &streams {
                // Begins as the stream before it, and goes on otherwise.
                let same = cut.index(earlier.len() + 1);
                let requests: Vec<_> =
                    earlier[..same].iter().chain(requests).take(FRAMES as usize).copied().collect();
                let jobs = jobs(codec.0, codec.1.gop, &requests);
                let wanted = alone(&codec, &jobs);
                for kept in [None, Some((dir.path(), codec.1.gop > 0)), Some((dir.path(), false))] {
                    let (units, _) = lane(&codec, kept, &jobs);
                    for (at, (got, wanted)) in units.iter().zip(&wanted).enumerate() {
                        prop_assert!(
                            got == wanted,
                            "{} {:?}: request {at}, {:?}, of {jobs:?}", codec.0.name, codec.1, jobs[at]
                        );
                    }
                    prop_assert_eq!(units.len(), wanted.len());
                }
                earlier = requests;
            }
        }
    }
}
