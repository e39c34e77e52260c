//! Parts of a plan: which runs a machine does, and what it notes of them.
//!
//! A run belongs to a part by what it is, not by where it stands in the plan: a plan that grows leaves every old run where it was, and
//! every machine comes to the same parts whatever its libraries are. That is why it is not the run's key that is hashed, which has the
//! system's revision in it, but what was asked for: system, options, scenario, content of the clip, shape, clock, seed.

use crate::launch::Request;
use crate::launch::clip::{self, ClipRequest, embedded_number};
use anyhow::{Context, Result};
use contract::{Manifest, Scenario};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use xxhash_rust::xxh3::xxh3_128;

/// Name of the folder of records in a sweep's folder. It begins with a point: nothing in it is a run.
pub const FOLDER: &str = ".sweep";

/// Part `index` of `of`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(format!("{text:?} is no part; write I/N with I from 1 to N, as in 2/8")),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// The part, of `of`, that a run belongs to.
#[must_use]
pub fn part(id: &str, of: u32) -> u32 {
    let number = u128::from_str_radix(id, 16).unwrap_or_else(|_| xxh3_128(id.as_bytes()));
    u32::try_from(number % u128::from(of)).expect("less than a u32") + 1
}

/// What runs are called before anything of them is resolved. Files are read once.
#[derive(Default)]
pub struct Identifier {
    files: BTreeMap<PathBuf, String>,
}

impl Identifier {
    /// 32 hex digits: a hash of what was asked for, by content.
    ///
    /// # Errors
    /// When a file of it cannot be read.
    pub fn id(&mut self, request: &Request) -> Result<String> {
        let scenario = Scenario::find(&request.scenario)?;
        let manifest = Manifest::find(&request.system)?;
        let system = if manifest.is_shipped() { String::new() } else { manifest.hash.clone() };
        let ClipRequest { rgb, depth, depth_unit, no_depth, shape, frames, fov: _ } = &request.clip;
        let rgb = match rgb.as_deref().unwrap_or(clip::DEFAULT) {
            name if embedded_number(name).is_some() => name.to_owned(),
            file => self.content(Path::new(file))?,
        };
        let costs = match Path::new(&request.costs) {
            file if file.extension().is_some_and(|e| e == "toml") => self.content(file)?,
            _ => request.costs.clone(),
        };
        let depth = depth.as_deref().map(|file| self.content(file)).transpose()?;
        // A table's keys are in order.
        let options = crate::launch::request::parse_options(&request.options)?;
        let asked = serde_json::json!([
            manifest.name,
            system,
            options.to_string(),
            scenario.name,
            scenario.content_hash(),
            scenario.playout.to_string(),
            rgb,
            depth,
            depth_unit.to_string(),
            no_depth,
            shape,
            frames,
            request.backend,
            request.shaper,
            request.seed,
            costs,
        ]);
        Ok(format!("{:032x}", xxh3_128(asked.to_string().as_bytes())))
    }

    fn content(&mut self, path: &Path) -> Result<String> {
        if let Some(known) = self.files.get(path) {
            return Ok(known.clone());
        }
        let found = clip::hash_of(path).with_context(|| format!("clip {}", path.display()));
        let hash = format!("{:032x}", found.map_err(|e| crate::BadInput(contract::said(&*e)))?);
        self.files.insert(path.to_owned(), hash.clone());
        Ok(hash)
    }
}

/// What a machine notes of its part: all runs of the plan in order, and what became of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Name of the plan.
    pub plan: String,
    /// Which part.
    pub shard: u32,
    /// How many there are.
    pub of: u32,
    /// False while it is at work, and for ever if it was killed.
    pub finished: bool,
    /// Every run of the plan, in its order.
    pub runs: Vec<Entry>,
}

/// A run of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`Identifier::id`].
    pub id: String,
    /// For people.
    pub name: String,
    /// What became of it, if it is of this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in this directory, relative to the sweep's.
    Done(String),
    /// It failed, and why.
    Failed(String),
    /// The machine could not do it and the plan lets it go, and why.
    LeftOut(String),
}

impl Record {
    fn file(out: &Path, shard: Shard) -> PathBuf {
        out.join(FOLDER).join(format!("shard-{}-of-{}.json", shard.index, shard.of))
    }

    /// Which part it is of.
    #[must_use]
    pub fn part(&self) -> Shard {
        Shard { index: self.shard, of: self.of }
    }

    /// Writes it into a sweep's folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, out: &Path) -> Result<()> {
        let path = Self::file(out, self.part());
        let folder = path.parent().expect("it has one");
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::create_dir_all(folder)
            .and_then(|()| contract::write_whole(&path, text.as_bytes()))
            .with_context(|| format!("failed to write {}", path.display()))
    }

    /// All records in a sweep's folder, by part.
    ///
    /// # Errors
    /// When one cannot be read or makes no sense.
    pub fn read_all(out: &Path) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = Vec::new();
        for entry in std::fs::read_dir(out.join(FOLDER)).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("shard-") && name.ends_with(".json") {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("failed to read {}", path.display()))?;
                let read = serde_json::from_str(&text);
                all.push(read.with_context(|| {
                    format!("{} is damaged; remove it and sweep that part again", path.display())
                })?);
            }
        }
        all.sort_by_key(|r| (r.of, r.shard));
        Ok(all)
    }

    /// Removes the record of a part, which is about to be done.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(out: &Path, shard: Shard) -> Result<()> {
        let path = Self::file(out, shard);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("failed to remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// A run as people call it.
#[must_use]
pub fn name(request: &Request) -> String {
    let clip = request.clip.rgb.as_deref().unwrap_or(clip::DEFAULT);
    let clip = Path::new(clip).file_name().unwrap_or_default().to_string_lossy();
    let words = [request.scenario.as_str(), &request.system, &request.options.join(" "), &clip];
    let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
    let clock = match request.backend {
        contract::Backend::Virtual => "",
        contract::Backend::Namespaces => " in namespaces",
    };
    format!("{} seed {}{clock}", words.join(" "), request.seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Backend, Shaping};
    use proptest::prelude::*;

    fn request(seed: u64, options: &[&str], clip: Option<&str>) -> Request {
        Request {
            scenario: "clean".into(),
            system: "revo-h264".into(),
            clip: ClipRequest { rgb: clip.map(str::to_owned), shape: (64, 48, 30), ..ClipRequest::default() },
            backend: Backend::Virtual,
            shaper: Shaping::Auto,
            seed,
            options: options.iter().map(|o| (*o).to_owned()).collect(),
            costs: contract::costs::IDEAL.to_owned(),
            cache: true,
        }
    }

    #[test]
    fn a_part_is_written_as_i_of_n() {
        assert_eq!("2/8".parse(), Ok(Shard { index: 2, of: 8 }));
        for wrong in ["0/8", "9/8", "8", "a/b", "1/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("I/N"), "{wrong}");
        }
    }

    #[test]
    fn what_was_asked_for_decides_and_names_of_files_do_not() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (a, b, c) = (write("a", "one"), write("b", "one"), write("c", "two"));
        let mut ids = Identifier::default();
        let mut id = |r: &Request| ids.id(r).unwrap();
        assert_eq!(id(&request(1, &[], Some(&a))), id(&request(1, &[], Some(&b))));
        assert_ne!(id(&request(1, &[], Some(&a))), id(&request(1, &[], Some(&c))));
        assert_ne!(id(&request(1, &[], Some(&a))), id(&request(2, &[], Some(&a))));
        assert_ne!(id(&request(1, &["x=1"], None)), id(&request(1, &["x=2"], None)));
        assert_eq!(id(&request(1, &["x=1", "y=2"], None)), id(&request(1, &["y=2", "x=1"], None)));
        // The same on every machine and in every version: the order of a plan's runs over machines hangs on it.
        assert_eq!(id(&request(1, &[], None)).len(), 32);
        let error = Identifier::default().id(&request(1, &[], Some("/no/such"))).unwrap_err().to_string();
        assert!(error.contains("/no/such"), "{error}");
    }

    proptest! {
        /// Parts share nothing and lack nothing, and a run's part does not hang on the other runs.
        #[test]
        fn parts_are_a_partition(seeds in prop::collection::btree_set(0u64..10_000, 1..200), of in 1u32..20) {
            let mut ids = Identifier::default();
            let all: Vec<String> = seeds.iter().map(|s| ids.id(&request(*s, &[], None)).unwrap()).collect();
            let parts: Vec<u32> = all.iter().map(|id| part(id, of)).collect();
            prop_assert!(parts.iter().all(|p| (1..=of).contains(p)));
            // An even share, within five deviations of a fair draw.
            let fair = all.len() as f64 / f64::from(of);
            for p in 1..=of {
                let found = parts.iter().filter(|q| **q == p).count() as f64;
                prop_assert!((found - fair).abs() <= 5.0 * fair.sqrt() + 2.0, "{} of {}: {found}, fair is {fair}", p, of);
            }
        }
    }
}
