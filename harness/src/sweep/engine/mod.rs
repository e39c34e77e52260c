//! A sweep's parts on engines that exist. Each part is the same command with `--shard I/N`, so that whatever starts programs on other
//! machines can start it, and whatever an engine forgets is still known: from the runs, and from the records of parts.

pub mod kubernetes;
pub mod slurm;
pub mod ssh;

use std::path::Path;

/// A sweep in parts.
pub struct Job<'a> {
    /// Name of the plan.
    pub name: &'a str,
    /// The words of the sweep: `sweep PLAN --size 64x48 …`, without what says where and in which parts.
    pub words: &'a [String],
    /// The sweep's folder.
    pub out: &'a Path,
    /// How many parts there are.
    pub parts: u32,
    /// Those that have something to do.
    pub pending: &'a [u32],
    /// What the user gave for the engine, passed on as it is.
    pub options: &'a [String],
}

/// A part that did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which.
    pub part: u32,
    /// What is known of it.
    pub why: String,
}

/// The end of what a part said, in one line.
fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
    format!("{}: {}", log.display(), contract::text::line(last))
}

/// Words as one line for a shell.
fn quoted(words: &[String]) -> anyhow::Result<String> {
    shlex::try_join(words.iter().map(String::as_str))
        .map_err(|e| crate::BadInput(format!("the sweep cannot be written as a command: {e}")).into())
}

/// `[1, 2, 3, 7]` as `1-3,7`.
#[must_use]
pub fn ranges(parts: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &part in parts {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == part => *last = part,
            _ => runs.push((part, part)),
        }
    }
    let text = |(a, b): &(u32, u32)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn parts_in_a_row_are_a_range() {
        for (parts, text) in
            [(vec![1, 2, 3, 7], "1-3,7"), (vec![4], "4"), (vec![1, 3, 4], "1,3-4"), (vec![], "")]
        {
            assert_eq!(super::ranges(&parts), text);
        }
    }
}
