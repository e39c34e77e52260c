//! `freezeframe why`: why a frame did not render.

use crate::launch::is_run_dir;
use crate::record::{Ledger, Slots, join, read_events, read_fates, why};
use crate::score::{read_health, slots_of};
use contract::{FrameRow, RunSpec, Status, Stream, exit};
use std::path::PathBuf;

/// Say why a frame did not render: which packets, in which channel state, which deadline
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  freezeframe why runs/one 417              both streams of frame 417
  freezeframe why runs/one 417 --depth      its depth picture only
  freezeframe why runs/one                  which frames there are to ask about")]
pub struct Args {
    /// A run directory
    pub run: PathBuf,
    /// Captured frame, from 0; without it, the frames that were not rendered are listed
    pub frame: Option<u32>,
    /// Only the colour picture
    #[arg(long, conflicts_with = "depth")]
    pub rgb: bool,
    /// Only the depth picture
    #[arg(long)]
    pub depth: bool,
}

/// Runs the command.
///
/// # Errors
/// When the run's record is missing or damaged.
pub fn run(args: &Args) -> anyhow::Result<i32> {
    print!("{}", answer(args)?);
    Ok(exit::OK)
}

fn answer(args: &Args) -> anyhow::Result<String> {
    if !is_run_dir(&args.run) {
        crate::bad_input!("{} is no run directory; check the path", args.run.display());
    }
    contract::seal::check_evidence(&args.run)?;
    let spec = RunSpec::read(&args.run)?;
    let slots = Slots { watched: read_health(&args.run)?.app.is_some(), ..slots_of(&spec) };
    let events = args.run.join("events.jsonl");
    let fates = args.run.join("fates.jsonl");
    let ledger = if fates.is_file() { Some(Ledger::of(read_fates(&fates)?, slots.window())?) } else { None };
    let rows = join(read_events(&events)?, ledger.as_ref(), &slots)?.rows;
    let streams = slots.streams.iter().copied().filter(|s| match s {
        Stream::Rgb => !args.depth,
        Stream::Depth => !args.rgb,
    });
    let mut text = String::new();
    for stream in streams {
        let Some(frame) = args.frame else {
            text.push_str(&overview(&rows, stream));
            continue;
        };
        if frame >= slots.frames {
            crate::bad_input!(
                "frame {frame}: the run captured frames 0 to {}",
                slots.frames.saturating_sub(1)
            );
        }
        let fates: Box<dyn Iterator<Item = _>> =
            if fates.is_file() { Box::new(read_fates(&fates)?) } else { Box::new(std::iter::empty()) };
        text.push_str(&why::explain(&rows, (frame, stream), read_events(&events)?, fates)?);
    }
    Ok(text)
}

/// Stretches of frames that were not rendered, with the cause of the first.
fn overview(rows: &[FrameRow], stream: Stream) -> String {
    let rows: Vec<&FrameRow> = rows.iter().filter(|r| r.stream == stream).collect();
    let mut text = String::new();
    for stretch in rows.chunk_by(|a, b| a.status == b.status && a.status != Status::Rendered) {
        let (first, last) = (stretch[0], stretch[stretch.len() - 1]);
        if first.status == Status::Rendered {
            continue;
        }
        let cause = first.loss_cause.map(|c| format!(", begins with {}", c.name())).unwrap_or_default();
        let frames = if first.frame_id == last.frame_id {
            format!("frame {}", first.frame_id)
        } else {
            format!("frames {} to {}", first.frame_id, last.frame_id)
        };
        text.push_str(&format!("{} {frames}: {}{cause}\n", stream.name(), first.status.name()));
    }
    if text.is_empty() {
        text = format!("{}: every frame was rendered\n", stream.name());
    }
    text
}
