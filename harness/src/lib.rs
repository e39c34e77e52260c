//! The `freezeframe` tool: from what a user asks for to run directories, scores and reports.
//!
//! | module | what |
//! |---|---|
//! | [`cmd`] | one file per subcommand |
//! | [`launch`] | one run: resolve, launch, wait, leave a complete run directory or none |
//! | [`plan`] | plans: which runs |
//! | [`sweep`] | the runs of a plan, here or on many machines |
//! | [`ci`] | JUnit XML and annotations |
//! | [`app`] | camera and screen of systems that are not asked what they showed |
//! | [`record`] | events and fates joined into one row per frame and stream |
//! | [`score`] | pictures compared, session metrics, `scores.json` |
//! | [`report`] | terminal table, CSV, Markdown, LaTeX, HTML |
//! | [`figure`] | figures of papers, from runs to SVG, PDF, PNG |
//! | [`tidy`] | runs, frames and packets as Parquet and CSV |
//! | [`tc`] | which words of `tc` this machine takes |
//! | [`networks`] | decoders, restorers and LPIPS, in a process that has libtorch |
//! | [`outcome`] | scores and reports written after a run |
//! | [`stdio`] | printing where the reader may have gone |
//! | [`golden`] | what was kept when somebody last looked, and what has moved |

// Before the others, for its macros.
#[macro_use]
pub mod stdio;

pub mod app;
pub mod ci;
pub mod cmd;
pub mod figure;
pub mod golden;
pub mod launch;
pub mod networks;
pub mod outcome;
pub mod output;
pub mod plan;
pub mod progress;
pub mod record;
pub mod report;
pub mod score;
pub mod sweep;
pub mod tc;
pub mod tidy;

/// Something the user gave is wrong; the message names it and the remedy. Ends the program with
/// [`contract::exit::BAD_INPUT`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// Returns a [`BadInput`] with a formatted message from the function.
macro_rules! bad_input {
    ($($message:tt)*) => { return Err($crate::BadInput(format!($($message)*)).into()) };
}
pub(crate) use bad_input;
