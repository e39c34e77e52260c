//! Scoring against what the codec really did: a clip, a store of units, and a record made by hand.

use codecs::{Codec, Decoder, Encoder, EncoderConfig, VideoDecoder, VideoEncoder};
use contract::scores::Scores;
use contract::units::{Entry, UnitsHeader, UnitsWriter};
use contract::{Backend, ClipSpec, Event, EventKind as K, Metric, RunSpec, Side, Status, Stream};
use freezeframe::report::load::Run;
use freezeframe::score::{Options, score_run};
use link::Timestamp;
use media::convert::{Colour, Range, to_rgb};
use media::depth::DepthView;
use media::y4m::{Header, Writer};
use media::{Depth16, Yuv420};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const SIZE: usize = 192;
const FRAMES: u32 = 24;
const GOP: u32 = 8;
/// Frames that were lost on the way, and with them those up to the next key frame.
const LOST: [u32; 2] = [11, 22];

/// A moving pattern that a codec has to work for.
fn picture(frame: u32) -> Yuv420 {
    let mut p = Yuv420::filled(SIZE, SIZE, (0, 128, 128));
    let t = frame as usize;
    for y in 0..SIZE {
        for x in 0..SIZE {
            let value = 60 + (x + 3 * t) % 97 + (y * 2 + t) % 61 + (x * y + t * 7) % 23;
            p.y[y * SIZE + x] = u8::try_from(value.clamp(16, 235)).unwrap();
        }
    }
    for (i, (u, v)) in p.u.iter_mut().zip(&mut p.v).enumerate() {
        *u = u8::try_from(100 + (i + t) % 50).unwrap();
        *v = u8::try_from(110 + (i / 3 + t) % 40).unwrap();
    }
    p
}

fn write_clip(path: &Path) {
    let mut writer =
        Writer::new(BufWriter::new(File::create(path).unwrap()), Header::new(SIZE, SIZE, (30, 1))).unwrap();
    (0..FRAMES).for_each(|f| writer.write(&picture(f)).unwrap());
    writer.finish().unwrap();
}

struct Made {
    dir: PathBuf,
    /// What the receiver's decoder gave, per frame fed.
    decoded: Vec<Option<Yuv420>>,
    /// Captured frame on the screen in each slot.
    shown: Vec<Option<u32>>,
}

/// A run directory as a system would leave it: frames of a broken group of pictures are not fed to the decoder.
fn make_run(root: &Path, name: &str) -> Made {
    let (dir, clip) = (root.join(name), root.join("clip.y4m"));
    std::fs::create_dir_all(&dir).unwrap();
    if !clip.is_file() {
        write_clip(&clip);
    }
    let side = u32::try_from(SIZE).unwrap();
    let mut encoder = Encoder::new(&EncoderConfig::revo("h264", side, side, 30)).unwrap();
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    let header = UnitsHeader::new("h264", (side, side, 30));
    let mut store = UnitsWriter::create(&dir.join("rendered.rgb.units"), &header).unwrap();
    let mut events = BufWriter::new(File::create(dir.join("events.jsonl")).unwrap());
    let mut log = |t: u64, side: Side, kind: K| {
        let event = Event { t_ns: Timestamp(t), side, kind };
        writeln!(events, "{}", serde_json::to_string(&event).unwrap()).unwrap();
    };
    let stream = Stream::Rgb;
    let (mut decoded, mut shown) = (Vec::new(), Vec::new());
    let (mut broken, mut screen, mut screen_hash) = (false, None, None);
    for frame in 0..FRAMES {
        let t = u64::from(frame) * 33_333_333;
        let key = frame % GOP == 0;
        let unit = encoder.encode(frame, &picture(frame), key).unwrap();
        log(t, Side::Sender, K::Captured { frame });
        let bytes = u32::try_from(unit.bytes.len()).unwrap();
        log(t + 1, Side::Sender, K::Encoded { frame, stream, bytes, key: Some(key) });
        broken = LOST.contains(&frame) || (broken && !key);
        let picture = if broken {
            None
        } else {
            store.append(&Entry::whole(frame, key, unit.qp, unit.bytes.clone())).unwrap();
            log(t + 5, Side::Receiver, K::Complete { frame, stream, recovered: 0 });
            decoder.decode(frame, &unit).unwrap()
        };
        let hash = picture.as_ref().map(|p| format!("{:032x}", p.content_hash()));
        if picture.is_some() {
            log(t + 6, Side::Receiver, K::Decoded { frame, stream, picture: hash.clone() });
            (screen, screen_hash) = (Some(frame), hash);
        }
        let status = if picture.is_some() { Status::Rendered } else { Status::Frozen };
        let slot = K::Slot { frame, stream, status, shown: screen, picture: screen_hash.clone() };
        log(t + 150_000_000, Side::Receiver, slot);
        decoded.push(picture);
        shown.push(screen);
    }
    store.finish().unwrap();
    events.flush().unwrap();
    spec(&clip, None).write(&dir).unwrap();
    Made { dir, decoded, shown }
}

fn spec(clip: &Path, depth: Option<&Path>) -> RunSpec {
    let side = u32::try_from(SIZE).unwrap();
    RunSpec {
        system: "hand-made".parse().unwrap(),
        backend: Backend::Virtual,
        shaper: contract::Shaping::Auto,
        seed: 7,
        revision: "test".into(),
        replay: "freezeframe run clean --system hand-made --seed 7".into(),
        capture_start_ns: 0,
        warm_ns: 0,
        captured_from_ns: None,
        playout_ns: Some(contract::Playout::DEFAULT),
        cache: None,
        clip: ClipSpec {
            name: "pattern".parse().unwrap(),
            label: None,
            rgb: clip.to_owned(),
            depth: depth.map(Path::to_owned),
            depth_range_mm: depth.map(|_| (400, 4000)),
            depth_per_metre: None,
            depth_fov_degrees: None,
            width: side,
            height: side,
            fps: 30,
            frames: FRAMES,
            hash: "0123".into(),
            depth_hash: None,
        },
        costs: contract::Costs::default(),
        given: Default::default(),
        options: toml::Table::new(),
        identity: contract::Identity::default(),
        scenario: toml::from_str("name = \"clean\"\ndescription = \"nothing is lost\"").unwrap(),
    }
}

fn options(cache: Option<PathBuf>) -> Options {
    Options { cache, threads: 2, ..Options::default() }
}

/// Scores a run whose files are the test's own: they are sealed as they are.
fn sealed_score(dir: &Path, options: &Options, progress: &(dyn Fn(u32) + Sync)) -> anyhow::Result<Scores> {
    contract::seal::Seal::evidence(dir)?;
    score_run(dir, options, progress)
}

fn scored(made: &Made, options: &Options) -> (Scores, Run) {
    let scores = sealed_score(&made.dir, options, &|_| {}).unwrap();
    (scores, Run::load(&made.dir).unwrap())
}

#[test]
fn scores_are_those_of_the_pictures_that_were_on_the_screen() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let (scores, run) = scored(&made, &options(None));
    assert_eq!(scores.warnings, []);
    assert!(scores.health.valid);
    for row in &run.rows {
        let shown = made.shown[row.frame_id as usize].unwrap();
        let on_screen = made.decoded[shown as usize].as_ref().unwrap();
        let (a, b) = (to_rgb(&picture(row.frame_id), Colour::BT601), to_rgb(on_screen, Colour::BT601));
        assert_eq!(row.metrics[&Metric::Psnr], metrics::psnr(&a, &b).unwrap(), "slot {}", row.frame_id);
        assert_eq!(row.metrics[&Metric::Ssim], metrics::ssim(&a, &b).unwrap());
        assert_eq!(row.metrics[&Metric::MsSsim], metrics::ms_ssim(&a, &b).unwrap());
    }
    let rgb = &scores.streams[&Stream::Rgb];
    let frozen = made.decoded.iter().filter(|p| p.is_none()).count();
    assert_eq!(rgb.frozen as usize, frozen);
    assert_eq!(rgb.frozen_runs.terminal, 2, "the clip ends frozen");
    assert_eq!(
        rgb.frozen_runs.terminal_ns,
        2 * 33_333_333,
        "the slots in which nothing new came, not one more"
    );
    assert_eq!((rgb.startup_ns, rgb.never_rendered), (Some(150_000_000), false));
    // A hand-made record without packets: what was sent is unknown, what was encoded is known.
    assert_eq!((scores.bitrate.payload_bps, scores.bitrate.redundancy), (None, None));
    assert!(scores.bitrate.media_bps.is_some());
    assert!(run.dir.join("strips").read_dir().unwrap().count() >= 2, "the worst frames are kept as pictures");
}

#[test]
fn a_second_scoring_gives_equal_bytes_and_decodes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let read = |name: &str| std::fs::read(made.dir.join(name)).unwrap();
    let (cold, cached) = (options(None), options(Some(root.path().join("cache"))));
    scored(&made, &cold);
    let first = (read("scores.json"), read("frames.csv"));
    scored(&made, &cached);
    assert_eq!((read("scores.json"), read("frames.csv")), first, "the cache changes nothing");
    let strips = |dir: &Path| -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> =
            std::fs::read_dir(dir.join("strips")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
            .iter()
            .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(p).unwrap()))
            .collect()
    };
    let pictures = strips(&made.dir);
    // A clip in which every picture is black: whoever decodes it scores otherwise.
    let clip = root.path().join("clip.y4m");
    let mut writer = Writer::new(File::create(&clip).unwrap(), Header::new(SIZE, SIZE, (30, 1))).unwrap();
    (0..FRAMES).for_each(|_| writer.write(&Yuv420::black(SIZE, SIZE)).unwrap());
    writer.finish().unwrap();
    scored(&made, &cached);
    assert_eq!((read("scores.json"), read("frames.csv")), first);
    assert_eq!(strips(&made.dir), pictures);
    scored(&made, &cold);
    assert_ne!(read("frames.csv"), first.1, "the test can see a difference");
}

#[test]
fn pictures_other_than_those_reported_are_found() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let path = made.dir.join("events.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let true_hash = format!("{:032x}", made.decoded[3].as_ref().unwrap().content_hash());
    std::fs::write(&path, text.replace(&true_hash, &"0".repeat(32))).unwrap();
    let (scores, run) = scored(&made, &options(None));
    assert!(!scores.health.valid);
    assert_eq!(scores.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), ["redecode_differs"]);
    assert_eq!(run.rows[3].shown_picture.as_ref(), Some(&true_hash), "the row keeps what was really shown");
}

#[test]
fn a_video_with_one_picture_per_slot_is_scored_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let (_, from_units) = scored(&made, &options(None));
    std::fs::remove_file(made.dir.join("rendered.rgb.units")).unwrap();
    let video = File::create(made.dir.join("rendered.rgb.y4m")).unwrap();
    let mut writer = Writer::new(BufWriter::new(video), Header::new(SIZE, SIZE, (30, 1))).unwrap();
    for shown in &made.shown {
        writer.write(made.decoded[shown.unwrap() as usize].as_ref().unwrap()).unwrap();
    }
    writer.finish().unwrap();
    let (_, from_video) = scored(&made, &options(None));
    assert_eq!(from_video.rows, from_units.rows);
}

#[test]
fn depth_is_scored_as_a_view_and_in_millimetres() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let folder = root.path().join("depth");
    std::fs::create_dir_all(&folder).unwrap();
    let view = DepthView::new(400, 4000).unwrap();
    let depth = |frame: u32| Depth16 {
        width: SIZE,
        height: SIZE,
        mm: (0..SIZE * SIZE)
            .map(|i| u16::try_from(500 + (i % SIZE) * 10 + (i / SIZE) * 5 + 4 * frame as usize).unwrap())
            .collect(),
    };
    let video = File::create(made.dir.join("rendered.depth.y4m")).unwrap();
    let mut writer = Writer::new(BufWriter::new(video), Header::new(SIZE, SIZE, (30, 1))).unwrap();
    let mut events = std::fs::OpenOptions::new().append(true).open(made.dir.join("events.jsonl")).unwrap();
    for frame in 0..FRAMES {
        media::still::write_depth16(&folder.join(format!("{frame:04}.png")), &depth(frame)).unwrap();
        // Everything is shown one frame late.
        let shown = frame.saturating_sub(1);
        let picture = view.to_yuv420(&depth(shown), Range::Limited);
        writer.write(&picture).unwrap();
        let status = if frame == 0 { Status::Rendered } else { Status::Frozen };
        let kind = K::Slot { frame, stream: Stream::Depth, status, shown: Some(shown), picture: None };
        let event = Event {
            t_ns: Timestamp(u64::from(frame) * 33_333_333 + 150_000_000),
            side: Side::Receiver,
            kind,
        };
        writeln!(events, "{}", serde_json::to_string(&event).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    spec(&root.path().join("clip.y4m"), Some(&folder)).write(&made.dir).unwrap();
    let (scores, run) = scored(&made, &options(None));
    assert_eq!(scores.warnings, []);
    let row = run.stream(Stream::Depth).nth(5).unwrap();
    let back = view.to_depth16(&view.to_yuv420(&depth(4), Range::Limited), Range::Limited);
    let truth = metrics::depth_errors(&depth(5), &back).unwrap();
    assert_eq!(row.metrics[&Metric::DepthRmseMm], truth.rmse_mm);
    assert_eq!(row.metrics[&Metric::DepthDelta1], truth.delta1);
    // Point clouds, with a camera that is assumed, asked for, or the clip's; the cache keeps them apart.
    let clouds = |fov: Option<f64>| {
        let metrics = vec![Metric::Psnr, Metric::DepthD1, Metric::DepthD2];
        let with = Options { metrics, fov, ..options(Some(root.path().join("cache"))) };
        let (scores, run) = scored(&made, &with);
        let row = run.stream(Stream::Depth).nth(5).unwrap().clone();
        assert!(scores.streams[&Stream::Depth].quality.contains_key(&Metric::DepthD2));
        assert!(run.stream(Stream::Rgb).all(|r| !r.metrics.contains_key(&Metric::DepthD1)));
        (row.metrics[&Metric::DepthD1], row.metrics[&Metric::DepthD2], scores.definitions["depth_d1"].clone())
    };
    let expected = |fov| {
        let camera = metrics::Intrinsics::from_field_of_view(SIZE, SIZE, fov);
        let c = metrics::cloud_psnr(&depth(5), &back, &camera).unwrap();
        (c.d1, c.d2)
    };
    for (asked, fov, words) in [
        (None, 70.0, "70 degrees horizontally, assumed"),
        (Some(40.0), 40.0, "40 degrees horizontally, as asked"),
    ] {
        let (d1, d2, definition) = clouds(asked);
        assert_eq!((d1, d2), expected(fov));
        assert!(definition.contains(words), "{definition}");
    }
    let mut own = spec(&root.path().join("clip.y4m"), Some(&folder));
    own.clip.depth_fov_degrees = Some(55.0);
    own.write(&made.dir).unwrap();
    let (d1, d2, definition) = clouds(None);
    assert_eq!((d1, d2), expected(55.0));
    assert!(definition.contains("the clip's"), "{definition}");
    // The 8-bit view is grey: its RGB picture has three equal channels, and the same scores.
    let rgb = |f| to_rgb(&view.to_yuv420(&depth(f), Range::Limited), Colour::BT601);
    assert_eq!(row.metrics[&Metric::Psnr], metrics::psnr(&rgb(5), &rgb(4)).unwrap());
    assert!((row.metrics[&Metric::Ssim] - metrics::ssim(&rgb(5), &rgb(4)).unwrap()).abs() < 1e-12);
}

/// Beyond the farthest depth of its interval the 8-bit view is one picture; the metric depth behind it is not.
#[test]
fn depth_pictures_of_one_view_have_errors_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let folder = root.path().join("depth");
    std::fs::create_dir_all(&folder).unwrap();
    let view = DepthView::new(400, 4000).unwrap();
    let depth = |frame: u32| Depth16 {
        width: SIZE,
        height: SIZE,
        mm: vec![4100 + 100 * u16::try_from(frame).unwrap(); SIZE * SIZE],
    };
    let video = File::create(made.dir.join("rendered.depth.y4m")).unwrap();
    let mut writer = Writer::new(BufWriter::new(video), Header::new(SIZE, SIZE, (30, 1))).unwrap();
    let mut events = std::fs::OpenOptions::new().append(true).open(made.dir.join("events.jsonl")).unwrap();
    let picture = view.to_yuv420(&depth(0), Range::Limited);
    for frame in 0..FRAMES {
        media::still::write_depth16(&folder.join(format!("{frame:04}.png")), &depth(frame)).unwrap();
        assert_eq!(view.to_yuv420(&depth(frame), Range::Limited), picture, "one view");
        writer.write(&picture).unwrap();
        let kind = K::Slot {
            frame,
            stream: Stream::Depth,
            status: Status::Rendered,
            shown: Some(frame),
            picture: None,
        };
        let t_ns = Timestamp(u64::from(frame) * 33_333_333 + 150_000_000);
        let event = Event { t_ns, side: Side::Receiver, kind };
        writeln!(events, "{}", serde_json::to_string(&event).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    spec(&root.path().join("clip.y4m"), Some(&folder)).write(&made.dir).unwrap();
    let cached = options(Some(root.path().join("cache")));
    let errors = || -> Vec<f64> {
        let (_, run) = scored(&made, &cached);
        run.stream(Stream::Depth).map(|r| r.metrics[&Metric::DepthRmseMm]).collect()
    };
    // The view's farthest code reads back as 4000 mm.
    let expected: Vec<f64> = (0..FRAMES).map(|f| f64::from(100 + 100 * f)).collect();
    assert_eq!(errors(), expected);
    assert_eq!(errors(), expected, "from the cache, too");
}

/// A full-range clip is black at code 0: against black at code 16, a wholly black clip would not score 80 dB.
#[test]
fn before_any_picture_the_screen_is_black_in_the_clips_own_range() {
    for (range, code) in [(Range::Full, 0), (Range::Limited, 16)] {
        let root = tempfile::tempdir().unwrap();
        let clip = root.path().join("black.y4m");
        let header = Header { range, ..Header::new(SIZE, SIZE, (30, 1)) };
        let mut writer = Writer::new(BufWriter::new(File::create(&clip).unwrap()), header).unwrap();
        (0..FRAMES).for_each(|_| writer.write(&Yuv420::filled(SIZE, SIZE, (code, 128, 128))).unwrap());
        writer.finish().unwrap();
        let made = make_run(root.path(), "run");
        spec(&clip, None).write(&made.dir).unwrap();
        let mut events = BufWriter::new(File::create(made.dir.join("events.jsonl")).unwrap());
        for frame in 0..FRAMES {
            let t = u64::from(frame) * 33_333_333;
            let slot =
                K::Slot { frame, stream: Stream::Rgb, status: Status::Frozen, shown: None, picture: None };
            for (t, side, kind) in
                [(t, Side::Sender, K::Captured { frame }), (t + 150_000_000, Side::Receiver, slot)]
            {
                let event = Event { t_ns: Timestamp(t), side, kind };
                writeln!(events, "{}", serde_json::to_string(&event).unwrap()).unwrap();
            }
        }
        events.flush().unwrap();
        let (scores, run) = scored(&made, &options(None));
        assert!(run.rows.iter().all(|r| r.metrics[&Metric::Psnr] == 80.0), "{range:?}");
        // And a session that never shows anything is not one without freezes.
        let rgb = &scores.streams[&Stream::Rgb];
        assert_eq!((rgb.startup_ns, rgb.never_rendered), (None, true));
        let whole = u64::from(FRAMES) * 33_333_333;
        assert_eq!(rgb.startup_penalised_ns, 150_000_000 + whole);
        let stalls = rgb.freezes["stall200"];
        assert_eq!((stalls.count, stalls.total_ns, stalls.ratio), (1, whole, 1.0));
        assert_eq!((rgb.freezes["w3c"].count, rgb.frozen_runs.terminal_ns), (0, whole));
    }
}

#[test]
fn a_missing_store_or_a_damaged_one_is_said_plainly() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let store = made.dir.join("rendered.rgb.units");
    let bytes = std::fs::read(&store).unwrap();
    std::fs::write(&store, &bytes[..bytes.len() - 9]).unwrap();
    let error = format!("{:#}", sealed_score(&made.dir, &options(None), &|_| {}).unwrap_err());
    assert!(error.contains("rendered.rgb.units") && error.contains("ends inside a unit"), "{error}");
    assert!(!made.dir.join("scores.json").exists(), "no half result");
    std::fs::remove_file(&store).unwrap();
    let (scores, _) = scored(&made, &options(None));
    assert!(scores.warnings.iter().any(|w| w.code == "store_missing") && !scores.health.valid);
    assert!(scores.streams[&Stream::Rgb].quality.is_empty());
}

#[test]
fn progress_counts_every_slot_once() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let cached = options(Some(root.path().join("cache")));
    for _ in 0..2 {
        let done = AtomicU32::new(0);
        sealed_score(&made.dir, &cached, &|n| {
            done.fetch_add(n, Ordering::Relaxed);
        })
        .unwrap();
        assert_eq!(done.into_inner(), FRAMES);
    }
}

#[test]
fn lpips_without_weights_leaves_the_column_empty_and_says_so() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let nowhere = root.path().join("no-weights");
    let metrics = vec![Metric::Psnr, Metric::LpipsVgg];
    let options = Options { metrics, lpips_weights: Some(nowhere.clone()), ..options(None) };
    let (scores, run) = scored(&made, &options);
    assert!(run.rows.iter().all(|r| !r.metrics.contains_key(&Metric::LpipsVgg)));
    let said = &scores.warnings[0].text;
    assert!(said.starts_with("lpips_vgg is left empty") && said.contains("no-weights"), "{said}");
    assert!(scores.health.valid);
}

#[test]
fn lpips_finds_its_weights_and_agrees_with_the_net_itself() {
    use models::lpips::{Lpips, Net};
    let Ok(weights) = freezeframe::cmd::weights::find(Net::Squeeze.file()) else {
        return testing::skip!("lpips", "{} is nowhere", Net::Squeeze.file());
    };
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let cache = root.path().join("cache");
    let wanted = Options { metrics: vec![Metric::Psnr, Metric::LpipsSqueeze], ..options(Some(cache)) };
    let (scores, run) = scored(&made, &wanted);
    assert_eq!(scores.warnings, []);
    let net = Lpips::load(Net::Squeeze, &weights, tch::Device::Cpu).unwrap();
    for slot in [0usize, 12, 23] {
        let shown = made.decoded[made.shown[slot].unwrap() as usize].as_ref().unwrap();
        let truth = to_rgb(&picture(u32::try_from(slot).unwrap()), Colour::BT601);
        let expected = net.distance(&truth, &to_rgb(shown, Colour::BT601)).unwrap();
        let got = run.rows[slot].metrics[&Metric::LpipsSqueeze];
        assert!((got - expected).abs() <= 1e-6 * expected.max(1e-3), "slot {slot}: {got} {expected}");
    }
    // Known pairs are not computed again, and weights that are not there give no value, whatever the cache knows.
    assert_eq!(scored(&made, &wanted).1.rows, run.rows);
    let without = Options { lpips_weights: Some(root.path().into()), ..wanted };
    let (scores, run) = scored(&made, &without);
    assert_eq!(scores.warnings[0].code, "metric_missing");
    assert!(run.rows.iter().all(|r| !r.metrics.contains_key(&Metric::LpipsSqueeze)));
}

#[test]
fn point_clouds_of_a_clip_without_metric_depth_are_left_empty_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let made = make_run(root.path(), "run");
    let options = Options { metrics: vec![Metric::Psnr, Metric::DepthD1], ..options(None) };
    let (scores, run) = scored(&made, &options);
    assert!(run.rows.iter().all(|r| !r.metrics.contains_key(&Metric::DepthD1)));
    let said = &scores.warnings[0].text;
    assert!(said.starts_with("depth_d1 is left empty") && said.contains("millimetres"), "{said}");
}
