//! One file per subcommand.

pub mod app;
pub mod bench;
pub mod budget;
pub mod compare;
pub mod costs;
pub mod diff;
pub mod doctor;
pub mod export;
pub mod figure;
pub mod golden;
pub mod link;
pub mod list;
pub mod lossrec;
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
