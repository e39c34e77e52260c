//! The command lines of this module: `sut signalling`, `sut receiver-service`, `sut revo-h264 send|receive|evaluate --signalling URL`.

use super::evaluation;
use super::session::{self, Clip, Meeting};
use super::signalling::Server;
use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, Parser, Subcommand};
use codecs::registry::{CodecEntry, H264, H265};
use contract::exit;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command as Process;
use std::time::Duration;

/// Sessions between two machines.
#[derive(Parser)]
#[command(name = "sut", version)]
enum Command {
    /// The signalling server: peers of ReVo, the original's too, find each other here
    Signalling {
        /// Address to listen on
        #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:8080")]
        listen: SocketAddr,
    },
    /// Starts a receiver for every run id that a sender's machine sends (`evaluate`, or the original's script)
    ReceiverService {
        /// Address to listen on
        #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:6000")]
        listen: SocketAddr,
        /// A receiver that takes longer is ended
        #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
        limit: u64,
        /// End after so many sessions
        #[arg(long)]
        sessions: Option<u32>,
        /// The receiver; {run} stands for the run id. For example: sut revo-h264 receive out/{run} --signalling URL
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// ReVo with H.264
    #[command(subcommand)]
    RevoH264(Session),
    /// ReVo with H.265
    #[command(subcommand)]
    RevoH265(Session),
}

#[derive(Subcommand)]
enum Session {
    /// Send a clip to whoever joins the room as receiver
    Send {
        /// Where the record goes
        dir: PathBuf,
        #[command(flatten)]
        with: With,
        /// Colour video
        #[arg(long)]
        rgb: PathBuf,
        /// Depth video
        #[arg(long)]
        depth: PathBuf,
        /// Only the first so many frames
        #[arg(long)]
        frames: Option<u32>,
    },
    /// Receive until the sender says bye; leaves rgb.mp4 and depth.mp4
    Receive {
        /// Where the record and the films go
        dir: PathBuf,
        #[command(flatten)]
        with: With,
    },
    /// Send all clips of a trace_map.txt, one after the other, to a receiver service
    Evaluate {
        /// The map: category TAB video stem TAB trace file
        map: PathBuf,
        #[command(flatten)]
        with: With,
        /// The receiver service
        #[arg(long, value_name = "HOST:6000")]
        service: String,
        /// Folder with STEM.mp4
        #[arg(long, default_value = "data/gt_rgb")]
        rgb: PathBuf,
        /// Folder with STEM_vis.mp4
        #[arg(long, default_value = "data/gt_depth")]
        depth: PathBuf,
        /// Where records go, a folder per run
        #[arg(long, default_value = "out")]
        out: PathBuf,
        /// Only the first so many frames of each
        #[arg(long)]
        frames: Option<u32>,
        /// Pause between two sessions
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        cooldown: u64,
        /// Runs beside each session, from its start, and is ended with it: shapes the path. {trace} stands for the trace file
        #[arg(long, value_name = "COMMAND")]
        shaper: Option<String>,
    },
}

/// What both ends are told.
#[derive(Args, Clone)]
struct With {
    /// The signalling server's room
    #[arg(long, value_name = "ws://HOST:8080/ws/demo")]
    signalling: String,
    /// Own address to offer; several times for several. Default: all of this machine's but loopback
    #[arg(long, value_name = "IP")]
    local: Vec<IpAddr>,
    /// Options of the system as a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    options: String,
    /// Longest wait for the other end
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
}

impl With {
    fn meeting(&self, codec: &'static CodecEntry, dir: PathBuf) -> Result<Meeting> {
        let options: toml::Table =
            serde_json::from_str(&self.options).context("--options is no JSON object")?;
        Ok(Meeting {
            signalling: self.signalling.clone(),
            locals: self.local.clone(),
            codec,
            options,
            dir,
            patience: Duration::from_secs(self.patience),
        })
    }
}

/// True if the command line is one of this module's.
#[must_use]
pub fn is_ours(mut words: impl Iterator<Item = String>) -> bool {
    match words.next().as_deref() {
        Some("signalling" | "receiver-service") => true,
        Some("revo-h264" | "revo-h265") => words
            .any(|word| word == "evaluate" || word == "--signalling" || word.starts_with("--signalling=")),
        _ => false,
    }
}

/// Does what the command line says; prints a summary in JSON. Returns the exit code.
#[must_use]
pub fn run() -> i32 {
    let done = match Command::parse() {
        Command::Signalling { listen } => serve(listen),
        Command::ReceiverService { listen, limit, sessions, command } => {
            evaluation::serve(listen, &command, Duration::from_secs(limit), sessions)
        }
        Command::RevoH264(session) => talk(&H264, session),
        Command::RevoH265(session) => talk(&H265, session),
    };
    match done {
        Ok(()) => exit::OK,
        Err(error) => {
            eprintln!("sut: {}", contract::said(&*error));
            exit::FAILED
        }
    }
}

fn serve(listen: SocketAddr) -> Result<()> {
    let server = Server::bind(listen)?;
    eprintln!("signalling on ws://{}/ws/ROOM", server.address()?);
    server.run(|line| eprintln!("{line}"));
    Ok(())
}

fn talk(codec: &'static CodecEntry, session: Session) -> Result<()> {
    let print = |summary: &session::Summary| -> Result<()> {
        println!("{}", serde_json::to_string(summary)?);
        Ok(())
    };
    match session {
        Session::Send { dir, with, rgb, depth, frames } => {
            print(&session::send(&with.meeting(codec, dir)?, &Clip { rgb, depth, frames })?)
        }
        Session::Receive { dir, with } => print(&session::receive(&with.meeting(codec, dir)?)?),
        Session::Evaluate { map, with, service, rgb, depth, out, frames, cooldown, shaper } => {
            let entries = contract::trace_map::read(&map)?;
            let mut failed = 0;
            for (number, entry) in entries.iter().enumerate() {
                if number > 0 {
                    std::thread::sleep(Duration::from_secs(cooldown));
                }
                let id = entry.run_id();
                let clip = Clip {
                    rgb: rgb.join(format!("{}.mp4", entry.stem)),
                    depth: depth.join(format!("{}_vis.mp4", entry.stem)),
                    frames,
                };
                let meeting = with.meeting(codec, out.join(&id))?;
                let there = [&clip.rgb, &clip.depth].into_iter().find(|file| !file.is_file());
                let there = there.map_or(Ok(()), |file| Err(anyhow!("there is no {}", file.display())));
                let sent = there.and_then(|()| evaluation::ask(&service, &id)).and_then(|()| {
                    let _shaper = shaper.as_deref().map(|s| Shaper::start(s, entry)).transpose()?;
                    session::send(&meeting, &clip)
                });
                match sent {
                    Ok(summary) => println!("{}", serde_json::json!({ "run": id, "sent": summary })),
                    Err(error) => {
                        failed += 1;
                        eprintln!("sut: {id} is left out: {}", contract::said(&*error));
                    }
                }
            }
            ensure!(failed == 0, "{failed} of {} sessions failed", entries.len());
            Ok(())
        }
    }
}

/// A process that shapes the path while it lives.
struct Shaper(std::process::Child);

impl Shaper {
    fn start(command: &str, entry: &contract::trace_map::Entry) -> Result<Self> {
        ensure!(entry.trace.is_file(), "there is no trace {}", entry.trace.display());
        let command = command.replace("{trace}", &entry.trace.display().to_string());
        let child = Process::new("sh").args(["-c", &format!("exec {command}")]).process_group(0).spawn();
        Ok(Shaper(child.with_context(|| format!("failed to start the shaper: {command}"))?))
    }
}

impl Drop for Shaper {
    fn drop(&mut self) {
        // Asked first, so that it can take its rules away; what it has started ends with it.
        let group = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        let tell = |signal| nix::sys::signal::killpg(group, signal);
        let _ = tell(nix::sys::signal::Signal::SIGTERM);
        for _ in 0..50 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = tell(nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_of_the_harness_are_not_ours() {
        let ours = |line: &str| is_ours(line.split(' ').map(str::to_owned));
        assert!(ours("signalling") && ours("receiver-service -- x"));
        assert!(ours("revo-h264 send d --signalling ws://x/ws/demo") && ours("revo-h265 evaluate m"));
        assert!(!ours("revo-h264 send d --local 1.2.3.4:5 --peer 1.2.3.4:6") && !ours("reparo simulate d"));
    }
}
