//! `just bench-fec`: megabytes of source per second, encoding and decoding, for every code, with 1 KiB symbols and
//! 50 % redundancy, beside `reed-solomon-simd`, `reed-solomon-erasure` and Python's `zfec` in one run.
//!
//! Decoding has as many losses as the block can stand, all among the source symbols. Each figure is the best of
//! several runs of at least 20 ms of processor time, so that neighbours on a busy machine count as little as can be.
//! Arguments: only rows whose names contain one of them.

use nix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;
use sut_core::fec::flexfec::{self, Format};
use sut_core::fec::gf256::{self, Kernel};
use sut_core::fec::streaming::{Config, Decoder, Encoder, Quality, Scheme};
use sut_core::fec::xor::XorDecoder;
use sut_core::fec::{ReedSolomon, Zfec, gf32, ulpfec};
use sut_core::rtp::Header;

const SYMBOL: usize = 1024;
const SHAPES: [usize; 7] = [4, 8, 16, 32, 64, 128, 170];

fn main() {
    println!("kernels: GF(2^8) {:?}, GF(2^32) {:?}", Kernel::available()[0], gf32::Kernel::available()[0]);
    println!("MB/s of source, encode / decode, 1 KiB symbols, n = ceil(1.5 k)\n");
    println!("{:<26}{}", "k", SHAPES.map(|k| format!("{k:>16}")).concat());
    row("zfec", |k| Some(block(k, true)));
    row("reed-solomon", |k| Some(block(k, false)));
    for &kernel in Kernel::available() {
        row(&format!("  kernel {kernel:?}, encode"), |k| Some((kernel_speed(kernel, k), None)));
    }
    row("reed-solomon-simd 3", |k| Some(rs_simd(k)));
    row("reed-solomon-erasure 6", |k| Some(rs_erasure(k)));
    row("python zfec", python);
    row("tambur, per frame", |k| (k <= 15).then(|| streaming(k, Scheme::PerFrame, 0)));
    row("tambur, streaming tau 3", |k| (k <= 15).then(|| streaming(k, Scheme::Streaming, 3)));
    row("ulpfec", |k| (k <= 48).then(|| xor(k, true)));
    row("flexfec-03", |k| (k <= 109).then(|| xor(k, false)));
}

type Speed = (f64, Option<f64>);

fn row(name: &str, speed: impl Fn(usize) -> Option<Speed>) {
    if std::env::args().len() > 1 && !std::env::args().skip(1).any(|part| name.contains(&part)) {
        return;
    }
    let cell = |k| match speed(k) {
        Some((encode, Some(decode))) => format!("{:>16}", format!("{encode:.0} / {decode:.0}")),
        Some((encode, None)) => format!("{:>16}", format!("{encode:.0}")),
        None => format!("{:>16}", "-"),
    };
    println!("{name:<26}{}", SHAPES.map(cell).concat());
}

/// Megabytes per second of something that takes `bytes` of source.
fn speed(bytes: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let (start, mut runs) = (now(), 0);
        let spent = loop {
            // Several at a time: asking for the time is not free.
            for _ in 0..8 {
                work();
            }
            runs += 8;
            let spent = now().saturating_sub(start);
            if spent >= Duration::from_millis(20) {
                break spent;
            }
        };
        best = best.min(spent.as_secs_f64() / f64::from(runs));
    }
    bytes as f64 / best / 1e6
}

/// Processor time of this thread.
#[expect(clippy::disallowed_methods, reason = "a benchmark asks the clock")]
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has a clock").into()
}

fn symbols(k: usize) -> Vec<Vec<u8>> {
    (0..k).map(|i| (0..SYMBOL).map(|j| (i * 131 + j * j * 7 + (j >> 3)) as u8).collect()).collect()
}

fn block(k: usize, zfec: bool) -> Speed {
    let (n, data) = (k + k.div_ceil(2), symbols(k));
    let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let (zfec_code, rs_code) = (Zfec::new(k, n).expect("a code"), ReedSolomon::new(k, n).expect("a code"));
    let code = if zfec { &*zfec_code } else { &*rs_code };
    let mut parity = vec![vec![0; SYMBOL]; n - k];
    let encode = speed(k * SYMBOL, || {
        let mut out: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        code.parity_into(black_box(&slices), &mut out).expect("a parity");
    });
    let late: Vec<(usize, &[u8])> =
        (n - k..n).map(|i| (i, if i < k { data[i].as_slice() } else { parity[i - k].as_slice() })).collect();
    let decode = speed(k * SYMBOL, || {
        black_box(code.decode(black_box(&late)).expect("enough symbols"));
    });
    (encode, Some(decode))
}

fn kernel_speed(kernel: Kernel, k: usize) -> f64 {
    let (n, data) = (k + k.div_ceil(2), symbols(k));
    let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let code = Zfec::new(k, n).expect("a code");
    let mut parity = vec![vec![0; SYMBOL]; n - k];
    speed(k * SYMBOL, || {
        let mut out: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        gf256::combine_with(kernel, code.matrix(), black_box(&slices), &mut out);
    })
}

fn rs_simd(k: usize) -> Speed {
    let (m, data) = (k.div_ceil(2), symbols(k));
    let mut encoder = reed_solomon_simd::ReedSolomonEncoder::new(k, m, SYMBOL).expect("a code");
    let mut parity: Vec<Vec<u8>> = Vec::new();
    let encode = speed(k * SYMBOL, || {
        for symbol in &data {
            encoder.add_original_shard(symbol).expect("a symbol");
        }
        let result = encoder.encode().expect("a parity");
        parity = result.recovery_iter().map(<[u8]>::to_vec).collect();
    });
    let mut decoder = reed_solomon_simd::ReedSolomonDecoder::new(k, m, SYMBOL).expect("a code");
    let decode = speed(k * SYMBOL, || {
        for (i, symbol) in data.iter().enumerate().skip(m) {
            decoder.add_original_shard(i, symbol).expect("a symbol");
        }
        for (i, symbol) in parity.iter().enumerate() {
            decoder.add_recovery_shard(i, symbol).expect("a symbol");
        }
        let result = decoder.decode().expect("enough symbols");
        black_box(result.restored_original_iter().map(|(_, s)| s.to_vec()).collect::<Vec<_>>());
    });
    (encode, Some(decode))
}

fn rs_erasure(k: usize) -> Speed {
    let m = k.div_ceil(2);
    let code = reed_solomon_erasure::galois_8::ReedSolomon::new(k, m).expect("a code");
    let data = symbols(k);
    let mut parity = vec![vec![0; SYMBOL]; m];
    let encode = speed(k * SYMBOL, || code.encode_sep(black_box(&data), &mut parity).expect("a parity"));
    let decode = speed(k * SYMBOL, || {
        let mut all: Vec<Option<Vec<u8>>> = data.iter().chain(&parity).cloned().map(Some).collect();
        all[..m].fill(None);
        code.reconstruct_data(&mut all).expect("enough symbols");
        black_box(all);
    });
    (encode, Some(decode))
}

/// The `zfec` package, timed in its own process.
fn python(k: usize) -> Option<Speed> {
    let python = std::env::var("FREEZEFRAME_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = format!(
        r"
import time, zfec
k, n, size = {k}, {n}, {SYMBOL}
data = [bytes((i * 131 + j * 7) & 255 for j in range(size)) for i in range(k)]
enc, dec = zfec.Encoder(k, n), zfec.Decoder(k, n)
blocks = enc.encode(data)
keep = list(range(n - k, n))
for i in range(k):
    if keep[i] < k and keep[i] != i:
        j = keep[i]; keep[i], keep[j] = keep[j], keep[i]
have = [blocks[i] for i in keep]
def speed(work):
    best = 1e9
    for _ in range(5):
        start, runs = time.thread_time(), 0
        while time.thread_time() - start < 0.02:
            work(); runs += 1
        best = min(best, (time.thread_time() - start) / runs)
    return k * size / best / 1e6
print(speed(lambda: enc.encode(data)), speed(lambda: dec.decode(have, keep)))
",
        n = k + k.div_ceil(2)
    );
    let output = Command::new(python).args(["-c", &script]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (encode, decode) = text.trim().split_once(' ')?;
    Some((encode.parse().ok()?, decode.parse().ok()))
}

/// Video frames of `k` KiB.
fn streaming(k: usize, scheme: Scheme, tau: u64) -> Speed {
    let frame: Vec<u8> = symbols(k).concat();
    let config = Config { scheme, tau, stripes_per_packet: 5 };
    let mut encoder = Encoder::new(config).expect("a code");
    let mut number = 0;
    let encode = speed(frame.len(), || {
        black_box(encoder.encode(number, false, &frame, Quality::Half).expect("packets"));
        number += 1;
    });
    // A quarter of each frame is lost.
    let mut encoder = Encoder::new(config).expect("a code");
    let count = 64;
    let packets: Vec<Vec<u8>> = (0..count)
        .flat_map(|i| {
            let packets = encoder.encode(i, false, &frame, Quality::Half).expect("packets");
            let lost = packets.len() / 6;
            packets.into_iter().skip(lost)
        })
        .collect();
    let decode = speed(frame.len() * count as usize, || {
        let mut decoder = Decoder::new(config).expect("a code");
        let got: usize = packets.iter().map(|p| decoder.push(p).map_or(0, |f| f.len())).sum();
        black_box(got);
    });
    (encode, Some(decode))
}

fn xor(k: usize, ulp: bool) -> Speed {
    let media: Vec<Vec<u8>> = symbols(k)
        .iter()
        .enumerate()
        .map(|(i, s)| Header { payload_type: 96, sequence: i as u16, ssrc: 1, ..Header::default() }.packet(s))
        .collect();
    let repair = k.div_ceil(2);
    let protect = || {
        if ulp { ulpfec::protect(&media, repair) } else { flexfec::protect(Format::Draft03, &media, repair) }
    };
    let encode = speed(k * SYMBOL, || {
        black_box(protect());
    });
    let parse = |p: &Vec<u8>| if ulp { ulpfec::parse(1, p) } else { flexfec::parse(Format::Draft03, 1, p) };
    let repairs: Vec<_> = protect().iter().filter_map(|p| parse(p).ok()).collect();
    let decode = speed(k * SYMBOL, || {
        let mut decoder = XorDecoder::default();
        let mut got = 0;
        for packet in media.iter().skip(k / 4) {
            got += decoder.media(packet).len();
        }
        for repair in &repairs {
            got += decoder.repair(repair.clone()).len();
        }
        black_box(got);
    });
    (encode, Some(decode))
}
