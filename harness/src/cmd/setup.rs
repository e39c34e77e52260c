//! `freezeframe setup webrtc` and its like: which programs of others the adapters need, what for, and how to get them.

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
    /// GStreamer's RTP elements and webrtcbin as systems under test
    Gstreamer,
    /// aiortc as a system under test
    Aiortc,
    /// To look at `freezeframe pcap`
    Pcap,
}

impl What {
    /// What they are, as a line of `freezeframe doctor` calls it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            What::Webrtc => "Chromium, pages",
            What::Gstreamer => "GStreamer",
            What::Aiortc => "aiortc",
            What::Pcap => "captures",
        }
    }

    /// Programs that are needed for it.
    #[must_use]
    pub fn needs(self) -> &'static [Need] {
        match self {
            What::Webrtc => &WEBRTC,
            What::Gstreamer => &GSTREAMER,
            What::Aiortc => &AIORTC,
            What::Pcap => &PCAP,
        }
    }

    fn next(self) -> &'static str {
        match self {
            What::Webrtc => {
                "freezeframe run clean --system adapters/chromium/chromium-vp8.toml --backend namespaces"
            }
            What::Gstreamer => "freezeframe system check adapters/gstreamer-rtp/gstreamer-rtp.toml",
            What::Aiortc => "freezeframe system check adapters/aiortc/aiortc.toml",
            What::Pcap => "freezeframe pcap RUN",
        }
    }
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

/// What drivers that use `adapters/ff.py` read the clip with.
const FFMPEG: Need = Need {
    name: "FFmpeg",
    package: "ffmpeg",
    why: "the clip's pictures: adapters/gstreamer-rtp, adapters/gstreamer-webrtcbin, adapters/aiortc",
    places: &["ffmpeg"],
};

/// What adapters/gstreamer-rtp and adapters/gstreamer-webrtcbin need.
pub const GSTREAMER: [Need; 6] = [
    FFMPEG,
    Need {
        name: "RTP",
        package: "gstreamer1.0-plugins-good",
        why: "rtpbin, vp8enc, rtpulpfecenc: both adapters",
        places: &[
            "/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgstrtpmanager.so",
            "/usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstrtpmanager.so",
        ],
    },
    Need {
        name: "WebRTC",
        package: "gstreamer1.0-plugins-bad",
        why: "webrtcbin: adapters/gstreamer-webrtcbin",
        places: &[
            "/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgstwebrtc.so",
            "/usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstwebrtc.so",
        ],
    },
    Need {
        name: "ICE",
        package: "gstreamer1.0-nice",
        why: "webrtcbin's candidates: adapters/gstreamer-webrtcbin",
        places: &[
            "/usr/lib/x86_64-linux-gnu/gstreamer-1.0/libgstnice.so",
            "/usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnice.so",
        ],
    },
    Need {
        name: "Python",
        package: "python3-gst-1.0",
        why: "the drivers, which are Python",
        places: &["/usr/lib/python3/dist-packages/gi/overrides/Gst.py"],
    },
    Need {
        name: "bindings",
        package: "gir1.2-gst-plugins-bad-1.0",
        why: "webrtcbin from Python: adapters/gstreamer-webrtcbin",
        places: &[
            "/usr/lib/x86_64-linux-gnu/girepository-1.0/GstWebRTC-1.0.typelib",
            "/usr/lib/aarch64-linux-gnu/girepository-1.0/GstWebRTC-1.0.typelib",
        ],
    },
];

/// What adapters/aiortc needs besides its own folder: what systems under test may not see lies elsewhere.
pub const AIORTC: [Need; 2] = [
    FFMPEG,
    Need {
        name: "aiortc",
        package: "",
        why: "adapters/aiortc (in a virtual environment beside its manifest)",
        places: &["adapters/aiortc/venv/bin/python"],
    },
];

/// What opens a capture.
pub const PCAP: [Need; 1] = [Need {
    name: "tshark",
    package: "tshark",
    why: "`freezeframe pcap RUN` writes for it, and for Wireshark",
    places: &["tshark"],
}];

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
    let packages: Vec<&str> = missing.iter().map(|n| n.package).filter(|p| !p.is_empty()).collect();
    let mut commands = Vec::new();
    if !packages.is_empty() {
        commands.push(format!("sudo apt-get install --no-install-recommends {}", packages.join(" ")));
    }
    if packages.len() < missing.len() {
        let venv = "adapters/aiortc/venv";
        commands.push(format!("python3 -m venv {venv} && {venv}/bin/pip install aiortc==1.16.0"));
    }
    commands.join(" && ")
}

/// Runs the subcommand.
///
/// # Errors
/// Never.
pub fn run(args: &Args) -> Result<i32> {
    let mut missing = Vec::new();
    for need in args.what.needs() {
        match need.find() {
            Some(place) => println!("ok       {:8}  {}", need.name, place.display()),
            None => {
                println!("missing  {:8}  for {}", need.name, need.why);
                missing.push(need);
            }
        }
    }
    if missing.is_empty() {
        println!("\nAll there. Try: {}", args.what.next());
        return Ok(exit::OK);
    }
    println!("\n{}", command(&missing));
    Ok(exit::UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_gets_all_that_is_missing() {
        let needs = What::Aiortc.needs();
        let venv =
            "python3 -m venv adapters/aiortc/venv && adapters/aiortc/venv/bin/pip install aiortc==1.16.0";
        assert_eq!(command(&[&needs[1]]), venv);
        assert_eq!(
            command(&[&needs[0], &needs[1]]),
            format!("sudo apt-get install --no-install-recommends ffmpeg && {venv}")
        );
        assert_eq!(
            command(&[&WEBRTC[0], &WEBRTC[1]]),
            "sudo apt-get install --no-install-recommends chromium xvfb"
        );
    }
}
