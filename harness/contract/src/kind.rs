//! Which of the project's TOML files a text is, for messages about one that was given in another's place.

/// A kind of TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A network ([`crate::Scenario`]).
    Scenario,
    /// What to sweep.
    Plan,
    /// A system ([`crate::Manifest`]).
    Manifest,
    /// A run's `spec.toml` ([`crate::RunSpec`]).
    Run,
}

impl Kind {
    /// By the keys that only one of them has.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let table: toml::Table = text.parse().ok()?;
        let has = |key: &str| table.contains_key(key);
        if has("scenario") && (has("clip") || has("system")) {
            Some(Kind::Run)
        } else if has("block") || has("blocks") {
            Some(Kind::Plan)
        } else if has("command") || has("about") {
            Some(Kind::Manifest)
        } else if has("forward") || has("reverse") || has("playout") || has("description") {
            Some(Kind::Scenario)
        } else {
            None
        }
    }

    /// What to say where `self` was wanted and `text`, called `name`, is another; `None` if it is not one of the others.
    #[must_use]
    pub fn instead_of(self, name: &str, text: &str) -> Option<String> {
        let wanted = match self {
            Kind::Scenario => "a scenario",
            Kind::Plan => "a plan",
            Kind::Manifest => "a system's manifest",
            Kind::Run => "a run's spec.toml",
        };
        Some(match Kind::of(text).filter(|found| *found != self)? {
            Kind::Plan => format!("this is a plan, not {wanted}: run it with `freezeframe sweep {name}`"),
            Kind::Manifest => format!(
                "this is a system's manifest, not {wanted}: give it as `--system {name}`, e.g. `freezeframe run clean --system {name}`"
            ),
            Kind::Scenario => format!(
                "this is a scenario, not {wanted}: run it with `freezeframe run {name} --system SYSTEM`"
            ),
            Kind::Run => format!(
                "this is the spec.toml of a run, not {wanted}: its line `replay` is the command that repeats the run"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        let plan = "name = 'x'\n[[block]]\nsystems = ['a']\nscenarios = ['s']";
        let manifest = "name = 'x'\nabout = 'y'\ncommand = ['z']";
        let scenario = "name = 'x'\ndescription = ''";
        let run = "system = 'x'\n[scenario]\nname = 'x'\n[clip]\nname = 'y'";
        for (text, kind) in
            [(plan, Kind::Plan), (manifest, Kind::Manifest), (scenario, Kind::Scenario), (run, Kind::Run)]
        {
            assert_eq!(Kind::of(text), Some(kind));
            assert_eq!(kind.instead_of("f", text), None);
        }
        assert!(Kind::Scenario.instead_of("p.toml", plan).unwrap().contains("freezeframe sweep p.toml"));
        assert!(Kind::Scenario.instead_of("m.toml", manifest).unwrap().contains("--system m.toml"));
        assert!(Kind::Plan.instead_of("s.toml", scenario).unwrap().contains("freezeframe run s.toml"));
        assert_eq!(Kind::of("[package]\nname = 'x'"), None);
    }
}
