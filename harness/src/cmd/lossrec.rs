//! `freezeframe lossrec`: the program `freezeframe-lossrec` beside this one, which has the networks.

use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use contract::exit;
use std::ffi::OsString;
use std::process::Command;

const PROGRAM: &str = "freezeframe-lossrec";

/// Neural loss recovery: what it gains on finished runs, the original's evaluation, frame masks, training data
#[derive(ClapArgs, Debug)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Its subcommand and options; `freezeframe lossrec --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<OsString>,
}

/// Runs the program.
///
/// # Errors
/// When it is not there.
pub fn run(args: &Args) -> Result<i32> {
    let program = std::env::current_exe().context("failed to find this program's own path")?;
    let program = program.with_file_name(PROGRAM);
    let status = Command::new(&program)
        .args(&args.rest)
        .status()
        .with_context(|| format!("failed to start {} (`./just build` makes it)", program.display()))?;
    Ok(status.code().unwrap_or(exit::FAILED))
}
