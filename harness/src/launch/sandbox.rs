//! What a system may see: the sandbox of each of its processes, from its manifest and the run.
//!
//! | process | sees, besides the machine's own programs and its own |
//! |---|---|
//! | `describe` | nothing |
//! | `simulate` | the clip, its own run folder (to write), the program `freezeframe-link` |
//! | `send` | the clip, its own run folder (to write) |
//! | the server of an app | nothing |
//! | `receive` | its own run folder (to write); neither the clip nor a copy of it |
//!
//! The camera of an app's sender is the harness's: it sees no clip, as the receiver.
//!
//! In virtual time the systems of this project are run outside of it ([`super::worker`]) unless they have networks.
//!
//! A plug-in does not see this tool, which can make clips, and runs as a user of its own. The systems of this project are trusted:
//! they also see their weights, and their senders the cache of encoded streams.

use super::child::{link_program, program_beside, sut_program};
use super::clip::cache_dir;
use super::copies::copies;
use crate::bad_input;
use anyhow::{Context, Result};
use contract::scores::Warning;
use contract::{Limits, Manifest, RunSpec};
use netns::sandbox::{Place, Sandbox, Support, System, TreeLimits, unused_user};
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
    /// The server of an app, beside the path.
    Serve,
}

impl Part {
    fn sees_the_clip(self, manifest: &Manifest) -> bool {
        matches!(self, Part::Simulate | Part::Send) && !manifest.is_app()
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
        Support::Full => {
            let user = if unused_user().is_some() { "plug-ins as users of their own; " } else { "" };
            format!(
                "own mounts, processes, IPC and network; {user}no capabilities; limits; a filter of system calls"
            )
        }
        Support::None(why) => format!(
            "none but limits on time and output: {why}; the system saw the machine's files, the clip among them"
        ),
    }
}

/// The same for a run whose ends saw these places of the machine as one and the same.
#[must_use]
pub fn isolation_but(shared: &[&[PathBuf]; 2]) -> String {
    let both: BTreeSet<String> =
        shared[0].iter().filter(|p| shared[1].contains(p)).map(|p| p.display().to_string()).collect();
    let places = both.into_iter().collect::<Vec<_>>().join(", ");
    let isolation = isolation();
    if places.is_empty() {
        return isolation;
    }
    contract::text::line(&format!(
        "{isolation}; both ends saw one and the same {places}, through whose locks they could signal"
    ))
}

/// What a reader of the results must know where a plug-in was not kept apart from the machine; it stands in `scores.json`, and the
/// plug-in's row has a mark.
#[must_use]
pub fn not_isolated(manifest: &Manifest) -> Option<Warning> {
    let Support::None(why) = netns::sandbox::support() else { return None };
    let text = format!(
        "the system was not kept apart from the machine ({why}): it could see the clip and what others write; run it where namespaces are \
         permitted (`freezeframe doctor`)"
    );
    (!manifest.is_shipped()).then(|| Warning { code: NOT_ISOLATED.to_owned(), text })
}

/// Code of that warning.
pub const NOT_ISOLATED: &str = "not_isolated";

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
        let sandbox = match netns::sandbox::support() {
            Support::None(_) => None,
            Support::Full => Some(Sandbox {
                places: places(manifest, part, run, options, &cwd)?,
                staging: staging.path().to_owned(),
                cwd: cwd.clone(),
                limits: limits_of(&limits),
                // The systems of this project write into the cache.
                user: unused_user().filter(|_| !manifest.is_shipped()),
            }),
        };
        if let (Some(run), Some(user)) = (run, sandbox.as_ref().and_then(|s| s.user)) {
            let spec = run.own.join(contract::spec::FILE_NAME);
            for path in [run.own, &spec] {
                std::os::unix::fs::chown(path, Some(user), Some(user))
                    .with_context(|| format!("failed to give {} to the system's user", path.display()))?;
            }
        }
        Ok(Self { sandbox, limits, run_folder: run.map(|r| r.own.to_owned()), _staging: staging })
    }

    /// For a program of this project that many runs have in common: no sandbox, but its process tree is kept together.
    ///
    /// # Errors
    /// When no folder can be made for it.
    pub fn open(limits: Limits) -> Result<Self> {
        let staging = tempfile::tempdir().context("failed to make a folder for a process")?;
        Ok(Self { sandbox: None, limits, run_folder: None, _staging: staging })
    }

    /// For a program of the machine's that works for the harness and talks to a system: it sees the machine's own programs, and may
    /// write into `folder`.
    ///
    /// # Errors
    /// When no folder can be made for it.
    pub fn of_a_tool(folder: &Path) -> Result<Self> {
        let staging = tempfile::tempdir().context("failed to make a folder for a sandbox")?;
        let limits = Limits::default();
        let sandbox = match netns::sandbox::support() {
            Support::None(_) => None,
            Support::Full => Some(Sandbox {
                places: vec![Place::Write(folder.to_owned())],
                staging: staging.path().to_owned(),
                cwd: PathBuf::from("/"),
                limits: limits_of(&limits),
                user: unused_user(),
            }),
        };
        if let Some(user) = sandbox.as_ref().and_then(|s| s.user) {
            std::os::unix::fs::chown(folder, Some(user), Some(user))
                .with_context(|| format!("failed to give {} to a user of its own", folder.display()))?;
        }
        Ok(Self { sandbox, limits, run_folder: None, _staging: staging })
    }
}

fn limits_of(limits: &Limits) -> TreeLimits {
    TreeLimits {
        memory: (limits.memory_mb << 20).min(three_quarters_of_the_memory()),
        processes: limits.processes,
        open_files: limits.open_files,
        file: limits.disk_mb << 20,
        tmp: limits.tmp_mb << 20,
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
) -> Result<Vec<Place>> {
    let trusted = manifest.is_shipped();
    // What must not be seen is compared as it really is, however a path was written.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let cache = cache_dir().ok();
    let hidden: Vec<PathBuf> = run.map_or(Vec::new(), |r| r.hidden.map(real_place).into_iter().collect());
    let mut shown = own_files(manifest, part, cwd)?;
    for path in asked_for(manifest, cwd)? {
        let path_real = real(&path);
        let kept_back = hidden.iter().chain(&cache.as_deref().map(&real)).any(|h| path_real.starts_with(h));
        if !kept_back {
            shown.insert(path);
        }
    }
    let mut clip = Vec::new();
    if let Some(run) = run {
        let scenario = &run.spec.scenario;
        let traces =
            [&scenario.forward, &scenario.reverse].into_iter().filter_map(|l| l.trace.as_ref()?.file.clone());
        // The ends of a plug-in are not told what the path will do.
        let path_is_known = trusted || part == Part::Simulate;
        shown.extend(traces.filter(|t| path_is_known && t.is_absolute()));
        clip = [Some(run.spec.clip.rgb.clone()), run.spec.clip.depth.clone()].into_iter().flatten().collect();
    }
    // Weights and the like that the user named.
    if trusted {
        let named = options.values().filter_map(|v| v.as_str()).filter(|v| !v.is_empty());
        shown.extend(named.map(|v| cwd.join(v)).filter(|p| p.exists()));
    }
    let mut places = Vec::new();
    // What a broad folder (the one where everything lies) would show besides the program.
    for folder in shown.iter().filter(|f| f.is_dir()) {
        places.extend(hidden.iter().filter_map(|path| first_below(folder, path)).map(Place::Hide));
    }
    let mut originals = Vec::new();
    if !trusted {
        let networks = program_beside(codecs::networks::PROGRAM).ok();
        let tools = [std::env::current_exe().ok(), sut_program().ok(), networks];
        originals.extend(tools.into_iter().flatten().map(|t| real(&t)));
        // Also where it is installed among the machine's own programs.
        let seen = |path: &PathBuf| System::holds(path) || shown.iter().any(|s| path.starts_with(real(s)));
        places.extend(originals.iter().filter(|o| seen(o)).cloned().map(Place::Hide));
    }
    if run.is_some() && !part.sees_the_clip(manifest) {
        originals.extend(clip.iter().cloned());
        let searched: Vec<PathBuf> = shown.iter().filter(|s| !System::holds(s)).cloned().collect();
        places.extend(copies(&searched, !trusted, &originals)?.into_iter().map(Place::Hide));
    }
    if part.sees_the_clip(manifest) {
        shown.extend(clip);
    } else {
        places.extend(clip.into_iter().map(Place::Hide));
    }
    if let Some(cache) = cache {
        // `describe` remembers the hashes of libraries and weights there.
        let wanted = run.is_none_or(|r| part.sees_the_clip(manifest) && r.spec.cache.is_some());
        if trusted && wanted {
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
    Ok(places)
}

/// Where something is or will be, without links on the way.
fn real_place(path: &Path) -> PathBuf {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = full.ancestors().find_map(|a| Some((a, a.canonicalize().ok()?)));
    known.map_or(full.clone(), |(a, real)| real.join(full.strip_prefix(a).unwrap_or(Path::new(""))))
}

/// What the manifest names, as far as it is there.
fn asked_for(manifest: &Manifest, cwd: &Path) -> Result<Vec<PathBuf>> {
    let folder = manifest.folder.as_deref().unwrap_or(cwd);
    let read = manifest.read.iter().map(|p| ("read", folder.join(p)));
    let files = manifest.files.iter().map(|p| ("files", p.clone()));
    let mut asked = Vec::new();
    for (field, path) in read.chain(files) {
        let Ok(real) = path.canonicalize() else { continue };
        let machine = ["/proc", "/sys", "/dev"].iter().any(|m| real.starts_with(m));
        if machine || real == Path::new("/") {
            bad_input!(
                "manifest of {}: field `{field}`: {} shows the whole machine; name the files and folders that are needed",
                manifest.name,
                path.display()
            );
        }
        asked.push(path);
    }
    Ok(asked)
}

/// The program and what it needs to start: the folder of its manifest, its own, those of its arguments, libraries from other places,
/// and what the environment's search paths name.
fn own_files(manifest: &Manifest, part: Part, cwd: &Path) -> Result<BTreeSet<PathBuf>> {
    let trusted = manifest.is_shipped();
    let mut found = BTreeSet::new();
    let mut add = |path: PathBuf| {
        if !System::holds(&path) && path.exists() {
            found.insert(path);
        }
    };
    if let Some(folder) = &manifest.folder {
        folder_or_nothing(folder).into_iter().for_each(&mut add);
    }
    let words = manifest.command.iter().enumerate().chain(manifest.serve.iter().enumerate());
    for (i, word) in words {
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
    if trusted {
        std::env::current_exe().into_iter().chain(sut_program()).for_each(&mut add);
        program_beside(codecs::networks::PROGRAM).into_iter().for_each(&mut add);
        // libtorch, which `sut-neural` was linked with and this program was not.
        add(PathBuf::from(env!("FREEZEFRAME_LIBTORCH")));
        // Both of them, where the tool is installed.
        if let Some(prefix) = std::env::current_exe().ok().as_deref().and_then(|p| p.parent()?.parent()) {
            add(prefix.join("lib/freezeframe"));
        }
        contract::data::folders().into_iter().for_each(&mut add);
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for path in ["weights", "sut/models"] {
            tree.join(path).canonicalize().into_iter().for_each(&mut add);
        }
    }
    let folders = |name: &str| {
        let value = std::env::var_os(name).unwrap_or_default();
        // A variable that is not set has one part, an empty one: that does not name the folder we are in.
        let named = std::env::split_paths(&value).filter(|p| !p.as_os_str().is_empty());
        named.map(|p| cwd.join(p)).filter(|p| p.is_dir()).collect::<Vec<_>>()
    };
    for name in
        ["LD_LIBRARY_PATH", "PYTHONPATH", "NODE_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "FREEZEFRAME_WEIGHTS"]
    {
        folders(name).into_iter().filter_map(|f| folder_or_nothing(&f)).for_each(&mut add);
    }
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        add(home.join(".local/lib"));
    }
    if part == Part::Simulate && !trusted {
        add(link_program()?);
    }
    // The programs of this project load the libraries that the harness has loaded.
    if trusted || part == Part::Simulate {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let libraries =
            maps.lines().filter_map(|l| l.split_ascii_whitespace().nth(5)).filter(|p| p.contains(".so"));
        for folder in libraries.filter_map(|l| Path::new(l).parent()).collect::<BTreeSet<_>>() {
            add(folder.to_owned());
        }
    }
    Ok(found)
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
