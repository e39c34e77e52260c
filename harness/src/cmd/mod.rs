//! One file per subcommand.

pub mod app;
pub mod bench;
pub mod budget;
pub mod compare;
pub mod diff;
pub mod doctor;
pub mod golden;
pub mod link;
pub mod list;
pub mod lossrec;
pub mod man;
pub mod merge;
pub mod metric_args;
pub mod parity;
pub mod power;
pub mod report;
pub mod run;
pub mod score;
pub mod setup;
pub mod sweep;
pub mod text_table;
pub mod trace;
pub mod weights;
pub mod why;
