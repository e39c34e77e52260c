//! `freezeframe link` and nothing else: what plug-ins have of this project in their sandbox (docs/PLUGIN.md).

use clap::{Parser, Subcommand};
use contract::exit;
use freezeframe::cmd::link;
use std::process::ExitCode;

/// The path of a run in virtual time, for programs that simulate its ends
#[derive(Parser)]
#[command(name = "freezeframe-link", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Link(Box<link::Args>),
}

fn main() -> ExitCode {
    let Command::Link(args) = Cli::parse().command;
    let code = link::run(&args).unwrap_or_else(|error| {
        eprintln!("freezeframe-link: {}", contract::text::lines(&contract::said(&*error)));
        let bad_input = error.chain().any(|e| {
            e.is::<freezeframe::BadInput>()
                || e.is::<contract::SpecError>()
                || e.is::<contract::ScenarioError>()
                || e.is::<::link::LinkError>()
                || e.is::<::link::TraceError>()
        });
        if bad_input { exit::BAD_INPUT } else { exit::FAILED }
    });
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
