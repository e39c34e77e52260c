//! NumPy's `.npy` files of one dimension: masks.

use anyhow::{Context as _, bail, ensure};
use std::path::Path;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Kinds of values that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values<'a> {
    /// 64-bit integers.
    Ints(&'a [i64]),
    /// Truth values.
    Bools(&'a [bool]),
    /// NumPy's `array([])`: no 64-bit floats.
    Nothing,
}

/// The file of values, byte by byte as NumPy 2 saves them.
#[must_use]
pub fn bytes(values: Values) -> Vec<u8> {
    let (kind, length, data): (_, _, Vec<u8>) = match values {
        Values::Ints(v) => ("<i8", v.len(), v.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Values::Bools(v) => ("|b1", v.len(), v.iter().map(|&b| u8::from(b)).collect()),
        Values::Nothing => ("<f8", 0, Vec::new()),
    };
    let mut header =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({length},), }}").into_bytes();
    // Room to grow in place, then to a multiple of 64 with a line end.
    header.resize(header.len() + 21usize.saturating_sub(length.to_string().len()), b' ');
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(b' ');
    }
    header.push(b'\n');
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header);
    out.extend(data);
    out
}

/// Reads a mask: whole numbers, floats or truth values, as whole numbers.
///
/// # Errors
/// A file that is not there, damaged, of more than one dimension, or of other values.
pub fn read(path: &Path) -> anyhow::Result<Vec<i64>> {
    let bytes = std::fs::read(path).with_context(|| format!("failed to read the mask {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} is no mask (a one-dimensional .npy file)", path.display()))
}

fn parse(bytes: &[u8]) -> anyhow::Result<Vec<i64>> {
    ensure!(bytes.get(..6) == Some(MAGIC), "it does not begin as a .npy file does");
    let version = *bytes.get(6).context("it is cut short")?;
    let wide = if version == 1 { 2 } else { 4 };
    let length = bytes.get(8..8 + wide).context("it is cut short")?;
    let length = length.iter().rev().fold(0usize, |n, &b| n << 8 | usize::from(b));
    let begin = 8 + wide;
    let header =
        begin.checked_add(length).and_then(|end| bytes.get(begin..end)).context("it is cut short")?;
    let header = std::str::from_utf8(header).context("its header is no text")?;
    let after = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let kind =
        after("descr").and_then(|r| r.strip_prefix('\'')?.split('\'').next()).context("it has no type")?;
    let shape =
        after("shape").and_then(|r| r.strip_prefix('(')?.split(')').next()).context("it has no shape")?;
    let sizes: Result<Vec<usize>, _> =
        shape.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::parse).collect();
    let [count] = sizes.context("its shape is damaged")?[..] else { bail!("its shape is ({shape})") };
    let data = &bytes[begin + length..];
    let size: usize = kind.get(2..).and_then(|s| s.parse().ok()).context("its type is damaged")?;
    ensure!(
        Some(data.len()) == count.checked_mul(size),
        "{count} values of {size} bytes, {} bytes of data",
        data.len()
    );
    let value: fn(&[u8]) -> i64 = match kind {
        "<i8" | "<u8" => |b| i64::from_le_bytes(b.try_into().expect("eight")),
        "<i4" => |b| i32::from_le_bytes(b.try_into().expect("four")).into(),
        "<u4" => |b| u32::from_le_bytes(b.try_into().expect("four")).into(),
        "<i2" => |b| i16::from_le_bytes(b.try_into().expect("two")).into(),
        "<u2" => |b| u16::from_le_bytes(b.try_into().expect("two")).into(),
        "|i1" => |b| (b[0] as i8).into(),
        "|u1" | "|b1" => |b| b[0].into(),
        "<f8" => |b| f64::from_le_bytes(b.try_into().expect("eight")).ceil() as i64,
        "<f4" => |b| f32::from_le_bytes(b.try_into().expect("four")).ceil() as i64,
        other => bail!("values of type {other} are not read; save them as int64"),
    };
    Ok(data.chunks_exact(size.max(1)).map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers by NumPy 2.1 (`np.save`).
    #[test]
    fn files_are_numpys_and_come_back() {
        let file = bytes(Values::Ints(&[0, 1, 2]));
        assert_eq!(file.len(), 128 + 24);
        assert_eq!(
            &file[..67],
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }"
        );
        assert_eq!((file[126], file[127]), (b' ', b'\n'));
        assert_eq!(parse(&file).unwrap(), [0, 1, 2]);
        assert_eq!(parse(&bytes(Values::Bools(&[true, false]))).unwrap(), [1, 0]);
        assert!(parse(&bytes(Values::Nothing)).unwrap().is_empty());
        for length in 0..file.len() {
            assert!(parse(&file[..length]).is_err(), "{length} bytes");
        }
    }
}
