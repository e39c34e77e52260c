//! What a system may see: the sandbox of each of its processes, from its manifest and the run.
//!
//! | process | sees, besides the machine's own programs and its own |
//! |---|---|
//! | `describe` | nothing |
//! | `send`, `simulate` | the clip, its own run folder (to write) |
//! | `receive` | its own run folder (to write); neither the clip nor a copy of it |
//!
//! The systems of this project also see their weights, and their senders the cache of encoded streams.

use super::clip::cache_dir;
use anyhow::{Context, Result};
use contract::{Limits, Manifest, RunSpec};
use netns::sandbox::{Place, Sandbox, Support, System, TreeLimits};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Which of a system's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `describe`
    Describe,
    /// `simulate`
    Simulate,
    /// `send`
    Send,
    /// `receive`
    Receive,
}

impl Part {
    fn sees_the_clip(self) -> bool {
        matches!(self, Part::Simulate | Part::Send)
    }
}

/// What a process runs in.
#[derive(Debug)]
pub struct Surroundings {
    /// None: this machine has no namespaces to offer.
    pub sandbox: Option<Sandbox>,
    /// What it may use up.
    pub limits: Limits,
    /// Its own run folder.
    pub run_folder: Option<PathBuf>,
    /// On which its root is built.
    _staging: TempDir,
}

/// A run, as far as what may be seen of it matters.
#[derive(Clone, Copy, Debug)]
pub struct RunPlaces<'a> {
    /// The run.
    pub spec: &'a RunSpec,
    /// The folder of this process.
    pub own: &'a Path,
    /// Where the run directory is being made, and where it will be.
    pub hidden: [&'a Path; 2],
}

/// How much of the isolation there is here, for `health.json` and for people.
#[must_use]
pub fn isolation() -> String {
    match netns::sandbox::support() {
        Support::Full => "own mounts, processes, IPC and network; no capabilities; limits".to_owned(),
        Support::None(why) => format!(
            "none but limits on time and output: {why}; the system saw the machine's files, the clip among them"
        ),
    }
}

impl Surroundings {
    /// For `part` of the system of `manifest`.
    ///
    /// # Errors
    /// When no folder can be made for it.
    pub fn of(
        manifest: &Manifest,
        part: Part,
        run: Option<RunPlaces<'_>>,
        options: &toml::Table,
    ) -> Result<Self> {
        let staging = tempfile::tempdir().context("failed to make a folder for a sandbox")?;
        let cwd = std::env::current_dir().context("failed to find the working directory")?;
        let limits = manifest.limits.clone();
        let sandbox = (*netns::sandbox::support() == Support::Full).then(|| Sandbox {
            places: places(manifest, part, run, options, &cwd),
            staging: staging.path().to_owned(),
            cwd: cwd.clone(),
            limits: TreeLimits {
                memory: (limits.memory_mb << 20).min(three_quarters_of_the_memory()),
                processes: limits.processes,
                open_files: limits.open_files,
                file: limits.disk_mb << 20,
                tmp: limits.tmp_mb << 20,
            },
        });
        Ok(Self { sandbox, limits, run_folder: run.map(|r| r.own.to_owned()), _staging: staging })
    }
}

fn three_quarters_of_the_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        text.lines().find_map(|l| l.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse::<u64>().ok());
    total.map_or(u64::MAX, |kib| kib / 4 * 3 * 1024)
}

fn places(
    manifest: &Manifest,
    part: Part,
    run: Option<RunPlaces<'_>>,
    options: &toml::Table,
    cwd: &Path,
) -> Vec<Place> {
    let mut shown: BTreeSet<PathBuf> = BTreeSet::new();
    for path in own_files(manifest, cwd) {
        shown.insert(path);
    }
    let read = manifest.read.iter().map(|p| manifest.folder.as_deref().unwrap_or(cwd).join(p));
    shown.extend(read.chain(manifest.files.iter().cloned()).filter(|p| p.exists()));
    let mut places = Vec::new();
    if let Some(run) = run {
        let scenario = &run.spec.scenario;
        let traces =
            [&scenario.forward, &scenario.reverse].into_iter().filter_map(|l| l.trace.as_ref()?.file.clone());
        shown.extend(traces.filter(|t| t.is_absolute()));
    }
    // Weights and the like that the user named.
    if manifest.is_shipped() {
        let named = options.values().filter_map(|v| v.as_str()).filter(|v| !v.is_empty());
        shown.extend(named.map(|v| cwd.join(v)).filter(|p| p.exists()));
    }
    let clip: Vec<PathBuf> = run.map_or(Vec::new(), |r| {
        [Some(r.spec.clip.rgb.clone()), r.spec.clip.depth.clone()].into_iter().flatten().collect()
    });
    let cache = cache_dir().ok();
    // What a broad folder (the one where everything lies) would show besides the program.
    for folder in shown.iter().filter(|f| f.is_dir()) {
        if let Some(run) = run {
            for path in run.hidden {
                places.extend(first_below(folder, path).map(Place::Hide));
            }
        }
        if !part.sees_the_clip() {
            places.extend(copies(folder, &clip).into_iter().map(Place::Hide));
        }
    }
    if part.sees_the_clip() {
        shown.extend(clip);
    } else {
        places.extend(clip.into_iter().map(Place::Hide));
    }
    if let Some(cache) = cache {
        // `describe` remembers the hashes of libraries and weights there.
        let wanted = run.is_none_or(|r| part.sees_the_clip() && r.spec.cache.is_some());
        let trusted = manifest.is_shipped() && wanted;
        if trusted {
            let _ = fs::create_dir_all(&cache);
            places.push(Place::Write(cache));
        } else {
            // The libraries of this project may lie below it.
            places.push(Place::Hide(cache));
        }
    }
    if let Some(run) = run {
        places.push(Place::Write(run.own.to_owned()));
    }
    places.extend(shown.into_iter().map(Place::Read));
    places
}

/// The program and what it needs to start: the folder of its manifest, its own, those of its arguments, libraries from other places,
/// and what the environment's search paths name.
fn own_files(manifest: &Manifest, cwd: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut add = |path: PathBuf| {
        if !System::holds(&path) && path.exists() {
            found.push(path);
        }
    };
    if let Some(folder) = &manifest.folder {
        folder_or_nothing(folder).into_iter().for_each(&mut add);
    }
    for (i, word) in manifest.command.iter().enumerate() {
        let program = if i > 0 {
            Some(cwd.join(word)).filter(|p| p.exists())
        } else if word == "{sut}" {
            std::env::current_exe().ok()
        } else if word.contains('/') {
            Some(cwd.join(word))
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|p| p.join(word)).find(|p| p.is_file())
        };
        let Some(program) = program.filter(|p| !p.as_os_str().is_empty()) else { continue };
        for path in [Some(program.clone()), program.canonicalize().ok()].into_iter().flatten() {
            if path.is_dir() {
                folder_or_nothing(&path).into_iter().for_each(&mut add);
                continue;
            }
            let parent = path.parent().unwrap_or(Path::new("/"));
            // A program in `bin` belongs to the folder above: a Python environment, a tool's own tree.
            let home = if parent.ends_with("bin") { parent.parent().unwrap_or(parent) } else { parent };
            add(tool_of_the_user(&path).or_else(|| folder_or_nothing(home)).unwrap_or(path));
        }
    }
    std::env::current_exe().into_iter().for_each(&mut add);
    // A test's program is one folder deeper than `sut`.
    if manifest.is_shipped() {
        let me = std::env::current_exe().ok();
        for name in ["sut", codecs::networks::PROGRAM] {
            me.as_ref()
                .and_then(|m| m.parent()?.parent().map(|p| p.join(name)))
                .into_iter()
                .for_each(&mut add);
        }
        // libtorch, which `sut-neural` was linked with and this program was not.
        add(PathBuf::from(env!("FREEZEFRAME_LIBTORCH")));
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for path in ["weights", "sut/models"] {
            tree.join(path).canonicalize().into_iter().for_each(&mut add);
        }
    }
    let folders = |name: &str| {
        let value = std::env::var_os(name).unwrap_or_default();
        std::env::split_paths(&value).map(|p| cwd.join(p)).filter(|p| p.is_dir()).collect::<Vec<_>>()
    };
    for name in
        ["LD_LIBRARY_PATH", "PYTHONPATH", "NODE_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "FREEZEFRAME_WEIGHTS"]
    {
        folders(name).into_iter().filter_map(|f| folder_or_nothing(&f)).for_each(&mut add);
    }
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        add(home.join(".local/lib"));
    }
    // The systems of this project load the libraries that the harness has loaded.
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let libraries =
        maps.lines().filter_map(|l| l.split_ascii_whitespace().nth(5)).filter(|p| p.contains(".so"));
    for folder in libraries.filter_map(|l| Path::new(l).parent()).collect::<BTreeSet<_>>() {
        add(folder.to_owned());
    }
    found
}

/// Where a user's own tool lies whole: `~/.pyenv` for what is somewhere below it.
fn tool_of_the_user(program: &Path) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    let first = program.strip_prefix(&home).ok()?.components().next()?;
    let name = first.as_os_str().to_string_lossy().into_owned();
    let private = [".cache", ".config", ".ssh", ".gnupg", ".aws", ".local", ".mozilla"];
    (name.starts_with('.') && !private.contains(&name.as_str())).then(|| home.join(first))
}

/// A folder that may be shown whole, unless it is one in which everything of a machine or a user lies.
fn folder_or_nothing(folder: &Path) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let broad = [
        "/", "/tmp", "/var", "/var/tmp", "/home", "/root", "/run", "/mnt", "/media", "/srv", "/dev",
        "/dev/shm", "/proc",
    ];
    let is_broad = broad.iter().any(|b| folder == Path::new(b)) || home.as_deref() == Some(folder);
    (!is_broad).then(|| folder.to_owned())
}

/// What of `folder` leads to `path`: its first part below it.
fn first_below(folder: &Path, path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let folder = folder.canonicalize().ok()?;
    let parent = path.parent()?.canonicalize().ok()?;
    let below = parent.join(path.file_name()?);
    let first = below.strip_prefix(&folder).ok()?.components().next()?;
    Some(folder.join(first))
}

/// Files below `folder` with the content of one of `originals`. At most some thousand files are looked at.
fn copies(folder: &Path, originals: &[PathBuf]) -> Vec<PathBuf> {
    let sizes: BTreeSet<u64> = originals
        .iter()
        .filter_map(|o| fs::metadata(o).ok())
        .filter(fs::Metadata::is_file)
        .map(|m| m.len())
        .collect();
    let (mut found, mut folders, mut looked_at) = (Vec::new(), vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            looked_at += 1;
            let Ok(kind) = entry.file_type() else { continue };
            if looked_at > 20_000 {
                return found;
            }
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file()
                && entry.metadata().is_ok_and(|m| sizes.contains(&m.len()))
                && originals.iter().any(|o| same_content(o, &entry.path()))
            {
                found.push(entry.path());
            }
        }
    }
    found
}

fn same_content(a: &Path, b: &Path) -> bool {
    use std::io::Read;
    let compare = || -> std::io::Result<bool> {
        let (mut a, mut b) = (fs::File::open(a)?, fs::File::open(b)?);
        let (mut of_a, mut of_b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            let n = a.read(&mut of_a)?;
            if n == 0 {
                return Ok(b.read(&mut of_b)? == 0);
            }
            b.read_exact(&mut of_b[..n])?;
            if of_a[..n] != of_b[..n] {
                return Ok(false);
            }
        }
    };
    compare().unwrap_or(false)
}
