//! Quantities as a scenario file writes them: `"20ms"`, `"320kbit"`, `"6.8%"`, `"6000B"`.
//!
//! Every type holds an integer, reads and writes the same text, and refuses what it cannot hold exactly.

use crate::time::Bitrate;
use std::fmt;
use std::str::FromStr;

/// A text that is not the quantity it should be; the message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct UnitError {
    text: String,
    wanted: &'static str,
}

impl UnitError {
    pub(crate) fn new(text: &str, wanted: &'static str) -> Self {
        UnitError { text: text.into(), wanted }
    }
}

/// A length of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

impl Span {
    /// `ms` milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Span(ms * 1_000_000)
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time of one frame at `fps` frames per second, rounded down so that frame k of a camera never falls into
    /// interval k-1.
    #[must_use]
    pub const fn of_frame(fps: u32) -> Self {
        Span(1_000_000_000 / if fps == 0 { 1 } else { fps as u64 })
    }
}

impl FromStr for Span {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        const UNITS: [(&str, u32); 5] = [("ns", 0), ("us", 3), ("ms", 6), ("min", 0), ("s", 9)];
        let wrong = || UnitError {
            text: text.into(),
            wanted: "a time: write \"20ms\", \"33.333ms\", \"15us\" or \"1.5s\"",
        };
        let (number, unit) = split_unit(text);
        let (_, power) = UNITS.iter().find(|(u, _)| *u == unit).ok_or_else(wrong)?;
        let ns = if unit == "min" {
            decimal(number, 9).and_then(|ns| ns.checked_mul(60))
        } else {
            decimal(number, *power)
        };
        ns.map(Span).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (power, unit) = match self.0 {
            0 => return f.write_str("0ms"),
            ns if ns >= 1_000_000_000 && ns % 1_000_000 == 0 => (9, "s"),
            ns if ns >= 1_000_000 => (6, "ms"),
            ns if ns >= 1000 => (3, "us"),
            _ => (0, "ns"),
        };
        write_decimal(f, self.0, power)?;
        f.write_str(unit)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(pub u64);

impl FromStr for ByteCount {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError {
            text: text.into(),
            wanted: "a size: write \"6000B\", \"150kB\" (1000) or \"150KiB\" (1024)",
        };
        let (number, unit) = split_unit(text);
        let bytes = match unit {
            "B" => decimal(number, 0),
            "kB" => decimal(number, 3),
            "MB" => decimal(number, 6),
            "KiB" => decimal(number, 0).and_then(|n| n.checked_mul(1024)),
            "MiB" => decimal(number, 0).and_then(|n| n.checked_mul(1 << 20)),
            _ => None,
        };
        bytes.map(ByteCount).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}B", self.0)
    }
}

impl FromStr for Bitrate {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError {
            text: text.into(),
            wanted: "a rate: write \"320kbit\", \"1.5Mbit\" or \"800000bit\"",
        };
        let (number, unit) = split_unit(text);
        let power = match unit.strip_suffix("/s").or_else(|| unit.strip_suffix("ps")).unwrap_or(unit) {
            "bit" => 0,
            "kbit" => 3,
            "Mbit" => 6,
            "Gbit" => 9,
            _ => return Err(wrong()),
        };
        decimal(number, power).map(Bitrate).ok_or_else(wrong)
    }
}

/// A rate as tc and the scenario files write it, `320kbit`.
#[must_use]
pub fn rate_text(rate: Bitrate) -> String {
    struct Text(u64);
    impl fmt::Display for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let (power, unit) = match self.0 {
                b if b >= 1_000_000_000 && b % 1_000_000 == 0 => (9, "Gbit"),
                b if b >= 1_000_000 && b % 1000 == 0 => (6, "Mbit"),
                b if b >= 1000 => (3, "kbit"),
                _ => (0, "bit"),
            };
            write_decimal(f, self.0, power)?;
            f.write_str(unit)
        }
    }
    Text(rate.as_bps()).to_string()
}

/// A probability as an exact decimal: parts per 10^12.
///
/// Draws compare a 32-bit random word with [`threshold`](Self::threshold), as the kernel's netem does, so that no
/// result depends on a machine's floating point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(u64);

impl Probability {
    /// Never.
    pub const ZERO: Probability = Probability(0);
    /// Always.
    pub const ONE: Probability = Probability(1_000_000_000_000);

    /// `parts` of 10^12; `None` above one.
    #[must_use]
    pub const fn from_parts(parts: u64) -> Option<Self> {
        if parts <= Self::ONE.0 { Some(Probability(parts)) } else { None }
    }

    /// Parts per 10^12.
    #[must_use]
    pub const fn parts(self) -> u64 {
        self.0
    }

    /// For reports and statistics only; fates come from [`threshold`](Self::threshold).
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e12
    }

    /// The share of 2^32-1 that tc would hand to the kernel for this percentage.
    ///
    /// These are tc's own three operations in its own order (`get_percent` in iproute2: read the percentage, divide
    /// by 100, multiply by 0xFFFFFFFF, round half to even), each exactly defined by IEEE 754, so the number is
    /// the same everywhere. A rounding done otherwise differs in the last unit for 30 %, for instance.
    #[must_use]
    pub fn threshold(self) -> u32 {
        let percent = self.0 as f64 / 1e10;
        ((percent / 100.0) * f64::from(u32::MAX)).round_ties_even() as u32
    }
}

impl FromStr for Probability {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        text.strip_suffix('%')
            .and_then(|number| decimal(number.trim_end(), 10))
            .and_then(Probability::from_parts)
            .ok_or_else(|| UnitError {
                text: text.into(),
                wanted: "a probability: write a percentage from \"0%\" to \"100%\" with at most 10 decimals, like \"6.8%\"",
            })
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, 10)?;
        f.write_str("%")
    }
}

/// Splits `20.5ms` into `20.5` and `ms`.
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// `number` times 10^power as an integer; `None` if it is not a plain decimal, not an integer then, or too large.
pub(crate) fn decimal(number: &str, power: u32) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) || fraction.len() > power as usize {
        return None;
    }
    let scale = 10u64.checked_pow(power)?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: u64 = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<u64>().ok()? * 10u64.pow(power - u32::try_from(fraction.len()).ok()?)
    };
    whole.checked_mul(scale)?.checked_add(fraction)
}

/// Writes `value` / 10^power without trailing zeros.
fn write_decimal(f: &mut fmt::Formatter<'_>, value: u64, power: u32) -> fmt::Result {
    let scale = 10u64.pow(power);
    let (whole, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return write!(f, "{whole}");
    }
    let digits = format!("{fraction:0width$}", width = power as usize);
    write!(f, "{whole}.{}", digits.trim_end_matches('0'))
}

macro_rules! text_serde {
    ($($type:ty),*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
pub(crate) use text_serde;
text_serde!(Span, ByteCount, Probability);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_of_scenario_files() {
        assert_eq!("20ms".parse(), Ok(Span(20_000_000)));
        assert_eq!("33.333333ms".parse(), Ok(Span(33_333_333)));
        assert_eq!("2min".parse(), Ok(Span(120_000_000_000)));
        assert_eq!("320kbit".parse(), Ok(Bitrate(320_000)));
        assert_eq!("20.59Mbit/s".parse(), Ok(Bitrate(20_590_000)));
        assert_eq!("6.8%".parse(), Ok(Probability(68_000_000_000)));
        assert_eq!("150KiB".parse(), Ok(ByteCount(153_600)));
        assert_eq!(Span(33_333_333).to_string(), "33.333333ms");
        assert_eq!(Probability(68_000_000_000).to_string(), "6.8%");
        assert_eq!(rate_text(Bitrate(20_590_000)), "20.59Mbit");
    }

    #[test]
    fn refusals_say_what_to_write() {
        for text in ["", "20", "ms", "-1ms", "1e3ms", "0.5ns", ".", "99999999999999s", "1.2.3s"] {
            assert!(text.parse::<Span>().unwrap_err().to_string().contains("write \"20ms\""), "{text}");
        }
        for text in ["0.068", "101%", "-3%", "6,8%", "%", "1.00000000001%"] {
            assert!(text.parse::<Probability>().is_err(), "{text}");
        }
        assert!("320kb".parse::<Bitrate>().is_err());
        assert!("6k".parse::<ByteCount>().is_err());
    }

    #[test]
    fn thresholds_are_those_of_tc() {
        let t = |text: &str| text.parse::<Probability>().unwrap().threshold();
        assert_eq!(t("0%"), 0);
        assert_eq!(t("100%"), u32::MAX);
        // 0.5 * 0xFFFFFFFF ends in .5 exactly and goes to the even neighbour.
        assert_eq!(t("50%"), 2_147_483_648);
        // 0.3 * 0xFFFFFFFF = 1288490188.5 goes down to the even neighbour; rounding half up would give ...189.
        assert_eq!(t("30%"), 1_288_490_188);
        assert_eq!(t("6.8%"), 292_057_776);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(n: u64) {
            prop_assert_eq!(Span(n).to_string().parse(), Ok(Span(n)));
            prop_assert_eq!(ByteCount(n).to_string().parse(), Ok(ByteCount(n)));
            prop_assert_eq!(rate_text(Bitrate(n)).parse(), Ok(Bitrate(n)));
            let p = Probability(n % 1_000_000_000_001);
            prop_assert_eq!(p.to_string().parse(), Ok(p));
        }

        #[test]
        fn garbage_never_panics(text in ".{0,40}") {
            let _ = (text.parse::<Span>(), text.parse::<Bitrate>(), text.parse::<Probability>(), text.parse::<ByteCount>());
        }
    }
}
