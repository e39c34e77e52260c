//! `netns-lab bench`: how fast and how punctual the user-space emulator is, beside Rattan if that is installed.
//!
//! Both are measured alike: a sender and a receiver process, one on each side; each datagram carries the time of the system call
//! that sent it, and the receiver's kernel stamps its arrival.

use anyhow::{Context, bail};
use link::{DelayBase, DelaySpec, LinkSpec, Span};
use netns::lateness::{Histogram, Lateness};
use netns::traffic::{self, Arrival, Flow};
use netns::{End, Lab, LabConfig, Shaper};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Packets of the delay measurements, at 1000 per second
    #[arg(long, default_value_t = 10_000)]
    packets: u64,
    /// Packets of the rate measurement, as fast as they go
    #[arg(long, default_value_t = 300_000)]
    flood: u64,
    /// Labs to build and remove
    #[arg(long, default_value_t = 20)]
    labs: u32,
    /// Without SCHED_FIFO
    #[arg(long)]
    ordinary: bool,
    /// Rattan's program (`cargo install rattan --version 0.1.1`); not measured if it cannot be found
    #[arg(long, default_value = "rattan")]
    rattan: PathBuf,
}

/// One end of a flow, as a process.
#[derive(clap::Args)]
pub(crate) struct SendArgs {
    /// Where to; Rattan tells it by RATTAN_BASE
    #[arg(long)]
    to: Option<Ipv4Addr>,
    #[arg(long)]
    packets: u64,
}

#[derive(clap::Args)]
pub(crate) struct ReceiveArgs {
    #[arg(long)]
    packets: u64,
    #[arg(long)]
    delay_ms: u64,
}

const PAYLOAD: usize = 1172; // an IP packet of 1200 bytes
const PORT: u16 = 4000;

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let mut complete = true;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    labs(args.labs)?;
    println!("1000 packets/s of {} bytes, {} packets each", PAYLOAD + 28, args.packets);
    println!("{:<32} {:>9} {:>9} {:>9} {:>7}", "delay error, us", "p50", "p99", "max", "lost");
    for (name, delay_ms) in [("zero delay", 0), ("20 ms", 20)] {
        let mut config = config(delay_ms);
        config.timing.realtime = !args.ordinary;
        let lab = Lab::new(&config)?;
        let receiver = lab.command(End::Receiver, receiver(args.packets, delay_ms)?).spawn()?;
        std::thread::sleep(Duration::from_millis(200));
        let mut sender = own("traffic-send")?;
        sender.args([
            "--packets",
            &args.packets.to_string(),
            "--to",
            &lab.address(End::Receiver).to_string(),
        ]);
        let sent = lab.command(End::Sender, sender).status()?;
        let measured = finish(receiver)?;
        let health = lab.stop()?;
        if !sent.success() {
            bail!("the sender failed");
        }
        let lost = args.packets - measured.packets;
        row(name, &measured, lost);
        row(&format!("{name}, by the emulator"), &health.lateness, health.forward.lost_here);
        complete &= lost == 0 && health.forward.lost_here == 0;
    }
    match rattan(args) {
        Ok(measured) => row("20 ms, Rattan", &measured, args.packets.saturating_sub(measured.packets)),
        Err(e) => println!("20 ms, Rattan: not measured: {e:#}"),
    }
    let (rate, lost) = flood(args)?;
    println!("forwarding rate: {rate:.0} packets/s of {} bytes, {lost} lost in the emulator", PAYLOAD + 28);
    Ok(complete && lost == 0)
}

/// How long labs take to come and to go.
fn labs(count: u32) -> anyhow::Result<()> {
    let (mut built, mut removed) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let start = Instant::now();
        let lab = Lab::new(&config(0))?;
        built.push(start.elapsed());
        let start = Instant::now();
        lab.stop()?;
        removed.push(start.elapsed());
    }
    for (what, mut times) in [("built", built), ("removed", removed)] {
        times.sort_unstable();
        let ms = |i: usize| times.get(i).map_or(0.0, |t| t.as_secs_f64() * 1e3);
        println!(
            "a lab {what}: {:.1} ms at best, median {:.1} ms, {:.1} ms at worst of {count}",
            ms(0),
            ms(times.len() / 2),
            ms(times.len().saturating_sub(1))
        );
    }
    Ok(())
}

fn config(delay_ms: u64) -> LabConfig {
    let base = DelayBase::Constant(Span::from_millis(delay_ms));
    let spec = LinkSpec { delay: DelaySpec { base, ..DelaySpec::default() }, ..LinkSpec::default() };
    let mut config = LabConfig::new(spec.clone(), spec, 1);
    config.shaper = Shaper::User;
    config
}

fn flow(packets: u64) -> Flow {
    Flow {
        packets,
        payload: PAYLOAD,
        interval: Duration::from_millis(1),
        patience: Duration::from_millis(1500),
    }
}

fn own(subcommand: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("find this program")?);
    command.arg(subcommand);
    Ok(command)
}

fn receiver(packets: u64, delay_ms: u64) -> anyhow::Result<Command> {
    let mut command = own("traffic-receive")?;
    command
        .args(["--packets", &packets.to_string(), "--delay-ms", &delay_ms.to_string()])
        .stdout(Stdio::piped());
    Ok(command)
}

fn finish(receiver: std::process::Child) -> anyhow::Result<Lateness> {
    let output = receiver.wait_with_output()?;
    parse(&output.stdout)
}

fn parse(output: &[u8]) -> anyhow::Result<Lateness> {
    let text = String::from_utf8_lossy(output);
    let line = text
        .lines()
        .find(|l| l.starts_with('{'))
        .with_context(|| format!("the receiver said `{}`", text.trim()))?;
    serde_json::from_str(line).context("read the receiver's result")
}

/// `netns-lab traffic-send`.
pub(crate) fn send(args: &SendArgs) -> anyhow::Result<bool> {
    let told = || std::env::var("RATTAN_BASE").ok()?.parse().ok();
    let to = args.to.or_else(told).context("--to is missing")?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(SocketAddr::from((to, PORT)))?;
    traffic::send(&socket, &flow(args.packets))?;
    // The receiver is to end first: Rattan ends the other side with the first one.
    std::thread::sleep(Duration::from_millis(2500));
    Ok(true)
}

/// `netns-lab traffic-receive`: prints the delay error as JSON.
pub(crate) fn receive(args: &ReceiveArgs) -> anyhow::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    let flow = flow(args.packets);
    traffic::prepare(&socket, &flow)?;
    // The sender may be slow to come up.
    let arrivals = (0..8).find_map(|_| match traffic::receive(&socket, &flow, || false) {
        Ok(arrivals) if arrivals.is_empty() => None,
        other => Some(other),
    });
    let arrivals = arrivals.context("nothing arrived")??;
    println!("{}", serde_json::to_string(&errors(&arrivals, args.delay_ms * 1_000_000))?);
    std::io::stdout().flush()?;
    Ok(true)
}

/// The same flow through Rattan with a delay of 20 ms per direction, in its isolated mode: two namespaces, as in a lab.
fn rattan(args: &Args) -> anyhow::Result<Lateness> {
    let generated = Command::new(&args.rattan)
        .args(["link", "--uplink-delay", "20ms", "--downlink-delay", "20ms", "--generate"])
        .output()
        .with_context(|| {
            format!("{} cannot be started (cargo install rattan --version 0.1.1)", args.rattan.display())
        })?;
    let text = String::from_utf8(generated.stdout)?;
    let mut config: toml::Table = text.parse().context("read Rattan's configuration")?;
    let environment = config.entry("env").or_insert_with(|| toml::Table::new().into());
    environment.as_table_mut().context("Rattan's [env]")?.insert("mode".to_owned(), "Isolated".into());
    let program = std::env::current_exe()?.display().to_string();
    let packets = args.packets.to_string();
    let mut commands = toml::Table::new();
    let words = |words: &[&str]| toml::Value::Array(words.iter().map(|w| (*w).into()).collect());
    commands.insert("left".to_owned(), words(&[&program, "traffic-send", "--packets", &packets]));
    commands.insert(
        "right".to_owned(),
        words(&[&program, "traffic-receive", "--packets", &packets, "--delay-ms", "20"]),
    );
    config.insert("commands".to_owned(), commands.into());
    let file = std::env::temp_dir().join(format!("rattan-{}.toml", std::process::id()));
    std::fs::write(&file, config.to_string())?;
    let output = Command::new(&args.rattan)
        .args(["run", "--right-stdout", "--right-stderr", "--left-stderr", "--config"])
        .arg(&file)
        .output();
    std::fs::remove_file(&file)?;
    let output = output?;
    parse(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Time from the sender's system call to the receiver's kernel, less the delay asked for.
fn errors(arrivals: &[Arrival], delay_ns: u64) -> Lateness {
    let mut histogram = Histogram::default();
    for arrival in arrivals {
        histogram.add(arrival.received_ns.saturating_sub(arrival.sent_ns).abs_diff(delay_ns));
    }
    histogram.summary()
}

fn row(name: &str, l: &Lateness, lost: u64) {
    let us = |ns: u64| ns as f64 / 1e3;
    println!("{name:<32} {:>9.1} {:>9.1} {:>9.1} {lost:>7}", us(l.p50_ns), us(l.p99_ns), us(l.max_ns));
}

/// Packets per second through the emulator while the sender sends without pause.
fn flood(args: &Args) -> anyhow::Result<(f64, u64)> {
    let flow = Flow { packets: args.flood, interval: Duration::ZERO, ..flow(0) };
    let lab = Lab::new(&config(0))?;
    let arrivals = traffic::run(&lab, End::Sender, &flow)?;
    let health = lab.stop()?;
    let first = arrivals.first().context("nothing arrived")?.received_ns;
    let last = arrivals.last().context("nothing arrived")?.received_ns;
    Ok((arrivals.len() as f64 / ((last - first) as f64 / 1e9), health.forward.lost_here))
}
