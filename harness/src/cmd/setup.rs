//! `freezeframe setup webrtc`: which programs of others the adapters need, what for, and how to get them.

use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use contract::exit;
use std::path::{Path, PathBuf};

/// Say which programs of others are needed, what for, and how to get them; installs nothing
#[derive(ClapArgs, Debug)]
pub struct Args {
    /// For what
    #[arg(value_enum)]
    pub what: What,
}

/// What programs can be needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Chromium and web apps as systems under test
    Webrtc,
}

/// A program of others.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// What it is called.
    pub name: &'static str,
    /// Debian's and Ubuntu's package.
    pub package: &'static str,
    /// What is impossible without it.
    pub why: &'static str,
    /// Where it lies, or its name on the `PATH`; one is enough.
    places: &'static [&'static str],
}

/// What adapters/chromium and adapters/webapp need.
pub const WEBRTC: [Need; 3] = [
    Need {
        name: "Chromium",
        package: "chromium",
        why: "adapters/chromium, adapters/webapp and `freezeframe app`: the browser at either end",
        places: &[
            "/usr/lib/chromium/chromium",
            "/usr/lib/chromium-browser/chromium-browser",
            "/opt/google/chrome/chrome",
            "/snap/chromium/current/usr/lib/chromium-browser/chrome",
        ],
    },
    Need {
        name: "Xvfb",
        package: "xvfb",
        why: "screen = \"x11\": the receiver's screen, whose frame buffer the harness reads",
        places: &["Xvfb"],
    },
    Need {
        name: "Python",
        package: "python3",
        why: "the adapters' drivers (3.11 or newer, its standard library alone)",
        places: &["python3"],
    },
];

impl Need {
    /// Where it was found.
    #[must_use]
    pub fn find(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_the_path =
            |name: &&str| std::env::split_paths(&path).map(|f| f.join(name)).find(|p| p.is_file());
        let set = std::env::var_os("CHROMIUM")
            .map(PathBuf::from)
            .filter(|p| self.package == "chromium" && p.is_file());
        set.or_else(|| {
            self.places.iter().find_map(|place| match place.contains('/') {
                true => Some(PathBuf::from(place)).filter(|p| Path::is_file(p)),
                false => on_the_path(place),
            })
        })
    }
}

/// The command that gets what is missing.
#[must_use]
pub fn command(missing: &[&Need]) -> String {
    let packages: Vec<&str> = missing.iter().map(|n| n.package).collect();
    format!("sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Runs the subcommand.
///
/// # Errors
/// Never.
pub fn run(args: &Args) -> Result<i32> {
    let What::Webrtc = args.what;
    let mut missing = Vec::new();
    for need in &WEBRTC {
        match need.find() {
            Some(place) => println!("ok       {:8}  {}", need.name, place.display()),
            None => {
                println!("missing  {:8}  for {}", need.name, need.why);
                missing.push(need);
            }
        }
    }
    if missing.is_empty() {
        println!(
            "\nAll there. Try: freezeframe run clean --system adapters/chromium/chromium-vp8.toml --backend namespaces"
        );
        return Ok(exit::OK);
    }
    println!("\n{}", command(&missing));
    Ok(exit::UNAVAILABLE)
}
