//! What the work of codecs and networks costs in virtual time: nothing, or what a table says that a named machine needed.
//!
//! One choice for all systems of a table (`--costs`, `costs` in a plan), so that none is charged what another is not. On the wall clock
//! work costs what it costs.

use crate::text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The name of the choice that work takes no time.
pub const IDEAL: &str = "ideal";

/// Tables that come with the project.
const SHIPPED: &[(&str, &str)] = &[
    ("epyc-zen5", include_str!("../costs/epyc-zen5.toml")),
    ("reparo-paper", include_str!("../costs/reparo-paper.toml")),
];

/// A table; without work it is [`IDEAL`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// On the command line and in reports.
    pub name: String,
    /// What was measured on, in words.
    #[serde(default)]
    pub machine: String,
    /// Pixels of the pictures that were measured; work is charged in proportion.
    #[serde(default)]
    pub pixels: u32,
    /// By codec, or by network (`reparo-bf16`).
    #[serde(default)]
    pub work: BTreeMap<String, Work>,
}

/// Microseconds of one core per picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Encoding.
    pub encode_us: u64,
    /// Decoding.
    pub decode_us: u64,
    /// Filling in what is lost, where a system does.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recover_us: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(us: &u64) -> bool {
    *us == 0
}

/// What one picture of a run is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Encoding.
    pub encode: Duration,
    /// Decoding.
    pub decode: Duration,
    /// Filling in what is lost.
    pub recover: Duration,
}

/// What can be wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum CostsError {
    /// Neither a shipped name nor a file.
    #[error(
        "no table of costs is called {name:?}; there are: ideal, {known}; or give a TOML file (`freezeframe costs` makes one)"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Not readable, or no table.
    #[error("table of costs {name}: {reason}")]
    Invalid {
        /// Name or path.
        name: String,
        /// Line, field and remedy.
        reason: String,
    },
    /// A codec that was not measured.
    #[error(
        "the table of costs {name} has no row for {work}; it has: {known}; add one, or use --costs ideal"
    )]
    Missing {
        /// The table.
        name: String,
        /// What was looked for.
        work: String,
        /// Its rows.
        known: String,
    },
}

impl Default for Costs {
    fn default() -> Self {
        Self { name: IDEAL.to_owned(), machine: String::new(), pixels: 0, work: BTreeMap::new() }
    }
}

impl Costs {
    /// `ideal`, a shipped table by name, or a file by path.
    ///
    /// # Errors
    /// Name what is wrong, and the remedy.
    pub fn find(name_or_path: &str) -> Result<Self, CostsError> {
        if name_or_path == IDEAL {
            return Ok(Self::default());
        }
        if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(name, text);
        }
        if Path::new(name_or_path).extension().is_none_or(|e| e != "toml") {
            let known = SHIPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(CostsError::Unknown { name: name_or_path.to_owned(), known });
        }
        let invalid = |reason: String| CostsError::Invalid { name: name_or_path.to_owned(), reason };
        let text = std::fs::read_to_string(name_or_path).map_err(|e| invalid(e.to_string()))?;
        Self::parse(name_or_path, &text)
    }

    /// A table from its text; `name` is for messages.
    ///
    /// # Errors
    /// Name what is wrong, and the remedy.
    pub fn parse(name: &str, text: &str) -> Result<Self, CostsError> {
        let invalid = |reason: String| CostsError::Invalid { name: name.to_owned(), reason };
        let table: Self = toml::from_str(text).map_err(|e| invalid(e.to_string()))?;
        if table.name == IDEAL || table.name.is_empty() || text::line(&table.name) != table.name {
            return Err(invalid("field `name`: one line of text other than \"ideal\"".into()));
        }
        if table.machine.is_empty() {
            return Err(invalid("field `machine` is missing: say what was measured on".into()));
        }
        if table.pixels == 0 {
            return Err(invalid(
                "field `pixels` is missing: columns times rows of the measured pictures".into(),
            ));
        }
        let longest = 60_000_000;
        for (work, w) in &table.work {
            if w.encode_us.max(w.decode_us).max(w.recover_us) > longest {
                return Err(invalid(format!("work.{work}: at most {longest} microseconds (a minute)")));
            }
        }
        Ok(table)
    }

    /// Work takes no time.
    #[must_use]
    pub fn is_ideal(&self) -> bool {
        self.name == IDEAL
    }

    /// What a picture of `pixels` is charged for `work`.
    ///
    /// # Errors
    /// A table that lacks it.
    pub fn of(&self, work: &str, pixels: u32) -> Result<Charge, CostsError> {
        if self.is_ideal() {
            return Ok(Charge::default());
        }
        let missing = || CostsError::Missing {
            name: self.name.clone(),
            work: work.to_owned(),
            known: self.work.keys().cloned().collect::<Vec<_>>().join(", "),
        };
        let row = self.work.get(work).ok_or_else(missing)?;
        let scaled = |us: u64| {
            let nanos = u128::from(us) * 1000 * u128::from(pixels) / u128::from(self.pixels.max(1));
            Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
        };
        Ok(Charge {
            encode: scaled(row.encode_us),
            decode: scaled(row.decode_us),
            recover: scaled(row.recover_us),
        })
    }

    /// The name and, of a table, a hash of its numbers.
    #[must_use]
    pub fn key(&self) -> String {
        if self.is_ideal() {
            return IDEAL.to_owned();
        }
        let numbers = serde_json::json!([self.pixels, self.work]).to_string();
        format!("{} {:08x}", self.name, xxhash_rust::xxh3::xxh3_64(numbers.as_bytes()) as u32)
    }

    /// For people: the name and the machine.
    #[must_use]
    pub fn words(&self) -> String {
        if self.is_ideal() {
            return "ideal (work takes no time)".to_owned();
        }
        format!("{} ({})", self.name, self.machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_tables_are_tables_and_have_every_codec() {
        for (name, _) in SHIPPED {
            let table = Costs::find(name).unwrap();
            assert_eq!(&table.name, name);
            for work in ["h264", "h265", "vp8", "vp9", "reparo-bf16", "reparo-fp32"] {
                let charge = table.of(work, table.pixels).unwrap();
                assert!(charge.encode > Duration::ZERO && charge.decode > Duration::ZERO, "{name} {work}");
            }
        }
        // Reparo, Table 2: 14.1, 17.8 and 13.1 ms.
        let paper = Costs::find("reparo-paper").unwrap().of("reparo-bf16", 512 * 512).unwrap();
        let ms = |us: u64| Duration::from_micros(us);
        assert_eq!(paper, Charge { encode: ms(14_100), decode: ms(13_100), recover: ms(17_800) });
    }

    #[test]
    fn work_is_charged_in_proportion_to_pixels_and_ideal_is_free() {
        let text = "name = \"x\"\nmachine = \"m\"\npixels = 1000\n[work.vp8]\nencode_us = 30\ndecode_us = 7";
        let table = Costs::parse("x.toml", text).unwrap();
        let charge = table.of("vp8", 500).unwrap();
        assert_eq!((charge.encode.as_nanos(), charge.decode.as_nanos()), (15_000, 3500));
        assert_eq!(Costs::default().of("anything", 1).unwrap(), Charge::default());
        let error = table.of("vp9", 500).unwrap_err().to_string();
        assert!(error.contains("no row for vp9") && error.contains("vp8"), "{error}");
        let other = Costs::parse("x.toml", &text.replace("30", "31")).unwrap();
        assert_ne!(table.key(), other.key());
        assert_eq!(Costs::default().key(), "ideal");
    }

    #[test]
    fn bad_tables_name_field_and_remedy() {
        for (text, says) in [
            ("name = \"ideal\"\nmachine = \"m\"\npixels = 1", "`name`"),
            ("name = \"x\"\npixels = 1", "`machine`"),
            ("name = \"x\"\nmachine = \"m\"", "`pixels`"),
            ("name = \"x\"\nmachine = \"m\"\npixels = 1\nspeed = 2", "speed"),
            (
                "name = \"x\"\nmachine = \"m\"\npixels = 1\n[work.a]\nencode_us = 1\ndecode_us = 60000001",
                "work.a",
            ),
        ] {
            let error = Costs::parse("bad.toml", text).unwrap_err().to_string();
            assert!(error.contains("bad.toml") && error.contains(says), "{error}");
        }
        assert!(Costs::find("cray-1").unwrap_err().to_string().contains("epyc-zen5"));
    }
}
