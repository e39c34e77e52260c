//! Which runs of a plan's products are left out.

use super::values::{values, whole_numbers};
use crate::launch::Request;
use crate::launch::request::parse_options;
use serde::{Deserialize, Deserializer, de::Error};
use std::collections::BTreeMap;
use std::path::Path;
use toml::Value;

/// Runs that all given keys name are left out; what a key's list has are alternatives.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Why.
    #[serde(default)]
    pub reason: String,
    systems: Option<Vec<String>>,
    scenarios: Option<Vec<String>>,
    /// As they are called in the plan, or by the file's name, with or without its ending.
    clips: Option<Vec<String>>,
    #[serde(default, deserialize_with = "numbers")]
    seeds: Option<Vec<u64>>,
    #[serde(default, deserialize_with = "lists")]
    options: BTreeMap<String, Vec<Value>>,
}

fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u64>>, D::Error> {
    whole_numbers(&Value::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

fn lists<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Vec<Value>>, D::Error> {
    let table = toml::Table::deserialize(from)?;
    let list = |(key, value): (String, Value)| {
        let all = values(&value).map_err(|e| D::Error::custom(format!("option `{key}`: {e}")))?;
        Ok((key, all))
    };
    table.into_iter().map(list).collect()
}

impl Rule {
    /// True if it leaves `request` out.
    #[must_use]
    pub fn matches(&self, request: &Request) -> bool {
        let among = |list: &Option<Vec<String>>, name: &str| {
            list.as_ref().is_none_or(|l| l.iter().any(|n| n == name))
        };
        let clip = request.clip.rgb.as_deref().unwrap_or(crate::launch::clip::DEFAULT);
        let file = Path::new(clip);
        let names = [Some(file.as_os_str()), file.file_name(), file.file_stem()];
        among(&self.systems, &request.system)
            && among(&self.scenarios, &request.scenario)
            && self.clips.as_ref().is_none_or(|l| l.iter().any(|n| names.contains(&Some(n.as_ref()))))
            && self.seeds.as_ref().is_none_or(|s| s.contains(&request.seed))
            && (self.options.is_empty() || self.has_options(request))
    }

    fn has_options(&self, request: &Request) -> bool {
        let Ok(given) = parse_options(&request.options) else { return false };
        self.options.iter().all(|(key, values)| given.get(key).is_some_and(|v| values.contains(v)))
    }

    /// What is wrong with the rule itself, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let empty = |l: &Option<Vec<String>>| l.as_ref().is_some_and(Vec::is_empty);
        if [&self.systems, &self.scenarios, &self.clips].into_iter().any(empty) {
            return Some("has an empty list; leave the key out");
        }
        let says = self.systems.is_some() || self.scenarios.is_some() || self.clips.is_some();
        let nothing = !says && self.seeds.is_none() && self.options.is_empty();
        nothing.then_some(
            "names nothing; write at least one of `systems`, `scenarios`, `clips`, `seeds`, `options`",
        )
    }

    /// True if whether it leaves anything out hangs on clips that the plan does not name.
    #[must_use]
    pub fn is_about_clips(&self) -> bool {
        self.clips.is_some()
    }
}
