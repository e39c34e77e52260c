//! What a run directory gives to the goldens.

use super::{Case, Keep, Moment, Product, flatten, ladder, statuses, timeline};
use crate::score::pictures::{Shown, colour_of};
use anyhow::{Context, Result, bail};
use contract::{Event, EventKind, RunSpec, Scores};
use media::convert::to_rgb;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

impl Product {
    /// Reads a scored run.
    ///
    /// # Errors
    /// A file of the run that is missing or damaged; a slot in `case` that the run does not have.
    pub fn of_run(run_dir: &Path, case: &Case) -> Result<Self> {
        let events = events(&run_dir.join("events.jsonl"))?;
        let mut product = Product::default();
        for keep in &case.keep {
            let (name, text) = match keep {
                Keep::Ladder => ("ladder.txt", ladder(&events)),
                Keep::Timeline => ("timeline.txt", timeline(&events)),
                Keep::Statuses => ("statuses.txt", statuses(&events)),
            };
            product.texts.insert(name.to_owned(), text);
        }
        let scores = Scores::read(&run_dir.join("scores.json"))?;
        if !scores.health.valid {
            let (run, problems) = (run_dir.display(), scores.health.problems.join("; "));
            bail!("the run is not valid ({problems}), so that its numbers stand for nothing; it is in {run}");
        }
        product.numbers = flatten(&scores);
        for &moment in &case.pictures {
            product.pictures.insert(moment.file_name(), picture(run_dir, &events, moment)?);
        }
        Ok(product)
    }
}

fn events(path: &Path) -> Result<Vec<Event>> {
    let file = File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    let mut events = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let place = || format!("failed to read {}, line {}", path.display(), number + 1);
        events.push(serde_json::from_str(&line.with_context(place)?).with_context(place)?);
    }
    Ok(events)
}

/// The picture on the screen in that slot, decoded again from what the decoder was fed.
fn picture(run_dir: &Path, events: &[Event], moment: Moment) -> Result<media::Rgb> {
    let shown = events.iter().find_map(|e| match e.kind {
        EventKind::Slot { frame, stream, shown, .. } if (frame, stream) == (moment.slot, moment.stream) => {
            Some(shown)
        }
        _ => None,
    });
    let Some(Some(shown)) = shown else {
        bail!(
            "slot {} of {} has no picture; choose another in {}",
            moment.slot,
            moment.stream.name(),
            super::case::FILE_NAME
        );
    };
    let spec = RunSpec::read(run_dir)?;
    let colour = colour_of(&spec.clip, moment.stream)?;
    let store = Shown::open(run_dir, &spec.clip, moment.stream, colour)?;
    let picture = store.map(|mut s| s.picture(moment.slot, shown)).transpose()?.flatten();
    let picture = picture.with_context(|| {
        format!("frame {shown} is shown, but the store of {} has no picture of it", moment.stream.name())
    })?;
    Ok(to_rgb(&picture, colour))
}
