//! Repair bytes of the block codes, for fixed inputs: what peers in the field would see on the wire.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use sut_core::fec::streaming::{Config, Encoder, Quality};
use sut_core::fec::{FecError, ReedSolomon, Zfec};
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of each symbol.
const SYMBOL: usize = 16;

/// `repair/<code>.txt` for each code: the shapes that ReVo's I-frames take (n = k + ceil(k/2)) and a wide one.
///
/// # Errors
/// A code that refuses a shape inside its bounds.
pub fn repair_texts() -> Result<BTreeMap<String, String>, FecError> {
    let mut texts = BTreeMap::new();
    texts.insert("repair/zfec.txt".to_owned(), text(|k, n| Ok(Zfec::new(k, n)?.parity(&slices(&data(k)))))?);
    texts.insert(
        "repair/reed-solomon.txt".to_owned(),
        text(|k, n| Ok(ReedSolomon::new(k, n)?.parity(&slices(&data(k)))))?,
    );
    texts.insert("repair/tambur.txt".to_owned(), tambur()?);
    Ok(texts)
}

/// Packets of Tambur's streaming code for ten frames of very different sizes, by their hashes: its symbols
/// are too long to be printed.
fn tambur() -> Result<String, FecError> {
    let mut text = String::from(
        "# frame, packet, bytes, XXH3-128 of the packet; byte j of frame f is (31 f + 7 j + j / 251) mod 256, half as much parity as data\n",
    );
    let mut encoder = Encoder::new(Config::TAMBUR)?;
    for (frame, len) in [
        (0u32, 9000usize),
        (1, 1),
        (2, 300),
        (3, 2500),
        (4, 0),
        (5, 1279),
        (6, 1280),
        (7, 1281),
        (8, 5000),
        (9, 800),
    ] {
        let bytes: Vec<u8> = (0..len).map(|j| (31 * frame as usize + 7 * j + j / 251) as u8).collect();
        for (i, packet) in encoder.encode(frame, frame == 0, &bytes, Quality::Half)?.iter().enumerate() {
            let _ = writeln!(text, "{frame} {i} {} {:032x}", packet.len(), xxh3_128(packet));
        }
    }
    Ok(text)
}

fn text(parity: impl Fn(usize, usize) -> Result<Vec<Vec<u8>>, FecError>) -> Result<String, FecError> {
    let mut text = format!(
        "# k, n, repair symbol of {SYMBOL} bytes in hex; byte j of source symbol i is (31 i + 7 j + i j + 1) mod 256\n"
    );
    for k in (1..=12usize).chain([64, 170]) {
        let n = k + k.div_ceil(2);
        for (i, symbol) in parity(k, n)?.iter().enumerate() {
            let hex: String = symbol.iter().map(|b| format!("{b:02x}")).collect();
            let _ = writeln!(text, "{k} {n} {} {hex}", k + i);
        }
    }
    Ok(text)
}

fn data(k: usize) -> Vec<Vec<u8>> {
    (0..k).map(|i| (0..SYMBOL).map(|j| (31 * i + 7 * j + i * j + 1) as u8).collect()).collect()
}

fn slices(data: &[Vec<u8>]) -> Vec<&[u8]> {
    data.iter().map(Vec::as_slice).collect()
}
