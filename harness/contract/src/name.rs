//! Names that become parts of paths, and labels that are only shown.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A name that is safe as one component of a path and as a word in a table: 1 to 64 of `A-Z a-z 0-9 . _ + -`, the first a letter
/// or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Longest name, characters.
pub const LONGEST: usize = 64;

/// A text that is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name: write 1 to {LONGEST} of the characters A-Z a-z 0-9 . _ + - and begin with a letter or a digit"
)]
pub struct NameError(pub String);

fn may_begin(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

fn may_follow(c: char) -> bool {
    may_begin(c) || "._+-".contains(c)
}

impl Name {
    /// Checks `text`.
    ///
    /// # Errors
    /// When it is no name; the message says what is one.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let fits = text.chars().next().is_some_and(may_begin) && text.chars().all(may_follow);
        if fits && text.len() <= LONGEST { Ok(Self(text)) } else { Err(NameError(text)) }
    }

    /// The name nearest to `text`: other characters become `_`, what may not stand in front goes, the rest is cut off. `otherwise`
    /// where nothing is left.
    #[must_use]
    pub fn near(text: &str, otherwise: &Name) -> Self {
        let mapped: String = text.chars().map(|c| if may_follow(c) { c } else { '_' }).collect();
        let from = mapped.find(may_begin).unwrap_or(mapped.len());
        let name: String = mapped[from..].chars().take(LONGEST).collect();
        let name = name.trim_end_matches('_');
        if name.is_empty() { otherwise.clone() } else { Self(name.to_owned()) }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `text` for people: without control characters and without marks that turn the direction of writing, at most 200 characters.
#[must_use]
pub fn label(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).take(200).collect()
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, other: &Name) -> bool {
        self == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn what_is_a_name() {
        for good in ["a", "ge-high", "4+4", "revo_h264", "a..b", "x.toml", &"n".repeat(64)] {
            assert_eq!(Name::new(good).unwrap(), *good);
        }
        for bad in [
            "",
            ".",
            "..",
            ".a",
            "-a",
            "_a",
            "a/b",
            "/a",
            "a b",
            "ä",
            "a\n",
            "a\0",
            "\x1b[31m",
            &"n".repeat(65),
        ] {
            let error = Name::new(bad).unwrap_err().to_string();
            assert!(error.contains("is no name") && error.contains("A-Z a-z 0-9"), "{error}");
            assert!(!error.contains('\x1b'), "the message itself carries no control character");
        }
    }

    #[test]
    fn the_nearest_name_is_readable() {
        let other: Name = "clip".parse().unwrap();
        let near = |text: &str| Name::near(text, &other).to_string();
        assert_eq!(near("talk"), "talk");
        assert_eq!(near("my talk (1)"), "my_talk__1");
        assert_eq!(near("../../etc"), "etc");
        assert_eq!(near("-rf"), "rf");
        assert_eq!(near("Gespräch"), "Gespr_ch");
        assert_eq!(near("会議"), "clip");
        assert_eq!(near(""), "clip");
    }

    proptest! {
        #[test]
        fn every_text_has_a_safe_name_and_label(text in any::<String>()) {
            let near = Name::near(&text, &"clip".parse().unwrap());
            prop_assert_eq!(Name::new(near.as_str()).unwrap(), near.clone(), "it is a name itself");
            prop_assert_eq!(Name::near(near.as_str(), &"clip".parse().unwrap()), near.clone(), "and stays as it is");
            let parts: Vec<Component> = Path::new(near.as_str()).components().collect();
            prop_assert!(matches!(parts[..], [Component::Normal(_)]), "one component, never a way out");
            prop_assert!(!label(&text).chars().any(char::is_control));
        }
    }
}
