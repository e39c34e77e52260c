//! `freezeframe pcap`: a run's ledger as a capture for Wireshark.

use crate::record::rtp::demux::{Datagram, Protocol, head};
use crate::record::{read_fates, rtp};
use crate::stdio::reader_gone;
use anyhow::{Context, Result};
use contract::{RunSpec, exit};
use link::FateRecord;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use sut_core::rtp::Header;

/// Write what crossed the path of a run as a pcapng file, with the fate of each packet as its comment
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  freezeframe pcap runs/one                        writes runs/one/path.pcapng
  freezeframe pcap runs/one --out - | tshark -r - -Y 'frame.comment contains \"dropped\"'
  wireshark runs/one/path.pcapng                   filter: frame.comment contains \"retransmission\"

The ledger keeps the first 96 bytes of each packet of a run in namespaces: addresses, and RTP headers, which SRTP leaves in clear. For
Wireshark to call UDP on any port RTP, use Decode As. A run in virtual time has no bytes: its packets are fates alone.")]
pub struct Args {
    /// A run directory
    pub run: PathBuf,
    /// The file; `-` for standard output. Default: path.pcapng in the run directory
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When the run's ledger is missing or damaged, or the file cannot be written.
pub fn run(args: &Args) -> Result<i32> {
    RunSpec::read(&args.run)?;
    let fates = args.run.join("fates.jsonl");
    if !fates.is_file() {
        crate::bad_input!("{} has no fates.jsonl: nothing is known of its path", args.run.display());
    }
    let mut records: Vec<FateRecord> = read_fates(&fates)?.collect::<Result<_, _>>()?;
    let rtp = !rtp::told(&args.run)?.is_empty();
    for record in &mut records {
        record.role = words(record, rtp);
    }
    let out = args.out.clone().unwrap_or_else(|| args.run.join("path.pcapng"));
    let failed = || format!("failed to write {}", out.display());
    let write = |to: &mut dyn Write, epoch_ns| netns::pcapng::write(BufWriter::new(to), &records, epoch_ns);
    let epoch_ns = epoch_realtime_ns(&args.run)?;
    if out.as_os_str() == "-" {
        reader_gone(write(&mut std::io::stdout().lock(), epoch_ns))?;
        return Ok(exit::OK);
    }
    let mut bytes = Vec::new();
    write(&mut bytes, epoch_ns).with_context(failed)?;
    crate::output::put(&out, bytes)?;
    println!("{}: {} packets", out.display(), records.len());
    Ok(exit::OK)
}

/// Time zero of a live run on the wall clock; 0 in virtual time.
fn epoch_realtime_ns(run: &std::path::Path) -> Result<u64> {
    let path = run.join("emulator.json");
    if !path.is_file() {
        return Ok(0);
    }
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let health: netns::Health =
        serde_json::from_str(&text).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(health.epoch_realtime_ns)
}

/// What a packet carries, for a person: `media, RTP 96 sequence 17`.
fn words(record: &FateRecord, rtp: bool) -> Option<String> {
    let role = record.role.as_deref().map(|role| match role {
        "data" => "media",
        "parity" => "repair",
        "repeat" => "retransmission",
        other => other,
    });
    let bytes = head(record);
    let payload = Datagram::of(&bytes, record.bytes).map_or(&[][..], |d| d.payload);
    let protocol = match Protocol::of(payload) {
        // Any program's first bytes may look like RTP: only of those that say so.
        Some(Protocol::Rtp) if rtp => Header::begin(payload).map(|(header, _)| {
            let marker = if header.marker { ", marker" } else { "" };
            format!("RTP {} sequence {}{marker}", header.payload_type, header.sequence)
        }),
        Some(Protocol::Rtp | Protocol::Rtcp | Protocol::TurnChannel) if !rtp => None,
        Some(other) => Some(other.name().to_owned()),
        None => None,
    };
    match (role, protocol) {
        // The protocol says it.
        (Some("control" | "feedback") | None, Some(protocol)) => Some(protocol),
        (Some(role), Some(protocol)) => Some(format!("{role}, {protocol}")),
        (role, None) => role.map(str::to_owned),
    }
}
