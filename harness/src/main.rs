//! The `freezeframe` tool: a table of contents.

use anyhow::Context as _;
use clap::{CommandFactory, Parser, Subcommand};
use contract::exit;
use freezeframe::launch::child::{Failure, Interrupted, UNSUPPORTED};
use freezeframe::{cmd, eprintln};
use std::process::ExitCode;

/// Test and evaluation of loss-resilient video conferencing: real systems, one seeded network, exact metrics
#[derive(Parser)]
#[command(
    name = "freezeframe",
    version,
    after_help = "\
Start here:
  freezeframe list                                   names of systems, scenarios, plans
  freezeframe run ge-high --system revo-h264         one run, scored, with a report
  freezeframe sweep default                          the default evaluation
  freezeframe figure --list                          figures for papers, from finished runs
  freezeframe compare reference.mp4 shown.mp4        metrics of any two videos
  freezeframe doctor                                 what this machine can do

Exit codes:
  0 done · 1 failed · 2 bad input · 3 differs beyond tolerance · 4 run invalid (its `problems` say why)
  69 this machine cannot do it · 127 unsupported by the system · 130 interrupted (the same command resumes)"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(cmd::run::Args),
    App(cmd::app::Args),
    Sweep(Box<cmd::sweep::Args>),
    Merge(cmd::merge::Args),
    Score(cmd::score::Args),
    Report(cmd::report::Args),
    Why(cmd::why::Args),
    Pcap(cmd::pcap::Args),
    Budget(cmd::budget::Args),
    Figure(cmd::figure::Args),
    Export(cmd::export::Args),
    Compare(cmd::compare::Args),
    Diff(cmd::diff::Args),
    Power(cmd::power::Args),
    Golden(cmd::golden::Args),
    Link(cmd::link::Args),
    Trace(cmd::trace::Args),
    List(cmd::list::Args),
    Parity(cmd::parity::Args),
    Bench(cmd::bench::Args),
    Setup(cmd::setup::Args),
    Costs(cmd::costs::Args),
    Doctor(cmd::doctor::Args),
    System(cmd::system::Args),
    Weights(cmd::weights::Args),
    Lossrec(cmd::lossrec::Args),
    Completions(cmd::man::Completions),
    Man(cmd::man::Man),
}

impl Command {
    fn may_build_labs(&self) -> bool {
        match self {
            Command::Run(args) => args.backend == cmd::run::BackendArg::Namespaces,
            // Only lists, or leaves it to other machines.
            Command::Sweep(args) => !args.list && args.on.is_none(),
            Command::App(_) | Command::Parity(_) | Command::System(_) => true,
            _ => false,
        }
    }
}

fn main() -> ExitCode {
    netns::emulator_main_if_asked();
    media::memory::keep_freed(64 << 20);
    let cli = Cli::parse();
    if cli.command.may_build_labs() {
        // Without root: a user namespace of our own, while there is still only one thread. If that is not permitted,
        // building the lab says so.
        let _ = netns::become_capable();
    }
    let result = match cli.command {
        Command::Run(args) => cmd::run::run(&args),
        Command::App(args) => cmd::app::run(&args),
        Command::Sweep(args) => cmd::sweep::run(&args),
        Command::Merge(args) => cmd::merge::run(&args),
        Command::Score(args) => cmd::score::run(&args),
        Command::Report(args) => cmd::report::run(&args),
        Command::Why(args) => cmd::why::run(&args),
        Command::Pcap(args) => cmd::pcap::run(&args),
        Command::Budget(args) => cmd::budget::run(&args),
        Command::Figure(args) => cmd::figure::run(&args),
        Command::Export(args) => cmd::export::run(&args),
        Command::Compare(args) => cmd::compare::run(&args),
        Command::Diff(args) => cmd::diff::run(&args),
        Command::Power(args) => cmd::power::run(&args),
        Command::Golden(args) => cmd::golden::run(&args),
        Command::Link(args) => cmd::link::run(&args),
        Command::Trace(args) => cmd::trace::run(&args),
        Command::List(args) => cmd::list::run(&args),
        Command::Parity(args) => cmd::parity::run(&args),
        Command::Bench(args) => cmd::bench::run(&args),
        Command::Setup(args) => cmd::setup::run(&args),
        Command::Costs(args) => cmd::costs::run(&args),
        Command::Doctor(args) => cmd::doctor::run(&args),
        Command::System(args) => cmd::system::run(&args),
        Command::Weights(args) => cmd::weights::run(&args),
        Command::Lossrec(args) => cmd::lossrec::run(&args),
        Command::Completions(args) => cmd::man::completions(&args, &mut Cli::command()),
        Command::Man(args) => cmd::man::man(&args, Cli::command()),
    };
    let printed = freezeframe::stdio::finish().context("failed to write to standard output");
    let code = result.and_then(|code| printed.map(|()| code)).unwrap_or_else(|error| {
        eprintln!("freezeframe: {}", contract::text::lines(&contract::said(&*error)));
        exit_code(&error)
    });
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Bad files and words are the user's to fix; everything else is a failed run.
fn exit_code(error: &anyhow::Error) -> i32 {
    if error.chain().any(<dyn std::error::Error + 'static>::is::<Interrupted>) {
        return exit::INTERRUPTED;
    }
    if error.chain().any(|e| matches!(e.downcast_ref(), Some(netns::LabError::NotPermitted { .. }))) {
        return exit::UNAVAILABLE;
    }
    if error.chain().any(|e| matches!(e.downcast_ref(), Some(Failure { code: UNSUPPORTED, .. }))) {
        return exit::UNSUPPORTED;
    }
    // A full disk is nobody's word, whatever was being written.
    let full = |e: &(dyn std::error::Error + 'static)| {
        use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        e.downcast_ref::<std::io::Error>()
            .is_some_and(|e| matches!(e.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem))
    };
    if error.chain().any(full) {
        return exit::FAILED;
    }
    let bad_input = error.chain().any(|e| {
        e.is::<contract::SpecError>()
            || e.is::<contract::seal::SealError>()
            || e.is::<contract::scores::ScoresError>()
            || e.is::<contract::frames::FramesError>()
            || e.is::<contract::ManifestError>()
            || e.is::<contract::ScenarioError>()
            || e.is::<link::LinkError>()
            || e.is::<link::TraceError>()
            || e.is::<video::Error>()
            || e.is::<toml::de::Error>()
            || e.is::<freezeframe::BadInput>()
    });
    if bad_input { exit::BAD_INPUT } else { exit::FAILED }
}
