//! Erasure codes against programs nobody here wrote: Python's zfec package, the `rtc` crate's FlexFEC, GStreamer's
//! ULPFEC. An outside program that is not installed skips its test; `./setup --for interop` installs them.

use rtc_interceptor::{FlexFec03Decoder, FlexFec03Encoder};
use rtc_shared::marshal::{Marshal, Unmarshal};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use sut_core::fec::flexfec::{self, Format};
use sut_core::fec::xor::XorDecoder;
use sut_core::fec::{Zfec, ulpfec};
use sut_core::packetize::rtp::Packetizer;
use sut_core::rtp::{Header, red};
use testing::skip;

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| ((seed + 1).wrapping_mul(2_654_435_761).wrapping_add(i * i * 97) >> 7) as u8)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Python with the zfec package, if there is one: `FREEZEFRAME_PYTHON`, that of `./setup --for interop`, or `python3`.
fn python_with_zfec() -> Option<OsString> {
    let cache = std::env::var_os("FREEZEFRAME_CACHE").map(PathBuf::from).or_else(|| {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
        let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        Some(caches.join("freezeframe"))
    });
    let own = cache.map(|c| c.join("zfec/bin/python").into_os_string());
    let pythons = [std::env::var_os("FREEZEFRAME_PYTHON"), own, Some("python3".into())];
    pythons.into_iter().flatten().find(|python| {
        let found = Command::new(python).args(["-c", "import zfec"]).stderr(Stdio::null()).status();
        found.is_ok_and(|s| s.success())
    })
}

#[test]
fn zfec_parity_and_decoding_are_those_of_the_python_package() {
    let Some(python) = python_with_zfec() else {
        return skip!("zfec", "python3 has no zfec package");
    };
    let script = r#"
import sys, zfec
for line in sys.stdin:
    k, n, keep, *data = line.split()
    k, n = int(k), int(n)
    data = [bytes.fromhex(d) for d in data]
    blocks = zfec.Encoder(k, n).encode(data)
    keep = [int(i) for i in keep.split(",")]
    assert [bytes(b) for b in zfec.Decoder(k, n).decode([blocks[i] for i in keep], keep)] == data
    print(" ".join(bytes(b).hex() for b in blocks[k:]))
"#;
    let shapes: Vec<(usize, usize)> = (1..=40usize)
        .map(|k| (k, k + k.div_ceil(2)))
        .chain([(100, 150), (170, 255), (3, 256), (128, 256)])
        .collect();
    let (mut input, mut expected) = (String::new(), Vec::new());
    for &(k, n) in &shapes {
        let data: Vec<Vec<u8>> = (0..k).map(|i| bytes(i * 31 + n, 33)).collect();
        let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let parity = Zfec::new(k, n).unwrap().parity(&slices);
        // The last k blocks, primary ones in their own places as the package wants them.
        let mut keep: Vec<usize> = (n - k..n).collect();
        for i in 0..k {
            if keep[i] < k && keep[i] != i {
                let to = keep[i];
                keep.swap(i, to);
            }
        }
        let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
        let data: Vec<String> = data.iter().map(|d| hex(d)).collect();
        input += &format!("{k} {n} {} {}\n", keep.join(","), data.join(" "));
        expected.push(parity.iter().map(|p| hex(p)).collect::<Vec<_>>().join(" "));
    }
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the package could not decode its own blocks as expected");
    let lines: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    for ((shape, got), expected) in shapes.iter().zip(&lines).zip(&expected) {
        assert_eq!(got, expected, "{shape:?}");
    }
    assert_eq!(lines.len(), shapes.len());
}

const MEDIA: u32 = 0x1234_5678;
const REPAIR: u32 = 0x8765_4321;

fn media(count: usize) -> Vec<Vec<u8>> {
    let sequence = 65_533;
    let mut packetizer = Packetizer { ssrc: MEDIA, payload_type: 96, max_packet: 200, fps: 30, sequence };
    let mut packets: Vec<Vec<u8>> = (0..)
        .flat_map(|f| packetizer.packets(f, f, &bytes(f as usize, 150 + 97 * (f as usize % 7))))
        .take(count)
        .collect();
    packets.truncate(count);
    packets
}

fn theirs(packet: &[u8]) -> rtc_rtp::Packet {
    rtc_rtp::Packet::unmarshal(&mut &packet[..]).expect("an RTP packet")
}

#[test]
fn our_flexfec_03_is_understood_by_the_rtc_crate() {
    for (count, repair) in [(1, 1), (4, 2), (7, 3), (12, 6), (16, 4), (48, 12), (100, 10)] {
        let media = media(count);
        for lost in 0..count {
            let mut decoder = FlexFec03Decoder::new(REPAIR, MEDIA);
            let mut back = Vec::new();
            for (_, packet) in media.iter().enumerate().filter(|(i, _)| *i != lost) {
                back.extend(decoder.decode(theirs(packet)));
            }
            for (i, payload) in flexfec::protect(Format::Draft03, &media, repair).iter().enumerate() {
                let header =
                    Header { payload_type: 49, sequence: i as u16, ssrc: REPAIR, ..Header::default() };
                back.extend(decoder.decode(theirs(&header.packet(payload))));
            }
            assert_eq!(back.len(), 1, "{lost} of {count} with {repair}");
            assert_eq!(back[0].marshal().unwrap()[..], media[lost][..], "{lost} of {count} with {repair}");
        }
    }
}

#[test]
fn the_rtc_crates_flexfec_03_is_understood_by_us() {
    for (count, repair) in [(1, 1), (4, 2), (7, 3), (12, 6), (16, 4), (48, 12), (100, 10)] {
        let media = media(count);
        let all: Vec<rtc_rtp::Packet> = media.iter().map(|p| theirs(p)).collect();
        let repairs = FlexFec03Encoder::new(49, REPAIR).encode(&all, repair);
        assert!(!repairs.is_empty());
        for lost in 0..count {
            let mut decoder = XorDecoder::default();
            let mut back = Vec::new();
            for (_, packet) in media.iter().enumerate().filter(|(i, _)| *i != lost) {
                back.extend(decoder.media(packet));
            }
            for packet in &repairs {
                back.extend(decoder.repair(flexfec::parse(Format::Draft03, 0, &packet.payload).unwrap()));
            }
            assert_eq!(back, [media[lost].clone()], "{lost} of {count} with {repair}");
        }
    }
}

/// Feeds hex lines to tests/interop/gst_ulpfec.py; `None` if GStreamer or its Python binding is not installed.
fn gstreamer(mode: &str, packets: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let quiet = |program: &str, argument: &str| {
        let mut command = Command::new(program);
        command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|s| s.success())
    };
    let binding = "import gi; gi.require_version('GstApp', '1.0'); from gi.repository import GstApp";
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", binding]).stderr(Stdio::null());
    if !quiet("gst-inspect-1.0", "rtpulpfecdec") || !python.status().is_ok_and(|s| s.success()) {
        skip!("gstreamer", "GStreamer's RTP elements or python3-gi are not installed");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/gst_ulpfec.py");
    let mut child = Command::new("/usr/bin/python3")
        .args([script, mode])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input: String = packets.iter().map(|p| format!("{}\n", hex(p))).collect();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(
        text.lines()
            .map(|l| (0..l.len()).step_by(2).map(|i| u8::from_str_radix(&l[i..i + 2], 16).unwrap()).collect())
            .collect(),
    )
}

fn in_red(packet: &[u8], block: u8) -> Vec<u8> {
    let (header, payload) = Header::parse(packet).unwrap();
    Header { payload_type: 97, ..header }.packet(&red::wrap(block, payload))
}

#[test]
fn our_ulpfec_in_red_is_decoded_by_gstreamer() {
    // Blocks of six media and three repair packets; one or two neighbours of each block are lost.
    let mut packetizer =
        Packetizer { ssrc: MEDIA, payload_type: 96, max_packet: 200, fps: 30, sequence: 65_500 };
    let (mut sent, mut media) = (Vec::new(), Vec::new());
    for frame in 0..20 {
        let packets = packetizer.packets(frame, frame, &bytes(frame as usize, 1000));
        assert_eq!(packets.len(), 6);
        let lost = frame as usize % 6;
        let two = frame % 2;
        let gone = |i: usize| frame > 0 && (i == lost || (two == 1 && i == (lost + 1) % 6));
        sent.extend(packets.iter().enumerate().filter(|(i, _)| !gone(*i)).map(|(_, p)| in_red(p, 96)));
        for payload in ulpfec::protect(&packets, 3) {
            let header = Header {
                payload_type: 97,
                sequence: packetizer.next_sequence(),
                timestamp: 3000 * frame,
                ssrc: MEDIA,
                ..Header::default()
            };
            sent.push(header.packet(&red::wrap(98, &payload)));
        }
        media.extend(packets);
    }
    let Some(got) = gstreamer("decode", &sent) else { return };
    // The element numbers its packets anew; everything else is as it was sent.
    let unnumbered = |p: &Vec<u8>| [&p[..2], &p[4..]].concat();
    let got: Vec<Vec<u8>> = got.iter().map(unnumbered).collect();
    let missing = media.iter().filter(|m| !got.contains(&unnumbered(m))).count();
    assert_eq!(missing, 0, "of {} media packets; {} came out", media.len(), got.len());
}

#[test]
fn gstreamers_ulpfec_in_red_is_decoded_by_us() {
    let media = media(60);
    let Some(stream) = gstreamer("encode", &media) else { return };
    let (mut sources, mut repairs) = (Vec::new(), Vec::new());
    for packet in &stream {
        let (header, payload) = Header::parse(packet).expect("RTP");
        match red::unwrap(payload) {
            Some((98, payload)) => repairs.push(ulpfec::parse(MEDIA, payload).expect("ULPFEC")),
            Some((96, payload)) => sources.push(Header { payload_type: 96, ..header }.packet(payload)),
            other => panic!("an unexpected block: {other:?}"),
        }
    }
    assert_eq!(sources.len(), media.len());
    assert!(repairs.len() >= 10, "only {} repair packets", repairs.len());
    let mut repaired = 0;
    for lost in 0..sources.len() {
        let mut decoder = XorDecoder::default();
        let mut back = Vec::new();
        for (_, packet) in sources.iter().enumerate().filter(|(i, _)| *i != lost) {
            back.extend(decoder.media(packet));
        }
        for repair in &repairs {
            back.extend(decoder.repair(repair.clone()));
        }
        assert!(back.iter().all(|p| *p == sources[lost]), "packet {lost} came back changed");
        repaired += back.len();
    }
    assert!(repaired * 10 >= sources.len() * 9, "only {repaired} of {} came back", sources.len());
}
