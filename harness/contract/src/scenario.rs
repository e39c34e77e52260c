//! A scenario: the network that a run meets, in both directions.

use crate::{Kind, Name, Playout};
use link::{Bitrate, Direction, LinkError, LinkSpec, Span};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One condition. Files are TOML; unknown keys are refused.
///
/// A path that the file does not describe has a delay of 20 ms and no other effect: enough to keep feedback
/// honest, and the round-trip time of 40 ms that ReVo's and most of the papers' set-ups have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// On the command line and in tables.
    pub name: Name,
    /// One line: what it stands for and where its numbers are from.
    pub description: String,
    /// Time from capture to the frame's slot on the screen, the same for every system; or each system's own clock.
    #[serde(default)]
    pub playout: Playout,
    /// Rate the systems are asked for, media and protection together; absent: each system's default.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rate")]
    pub target: Option<Bitrate>,
    /// From the sender of the video to its receiver.
    #[serde(default = "clean_path")]
    pub forward: LinkSpec,
    /// From the receiver back to the sender.
    #[serde(default = "clean_path")]
    pub reverse: LinkSpec,
}

fn clean_path() -> LinkSpec {
    LinkSpec {
        delay: link::DelaySpec {
            base: link::DelayBase::Constant(Span::from_millis(20)),
            ..link::DelaySpec::default()
        },
        ..LinkSpec::default()
    }
}

/// What can be wrong with a scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither a shipped name nor a file.
    #[error(
        "no scenario is called {name:?}; there are: {known}; or give the path of a scenario file, or of a trace of ReVo (.log; docs/NETWORK.md)"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Not readable.
    #[error("failed to read the scenario {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// Not a scenario.
    #[error("scenario {name}: {reason}")]
    Invalid {
        /// Name or path.
        name: String,
        /// Line, field and remedy.
        reason: String,
    },
    /// A path that cannot be.
    #[error("scenario {name}, {path}: {source}")]
    Path {
        /// Name or path of the scenario.
        name: String,
        /// `forward` or `reverse`.
        path: &'static str,
        /// Field and remedy.
        source: LinkError,
    },
}

impl Scenario {
    /// True for the name of a shipped scenario; anything else is a path.
    #[must_use]
    pub fn is_shipped(name: &str) -> bool {
        SHIPPED.iter().any(|(shipped, _)| *shipped == name)
    }

    /// A shipped scenario by name, or a file by path; checked, its traces loaded.
    ///
    /// # Errors
    /// Name what is wrong where, and what to write instead.
    pub fn find(name_or_path: &str) -> Result<Self, ScenarioError> {
        if let Some((_, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(name_or_path, text, Path::new(""));
        }
        let path = Path::new(name_or_path);
        if path.extension().is_some_and(|e| e == "log") {
            return Self::of_trace(path);
        }
        if path.extension().is_none_or(|e| e != "toml") {
            let known = SHIPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(ScenarioError::Unknown { name: name_or_path.into(), known });
        }
        let io = |source| ScenarioError::Io { path: path.into(), source };
        let text = std::fs::read_to_string(path).map_err(io)?;
        let base = std::path::absolute(path).map_err(io)?;
        Self::parse(name_or_path, &text, base.parent().unwrap_or(Path::new("")))
    }

    /// A trace in ReVo's format as ReVo's own script sets the path: the sender's side only. Its name is that of folder and file.
    fn of_trace(path: &Path) -> Result<Self, ScenarioError> {
        let io = |source| ScenarioError::Io { path: path.into(), source };
        std::fs::File::open(path).map_err(io)?;
        let path = std::path::absolute(path).map_err(io)?;
        let odd = |c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c);
        let (folder, file) = (path.parent().and_then(Path::file_name), path.file_stem());
        let name =
            [folder, file].map(|part| part.unwrap_or_default().to_string_lossy().replace(odd, "-")).join("-");
        let place = path.to_string_lossy().into_owned();
        let values = [("format", "revo"), ("replay", "compat"), ("file", &place)];
        let trace: toml::Table =
            values.map(|(key, value)| (key.to_owned(), value.into())).into_iter().collect();
        let forward = toml::Table::from_iter([("trace".to_owned(), trace.into())]);
        let description = format!("{} as ReVo's own script sets tc, sender's side only", path.display());
        let text = toml::Table::from_iter([
            ("name".to_owned(), name.clone().into()),
            ("description".to_owned(), description.into()),
            ("forward".to_owned(), forward.into()),
        ]);
        Self::parse(&name, &text.to_string(), Path::new(""))
    }

    /// A scenario from its text; `name` is for messages, files are looked for from `base`.
    ///
    /// # Errors
    /// Name what is wrong where, and what to write instead.
    pub fn parse(name: &str, text: &str, base: &Path) -> Result<Self, ScenarioError> {
        let mut scenario: Scenario = toml::from_str(text).map_err(|e| {
            let reason = Kind::Scenario.instead_of(name, text).unwrap_or_else(|| e.to_string());
            ScenarioError::Invalid { name: name.into(), reason }
        })?;
        scenario.load(base)?;
        Ok(scenario)
    }

    /// Checks both paths and loads their traces, looked for from `base`. Needed once after reading a scenario in another way than
    /// [`find`](Self::find) and [`parse`](Self::parse), such as from a run's `spec.toml`, where paths are absolute.
    ///
    /// # Errors
    /// Name what is wrong where, and what to write instead.
    pub fn load(&mut self, base: &Path) -> Result<(), ScenarioError> {
        for (path, link) in [("forward", &mut self.forward), ("reverse", &mut self.reverse)] {
            let checked = link.validate().and_then(|()| link.load(base)).and_then(|()| {
                // Building it once finds what only the trace's content can show.
                link::Link::new(link, 0).map(|_| ())
            });
            checked.map_err(|source| ScenarioError::Path { name: self.name.to_string(), path, source })?;
        }
        Ok(())
    }

    /// Hash of what the network does to packets: both paths and the target rate, traces by content. Name, description and play-out
    /// are not in it, nor where a trace's file lies. 32 hex digits.
    ///
    /// # Panics
    /// Never: every key is text.
    #[must_use]
    pub fn content_hash(&self) -> String {
        let path = |link: &LinkSpec| {
            let mut value = serde_json::to_value(link).expect("keys are text");
            if let Some(trace) = value.get_mut("trace").and_then(|t| t.as_object_mut())
                && trace.contains_key("sha256")
            {
                trace.remove("file");
                trace.remove("shipped");
            }
            value
        };
        let target = self.target.map(link::rate_text);
        let text = serde_json::json!([path(&self.forward), path(&self.reverse), target]).to_string();
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
    }

    /// What a study of a clip with `fps` captures per second should know about this scenario, with the next step.
    #[must_use]
    pub fn warnings(&self, fps: u32) -> Vec<link::Warning> {
        let mut warnings = self.forward.warnings_with(&self.reverse);
        for at_this_rate in [&self.forward, &self.reverse].into_iter().filter_map(|l| l.warnings_at(fps)) {
            if !warnings.contains(&at_this_rate) {
                warnings.push(at_this_rate);
            }
        }
        warnings
    }

    /// The same network in a run of `fps` frames per second: a channel that steps with every frame does so at that rate.
    #[must_use]
    pub fn at_rate(mut self, fps: u32) -> Self {
        self.forward.at_rate(fps);
        self.reverse.at_rate(fps);
        self
    }

    /// The scenarios that come with the project, in the order of lists.
    #[must_use]
    pub fn shipped() -> Vec<Scenario> {
        SHIPPED.iter().filter_map(|(name, text)| Self::parse(name, text, Path::new("")).ok()).collect()
    }

    /// The path of a direction.
    #[must_use]
    pub fn path(&self, direction: Direction) -> &LinkSpec {
        match direction {
            Direction::Forward => &self.forward,
            Direction::Reverse => &self.reverse,
        }
    }
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

/// Name and text of every file in `harness/scenarios`.
const SHIPPED: &[(&str, &str)] = shipped![
    "clean",
    "ge-low",
    "ge-medium",
    "ge-high",
    "ge-low-packet",
    "ge-medium-packet",
    "ge-high-packet",
    "fifo-320k",
    "wifi-lossy",
    "cellular",
    "step-down",
    "revo-trace",
    "both-directions",
];

mod rate {
    use link::{Bitrate, rate_text};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(rate: &Option<Bitrate>, s: S) -> Result<S::Ok, S::Error> {
        match rate {
            Some(rate) => s.serialize_str(&rate_text(*rate)),
            None => s.serialize_none(),
        }
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Bitrate>, D::Error> {
        String::deserialize(d)?.parse().map(Some).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_is_one_and_knows_its_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        let mut names: Vec<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        assert_eq!(files, names);
        for (name, _) in SHIPPED {
            let scenario = Scenario::find(name).unwrap();
            assert_eq!(scenario.name, *name);
            let written = toml::to_string_pretty(&scenario).unwrap();
            let mut again: Scenario = toml::from_str(&written).unwrap();
            again.load(Path::new("/")).unwrap();
            assert_eq!(again, scenario, "{written}");
        }
    }

    #[test]
    fn the_hash_is_of_what_packets_meet() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let rows = "0 8.0 40ms 0.0\n0.015 8.0 40ms 0.1\n";
        for name in ["a.log", "b.log"] {
            write(name, rows);
        }
        write("c.log", &rows.replace("0.1", "0.2"));
        let hash = |text: &str| {
            Scenario::parse("x", &format!("name = \"x\"\n{text}"), folder.path()).unwrap().content_hash()
        };
        let traced = |file: &str| {
            hash(&format!(
                "description = \"\"\n[forward.trace]\nfile = \"{file}\"\nformat = \"revo\"\nreplay = \"full\"\n"
            ))
        };
        assert_eq!(traced("a.log"), traced("b.log"), "the same trace under another name");
        assert_ne!(traced("a.log"), traced("c.log"), "another trace");
        let plain = hash("description = \"\"");
        assert_eq!(plain, hash("description = \"other words\"\nplayout = \"90ms\""));
        let lossy = |p: &str, way: &str| {
            hash(&format!("description = \"\"\n[{way}.loss]\nmodel = \"random\"\nprobability = \"{p}\""))
        };
        let others =
            [plain, lossy("5%", "forward"), lossy("6%", "forward"), lossy("5%", "reverse"), traced("a.log")];
        for (i, a) in others.iter().enumerate() {
            assert!(others[..i].iter().all(|b| a != b), "{others:?}");
        }
        assert_ne!(hash("description = \"\"\ntarget = \"1Mbit\""), others[0]);
    }

    #[test]
    fn mistakes_are_named_with_their_remedy() {
        let message = |text: &str| Scenario::parse("x", text, Path::new("")).unwrap_err().to_string();
        let head = "name = \"x\"\ndescription = \"\"\n";
        let unknown = message(&format!("{head}[forward]\nlose = \"5%\"\n"));
        assert!(unknown.contains("unknown field `lose`") && unknown.contains("`loss`"), "{unknown}");
        let model = message(&format!("{head}[forward.loss]\nmodel = \"random\"\nprobability = \"5\"\n"));
        assert!(model.contains("write a percentage"), "{model}");
        let inner =
            message(&format!("{head}[forward.loss]\nmodel = \"random\"\nprobability = \"5%\"\nburst = 3\n"));
        assert!(inner.contains("unknown field `burst`"), "{inner}");
        let trace = message(&format!("{head}[reverse.delay]\nbase = \"trace\"\n"));
        assert!(trace.contains("reverse") && trace.contains("[trace]"), "{trace}");
        let playout = message(&format!("{head}playout = \"fast\"\n"));
        assert!(
            playout.contains("line 3") && playout.contains("150ms") && playout.contains("own"),
            "{playout}"
        );
        let name = Scenario::find("ge-hgih").unwrap_err().to_string();
        assert!(name.contains("ge-high"), "{name}");
    }
}
