//! `sut-neural`: all that `sut` does, with networks; and `sut-neural serve`, which answers for programs that do not link libtorch.

use std::process::ExitCode;
use systems::cli::{self, Others};

fn main() -> ExitCode {
    neural::register();
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return match neural::serve::serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("sut-neural: {}", contract::said(&error));
                ExitCode::FAILURE
            }
        };
    }
    cli::main(&[systems::catalogue::SYSTEMS, neural::catalogue::SYSTEMS], Others::None)
}
