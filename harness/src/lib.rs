//! The `freezeframe` tool, from a run directory to results.
//!
//! | room | what |
//! |---|---|
//! | [`record`] | events and fates joined into one row per frame and stream |
//! | [`score`] | pictures compared, session metrics, `scores.json` |
//! | [`report`] | terminal table, CSV, Markdown, LaTeX, one-file HTML |
//! | [`cmd`] | one file per subcommand |

pub mod cmd;
pub mod record;
pub mod report;
pub mod score;
