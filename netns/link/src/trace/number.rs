//! Numbers as programs write them: any number of decimals, with an exponent, read in integers.
//!
//! `2.8333333333333335`, `1.000000000000000000e+03` and `5E-2` come out of Python, numpy and spreadsheets. A link holds whole
//! nanoseconds, bits per second and parts per 10^12; what lies between is rounded to the nearest, ties to even. No value passes through
//! floating point, so the same text gives the same link everywhere.

/// Why a text is not a number that a link can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Nothing there.
    Empty,
    /// `nan`, `inf`, `null` and the like.
    NotFinite,
    /// A date or a time of day.
    Date,
    /// Anything else.
    NotANumber,
}

/// 0.`digits` times 10^`point`, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    /// Below zero.
    pub(super) negative: bool,
    /// From 0 to 9; neither the first nor the last is 0.
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    /// Reads a number; `mark` stands between the whole and the decimals.
    pub(super) fn read(text: &str, mark: char) -> Result<Self, Problem> {
        let (negative, size) = match text.strip_prefix('-') {
            Some(size) => (true, size),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        const WORDS: [&str; 9] = ["nan", "inf", "infinity", "null", "none", "na", "n/a", "nil", "-nan"];
        if text.is_empty() || text == "-" {
            return Err(Problem::Empty);
        }
        if WORDS.iter().any(|w| size.eq_ignore_ascii_case(w)) {
            return Err(Problem::NotFinite);
        }
        let (mantissa, exponent) = match size.find(['e', 'E']) {
            Some(at) => (&size[..at], exponent(&size[at + 1..]).ok_or(Problem::NotANumber)?),
            None => (size, 0),
        };
        let (whole, fraction) = mantissa.split_once(mark).unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            let date = text.contains(':') || text.matches(['-', '/', '.']).count() > 1;
            let starts = text.starts_with(|c: char| c.is_ascii_digit());
            return Err(if date && starts { Problem::Date } else { Problem::NotANumber });
        }
        digits.iter_mut().for_each(|d| *d -= b'0');
        let zeros = digits.iter().take_while(|d| **d == 0).count();
        let point = (whole.len() as i64) - (zeros as i64) + exponent;
        digits.drain(..zeros);
        digits.truncate(digits.iter().rposition(|d| *d != 0).map_or(0, |last| last + 1));
        Ok(Decimal { negative, digits, point })
    }

    /// Whether it is 0.
    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Whether it is a whole number.
    pub(super) fn is_whole(&self) -> bool {
        self.digits.len() as i64 <= self.point.max(0)
    }

    /// Its size (the sign left out) times 10^power, to the nearest integer, ties to even; `None` beyond 64 bits.
    pub(super) fn times(&self, power: u32) -> Option<u64> {
        let kept = self.point + i64::from(power);
        if self.digits.is_empty() || kept < 0 {
            return Some(0);
        }
        // The first digit is not 0, so that more than 20 of them are beyond 64 bits.
        let kept = usize::try_from(kept).ok().filter(|kept| *kept <= 20)?;
        let digit = |i: usize| u128::from(self.digits.get(i).copied().unwrap_or(0));
        let whole = (0..kept).fold(0u128, |n, i| n * 10 + digit(i));
        let rest = self.digits.get(kept..).unwrap_or(&[]);
        let up = match rest.first() {
            None | Some(0..=4) => false,
            // The last digit is not 0: anything behind the 5 makes it more than a half.
            Some(5) => rest.len() > 1 || whole % 2 == 1,
            Some(_) => true,
        };
        u64::try_from(whole + u128::from(up)).ok()
    }
}

/// The exponent's digits, as far as they can matter.
fn exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(i64::MAX).min(1 << 40);
    Some(if negative { -size } else { size })
}

/// Splits `-1.5e3ms` into `-1.5e3` and `ms`; a text that begins with no number is all number, for the message.
pub(super) fn split_unit(text: &str, mark: char) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    while bytes.get(end).is_some_and(|b| b.is_ascii_digit() || char::from(*b) == mark) {
        end += 1;
    }
    if !bytes[..end].iter().any(u8::is_ascii_digit) {
        return (text, "");
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let mut last = end + 1 + sign;
        while bytes.get(last).is_some_and(u8::is_ascii_digit) {
            last += 1;
        }
        if last > end + 1 + sign {
            end = last;
        }
    }
    let unit = text[end..].trim_start();
    // `2024-01-05`, `12:30:00`, `1.2.3`: not a number with a unit.
    if unit.starts_with(|c: char| c.is_alphabetic() || c == '%' || c == 'µ') {
        (&text[..end], unit)
    } else {
        (text, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(text: &str, power: u32) -> Option<u64> {
        Decimal::read(text, '.').unwrap().times(power)
    }

    #[test]
    fn numbers_of_other_programs() {
        // Python's repr, numpy.savetxt, C's %g, a spreadsheet.
        assert_eq!(times("2.8333333333333335", 6), Some(2_833_333));
        assert_eq!(times("1.000000000000000000e+03", 0), Some(1000));
        assert_eq!(times("5E-2", 9), Some(50_000_000));
        assert_eq!(times("1e-07", 9), Some(100));
        assert_eq!(times("+3.", 0), Some(3));
        assert_eq!(times(".5", 1), Some(5));
        assert_eq!(times("-0.0", 9), Some(0));
        assert_eq!(times("00012", 0), Some(12));
        assert_eq!(times("0e999999999999999999999", 9), Some(0));
        assert_eq!(times("1e-999999999999999999999", 9), Some(0));
        assert_eq!(times("1e999999999999999999999", 9), None);
        assert_eq!(times("18446744073709551615", 0), Some(u64::MAX));
        assert_eq!(times("18446744073709551616", 0), None);
        assert_eq!(Decimal::read("2,5", ',').unwrap().times(1), Some(25));
    }

    #[test]
    fn halves_go_to_the_even_neighbour() {
        for (text, whole) in
            [("0.5", 0), ("1.5", 2), ("2.5", 2), ("2.50001", 3), ("0.49999999999999999999", 0)]
        {
            assert_eq!(times(text, 0), Some(whole), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_told_apart() {
        let problem = |text| Decimal::read(text, '.').unwrap_err();
        for text in ["nan", "NaN", "inf", "-Infinity", "null", "N/A"] {
            assert_eq!(problem(text), Problem::NotFinite, "{text}");
        }
        for text in ["2024-01-05", "12:30:00.5", "2020.02.13_13.57.29", "13/02/2020"] {
            assert_eq!(problem(text), Problem::Date, "{text}");
        }
        for text in ["x", "1e", "1e+", "0x10", "1_000", "--1", ".", "1 2", "e5"] {
            assert_eq!(problem(text), Problem::NotANumber, "{text}");
        }
        assert_eq!((problem(""), problem("-")), (Problem::Empty, Problem::Empty));
    }

    #[test]
    fn units_stand_behind() {
        assert_eq!(split_unit("-1.5e3ms", '.'), ("-1.5e3", "ms"));
        assert_eq!(split_unit("2 %", '.'), ("2", "%"));
        assert_eq!(split_unit("2,5Mbit/s", ','), ("2,5", "Mbit/s"));
        assert_eq!(split_unit("nan", '.'), ("nan", ""));
        assert_eq!(split_unit("12:30:00", '.'), ("12:30:00", ""));
    }

    proptest! {
        /// An exponent only moves the point, and printing a double's 17 digits comes back to its nearest integer.
        #[test]
        fn exponents_move_the_point(whole in 0u64..1_000_000_000, shift in 0u32..9) {
            let exact = times(&format!("{whole}"), shift);
            prop_assert_eq!(times(&format!("{whole}e{shift}"), 0), exact);
            prop_assert_eq!(times(&format!("{whole}00e-{:03}", 2), shift), exact);
            prop_assert_eq!(times(&format!("0.{whole:09}"), 9 + shift), exact);
        }

        #[test]
        fn nothing_panics(text in "[-+0-9.eE,:/ naif%]{0,30}", power in 0u32..13) {
            let (number, _) = split_unit(&text, '.');
            if let Ok(decimal) = Decimal::read(number, '.') {
                let _ = (decimal.times(power), decimal.is_whole());
            }
        }
    }
}
