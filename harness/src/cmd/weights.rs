//! `freezeframe weights`: which files from outside are needed, where they were looked for, and how to get them.

use crate::networks;
use anyhow::{Context as _, Result, bail};
use clap::Args as ClapArgs;
use codecs::networks::Ask;
use contract::exit;
use metrics::lpips::Net;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// List the weight files that the tool can use: found or not, origin, licence, checksum; fetch or convert them
#[derive(ClapArgs, Debug)]
#[command(after_help = "\
Examples:
  freezeframe weights                       what there is and what is missing
  freezeframe weights --fetch               fetch what is missing from its official place, and convert it
  freezeframe weights --fetch lpips_vgg_v0.1.safetensors
  freezeframe weights --convert vgg16-397923af.pth vgg.pth --net vgg

Files are looked for in $FREEZEFRAME_WEIGHTS, weights/ and ../shared/weights, and in freezeframe/weights of the data folders
(PREFIX/share for a program in PREFIX/bin, $XDG_DATA_HOME, $XDG_DATA_DIRS), each directly or one folder down.")]
pub struct Args {
    /// Fetch what is missing (or this file), with curl
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub fetch: Option<String>,
    /// Make a weight file from torchvision's backbone and the LPIPS heads as published (.pth)
    #[arg(long, num_args = 2, value_names = ["BACKBONE", "HEADS"], requires = "net")]
    pub convert: Vec<PathBuf>,
    /// Which net --convert makes: vgg, alex or squeeze
    #[arg(long, value_name = "NET")]
    pub net: Option<String>,
    /// Where fetched and converted files go
    #[arg(long, value_name = "DIR", default_value = "weights")]
    pub into: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    artifact: Vec<Artifact>,
}

/// One file from outside.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Artifact {
    name: String,
    needed_by: String,
    licence: String,
    origin: String,
    sha256: Option<String>,
    /// For an LPIPS file: which net its sources convert to.
    net: Option<String>,
    sources: Vec<Download>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Download {
    url: String,
    /// Of the whole file. (torchvision's names end with its beginning.)
    sha256: String,
}

fn list() -> List {
    toml::from_str(include_str!("../../artifacts.toml"))
        .expect("the embedded list is well formed; a test reads it")
}

/// A weight file that is nowhere.
#[derive(Debug, thiserror::Error)]
#[error("weights {name} not found in {}; `freezeframe weights` says where they come from", .looked.join(", "))]
pub struct Absent {
    name: String,
    looked: Vec<String>,
}

/// Where weight files may lie, first place first.
#[must_use]
pub fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the source tree");
    let mut all: Vec<PathBuf> =
        std::env::var_os("FREEZEFRAME_WEIGHTS").map(PathBuf::from).into_iter().collect();
    all.extend(["weights", "../shared/weights"].map(PathBuf::from));
    let mut installed = contract::data::folders().into_iter().map(|f| f.join("weights"));
    all.extend(installed.next());
    // The same two of the source tree, for a tool that is started from elsewhere.
    all.extend(["weights", "../shared/weights"].map(|f| root.join(f)));
    all.extend(installed);
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|f| seen.insert(f.canonicalize().unwrap_or_else(|_| f.clone())));
    all
}

/// Finds a weight file by name in [`folders`], directly or one folder down.
///
/// # Errors
/// [`Absent`], naming every place.
pub fn find(name: &str) -> Result<PathBuf, Absent> {
    let folders = folders();
    for folder in &folders {
        let mut places = vec![folder.clone()];
        let mut below: Vec<PathBuf> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.is_dir())
            .collect();
        below.sort();
        places.extend(below);
        if let Some(found) = places.into_iter().map(|p| p.join(name)).find(|p| p.is_file()) {
            return Ok(found);
        }
    }
    Err(Absent { name: name.into(), looked: folders.iter().map(|f| f.display().to_string()).collect() })
}

/// Lists, fetches or converts.
///
/// # Errors
/// A file that cannot be read or written.
pub fn run(args: &Args) -> Result<i32> {
    if let [backbone, heads] = args.convert.as_slice() {
        let net = args.net.as_deref().unwrap_or_default();
        return match convert(net, backbone, heads, &args.into) {
            Ok(path) => {
                println!("wrote {}", path.display());
                Ok(exit::OK)
            }
            Err(error) => {
                eprintln!("freezeframe weights: {}", contract::said(&*error));
                Ok(exit::BAD_INPUT)
            }
        };
    }
    match &args.fetch {
        Some(name) => fetch(args, name),
        None => show(args),
    }
}

fn show(args: &Args) -> Result<i32> {
    let mut rows = Vec::new();
    for artifact in list().artifact {
        let found = find(&artifact.name);
        let checksum = match &found {
            Ok(path) => Some(sha256(path)?),
            Err(_) => None,
        };
        let verdict = match (&artifact.sha256, &checksum) {
            (_, None) => "missing",
            (Some(known), Some(ours)) if known == ours => "as shipped",
            (Some(_), Some(_)) => "another file than the known one (converted here?)",
            (None, Some(_)) => "found",
        };
        if args.json {
            rows.push(serde_json::json!({
                "name": artifact.name, "needed_by": artifact.needed_by, "status": verdict,
                "path": found.as_ref().ok().map(|p| p.display().to_string()),
                "sha256": checksum, "known_sha256": artifact.sha256,
                "licence": artifact.licence, "origin": artifact.origin,
                "sources": artifact.sources.iter().map(|s| &s.url).collect::<Vec<_>>(),
                "looked_in": folders().iter().map(|f| f.display().to_string()).collect::<Vec<_>>(),
            }));
            continue;
        }
        println!("{}  {verdict}", artifact.name);
        println!("  for      {}", artifact.needed_by);
        match (&found, &checksum) {
            (Ok(path), Some(sum)) => println!("  file     {}\n  sha256   {sum}", path.display()),
            _ => {
                println!(
                    "  looked   {}",
                    folders().iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
                );
                for source in &artifact.sources {
                    println!("  from     {} (sha256 {})", source.url, source.sha256);
                }
                if artifact.net.is_some() {
                    println!("  get      freezeframe weights --fetch {}", artifact.name);
                }
            }
        }
        println!("  origin   {}\n  licence  {}\n", artifact.origin, artifact.licence);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        // A program, not a file, but looked for in the same place.
        match super::compare::vmaf::Program::find() {
            Ok(program) => {
                println!("vmaf  found\n  for      freezeframe compare --metrics vmaf\n  program  {program}");
            }
            Err(reason) => {
                println!("vmaf  missing\n  for      freezeframe compare --metrics vmaf\n  get      {reason}");
            }
        }
    }
    Ok(exit::OK)
}

fn fetch(args: &Args, name: &str) -> Result<i32> {
    let list = list();
    let wanted: Vec<&Artifact> = list
        .artifact
        .iter()
        // Without a name: what can be fetched by itself.
        .filter(|a| if name.is_empty() { a.net.is_some() && find(&a.name).is_err() } else { a.name == name })
        .collect();
    if wanted.is_empty() && !name.is_empty() {
        let known: Vec<&str> = list.artifact.iter().map(|a| a.name.as_str()).collect();
        eprintln!("freezeframe weights: no file is called {name}; known: {}", known.join(", "));
        return Ok(exit::BAD_INPUT);
    }
    let mut failed = false;
    for artifact in wanted {
        match fetch_one(args, artifact) {
            Ok(path) => println!("wrote {}", path.display()),
            Err(error) => {
                failed = true;
                eprintln!("freezeframe weights: {}: {}", artifact.name, contract::said(&*error));
            }
        }
    }
    Ok(if failed { exit::UNAVAILABLE } else { exit::OK })
}

fn fetch_one(args: &Args, artifact: &Artifact) -> Result<PathBuf> {
    let (Some(net), [backbone, heads]) = (&artifact.net, artifact.sources.as_slice()) else {
        bail!("cannot be fetched automatically; see {}", artifact.origin);
    };
    std::fs::create_dir_all(&args.into).with_context(|| format!("failed to make {}", args.into.display()))?;
    let mut files = Vec::new();
    for source in [backbone, heads] {
        let file = args.into.join(source.url.rsplit('/').next().unwrap_or("download"));
        let status = std::process::Command::new("curl")
            .args(["--fail", "--location", "--silent", "--show-error", "--connect-timeout", "15", "--output"])
            .args([file.as_os_str(), source.url.as_ref()])
            .status()
            .context("failed to start curl")?;
        if !status.success() {
            bail!("failed to fetch {} (curl: {status}); fetch it elsewhere and use --convert", source.url);
        }
        let sum = sha256(&file)?;
        if sum != source.sha256 {
            std::fs::remove_file(&file).ok();
            bail!("{} has sha256 {sum}, expected {}; removed", source.url, source.sha256);
        }
        files.push(file);
    }
    let made = convert(net, &files[0], &files[1], &args.into)?;
    for file in files {
        std::fs::remove_file(file).ok();
    }
    Ok(made)
}

/// Converts torchvision's backbone and the heads into `lpips_<net>_v0.1.safetensors` in `folder`.
///
/// # Errors
/// An unknown net; files that do not make it up.
fn convert(net: &str, backbone: &Path, heads: &Path, folder: &Path) -> Result<PathBuf> {
    let Some(net) = Net::ALL.into_iter().find(|n| n.metric() == format!("lpips_{net}")) else {
        bail!("unknown net \"{net}\"; known: vgg, alex, squeeze");
    };
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let to = std::path::absolute(folder.join(net.file()))?;
    let (metric, backbone, heads) = (net.metric().to_owned(), backbone.to_owned(), heads.to_owned());
    let shared = networks::shared()?;
    let mut networks = shared.lock().unwrap_or_else(PoisonError::into_inner);
    networks.ask(&Ask::ConvertLpips { metric, backbone, heads, to: to.clone() }, &[])?;
    Ok(folder.join(net.file()))
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_embedded_list_is_whole() {
        let list = super::list();
        for net in metrics::lpips::Net::ALL {
            assert!(list.artifact.iter().any(|a| a.name == net.file()), "{}", net.file());
        }
        for source in list.artifact.iter().flat_map(|a| &a.sources) {
            let whole = source.sha256.len() == 64 && source.sha256.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(whole, "{}", source.url);
            // torchvision's `NAME-XXXXXXXX.pth` has the first eight digits.
            let name = source.url.rsplit('/').next().unwrap_or_default();
            if let Some((_, begin)) = name.trim_end_matches(".pth").rsplit_once('-') {
                assert!(source.sha256.starts_with(begin), "{name}");
            }
        }
    }

    #[test]
    fn an_absent_file_names_every_place() {
        let error = super::find("no-such-weights").unwrap_err().to_string();
        assert!(error.contains("weights") && error.contains("no-such-weights"), "{error}");
    }
}
