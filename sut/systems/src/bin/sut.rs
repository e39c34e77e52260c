//! `sut SYSTEM simulate|send|receive RUN_DIR`: runs a system under test as the harness asks.

use clap::{Parser, ValueEnum};
use contract::{RunSpec, exit};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use systems::catalogue;
use systems::session::{Addresses, Mode};

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

fn main() -> ExitCode {
    if systems::peer::cli::is_ours(std::env::args().skip(1)) {
        return code(systems::peer::cli::run());
    }
    let args = Args::parse();
    let Some(system) = catalogue::find(&args.system) else {
        eprintln!("sut: no system is called {:?}; there are: {}", args.system, names());
        return code(exit::UNSUPPORTED);
    };
    if let Part::Describe = args.part {
        return describe(system, &args.options);
    }
    let Some(run_dir) = args.run_dir else {
        eprintln!("sut: the run directory is missing; see --help");
        return code(exit::BAD_INPUT);
    };
    let spec = match RunSpec::read(&run_dir) {
        Ok(spec) => spec,
        Err(error) => {
            eprintln!("sut: {error}");
            return code(exit::BAD_INPUT);
        }
    };
    if let Err(error) = system.check(&spec) {
        eprintln!("sut {}: {error:#}", system.name);
        return code(exit::BAD_INPUT);
    }
    let mode = match (args.part, args.local, args.peer) {
        (Part::Simulate, _, _) => Mode::Simulate,
        (Part::Send, Some(local), Some(peer)) => Mode::Send(Addresses { local, peer }),
        (Part::Receive, Some(local), Some(peer)) => Mode::Receive(Addresses { local, peer }),
        _ => {
            eprintln!("sut: send and receive need --local and --peer");
            return code(exit::BAD_INPUT);
        }
    };
    match (system.run)(&mode, &run_dir, &spec) {
        Ok(()) => code(exit::OK),
        Err(error) => {
            eprintln!("sut {}: {}", system.name, contract::said(&*error));
            code(exit::FAILED)
        }
    }
}

fn describe(system: &catalogue::System, options: &str) -> ExitCode {
    let described = serde_json::from_str(options).map_err(anyhow::Error::from).and_then(|table| {
        let mut answer = serde_json::to_value((system.describe)(&table)?)?;
        answer["identity"] = serde_json::to_value((system.depends_on)(&table)?)?;
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

fn names() -> String {
    catalogue::SYSTEMS.iter().map(|s| s.name).collect::<Vec<_>>().join(", ")
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
