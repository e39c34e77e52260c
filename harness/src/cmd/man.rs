//! `freezeframe man` and `freezeframe completions`: made from the same words as `--help`.

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, Command};
use contract::exit;
use std::path::PathBuf;

/// Print the completions of a shell
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  freezeframe completions bash > ~/.local/share/bash-completion/completions/freezeframe
  freezeframe completions zsh > \"${fpath[1]}/_freezeframe\"
  freezeframe completions fish > ~/.config/fish/completions/freezeframe.fish")]
pub struct Completions {
    /// Which shell
    pub shell: clap_complete::Shell,
}

/// Write the manual pages, one per command, into a folder
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  freezeframe man ~/.local/share/man/man1")]
pub struct Man {
    /// The folder; made if need be
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Runs `completions` for the whole tool.
///
/// # Errors
/// Never.
pub fn completions(args: &Completions, tool: &mut Command) -> Result<i32> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, tool, "freezeframe", &mut text);
    print!("{}", String::from_utf8(text)?);
    Ok(exit::OK)
}

/// Runs `man` for the whole tool.
///
/// # Errors
/// When the folder cannot be written.
pub fn man(args: &Man, tool: Command) -> Result<i32> {
    std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(tool, &args.dir))
        .with_context(|| format!("failed to write into {}", args.dir.display()))?;
    Ok(exit::OK)
}
