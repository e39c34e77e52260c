//! `freezeframe system`: for whoever brings a system of their own.

mod check;
mod rules;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use contract::{exit, schema};

/// Check a system of your own against the contract, or print the contract's schemas
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    Check(check::Args),
    Schema(SchemaArgs),
}

/// Print the JSON schema (2020-12) of one of the contract's files
#[derive(clap::Args, Debug)]
struct SchemaArgs {
    /// Which
    of: Schema,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Schema {
    /// A system's manifest
    Manifest,
    /// A run's spec.toml
    Spec,
    /// One line of a file of events
    Event,
    /// One line of the control channel, standard input and output
    Line,
}

/// Runs the subcommand.
///
/// # Errors
/// When there is no such manifest, or this machine cannot run it at all.
pub fn run(args: &Args) -> Result<i32> {
    match &args.what {
        What::Check(args) => check::run(args),
        What::Schema(args) => {
            print!(
                "{}",
                match args.of {
                    Schema::Manifest => schema::MANIFEST,
                    Schema::Spec => schema::SPEC,
                    Schema::Event => schema::EVENT,
                    Schema::Line => schema::LINE,
                }
            );
            Ok(exit::OK)
        }
    }
}
