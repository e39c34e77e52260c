//! Targets for files. A user may hand in anything; each is refused with a reason, never with a panic.

use crate::{Target, outcome, outcome_of};
use contract::frames::{FrameRow, read_frames, write_frames};
use contract::seal::{Seal, SealError};
use contract::units::{Entry, UnitsHeader, UnitsReader, UnitsWriter};
use contract::{Backend, ClipSpec, Event, EventKind, Manifest, RunSpec, Scenario, Scores, Side, Stream};
use link::trace::{Format, Trace};
use link::{Bitrate, ByteCount, Link, LinkSpec, Probability, Span, Timestamp};
use media::{Rgb, Yuv420, still, y4m};
use std::path::{Path, PathBuf};

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "trace-columns", seeds: columns_seeds, run: |i| trace(Format::Revo, i) },
    Target { name: "trace-mahimahi", seeds: mahimahi_seeds, run: |i| trace(Format::Mahimahi, i) },
    Target { name: "trace-table", seeds: table_seeds, run: |i| trace(Format::Csv, i) },
    Target { name: "trace-guess", seeds: guess_seeds, run: guess },
    Target { name: "scenario", seeds: scenario_seeds, run: scenario },
    Target { name: "link", seeds: link_seeds, run: link },
    Target { name: "units-of-measure", seeds: measure_seeds, run: measure },
    Target { name: "manifest", seeds: manifest_seeds, run: manifest },
    Target { name: "run-spec", seeds: spec_seeds, run: run_spec },
    Target { name: "scores", seeds: scores_seeds, run: scores },
    Target { name: "seal", seeds: seal_seeds, run: seal },
    Target { name: "events", seeds: event_seeds, run: events },
    Target { name: "frames-csv", seeds: frames_seeds, run: frames_csv },
    Target { name: "units", seeds: units_seeds, run: units },
    Target { name: "y4m", seeds: y4m_seeds, run: y4m },
    Target { name: "png", seeds: png_seeds, run: png },
];

fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}

/// A file that only this process uses; the parser under test wants a path.
fn as_file<T>(extension: &str, input: &[u8], run: impl Fn(&Path) -> T) -> T {
    // In memory where that is possible: a disk would be most of the time.
    thread_local!(static FOLDER: tempfile::TempDir = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir()).expect("a temporary folder"));
    FOLDER.with(|folder| {
        let path = folder.path().join(format!("input.{extension}"));
        std::fs::write(&path, input).expect("the temporary folder is writable");
        run(&path)
    })
}

fn columns_seeds() -> Vec<Vec<u8>> {
    let plain = "0.000 20.59 14.0ms 0.00\n0.015 4.71 37.0ms 0.25\n0.030 18.72 7.5ms -0.03\n";
    vec![plain.into(), plain.replace(' ', "\t").into(), format!("# comment\n\n{plain}").into()]
}

fn mahimahi_seeds() -> Vec<Vec<u8>> {
    vec![b"0\n1\n1\n5\n12\n".to_vec(), b"3\n3\n3\n".to_vec()]
}

fn table_seeds() -> Vec<Vec<u8>> {
    vec![
        b"time_s,rate_mbps,rtt_ms,loss\n0,20.59,14.0,0.00\n1.5e-2,4.71,37.0,0.25\n".to_vec(),
        b"\xef\xbb\xbfTime (ms);Bandwidth (kbps)\r\n1700000000000;1500,5\r\n1700000000100;2000\r\n".to_vec(),
        b"seconds\tmbps\towd_ms\tloss_percent\n0\t1\t7\t2\n".to_vec(),
    ]
}

fn guess_seeds() -> Vec<Vec<u8>> {
    let other =
        [&b"{\"intervals\": []}"[..], b"0.0 2.83\n", b"12 # 1504\n", b"\xff\xfe0\0", b"name = \"x\"\n"];
    let other = other.map(<[u8]>::to_vec);
    columns_seeds().into_iter().chain(mahimahi_seeds()).chain(table_seeds()).chain(other).collect()
}

/// What a file is taken for, it can be read as or not, and what is read can be written.
fn guess(input: &[u8]) -> u64 {
    let trace = Format::guess("fuzz", input).and_then(|format| Trace::parse("fuzz", format, input));
    if let Ok(trace) = &trace {
        for format in [Format::Revo, Format::Csv] {
            let _ = trace.write(format, Span::from_millis(100));
        }
    }
    let named = Trace::read_columns("fuzz", "time_s,rate_mbps", input);
    outcome_of(&trace, |_| 1) ^ outcome_of(&named, |_| 1).rotate_left(9)
}

fn trace(format: Format, input: &[u8]) -> u64 {
    outcome_of(&Trace::parse("fuzz", format, input), |_| 1)
}

/// The shipped scenarios, as TOML.
fn scenario_seeds() -> Vec<Vec<u8>> {
    Scenario::shipped().iter().filter_map(|s| toml::to_string(s).ok()).map(String::into_bytes).collect()
}

fn scenario(input: &[u8]) -> u64 {
    outcome_of(&Scenario::parse("fuzz", &text(input), Path::new("")), |s| usize::from(s.target.is_some()))
}

fn link_seeds() -> Vec<Vec<u8>> {
    let ways = Scenario::shipped().into_iter().flat_map(|s| [s.forward, s.reverse]);
    ways.filter_map(|l| toml::to_string(&l).ok()).map(String::into_bytes).collect()
}

/// A description that is accepted must give a link that runs.
fn link(input: &[u8]) -> u64 {
    let spec: LinkSpec = match toml::from_str(&text(input)) {
        Ok(spec) => spec,
        Err(error) => return outcome(error.message()),
    };
    let loaded = spec.clone();
    let made = spec.validate().and_then(|()| {
        let mut spec = loaded.clone();
        spec.load(Path::new(""))?;
        Link::new(&spec, 1)
    });
    let mut link = match made {
        Ok(link) => link,
        Err(error) => return outcome(&error.to_string()),
    };
    let mut now = Timestamp::ZERO;
    let mut delivered = 0;
    for id in 0..200u64 {
        now = Timestamp(now.as_nanos() + id * 100_000);
        let _ = link.enqueue(now, id, 40 + (id as u32 * 37) % 1460);
        while link.next_delivery().is_some_and(|at| at <= now) {
            delivered += usize::from(link.deliver(now).is_some());
        }
    }
    2 + u64::from(delivered.checked_ilog2().unwrap_or(0))
}

fn measure_seeds() -> Vec<Vec<u8>> {
    ["20ms", "1.5s", "150k", "20.59Mbit/s", "2500kbit", "12.5%", "0.03", "64KiB", "33us"]
        .map(|s| s.as_bytes().to_vec())
        .into()
}

fn measure(input: &[u8]) -> u64 {
    let text = text(input);
    let all = [
        outcome_of(&text.parse::<Span>(), |s| s.as_nanos() as usize),
        outcome_of(&text.parse::<Bitrate>(), |b| b.as_bps() as usize),
        outcome_of(&text.parse::<ByteCount>(), |b| b.0 as usize),
        outcome_of(&text.parse::<Probability>(), |p| p.parts() as usize),
    ];
    all.iter().fold(0, |a, b| a.rotate_left(7) ^ b)
}

fn manifest_seeds() -> Vec<Vec<u8>> {
    vec![b"name = \"x\"\nabout = \"y\"\ncommand = [\"sut\", \"x\"]\n".to_vec()]
}

fn manifest(input: &[u8]) -> u64 {
    outcome_of(&Manifest::parse("fuzz.toml", &text(input)), |_| 1)
}

fn spec_seeds() -> Vec<Vec<u8>> {
    let clip = ClipSpec {
        name: "x".parse().expect("a name"),
        label: None,
        rgb: "x.mp4".into(),
        depth: Some("x.mkv".into()),
        depth_range_mm: Some((400, 2000)),
        depth_per_metre: None,
        depth_fov_degrees: None,
        width: 64,
        height: 64,
        fps: 30,
        frames: 9,
        hash: "0".to_owned(),
        depth_hash: Some("1".to_owned()),
    };
    let spec = |scenario| RunSpec {
        system: "revo-h264".parse().expect("a name"),
        backend: Backend::Virtual,
        shaper: contract::Shaping::Auto,
        seed: 1,
        revision: "r".to_owned(),
        replay: "freezeframe run x".to_owned(),
        capture_start_ns: 0,
        warm_ns: 0,
        captured_from_ns: None,
        playout_ns: None,
        cache: None,
        clip: clip.clone(),
        costs: contract::Costs::default(),
        given: Default::default(),
        options: toml::Table::new(),
        scenario,
        identity: contract::Identity::default(),
    };
    Scenario::shipped()
        .into_iter()
        .filter_map(|s| toml::to_string(&spec(s)).ok())
        .map(String::into_bytes)
        .collect()
}

fn run_spec(input: &[u8]) -> u64 {
    match toml::from_str::<RunSpec>(&text(input)) {
        Ok(spec) => {
            let _ = (spec.interval_ns(), spec.clip.streams());
            1
        }
        Err(error) => outcome(error.message()),
    }
}

/// Of a run of eight frames with two streams, shortened; and another version's.
fn scores_seeds() -> Vec<Vec<u8>> {
    let whole = include_bytes!("../seeds/scores.json");
    assert_eq!(scores(whole), 1, "the seed is one that is read");
    vec![whole.to_vec(), br#"{"schema":1,"run":{"system":"x"},"frames":3}"#.to_vec()]
}

fn scores(input: &[u8]) -> u64 {
    outcome_of(&as_file("json", input, Scores::read), |_| 1)
}

fn seal_seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["spec.toml", "events.jsonl"] {
        std::fs::write(folder.path().join(name), name).expect("a temporary file");
    }
    Seal::evidence(folder.path()).expect("a temporary file");
    vec![std::fs::read(folder.path().join(contract::seal::FILE_NAME)).expect("a temporary file")]
}

/// Names in a seal are files that are read: none may lead out of the run's folder.
fn seal(input: &[u8]) -> u64 {
    let folder =
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
    let path = folder.path().join(contract::seal::FILE_NAME);
    std::fs::write(path, input).expect("the temporary folder is writable");
    let kind = |e: &SealError| std::mem::discriminant(e);
    let read = Seal::read(folder.path());
    let checked = read.as_ref().map(|seal| seal.check_evidence(folder.path()));
    let word =
        format!("{:?} {:?}", read.as_ref().err().map(kind), checked.ok().map(|c| c.err().as_ref().map(kind)));
    outcome(&word)
}

fn event_seeds() -> Vec<Vec<u8>> {
    let kinds = [
        EventKind::Captured { frame: 1 },
        EventKind::Encoded { frame: 1, stream: Stream::Rgb, bytes: 10, key: Some(true) },
        EventKind::Decoded { frame: 1, stream: Stream::Depth, picture: None },
        EventKind::Note { text: "x".to_owned() },
    ];
    let event = |kind| Event { t_ns: Timestamp(5), side: Side::Sender, kind };
    kinds.into_iter().filter_map(|k| serde_json::to_vec(&event(k)).ok()).collect()
}

fn events(input: &[u8]) -> u64 {
    let parsed: Result<Event, _> = serde_json::from_slice(input);
    if let Ok(event) = &parsed {
        let text = serde_json::to_string(event).expect("an event can be written");
        assert_eq!(serde_json::from_str::<Event>(&text).expect("and read again"), *event);
    }
    outcome_of(&parsed, |e| e.kind.frame().is_some().into())
}

fn frames_seeds() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let rows = [FrameRow::new(0, Stream::Rgb), FrameRow::new(0, Stream::Depth)];
    write_frames(&mut out, &rows).expect("memory");
    vec![out]
}

fn frames_csv(input: &[u8]) -> u64 {
    outcome_of(&read_frames(input), Vec::len)
}

fn units_seeds() -> Vec<Vec<u8>> {
    as_file("units", &[], |path: &Path| {
        let header = UnitsHeader::new("h264", (64, 64, 30));
        let mut writer = UnitsWriter::create(path, &header).expect("a temporary file");
        for frame in 0..3 {
            writer.append(&Entry::whole(frame, frame == 0, 30, vec![7; 50])).expect("a temporary file");
        }
        writer.finish().expect("a temporary file");
        vec![std::fs::read(path).expect("a temporary file")]
    })
}

fn units(input: &[u8]) -> u64 {
    as_file("units", input, |path: &Path| match UnitsReader::open(path) {
        Ok(mut reader) => loop {
            match reader.read() {
                Ok(Some(_)) => {}
                Ok(None) => return 1,
                Err(error) => return without_path(&error, path),
            }
        },
        Err(error) => without_path(&error, path),
    })
}

fn without_path(error: &impl std::fmt::Display, path: &Path) -> u64 {
    outcome(&error.to_string().replace(&path.display().to_string(), ""))
}

fn y4m_seeds() -> Vec<Vec<u8>> {
    let mut writer = y4m::Writer::new(Vec::new(), y4m::Header::new(6, 4, (30, 1))).expect("memory");
    (0..2).for_each(|_| writer.write(&Yuv420::black(6, 4)).expect("memory"));
    let plain = writer.finish().expect("memory");
    let mono = b"YUV4MPEG2 W4 H2 F30:1 Cmono\nFRAME\n12345678".to_vec();
    vec![
        plain,
        mono,
        b"YUV4MPEG2 W4 H2 F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=FULL\nFRAME\n123456789012".to_vec(),
    ]
}

fn y4m(input: &[u8]) -> u64 {
    let mut reader = match y4m::Reader::new(input) {
        Ok(reader) => reader,
        Err(error) => return outcome(&error.to_string()),
    };
    let mut picture = media::Picture::default();
    for count in 0u64.. {
        match reader.next_picture_into(&mut picture) {
            Ok(true) => assert_eq!(picture.planes[0].len(), picture.width * picture.height),
            Ok(false) => return 2 + count.min(4),
            Err(error) => return outcome(&error.to_string()),
        }
    }
    0
}

fn png_seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    still::write_rgb(&at("rgb.png"), &Rgb::black(5, 3)).expect("a temporary file");
    let depth = media::Depth16 { width: 4, height: 3, mm: (0..12).map(|i| i * 700).collect() };
    still::write_depth16(&at("depth.png"), &depth).expect("a temporary file");
    still::write_grey(&at("grey.png"), 3, 2, &[1, 2, 3, 4, 5, 6]).expect("a temporary file");
    ["rgb.png", "depth.png", "grey.png"].map(|n| std::fs::read(at(n)).expect("a temporary file")).into()
}

fn png(input: &[u8]) -> u64 {
    as_file("png", input, |path: &Path| {
        let rgb = still::read_rgb(path).map(|p| p.width).map_err(|e| e.to_string());
        let depth = still::read_depth16(path).map(|p| p.width).map_err(|e| e.to_string());
        let plain = |e: String| e.replace(&path.display().to_string(), "");
        outcome_of(&rgb.map_err(plain), |w| *w) ^ outcome_of(&depth.map_err(plain), |w| *w).rotate_left(9)
    })
}
