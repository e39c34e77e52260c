//! Checks of the emulated network that run programs of their own: `differential`, `steps`, `fault`, `bench`.
mod bench;
mod differential;
mod fault;
mod steps;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Checks of the emulated network.
#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    check: Check,
}

#[derive(Subcommand)]
enum Check {
    /// The same seeded channels through a live lab and in virtual time: every packet's fate must be the same
    Differential(differential::Args),
    /// Traces through the kernel's qdiscs: every row must be what it says, from when it says
    Steps(steps::Args),
    /// Kill owners, emulators and endpoints at random points: nothing may be left behind
    Fault(fault::Args),
    /// Forwarding rate and delay error of the user-space emulator
    Bench(bench::Args),
    /// One end of a flow: for `bench`
    #[command(hide = true)]
    TrafficSend(bench::SendArgs),
    /// The other end
    #[command(hide = true)]
    TrafficReceive(bench::ReceiveArgs),
    /// A lab to be killed: for `fault`
    #[command(hide = true)]
    Owner(fault::OwnerArgs),
}

fn main() -> ExitCode {
    netns::emulator_main_if_asked();
    let command = Command::parse();
    // The ends of a flow run inside somebody's namespace already.
    let outside = !matches!(command.check, Check::TrafficSend(_) | Check::TrafficReceive(_));
    if outside && let Err(e) = netns::become_capable() {
        eprintln!("skipped: {e}");
        return ExitCode::from(SKIPPED);
    }
    let outcome = match &command.check {
        Check::Differential(args) => differential::run(args),
        Check::Steps(args) => steps::run(args),
        Check::Fault(args) => fault::run(args),
        Check::Bench(args) => bench::run(args),
        Check::TrafficSend(args) => bench::send(args),
        Check::TrafficReceive(args) => bench::receive(args),
        Check::Owner(args) => fault::own(args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {}", link::said(&*e));
            ExitCode::FAILURE
        }
    }
}

/// Exit code of a check that this machine does not permit (as automake's).
const SKIPPED: u8 = 77;
