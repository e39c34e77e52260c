//! One file per subcommand.

pub mod report;
pub mod score;
pub mod why;
