//! Plans: which systems meet which scenarios, with which clips and seeds.

mod trace_map;

use crate::launch::Request;
use crate::launch::clip::ClipRequest;
use crate::{BadInput, bad_input};
use anyhow::{Context, Result};
use contract::{Backend, Kind};
use serde::Deserialize;
use std::path::PathBuf;

/// A plan file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name in reports.
    pub name: String,
    /// One line.
    #[serde(default)]
    pub description: String,
    /// What work costs in virtual time, for every run: `ideal`, or a table's name or file (`--costs` of `freezeframe run`).
    #[serde(default = "ideal")]
    pub costs: String,
    /// Groups of runs; each is the product of its lists.
    #[serde(rename = "block")]
    pub blocks: Vec<Block>,
}

/// The product of these lists.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// One line.
    #[serde(default)]
    pub description: String,
    /// Names or manifest files.
    pub systems: Vec<String>,
    /// Names or scenario files.
    pub scenarios: Vec<String>,
    /// Clips; absent: the one of the command line, or the embedded one.
    #[serde(default)]
    pub clips: Vec<PlanClip>,
    /// Seeds.
    #[serde(default = "one")]
    pub seeds: Vec<u64>,
    /// Options of the systems, `key=value`.
    #[serde(default)]
    pub options: Vec<String>,
    /// Which clock.
    #[serde(default = "virtual_time")]
    pub backend: Backend,
    /// Only the first so many frames.
    #[serde(default)]
    pub frames: Option<u32>,
    /// The machine may be unable to run it; then it is left out with one line saying why.
    #[serde(default)]
    pub optional: bool,
}

/// A clip of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanClip {
    /// A file, or `person-N`.
    pub rgb: String,
    /// Its depth.
    #[serde(default)]
    pub depth: Option<PathBuf>,
}

fn ideal() -> String {
    contract::costs::IDEAL.to_owned()
}

fn one() -> Vec<u64> {
    vec![1]
}

fn virtual_time() -> Backend {
    Backend::Virtual
}

/// The plans that ship with the project.
pub const SHIPPED: &[(&str, &str)] = &[
    ("default", include_str!("../plans/default.toml")),
    ("papers", include_str!("../plans/papers.toml")),
    ("readme", include_str!("../plans/readme.toml")),
    ("recovery", include_str!("../plans/recovery.toml")),
    ("reparo-figures", include_str!("../plans/reparo-figures.toml")),
    ("revo-original", include_str!("../plans/revo-original.toml")),
];

/// One run of a plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What to run.
    pub request: Request,
    /// May be left out.
    pub optional: bool,
}

impl Plan {
    /// The shipped plan of that name, or the file at that path: a plan, or a `trace_map.txt` of ReVo.
    pub fn find(name_or_path: &str) -> Result<Self> {
        if name_or_path.ends_with(".txt") {
            return trace_map::plan(name_or_path.as_ref()).map_err(|e| BadInput(contract::said(&e)).into());
        }
        let (path, text) = match SHIPPED.iter().find(|(n, _)| *n == name_or_path) {
            Some((name, text)) => ((*name).to_owned(), (*text).to_owned()),
            None if name_or_path.contains('/') || name_or_path.ends_with(".toml") => {
                let text = std::fs::read_to_string(name_or_path)
                    .with_context(|| format!("failed to read the plan {name_or_path}"))
                    .map_err(|e| BadInput(contract::said(&*e)))?;
                (name_or_path.to_owned(), text)
            }
            None => {
                let known: Vec<_> = SHIPPED.iter().map(|(n, _)| *n).collect();
                bad_input!(
                    "no plan is called {name_or_path:?}; there are: {}; or give a TOML file, or a trace_map.txt of ReVo",
                    known.join(", ")
                );
            }
        };
        let plan: Plan = toml::from_str(&text).map_err(|e| {
            let reason = Kind::Plan.instead_of(&path, &text).unwrap_or_else(|| e.to_string());
            BadInput(format!("plan {path}: {reason}"))
        })?;
        for (number, block) in plan.blocks.iter().enumerate() {
            for (field, empty) in [
                ("systems", block.systems.is_empty()),
                ("scenarios", block.scenarios.is_empty()),
                ("seeds", block.seeds.is_empty()),
            ] {
                if empty {
                    bad_input!(
                        "plan {path}, block {}: field `{field}` is empty; name at least one",
                        number + 1
                    );
                }
            }
        }
        Ok(plan)
    }

    /// Every run, in order; `clip` is used where the plan names none, `frames` overrides every block's.
    #[must_use]
    pub fn runs(&self, clip: &ClipRequest, seeds: Option<u64>) -> Vec<Planned> {
        let mut runs = Vec::new();
        for block in &self.blocks {
            let clips: Vec<ClipRequest> = if block.clips.is_empty() || clip.rgb.is_some() {
                vec![clip.clone()]
            } else {
                let of = |c: &PlanClip| ClipRequest {
                    rgb: Some(c.rgb.clone()),
                    depth: c.depth.clone(),
                    ..clip.clone()
                };
                block.clips.iter().map(of).collect()
            };
            let all_seeds: Vec<u64> = match seeds {
                Some(n) if !block.optional => (1..=n).collect(),
                _ => block.seeds.clone(),
            };
            for scenario in &block.scenarios {
                for system in &block.systems {
                    for clip in &clips {
                        for &seed in &all_seeds {
                            let clip = ClipRequest { frames: clip.frames.or(block.frames), ..clip.clone() };
                            let request = Request {
                                scenario: scenario.clone(),
                                system: system.clone(),
                                clip,
                                backend: block.backend,
                                shaper: contract::Shaping::Auto,
                                seed,
                                options: block.options.clone(),
                                costs: self.costs.clone(),
                                cache: true,
                            };
                            runs.push(Planned { request, optional: block.optional });
                        }
                    }
                }
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_plans_name_shipped_systems_and_scenarios() {
        for (name, _) in SHIPPED {
            let plan = Plan::find(name).unwrap();
            for planned in plan.runs(&ClipRequest::default(), None) {
                contract::Manifest::find(&planned.request.system).unwrap();
                contract::Scenario::find(&planned.request.scenario).unwrap();
            }
        }
    }

    #[test]
    fn runs_are_the_product_of_the_lists() {
        let text = "name='x'\n[[block]]\nsystems=['a','b']\nscenarios=['s','t','u']\nseeds=[1,2]";
        let plan: Plan = toml::from_str(text).unwrap();
        assert_eq!(plan.runs(&ClipRequest::default(), None).len(), 12);
        assert_eq!(plan.runs(&ClipRequest::default(), Some(5)).len(), 30);
    }

    #[test]
    fn unknown_keys_are_rejected_by_name() {
        let error =
            toml::from_str::<Plan>("name='x'\ncolour=1\n[[block]]\nsystems=[]\nscenarios=[]").unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
    }
}
