//! A fate ledger as a capture that Wireshark opens: every packet with its fate as a comment.
//!
//! Format: draft-ietf-opsawg-pcapng, little endian. Two interfaces of link type RAW (IP packets without a header below):
//! 0 is the forward path, 1 the reverse. A packet stands at its time of entering; comment and colour filters
//! (`frame.comment contains "dropped"`) tell what became of it. Only the packets' first bytes are in the ledger, which the
//! capture says with its captured length.

use link::{Direction, FateRecord, Outcome, State};
use std::io::{self, Write};

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
const LINKTYPE_RAW: u16 = 101;
const OPT_COMMENT: u16 = 1;
const OPT_USER_APPLICATION: u16 = 4;
const OPT_INTERFACE_NAME: u16 = 2;
const OPT_TIME_RESOLUTION: u16 = 9;

/// Writes `records` in the order of their entering. `epoch_realtime_ns` places the ledger's time zero (see
/// [`crate::Health::epoch_realtime_ns`]); with 0 the capture begins in 1970.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(mut out: impl Write, records: &[FateRecord], epoch_realtime_ns: u64) -> io::Result<()> {
    let mut section = Vec::new();
    section.extend(BYTE_ORDER.to_le_bytes());
    section.extend([1, 0, 0, 0]); // version 1.0
    section.extend((-1i64).to_le_bytes()); // length not given
    option(&mut section, OPT_USER_APPLICATION, b"freezeframe");
    end_of_options(&mut section);
    block(&mut out, SECTION_HEADER, &section)?;
    for name in ["forward", "reverse"] {
        let mut interface = Vec::new();
        interface.extend(LINKTYPE_RAW.to_le_bytes());
        interface.extend([0; 2]);
        interface.extend(0u32.to_le_bytes()); // no limit on the captured length
        option(&mut interface, OPT_INTERFACE_NAME, name.as_bytes());
        option(&mut interface, OPT_TIME_RESOLUTION, &[9]); // 10^-9 s
        end_of_options(&mut interface);
        block(&mut out, INTERFACE_DESCRIPTION, &interface)?;
    }
    let mut order: Vec<&FateRecord> = records.iter().collect();
    order.sort_by_key(|r| (r.in_ns, r.direction, r.n));
    for record in order {
        let head = record.head.as_deref().map(bytes).unwrap_or_default();
        let time = epoch_realtime_ns.saturating_add(record.in_ns.as_nanos());
        let mut packet = Vec::new();
        packet.extend(u32::from(record.direction == Direction::Reverse).to_le_bytes());
        packet.extend(((time >> 32) as u32).to_le_bytes());
        packet.extend((time as u32).to_le_bytes());
        packet.extend((head.len() as u32).to_le_bytes());
        packet.extend(record.bytes.max(head.len() as u32).to_le_bytes());
        packet.extend(&head);
        pad(&mut packet);
        option(&mut packet, OPT_COMMENT, comment(record).as_bytes());
        end_of_options(&mut packet);
        block(&mut out, ENHANCED_PACKET, &packet)?;
    }
    out.flush()
}

/// What became of a packet, in a line: `#17 dropped (ge_bad), state bad`.
#[must_use]
pub fn comment(record: &FateRecord) -> String {
    let fate = match record.fate {
        Outcome::Delivered => "delivered",
        Outcome::Dropped => "dropped",
        Outcome::Duplicated => "duplicated",
        Outcome::Corrupted => "corrupted",
    };
    let mut text = format!("#{} {fate}", record.n);
    if let Some(cause) = record.cause {
        text.push_str(&format!(" ({})", cause.name()));
    }
    if let Some(out) = record.out_ns {
        text.push_str(&format!(" after {}", link::Timestamp((out - record.in_ns).as_nanos() as u64)));
        if let Some(actual) = record.actual_ns {
            text.push_str(&format!(", {} ns late", (actual - out).as_nanos()));
        }
    }
    if let Some(state) = record.state {
        text.push_str(match state {
            State::Good => ", state good",
            State::Bad => ", state bad",
        });
    }
    if let Some(row) = record.row {
        text.push_str(&format!(", trace row {row}"));
    }
    if let Some(frame) = record.frame {
        text.push_str(&format!(", frame {frame}"));
    }
    if let Some(role) = &record.role {
        text.push_str(&format!(", {role}"));
    }
    text
}

fn block(out: &mut impl Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = (body.len() + 12) as u32;
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(body)?;
    out.write_all(&length.to_le_bytes())
}

fn option(to: &mut Vec<u8>, code: u16, value: &[u8]) {
    to.extend(code.to_le_bytes());
    to.extend((value.len() as u16).to_le_bytes());
    to.extend(value);
    pad(to);
}

fn end_of_options(to: &mut Vec<u8>) {
    to.extend([0; 4]);
}

fn pad(to: &mut Vec<u8>) {
    to.resize(to.len().next_multiple_of(4), 0);
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map_while(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use link::{Channel, DropCause, Fate, Timestamp};

    fn records() -> Vec<FateRecord> {
        let channel = Channel { state: Some(State::Bad), row: None };
        let dropped = Fate::Dropped { cause: DropCause::GeBad, channel };
        let delivered = Fate::Delivered {
            at: Timestamp::from_millis(25),
            corrupted: false,
            copy: None,
            channel: Channel { state: Some(State::Good), row: None },
        };
        // A UDP datagram of four bytes, 198.18.0.1:4000 to 198.18.0.2:4000 (RFC 791, RFC 768).
        let head = "4500002000000000401100 00c6120001c61200020fa00fa0000c000001020304".replace(' ', "");
        let mut late = FateRecord::new(1, Direction::Forward, Timestamp::from_millis(5), 32, &delivered);
        late.actual_ns = Some(Timestamp(25_004_000));
        let mut lost = FateRecord::new(0, Direction::Reverse, Timestamp::from_millis(4), 1200, &dropped);
        for r in [&mut late, &mut lost] {
            r.head = Some(head.clone());
        }
        vec![late, lost]
    }

    #[test]
    fn comments_say_what_became_of_a_packet() {
        let [late, lost] = &records()[..] else { panic!("two records") };
        assert_eq!(comment(late), "#1 delivered after 20.000000 ms, 4000 ns late, state good");
        assert_eq!(comment(lost), "#0 dropped (ge_bad), state bad");
    }

    #[test]
    fn blocks_have_their_length_at_both_ends() {
        let mut file = Vec::new();
        write(&mut file, &records(), 1_700_000_000_000_000_000).expect("memory");
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
        let (mut at, mut kinds) = (0, Vec::new());
        while at < file.len() {
            let length = word(at + 4) as usize;
            assert_eq!((length % 4, word(at + length - 4) as usize), (0, length));
            kinds.push(word(at));
            at += length;
        }
        assert_eq!(kinds, [SECTION_HEADER, 1, 1, ENHANCED_PACKET, ENHANCED_PACKET]);
    }

    #[test]
    fn tshark_reads_every_packet_and_comment() {
        let mut file = tempfile::NamedTempFile::with_suffix(".pcapng").expect("a temporary file");
        write(file.as_file_mut(), &records(), 1_700_000_000_000_000_000).expect("a file");
        let fields = [
            "frame.time_epoch",
            "frame.interface_name",
            "frame.len",
            "ip.src",
            "udp.dstport",
            "frame.comment",
        ];
        let mut tshark = std::process::Command::new("tshark");
        tshark.args(["-n", "-r"]).arg(file.path()).args(["-T", "fields"]);
        for field in fields {
            tshark.args(["-e", field]);
        }
        let output = match tshark.output() {
            Ok(output) if output.status.success() => output,
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(e) => return testing::skip!("tshark", "{e}"),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();
        assert_eq!(
            lines,
            [
                vec![
                    "1700000000.004000000",
                    "reverse",
                    "1200",
                    "198.18.0.1",
                    "4000",
                    "#0 dropped (ge_bad), state bad"
                ],
                vec![
                    "1700000000.005000000",
                    "forward",
                    "32",
                    "198.18.0.1",
                    "4000",
                    "#1 delivered after 20.000000 ms, 4000 ns late, state good"
                ],
            ]
        );
    }
}
