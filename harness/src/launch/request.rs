//! What a user asks for, resolved into a run's specification.

use super::child::command;
use super::clip::{self, ClipRequest};
use crate::bad_input;
use anyhow::{Context, Result};
use contract::{Backend, Manifest, RunSpec, Scenario, Shaping};
use serde::Deserialize;
use std::fmt::Write as _;

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
    /// Keep encoded streams between runs.
    pub cache: bool,
}

#[derive(Deserialize)]
struct Description {
    setup_ms: u64,
    options: toml::Table,
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
        let scenario = Scenario::find(&self.scenario)?;
        let manifest = Manifest::find(&self.system)?;
        if manifest.colour_only {
            clip.depth = None;
            clip.depth_range_mm = None;
            clip.depth_fov_degrees = None;
        }
        let given = parse_options(&self.options)?;
        let (options, setup_ms) = if manifest.describe {
            let described = describe(&manifest, &given)?;
            (described.options, described.setup_ms)
        } else {
            (given, manifest.setup_ms)
        };
        let spec = RunSpec {
            system: manifest.name.clone(),
            backend: self.backend,
            shaper: self.shaper,
            seed: self.seed,
            revision: revision().to_owned(),
            replay: self.replay(),
            capture_start_ns: setup_ms * 1_000_000,
            cache: if self.cache { Some(clip::cache_dir()?) } else { None },
            clip,
            options,
            scenario,
        };
        Ok((spec, manifest))
    }

    /// The command that repeats this run.
    #[must_use]
    pub fn replay(&self) -> String {
        let mut line = format!("freezeframe run {} --system {}", quote(&self.scenario), quote(&self.system));
        let mut add = |flag: &str, value: &str| {
            let _ = write!(line, " --{flag} {}", quote(value));
        };
        if let Some(rgb) = &self.clip.rgb {
            add("clip", rgb);
        }
        if let Some(depth) = &self.clip.depth {
            add("depth", &depth.to_string_lossy());
        }
        if let Some(fov) = self.clip.fov {
            add("fov", &fov.to_string());
        }
        if let Some(frames) = self.clip.frames {
            add("frames", &frames.to_string());
        }
        add("backend", &self.backend.to_string());
        if !self.shaper.is_auto() {
            add("shaper", &self.shaper.to_string());
        }
        add("seed", &self.seed.to_string());
        for option in &self.options {
            add("option", option);
        }
        if self.clip.no_depth {
            line.push_str(" --no-depth");
        }
        line
    }
}

/// The source revision this program was built from.
#[must_use]
pub fn revision() -> &'static str {
    option_env!("FREEZEFRAME_REVISION").unwrap_or(env!("CARGO_PKG_VERSION"))
}

fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `key=value`, the value as TOML if it is one and as a text otherwise.
fn parse_options(options: &[String]) -> Result<toml::Table> {
    let mut table = toml::Table::new();
    for option in options {
        let Some((key, value)) = option.split_once('=') else {
            bad_input!("--option {option:?}: write it as key=value");
        };
        let parsed =
            toml::from_str::<toml::Table>(&format!("v = {value}")).ok().and_then(|mut t| t.remove("v"));
        table.insert(key.to_owned(), parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())));
    }
    Ok(table)
}

fn describe(manifest: &Manifest, options: &toml::Table) -> Result<Description> {
    let json = serde_json::to_string(options)?;
    let output = command(manifest, &["describe", "--options", &json])?
        .output()
        .with_context(|| format!("failed to start {}", manifest.command[0]))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bad_input!("{} refuses its options: {}", manifest.name, words.trim());
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} did not describe itself (docs/PLUGIN.md)", manifest.name))
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
            cache: true,
        };
        assert!(
            request.replay().contains("--backend namespaces --shaper kernel --seed 3"),
            "{}",
            request.replay()
        );
        request.shaper = Shaping::Auto;
        assert!(!request.replay().contains("--shaper"));
        request.shaper = Shaping::User;
        request.backend = Backend::Virtual;
        let clip = "name = \"x\"\nrgb = \"x\"\nwidth = 16\nheight = 16\nfps = 30\nframes = 1\nhash = \"\"";
        let clip: contract::ClipSpec = toml::from_str(clip).expect("a clip");
        let refused = request.resolve(clip).expect_err("nobody shapes in virtual time").to_string();
        assert!(refused.contains("--backend namespaces"), "{refused}");
    }

    #[test]
    fn the_replay_command_survives_a_shell() {
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("clips/a.mp4"), "clips/a.mp4");
    }
}
