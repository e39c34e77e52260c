//! What a user asks for, resolved into a run's specification.

use super::clip::{self, ClipRequest};
use super::described;
use super::identity::{identity, revision};
use crate::{BadInput, bad_input};
use anyhow::{Context, Result};
use contract::identity::DependsOn;
use contract::{Backend, Costs, Manifest, ManifestPlayout, Playout, RunSpec, Scenario, Shaping};
use std::path::Path;

/// Longest time between `start` and frame 0 that a system may ask for.
const LONGEST_SETUP_MS: u64 = 600_000;

/// One run, as asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name or path of a scenario.
    pub scenario: String,
    /// Name of a system or path of a manifest.
    pub system: String,
    /// Which clip.
    pub clip: ClipRequest,
    /// Which clock.
    pub backend: Backend,
    /// Who shapes, between namespaces.
    pub shaper: Shaping,
    /// Seed.
    pub seed: u64,
    /// `key=value` options of the system.
    pub options: Vec<String>,
    /// What work costs in virtual time: `ideal`, or a table's name or file.
    pub costs: String,
    /// Keep encoded streams between runs.
    pub cache: bool,
}

impl Request {
    /// Resolves everything; `clip` is resolved by the caller, once for many runs.
    pub fn resolve(&self, mut clip: contract::ClipSpec) -> Result<(RunSpec, Manifest)> {
        if self.backend == Backend::Virtual && !self.shaper.is_auto() {
            bad_input!(
                "--shaper {}: in virtual time nobody shapes but the model; add --backend namespaces",
                self.shaper
            );
        }
        // On the wall clock work costs what it costs.
        let costs = match self.backend {
            Backend::Virtual => Costs::find(&self.costs).map_err(|e| BadInput(e.to_string()))?,
            Backend::Namespaces => Costs::default(),
        };
        let mut scenario = Scenario::find(&self.scenario)?.at_rate(clip.fps);
        let manifest = Manifest::find(&self.system)?;
        if manifest.playout == ManifestPlayout::Adaptive {
            scenario.playout = Playout::OWN;
        }
        if manifest.is_app() && self.backend == Backend::Virtual {
            bad_input!(
                "system {} is an app, with the harness's camera and screen, and these are on the wall clock: add --backend namespaces",
                manifest.name
            );
        }
        if manifest.colour_only || manifest.is_app() {
            clip.depth = None;
            clip.depth_hash = None;
            clip.depth_range_mm = None;
            clip.depth_per_metre = None;
            clip.depth_fov_degrees = None;
        }
        let given = parse_options(&self.options)?;
        let names = given.keys().cloned().collect();
        let (options, setup_ms, depends_on) = if manifest.describe {
            let mut described = described::describe(&manifest, &given)?;
            if scenario.playout.budget().is_some() {
                for name in &described.own_clock {
                    if given.contains_key(name) {
                        bad_input!(
                            "option {name} of {} belongs to its own clock, and the play-out of scenario {} is fixed ({}); leave it \
                             out, or write playout = \"own\" in the scenario",
                            manifest.name,
                            scenario.name,
                            scenario.playout
                        );
                    }
                    described.options.remove(name);
                }
            }
            (described.options, described.setup_ms, described.identity)
        } else {
            (given, manifest.setup_ms, DependsOn::default())
        };
        let setup_and_warm_ms = setup_ms.saturating_add(manifest.warm_s.unwrap_or(0).saturating_mul(1000));
        if setup_and_warm_ms > LONGEST_SETUP_MS {
            bad_input!(
                "system {}: setup_ms and warm_s are {setup_and_warm_ms} ms, more than {LONGEST_SETUP_MS} (ten minutes before frame 0); say \
                 less in its manifest or in what it answers to describe",
                manifest.name
            );
        }
        let spec = RunSpec {
            system: manifest.name.clone(),
            backend: self.backend,
            shaper: self.shaper,
            seed: self.seed,
            revision: revision(),
            replay: self.replay()?,
            capture_start_ns: setup_ms * 1_000_000 + manifest.warm().as_nanos() as u64,
            warm_ns: manifest.warm().as_nanos() as u64,
            captured_from_ns: None,
            playout_ns: Some(scenario.playout),
            cache: if self.cache { Some(clip::cache_dir()?) } else { None },
            given: names,
            costs,
            clip,
            options,
            scenario,
            identity: identity(&manifest, depends_on)?,
        };
        Ok((spec, manifest))
    }

    /// The command that repeats this run, from any folder.
    ///
    /// # Errors
    /// When a word of it cannot be written in a command.
    pub fn replay(&self) -> Result<String> {
        let clip = &self.clip;
        let mut words = vec!["freezeframe".to_owned(), "run".to_owned()];
        words.push(if Scenario::is_shipped(&self.scenario) {
            self.scenario.clone()
        } else {
            absolute(&self.scenario)?
        });
        let mut add = |flag: &str, value: String| {
            // A value that looks like an option is one for the parser, unless it hangs on its flag.
            if value.starts_with('-') {
                words.push(format!("--{flag}={value}"));
            } else {
                words.extend([format!("--{flag}"), value]);
            }
        };
        let system = &self.system;
        add("system", if Manifest::is_path(system) { absolute(system)? } else { system.clone() });
        if let Some(rgb) = &clip.rgb {
            add("clip", if clip::embedded_number(rgb).is_some() { rgb.clone() } else { absolute(rgb)? });
        }
        if let Some(depth) = &clip.depth {
            add("depth", absolute(depth)?);
        }
        if !clip.depth_unit.is_usual() {
            add("depth-unit", clip.depth_unit.to_string());
        }
        add("size", format!("{}x{}", clip.shape.0, clip.shape.1));
        add("fps", clip.shape.2.to_string());
        if let Some(frames) = clip.frames {
            add("frames", frames.to_string());
        }
        if let Some(fov) = clip.fov {
            add("fov", fov.to_string());
        }
        add("backend", self.backend.to_string());
        if !self.shaper.is_auto() {
            add("shaper", self.shaper.to_string());
        }
        add("seed", self.seed.to_string());
        for option in &self.options {
            add("option", option.clone());
        }
        if self.costs != contract::costs::IDEAL {
            let table = Path::new(&self.costs).extension().is_some_and(|e| e == "toml");
            add("costs", if table { absolute(&self.costs)? } else { self.costs.clone() });
        }
        if clip.no_depth {
            words.push("--no-depth".to_owned());
        }
        if !self.cache {
            words.push("--no-cache".to_owned());
        }
        let words = words.iter().map(String::as_str);
        Ok(shlex::try_join(words)
            .map_err(|e| BadInput(format!("the request cannot be written as a command: {e}")))?)
    }
}

/// The path from the root, as text.
fn absolute(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let full = std::path::absolute(path).with_context(|| format!("failed to find {}", path.display()))?;
    match full.into_os_string().into_string() {
        Ok(text) => Ok(text),
        Err(full) => bad_input!("{}: the path is not UTF-8; rename it", full.display()),
    }
}

/// `key=value`, the value as TOML if it is one and as a text otherwise.
///
/// # Errors
/// A word without `=`, or a key that is there twice.
pub fn parse_options(options: &[String]) -> Result<toml::Table> {
    let mut table = toml::Table::new();
    for option in options {
        let Some((key, value)) = option.split_once('=') else {
            bad_input!("--option {option:?}: write it as key=value");
        };
        let parsed = value.parse().unwrap_or_else(|_| toml::Value::String(value.to_owned()));
        if table.insert(key.to_owned(), parsed).is_some() {
            bad_input!("option {key:?} is there twice; leave one out");
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_toml_values_or_plain_words() {
        let table =
            parse_options(&["a=1".into(), "b=true".into(), "c=datachannel".into(), "d=\"x y\"".into()])
                .unwrap();
        assert_eq!(table["a"], toml::Value::Integer(1));
        assert_eq!(table["b"], toml::Value::Boolean(true));
        assert_eq!(table["c"], toml::Value::String("datachannel".into()));
        assert_eq!(table["d"], toml::Value::String("x y".into()));
        assert!(parse_options(&["a".into()]).unwrap_err().to_string().contains("key=value"));
        let twice = parse_options(&["a=1".into(), "b=1".into(), "a=2".into()]).unwrap_err().to_string();
        assert!(twice.contains("\"a\" is there twice"), "{twice}");
        // One value, whole: what follows a line break or a hash is part of it.
        let table = parse_options(&["a=1\nb = 2".into(), "c=1 # d".into()]).unwrap();
        assert_eq!(table["a"], toml::Value::String("1\nb = 2".into()));
        assert_eq!(table["c"], toml::Value::String("1 # d".into()));
    }

    #[test]
    fn the_shaper_is_repeated_and_belongs_to_namespaces() {
        let mut request = Request {
            scenario: "clean".into(),
            system: "revo-h264".into(),
            clip: ClipRequest::default(),
            backend: Backend::Namespaces,
            shaper: Shaping::Kernel,
            seed: 3,
            options: Vec::new(),
            costs: contract::costs::IDEAL.into(),
            cache: true,
        };
        let replay = request.replay().unwrap();
        assert!(replay.contains("--backend namespaces --shaper kernel --seed 3"), "{replay}");
        request.shaper = Shaping::Auto;
        assert!(!request.replay().unwrap().contains("--shaper"));
        request.shaper = Shaping::User;
        request.backend = Backend::Virtual;
        let clip = "name = \"x\"\nrgb = \"x\"\nwidth = 16\nheight = 16\nfps = 30\nframes = 1\nhash = \"\"";
        let clip: contract::ClipSpec = toml::from_str(clip).expect("a clip");
        let refused = request.resolve(clip).expect_err("nobody shapes in virtual time").to_string();
        assert!(refused.contains("--backend namespaces"), "{refused}");
    }
}
