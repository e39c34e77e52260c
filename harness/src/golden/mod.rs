//! Goldens: what a run gave when somebody last looked at it, and what has moved since.
//!
//! | file | made from | compared |
//! |---|---|---|
//! | `ladder.txt` | packets of the run, in order | exact text |
//! | `timeline.txt` | what was on the screen in each slot | exact text |
//! | `statuses.txt` | the same without the hashes of pictures | exact text |
//! | `scores.toml` | `scores.json` of the run | each value within the tolerance written beside it |
//! | `<stream>-<slot>.png` | the picture shown in that slot | PSNR to the kept picture, tolerance in `case.toml` |
//! | `pictures.txt` beside `stream.units` | pictures decoded from the *stored* bitstream | exact hashes |
//! | `repair/*.txt` | repair bytes of each FEC code for fixed inputs | exact text |
//!
//! A folder with `case.toml` is a run in virtual time ([`Case`]); a folder with `stream.units` is a stored
//! bitstream ([`stream`]). [`crate::cmd::golden`] walks `golden/` and says what moved in words
//! ([`Moved`]). golden/README.md is the user's page.

mod case;
mod image;
mod ladder;
mod left;
mod numbers;
mod repair;
mod run;
pub mod stream;
mod text;
mod timeline;

pub use case::{Case, CaseError, Keep, Moment};
pub use image::{PictureGap, compare_pictures};
pub use ladder::ladder;
pub use numbers::{Golden, Numbers, compare_numbers, flatten, read_numbers, write_numbers};
pub use repair::repair_texts;
pub use text::compare_text;
pub use timeline::{statuses, timeline};

use crate::{BadInput, bad_input};
use anyhow::{Context, Result};
use contract::write_whole;
use media::Rgb;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a run gave, in the forms that are compared.
#[derive(Clone, Debug, Default)]
pub struct Product {
    /// Exact texts by file name.
    pub texts: BTreeMap<String, String>,
    /// Scores by dotted name.
    pub numbers: Numbers,
    /// Pictures by file name.
    pub pictures: BTreeMap<String, Rgb>,
}

/// One thing that is no longer as kept.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The golden file.
    pub file: PathBuf,
    /// One line.
    pub summary: String,
    /// What a person needs to judge it; several lines.
    pub explanation: String,
}

/// What a walk over the goldens found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Golden files that were compared.
    pub compared: Vec<PathBuf>,
    /// Those that moved.
    pub moved: Vec<Moved>,
    /// Folders whose goldens could not be compared, and why.
    pub failed: Vec<(PathBuf, anyhow::Error)>,
    /// Files written by a review.
    pub written: Vec<PathBuf>,
}

/// How a walk is done.
pub struct Walk<'a> {
    /// The folder of goldens.
    pub dir: &'a Path,
    /// Only folders whose path contains this.
    pub filter: Option<&'a str>,
    /// Where picture differences are written.
    pub out: &'a Path,
    /// Write what moved instead of only saying it.
    pub review: bool,
    /// Makes what a case gives now.
    pub produce: &'a mut dyn FnMut(&Case) -> Result<Product>,
    /// Exact texts that belong to no run, by path below `dir`.
    pub fixed: &'a BTreeMap<String, String>,
    /// Told the name of each folder before it is looked at.
    pub progress: &'a mut dyn FnMut(&str),
}

/// Compares (and with `review` rewrites) every golden below `walk.dir`. What differs is a finding, and so is a golden that cannot be read
/// and a run that fails: the others are compared all the same. Kept files that nothing makes any more are findings, too.
///
/// # Errors
/// A folder that cannot be listed; the person who interrupts.
pub fn walk(walk: &mut Walk<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    for folder in folders(walk.dir)? {
        let name = folder.strip_prefix(walk.dir).unwrap_or(&folder).display().to_string();
        if walk.filter.is_some_and(|f| !name.contains(f)) {
            continue;
        }
        (walk.progress)(&name);
        if let Err(error) = one(walk, &folder, &mut findings) {
            if error.chain().any(<dyn std::error::Error>::is::<crate::launch::child::Interrupted>) {
                return Err(error);
            }
            findings.failed.push((folder, error.context(format!("golden {name}"))));
        }
    }
    for (path, text) in walk.fixed {
        if walk.filter.is_none_or(|f| path.contains(f)) {
            text_file(walk, &walk.dir.join(path), text, &mut findings, compare_text)?;
        }
    }
    left::over(walk, &mut findings)?;
    Ok(findings)
}

fn one(walk: &mut Walk<'_>, folder: &Path, findings: &mut Findings) -> Result<()> {
    if folder.join(stream::STREAM).is_file() {
        let now = stream::hashes(&folder.join(stream::STREAM))?;
        return text_file(walk, &folder.join(stream::PICTURES), &now, findings, stream::explain);
    }
    let case = Case::read(folder)?;
    let product = (walk.produce)(&case)?;
    compare_product(walk, folder, &case, &product, findings)
}

fn compare_product(
    walk: &Walk<'_>,
    folder: &Path,
    case: &Case,
    product: &Product,
    findings: &mut Findings,
) -> Result<()> {
    if let Some(name) = numbers::unfitting(&product.numbers, &case.tolerances) {
        let file = folder.join(case::FILE_NAME);
        bad_input!("{}: tolerances: \"{name}\" fits no value of this run", file.display());
    }
    for (name, text) in &product.texts {
        let explain = if name == "ladder.txt" { ladder::explain } else { timeline::explain };
        text_file(walk, &folder.join(name), text, findings, explain)?;
    }
    let file = folder.join("scores.toml");
    let kept = if file.is_file() { read_numbers(&file)? } else { BTreeMap::new() };
    let explanation = compare_numbers(&kept, &product.numbers);
    note(walk, &file, explanation, findings, || {
        let text = write_numbers(&kept, &product.numbers, &case.tolerances);
        write_whole(&file, text.as_bytes()).map_err(Into::into)
    })?;
    for (name, picture) in &product.pictures {
        picture_file(walk, &folder.join(name), case.picture_psnr_db, picture, findings)?;
    }
    Ok(())
}

fn text_file(
    walk: &Walk<'_>,
    file: &Path,
    now: &str,
    findings: &mut Findings,
    explain: impl Fn(&str, &str) -> Option<Explained>,
) -> Result<()> {
    let kept = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| format!("failed to read {}", file.display())),
    };
    let explained =
        if kept.is_empty() && !now.is_empty() { Some(Explained::new_file()) } else { explain(&kept, now) };
    note(walk, file, explained, findings, || write_whole(file, now.as_bytes()).map_err(Into::into))
}

fn picture_file(
    walk: &Walk<'_>,
    file: &Path,
    least_psnr_db: f64,
    now: &Rgb,
    findings: &mut Findings,
) -> Result<()> {
    let explained = if file.is_file() {
        let kept = media::still::read_rgb(file).map_err(|e| {
            BadInput(format!(
                "{}; restore it, or delete it and let `just golden-review` write it",
                contract::said(&e)
            ))
        })?;
        match compare_pictures(&kept, now) {
            Ok(None) => None,
            Ok(Some(gap)) if gap.psnr_db >= least_psnr_db => None,
            Ok(Some(gap)) => {
                let side_by_side = walk.out.join(file.strip_prefix(walk.dir).unwrap_or(file));
                gap.write(&side_by_side)?;
                Some(gap.explain(least_psnr_db, &side_by_side))
            }
            Err(explained) => Some(explained),
        }
    } else {
        Some(Explained::new_file())
    };
    note(walk, file, explained, findings, || Ok(media::still::write_rgb(file, now)?))
}

/// A finding in words.
#[derive(Clone, Debug)]
pub struct Explained {
    /// One line.
    pub summary: String,
    /// Several lines.
    pub explanation: String,
}

impl Explained {
    fn new_file() -> Self {
        Explained {
            summary: "not kept yet".to_owned(),
            explanation: "`just golden-review` writes it; look at it before it is committed".to_owned(),
        }
    }
}

fn note(
    walk: &Walk<'_>,
    file: &Path,
    explained: Option<Explained>,
    findings: &mut Findings,
    write: impl FnOnce() -> Result<()>,
) -> Result<()> {
    findings.compared.push(file.to_owned());
    let Some(Explained { summary, explanation }) = explained else { return Ok(()) };
    findings.moved.push(Moved { file: file.to_owned(), summary, explanation });
    if walk.review {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        write().with_context(|| format!("failed to write {}", file.display()))?;
        findings.written.push(file.to_owned());
    }
    Ok(())
}

/// Folders that hold a case or a stored stream, in order of their names.
fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(folder) = waiting.pop() {
        if folder.join(case::FILE_NAME).is_file() || folder.join(stream::STREAM).is_file() {
            found.push(folder.clone());
        }
        let entries =
            fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
