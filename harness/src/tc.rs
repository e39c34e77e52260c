//! The `tc` of this machine: which of a script's words it takes.

use link::TcScript;
use std::process::Command;

/// The script with what the installed tc takes, and with what a newer one or the kernel would add to it said.
#[must_use]
pub fn as_installed(script: TcScript) -> TcScript {
    let version = output(&["-V"]).and_then(|text| {
        let word = text.split_whitespace().find_map(|w| w.strip_prefix("iproute2-"))?;
        Some(word.trim_end_matches(',').to_owned())
    });
    let Some(version) = version else {
        return script.with_need(
            "no tc is installed here: these are the words of a new one (iproute2 6.6 and Linux 6.6 have netem's `seed`); \
             on Debian and Ubuntu: sudo apt-get install iproute2",
        );
    };
    // Its usage lists the words that it takes; asking changes nothing and needs no rights.
    let usage = output(&["qdisc", "add", "dev", "lo", "root", "netem", "help"]).unwrap_or_default();
    let mut script = if usage.contains("seed") { script } else { script.without_seed(&version) };
    if script.uses("netem") && !netns::shaper::probe().map_or(true, |probe| probe.netem) {
        script = script.with_need(
            "this kernel has no netem: sudo modprobe sch_netem (Ubuntu: after sudo apt-get install linux-modules-extra-$(uname -r))",
        );
    }
    script
}

/// What tc says, wherever it says it.
fn output(words: &[&str]) -> Option<String> {
    let said = Command::new("tc").args(words).output().ok()?;
    Some([said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
}
