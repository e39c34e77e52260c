//! The k-of-n code of the `zfec` package, byte for byte: what ReVo's Python peers speak.
//!
//! Its encoding matrix is a Vandermonde matrix made systematic: row 0 is (1, 0, 0, ...), row r >= 1 is
//! (alpha^((r-1) c))_c. That is evaluation of a polynomial at the points {0, 1, 2, 4, 8, 16, 29, ...}, so the
//! repair rows are Lagrange coefficients over these points. Written from the mathematics; checked against
//! vectors and, where Python's package is there, against the package.

use super::FecError;
use super::gf256::exp;
use super::mds::PointCode;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Largest n: the field has 256 points.
pub const MAX_N: usize = 256;

/// A (k, n) code: k source symbols, n - k repair symbols, any k of them suffice. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Zfec(Arc<PointCode>);

impl Zfec {
    /// The code for 1 <= `k` <= `n` <= 256. Matrices are kept for the life of the process (they are small and a
    /// stream meets few shapes), so asking again costs a look-up.
    ///
    /// # Errors
    /// [`FecError::Shape`] outside those bounds.
    pub fn new(k: usize, n: usize) -> Result<Zfec, FecError> {
        static CODES: Mutex<BTreeMap<(usize, usize), Arc<PointCode>>> = Mutex::new(BTreeMap::new());
        if k == 0 || k > n || n > MAX_N {
            return Err(FecError::Shape { k, n, max_n: MAX_N });
        }
        let mut codes = CODES.lock().unwrap_or_else(PoisonError::into_inner);
        let code = codes.entry((k, n)).or_insert_with(|| {
            let points = (0..n).map(|i| if i == 0 { 0 } else { exp(i - 1) }).collect();
            Arc::new(PointCode::new(k, points))
        });
        Ok(Zfec(Arc::clone(code)))
    }

    /// Number of source symbols.
    #[must_use]
    pub fn k(&self) -> usize {
        self.0.k()
    }

    /// Number of all symbols.
    #[must_use]
    pub fn n(&self) -> usize {
        self.0.n()
    }

    /// Repair coefficients, (n-k) rows of k, row-major.
    #[must_use]
    pub fn matrix(&self) -> &[u8] {
        self.0.matrix()
    }

    /// The n - k repair symbols (indices k..n) of `data`: k source symbols of one length.
    ///
    /// # Panics
    /// If `data` has another number of symbols or they differ in length; [`Zfec::parity_into`] reports it instead.
    #[must_use]
    pub fn parity(&self, data: &[&[u8]]) -> Vec<Vec<u8>> {
        let length = data.first().map_or(0, |d| d.len());
        let mut parity = vec![vec![0; length]; self.n() - self.k()];
        let mut slices: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        if let Err(error) = self.parity_into(data, &mut slices) {
            panic!("{error}");
        }
        parity
    }

    /// [`Zfec::parity`] into memory of the caller: n - k strings of the symbols' length, overwritten.
    ///
    /// # Errors
    /// [`FecError::Symbols`] or [`FecError::Length`] if numbers or lengths do not fit.
    pub fn parity_into(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), FecError> {
        self.0.parity_into(data, parity)
    }

    /// The k source symbols from any k different ones of (index, bytes), in any order; indices 0..k are source
    /// symbols, k..n repair symbols. A repeated index counts once (the first stays).
    ///
    /// # Errors
    /// [`FecError::NotEnough`], [`FecError::Index`] or [`FecError::Length`].
    pub fn decode(&self, shards: &[(usize, &[u8])]) -> Result<Vec<Vec<u8>>, FecError> {
        self.0.decode(shards)
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
