//! Values of a plan: one, a list, or a range.

use toml::{Table, Value};

/// Most values that one range may have: more is a slip of the pen.
const MOST: usize = 100_000;

/// `1`, `[1, 2, { from = 10, to = 50, step = 10 }]` or `{ from = 1, to = 10 }` as its values in order. A range has both ends. A list in
/// a list is one value.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn values(of: &Value) -> Result<Vec<Value>, String> {
    match of {
        Value::Array(list) if list.is_empty() => Err("the list is empty; name at least one value".to_owned()),
        Value::Array(list) => {
            let mut all = Vec::new();
            for value in list {
                match value {
                    Value::Table(table) => all.extend(range(table)?),
                    other => all.push(other.clone()),
                }
            }
            Ok(all)
        }
        Value::Table(table) => range(table),
        one => Ok(vec![one.clone()]),
    }
}

/// Whole numbers from 0, each once.
///
/// # Errors
/// As [`values`].
pub fn whole_numbers(of: &Value) -> Result<Vec<u64>, String> {
    let mut all = Vec::new();
    for value in values(of)? {
        match value.as_integer().map(u64::try_from) {
            Some(Ok(number)) if !all.contains(&number) => all.push(number),
            Some(Ok(number)) => return Err(format!("{number} is there twice; leave one out")),
            _ => {
                return Err(format!(
                    "{value} is no whole number from 0; write [1, 2] or {{ from = 1, to = 10 }}"
                ));
            }
        }
    }
    Ok(all)
}

fn range(table: &Table) -> Result<Vec<Value>, String> {
    const REMEDY: &str = "a range is { from = 0, to = 500, step = 100 }";
    if let Some(unknown) = table.keys().find(|k| !["from", "to", "step"].contains(&k.as_str())) {
        return Err(format!("a range has no key `{unknown}`; {REMEDY}"));
    }
    let (Some(from), Some(to)) = (table.get("from"), table.get("to")) else {
        let lacking = if table.contains_key("from") { "to" } else { "from" };
        return Err(format!("a range lacks `{lacking}`; {REMEDY}"));
    };
    let one = Value::Integer(1);
    let step = table.get("step").unwrap_or(&one);
    if let (Value::Integer(from), Value::Integer(to), Value::Integer(step)) = (from, to, step) {
        return whole(*from, *to, *step).ok_or_else(|| no_way(from, to, step));
    }
    let number = |key: &str, value: &Value| {
        let number = value.as_float().or_else(|| value.as_integer().map(|i| i as f64));
        number
            .filter(|n| n.is_finite())
            .ok_or_else(|| format!("`{key}` of a range is no number: {value}; {REMEDY}"))
    };
    let (from, to, step) = (number("from", from)?, number("to", to)?, number("step", step)?);
    decimal(from, to, step).ok_or_else(|| no_way(&from, &to, &step))
}

fn no_way(from: &dyn std::fmt::Display, to: &dyn std::fmt::Display, step: &dyn std::fmt::Display) -> String {
    format!(
        "a range from {from} to {to} in steps of {step} has no values or more than {MOST}; `step` must lead from `from` to `to`"
    )
}

fn whole(from: i64, to: i64, step: i64) -> Option<Vec<Value>> {
    let (span, step) = (i128::from(to) - i128::from(from), i128::from(step));
    if step == 0 || span.signum() * step.signum() < 0 {
        return None;
    }
    let count = usize::try_from(span / step).ok().filter(|n| *n < MOST)?;
    let at = |i: usize| i64::try_from(i128::from(from) + i as i128 * step).map(Value::Integer).ok();
    (0..=count).map(at).collect()
}

/// In decimal, as it was written: 0.1 and twice 0.1 more are 0.3, not 0.30000000000000004.
fn decimal(from: f64, to: f64, step: f64) -> Option<Vec<Value>> {
    let steps = (to - from) / step;
    if step == 0.0 || steps < -1e-9 || steps >= MOST as f64 {
        return None;
    }
    let digits = |x: f64| format!("{x}").split_once('.').map_or(0, |(_, d)| d.len());
    let digits = digits(from).max(digits(step));
    let at = |i: u32| format!("{:.digits$}", from + f64::from(i) * step).parse().map(Value::Float).ok();
    (0..=(steps + 1e-9) as u32).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Result<Vec<Value>, String> {
        values(&text.parse::<Value>().expect(text))
    }

    fn texts(text: &str) -> Vec<String> {
        of(text).expect(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_value_a_list_and_ranges() {
        assert_eq!(texts("7"), ["7"]);
        assert_eq!(texts("\"copy\""), ["\"copy\""]);
        assert_eq!(texts("[1, true, \"a\", [2, 3]]"), ["1", "true", "\"a\"", "[2, 3]"]);
        assert_eq!(texts("{ from = 1, to = 4 }"), ["1", "2", "3", "4"]);
        assert_eq!(texts("{ from = 80, to = 280, step = 100 }"), ["80", "180", "280"]);
        assert_eq!(texts("{ from = 3, to = 0, step = -2 }"), ["3", "1"]);
        assert_eq!(texts("{ from = 0.1, to = 0.5, step = 0.1 }"), ["0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(texts("[0, { from = 10, to = 30, step = 10 }]"), ["0", "10", "20", "30"]);
        for (wrong, said) in [
            ("[]", "at least one"),
            ("{ from = 1 }", "`to`"),
            ("{ from = 1, until = 3 }", "`until`"),
            ("{ from = 3, to = 1 }", "step"),
            ("{ from = 1, to = 3, step = 0 }", "step"),
            ("{ from = 1, to = 300000 }", "100000"),
            ("{ from = 1, to = \"x\" }", "no number"),
            ("{ from = -9223372036854775808, to = 9223372036854775807 }", "100000"),
        ] {
            let error = of(wrong).expect_err(wrong);
            assert!(error.contains(said), "{wrong}: {error}");
        }
        assert!(whole_numbers(&"[1, 1]".parse().unwrap()).unwrap_err().contains("twice"));
        assert!(whole_numbers(&"-1".parse().unwrap()).unwrap_err().contains("-1"));
    }

    proptest! {
        /// A range is the arithmetic progression between its ends: what counting up by hand gives.
        #[test]
        fn a_range_counts(from in -1000i64..1000, count in 0usize..200, step in prop_oneof![1i64..50, -50i64..-1], rest in 0i64..50) {
            let to = from + count as i64 * step + rest.min(step.abs() - 1) * step.signum();
            let mut expected = Vec::new();
            let mut next = from;
            for _ in 0..=count {
                expected.push(Value::Integer(next));
                next += step;
            }
            prop_assert_eq!(of(&format!("{{ from = {from}, to = {to}, step = {step} }}")).unwrap(), expected);
        }

        /// The same range in hundredths has the same values divided by 100, each as short as it is written.
        #[test]
        fn decimals_count_as_whole_numbers_do(from in -500i64..500, count in 0i64..100, step in 1i64..50) {
            let text = |n: i64| format!("{:.2}", n as f64 / 100.0);
            let to = from + count * step;
            let found = of(&format!("{{ from = {}, to = {}, step = {} }}", text(from), text(to), text(step))).unwrap();
            let expected: Vec<f64> = (0..=count).map(|i| text(from + i * step).parse().unwrap()).collect();
            prop_assert_eq!(found.iter().map(|v| v.as_float().unwrap()).collect::<Vec<_>>(), expected);
        }
    }
}
