//! When a captured frame is due on the screen.

use link::Span;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The play-out budget of a run: a fixed time from capture to screen, or `own`, the clock that each system brings.
///
/// Fixed, every system shows frame `f` at `capture_start + f / fps + budget`, whatever arrived by then; so systems are judged by
/// one measure. `own` is for comparing a system with its original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Playout(Option<Span>);

/// A text or number that is no play-out budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("playout `{text}` is none: {why}")]
pub struct PlayoutError {
    text: String,
    why: &'static str,
}

const WANTED: &str =
    "write a time from capture to screen such as \"150ms\", or \"own\" for each system's own clock";
const OUTSIDE: &str = "it must be above 0 and at most 10s";

impl Playout {
    /// Each system's own clock.
    pub const OWN: Self = Self(None);
    /// Of scenarios that say nothing: 150 ms. docs/DECISIONS.md says why.
    pub const DEFAULT: Self = Self(Some(Span::from_millis(150)));
    /// The longest budget; nobody talks with more delay than that.
    pub const LONGEST: Span = Span::from_millis(10_000);

    /// A fixed budget.
    ///
    /// # Errors
    /// When it is 0 or above [`Playout::LONGEST`].
    pub fn fixed(budget: Span) -> Result<Self, PlayoutError> {
        if budget.as_nanos() == 0 || budget > Self::LONGEST {
            return Err(PlayoutError { text: budget.to_string(), why: OUTSIDE });
        }
        Ok(Self(Some(budget)))
    }

    /// Time from capture to the frame's slot; `None`: the system's own clock decides.
    #[must_use]
    pub fn budget(self) -> Option<Duration> {
        self.0.map(|span| Duration::from_nanos(span.as_nanos()))
    }

    /// The latest a slot can be after its capture: a clock of the system's own may be as late as a fixed budget may be long.
    #[must_use]
    pub fn at_most(self) -> Duration {
        self.budget().unwrap_or(Duration::from_nanos(Self::LONGEST.as_nanos()))
    }

    /// [`budget`](Self::budget) in nanoseconds.
    #[must_use]
    pub fn budget_ns(self) -> Option<u64> {
        self.0.map(Span::as_nanos)
    }
}

impl Default for Playout {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for Playout {
    type Err = PlayoutError;

    fn from_str(text: &str) -> Result<Self, PlayoutError> {
        if text == "own" {
            return Ok(Self::OWN);
        }
        let span = text.parse().map_err(|_| PlayoutError { text: text.to_owned(), why: WANTED })?;
        Self::fixed(span)
    }
}

impl fmt::Display for Playout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(span) => span.fmt(f),
            None => f.write_str("own"),
        }
    }
}

impl Serialize for Playout {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Playout {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// For programs: an integer of nanoseconds, or the text `own`.
pub mod nanos {
    use super::{Playout, WANTED};
    use link::Span;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Nanoseconds(u64),
        Word(String),
    }

    /// As an integer or a word.
    #[allow(clippy::trivially_copy_pass_by_ref, clippy::missing_errors_doc)] // serde's signature
    pub fn serialize<S: Serializer>(playout: &Playout, s: S) -> Result<S::Ok, S::Error> {
        match playout.budget_ns() {
            Some(ns) => s.serialize_u64(ns),
            None => s.serialize_str("own"),
        }
    }

    /// From an integer or a word.
    #[allow(clippy::missing_errors_doc)] // serde's signature
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Playout, D::Error> {
        match Value::deserialize(d)? {
            Value::Nanoseconds(ns) => Playout::fixed(Span(ns)).map_err(D::Error::custom),
            Value::Word(word) if word == "own" => Ok(Playout::OWN),
            Value::Word(word) => Err(D::Error::custom(format!("`{word}`: {WANTED}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_times_or_the_word_own() {
        for (text, ns) in
            [("150ms", 150_000_000), ("33.333ms", 33_333_000), ("10s", 10_000_000_000), ("1ns", 1)]
        {
            let playout: Playout = text.parse().unwrap();
            assert_eq!(playout.budget_ns(), Some(ns));
            assert_eq!(playout.to_string(), text);
        }
        let own: Playout = "own".parse().unwrap();
        assert_eq!((own, own.budget(), own.to_string()), (Playout::OWN, None, "own".to_owned()));
        assert_eq!(Playout::default().budget(), Some(Duration::from_millis(150)));
    }

    #[test]
    fn what_is_no_budget_is_refused_with_the_remedy() {
        for (text, remedy) in [
            ("0ms", "above 0"),
            ("10.001s", "at most 10s"),
            ("150", "150ms"),
            ("adaptive", "\"own\""),
            ("-5ms", "150ms"),
        ] {
            let error = text.parse::<Playout>().unwrap_err().to_string();
            assert!(error.contains(remedy), "{text}: {error}");
        }
    }
}
