//! Rows in columns: which column is what, in which unit, and reading them.
//!
//! | column | names (any case) | units, behind the name or behind each number |
//! |---|---|---|
//! | time | `time`, `timestamp`, `ts`, `t`, `elapsed`, `epoch`, or a unit alone (`seconds`) | `s`, `ms`, `us`, `ns` |
//! | rate | `rate`, `bandwidth`, `bw`, `throughput`, `capacity`, `bitrate`, `goodput`, `speed`, or a unit alone | `bps`, `kbps`, `Mbps`, `Gbps`, `Mbit/s`, ...; with a capital B bytes: `kB/s`, `MBps` |
//! | round-trip time | `rtt`, `ping`, `round_trip` | as time |
//! | one way's delay | `owd`, `one_way_delay`: doubled | as time |
//! | loss | `loss`, `plr` | from 0 to 1; `percent`, `pct` or `%` |
//!
//! A unit is never guessed: where neither the header nor the number names one, the file is refused with what to write.

use super::TraceError;
use super::number::{Decimal, Problem, split_unit};
use super::revo::{Row, Rows};
use super::text::{MOST, shown, uncommented};
use crate::Bitrate;
use crate::units::{Probability, Span};

/// What a column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Time,
    Rate,
    Rtt,
    /// Half of a round trip.
    OneWay,
    Loss,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            What::Time => "time",
            What::Rate => "rate",
            What::Rtt => "round-trip time",
            What::OneWay => "one-way delay",
            What::Loss => "loss",
        }
    }

    /// For messages: how a number with its unit is written.
    const fn example(self) -> &'static str {
        match self {
            What::Time => "`0.015s` or `15ms`",
            What::Rate => "`2.5Mbit` or `2500kbit`",
            What::Rtt | What::OneWay => "`14.0ms`",
            What::Loss => "`0.02` or `2%`",
        }
    }
}

/// A number is `times` x 10^`power` of the smallest piece: nanoseconds, bits per second, 10^-12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    power: u32,
    times: u64,
}

impl Unit {
    const fn new(power: u32) -> Self {
        Unit { power, times: 1 }
    }

    /// A unit of time by its name.
    fn of_time(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "s" | "sec" | "secs" | "second" | "seconds" => Unit::new(9),
            "ms" | "msec" | "msecs" | "milli" | "millis" | "millisecond" | "milliseconds" => Unit::new(6),
            "us" | "µs" | "usec" | "usecs" | "micros" | "microsecond" | "microseconds" => Unit::new(3),
            "ns" | "nsec" | "nsecs" | "nanos" | "nanosecond" | "nanoseconds" => Unit::new(0),
            _ => return None,
        })
    }

    /// A unit of rate by its name, without white space. A capital B is a byte. All capitals could be either and are no unit.
    fn of_rate(name: &str) -> Option<Self> {
        let name = ["/second", "/sec", "/s", "_s", "ps"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        let (prefix, rest) = match name.chars().next()? {
            'k' | 'K' => (3, &name[1..]),
            'm' | 'M' => (6, &name[1..]),
            'g' | 'G' => (9, &name[1..]),
            _ => (0, name),
        };
        let times = match rest {
            "b" | "bit" | "bits" | "Bit" | "Bits" => 1,
            "B" | "byte" | "bytes" | "Byte" | "Bytes" => 8,
            _ => return None,
        };
        Some(Unit { power: prefix, times })
    }

    /// `number` in the smallest pieces.
    fn of(self, number: &Decimal) -> Option<u64> {
        if self.times == 1 {
            return number.times(self.power);
        }
        // Three more digits, so that the eighth part of a byte is not lost.
        let fine = u128::from(number.times(self.power + 3)?) * u128::from(self.times);
        u64::try_from((fine + 500) / 1000).ok()
    }
}

#[derive(Clone, Debug)]
struct Column {
    what: What,
    /// Of numbers that name none.
    unit: Option<Unit>,
    /// Place in the line, from 0.
    at: usize,
    /// As the file calls it.
    name: String,
}

/// The fields of a line of a table, without the blanks and quotation marks around them. A separator between quotation marks is part of its
/// field (RFC 4180).
pub fn fields(line: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let ends = move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    };
    line.split(ends).map(|f| f.trim().trim_matches('"').trim())
}

/// Between the fields of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    White,
    /// A semicolon, a comma, a tab or a bar; blanks around fields mean nothing.
    Char(char),
}

impl Separator {
    /// What separates the fields of a header or of a row with commas. Semicolons first: `0,5;1,2` has commas inside numbers.
    pub(super) fn of(line: &str) -> Self {
        [';', ',', '\t', '|']
            .into_iter()
            .find(|c| fields(line, *c).nth(1).is_some())
            .map_or(Separator::White, Separator::Char)
    }

    pub(super) fn split(self, line: &str) -> Vec<&str> {
        match self {
            Separator::White => line.split_whitespace().collect(),
            Separator::Char(c) => fields(line, c).collect(),
        }
    }

    /// What stands before the decimals of a number: in files of countries that write `0,5` the semicolon separates.
    const fn mark(self, line_has_comma: bool) -> char {
        if matches!(self, Separator::Char(';')) && line_has_comma { ',' } else { '.' }
    }
}

/// Which field of a line is what.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    separator: Separator,
    columns: Vec<Column>,
    /// Fields in a line.
    fields: usize,
    /// As the header names them all.
    names: Vec<String>,
    /// Names of the columns that say nothing to a link.
    pub(super) ignored: Vec<String>,
}

/// How columns are named, for messages.
pub(super) const NAMES: &str = "time_s (or _ms, _us, _ns), rate_mbps (or bandwidth, throughput, bitrate; _bps, _kbps, _gbps, _MBps for bytes), \
                                rtt_ms (or owd_ms, one way), loss (0 to 1) or loss_percent";

impl Layout {
    /// ReVo's: seconds, Mbit/s, round-trip time with its unit, loss from 0 to 1.
    pub(super) fn revo() -> Self {
        let column = |at, what, unit| Column { what, unit, at, name: String::new() };
        Layout {
            separator: Separator::White,
            columns: vec![
                column(0, What::Time, Some(Unit::new(9))),
                column(1, What::Rate, Some(Unit::new(6))),
                column(2, What::Rtt, None),
                column(3, What::Loss, Some(Unit::new(12))),
            ],
            fields: 4,
            names: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// From the names of columns, `-` for one that is to be ignored; the problem names them all.
    pub(super) fn named(names: &[&str], separator: Separator) -> Result<Self, String> {
        let found = || names.iter().map(|n| format!("`{}`", shown(n))).collect::<Vec<_>>().join(", ");
        let mut layout = Layout {
            separator,
            columns: Vec::new(),
            fields: names.len(),
            names: names.iter().map(|name| shown(name)).collect(),
            ignored: Vec::new(),
        };
        for (at, name) in names.iter().enumerate() {
            match column(name) {
                Ok(Some((what, unit))) => {
                    layout.columns.push(Column { what, unit, at, name: (*name).into() });
                }
                Ok(None) if *name == "-" => {}
                Ok(None) => layout.ignored.push((*name).into()),
                Err(problem) => return Err(format!("its columns are {}; {problem}", found())),
            }
        }
        for kind in [&[What::Time][..], &[What::Rate], &[What::Rtt, What::OneWay], &[What::Loss]] {
            let same: Vec<&str> =
                layout.columns.iter().filter(|c| kind.contains(&c.what)).map(|c| c.name.as_str()).collect();
            if same.len() > 1 {
                return Err(format!(
                    "its columns are {}; {} could each be the {}: take all but one out, or say what each column is with \
                     `freezeframe trace import FILE --columns ...` (`-` for one to ignore)",
                    found(),
                    same.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" and "),
                    kind[0].name()
                ));
            }
        }
        let has = |what| layout.columns.iter().any(|c| c.what == what);
        let lacks = if !has(What::Time) {
            "none is a time"
        } else if layout.columns.len() == 1 {
            "none is a rate, a round-trip time or a loss"
        } else {
            return Ok(layout);
        };
        Err(format!(
            "its columns are {}; {lacks}. Columns are understood by names such as {NAMES}: rename them, or say what each is with \
             `freezeframe trace import FILE --columns time_s,rate_mbps,...` (`-` for one to ignore)",
            found()
        ))
    }

    /// Reads rows from numbered lines. Times count from the first row's; what that was is the second value.
    pub(super) fn read<'a>(
        &self,
        name: &str,
        lines: impl Iterator<Item = (usize, &'a str)>,
    ) -> Result<(Rows, Span), TraceError> {
        let mut rows: Vec<Row> = Vec::new();
        let (mut clamped, mut first_clamped) = (0, None);
        let mut base = Span(0);
        for (number, line) in lines {
            let wrong = |problem: String| TraceError::Line { name: name.into(), line: number, problem };
            let line = uncommented(line);
            let fields = self.separator.split(line);
            if fields.len() != self.fields {
                return Err(wrong(self.miscounted(fields.len())));
            }
            if rows.len() == MOST {
                return Err(wrong(format!("more than {MOST} rows: cut the trace into shorter ones")));
            }
            let mut row = Row { start: Span(0), rate: Bitrate(0), rtt: Span(0), loss: Probability::ZERO };
            for column in &self.columns {
                let text = fields[column.at];
                let cell = |problem: String| TraceError::Cell {
                    name: name.into(),
                    line: number,
                    column: column.at + 1,
                    what: column.what.name(),
                    problem,
                };
                let (number_text, unit) = split_unit(text, self.separator.mark(line.contains(',')));
                let decimal = Decimal::read(number_text, self.separator.mark(line.contains(',')))
                    .map_err(|problem| cell(refusal(text, problem, column.what)))?;
                let unit = column.unit_of(text, unit, &self.names).map_err(&cell)?;
                let negative = decimal.negative && !decimal.is_zero();
                if negative && column.what != What::Loss {
                    return Err(cell(format!(
                        "`{}` is negative; a {} is 0 or more",
                        shown(text),
                        column.what.name()
                    )));
                }
                let value = unit.of(&decimal);
                match column.what {
                    What::Time => row.start = Span(value.ok_or_else(|| cell(too_large(text)))?),
                    What::Rate => {
                        let rate = value.filter(|bps| *bps <= FASTEST);
                        row.rate = Bitrate(rate.ok_or_else(|| {
                            cell(format!("`{}` is more than 1 Pbit/s: check its unit", shown(text)))
                        })?);
                    }
                    What::Rtt | What::OneWay => {
                        let ways = if column.what == What::OneWay { 2 } else { 1 };
                        let rtt = value.and_then(|ns| ns.checked_mul(ways)).filter(|ns| *ns <= LONGEST_TRIP);
                        row.rtt = Span(rtt.ok_or_else(|| {
                            cell(format!("`{}` is more than an hour: check its unit", shown(text)))
                        })?);
                    }
                    What::Loss if negative => {
                        clamped += 1;
                        first_clamped.get_or_insert_with(|| (number, text.to_owned()));
                    }
                    What::Loss => {
                        row.loss = value.and_then(Probability::from_parts).ok_or_else(|| {
                            let percent =
                                "if losses are in percent, name the column loss_percent or write `2%`";
                            cell(format!(
                                "loss {} is above 1; a loss is from 0 to 1 ({percent})",
                                shown(text)
                            ))
                        })?;
                    }
                }
            }
            if rows.is_empty() {
                base = row.start;
            }
            let Some(start) = row.start.0.checked_sub(base.0) else {
                return Err(wrong(format!("it starts at {}, before the first row ({base})", row.start)));
            };
            if start > LONGEST {
                return Err(wrong(format!(
                    "it starts {} s after the first row, more than 31 years: check the unit of its times",
                    start / 1_000_000_000
                )));
            }
            row.start = Span(start);
            if let Some(last) = rows.last()
                && row.start <= last.start
            {
                let (at, before) = (Span(base.0 + row.start.0), Span(base.0 + last.start.0));
                return Err(wrong(format!(
                    "it starts at {at}, not after the row before it ({before}): times must rise"
                )));
            }
            rows.push(row);
        }
        if rows.is_empty() {
            let problem = "it has no rows: a trace has at least one".into();
            return Err(TraceError::Whole { name: name.into(), problem });
        }
        let has = |what| self.columns.iter().any(|c| c.what == what);
        let mut rows = Rows::new(rows);
        (rows.clamped, rows.first_clamped) = (clamped, first_clamped);
        (rows.has_rate, rows.has_loss) = (has(What::Rate), has(What::Loss));
        rows.has_rtt = has(What::Rtt) || has(What::OneWay);
        Ok((rows, base))
    }

    fn miscounted(&self, found: usize) -> String {
        if self.columns.iter().all(|c| c.name.is_empty()) {
            format!("{found} columns; a row is `seconds Mbit/s RTTms loss`, e.g. `0.015 20.59 13.0ms 0.00`")
        } else {
            format!("{found} fields, the header names {}: correct the row", self.fields)
        }
    }
}

impl Column {
    /// The unit of a number: the one behind it, else the column's.
    fn unit_of(&self, text: &str, unit: &str, names: &[String]) -> Result<Unit, String> {
        let unknown = || {
            format!(
                "`{}`: `{unit}` is no unit of a {}: write e.g. {}",
                shown(text),
                self.what.name(),
                self.what.example()
            )
        };
        if unit.is_empty() {
            return self.unit.ok_or_else(|| {
                let header = if self.name.is_empty() {
                    String::new()
                } else {
                    let (all, suffix) = (names.join(","), self.suffix());
                    format!(
                        ", or name the unit in the header (its columns are `{all}`), e.g. `{}_{suffix}`",
                        self.name
                    )
                };
                format!(
                    "`{}` is a {} without a unit: write it with one, e.g. {}{header}",
                    shown(text),
                    self.what.name(),
                    self.what.example()
                )
            });
        }
        match self.what {
            What::Time | What::Rtt | What::OneWay => Unit::of_time(unit).ok_or_else(unknown),
            What::Rate => Unit::of_rate(unit).ok_or_else(unknown),
            What::Loss if unit == "%" => Ok(Unit::new(10)),
            What::Loss => Err(unknown()),
        }
    }

    const fn suffix(&self) -> &'static str {
        match self.what {
            What::Time => "s` or `_ms",
            What::Rate => "mbps` or `_kbps",
            What::Rtt | What::OneWay => "ms",
            What::Loss => "percent",
        }
    }
}

/// 31 years: nothing that is added to such a time leaves 64 bits.
pub(super) const LONGEST: u64 = 1_000_000_000_000_000_000;
/// More than any link: a mistaken unit.
const FASTEST: u64 = 1_000_000_000_000_000;
/// An hour.
const LONGEST_TRIP: u64 = 3_600_000_000_000;

fn too_large(text: &str) -> String {
    format!("`{}` is too large a time: check its unit", shown(text))
}

fn refusal(text: &str, problem: Problem, what: What) -> String {
    let (shown, name, example) = (shown(text), what.name(), what.example());
    match problem {
        Problem::Empty => format!("no {name} stands here: write one, e.g. {example}, or take the row out"),
        Problem::NotFinite => {
            format!("`{shown}` is not a {name} that a link can have: write a number, or take the row out")
        }
        Problem::Date => format!("`{shown}` is a date: write seconds, e.g. Unix time (`date +%s.%N`)"),
        Problem::NotANumber => format!("`{shown}` is not a {name}: write e.g. {example}"),
    }
}

/// What a column of this name says; `None`: nothing that a link needs.
fn column(name: &str) -> Result<Option<(What, Option<Unit>)>, String> {
    let words = words(name);
    let is = |list: &[&str]| words.iter().any(|w| list.contains(&w.to_lowercase().as_str()));
    let time_unit = || words.iter().rev().find_map(|w| Unit::of_time(w));
    let rate = is(&[
        "rate",
        "bandwidth",
        "bw",
        "throughput",
        "tput",
        "thpt",
        "capacity",
        "bitrate",
        "goodput",
        "speed",
    ]);
    // `bytes` alone are an amount.
    let rate_unit = || {
        let per_second = |i: usize| {
            words
                .get(i + 1)
                .is_some_and(|w| ["s", "sec", "second", "per"].contains(&w.to_lowercase().as_str()))
        };
        let unit =
            |(i, w): (usize, &&str)| Unit::of_rate(w).filter(|_| rate || w.ends_with("ps") || per_second(i));
        words.iter().enumerate().rev().find_map(unit)
    };
    if is(&["loss", "plr"]) {
        let percent = name.contains('%') || is(&["percent", "percentage", "pct"]);
        return Ok(Some((What::Loss, Some(Unit::new(if percent { 10 } else { 12 })))));
    }
    if is(&["rtt", "ping", "rtts"]) || is(&["round", "roundtrip"]) && is(&["trip", "roundtrip"]) {
        return Ok(Some((What::Rtt, time_unit())));
    }
    if is(&["owd"]) || is(&["one", "oneway"]) && is(&["way", "oneway"]) {
        return Ok(Some((What::OneWay, time_unit())));
    }
    if is(&["latency", "delay"]) {
        return Err(format!(
            "`{name}` may be one way or both: rename it to rtt_ms or owd_ms (or, to ignore it, take it out)"
        ));
    }
    if rate || rate_unit().is_some() {
        if rate_unit().is_none()
            && let Some(loud) = words.iter().find(|w| w.len() > 2 && w.ends_with("BPS"))
        {
            return Err(format!(
                "`{name}`: `{loud}` may be bits or bytes: write `Mbps` for bits, `MBps` for bytes"
            ));
        }
        return Ok(Some((What::Rate, rate_unit())));
    }
    if is(&["time", "timestamp", "timestamps", "ts", "t", "elapsed", "epoch", "clock"])
        || words.len() == 1 && Unit::of_time(words[0]).is_some()
    {
        return Ok(Some((What::Time, time_unit())));
    }
    Ok(None)
}

/// `DL_bitrate (kbps)` as `DL`, `bitrate`, `kbps`; `rttMs` as `rtt`, `Ms`. Units stay whole.
fn words(name: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        if Unit::of_rate(word).is_some() || Unit::of_time(word).is_some() {
            words.push(word);
            continue;
        }
        let bytes = word.as_bytes();
        let mut from = 0;
        for at in 1..bytes.len() {
            // Where a unit begins in camel case, it is the rest of the word.
            if bytes[at - 1].is_ascii_lowercase() && bytes[at].is_ascii_uppercase() {
                words.push(&word[from..at]);
                from = at;
                if Unit::of_rate(&word[at..]).is_some() {
                    break;
                }
            }
        }
        words.push(&word[from..]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(name: &str) -> String {
        match column(name) {
            Ok(Some((what, Some(unit)))) => format!("{} 10^{} x{}", what.name(), unit.power, unit.times),
            Ok(Some((what, None))) => format!("{} ?", what.name()),
            Ok(None) => "-".into(),
            Err(_) => "refused".into(),
        }
    }

    #[test]
    fn a_separator_in_quotation_marks_separates_nothing() {
        let line = r#""Berlin; DE",1.5, "2,5 Mbit" ,"#;
        assert_eq!(Separator::of(line), Separator::Char(','));
        assert_eq!(Separator::Char(',').split(line), ["Berlin; DE", "1.5", "2,5 Mbit", ""]);
        assert_eq!(Separator::of("\"a b\" c"), Separator::White);
    }

    #[test]
    fn columns_by_name() {
        for (name, is) in [
            ("time_s", "time 10^9 x1"),
            ("Time (ms)", "time 10^6 x1"),
            ("timestamp_us", "time 10^3 x1"),
            ("elapsedNs", "time 10^0 x1"),
            ("seconds", "time 10^9 x1"),
            ("ms", "time 10^6 x1"),
            ("time", "time ?"),
            ("rate_mbps", "rate 10^6 x1"),
            ("Bandwidth (Mbps)", "rate 10^6 x1"),
            ("throughput_kbps", "rate 10^3 x1"),
            ("throughput [Mbit/s]", "rate 10^6 x1"),
            ("throughput_mbit_s", "rate 10^6 x1"),
            ("DL_bitrate (kbps)", "rate 10^3 x1"),
            ("bandwidthMbps", "rate 10^6 x1"),
            ("bits_per_second", "rate 10^0 x1"),
            ("rate_bps", "rate 10^0 x1"),
            ("speed_MBps", "rate 10^6 x8"),
            ("speed (kB/s)", "rate 10^3 x8"),
            ("bytes_per_second", "rate 10^0 x8"),
            ("mbps", "rate 10^6 x1"),
            ("bandwidth", "rate ?"),
            ("speed_MBPS", "refused"),
            ("rtt_ms", "round-trip time 10^6 x1"),
            ("rttMs", "round-trip time 10^6 x1"),
            ("ping (s)", "round-trip time 10^9 x1"),
            ("RTT", "round-trip time ?"),
            ("owd_ms", "one-way delay 10^6 x1"),
            ("one way delay (us)", "one-way delay 10^3 x1"),
            ("latency_ms", "refused"),
            ("loss", "loss 10^12 x1"),
            ("packet_loss_rate", "loss 10^12 x1"),
            ("loss_percent", "loss 10^10 x1"),
            ("Loss (%)", "loss 10^10 x1"),
            ("latitude", "-"),
            ("bytes", "-"),
            ("bytes_total", "-"),
            ("capacity_mbit", "rate 10^6 x1"),
            ("jitter_ms", "-"),
            ("lost_packets", "-"),
            ("", "-"),
        ] {
            assert_eq!(what(name), is, "{name}");
        }
    }
}
