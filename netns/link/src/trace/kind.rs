//! What a trace's file looks like: for files that nobody has named a format for, and for messages about those that are none.

use super::columns::{Layout, NAMES, Separator};
use super::number::{Decimal, split_unit};
use super::text::{decode, lines, shown, uncommented};
use super::{Format, TraceError};

impl Format {
    /// The format that a file looks like, by its first lines.
    ///
    /// # Errors
    /// Says what the file looks like instead, and how to make a trace of it.
    pub fn guess(name: &str, bytes: &[u8]) -> Result<Self, TraceError> {
        let whole = |problem: String| TraceError::Whole { name: name.into(), problem };
        let text = decode(bytes).map_err(|(line, problem)| match line {
            0 => whole(problem),
            line => TraceError::Line { name: name.into(), line, problem },
        })?;
        if is_log_of_mahimahi(text) {
            return Err(whole(
                "a log of mahimahi's mm-link, not a trace: its opportunities are `grep '^[0-9]* #' FILE | cut -d' ' -f1`".into(),
            ));
        }
        let Some((line_number, line)) = lines(text).next() else {
            return Err(whole("it has no rows: it is empty, or holds nothing but comments".into()));
        };
        let wrong = |problem: String| TraceError::Line { name: name.into(), line: line_number, problem };
        if line.starts_with(['{', '[']) {
            return Err(if is_toml(line) { wrong(toml()) } else { wrong(json(text)) });
        }
        if let Some((key, _)) = line.split_once('=')
            && key.trim().chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            return Err(wrong(toml()));
        }
        let separator = Separator::of(line);
        if header(line) {
            return Ok(Format::Csv);
        }
        let spread = uncommented(line);
        let fields = if separator == Separator::White || separator == Separator::Char('\t') {
            Separator::White.split(spread)
        } else {
            let n = separator.split(line).len();
            return Err(wrong(format!("{n} columns without a header: {}", name_them(n))));
        };
        match fields[..] {
            [_] => Ok(Format::Mahimahi),
            [_, _, rtt, _] if !split_unit(rtt, '.').1.is_empty() => Ok(Format::Revo),
            [_, _, _, _] => Ok(Format::Revo),
            [_, _] => Err(wrong(format!(
                "two columns without a header, such as Pensieve's (seconds, Mbit/s): {}",
                name_them(2)
            ))),
            [_, _, _, _, _, _] => Err(wrong(format!(
                "six columns without a header. If this is a log of the HSDPA data set (Unix seconds, milliseconds, latitude, longitude, bytes, \
                 milliseconds of the row), write its rate: \
                 `awk 'BEGIN{{print \"time_ms,rate_kbps\"}} {{print t+0 \",\" $5*8/$6; t+=$6}}' FILE > NEW.csv`. Otherwise {}",
                name_them(6)
            ))),
            _ => {
                Err(wrong(format!("{} columns without a header: {}", fields.len(), name_them(fields.len()))))
            }
        }
    }

    /// In words.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Format::Revo => "four columns: seconds, Mbit/s, round-trip time, loss (revo)",
            Format::Mahimahi => {
                "packet deliveries: the milliseconds at which 1500 bytes may leave (mahimahi)"
            }
            Format::Csv => "a table with a header (csv)",
        }
    }

    /// As scenario files and the command line write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Format::Revo => "revo",
            Format::Mahimahi => "mahimahi",
            Format::Csv => "csv",
        }
    }
}

fn name_them(columns: usize) -> String {
    let ignored = ",-".repeat(columns.saturating_sub(2));
    format!(
        "say what each is, in order: `freezeframe trace import FILE --columns time_s,rate_mbps{ignored} -o NEW.log` (`-` for one to ignore; \
         names: {NAMES}), or write that as the first line and use format = \"csv\""
    )
}

/// Whether a line names columns: a field is neither a number nor empty, and the first is no number.
pub(super) fn header(line: &str) -> bool {
    let fields = Separator::of(line).split(line);
    let number = |field: &&str| {
        let (number, _) = split_unit(field, '.');
        field.is_empty()
            || Decimal::read(number, '.').is_ok()
            || Decimal::read(&number.replace(',', "."), '.').is_ok()
            || number.starts_with(|c: char| c.is_ascii_digit() || c == '-')
    };
    !fields.iter().any(number) && fields.iter().any(|f| f.contains(char::is_alphabetic)) && (fields.len() > 1 || named(line))
        // A table with its rows' numbers in front, as pandas writes it.
        || fields.first().is_some_and(|f| f.is_empty()) && fields.len() > 2 && fields[1..].iter().all(|f| !number(f))
}

/// A single word that is the name of a column.
fn named(word: &str) -> bool {
    Layout::named(&[word, "time_s", "loss"], Separator::White).is_err()
        || Layout::named(&["time_s", word], Separator::White).is_ok()
}

/// `12 # 1504`, `12 + 1504`, `15 - 1504 3`: what mm-link logs.
fn is_log_of_mahimahi(text: &str) -> bool {
    let event = |line: &str| {
        let mut words = line.split_whitespace();
        let digits = |word: Option<&str>| word.is_some_and(|w| w.bytes().all(|b| b.is_ascii_digit()));
        digits(words.next()) && matches!(words.next(), Some("#" | "+" | "-" | "d")) && digits(words.next())
    };
    text.lines().take(50).any(|line| line.starts_with("# mahimahi mm-link") || event(line))
}

fn is_toml(line: &str) -> bool {
    line.starts_with("[[") && line.ends_with("]]") && line.chars().any(char::is_alphabetic)
        || line.starts_with('[')
            && line.ends_with(']')
            && line[1..].starts_with(char::is_alphabetic)
            && !line.contains(',')
}

fn toml() -> String {
    "this looks like TOML (a scenario or another description), not a trace: a scenario is used with `freezeframe run`, its trace is \
     the file that [forward.trace] names"
        .into()
}

fn json(text: &str) -> String {
    let recipe = if text.contains("\"intervals\"") && text.contains("bits_per_second") {
        "a result of iperf3; its rate is `jq -r '\"time_s,rate_bps\", (.intervals[].sum | \"\\(.start),\\(.bits_per_second)\")' FILE > NEW.csv`"
    } else {
        "write a table with a header, e.g. `jq -r '\"time_s,rate_bps\", (.[] | \"\\(.time),\\(.rate)\")' FILE > NEW.csv` with its own names"
    };
    format!("this is JSON, not a trace: {recipe}")
}

/// What is said when a file was read in a format that it does not look like.
pub(super) fn mistaken(name: &str, told: Format, bytes: &[u8], error: TraceError) -> TraceError {
    match Format::guess(name, bytes) {
        Ok(found) if found != told => {
            let line = decode(bytes).ok().and_then(|text| lines(text).next());
            let first = line.map_or(String::new(), |(_, line)| format!(" (it begins `{}`)", shown(line)));
            TraceError::Whole {
                name: name.into(),
                problem: format!(
                    "it does not look like {}, but like {}{first}: write format = \"{}\" (or --format {})",
                    told.describe(),
                    found.describe(),
                    found.word(),
                    found.word()
                ),
            }
        }
        Err(other) => other,
        Ok(_) => error,
    }
}
