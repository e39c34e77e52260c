//! `sut SYSTEM simulate|send|receive RUN_DIR`: runs a system under test as the harness asks.
//!
//! Networks bring libtorch, whose loading takes longer than many a run. So there are two programs of one command line: `sut` has
//! the systems without networks, `sut-neural` has all. Whoever starts `sut` with a system, or a recovery, that it does not have, gets
//! `sut-neural` in its place.

use crate::catalogue::System;
use crate::session::{Addresses, Mode};
use clap::{Parser, ValueEnum};
use codecs::networks::PROGRAM as NEURAL;
use codecs::registry;
use contract::work::{Answer, Order};
use contract::{RunSpec, exit};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs a system under test in a run directory that the harness has prepared.
///
/// In: RUN_DIR/spec.toml. Out: events, fates (simulate only) and what was rendered, in RUN_DIR.
/// On the wall clock, standard input and output carry the control lines ready, start, signal, done.
#[derive(Parser)]
#[command(
    version,
    after_help = "Without the harness, between two machines: sut signalling, sut receiver-service, \
        sut revo-h264 send|receive|evaluate ... --signalling ws://HOST:8080/ws/demo (--help after each).\n\n\
        Exit codes: 0 done, 1 failed, 2 bad run directory, 127 unknown system or unsupported scenario."
)]
struct Args {
    /// System's name
    system: String,
    /// What this process is
    #[arg(value_enum)]
    part: Part,
    /// The run directory (not for describe)
    run_dir: Option<PathBuf>,
    /// Address to bind (send and receive)
    #[arg(long, value_name = "IP:PORT")]
    local: Option<SocketAddr>,
    /// Options as a JSON object (describe)
    #[arg(long, value_name = "JSON", default_value = "{}")]
    options: String,
    /// Address of the other end (send and receive)
    #[arg(long, value_name = "IP:PORT")]
    peer: Option<SocketAddr>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// Print the options, completed, and the set-up time as JSON; --options gives some
    Describe,
    /// Both ends in virtual time
    Simulate,
    /// The sender, on the wall clock
    Send,
    /// The receiver, on the wall clock
    Receive,
}

/// Who has the systems, codecs and recoveries that are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Nobody.
    None,
    /// `sut-neural` beside this program, which then takes this one's place.
    Beside,
}

/// The whole program, with the systems of `catalogue`.
#[must_use]
pub fn main(catalogue: &[&'static [System]], others: Others) -> ExitCode {
    if crate::peer::cli::is_ours(std::env::args().skip(1)) {
        return code(crate::peer::cli::run());
    }
    if std::env::args().nth(1).is_some_and(|word| word == contract::work::WORD) {
        return work(catalogue);
    }
    let args = Args::parse();
    let found = catalogue.iter().copied().flatten().find(|s| s.name == args.system);
    let Some(system) = found else {
        let missing = if others == Others::Beside { Some(hand_over()) } else { None };
        let names: Vec<&str> = catalogue.iter().copied().flatten().map(|s| s.name).collect();
        eprintln!("sut: no system is called {:?}; there are: {}", args.system, names.join(", "));
        if let Some(error) = missing {
            eprintln!("sut: those with networks are in {NEURAL}, which does not start: {error}");
        }
        return code(exit::UNSUPPORTED);
    };
    if let Part::Describe = args.part {
        return describe(system, &args.options, others);
    }
    let Some(run_dir) = args.run_dir else {
        eprintln!("sut: the run directory is missing; see --help");
        return code(exit::BAD_INPUT);
    };
    let mode = match (args.part, args.local, args.peer) {
        (Part::Simulate, _, _) => Mode::Simulate,
        (Part::Send, Some(local), Some(peer)) => Mode::Send(Addresses { local, peer }),
        (Part::Receive, Some(local), Some(peer)) => Mode::Receive(Addresses { local, peer }),
        _ => {
            eprintln!("sut: send and receive need --local and --peer");
            return code(exit::BAD_INPUT);
        }
    };
    let done = RunSpec::read(&run_dir).map_err(|e| (exit::BAD_INPUT, format!("sut: {e}"))).and_then(|spec| {
        if others == Others::Beside && needs_networks(&spec.options) {
            let why = format!("sut {}: {NEURAL} does not start: {}", system.name, hand_over());
            return Err((exit::FAILED, why));
        }
        run(system, &mode, &run_dir, &spec)
    });
    match done {
        Ok(()) => code(exit::OK),
        Err((number, why)) => {
            eprintln!("{why}");
            code(number)
        }
    }
}

/// One run of a system; on failure the exit code, and why.
fn run(system: &System, mode: &Mode, run_dir: &Path, spec: &RunSpec) -> Result<(), (i32, String)> {
    let failed = |number: i32, why: String| (number, format!("sut {}: {why}", system.name));
    system.check(spec).map_err(|e| failed(exit::BAD_INPUT, format!("{e:#}")))?;
    (system.run)(mode, run_dir, spec).map_err(|e| failed(exit::FAILED, contract::said(&*e)))
}

/// Simulates one run after the other, as [`contract::work`] has it. Ends with its input.
fn work(catalogue: &[&'static [System]]) -> ExitCode {
    media::memory::keep_freed(64 << 20);
    // While the first order is still being written.
    codecs::load();
    for (run, line) in std::io::stdin().lines().enumerate() {
        let Ok(line) = line else { break };
        if run == 1 {
            // There are more runs than one, and mostly of one clip.
            crate::pictures::keep(crate::pictures::KEPT);
        }
        let answer = match serde_json::from_str::<Order>(&line) {
            Err(error) => Answer::Failed { code: exit::BAD_INPUT, why: format!("sut: {error}") },
            Ok(Order { system, run_dir }) => simulate(catalogue, &system, &run_dir),
        };
        let mut out = std::io::stdout().lock();
        let said = serde_json::to_writer(&mut out, &answer).map_err(std::io::Error::from);
        if said.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    code(exit::OK)
}

fn simulate(catalogue: &[&'static [System]], name: &str, run_dir: &Path) -> Answer {
    let Some(system) = catalogue.iter().copied().flatten().find(|s| s.name == name) else {
        return Answer::Elsewhere;
    };
    let done = match RunSpec::read(run_dir) {
        Err(error) => Err((exit::BAD_INPUT, format!("sut: {error}"))),
        Ok(spec) if needs_networks(&spec.options) => return Answer::Elsewhere,
        Ok(spec) => run(system, &Mode::Simulate, run_dir, &spec),
    };
    done.map_or_else(|(code, why)| Answer::Failed { code, why }, |()| Answer::Done)
}

/// True if these options name a recovery that this program does not have.
fn needs_networks(options: &toml::Table) -> bool {
    let recovery = options.get("recovery").and_then(toml::Value::as_str);
    recovery.is_some_and(|name| registry::restorer(name).is_none())
}

/// Puts `sut-neural` in the place of this program, with the same arguments; comes back only if it does not start.
fn hand_over() -> std::io::Error {
    match std::env::current_exe() {
        Ok(me) => {
            let program = me.with_file_name(NEURAL);
            std::process::Command::new(program).args(std::env::args_os().skip(1)).exec()
        }
        Err(error) => error,
    }
}

fn describe(system: &System, options: &str, others: Others) -> ExitCode {
    let described =
        serde_json::from_str(options).map_err(anyhow::Error::from).and_then(|table: toml::Table| {
            if others == Others::Beside && needs_networks(&table) {
                return Err(anyhow::Error::from(hand_over()).context(format!("{NEURAL} does not start")));
            }
            let mut answer = serde_json::to_value((system.describe)(&table)?)?;
            let mut depends_on = (system.depends_on)(&table)?;
            // The harness knows `sut`, which it started, and not who took its place.
            if others == Others::None {
                let me = std::env::current_exe()?;
                let hash = contract::digest::sha256(&me, contract::digest::cache_folder().as_deref())?;
                depends_on.libraries.insert(NEURAL.to_owned(), hash);
            }
            answer["identity"] = serde_json::to_value(depends_on)?;
            answer["own_clock"] = serde_json::to_value(system.own_clock)?;
            Ok(answer.to_string())
        });
    match described {
        Ok(json) => {
            println!("{json}");
            code(exit::OK)
        }
        Err(error) => {
            eprintln!("sut {}: {}", system.name, contract::said(&*error));
            code(exit::BAD_INPUT)
        }
    }
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
