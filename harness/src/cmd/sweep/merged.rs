//! What is said of parts that were brought together.

use crate::ci::{Case, Verdict};
use crate::sweep::merge::Merged;
use contract::Scores;

/// Names what a merged folder lacks.
pub fn say_missing(merged: &Merged) {
    for missing in &merged.missing {
        eprintln!("missing: {} (part {}): {}", missing.name, missing.shard, missing.why);
    }
    if !merged.left_out.is_empty() {
        let (count, why) = (merged.left_out.len(), &merged.left_out[0].1);
        eprintln!("{count} run(s) of optional blocks left out, the first because: {why}");
    }
}

/// What continuous integration sees of a merged folder.
#[must_use]
pub fn merged_cases(merged: &Merged) -> Vec<Case> {
    let mut cases = Vec::new();
    for dir in &merged.dirs {
        let Ok(scores) = Scores::read(&dir.join("scores.json")) else { continue };
        let id = &scores.run;
        let verdict = if scores.health.valid {
            Verdict::Passed
        } else {
            Verdict::Failed {
                summary: "the run is invalid".into(),
                text: scores.health.problems.join("\n"),
                file: None,
            }
        };
        let name = format!("{} {} {} seed {}", id.scenario, id.system, id.clip, id.seed);
        cases.push(Case { group: id.system.clone(), name, verdict });
    }
    cases.extend(merged.left_out.iter().map(|(name, why)| Case {
        group: "left out".into(),
        name: name.clone(),
        verdict: Verdict::Skipped(why.clone()),
    }));
    cases.extend(merged.missing.iter().map(|m| Case {
        group: "missing".into(),
        name: m.name.clone(),
        verdict: Verdict::Failed { summary: "the run is missing".into(), text: m.why.clone(), file: None },
    }));
    cases
}
