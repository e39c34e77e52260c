//! `freezeframe golden`: what was kept when somebody last looked, and what has moved since.

use crate::ci::{self, CiArgs, Verdict};
use crate::golden::{self, Case, Findings, Product, Walk};
use crate::launch::clip::ClipRequest;
use crate::launch::{self, Request, clip};
use crate::score;
use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use contract::{Backend, Identity, Metric, RunSpec, exit};
use std::path::{Path, PathBuf};

/// Compare runs, pictures and repair bytes with what was kept, or keep what they are now
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  freezeframe golden --check                     everything; exit code 3 if something moved
  freezeframe golden --check --filter revo       folders whose path contains \"revo\"
  freezeframe golden --review --filter vp9       write what moved; commit it alone, with the reason")]
pub struct Args {
    /// Compare and explain; write nothing below the goldens
    #[arg(long, conflicts_with = "review", required_unless_present = "review")]
    pub check: bool,
    /// Explain, and write what moved
    #[arg(long)]
    pub review: bool,
    /// Only goldens whose path contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Folder of goldens; default: golden/ of this project
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Where runs and picture differences are left for a look
    #[arg(long, value_name = "DIR", default_value = "out/golden")]
    pub out: PathBuf,
    /// For continuous integration
    #[command(flatten)]
    pub ci: CiArgs,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<i32> {
    launch::child::catch_interrupts();
    let dir = args.dir.clone().map_or_else(find_dir, Ok)?;
    let fixed = golden::repair_texts()?;
    let runs = args.out.join("runs");
    let findings = golden::walk(&mut Walk {
        dir: &dir,
        filter: args.filter.as_deref(),
        out: &args.out,
        review: args.review,
        produce: &mut |case| produce(case, &runs),
        fixed: &fixed,
        progress: &mut |name| eprintln!("golden: {name}"),
    })?;
    if findings.compared.is_empty() && findings.failed.is_empty() {
        bail!("no golden below {} matches", dir.display());
    }
    print(&findings);
    args.ci.tell("golden", &cases(&findings, &dir))?;
    let count = findings.failed.len();
    if let Some((_, error)) = findings.failed.into_iter().next() {
        return Err(match count {
            1 => error,
            _ => error.context(format!("{count} goldens could not be compared; the first of them")),
        });
    }
    Ok(if findings.moved.is_empty() || args.review { exit::OK } else { exit::DIFFERENT })
}

/// Runs a case as `freezeframe run` does, in virtual time, and scores it.
fn produce(case: &Case, runs: &Path) -> Result<Product> {
    let request = Request {
        scenario: case.scenario.clone(),
        system: case.system.clone(),
        clip: ClipRequest {
            rgb: case.clip.clone(),
            depth: None,
            depth_unit: video::DepthUnit::Usual,
            no_depth: false,
            shape: (case.size.0, case.size.1, 30),
            frames: Some(case.frames),
            fov: None,
        },
        backend: Backend::Virtual,
        shaper: contract::Shaping::Auto,
        seed: case.seed,
        options: case.options.clone(),
        costs: contract::costs::IDEAL.into(),
        // A stream kept by an earlier version of the encoder's settings would hide what a change does.
        cache: false,
    };
    let clip = clip::resolve(&request.clip, &mut |_| {})?;
    let (spec, manifest) = request.resolve(clip)?;
    // A folder per case, the same for every build.
    let of_any_build = RunSpec { identity: Identity::default(), ..spec.clone() };
    let run_dir = runs.join(super::run::relative_dir(&of_any_build));
    let _held = launch::hold(&run_dir)?;
    launch::launch(&spec, &manifest, &run_dir)?;
    score::score_run(&run_dir, &scoring(), &|_| {})?;
    Product::of_run(&run_dir, case)
}

/// Metrics that need no weights, so that goldens do not depend on what a machine has; and nothing from the cache of
/// earlier scores, which would hide a change of a metric.
fn scoring() -> score::Options {
    let metrics = vec![
        Metric::Psnr,
        Metric::Ssim,
        Metric::SsimFull,
        Metric::MsSsim,
        Metric::FfmpegPsnr,
        Metric::FfmpegSsim,
        Metric::DepthRmseMm,
        Metric::DepthAbsRel,
        Metric::DepthDelta1,
    ];
    score::Options { metrics, cache: None, lpips_weights: None, strips: 0, ..score::Options::default() }
}

fn find_dir() -> Result<PathBuf> {
    let here = std::env::current_dir().context("failed to name the current folder")?;
    let above = here.ancestors().map(|folder| folder.join("golden"));
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden");
    let found = above.chain([built]).find(|dir| dir.join("README.md").is_file());
    found.context("no folder golden/ here or above; name it with --dir")
}

/// A case per golden file, in suites by folder.
fn cases(findings: &Findings, dir: &Path) -> Vec<ci::Case> {
    let here = std::env::current_dir().and_then(|d| d.canonicalize()).unwrap_or_default();
    let case = |file: &PathBuf| {
        let below = file.strip_prefix(dir).unwrap_or(file);
        let verdict = match findings.moved.iter().find(|m| m.file == *file) {
            None => Verdict::Passed,
            Some(moved) => {
                // As a viewer of the repository calls it.
                let full = file.canonicalize().unwrap_or_else(|_| file.clone());
                Verdict::Failed {
                    summary: moved.summary.clone(),
                    text: moved.explanation.clone(),
                    file: full.strip_prefix(&here).ok().map(Path::to_owned),
                }
            }
        };
        let folder = below.parent().map(|f| f.display().to_string()).unwrap_or_default();
        let name = below.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ci::Case { group: folder, name, verdict }
    };
    let failed = findings.failed.iter().map(|(folder, error)| ci::Case {
        group: folder.strip_prefix(dir).unwrap_or(folder).display().to_string(),
        name: "comparison".to_owned(),
        verdict: Verdict::Failed {
            summary: "not compared".to_owned(),
            text: contract::said(&**error),
            file: None,
        },
    });
    findings.compared.iter().map(case).chain(failed).collect()
}

fn print(findings: &Findings) {
    for moved in &findings.moved {
        println!("{}: {}", moved.file.display(), moved.summary);
        for line in moved.explanation.lines() {
            println!("    {line}");
        }
    }
    for (folder, error) in &findings.failed {
        println!("{}: not compared", folder.display());
        println!("    {}", contract::said(&**error));
    }
    let (compared, moved) = (findings.compared.len(), findings.moved.len());
    match (moved, findings.written.len()) {
        (0, _) => println!("{compared} goldens, none moved"),
        (_, 0) => println!(
            "{compared} goldens, {moved} moved; if that is meant, `just golden-review` writes them, for a commit of their own with the reason"
        ),
        (_, written) => println!(
            "{compared} goldens, {moved} moved, {written} written; look at `git diff golden/` before the commit"
        ),
    }
}
