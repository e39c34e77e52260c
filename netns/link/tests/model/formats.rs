//! Traces as people have them, and from one format to the other: nothing is lost on the way but what the formats cannot say.

use link::trace::{Format, Read, Trace, mahimahi, revo};
use link::*;
use proptest::prelude::*;
use std::sync::Arc;

const MS: u64 = 1_000_000;
/// 1500 bytes in nanobits.
const DELIVERY: u128 = 1500 * 8_000_000_000;

fn read(format: Format, text: &str) -> Result<Read, String> {
    Trace::read("t", format, text.as_bytes()).map_err(|e| e.to_string())
}

fn rows(read: &Read) -> Vec<String> {
    let Trace::Rows(rows) = &read.trace else { panic!("rows") };
    rows.rows.iter().map(|r| format!("{} {} {} {}", r.start, rate_text(r.rate), r.rtt, r.loss)).collect()
}

/// The right values are decimal arithmetic: seconds x 10^9, Mbit/s x 10^6, kilobits x 1000, bytes x 8.
#[test]
fn numbers_units_and_tables_of_other_programs() {
    for (text, is) in [
        // Python's and numpy's numbers.
        (
            "0.0 2.8333333333333335 14.142857142857142ms 0.00033333333333333335\n1.5e-2 2.5E0 14ms 5e-2\n",
            &["0ms 2833.333kbit 14.142857ms 0.0333333333%", "15ms 2.5Mbit 14ms 5%"][..],
        ),
        // Units behind the numbers.
        ("0s 2500kbit 0.014s 2%\n15ms 1Gbit 14000us 0\n", &["0ms 2.5Mbit 14ms 2%", "15ms 1Gbit 14ms 0%"]),
        // A mark, ends of lines and tabs of another system, blank lines, comments.
        (
            "\u{feff}# c\r\n\r\n0\t1\t2ms\t0\r\n1\t1\t2ms\t0 # wet\r\n",
            &["0ms 1Mbit 2ms 0%", "1s 1Mbit 2ms 0%"],
        ),
        ("0 1 2ms 0\r1 1 2ms 0\r", &["0ms 1Mbit 2ms 0%", "1s 1Mbit 2ms 0%"]),
    ] {
        assert_eq!(rows(&read(Format::Revo, text).unwrap()), is, "{text}");
        assert_eq!(Format::guess("t", text.as_bytes()).unwrap(), Format::Revo, "{text}");
    }
    for (text, is) in [
        (
            "time_s,rate_mbps,rtt_ms,loss\n0,2.5,14,0.01 # wet\n1,3,15,0\n",
            &["0ms 2.5Mbit 14ms 1%", "1s 3Mbit 15ms 0%"][..],
        ),
        (
            "Time (ms);Bandwidth (kbps)\n0;1500,5\n100;2000\n",
            &["0ms 1500.5kbit 0ms 0%", "100ms 2Mbit 0ms 0%"],
        ),
        (
            "\"id\",\"ts_us\",\"speed_kBps\"\n7,\"0\",\"10\"\n8,\"20\",\"1e1\"\n",
            &["0ms 80kbit 0ms 0%", "20us 80kbit 0ms 0%"],
        ),
        (
            "seconds\tmbps\towd_ms\tloss_percent\n0\t1\t7\t2\n1\t1\t8\t0\n",
            &["0ms 1Mbit 14ms 2%", "1s 1Mbit 16ms 0%"],
        ),
        ("time,bandwidth,rtt\n0s,2Mbit/s,14ms\n1s,2Mbps,14ms\n", &["0ms 2Mbit 14ms 0%", "1s 2Mbit 14ms 0%"]),
        (",time_s,rate_bps\n0,0,1000\n1,1,1e3\n", &["0ms 1kbit 0ms 0%", "1s 1kbit 0ms 0%"]),
        ("time_s rate_mbps\n0 1\n1 2 # wet\n", &["0ms 1Mbit 0ms 0%", "1s 2Mbit 0ms 0%"]),
    ] {
        assert_eq!(rows(&read(Format::Csv, text).unwrap()), is, "{text}");
        assert_eq!(Format::guess("t", text.as_bytes()).unwrap(), Format::Csv, "{text}");
    }
    let named = |columns: &str, text: &str| {
        Trace::read_columns("t", columns, text.as_bytes()).map_err(|e| e.to_string())
    };
    // Pensieve's two columns; a header that says less than one knows.
    assert_eq!(
        rows(&named("time_s,rate_mbps", "0.0 2.83\n0.5\t3\n").unwrap()),
        ["0ms 2.83Mbit 0ms 0%", "500ms 3Mbit 0ms 0%"]
    );
    assert_eq!(
        rows(&named("time_s,-,rate_kbps", "time,x,bw\n0,9,2\n1,9,3\n").unwrap()),
        ["0ms 2kbit 0ms 0%", "1s 3kbit 0ms 0%"]
    );
    assert!(
        named("time_s,speeed", "0 1\n")
            .unwrap_err()
            .contains("--columns: its columns are `time_s`, `speeed`")
    );
    assert!(named("time_s,rate_mbps", "0 1 2\n").unwrap_err().contains("3 fields"));
    // Deliveries, as numpy.savetxt writes integers.
    for text in [
        "0\n5\n10\n",
        "\u{feff}0\r\n5\r\n10\r\n",
        "0.000000000000000000e+00\n5.0\n1e1\n",
        "0 # start\n\n+5\n10\n",
    ] {
        let Trace::Opportunities(times) = read(Format::Mahimahi, text).unwrap().trace else { panic!() };
        assert_eq!(times.at_ms, [0, 5, 10], "{text}");
        assert_eq!(Format::guess("t", text.as_bytes()).unwrap(), Format::Mahimahi, "{text}");
    }
}

#[test]
fn times_since_1970_count_from_the_first_row_and_say_so() {
    let r = read(Format::Revo, "1700000000.25 1 2ms 0\n1700000001.5 1 2ms 0\n").unwrap();
    assert_eq!(rows(&r), ["0ms 1Mbit 2ms 0%", "1.25s 1Mbit 2ms 0%"]);
    assert!(r.notes[0].contains("1700000000.250 s (a time since 1970)"), "{:?}", r.notes);
    let r = read(Format::Csv, "timestamp_ms,bps,lat\n1700000000000,9,1\n1700000000100,8,2\n").unwrap();
    assert_eq!(rows(&r), ["0ms 9bit 0ms 0%", "100ms 8bit 0ms 0%"]);
    assert!(r.notes.len() == 2 && r.notes[1].contains("left out: lat"), "{:?}", r.notes);
    let r = read(Format::Mahimahi, "1700000000000\n1700000000003\n").unwrap();
    let Trace::Opportunities(times) = &r.trace else { panic!() };
    assert_eq!(times.at_ms, [0, 3]);
    assert!(r.notes[0].contains("1970"), "{:?}", r.notes);
    // An outage at the beginning is no time stamp.
    let r = read(Format::Mahimahi, "60000\n60001\n").unwrap();
    assert!(r.notes.is_empty() && r.trace.summary().longest_outage == Span(60_000 * MS), "{:?}", r.notes);
    // A scenario's user is told, too.
    let mut s: LinkSpec =
        toml::from_str("trace = { file = \"t.log\", format = \"revo\", replay = \"full\" }").unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.log"), "5 1 2ms 0.5\n6 1 2ms 0\n").unwrap();
    s.load(dir.path()).unwrap();
    assert!(
        s.warnings().iter().any(|w| w.to_string().contains("first row, which is at 5.000 s")),
        "{:?}",
        s.warnings()
    );
}

/// Each is refused with what it is and what to do, in the format that was named and by `guess`.
#[test]
fn a_wrong_kind_is_named() {
    let revo = "0.000 18.08 9.4ms 0.00\n0.015 17.34 8.4ms 0.00\n";
    for (format, text, words) in [
        (
            Format::Mahimahi,
            revo,
            &["does not look like packet deliveries", "four columns", "format = \"revo\"", "0.000 18.08"][..],
        ),
        (Format::Revo, "0\n5\n10\n", &["does not look like four columns", "format = \"mahimahi\""]),
        (Format::Revo, "time_s,rate_mbps\n0,1\n1,2\n", &["format = \"csv\""]),
        (Format::Mahimahi, "time_s,rate_mbps\n0,1\n1,2\n", &["format = \"csv\""]),
        (Format::Csv, "0\n5\n10\n", &["format = \"mahimahi\""]),
        (Format::Csv, revo, &["format = \"revo\""]),
        (Format::Revo, "0.0 2.83\n0.5 3\n", &["two columns", "Pensieve", "--columns time_s,rate_mbps"]),
        (
            Format::Csv,
            "0.0,2.83,5\n0.5,3,5\n",
            &["3 columns without a header", "--columns time_s,rate_mbps,-"],
        ),
        (Format::Revo, "1289406399 549893 59.84 10.78 118617 1005\n", &["HSDPA", "awk"]),
        (
            Format::Revo,
            "{\"start\": 1, \"intervals\": [{\"sum\": {\"bits_per_second\": 1e6}}]}",
            &["JSON", "iperf3", "jq"],
        ),
        (Format::Csv, "[[0, 1.5], [1, 2.5]]", &["JSON", "jq"]),
        (
            Format::Mahimahi,
            "# mahimahi mm-link (downlink) [x] > y\n# base timestamp: 0\n0 # 1504\n",
            &["mm-link", "grep"],
        ),
        (Format::Revo, "name = \"x\"\n[forward]\n", &["TOML", "scenario"]),
        (Format::Revo, "[forward]\ndelay = 3\n", &["TOML"]),
        (Format::Revo, "", &["no rows"]),
        (Format::Csv, "# nothing\n", &["no rows"]),
        (
            Format::Csv,
            "unit_id,dtime,target,address,fetch_time,bytes_total\n1,2,3,4,5,6\n",
            &["`unit_id`, `dtime`", "none is a rate", "time_s", "--columns"],
        ),
        (Format::Csv, "time_s,lat\n0,1\n", &["`time_s`, `lat`", "none is a rate", "rate_mbps"]),
        (Format::Csv, "time_s,dl_mbps,ul_mbps\n0,1,2\n", &["`dl_mbps` and `ul_mbps`", "--columns"]),
        (Format::Csv, "time_s,latency_ms\n0,1\n", &["one way or both", "owd_ms"]),
        (Format::Csv, "time_s,speed_MBPS\n0,1\n", &["bits or bytes"]),
        (
            Format::Csv,
            "time_s,bandwidth\n0,1\n",
            &["line 2, column 2 (rate)", "without a unit", "`bandwidth_mbps`"],
        ),
        (
            Format::Csv,
            "time,bandwidth_mbps\n0,1\n",
            &["line 2, column 1 (time)", "without a unit", "`time_s`"],
        ),
        (Format::Csv, "time_s,rate_mbps\n0,\n", &["line 2, column 2 (rate)", "no rate stands here"]),
        (Format::Csv, "time_s,rate_mbps\n0,1,2\n", &["line 2: 3 fields, the header names 2"]),
        (Format::Csv, "time_s,rate_mbps\n12:30:00,1\n", &["is a date", "Unix time"]),
        (Format::Csv, "time_s,rate_mbps,loss\n0,1,2\n", &["line 2, column 3 (loss)", "loss_percent"]),
        (Format::Mahimahi, "1\n2.5\n", &["line 2: `2.5` is not a whole number of milliseconds"]),
        (Format::Mahimahi, "1\n-2\n", &["line 2: `-2` is not a whole number"]),
        (Format::Mahimahi, "1\nnan\n", &["line 2: `nan` is not a whole number"]),
        (
            Format::Mahimahi,
            "1700000000000000\n1700000000000100\n",
            &["line 1", "divide microseconds by 1000"],
        ),
        (Format::Mahimahi, "0\n60000000000000000\n", &["line 2", "nanoseconds by 1000000"]),
    ] {
        let error = read(format, text).unwrap_err();
        for words in words {
            assert!(error.contains(words), "{text:?} as {}: {words:?} is missing in: {error}", format.word());
        }
    }
    for (bytes, words) in [
        (&b"\xff\xfe0\0\n\0"[..], "UTF-16"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\xd4\xc3\xb2\xa1\0\0", "packet capture"),
        (b"PK\x03\x04", "spreadsheet"),
        (b"0\n\xff\n", "line 2: not text"),
    ] {
        let error = Trace::parse("t", Format::Mahimahi, bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(Format::guess("t", bytes).unwrap_err().to_string().contains(words));
    }
}

/// A stage cannot follow what the file does not say, and a trace that nothing follows is not silently ignored.
#[test]
fn what_follows_a_trace_must_be_in_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t.csv"), "time_s,rate_mbps\n0,1\n1,2\n").unwrap();
    let build = |text: &str| {
        let mut s: LinkSpec = toml::from_str(text).unwrap();
        s.validate()
            .and_then(|()| s.load(dir.path()))
            .and_then(|()| Link::new(&s, 1).map(|_| ()))
            .map_err(|e| e.to_string())
    };
    let trace = "trace = { file = \"t.csv\", format = \"csv\" }\n";
    assert_eq!(build(&format!("{trace}bottleneck = {{ rate = \"trace\" }}")), Ok(()));
    for (text, words) in [
        (
            format!("{trace}delay = {{ base = \"trace\" }}"),
            &["delay.base", "nothing about the round-trip time", "rtt_ms"][..],
        ),
        (format!("{trace}loss = {{ model = \"trace\" }}"), &["loss.model", "nothing about losses"]),
        (trace.replace("\"csv\" }", "\"csv\", replay = \"full\" }"), &["nothing about", "replay"]),
        (trace.to_owned(), &["trace: no stage follows it", "replay = \"full\"", "bottleneck.rate"]),
        (
            "trace = { shipped = \"cellular\", format = \"mahimahi\" }".into(),
            &["trace: no stage follows it", "rate = \"trace\""],
        ),
    ] {
        let error = build(&text).unwrap_err();
        for words in words {
            assert!(error.contains(words), "{text}: {words:?} is missing in: {error}");
        }
    }
}

/// Files of a few bytes that speak of years, and rates beyond any link: an answer or a refusal in a moment and in little memory. (Without the
/// bounds the first made 320 GB of rows.)
#[test]
fn memory_and_time_are_bounded_by_the_file() {
    #[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
    let began = std::time::Instant::now();
    let far = read(Format::Mahimahi, "0\n999999999999\n").unwrap();
    assert_eq!(far.trace.summary().rate_mean, Bitrate(0));
    assert!(far.notes[0].contains("milliseconds"), "{:?}", far.notes);
    let (text, _) = far.trace.write(Format::Revo, Span(MS)).unwrap();
    assert!(text.lines().count() < 8, "{text}");
    let far = read(Format::Revo, "0 1 2ms 0.5\n1 1 2ms 0\n900000000 1 2ms 0.1\n").unwrap();
    let Trace::Rows(rows) = &far.trace else { panic!() };
    for window in [1, 15 * MS, 30_000 * MS, u64::MAX] {
        let worst = rows.lossiest(Span(window), Span(1), 5);
        assert!(
            worst.len() <= 5 && worst.first().is_none_or(|w| w.loss_mean > Probability::ZERO),
            "{window}"
        );
    }
    let error = far.trace.write(Format::Mahimahi, Span(MS)).unwrap_err();
    assert!(error.contains("cut the trace shorter"), "{error}");
    let fast = read(Format::Revo, "0 1e9 2ms 0\n100000000 1e9 2ms 0\n").unwrap();
    assert!(fast.trace.write(Format::Mahimahi, Span(MS)).unwrap_err().contains("cut the trace shorter"));
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    let endless = link::trace::read_file(std::path::Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(endless.contains("larger than 256 MiB"), "{endless}");
}

/// Windows of the skipping search are those of looking at every one.
#[test]
fn the_lossiest_windows_are_found() {
    let Trace::Rows(rows) = read(Format::Revo, link::trace::SHIPPED[0].text).unwrap().trace else { panic!() };
    let (length, hop) = (Span(5_000 * MS), Span(833 * MS));
    let mut all: Vec<_> = (0..=rows.end().0 - length.0)
        .step_by(833 * MS as usize)
        .map(|from| rows.window(Span(from), length))
        .collect();
    all.sort_by_key(|w| std::cmp::Reverse(w.loss_mean));
    all.truncate(4);
    assert_eq!(rows.lossiest(length, hop, 4), all);
}

/// Milliseconds in which nothing leaves: rows of rate 0 by whole milliseconds.
fn silent(rows: &revo::Rows) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (i, row) in rows.rows.iter().enumerate() {
        let end = rows.rows.get(i + 1).map_or(rows.end().0, |next| next.start.0);
        if row.rate.0 > 0 {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.1 == row.start.0 => run.1 = end,
            _ => runs.push((row.start.0, end)),
        }
    }
    runs
}

fn bits(rows: &revo::Rows) -> u128 {
    (0..rows.rows.len())
        .map(|i| {
            let end = rows.rows.get(i + 1).map_or(rows.end().0, |next| next.start.0);
            u128::from(rows.rows[i].rate.0) * u128::from(end - rows.rows[i].start.0)
        })
        .sum()
}

/// Rows with outages at the beginning, in the middle and at the end.
fn any_rows() -> impl Strategy<Value = revo::Rows> {
    let row = (1u64..4000, prop_oneof![1 => Just(0u64), 2 => 12_000u64..30_000_000]);
    (proptest::collection::vec(row, 2..30), any::<bool>(), any::<bool>()).prop_map(
        |(mut list, first, last)| {
            if first {
                list.insert(0, (2500, 0));
            }
            if last {
                list.push((2500, 0));
                list.push((2500, 0));
            }
            let mut start = 0;
            let rows = list.into_iter().map(|(ms, bps)| {
                let row = revo::Row {
                    start: Span(start),
                    rate: Bitrate(bps),
                    rtt: Span(0),
                    loss: Probability::ZERO,
                };
                start += ms * MS;
                row
            });
            revo::Rows::new(rows.collect())
        },
    )
}

proptest! {
    /// rows -> deliveries -> rows: length to a millisecond, bits to a delivery, outages to a step on either side.
    #[test]
    fn rows_survive_deliveries(rows in any_rows(), step_ms in 1u64..300) {
        prop_assume!(bits(&rows) >= DELIVERY);
        let (text, note) = Trace::Rows(rows.clone()).write(Format::Mahimahi, Span(0)).unwrap();
        let ends_silent = rows.rows.last().unwrap().rate.0 == 0;
        prop_assert_eq!(note.is_some(), ends_silent);
        let back = read(Format::Mahimahi, &text).unwrap().trace;
        let Trace::Opportunities(times) = &back else { panic!() };
        let sent = times.at_ms.len() as u128 * DELIVERY;
        prop_assert!(sent <= bits(&rows) && bits(&rows) - sent < DELIVERY);
        prop_assert_eq!(times.period().0, rows.end().0.div_ceil(MS) * MS);
        let (text, _) = back.write(Format::Revo, Span(step_ms * MS)).unwrap();
        let Trace::Rows(again) = read(Format::Revo, &text).unwrap().trace else { panic!() };
        prop_assert_eq!(again.end().0, times.period().0);
        // Rates are rounded up to bits per second, each correcting the one before.
        prop_assert!(bits(&again) >= sent && bits(&again) - sent < u128::from(3 * step_ms * MS));
        let quiet = silent(&again);
        for (from, to) in silent(&rows) {
            // The end's last delivery stands in its last step or two.
            let margin = 2 * step_ms * MS + MS;
            let (from, to) = (from + margin, to.saturating_sub(margin));
            if from < to {
                prop_assert!(quiet.iter().any(|(a, b)| *a <= from && to <= *b), "{:?} in {:?}", (from, to), quiet);
            }
        }
    }

    /// deliveries -> rows -> deliveries: the same number in every step, the same length, also as a table.
    #[test]
    fn deliveries_survive_rows(
        gaps in proptest::collection::vec(prop_oneof![6 => 0u64..30, 1 => 0u64..3000], 1..200),
        step_ms in 1u64..300,
        table: bool,
    ) {
        let mut at = 0;
        let at_ms: Vec<u64> = gaps.iter().map(|gap| { at += gap; at }).collect();
        prop_assume!(at > 0);
        let trace = Trace::Opportunities(Arc::new(mahimahi::Opportunities { at_ms: at_ms.clone() }));
        let format = if table { Format::Csv } else { Format::Revo };
        let (text, _) = trace.write(format, Span(step_ms * MS)).unwrap();
        let read_back = read(format, &text).unwrap().trace;
        prop_assert!(text.lines().count() <= 2 * at_ms.len() + 3);
        let (text, note) = read_back.write(Format::Mahimahi, Span(0)).unwrap();
        prop_assert_eq!(note, None);
        let Trace::Opportunities(again) = read(Format::Mahimahi, &text).unwrap().trace else { panic!() };
        prop_assert_eq!(again.at_ms.len(), at_ms.len());
        prop_assert_eq!(again.at_ms.last(), at_ms.last());
        // In whole steps but the last two, which may have been put together.
        let until = |list: &[u64], ms: u64| list.iter().filter(|t| **t <= ms).count();
        for end in (1..).map(|k| k * step_ms).take_while(|end| end + 2 * step_ms <= at).take(1000) {
            prop_assert_eq!(until(&again.at_ms, end), until(&at_ms, end), "until {} ms", end);
        }
    }

    /// rows -> table -> rows and rows -> four columns -> rows: equal.
    #[test]
    fn rows_survive_text(rows in any_rows()) {
        for format in [Format::Csv, Format::Revo] {
            let (text, _) = Trace::Rows(rows.clone()).write(format, Span(0)).unwrap();
            prop_assert_eq!(&read(format, &text).unwrap().trace, &Trace::Rows(rows.clone()));
        }
    }

    #[test]
    fn nothing_panics(text in "(time_s|rate_mbps|loss|,|;|\t|#|\"|\n|\r|[0-9]{1,3}|1e9|-|nan| |ms|%|\\{|\\[|=){0,60}") {
        let _ = Format::guess("t", text.as_bytes());
        let _ = Trace::read_columns("t", "time_s,rate_mbps", text.as_bytes());
        for format in [Format::Revo, Format::Mahimahi, Format::Csv] {
            if let Ok(trace) = Trace::parse("t", format, text.as_bytes()) {
                let _ = trace.summary();
                for to in [Format::Revo, Format::Mahimahi, Format::Csv] {
                    let _ = trace.write(to, Span(100 * MS));
                }
            }
        }
    }
}
