//! `just bench-fec-recovery`: frames that do not come back, at equal redundancy and on the same losses, for Tambur's
//! streaming code, Reed-Solomon per frame and per block, ULPFEC and FlexFEC.
//!
//! Losses: the Gilbert-Elliott channels of the papers (good to bad 0.068, bad to good 0.852, loss 0.04 in good and
//! 0.25, 0.5, 0.75 in bad), the state stepping once per video frame (Tambur) or per packet (netem). All codes meet
//! the same states. Frames of 320 kbit/s at 30 per second with 50 % redundancy, and of four times that.

use sut_core::fec::protection::{Config as Rules, Controller, Protection, Rules as BlockRules};
use sut_core::fec::streaming::{Config, Decoder, Encoder, Quality, Scheme};
use sut_core::fec::ulpfec;
use sut_core::fec::xor::XorDecoder;
use sut_core::packetize::rtp::{Assembler, Packetizer};
use sut_core::rtp::Header;

const FRAMES: u32 = 4_000;

/// A generator of uniform numbers below 1.
struct Random(link::SplitMix64);

impl Random {
    fn next(&mut self) -> f64 {
        (self.0.word() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The channel. States and losses have generators of their own, so that codes that send different numbers of
/// packets meet the same states.
struct Channel {
    states: Random,
    losses: Random,
    bad: bool,
    loss_in_bad: f64,
    per_frame: bool,
}

impl Channel {
    fn new(loss_in_bad: f64, per_frame: bool) -> Self {
        Channel {
            states: Random(link::SplitMix64::new(1)),
            losses: Random(link::SplitMix64::new(2)),
            bad: false,
            loss_in_bad,
            per_frame,
        }
    }

    fn step(&mut self) {
        let p = if self.bad { 0.852 } else { 0.068 };
        self.bad ^= self.states.next() < p;
    }

    fn frame(&mut self) {
        if self.per_frame {
            self.step();
        }
    }

    fn loses(&mut self) -> bool {
        if !self.per_frame {
            self.step();
        }
        self.losses.next() < if self.bad { self.loss_in_bad } else { 0.04 }
    }
}

/// Sizes around `mean` bytes, the same for every code.
fn size(frame: u32, mean: usize) -> usize {
    let r = Random(link::SplitMix64::new(u64::from(frame) + 1000)).next();
    (mean as f64 * (0.5 + r)) as usize
}

fn content(frame: u32, mean: usize) -> Vec<u8> {
    (0..size(frame, mean)).map(|i| (i as u32 ^ frame.wrapping_mul(77)) as u8).collect()
}

/// Percent of frames that do not come back within three frames, and parity per data in percent.
fn streaming(scheme: Scheme, tau: u64, mean: usize, mut channel: Channel) -> (f64, f64) {
    let config = Config { scheme, tau, stripes_per_packet: 5 };
    let (mut encoder, mut decoder) =
        (Encoder::new(config).expect("a code"), Decoder::new(config).expect("a code"));
    let (mut back, mut data, mut parity) = (0, 0, 0);
    for frame in 0..FRAMES {
        channel.frame();
        for packet in encoder.encode(frame, false, &content(frame, mean), Quality::Half).expect("packets") {
            let is_parity = packet[4] & 0x80 != 0;
            *(if is_parity { &mut parity } else { &mut data }) += packet.len();
            if !channel.loses() {
                for got in decoder.push(&packet).expect("our own packet") {
                    assert_eq!(got.bytes, content(got.video_frame, mean));
                    back += 1;
                }
            }
        }
    }
    (100.0 - 100.0 * f64::from(back) / f64::from(FRAMES), 100.0 * parity as f64 / data as f64)
}

/// The same for the exclusive-or codes, whose blocks close by libwebrtc's rules.
fn xor(mean: usize, mut channel: Channel) -> (f64, f64) {
    let block_rules = BlockRules::FecAndNack;
    let rules =
        Rules { protection: Protection::Fixed, percent: 50, rules: block_rules, fps: 30, pixels: 512 * 512 };
    let mut controller = Controller::new(rules);
    controller.round_trip(std::time::Duration::from_millis(40));
    let mut packetizer = Packetizer { ssrc: 1, payload_type: 96, max_packet: 1200, fps: 30, sequence: 0 };
    let (mut decoder, mut assembler) = (XorDecoder::default(), Assembler::default());
    let (mut block, mut back, mut data, mut parity) = (Vec::new(), 0, 0, 0);
    for frame in 0..FRAMES {
        channel.frame();
        let packets = packetizer.packets(frame, frame, &content(frame, mean));
        let mut arrived = Vec::new();
        for packet in &packets {
            data += packet.len();
            if !channel.loses() {
                arrived.push((packet.clone(), false));
                arrived.extend(decoder.media(packet).into_iter().map(|p| (p, true)));
            }
        }
        block.extend(packets.iter().cloned());
        if let Some(repair) = controller.frame(mean, packets.len(), block.len(), false, 128) {
            for payload in ulpfec::protect(&block, repair) {
                packetizer.next_sequence();
                parity += payload.len() + 12;
                if !channel.loses() {
                    let repair = ulpfec::parse(1, &payload).expect("our own packet");
                    arrived.extend(decoder.repair(repair).into_iter().map(|p| (p, true)));
                }
            }
            block.clear();
        }
        for (packet, recovered) in arrived {
            let Some((header, payload)) = Header::parse(&packet) else { continue };
            for got in assembler.push(&header, payload, recovered) {
                assert_eq!(got.bytes, content(got.picture, mean));
                back += 1;
            }
        }
    }
    (100.0 - 100.0 * f64::from(back) / f64::from(FRAMES), 100.0 * parity as f64 / data as f64)
}

fn main() {
    println!(
        "Frames that do not come back, percent of {FRAMES} (in brackets: parity bytes per data byte, percent)\n"
    );
    println!(
        "| frame | state steps per | loss in bad | streaming, tau 3 | RS per frame | RS per block of 4 | ULPFEC / FlexFEC |"
    );
    println!("|---|---|---|---|---|---|---|");
    for mean in [890, 3560] {
        for per_frame in [true, false] {
            for loss in [0.25, 0.5, 0.75] {
                let channel = || Channel::new(loss, per_frame);
                let cells = [
                    streaming(Scheme::Streaming, 3, mean, channel()),
                    streaming(Scheme::PerFrame, 0, mean, channel()),
                    streaming(Scheme::PerBlock, 3, mean, channel()),
                    xor(mean, channel()),
                ]
                .map(|(lost, parity)| format!(" {lost:.2} ({parity:.0}) |"))
                .concat();
                let step = if per_frame { "frame" } else { "packet" };
                println!("| {mean} B | {step} | {loss} |{cells}");
            }
        }
    }
}
