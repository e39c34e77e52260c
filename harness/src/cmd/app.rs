//! `freezeframe app`: a WebRTC page of the user's, run and scored as it is.

use super::metric_args::MetricArgs;
use super::run::{self, BackendArg, ClipArgs, ShaperArg};
use crate::bad_input;
use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use contract::Name;
use std::fs;
use std::path::{Path, PathBuf};

/// Evaluate a web page that makes a WebRTC call: two Chromium open it, the harness is camera and screen
///
/// Writes a folder with a manifest that can be edited and given to `run` and `sweep` like any other.
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Example:
  freezeframe app http://127.0.0.1:8080 --serve \"python3 server.py 8080\" \\
      --caller '/?role=caller' --callee '/?role=callee' --scenario ge-medium")]
pub struct Args {
    /// Where your server serves your page, as it sees itself: http://127.0.0.1:PORT
    pub url: String,
    /// Command that starts your server; it gets a network of its own, which both ends reach under this URL
    #[arg(long, value_name = "COMMAND")]
    pub serve: String,
    /// Page of the end that sends, relative to the URL
    #[arg(long, value_name = "PATH", default_value = "")]
    pub caller: String,
    /// Page of the end that receives, relative to the URL
    #[arg(long, value_name = "PATH", default_value = "")]
    pub callee: String,
    /// Scenario: a name (`freezeframe list`) or a TOML file
    #[arg(long, default_value = "clean")]
    pub scenario: String,
    /// Name of the system in tables
    #[arg(long, default_value = "webapp")]
    pub name: Name,
    /// Folder for manifest and driver; default: NAME.app
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Click here once the page is there: CSS selectors as caller_click=SELECTOR, callee_click=SELECTOR; wait_s=SECONDS between the pages
    #[arg(long = "option", short = 'o', value_name = "KEY=VALUE")]
    pub options: Vec<String>,
    /// The clip that the camera films
    #[command(flatten)]
    pub clip: ClipArgs,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Run directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Which metrics the run is scored with
    #[command(flatten)]
    pub metrics: MetricArgs,
    /// Print the scores as JSON
    #[arg(long)]
    pub json: bool,
}

/// The driver, which is of the project's adapters.
const FILES: [(&str, &str); 3] = [
    ("driver.py", include_str!("../../../adapters/webapp/driver.py")),
    ("browser.py", include_str!("../../../adapters/browser.py")),
    ("inject.js", include_str!("../../../adapters/inject.js")),
];

/// Runs the subcommand.
///
/// # Errors
/// As `run`; and when the URL is of no server of this machine.
pub fn run(args: &Args) -> Result<i32> {
    let port = port_of(&args.url)?;
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(format!("{}.app", args.name)));
    let manifest = write(&folder, args, port)?;
    eprintln!(
        "manifest: {} (the same again: freezeframe run SCENARIO --system {0} --backend namespaces)",
        manifest.display()
    );
    run::run(&run::Args {
        scenario: args.scenario.clone(),
        system: manifest.to_string_lossy().into_owned(),
        clip: args.clip.clone(),
        backend: BackendArg::Namespaces,
        shaper: ShaperArg::Auto,
        seed: args.seed,
        options: args.options.clone(),
        costs: contract::costs::IDEAL.into(),
        transport: None,
        out: args.out.clone(),
        metrics: args.metrics.clone(),
        no_score: false,
        no_cache: false,
        video: false,
        no_video: false,
        json: args.json,
    })
}

/// Writes the folder; gives the manifest's path.
fn write(folder: &Path, args: &Args, port: u16) -> Result<PathBuf> {
    let Some(serve) = shlex::split(&args.serve).filter(|words| !words.is_empty()) else {
        bad_input!("--serve {:?} is no command", args.serve);
    };
    // Files are named from where the user is; the manifest's folder is another.
    let absolute = |word: &String| -> Result<String> {
        match Path::new(word).is_file() {
            true => Ok(std::path::absolute(word)?.to_string_lossy().into_owned()),
            false => Ok(word.clone()),
        }
    };
    let mut words = vec![serve[0].clone()];
    if serve[0].contains('/') {
        words[0] = absolute(&serve[0])?;
    }
    for word in &serve[1..] {
        words.push(absolute(word)?);
    }
    // A page's server reads what lies beside it: a change of that is another app.
    let beside: Vec<String> =
        words.iter().filter(|w| Path::new(w).is_absolute() && Path::new(w).is_file()).cloned().collect();
    let mut table = toml::Table::new();
    let list = |words: &[String]| toml::Value::from(words.to_vec());
    table.insert("name".into(), args.name.to_string().into());
    table.insert("about".into(), format!("{} in two Chromium, served by `{}`", args.url, args.serve).into());
    let command = ["python3", "driver.py", &args.url, &args.caller, &args.callee].map(str::to_owned);
    table.insert("command".into(), list(&command));
    table.insert("kind".into(), "app".into());
    table.insert("describe".into(), true.into());
    // The driver passes the page's session descriptions on.
    table.insert("wire".into(), "rtp".into());
    table.insert("playout".into(), "adaptive".into());
    table.insert("screen".into(), "x11".into());
    table.insert("serve".into(), list(&words));
    table.insert("serve_port".into(), i64::from(port).into());
    let files: Vec<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).chain(beside).collect();
    table.insert("files".into(), list(&files));
    let mut limits = toml::Table::new();
    limits.insert("processes".into(), 2048.into());
    table.insert("limits".into(), limits.into());
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    for (name, content) in FILES {
        let path = folder.join(name);
        crate::output::put(&path, content)?;
    }
    let path = folder.join("app.toml");
    crate::output::put(&path, toml::to_string_pretty(&table)?)?;
    Ok(path)
}

/// The port of a URL of this machine's.
fn port_of(url: &str) -> Result<u16> {
    let Some(rest) = url.strip_prefix("http://") else {
        bad_input!("{url}: http://127.0.0.1:PORT is wanted, the address at which your own server listens");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    if !["127.0.0.1", "localhost"].contains(&host) {
        bad_input!(
            "{url}: in a run nothing but the two ends and your server can be reached, and that as 127.0.0.1; serve the page yourself \
             (--serve) and write http://127.0.0.1:{port}"
        );
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => bad_input!("{url}: {port:?} is no port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Manifest;

    #[test]
    fn only_a_server_of_ones_own_can_be_reached() {
        assert_eq!(port_of("http://127.0.0.1:8080/x?y#z").unwrap(), 8080);
        assert_eq!(port_of("http://localhost").unwrap(), 80);
        for (url, word) in [
            ("https://meet.example/x", "--serve"),
            ("http://meet.example:81/", "--serve"),
            ("http://127.0.0.1:x", "no port"),
        ] {
            let said = port_of(url).unwrap_err().to_string();
            assert!(said.contains(word) || said.contains("your own server"), "{said}");
        }
    }

    #[test]
    fn the_folder_holds_a_manifest_that_is_understood_whatever_the_words() {
        let place = tempfile::tempdir().unwrap();
        let server = place.path().join("a server.py");
        fs::write(&server, "").unwrap();
        let serve = shlex::try_join(["python3", server.to_str().unwrap(), "8080"]).unwrap();
        let caller = "/?q=\"x\"&role=caller";
        let words = [
            "app",
            "http://127.0.0.1:8080",
            "--serve",
            &serve,
            "--caller",
            caller,
            "--callee",
            "/?role=callee",
        ];
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let args = <Cli as clap::Parser>::parse_from(words).args;
        let path = write(&place.path().join("made"), &args, 8080).unwrap();
        let manifest = Manifest::find(path.to_str().unwrap()).unwrap();
        assert!(manifest.is_app() && !manifest.simulate);
        assert_eq!(manifest.serve, ["python3", server.to_str().unwrap(), "8080"]);
        assert_eq!(manifest.command[3], caller);
        assert!(manifest.files.iter().all(|f| f.is_file()), "{:?}", manifest.files);
    }
}
