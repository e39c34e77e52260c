//! Trace files and playing them: strict reading, round trips, and slow restatements of both formats.

use crate::specs::{link, spec};
use link::trace::{Format, Replay, Trace, TraceSpec, mahimahi, revo};
use link::*;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MS: u64 = 1_000_000;

/// A link whose bottleneck follows `content`.
fn following(content: Trace, format: Format, edit: impl FnOnce(&mut LinkSpec)) -> LinkSpec {
    let mut t = TraceSpec::file(Path::new("made by a test"), format);
    t.content = Some(Arc::new(content));
    let mut s = LinkSpec {
        epoch: Epoch::Run,
        bottleneck: Some(BottleneckSpec {
            rate: RateSpec::Trace,
            burst: ByteCount(0),
            debt: false,
            queue: QueueLimit::Unlimited,
        }),
        trace: Some(t),
        ..LinkSpec::default()
    };
    edit(&mut s);
    s
}

fn arrivals() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let gap = prop_oneof![Just(0u64), 0u64..5 * MS, 0u64..300 * MS];
    proptest::collection::vec((gap, 1u32..3200), 1..60).prop_map(|gaps| {
        let mut now = 0;
        gaps.into_iter()
            .map(|(gap, bytes)| {
                now += gap;
                (now, bytes)
            })
            .collect()
    })
}

fn outs(spec: &LinkSpec, arrivals: &[(u64, u32)]) -> Vec<u64> {
    let mut link = Link::new(spec, 1).unwrap();
    arrivals.iter().map(|(at, bytes)| link.enqueue(Timestamp(*at), 0, *bytes).at().unwrap().0).collect()
}

/// Sends one packet after the other through rows of a rate, row by row, in fractions of a nanosecond that all the rates divide.
fn row_by_row(rows: &[(u64, u64)], period: u64, arrivals: &[(u64, u32)]) -> Vec<u64> {
    const PER_NS: u128 = 40_000_000;
    let mut free = 0u128;
    let send = |(at, bytes): &(u64, u32)| {
        let mut t = free.max(u128::from(*at) * PER_NS);
        let mut nanobits = u128::from(*bytes) * 8_000_000_000;
        loop {
            let within = (t / PER_NS) as u64 % period;
            let lap = (t / PER_NS) as u64 / period * period;
            let i = rows.iter().rposition(|(start, _)| *start <= within).unwrap();
            let end = u128::from(lap + rows.get(i + 1).map_or(period, |r| r.0)) * PER_NS;
            let rate = u128::from(rows[i].1);
            if rate > 0 && nanobits * PER_NS / rate <= end - t {
                free = t + nanobits * PER_NS / rate;
                return u64::try_from(free.div_ceil(PER_NS)).unwrap();
            }
            nanobits -= rate * (end - t) / PER_NS;
            t = end;
        }
    };
    arrivals.iter().map(send).collect()
}

proptest! {
    #[test]
    fn a_traced_rate_is_followed_exactly(
        steps in proptest::collection::vec((1u64..200, prop_oneof![Just(0u64), Just(1), Just(2), Just(4), Just(5), Just(8), Just(10), Just(20)]), 1..12),
        arrivals in arrivals(),
    ) {
        let mut start = 0;
        let mut rows = Vec::new();
        for (ms, mbit) in &steps {
            rows.push((start, mbit * 1_000_000));
            start += ms * MS;
        }
        // The last row holds as long as the one before it; a single row for 15 ms.
        let period = match rows.as_slice() {
            [.., a, b] => 2 * b.0 - a.0,
            _ => 15 * MS,
        };
        prop_assume!(rows.iter().any(|r| r.1 > 0));
        let content = rows.iter().map(|(start, bps)| revo::Row {
            start: Span(*start), rate: Bitrate(*bps), rtt: Span(0), loss: Probability::ZERO,
        }).collect();
        let s = following(Trace::Rows(revo::Rows::new(content)), Format::Revo, |_| {});
        prop_assert_eq!(outs(&s, &arrivals), row_by_row(&rows, period, &arrivals));
    }

    /// mahimahi the slow way: every opportunity in turn lets up to 1500 bytes of what came before it through.
    #[test]
    fn opportunities_are_used_as_mahimahi_does(
        gaps in proptest::collection::vec(0u64..40, 1..30),
        arrivals in arrivals(),
        offset_ms in 0u64..500,
    ) {
        let mut at = 0;
        let at_ms: Vec<u64> = gaps.iter().map(|gap| { at += gap; at }).collect();
        prop_assume!(at > 0);
        let times = Trace::Opportunities(Arc::new(mahimahi::Opportunities { at_ms: at_ms.clone() }));
        let s = following(times, Format::Mahimahi, |s| s.trace.as_mut().unwrap().offset = Span(offset_ms * MS));
        let mut waiting: std::collections::VecDeque<(u64, u64)> = arrivals.iter().map(|(at, b)| (*at, u64::from(*b))).collect();
        let mut expected = Vec::new();
        'laps: for lap in 0.. {
            for ms in &at_ms {
                let Some(now) = (lap * at + ms).checked_sub(offset_ms).map(|ms| ms * MS) else { continue };
                let mut room = 1500;
                while room > 0 && let Some((arrived, left)) = waiting.front_mut() && *arrived < now {
                    let used = room.min(*left);
                    room -= used;
                    *left -= used;
                    if *left == 0 {
                        expected.push(now);
                        waiting.pop_front();
                    }
                }
                if waiting.is_empty() {
                    break 'laps;
                }
            }
        }
        prop_assert_eq!(outs(&s, &arrivals), expected);
    }

    #[test]
    fn garbage_is_refused_by_line_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for format in [Format::Revo, Format::Mahimahi] {
            let _ = Trace::parse("garbage", format, &bytes);
        }
    }

    #[test]
    fn near_misses_never_panic(text in "([0-9]{1,3}(\\.[0-9]{0,4})? |-?[0-9.]{1,6}(ms|s)? |[ \t]|#|\n|1e9|NaN|9{20}){0,40}") {
        for format in [Format::Revo, Format::Mahimahi] {
            if let Ok(trace) = Trace::parse("near miss", format, text.as_bytes()) {
                let _ = trace.summary();
                let s = following(trace, format, |_| {});
                if let Ok(mut link) = Link::new(&s, 1) {
                    for n in 0..20 {
                        link.enqueue(Timestamp(n * 7 * MS), n, 1500);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_written_reads_back(
        rows in proptest::collection::vec((1u64..1_000_000_000_000, 0u64..100_000_000_000, 0u64..10_000_000_000, 0u64..=1_000_000_000_000), 1..40),
        gaps in proptest::collection::vec(0u64..1000, 1..60),
    ) {
        let mut start = 0;
        let rows: Vec<revo::Row> = rows.into_iter().map(|(gap, bps, rtt, loss)| {
            let row = revo::Row {
                start: Span(start), rate: Bitrate(bps), rtt: Span(rtt), loss: Probability::from_parts(loss).unwrap(),
            };
            start += gap;
            row
        }).collect();
        prop_assert_eq!(&revo::parse("x", &revo::write(&rows)).unwrap().0.rows, &rows);
        let mut ms = 1;
        let at_ms = gaps.into_iter().map(|gap| { ms += gap; ms }).collect();
        let times = mahimahi::Opportunities { at_ms };
        prop_assert_eq!(&mahimahi::parse("x", &mahimahi::write(&times)).unwrap().0, &times);
    }

    /// Converting a rate to opportunities loses less than one of them.
    #[test]
    fn converting_keeps_the_bytes(steps in proptest::collection::vec((1u64..2_000_000_000, 0u64..20_000_000), 1..20)) {
        let mut start = 0;
        let rows = steps.into_iter().map(|(gap, bps)| {
            let row = revo::Row { start: Span(start), rate: Bitrate(bps), rtt: Span(0), loss: Probability::ZERO };
            start += gap;
            row
        });
        let rows = revo::Rows::new(rows.collect());
        let starts = rows.rows.iter().map(|r| r.start.0);
        let ends = starts.clone().skip(1).chain([starts.clone().next_back().unwrap() + rows.last_step().0]);
        let nanobits: u128 = rows.rows.iter().zip(starts.zip(ends)).map(|(r, (a, b))| u128::from(r.rate.0) * u128::from(b - a)).sum();
        let converted = rows.opportunities().map_or(0, |d| d.times.at_ms.len() as u128 * 1500 * 8_000_000_000);
        prop_assert!(converted <= nanobits && nanobits - converted < 1500 * 8_000_000_000);
    }
}

#[test]
fn mistakes_are_named_by_line() {
    let revo = |text: &str| Trace::parse("t.log", Format::Revo, text.as_bytes()).unwrap_err().to_string();
    for (text, words) in [
        (
            "0.000 2.50 27.0ms 0.00\n0.015 2.50 34.0 0.00\n",
            "t.log, line 2, column 3 (round-trip time): `34.0` is a round-trip time without a unit: write it with one, e.g. `14.0ms`",
        ),
        ("0.000 2.50 27.0ms\n", "t.log, line 1: 3 columns"),
        ("0.000 2.50 27.0ms 1.5\n", "line 1, column 4 (loss): loss 1.5 is above 1"),
        ("0.000 -2.50 27.0ms 0\n", "line 1, column 2 (rate): `-2.50` is negative"),
        ("0.000 nan 27.0ms 0\n", "line 1, column 2 (rate): `nan` is not a rate that a link can have"),
        ("0.000 inf 27.0ms 0\n", "line 1, column 2 (rate): `inf` is not a rate that a link can have"),
        ("0.000 2 -1ms 0\n", "line 1, column 3 (round-trip time): `-1ms` is negative"),
        ("0 1 2ms 0\n2024-01-05 1 2ms 0\n", "line 2, column 1 (time): `2024-01-05` is a date"),
        ("0 1e10 2ms 0\n", "line 1, column 2 (rate): `1e10` is more than 1 Pbit/s"),
        ("0 1 2h 0\n", "`h` is no unit of a round-trip time"),
        ("0 1 4000s 0\n", "more than an hour"),
        ("0 1 2ms 0\n1e10 1 2ms 0\n", "line 2: it starts 10000000000 s after the first row"),
        ("0 1 2ms 0 5\n", "line 1: 5 columns without a header"),
        ("# c\n\n0.000 2 27ms 0\n0.000 2 27ms 0\n", "line 4: it starts at 0ms, not after"),
        ("9 2 27ms 0\n8 2 27ms 0\n", "line 2: it starts at 8s, before the first row (9s)"),
        ("", "no rows"),
    ] {
        assert!(revo(text).contains(words), "{}", revo(text));
    }
    let mm = |text: &[u8]| Trace::parse("t.down", Format::Mahimahi, text).unwrap_err().to_string();
    for (text, words) in [
        (&b"1\n2\nx\n"[..], "line 3: `x` is not a whole number"),
        (b"5\n4\n", "line 2: 4 is before"),
        (b"0\n0\n", "no opportunity after 0 ms"),
        (b"1\n\xff\n", "line 2: not text"),
    ] {
        assert!(mm(text).contains(words), "{}", mm(text));
    }
}

#[test]
fn negative_losses_count_as_none_and_are_counted() {
    let rows =
        revo::parse("t", "0.000 2.50 7.5ms -0.03\n0.015 2.50 7.5ms 0.25\n0.030 2.5 7ms -0.00\n").unwrap().0;
    assert_eq!((rows.clamped, rows.first_clamped), (1, Some((1, "-0.03".to_owned()))));
    assert_eq!(rows.rows[0].loss, Probability::ZERO);
    assert_eq!(rows.rows[1].loss.to_string(), "25%");
}

/// Only the replays of ReVo's own script, which takes them for 0, play a file with negative losses.
#[test]
fn a_negative_loss_is_an_error_except_for_the_replays_of_revos_script() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.log"), "0.000 2.5 7ms 0.00\n0.015 2.5 7ms -0.02\n").unwrap();
    let load = |replay| {
        let mut spec = TraceSpec::revo(Path::new("t.log"), replay);
        spec.load(dir.path()).map(|()| spec)
    };
    for replay in [Replay::Full, Replay::Columns] {
        let error = load(replay).unwrap_err().to_string();
        for words in ["t.log, line 2", "-0.02 is negative", "compat"] {
            assert!(error.contains(words), "{words:?} is missing in: {error}");
        }
    }
    for replay in [Replay::Compat, Replay::Nominal] {
        let content = load(replay).unwrap().content.unwrap();
        let Trace::Rows(rows) = &*content else { panic!("rows") };
        assert_eq!((rows.clamped, rows.rows[1].loss), (1, Probability::ZERO));
    }
}

/// Rows 0-15-30 ms with losses that tell them apart.
fn three_rows(edit: impl FnOnce(&mut TraceSpec)) -> Vec<Option<u32>> {
    let text = "0.000 10 10ms 0.00\n0.015 10 20ms 1.00\n0.030 10 30ms 0.00\n";
    let trace = Trace::parse("t", Format::Revo, text.as_bytes()).unwrap();
    let s = following(trace, Format::Revo, |s| {
        s.bottleneck = None;
        s.loss = LossSpec::Trace;
        edit(s.trace.as_mut().unwrap());
    });
    let mut link = Link::new(&s, 1).unwrap();
    (0..8)
        .map(|n| {
            let fate = link.enqueue(Timestamp(n * 15 * MS), n, 100);
            let row = fate.channel().row;
            assert_eq!(fate.at().is_none(), row == Some(1));
            row
        })
        .collect()
}

#[test]
fn windows_offsets_and_laps() {
    let rows = |list: [u32; 8]| list.map(Some).to_vec();
    assert_eq!(three_rows(|_| {}), rows([0, 1, 2, 0, 1, 2, 0, 1]));
    assert_eq!(three_rows(|t| t.repeat = false), rows([0, 1, 2, 2, 2, 2, 2, 2]));
    assert_eq!(three_rows(|t| t.offset = Span(15 * MS)), rows([1, 2, 1, 2, 1, 2, 1, 2]));
    assert_eq!(three_rows(|t| t.duration = Some(Span(30 * MS))), rows([0, 1, 0, 1, 0, 1, 0, 1]));
    // ReVo's own loop begins the next lap at the time of the last row, which never holds.
    assert_eq!(three_rows(|t| t.last_row_holds = false), rows([0, 1, 0, 1, 0, 1, 0, 1]));
    let too_far = |edit: &dyn Fn(&mut TraceSpec)| {
        let mut s = spec("trace = { shipped = \"step-down\", format = \"revo\", replay = \"full\" }");
        edit(s.trace.as_mut().unwrap());
        Link::new(&s, 1).unwrap_err().to_string()
    };
    assert!(too_far(&|t| t.offset = Span(31_000 * MS)).contains("beyond its end at 30s"));
    assert!(too_far(&|t| t.duration = Some(Span(31_000 * MS))).contains("not within the 30s"));
}

#[test]
fn full_replay_halves_the_round_trip() {
    let mut link = link("trace = { shipped = \"step-down\", format = \"revo\", replay = \"full\" }", 1);
    // 1000 bytes at 2 Mbit/s take 4 ms, then 20 ms of 40 ms; at 250 kbit/s 32 ms.
    assert_eq!(link.enqueue(Timestamp(0), 0, 1000).at(), Some(Timestamp::from_millis(24)));
    assert_eq!(
        link.enqueue(Timestamp::from_millis(15_000), 1, 1000).at(),
        Some(Timestamp::from_millis(15_052))
    );
    assert_eq!(
        link.enqueue(Timestamp::from_millis(35_000), 2, 1000).at(),
        Some(Timestamp::from_millis(35_024))
    );
}

#[test]
fn a_stage_that_the_replay_sets_is_not_set_twice() {
    let s: LinkSpec = toml::from_str(
        "loss = { model = \"random\", probability = \"1%\" }\ntrace = { shipped = \"step-down\", format = \"revo\", replay = \"full\" }",
    )
    .unwrap();
    assert!(s.validate().unwrap_err().to_string().contains("loss: the trace's replay mode sets it"));
}

#[test]
fn a_changed_trace_is_refused() {
    let mut s: LinkSpec =
        toml::from_str("trace = { shipped = \"step-down\", format = \"revo\", sha256 = \"00\" }").unwrap();
    assert!(s.load(Path::new("")).unwrap_err().to_string().contains("the scenario expects 00"));
    assert!(
        spec("trace = { shipped = \"step-down\", format = \"revo\" }").trace.unwrap().sha256.unwrap().len()
            == 64
    );
}

/// Published traces, where they lie beside the repository.
fn published(folder: &str) -> Vec<PathBuf> {
    let Some(root) = testing::folder("traces") else { return Vec::new() };
    let mut files = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "log" || e == "down" || e == "up") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no traces in {}", root.join(folder).display());
    files.sort();
    files
}

#[test]
fn published_four_column_traces() {
    for path in published("revo") {
        let mut t = TraceSpec::revo(&path, Replay::Compat);
        t.load(Path::new("")).unwrap();
        let content = t.content.clone().unwrap();
        let Trace::Rows(rows) = &*content else { panic!() };
        assert!(rows.rows.windows(2).all(|w| w[1].start.0 - w[0].start.0 == 15 * MS), "{}", path.display());
        // 60 s at 500 packets per second: what is lost is what the rows say, within chance.
        let s = LinkSpec { trace: Some(t), ..LinkSpec::default() };
        let mut link = Link::new(&s, 7).unwrap();
        let (mut mean, mut variance, mut lost) = (0.0, 0.0, 0u64);
        for n in 0..30_000u64 {
            let now = n * 2 * MS;
            let last = rows.rows[rows.rows.len() - 1].start.0;
            let row = rows.rows.partition_point(|r| r.start.0 <= now % last) - 1;
            let p = rows.rows[row].loss.as_f64();
            mean += p;
            variance += p * (1.0 - p);
            let fate = link.enqueue(Timestamp(now), n, 200);
            assert_eq!(fate.channel().row, Some(u32::try_from(row).unwrap()));
            lost += u64::from(fate.cause() == Some(DropCause::Trace));
        }
        assert!(
            (lost as f64 - mean).abs() <= 5.0 * f64::sqrt(variance) + 1e-9,
            "{}: {lost}, {mean}",
            path.display()
        );
    }
}

#[test]
fn published_packet_delivery_traces() {
    for path in published("mahimahi") {
        let mut t = TraceSpec::file(&path, Format::Mahimahi);
        t.load(Path::new("")).unwrap();
        let Trace::Opportunities(times) = &**t.content.as_ref().unwrap() else { panic!() };
        // A queue that is never empty leaves at the times of the file, lap after lap.
        let s = following(Trace::Opportunities(times.clone()), Format::Mahimahi, |_| {});
        let full: Vec<_> = (0..2 * times.at_ms.len()).map(|_| (0, 1500)).collect();
        let period = times.at_ms[times.at_ms.len() - 1];
        // What is due at 0 ms of the first lap has passed when the first packet comes.
        let laps = (0..3).flat_map(|lap| times.at_ms.iter().map(move |ms| (lap * period + ms) * MS));
        let expected: Vec<u64> = laps.skip_while(|at| *at == 0).take(full.len()).collect();
        assert_eq!(outs(&s, &full), expected, "{}", path.display());
    }
}

/// A byte at 7 999 999 999 bit/s needs a hair more than a nanosecond, so it leaves after two; a constant rate says the same.
#[test]
fn departures_round_up() {
    let rate = Bitrate(7_999_999_999);
    let row = revo::Row { start: Span(0), rate, rtt: Span(0), loss: Probability::ZERO };
    let traced = following(Trace::Rows(revo::Rows::new(vec![row])), Format::Revo, |_| {});
    let mut constant = traced.clone();
    constant.bottleneck.as_mut().unwrap().rate = RateSpec::Constant(rate);
    constant.trace = None;
    let packets = [(0, 1), (0, 1), (5, 1), (5, 4_000_000), (100_000_000, 1)];
    assert_eq!(outs(&traced, &packets)[..3], [2, 3, 7]);
    assert_eq!(outs(&traced, &packets), outs(&constant, &packets));
}
