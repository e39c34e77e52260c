//! `sut`: the systems under test without networks; see [`systems::cli`].

use std::process::ExitCode;
use systems::cli::{self, Others};

fn main() -> ExitCode {
    cli::main(&[systems::catalogue::SYSTEMS], Others::Beside)
}
