//! The emulator of labs as a program of its own: what is locked in memory while it runs is small, and so is what is loaded before.

use std::process::ExitCode;

fn main() -> ExitCode {
    netns::emulator_main_if_asked();
    eprintln!(
        "freezeframe-emulator: freezeframe starts this program for runs in namespaces; it does nothing by itself"
    );
    ExitCode::from(2)
}
