//! What a command found, for the systems that run it: JUnit XML, and GitHub's annotations.

use crate::report::allowed;
use anyhow::{Context, Result};
use clap::{Args as ClapArgs, ValueEnum};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::path::{Path, PathBuf};

/// For commands that judge.
#[derive(ClapArgs, Clone, Debug, Default)]
pub struct CiArgs {
    /// Write the results as JUnit XML, which GitLab, Buildkite, Jenkins and GitHub's actions read
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Annotate what failed, on standard error; default: github where GITHUB_ACTIONS is true
    #[arg(long, value_enum, value_name = "FOR")]
    pub annotations: Option<Annotations>,
}

/// Whose annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Annotations {
    /// GitHub's workflow commands
    Github,
    /// None
    None,
}

/// One thing that was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it belongs to.
    pub group: String,
    /// What it is called in there.
    pub name: String,
    /// How it stands.
    pub verdict: Verdict,
}

/// How a thing stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not judged, and why.
    Skipped(String),
    /// Not as it should.
    Failed {
        /// One line.
        summary: String,
        /// What a person needs to judge it.
        text: String,
        /// The file that it is about, from the repository's root, if there is one.
        file: Option<PathBuf>,
    },
}

impl CiArgs {
    /// Writes what was asked for; `command` is the report's name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn tell(&self, command: &str, cases: &[Case]) -> Result<()> {
        if let Some(path) = &self.junit {
            write(path, &junit(command, cases)?)?;
        }
        let on_github = std::env::var_os("GITHUB_ACTIONS").is_some_and(|v| v == "true");
        if self.annotations.map_or(on_github, |a| a == Annotations::Github) {
            eprint!("{}", github(command, cases));
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    folder
        .map_or(Ok(()), std::fs::create_dir_all)
        .with_context(|| format!("failed to write {}", path.display()))?;
    crate::output::put(path, text)
}

/// One suite per group, in the order of its first case.
fn junit(command: &str, cases: &[Case]) -> Result<String> {
    let mut suites: Vec<TestSuite> = Vec::new();
    for case in cases {
        let status = match &case.verdict {
            Verdict::Passed => TestCaseStatus::success(),
            Verdict::Skipped(why) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(allowed(why));
                status
            }
            Verdict::Failed { summary, text, .. } => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(allowed(summary)).set_description(allowed(text));
                status
            }
        };
        let (name, group) = (allowed(&case.name), allowed(&case.group));
        let mut test = TestCase::new(name, status);
        test.set_classname(group.as_str());
        match suites.iter_mut().find(|s| s.name.as_str() == group) {
            Some(suite) => {
                suite.add_test_case(test);
            }
            None => {
                let mut suite = TestSuite::new(group);
                suite.add_test_case(test);
                suites.push(suite);
            }
        }
    }
    let mut report = Report::new(format!("freezeframe {command}"));
    report.add_test_suites(suites);
    report.to_string().context("failed to write JUnit XML")
}

/// `::error file=F,title=T::TEXT`, one line per failure, with what would end a value escaped as GitHub's own toolkit does.
fn github(command: &str, cases: &[Case]) -> String {
    let text = |s: &str| s.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |s: &str| text(s).replace(':', "%3A").replace(',', "%2C");
    let line = |case: &Case| {
        let Verdict::Failed { summary, text: more, file } = &case.verdict else { return None };
        let group = if case.name.contains(&case.group) { String::new() } else { format!("{} ", case.group) };
        let title = property(&format!("freezeframe {command}: {group}{}", case.name));
        let file =
            file.as_ref().map_or_else(String::new, |f| format!("file={},", property(&f.to_string_lossy())));
        let body = if more.is_empty() { summary.clone() } else { format!("{summary}\n{more}") };
        Some(format!("::error {file}title={title}::{}\n", text(&body)))
    };
    cases.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> Vec<Case> {
        let failed = Verdict::Failed {
            summary: "psnr: 3 beyond, worse".into(),
            text: "old 30.00, new 29,50\n100 % of <pairs> & \u{7}\u{ffff}more".into(),
            file: Some("golden/a,b.toml".into()),
        };
        let case =
            |group: &str, name: &str, verdict| Case { group: group.into(), name: name.into(), verdict };
        vec![
            case("a", "one", Verdict::Passed),
            case("b", "two", failed),
            case("a", "three", Verdict::Skipped("no namespaces".into())),
        ]
    }

    #[test]
    fn junit_has_a_suite_per_group_and_counts() {
        let xml = junit("diff", &cases()).unwrap();
        for part in [
            r#"<testsuites name="freezeframe diff" tests="3" failures="1" errors="0""#,
            r#"<testsuite name="a" tests="2" disabled="1""#,
            r#"<skipped message="no namespaces"/>"#,
            r#"<failure message="psnr: 3 beyond, worse">"#,
            "of &lt;pairs&gt; &amp; \u{fffd}\u{fffd}more",
        ] {
            assert!(xml.contains(part), "{part}: {xml}");
        }
    }

    /// The escapes of @actions/core: `%`, CR, LF in texts, and `:` and `,` in properties.
    #[test]
    fn an_annotation_is_one_line_whatever_is_in_it() {
        let said = github("diff", &cases());
        assert_eq!(
            said,
            "::error file=golden/a%2Cb.toml,title=freezeframe diff%3A b two::psnr: 3 beyond, worse%0Aold 30.00, new 29,50%0A100 %25 of <pairs> & \u{7}\u{ffff}more\n"
        );
    }
}
