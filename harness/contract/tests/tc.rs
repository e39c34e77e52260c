//! The tc commands of every shipped scenario, both directions. The same scenarios go to a real tc on a real kernel in
//! `netns/netem-vm`.

use contract::Scenario;
use link::{Direction, tc_script};
use std::fmt::Write;

#[test]
fn commands_of_every_shipped_scenario() {
    let mut text = String::new();
    for scenario in Scenario::shipped() {
        for direction in [Direction::Forward, Direction::Reverse] {
            let name = format!("{}, {direction:?}", scenario.name);
            let script = tc_script(scenario.path(direction), "eth0", direction.seed(1))
                .unwrap_or_else(|e| panic!("{name}: {e}"))
                .to_string();
            let _ = writeln!(text, "## {name}");
            let lines: Vec<&str> = script.lines().collect();
            // Of a long trace the beginning and the end.
            let (first, last) = if lines.len() > 24 { (18, 3) } else { (lines.len(), 0) };
            lines[..first].iter().for_each(|l| _ = writeln!(text, "{l}"));
            if last > 0 {
                let _ = writeln!(text, "... {} lines in all ...", lines.len());
            }
            lines[lines.len() - last..].iter().for_each(|l| _ = writeln!(text, "{l}"));
            text.push('\n');
        }
    }
    insta::assert_snapshot!(text);
}
