//! Plans: which systems meet which scenarios, with which clips, options and seeds.
//!
//! | file | what |
//! |---|---|
//! | [`values`] | lists and ranges |
//! | [`options`] | sets of options |
//! | [`clips`] | clips: one by one, folders, lists, splits |
//! | [`rules`] | what is left out |
//! | `trace_map` | ReVo's own lists of sessions |
//!
//! docs/PLANS.md is the user's page.

pub mod clips;
pub mod options;
pub mod rules;
mod trace_map;
pub mod values;

use crate::launch::Request;
use crate::launch::clip::ClipRequest;
use crate::{BadInput, bad_input};
use anyhow::{Context, Result};
use contract::{Backend, Kind};
use rules::Rule;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// More runs than anybody means.
const MOST_RUNS: usize = 1_000_000;

/// A plan file.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name in reports.
    pub name: String,
    /// One line.
    pub description: String,
    /// What work costs in virtual time, for every run: `ideal`, or a table's name or file (`--costs` of `freezeframe run`).
    pub costs: String,
    /// Groups of runs; each is the product of its lists.
    pub blocks: Vec<Block>,
}

/// The product of these lists, without what its rules leave out.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Names or manifest files.
    pub systems: Vec<String>,
    /// Names or scenario files.
    pub scenarios: Vec<String>,
    /// Clips; none: the one of the command line, or the embedded one.
    pub clips: Vec<PlanClip>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Sets of options of the systems, `key=value`; at least one, which may be empty.
    pub options: Vec<Vec<String>>,
    /// Which clock.
    pub backend: Backend,
    /// Only the first so many frames.
    pub frames: Option<u32>,
    /// The machine may be unable to run it; then it is left out with one line saying why.
    pub optional: bool,
    /// What is left out.
    pub exclude: Vec<Rule>,
}

/// A clip of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanClip {
    /// A file, or `person-N`.
    pub rgb: String,
    /// Its depth.
    pub depth: Option<PathBuf>,
}

/// A plan as it is written. What a plan says before its first block holds for every block that does not say it itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    name: String,
    #[serde(default)]
    description: String,
    costs: Option<String>,
    systems: Option<Vec<String>>,
    scenarios: Option<Vec<String>>,
    clips: Option<toml::Value>,
    seeds: Option<toml::Value>,
    frames: Option<u32>,
    backend: Option<Backend>,
    #[serde(default)]
    exclude: Vec<Rule>,
    #[serde(rename = "block", default)]
    blocks: Vec<BlockFile>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct BlockFile {
    /// For people who read the plan.
    #[serde(default, rename = "description")]
    _description: String,
    systems: Option<Vec<String>>,
    scenarios: Option<Vec<String>>,
    clips: Option<toml::Value>,
    seeds: Option<toml::Value>,
    options: Option<toml::Value>,
    frames: Option<u32>,
    backend: Option<Backend>,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    exclude: Vec<Rule>,
}

/// The plans that ship with the project.
pub const SHIPPED: &[(&str, &str)] = &[
    ("default", include_str!("../../plans/default.toml")),
    ("papers", include_str!("../../plans/papers.toml")),
    ("readme", include_str!("../../plans/readme.toml")),
    ("recovery", include_str!("../../plans/recovery.toml")),
    ("reparo-figures", include_str!("../../plans/reparo-figures.toml")),
    ("reparo-rates", include_str!("../../plans/reparo-rates.toml")),
    ("revo-original", include_str!("../../plans/revo-original.toml")),
];

/// One run of a plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What to run.
    pub request: Request,
    /// May be left out.
    pub optional: bool,
}

/// What the command line says instead of the plan.
#[derive(Clone, Debug, Default)]
pub struct Instead {
    /// Shape, depth and frames of every clip; and, if it names one, the clip.
    pub clip: ClipRequest,
    /// Clips, if any.
    pub clips: Vec<PlanClip>,
    /// Seeds 1 to this, in blocks that are not optional.
    pub seeds: Option<u64>,
    /// What work costs.
    pub costs: Option<String>,
}

impl Plan {
    /// The shipped plan of that name, or the file at that path: a plan, or a `trace_map.txt` of ReVo.
    ///
    /// # Errors
    /// [`BadInput`] that names the file, the block, the key and what to write.
    pub fn find(name_or_path: &str) -> Result<Self> {
        if name_or_path.ends_with(".txt") {
            return trace_map::plan(name_or_path.as_ref()).map_err(|e| BadInput(contract::said(&e)).into());
        }
        match SHIPPED.iter().find(|(n, _)| *n == name_or_path) {
            Some((name, text)) => Self::parse(name, text),
            None if is_path(name_or_path) => {
                let text = std::fs::read_to_string(name_or_path)
                    .with_context(|| format!("failed to read the plan {name_or_path}"))
                    .map_err(|e| BadInput(contract::said(&*e)))?;
                Self::parse(name_or_path, &text)
            }
            None => {
                let known: Vec<_> = SHIPPED.iter().map(|(n, _)| *n).collect();
                bad_input!(
                    "no plan is called {name_or_path:?}; there are: {}; or give a TOML file, or a trace_map.txt of ReVo",
                    known.join(", ")
                );
            }
        }
    }

    /// A plan from its text; `path` is for messages.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        let file: PlanFile = toml::from_str(text).map_err(|e| {
            let reason = Kind::Plan.instead_of(path, text).unwrap_or_else(|| e.to_string());
            BadInput(format!("plan {path}: {reason}"))
        })?;
        if file.blocks.is_empty() {
            bad_input!(
                "plan {path}: there is no [[block]]; write at least one, with `systems` and `scenarios`"
            );
        }
        let mut plan = Self {
            name: file.name.clone(),
            description: file.description.clone(),
            costs: file.costs.clone().unwrap_or_else(|| contract::costs::IDEAL.to_owned()),
            blocks: Vec::new(),
        };
        if plan.name.is_empty() || plan.name.contains('/') || plan.name.starts_with('.') {
            bad_input!(
                "plan {path}: field `name` is {:?}; runs/NAME holds its runs: write a word",
                plan.name
            );
        }
        for (number, block) in (1..).zip(&file.blocks) {
            let wrong =
                |(key, why): (&str, String)| BadInput(format!("plan {path}, block {number}: `{key}`: {why}"));
            plan.blocks.push(block.resolve(&file).map_err(wrong)?);
        }
        plan.check_rules(path, &file)?;
        Ok(plan)
    }

    /// A rule that leaves nothing out is a slip of the pen, and so is one that leaves nothing.
    fn check_rules(&self, path: &str, file: &PlanFile) -> Result<()> {
        let size = self.blocks.iter().map(Block::size).fold(0, usize::saturating_add);
        if size > MOST_RUNS {
            bad_input!("plan {path} has {size} runs, more than {MOST_RUNS}; shorten its lists and ranges");
        }
        let whole: Vec<(usize, Request)> = (1..)
            .zip(&self.blocks)
            .flat_map(|(n, b)| b.requests(&Instead::default(), &self.costs).into_iter().map(move |r| (n, r)))
            .collect();
        let mut rules: Vec<(String, Option<usize>, &Rule)> = Vec::new();
        rules.extend(
            (1..).zip(&file.exclude).map(|(n, rule)| (format!("`exclude` {n} of the plan"), None, rule)),
        );
        for (number, block) in (1..).zip(&file.blocks) {
            let named = |(n, rule)| (format!("block {number}, `exclude` {n}"), Some(number), rule);
            rules.extend((1..).zip(&block.exclude).map(named));
        }
        for (called, block, rule) in rules {
            if let Some(fault) = rule.fault() {
                bad_input!("plan {path}, {called} {fault}");
            }
            let of_block = whole.iter().filter(|(n, _)| block.is_none_or(|b| b == *n));
            let clips_are_named = self.blocks.iter().all(|b| !b.clips.is_empty());
            if of_block.into_iter().all(|(_, r)| !rule.matches(r))
                && (clips_are_named || !rule.is_about_clips())
            {
                bad_input!(
                    "plan {path}, {called} matches no run; write its names and values as the block has them, or remove it"
                );
            }
        }
        Ok(())
    }

    /// Every run once, in order.
    #[must_use]
    pub fn runs(&self, instead: &Instead) -> Vec<Planned> {
        let mut runs = Vec::new();
        let mut seen = BTreeSet::new();
        for block in &self.blocks {
            for request in block.requests(instead, instead.costs.as_ref().unwrap_or(&self.costs)) {
                let left_out = block.exclude.iter().any(|rule| rule.matches(&request));
                // Two blocks may have a run in common.
                let again = request.replay().is_ok_and(|words| !seen.insert(words));
                if !left_out && !again {
                    runs.push(Planned { request, optional: block.optional });
                }
            }
        }
        runs
    }
}

/// Whether a plan's name is a file's.
#[must_use]
pub fn is_path(name_or_path: &str) -> bool {
    name_or_path.contains('/') || name_or_path.ends_with(".toml")
}

impl BlockFile {
    fn resolve(&self, plan: &PlanFile) -> Result<Block, (&'static str, String)> {
        let names = |key, own: &Option<Vec<String>>, whole: &Option<Vec<String>>| match own
            .as_ref()
            .or(whole.as_ref())
        {
            None => Err((key, "is missing; name at least one, here or before the first block".to_owned())),
            Some(list) if list.is_empty() => Err((key, "is empty; name at least one".to_owned())),
            Some(list) => Ok(list.clone()),
        };
        let one = toml::Value::Integer(1);
        let seeds = self.seeds.as_ref().or(plan.seeds.as_ref()).unwrap_or(&one);
        let clips = self.clips.as_ref().or(plan.clips.as_ref());
        let frames = self.frames.or(plan.frames);
        if frames == Some(0) {
            return Err(("frames", "is 0; a run has at least one frame".to_owned()));
        }
        let sets = self.options.as_ref().map_or(Ok(vec![Vec::new()]), options::sets);
        Ok(Block {
            systems: names("systems", &self.systems, &plan.systems)?,
            scenarios: names("scenarios", &self.scenarios, &plan.scenarios)?,
            clips: clips.map_or(Ok(Vec::new()), clips::clips).map_err(|e| ("clips", e))?,
            seeds: values::whole_numbers(seeds).map_err(|e| ("seeds", e))?,
            options: sets.map_err(|e| ("options", e))?,
            backend: self.backend.or(plan.backend).unwrap_or(Backend::Virtual),
            frames,
            optional: self.optional,
            exclude: [&self.exclude[..], &plan.exclude].concat(),
        })
    }
}

impl Block {
    fn size(&self) -> usize {
        let lists = [
            self.systems.len(),
            self.scenarios.len(),
            self.clips.len().max(1),
            self.seeds.len(),
            self.options.len(),
        ];
        lists.into_iter().fold(1, usize::saturating_mul)
    }

    /// The whole product.
    fn requests(&self, instead: &Instead, costs: &str) -> Vec<Request> {
        let named = |c: &PlanClip| ClipRequest {
            rgb: Some(c.rgb.clone()),
            depth: c.depth.clone(),
            ..instead.clip.clone()
        };
        let clips: Vec<ClipRequest> = if !instead.clips.is_empty() {
            instead.clips.iter().map(named).collect()
        } else if self.clips.is_empty() || instead.clip.rgb.is_some() {
            vec![instead.clip.clone()]
        } else {
            self.clips.iter().map(named).collect()
        };
        let seeds = match instead.seeds {
            Some(n) if !self.optional => (1..=n).collect(),
            _ => self.seeds.clone(),
        };
        let mut all = Vec::new();
        for scenario in &self.scenarios {
            for system in &self.systems {
                for options in &self.options {
                    for clip in &clips {
                        for &seed in &seeds {
                            all.push(Request {
                                scenario: scenario.clone(),
                                system: system.clone(),
                                clip: ClipRequest { frames: clip.frames.or(self.frames), ..clip.clone() },
                                backend: self.backend,
                                shaper: contract::Shaping::Auto,
                                seed,
                                options: options.clone(),
                                costs: costs.to_owned(),
                                cache: true,
                            });
                        }
                    }
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shipped_plans_name_shipped_systems_and_scenarios() {
        for (name, _) in SHIPPED {
            let plan = Plan::find(name).unwrap();
            assert_eq!(plan.name, *name);
            for planned in plan.runs(&Instead::default()) {
                contract::Manifest::find(&planned.request.system).unwrap();
                contract::Scenario::find(&planned.request.scenario).unwrap();
            }
        }
    }

    fn words(text: &str) -> Vec<String> {
        let plan = Plan::parse("p.toml", text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let runs = plan.runs(&Instead::default());
        let said = |r: &Request| format!("{} {} {} {}", r.scenario, r.system, r.options.join(" "), r.seed);
        runs.iter().map(|p| said(&p.request)).collect()
    }

    #[test]
    fn runs_are_the_product_of_the_lists() {
        let text = "name='x'\n[[block]]\nsystems=['a','b']\nscenarios=['s','t','u']\nseeds=[1,2]";
        let plan = Plan::parse("x", text).unwrap();
        assert_eq!(plan.runs(&Instead::default()).len(), 12);
        assert_eq!(plan.runs(&Instead { seeds: Some(5), ..Instead::default() }).len(), 30);
        let clips = ["a.mp4", "b.mp4"].map(|rgb| PlanClip { rgb: rgb.into(), depth: None }).to_vec();
        assert_eq!(plan.runs(&Instead { clips, ..Instead::default() }).len(), 24);
    }

    #[test]
    fn what_stands_before_the_blocks_holds_for_all_and_no_run_is_there_twice() {
        let text = "name='x'\nscenarios=['s']\nseeds={from=1,to=2}\n[[block]]\nsystems=['a']\n[[block]]\nsystems=['a','b']\nseeds=2";
        assert_eq!(words(text), ["s a  1", "s a  2", "s b  2"]);
    }

    #[test]
    fn rules_leave_runs_out() {
        let text = "name='x'\nscenarios=['s','t']\nseeds=[1,2]\nexclude=[{seeds=2,systems=['b']}]\n[[block]]\nsystems=['a','b']\noptions={k=[1,2]}\n\
                    exclude=[{scenarios=['t'],options={k=2},reason='too slow'}]";
        assert_eq!(
            words(text),
            [
                "s a k=1 1",
                "s a k=1 2",
                "s a k=2 1",
                "s a k=2 2",
                "s b k=1 1",
                "s b k=2 1",
                "t a k=1 1",
                "t a k=1 2",
                "t b k=1 1"
            ]
        );
        for (rule, said) in [
            ("{systems=['c']}", "matches no run"),
            ("{options={k=3}}", "matches no run"),
            ("{options={j=1}}", "matches no run"),
            ("{}", "names nothing"),
            ("{systems=[]}", "empty list"),
            ("{system=['a']}", "system"),
        ] {
            let text = format!(
                "name='x'\nexclude=[{rule}]\n[[block]]\nsystems=['a']\nscenarios=['s']\noptions={{k=[1,2]}}"
            );
            let error = Plan::parse("p.toml", &text).expect_err(rule).to_string();
            assert!(error.contains(said) && error.contains("p.toml"), "{rule}: {error}");
        }
        // Whether this one matches is known when the clips are.
        Plan::parse(
            "p.toml",
            "name='x'\nexclude=[{clips=['talk']}]\n[[block]]\nsystems=['a']\nscenarios=['s']",
        )
        .unwrap();
    }

    #[test]
    fn what_is_wrong_is_named_with_file_block_key_and_remedy() {
        let block = "\n[[block]]\nsystems=['a']\nscenarios=['s']\n";
        for (text, said) in [
            (format!("name='x'\ncolour=1{block}"), vec!["colour", "line 2"]),
            ("name='x'".into(), vec!["[[block]]"]),
            (format!("name='../x'{block}"), vec!["`name`"]),
            (format!("name='x'{block}seeds=[]"), vec!["block 1", "`seeds`", "at least one"]),
            (format!("name='x'{block}{block}seeds=['a']"), vec!["block 2", "`seeds`", "from = 1"]),
            (format!("name='x'{block}options={{k=[]}}"), vec!["`options`", "`k`", "at least one"]),
            (format!("name='x'{block}clips={{folder='/no/such'}}"), vec!["`clips`", "/no/such"]),
            (format!("name='x'{block}frames=0"), vec!["`frames`", "at least one"]),
            ("name='x'\n[[block]]\nsystems=['a']".into(), vec!["`scenarios`", "missing"]),
            ("name='x'\n[[block]]\nsystems=[]\nscenarios=['s']".into(), vec!["`systems`", "empty"]),
            (
                format!("name='x'{block}seeds={{from=1,to=90000}}\noptions={{k={{from=1,to=90000}}}}"),
                vec!["1000000", "ranges"],
            ),
        ] {
            let error = Plan::parse("p.toml", &text).expect_err(&text).to_string();
            for word in said.iter().chain(&["p.toml"]) {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }

    proptest! {
        /// What rules leave and what they leave out are the product; no run is in both, none is there twice.
        #[test]
        fn a_plan_is_its_product_without_what_the_rules_name(
            systems in prop::collection::btree_set("[a-c]", 1..3),
            scenarios in prop::collection::btree_set("[s-u]", 1..3),
            seeds in prop::collection::btree_set(1u64..6, 1..5),
            values in prop::collection::btree_set(-3i64..4, 1..5),
            (rule_systems, rule_seeds, rule_values) in (
                prop::option::of(prop::collection::btree_set("[a-c]", 1..3)),
                prop::option::of(prop::collection::btree_set(1u64..6, 1..4)),
                prop::option::of(prop::collection::btree_set(-3i64..4, 1..4)),
            ),
        ) {
            let quoted = |set: &BTreeSet<String>| format!("{:?}", set.iter().collect::<Vec<_>>());
            let mut rule = Vec::new();
            rule.extend(rule_systems.as_ref().map(|s| format!("systems={}", quoted(s))));
            rule.extend(rule_seeds.as_ref().map(|s| format!("seeds={:?}", s.iter().collect::<Vec<_>>())));
            rule.extend(rule_values.as_ref().map(|v| format!("options={{k={:?}}}", v.iter().collect::<Vec<_>>())));
            let text = |rule: &str| format!(
                "name='x'\n[[block]]\nsystems={}\nscenarios={}\nseeds={:?}\noptions={{k={:?}}}\n{rule}",
                quoted(&systems), quoted(&scenarios), seeds.iter().collect::<Vec<_>>(), values.iter().collect::<Vec<_>>()
            );
            let all = words(&text(""));
            prop_assert_eq!(all.len(), systems.len() * scenarios.len() * seeds.len() * values.len());
            // By hand, from the words that each run is called.
            let named = |run: &&String| {
                let part: Vec<&str> = run.split(' ').collect();
                let (system, value, seed) = (part[1], part[2].trim_start_matches("k="), part[3]);
                rule_systems.as_ref().is_none_or(|s| s.contains(system))
                    && rule_seeds.as_ref().is_none_or(|s| s.contains(&seed.parse().unwrap()))
                    && rule_values.as_ref().is_none_or(|v| v.contains(&value.parse().unwrap()))
            };
            let expected: Vec<&String> = all.iter().filter(|r| !named(r)).collect();
            let with_rule = text(&format!("exclude=[{{{}}}]", rule.join(",")));
            if rule.is_empty() || expected.len() == all.len() {
                prop_assert!(Plan::parse("p", &with_rule).is_err());
            } else {
                let found = words(&with_rule);
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            }
        }
    }
}
