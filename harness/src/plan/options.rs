//! Options of a block: sets of `key=value`, each set a run of its own.

use super::MOST_RUNS;
use super::values::values;
use toml::{Table, Value};

/// Every set that `of` names: `["a=1", "b=2"]` is one, `{ a = [1, 2], b = 3 }` the product of its lists, `[{ a = [1, 2] }, {}]` one after
/// the other.
///
/// # Errors
/// What is wrong, and what to write.
pub fn sets(of: &Value) -> Result<Vec<Vec<String>>, String> {
    match of {
        Value::Table(table) => product(table),
        Value::Array(list) if list.iter().all(Value::is_table) && !list.is_empty() => {
            let mut all = Vec::new();
            for table in list.iter().filter_map(Value::as_table) {
                all.extend(product(table)?);
            }
            Ok(all)
        }
        Value::Array(list) if list.iter().all(Value::is_str) => {
            let words: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            match words.iter().find(|w| !w.contains('=')) {
                Some(word) => {
                    Err(format!("{word:?}: write it as \"key=value\", or options = {{ key = value }}"))
                }
                None => Ok(vec![words]),
            }
        }
        other => Err(format!(
            "{other} is no set of options; write {{ key = [1, 2] }}, [{{ key = 1 }}, {{}}] or [\"key=value\"]"
        )),
    }
}

/// Every combination; the last key, by name, changes fastest.
fn product(table: &Table) -> Result<Vec<Vec<String>>, String> {
    let mut lists = Vec::new();
    for (key, value) in table {
        lists.push((key, values(value).map_err(|e| format!("option `{key}`: {e}"))?));
    }
    // Counted before they are made, which memory may not survive.
    let count = lists.iter().map(|(_, values)| values.len()).fold(1, usize::saturating_mul);
    if count > MOST_RUNS {
        return Err(format!(
            "these are {count} sets of options, more than {MOST_RUNS}; shorten lists and ranges"
        ));
    }
    let mut all = vec![Vec::new()];
    for (key, values) in lists {
        all = all
            .iter()
            .flat_map(|set: &Vec<String>| {
                values.iter().map(move |value| {
                    let mut set = set.clone();
                    set.push(format!("{key}={}", word(value)));
                    set
                })
            })
            .collect();
    }
    Ok(all)
}

/// As a person writes it on the command line, where a text is itself unless it would be taken for something else.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) if text.parse::<Value>().is_err() => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::request::parse_options;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn of(text: &str) -> Result<Vec<String>, String> {
        let table: Table = format!("options = {text}").parse().expect(text);
        Ok(sets(&table["options"])?.iter().map(|set| set.join(" ")).collect())
    }

    #[test]
    fn words_products_and_alternatives() {
        assert_eq!(of("['b=2', 'a=1']").unwrap(), ["b=2 a=1"]);
        assert_eq!(of("[]").unwrap(), [""]);
        assert_eq!(of("{}").unwrap(), [""]);
        assert_eq!(
            of("{ fill = 'copy', drop = [0, 100] }").unwrap(),
            ["drop=0 fill=copy", "drop=100 fill=copy"]
        );
        assert_eq!(of("[{ rate = { from = 1, to = 2 } }, {}]").unwrap(), ["rate=1", "rate=2", ""]);
        for (wrong, said) in [
            ("['a']", "key=value"),
            ("7", "no set"),
            ("['a=1', {}]", "no set"),
            ("{ a = { from = 1 } }", "option `a`: a range lacks `to`"),
            ("{ a = { from = 1, to = 100000 }, b = { from = 1, to = 100000 } }", "10000000000 sets"),
        ] {
            let error = of(wrong).expect_err(wrong);
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Integer),
            any::<bool>().prop_map(Value::Boolean),
            (-1e6f64..1e6).prop_map(Value::Float),
            "[ -~]{0,8}".prop_map(Value::String),
            prop::sample::select(vec!["true", "1", "nan", "", "[1]", "\"x\"", "a b"])
                .prop_map(|text| Value::String(text.to_owned())),
        ]
    }

    proptest! {
        /// The sets are all combinations, each once, and what a system gets are the values that stand in the plan.
        #[test]
        fn a_product_has_every_combination_once(
            lists in prop::collection::btree_map("[a-z]{1,4}", prop::collection::vec(any_value(), 1..4), 0..4)
        ) {
            let table: Table = lists.iter().map(|(k, v)| (k.clone(), Value::Array(v.clone()))).collect();
            let sets = sets(&Value::Table(table)).unwrap();
            prop_assert_eq!(sets.len(), lists.values().map(Vec::len).product::<usize>());
            let read: Vec<Table> = sets.iter().map(|set| parse_options(set).unwrap()).collect();
            for (place, found) in read.iter().enumerate() {
                // The place in mixed radix, the last key the least digit.
                let mut rest = place;
                for (key, values) in lists.iter().rev() {
                    prop_assert_eq!(&found[key], &values[rest % values.len()]);
                    rest /= values.len();
                }
                prop_assert_eq!(found.len(), lists.len());
            }
            let distinct: BTreeSet<String> = read.iter().map(ToString::to_string).collect();
            let alike: usize = lists.values().map(|v| v.iter().map(ToString::to_string).collect::<BTreeSet<_>>().len()).product();
            prop_assert_eq!(distinct.len(), alike);
        }
    }
}
