//! How to run a system under test: one TOML file per system.

use crate::{Kind, Limits, Name, text};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A system's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name on the command line and in tables. Those of the shipped systems are taken.
    pub name: Name,
    /// One line.
    pub about: String,
    /// Program and first arguments; `{sut}` stands for the project's own program. The harness appends
    /// `describe --options JSON`, `simulate RUN_DIR`, or `send|receive RUN_DIR --local IP:PORT --peer IP:PORT`.
    pub command: Vec<String>,
    /// False: the program has no virtual-time mode; it runs in namespaces only.
    #[serde(default = "yes")]
    pub simulate: bool,
    /// True: the program answers `describe`, which checks and completes its options; else they are passed on unchecked.
    #[serde(default)]
    pub describe: bool,
    /// True: it sends colour alone; the depth of a clip is left out of its runs.
    #[serde(default)]
    pub colour_only: bool,
    /// Milliseconds it needs before the first capture, if it does not answer `describe`.
    #[serde(default)]
    pub setup_ms: u64,
    /// True: the program's own camera decides when frame 0 is captured; its sender says `capturing`. Namespaces only.
    #[serde(default)]
    pub capturing: bool,
    /// How the program decides when a frame is due.
    #[serde(default)]
    pub playout: ManifestPlayout,
    /// What the harness can read of its packets. Namespaces only.
    #[serde(default)]
    pub wire: Wire,
    /// Seconds its two processes may take until they say `ready` in namespaces; absent: a minute, or 0.3 s per
    /// captured frame if that is more.
    #[serde(default)]
    pub ready_timeout_s: Option<u64>,
    /// Files that the system consists of besides those in `command`, from the manifest's folder: a run is done again when one of
    /// them has changed.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// SHA-256 of the manifest's text.
    #[serde(skip)]
    pub hash: String,
    /// Kinds of traffic beside UDP that the run may have: `tcp`, `icmp`, `ip` (any other protocol on IPv4), `multicast`. What
    /// crosses is shaped; what is not named here makes the run invalid.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Files and folders that the program needs to see besides the system's own, its own folder and those of its arguments.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// What it may use up.
    #[serde(default)]
    pub limits: Limits,
    /// Whether it says itself what it captured and showed.
    #[serde(default)]
    pub kind: SystemKind,
    /// Of an app: where it shows its pictures.
    #[serde(default)]
    pub screen: Screen,
    /// Of an app: a server that both ends need beside the path (pages, signalling), in a network of its own. Both reach it as
    /// `127.0.0.1:serve_port`, by TCP.
    #[serde(default)]
    pub serve: Vec<String>,
    /// Port of that server.
    #[serde(default = "serve_port")]
    pub serve_port: u16,
    /// Delay between that server and either end, one way, milliseconds.
    #[serde(default = "serve_delay_ms")]
    pub serve_delay_ms: u64,
    /// Seconds between set-up and frame 0 in which media may flow and the channel is on: what a rate controller learns by then is of this
    /// channel. Not scored. Absent: 3 for an app, 0 for others.
    #[serde(default)]
    pub warm_s: Option<u64>,
    /// Folder of the manifest; absent for a shipped system.
    #[serde(skip)]
    pub folder: Option<PathBuf>,
}

/// Whose word a system's pictures and their times are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SystemKind {
    /// The system's: it writes events and what it showed.
    #[default]
    Reports,
    /// The harness's, which owns camera and screen.
    App,
}

/// Where an app shows its pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Screen {
    /// On an X server, whose frame buffer the harness reads.
    #[default]
    X11,
    /// In a pipe, out of which the harness takes them.
    Pipe,
}

/// How a program decides when a frame is due on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestPlayout {
    /// At the scenario's budget after its capture.
    #[default]
    Fixed,
    /// By a jitter buffer of its own, whatever the scenario says: its runs are by `playout = "own"`.
    Adaptive,
}

/// What the harness can read of a program's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Nothing: the program says what it sends and receives, or nobody knows.
    #[default]
    Opaque,
    /// RTP or SRTP: `encoded`, `sent` and `received` are read from the packets' headers, and what the program says of them is left out.
    Rtp,
}

/// Longest warm-up, seconds.
pub const LONGEST_WARM_S: u64 = 600;

/// Kinds of traffic that a manifest may allow.
pub const ALLOWABLE: [&str; 4] = ["tcp", "icmp", "ip", "multicast"];

/// The path without `..` on the way: a sandbox shows what is named, and not the folders that a detour leads through.
fn without_detours(path: &Path) -> PathBuf {
    let direct = path.file_name().and_then(|name| Some(path.parent()?.canonicalize().ok()?.join(name)));
    direct.unwrap_or_else(|| path.to_owned())
}

fn yes() -> bool {
    true
}

fn serve_port() -> u16 {
    8080
}

fn serve_delay_ms() -> u64 {
    10
}

/// What can be wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not readable.
    #[error("failed to read the manifest {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// Not valid.
    #[error("manifest {path}: {reason}")]
    Invalid {
        /// The file.
        path: String,
        /// Line, field and remedy.
        reason: String,
    },
    /// No such system.
    #[error(
        "no system is called {name:?}; there are: {known}; or give the path of a manifest (docs/PLUGIN.md)"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}

/// The manifests that ship with the project.
const SHIPPED: &[(&str, &str)] = &[
    ("revo-h264", include_str!("../../../sut/systems/manifests/revo-h264.toml")),
    ("revo-h265", include_str!("../../../sut/systems/manifests/revo-h265.toml")),
    ("revo-dcvcrt", include_str!("../../../sut/systems/manifests/revo-dcvcrt.toml")),
    ("revo-dcvcrt-lite", include_str!("../../../sut/systems/manifests/revo-dcvcrt-lite.toml")),
    ("reparo", include_str!("../../../sut/systems/manifests/reparo.toml")),
    ("vp8-flexfec", include_str!("../../../sut/systems/manifests/vp8-flexfec.toml")),
    ("vp8-ulpfec", include_str!("../../../sut/systems/manifests/vp8-ulpfec.toml")),
    ("vp9-ringmaster", include_str!("../../../sut/systems/manifests/vp9-ringmaster.toml")),
    ("vp9-tambur", include_str!("../../../sut/systems/manifests/vp9-tambur.toml")),
];

impl Manifest {
    /// Parses a manifest; `path` is for the message.
    pub fn parse(path: &str, content: &str) -> Result<Self, ManifestError> {
        let mut manifest: Manifest = toml::from_str(content).map_err(|e| {
            let reason = Kind::Manifest.instead_of(path, content).unwrap_or_else(|| e.to_string());
            ManifestError::Invalid { path: path.to_owned(), reason }
        })?;
        manifest.hash = Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect();
        if manifest.command.is_empty() {
            let reason = "field `command` is empty; it must name a program".to_owned();
            return Err(ManifestError::Invalid { path: path.to_owned(), reason });
        }
        if let Some(unknown) = manifest.allow.iter().find(|a| !ALLOWABLE.contains(&a.as_str())) {
            let reason = format!(
                "field `allow`: {unknown:?} is no kind of traffic; there are: {}",
                ALLOWABLE.join(", ")
            );
            return Err(ManifestError::Invalid { path: path.to_owned(), reason });
        }
        if !manifest.serve.is_empty() && !manifest.is_app() {
            let reason =
                "field `serve`: only a system of kind = \"app\" has a server beside the path".to_owned();
            return Err(ManifestError::Invalid { path: path.to_owned(), reason });
        }
        // There is no camera in virtual time.
        manifest.simulate &= !manifest.is_app();
        let refused = |reason: String| Err(ManifestError::Invalid { path: path.to_owned(), reason });
        if let Some(warm_s) = manifest.warm_s.filter(|s| *s > LONGEST_WARM_S) {
            return refused(format!("field `warm_s`: {warm_s} is more than {LONGEST_WARM_S}; write less"));
        }
        if manifest.is_app() && manifest.capturing {
            return refused(
                "field `capturing`: the camera of kind = \"app\" is the harness's; leave it out".to_owned(),
            );
        }
        if manifest.simulate {
            // In virtual time the program is the clock, and its packets have no bytes.
            let only = [("capturing", manifest.capturing), ("wire", manifest.wire != Wire::Opaque)];
            if let Some((field, _)) = only.into_iter().find(|(_, set)| *set) {
                return refused(format!(
                    "field `{field}` belongs to programs that run in real time only; write simulate = false"
                ));
            }
        }
        manifest.about = text::line(&manifest.about);
        Ok(manifest)
    }

    /// True for the path of a manifest: anything with a `/` or ending in `.toml`.
    #[must_use]
    pub fn is_path(name_or_path: &str) -> bool {
        name_or_path.contains('/') || name_or_path.ends_with(".toml")
    }

    /// The shipped system of that name, or the manifest at that path.
    pub fn find(name_or_path: &str) -> Result<Self, ManifestError> {
        if Self::is_path(name_or_path) {
            let path = PathBuf::from(name_or_path);
            let io = |source| ManifestError::Io { path: path.clone(), source };
            let text = std::fs::read_to_string(&path).map_err(io)?;
            let mut manifest = Self::parse(name_or_path, &text)?;
            if SHIPPED.iter().any(|(name, _)| manifest.name == *name) {
                let reason = format!(
                    "field `name`: {:?} is a system of the project, and its results would be taken for that one's; choose another name",
                    &*manifest.name
                );
                return Err(ManifestError::Invalid { path: name_or_path.to_owned(), reason });
            }
            let folder = std::path::absolute(&path).map_err(io)?;
            let folder = folder.parent().unwrap_or(Path::new("/"));
            let folder = &folder.canonicalize().map_err(io)?;
            manifest.find_files(folder);
            manifest.folder = Some(folder.to_owned());
            return Ok(manifest);
        }
        let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_path) else {
            let known = SHIPPED.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
            return Err(ManifestError::Unknown { name: name_or_path.to_owned(), known });
        };
        Self::parse(name, text)
    }

    /// Arguments that name a file beside the manifest (with a `/`: a folder, too) become its path, so that a run can be repeated from any
    /// folder. A program without a `/` is one of the `PATH`.
    fn find_files(&mut self, folder: &Path) {
        let words = self.command.iter_mut().enumerate().chain(self.serve.iter_mut().enumerate());
        for (place, word) in words {
            let path = folder.join(&*word);
            let named = word.contains('/');
            let there = path.is_file() || (named && path.is_dir());
            if Path::new(word).is_relative() && (place > 0 || named) && there {
                *word = without_detours(&path).to_string_lossy().into_owned();
            }
        }
        for file in &mut self.files {
            *file = without_detours(&folder.join(&*file));
        }
    }

    /// True if camera and screen are the harness's.
    #[must_use]
    pub fn is_app(&self) -> bool {
        self.kind == SystemKind::App
    }

    /// Time between the channel's beginning and frame 0.
    #[must_use]
    pub fn warm(&self) -> std::time::Duration {
        let usual = if self.is_app() { 3 } else { 0 };
        std::time::Duration::from_secs(self.warm_s.unwrap_or(usual))
    }

    /// True for the systems of this project: they are trusted with the cache of encoded streams, and with their word on a run in
    /// virtual time.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        self.folder.is_none()
    }

    /// Every shipped system.
    #[must_use]
    pub fn shipped() -> Vec<Self> {
        SHIPPED
            .iter()
            .map(|(name, text)| Self::parse(name, text).expect("shipped manifests are valid"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_manifests_are_valid_and_named_as_filed() {
        for ((filed, _), manifest) in SHIPPED.iter().zip(Manifest::shipped()) {
            assert_eq!(manifest.name, *filed);
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error =
            Manifest::parse("x.toml", "name='a'\nabout=''\ncommand=['a']\ncolour=1").unwrap_err().to_string();
        assert!(error.contains("x.toml") && error.contains("colour"), "{error}");
    }

    #[test]
    fn a_name_is_checked_and_a_shipped_one_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str| {
            let path = folder.path().join("mine.toml");
            std::fs::write(&path, format!("name={name:?}\nabout=''\ncommand=['true']")).unwrap();
            Manifest::find(path.to_str().unwrap()).unwrap_err().to_string()
        };
        for (shipped, _) in SHIPPED {
            let said = refused(shipped);
            assert!(
                said.contains("mine.toml") && said.contains("`name`") && said.contains("another name"),
                "{said}"
            );
        }
        for wrong in ["", "../../x", "/x", "a b"] {
            let said = refused(wrong);
            assert!(
                said.contains("mine.toml") && said.contains("is no name") && said.contains("name="),
                "{said}"
            );
        }
    }

    #[test]
    fn files_beside_the_manifest_are_found_from_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["mine.py", "net.bin"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let path = folder.path().join("mine.toml");
        std::fs::write(
            &path,
            "name='mine'\nabout=''\ncommand=['python3', 'mine.py', 'mode', '-x']\nfiles=['net.bin']",
        )
        .unwrap();
        let manifest = Manifest::find(path.to_str().unwrap()).unwrap();
        let beside = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        assert_eq!(manifest.command, ["python3", &beside("mine.py"), "mode", "-x"]);
        assert_eq!(manifest.files, [PathBuf::from(beside("net.bin"))]);
    }

    #[test]
    fn what_belongs_to_real_time_is_refused_in_virtual_time() {
        let parse = |lines: &str| {
            Manifest::parse("x.toml", &format!("name='a'\nabout=''\ncommand=['a']\n{lines}"))
                .map_err(|e| e.to_string())
        };
        for (lines, field) in [("capturing = true", "capturing"), ("wire = 'rtp'", "wire")] {
            let said = parse(lines).unwrap_err();
            assert!(said.contains(field) && said.contains("simulate = false"), "{said}");
            assert!(parse(&format!("{lines}\nsimulate = false")).is_ok());
        }
        assert!(parse("kind = 'app'\nwire = 'rtp'").is_ok(), "an app runs in real time only");
        assert!(parse("kind = 'app'\ncapturing = true").unwrap_err().contains("capturing"));
        assert!(parse("warm_s = 601").unwrap_err().contains("warm_s"));
        assert!(parse("playout = 'sometimes'").unwrap_err().contains("adaptive"));
        let plain = parse("").unwrap();
        assert!(!plain.describe, "off unless said");
        assert_eq!(
            (plain.playout, plain.wire, plain.warm().as_secs()),
            (ManifestPlayout::Fixed, Wire::Opaque, 0)
        );
    }

    #[test]
    fn a_detour_on_the_way_to_a_manifest_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["mine", "other"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("mine/mine.py"), "").unwrap();
        std::fs::write(folder.path().join("other/net.bin"), "").unwrap();
        let text = "name='mine'\nabout=''\ncommand=['python3', 'mine.py']\nfiles=['../other/net.bin']";
        std::fs::write(folder.path().join("mine/mine.toml"), text).unwrap();
        let path = folder.path().join("other/../mine/mine.toml");
        let manifest = Manifest::find(path.to_str().unwrap()).unwrap();
        let real = folder.path().canonicalize().unwrap();
        assert_eq!(manifest.command[1], real.join("mine/mine.py").to_str().unwrap());
        assert_eq!(manifest.files, [real.join("other/net.bin")]);
        assert_eq!(manifest.folder, Some(real.join("mine")));
    }

    #[test]
    fn an_unknown_system_lists_those_there_are() {
        let error = Manifest::find("revo-h266").unwrap_err().to_string();
        assert!(error.contains("revo-h264") && error.contains("revo-h266"), "{error}");
    }
}
