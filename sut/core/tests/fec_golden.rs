//! Repair bytes and packet layouts, exact. They change only with a format; `cargo insta review` shows how.

use std::fmt::Write;
use sut_core::fec::flexfec::{self, Format};
use sut_core::fec::streaming::{Config, Encoder, Header as Fec, Quality, Scheme};
use sut_core::fec::{ReedSolomon, Zfec, ulpfec};
use sut_core::packetize::rtp::Packetizer;
use sut_core::rtp::Header;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

fn bytes(seed: u32, length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|i| {
            (seed.wrapping_mul(2_654_435_761).wrapping_add(i.wrapping_mul(i).wrapping_mul(97)) >> 7) as u8
        })
        .collect()
}

#[test]
fn block_codes() {
    let mut out = String::new();
    for (k, n) in [(2, 3), (3, 5), (5, 8)] {
        let data: Vec<Vec<u8>> = (0..k as u32).map(|i| bytes(i, 8)).collect();
        let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        for (name, parity) in [
            ("zfec", Zfec::new(k, n).unwrap().parity(&data)),
            ("reed-solomon", ReedSolomon::new(k, n).unwrap().parity(&data)),
        ] {
            let parity: Vec<String> = parity.iter().map(|p| hex(p)).collect();
            writeln!(out, "{name} ({k}, {n})  {}", parity.join(" ")).unwrap();
        }
    }
    insta::assert_snapshot!(out);
}

#[test]
fn repair_packets_over_rtp() {
    let mut packetizer = Packetizer { ssrc: 7, payload_type: 96, max_packet: 40, fps: 30, sequence: 65_533 };
    let media = packetizer.packets(3, 3, &bytes(1, 130));
    let mut out = String::new();
    for packet in &media {
        writeln!(out, "media    {}", hex(packet)).unwrap();
    }
    for payload in ulpfec::protect(&media, 3) {
        writeln!(out, "ulpfec   {}", hex(&payload)).unwrap();
    }
    for payload in flexfec::protect(Format::Draft03, &media, 3) {
        writeln!(out, "draft 03 {}", hex(&payload)).unwrap();
    }
    for payload in flexfec::protect(Format::Rfc8627, &media, 3) {
        writeln!(out, "rfc 8627 {}", hex(&payload)).unwrap();
    }
    insta::assert_snapshot!(out);
}

#[test]
fn long_masks() {
    let mut packetizer = Packetizer { ssrc: 7, payload_type: 96, max_packet: 20, fps: 30, sequence: 10 };
    let media = packetizer.packets(0, 0, &bytes(1, 4 * 60));
    let mut out = format!("{} media packets\n", media.len());
    for format in [Format::Draft03, Format::Rfc8627] {
        for payload in flexfec::protect(format, &media, 4) {
            writeln!(out, "{format:?} {}", hex(&payload)).unwrap();
        }
    }
    for payload in ulpfec::protect(&media[..48], 5) {
        writeln!(out, "Ulpfec {}", hex(&payload)).unwrap();
    }
    insta::assert_snapshot!(out);
}

#[test]
fn streaming_ladder() {
    let mut out = String::new();
    for (scheme, tau) in [(Scheme::Streaming, 3), (Scheme::PerFrame, 0), (Scheme::PerBlock, 3)] {
        writeln!(out, "{scheme:?}").unwrap();
        let mut encoder = Encoder::new(Config { scheme, tau, stripes_per_packet: 5 }).unwrap();
        for (i, length) in [5000, 900, 700, 1100, 300, 20_000, 800, 10].into_iter().enumerate() {
            for packet in encoder.encode(i as u32, i == 0, &bytes(i as u32, length), Quality::Half).unwrap() {
                let (header, stripes) = Fec::parse(&packet).unwrap();
                let kind = if header.parity { "parity" } else { "data  " };
                let sum = stripes.iter().fold(0u32, |s, b| s.rotate_left(5) ^ u32::from(*b));
                writeln!(
                    out,
                    "> video {i} fec {} {kind} seq {} pos {} stripe {} + {} sizes {:?} sum {sum:08x}",
                    header.frame,
                    header.sequence,
                    header.position,
                    header.first_stripe,
                    stripes.len() / 256,
                    header.sizes
                )
                .unwrap();
            }
        }
    }
    insta::assert_snapshot!(out);
}

#[test]
fn rtp_ladder() {
    let mut packetizer = Packetizer { ssrc: 7, payload_type: 96, max_packet: 1200, fps: 30, sequence: 0 };
    let mut out = String::new();
    for (frame, length) in [8000, 900, 1300, 0].into_iter().enumerate() {
        for packet in packetizer.packets(frame as u32, frame as u32, &bytes(frame as u32, length)) {
            let (h, payload) = Header::parse(&packet).unwrap();
            let (sequence, timestamp) = (h.sequence, h.timestamp);
            let (marker, descriptor) = (u8::from(h.marker), hex(&payload[..4]));
            writeln!(out, "> {sequence} ts {timestamp} m {marker} {descriptor} + {}", payload.len() - 4)
                .unwrap();
        }
    }
    insta::assert_snapshot!(out);
}
