//! Targets for neural video streams: any bytes must decode to as many symbols as were asked for.

use crate::{Target, outcome_of};
use sut_core::rans::container::{Frame, ParameterSet, Reader, Writer};
use sut_core::rans::{FrameDecoder, FrameEncoder, Tables};

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "rans", seeds: rans_seeds, run: rans },
    Target { name: "dcvcrt-file", seeds: file_seeds, run: file },
];

/// Symbols of a plane; a 512x512 picture has 64 x 32 x 32 in each of its planes.
const SYMBOLS: usize = 64 * 32;

/// Rows of a plane: every distribution, wide and narrow ones side by side.
fn rows(salt: usize) -> impl ExactSizeIterator<Item = usize> {
    (0..SYMBOLS).map(move |i| (i * 37 + salt) % 128)
}

fn stream(two: bool, spread: i32) -> Vec<u8> {
    let tables = Tables::gaussian();
    let mut encoder = FrameEncoder::new(two);
    for plane in 0..2 {
        let value = |i: usize| i8::try_from((i as i32 * 73 + plane) % (2 * spread + 1) - spread).unwrap_or(0);
        encoder.plane(
            &tables,
            rows(plane as usize).enumerate().map(|(i, row)| (row, value(i))).collect::<Vec<_>>().into_iter(),
        );
    }
    encoder.finish()
}

/// The first byte chooses one or two coders.
fn rans_seeds() -> Vec<Vec<u8>> {
    [(0, 2), (1, 2), (0, 120), (1, 120)]
        .into_iter()
        .map(|(two, spread)| [vec![two], stream(two == 1, spread)].concat())
        .collect()
}

fn rans(input: &[u8]) -> u64 {
    let Some((&two, bytes)) = input.split_first() else { return 0 };
    let tables = Tables::gaussian();
    let mut decoder = FrameDecoder::new(bytes, two & 1 == 1);
    let mut escaped = 0;
    for plane in 0..2 {
        let values = decoder.plane(&tables, rows(plane));
        assert_eq!(values.len(), SYMBOLS);
        escaped += values.iter().filter(|v| v.unsigned_abs() > 8).count();
    }
    // Each coder may read a few bytes per symbol beyond its end, never more.
    assert!(decoder.bytes_read() <= 2 * bytes.len() + 8 * 2 * SYMBOLS + 64);
    u64::from(escaped.checked_ilog2().unwrap_or(0)) << 8 | u64::from(two & 1)
}

fn file_seeds() -> Vec<Vec<u8>> {
    let mut writer = Writer::default();
    for (i, from_picture) in [false, true, false].into_iter().enumerate() {
        let set = ParameterSet { height: 512, width: 512 + i as u32 * 16384, two: i == 2, from_picture };
        let stream = vec![i as u8; 100 * (i + 1)];
        let _ = writer.frame(&Frame { set, key: i == 0, qp: 31, stream: &stream });
    }
    vec![writer.bytes().to_vec()]
}

fn file(input: &[u8]) -> u64 {
    let mut reader = Reader::new(input);
    let mut frames = 0usize;
    loop {
        match reader.frame() {
            Ok(Some(_)) => frames += 1,
            other => return outcome_of(&other, |_| frames),
        }
        assert!(frames <= input.len(), "more frames than bytes");
    }
}
