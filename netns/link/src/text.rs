//! Loss models as a command line writes them, in tc's words: `random 5%`, `gemodel 6.8% 85.2% 50% 4%`.

use crate::spec::{LossBy, LossSpec, Pattern, Step};
use crate::units::Probability;
use std::fmt;
use std::str::FromStr;

/// A loss model that cannot be read; the message says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("loss `{text}`: {problem}; {GRAMMAR}")]
pub struct LossTextError {
    text: String,
    problem: String,
}

const GRAMMAR: &str = "write `none`, `random 5%`, `gemodel P R LOSS_BAD LOSS_GOOD [step packet|frame|20ms] [by old|new]` \
                       or `pattern ...x.xx [repeat] [step packet|frame|20ms]`";

impl FromStr for LossSpec {
    type Err = LossTextError;

    /// The words and their order are those of tc's netem: P is good to bad, R bad to good, then 1-H (loss in bad), then 1-K
    /// (loss in good). As in tc a percent sign may be left out. Where tc's versions disagree (R left out), nothing is assumed.
    fn from_str(text: &str) -> Result<Self, LossTextError> {
        let wrong = |problem: String| LossTextError { text: text.into(), problem };
        let percent = |word: &str| -> Result<Probability, LossTextError> {
            let with_sign = if word.ends_with('%') { word.to_owned() } else { format!("{word}%") };
            with_sign.parse().map_err(|_| wrong(format!("`{word}` is not a percentage from 0% to 100%")))
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["none"] => Ok(LossSpec::None),
            ["random", p] => Ok(LossSpec::Random { probability: percent(p)? }),
            ["random", _, _, ..] => Err(wrong(
                "correlated loss is not offered: the kernel starts it from an unseeded word, and its mean is not the given one".into(),
            )),
            ["gemodel", ref rest @ ..] => {
                let numbers = rest.iter().take_while(|w| !matches!(**w, "step" | "by")).count();
                let (numbers, options) = rest.split_at(numbers);
                let (p, r, bad, good) = match *numbers {
                    [p, r] => (p, r, "100%", "0%"),
                    [p, r, bad] => (p, r, bad, "0%"),
                    [p, r, bad, good] => (p, r, bad, good),
                    _ => return Err(wrong(format!("gemodel takes 2 to 4 percentages, not {}", numbers.len()))),
                };
                let (mut step, mut loss_by) = (Step::Packet, LossBy::Old);
                for pair in options.chunks(2) {
                    match *pair {
                        ["step", word] => step = word.parse().map_err(|e| wrong(format!("step: {e}")))?,
                        ["by", "old"] => loss_by = LossBy::Old,
                        ["by", "new"] => loss_by = LossBy::New,
                        _ => return Err(wrong(format!("`{}` is not an option of gemodel", pair.join(" ")))),
                    }
                }
                Ok(LossSpec::GilbertElliott {
                    good_to_bad: percent(p)?,
                    bad_to_good: percent(r)?,
                    loss_bad: percent(bad)?,
                    loss_good: percent(good)?,
                    step,
                    loss_by,
                })
            }
            ["pattern", pattern, ref options @ ..] => {
                let pattern: Pattern = pattern.parse().map_err(|e| wrong(format!("{e}")))?;
                let (mut repeat, mut step) = (false, Step::Packet);
                let mut options = options.iter();
                while let Some(word) = options.next() {
                    match (*word, options.as_slice().first()) {
                        ("repeat", _) => repeat = true,
                        ("step", Some(value)) => {
                            step = value.parse().map_err(|e| wrong(format!("step: {e}")))?;
                            options.next();
                        }
                        _ => return Err(wrong(format!("`{word}` is not an option of pattern"))),
                    }
                }
                Ok(LossSpec::Pattern { pattern, repeat, step })
            }
            [p] => Ok(LossSpec::Random { probability: percent(p)? }),
            _ => Err(wrong("no such model".into())),
        }
    }
}

impl fmt::Display for LossSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LossSpec::None => f.write_str("none"),
            LossSpec::Random { probability } => write!(f, "random {probability}"),
            LossSpec::GilbertElliott { good_to_bad, bad_to_good, loss_good, loss_bad, step, loss_by } => {
                let by = match loss_by {
                    LossBy::Old => "old",
                    LossBy::New => "new",
                };
                write!(f, "gemodel {good_to_bad} {bad_to_good} {loss_bad} {loss_good} step {step} by {by}")
            }
            LossSpec::Pattern { pattern, repeat, step } => {
                write!(f, "pattern {pattern}{} step {step}", if *repeat { " repeat" } else { "" })
            }
            LossSpec::Trace => f.write_str("trace"),
        }
    }
}

impl LossSpec {
    /// Mean loss of the model in the long run, where it is known: for reports beside the realised loss.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        match self {
            LossSpec::None => Some(0.0),
            LossSpec::Random { probability } => Some(probability.as_f64()),
            LossSpec::GilbertElliott { good_to_bad, bad_to_good, loss_good, loss_bad, .. } => {
                let (p, r) = (good_to_bad.as_f64(), bad_to_good.as_f64());
                let bad = if p == 0.0 { 0.0 } else { p / (p + r) };
                Some(loss_bad.as_f64() * bad + loss_good.as_f64() * (1.0 - bad))
            }
            LossSpec::Pattern { pattern, repeat: true, .. } => {
                Some(pattern.0.iter().filter(|lost| **lost).count() as f64 / pattern.0.len().max(1) as f64)
            }
            LossSpec::Pattern { .. } | LossSpec::Trace => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tc_words() {
        let ge: LossSpec = "gemodel 6.8% 85.2% 50% 4%".parse().unwrap();
        assert_eq!(ge.to_string(), "gemodel 6.8% 85.2% 50% 4% step packet by old");
        assert!((ge.mean().unwrap() - 0.074).abs() < 5e-5);
        assert_eq!("gemodel 6.8 85.2 50 4".parse(), Ok(ge));
        let frame: LossSpec = "gemodel 6.8% 85.2% 75% 4% step frame by new".parse().unwrap();
        assert_eq!(frame.to_string(), "gemodel 6.8% 85.2% 75% 4% step frame by new");
        assert_eq!("5%".parse(), "random 5%".parse::<LossSpec>());
        assert_eq!("pattern ..x. repeat".parse::<LossSpec>().unwrap().mean(), Some(0.25));
    }

    #[test]
    fn mistakes_come_with_the_grammar() {
        for text in [
            "",
            "gemodel",
            "gemodel 5%",
            "gemodel 1% 2% 3% 4% 5%",
            "random",
            "random 5% 25%",
            "uniform 3%",
            "120%",
            "gemodel 1% 2% by both",
            "gemodel 1% 2% step",
            "pattern ..y",
            "pattern ... twice",
        ] {
            let message = text.parse::<LossSpec>().unwrap_err().to_string();
            assert!(message.contains("write `none`"), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "(gemodel|random|pattern|step|by|[0-9.%x]{1,6}| ){0,12}") {
            if let Ok(spec) = text.parse::<LossSpec>() {
                prop_assert_eq!(spec.to_string().parse(), Ok(spec));
            }
        }
    }
}
