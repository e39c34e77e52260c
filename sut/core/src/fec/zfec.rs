//! The k-of-n code of the `zfec` package, byte for byte: what ReVo's Python peers speak.
//!
//! Its encoding matrix is a Vandermonde matrix made systematic: row 0 is (1, 0, 0, ...), row r >= 1 is
//! (alpha^((r-1) c))_c. That is evaluation of a polynomial at the points {0, 1, 2, 4, 8, 16, 29, ...}, so the
//! repair rows are Lagrange coefficients over these points. Written from the mathematics; checked against
//! vectors and, where Python's package is there, against the package.

use super::FecError;
use super::gf256::exp;
use super::mds::{BlockCode, Cache, cached};
use std::ops::Deref;
use std::sync::Arc;

/// A (k, n) code: k source symbols, n - k repair symbols, any k of them suffice. Cheap to clone; its methods
/// are [`BlockCode`]'s.
#[derive(Clone, Debug)]
pub struct Zfec(Arc<BlockCode>);

impl Zfec {
    /// The code for 1 <= `k` <= `n` <= 256.
    ///
    /// # Errors
    /// [`FecError::Shape`] outside those bounds.
    pub fn new(k: usize, n: usize) -> Result<Zfec, FecError> {
        static CODES: Cache = Cache::new(std::collections::BTreeMap::new());
        cached(&CODES, k, n, |i| if i == 0 { 0 } else { exp(i - 1) }).map(Zfec)
    }
}

impl Deref for Zfec {
    type Target = BlockCode;
    fn deref(&self) -> &BlockCode {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_and_parity_are_the_published_vectors() {
        let rows = |k, n| Zfec::new(k, n).unwrap().matrix().to_vec();
        assert_eq!(rows(2, 3), [3, 2]);
        assert_eq!(rows(3, 5), [15, 8, 6, 45, 48, 28]);
        assert_eq!(rows(4, 6), [119, 64, 56, 14, 199, 167, 13, 108]);
        assert_eq!(rows(5, 8), [84, 116, 231, 216, 30, 2, 177, 161, 130, 145, 42, 255, 126, 112, 218]);
        let data: Vec<u8> = (1..=12).collect();
        let data: Vec<&[u8]> = data.chunks(4).collect();
        let parity = Zfec::new(3, 5).unwrap().parity(&data);
        assert_eq!(parity, [[0x11, 0x12, 0x13, 0x54], [0x21, 0x22, 0x23, 0xb9]]);
        let data: Vec<Vec<u8>> = (0..5u8).map(|i| (16 * i..16 * i + 4).collect()).collect();
        let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let parity = Zfec::new(5, 8).unwrap().parity(&data);
        assert_eq!(parity, [[0x72, 0x73, 0x70, 0x71], [0xb0, 0xb1, 0xb2, 0xb3], [0x41, 0x40, 0x43, 0x42]]);
    }

    #[test]
    fn shapes_outside_the_field_are_refused() {
        for (k, n) in [(0, 0), (0, 3), (4, 3), (171, 257)] {
            assert!(matches!(Zfec::new(k, n), Err(FecError::Shape { .. })), "{k} {n}");
        }
        assert_eq!(Zfec::new(170, 255).unwrap().n(), 255);
        assert_eq!(Zfec::new(256, 256).unwrap().parity(&[&[1u8][..]; 256]), Vec::<Vec<u8>>::new());
        // k = 1 repeats the symbol.
        assert_eq!(Zfec::new(1, 4).unwrap().parity(&[b"abc"]), vec![b"abc".to_vec(); 3]);
    }

    #[test]
    fn every_erasure_pattern_of_small_codes_and_wide_codes_at_the_limit() {
        for (k, n) in [(1, 2), (2, 3), (3, 5), (4, 6), (5, 8), (6, 9)] {
            let code = Zfec::new(k, n).unwrap();
            let data: Vec<Vec<u8>> =
                (0..k).map(|i| (0..37).map(|j| (31 * i + 7 * j + 1) as u8).collect()).collect();
            let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let all: Vec<Vec<u8>> = data.iter().cloned().chain(code.parity(&slices)).collect();
            for pattern in 0..1u32 << n {
                let mut shards: Vec<(usize, &[u8])> =
                    (0..n).filter(|i| pattern >> i & 1 == 1).map(|i| (i, all[i].as_slice())).collect();
                shards.reverse();
                match code.decode(&shards) {
                    Ok(got) => assert!(shards.len() >= k && got == data),
                    Err(error) => assert_eq!(error, FecError::NotEnough { have: shards.len(), need: k }),
                }
            }
        }
        let code = Zfec::new(170, 255).unwrap();
        let data: Vec<Vec<u8>> =
            (0..170usize).map(|i| (0..64).map(|j| (i * j + i) as u8).collect()).collect();
        let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let all: Vec<Vec<u8>> = data.iter().cloned().chain(code.parity(&slices)).collect();
        let shards: Vec<(usize, &[u8])> = (85..255).rev().map(|i| (i, all[i].as_slice())).collect();
        assert_eq!(code.decode(&shards).unwrap(), data);
        assert_eq!(code.decode(&shards[1..]), Err(FecError::NotEnough { have: 169, need: 170 }));
    }

    #[test]
    fn garbage_is_an_error() {
        let code = Zfec::new(2, 3).unwrap();
        let (a, b): (&[u8], &[u8]) = (b"ab", b"c");
        assert_eq!(code.decode(&[(0, a), (3, a)]), Err(FecError::Index { index: 3, n: 3 }));
        assert_eq!(code.decode(&[(0, a), (0, a)]), Err(FecError::NotEnough { have: 1, need: 2 }));
        assert_eq!(code.decode(&[(0, a), (2, b)]), Err(FecError::Length { expected: 2, got: 1 }));
        assert!(code.parity_into(&[a], &mut [&mut [0, 0]]).is_err());
    }
}
