//! Systematic Reed-Solomon over the points 0, 1, 2, ...: the code of `reed-solomon-erasure` and of Backblaze's
//! JavaReedSolomon.
//!
//! `reed-solomon-erasure` itself is the oracle of the tests (equal bytes) and the portable kernel below
//! [`super::gf256`]; making its codec costs a matrix inversion per shape and per set of losses, Lagrange
//! coefficients do not, and its kernels read every source once per repair symbol.

use super::FecError;
use super::mds::{BlockCode, Cache, cached};
use std::ops::Deref;
use std::sync::Arc;

/// A (k, n) code: k source symbols, n - k repair symbols, any k of them suffice. Cheap to clone; its methods
/// are [`BlockCode`]'s.
#[derive(Clone, Debug)]
pub struct ReedSolomon(Arc<BlockCode>);

impl ReedSolomon {
    /// The code for 1 <= `k` <= `n` <= 256.
    ///
    /// # Errors
    /// [`FecError::Shape`] outside those bounds.
    pub fn new(k: usize, n: usize) -> Result<ReedSolomon, FecError> {
        static CODES: Cache = Cache::new(std::collections::BTreeMap::new());
        cached(&CODES, k, n, |i| i as u8).map(ReedSolomon)
    }
}

impl Deref for ReedSolomon {
    type Target = BlockCode;
    fn deref(&self) -> &BlockCode {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reed_solomon_erasure::galois_8;

    #[test]
    fn parity_is_that_of_reed_solomon_erasure_and_decodes_both_ways() {
        for (k, n) in [(1, 2), (3, 5), (10, 14), (64, 96), (170, 255)] {
            let oracle = galois_8::ReedSolomon::new(k, n - k).unwrap();
            let mut all: Vec<Vec<u8>> = (0..n)
                .map(|i| (0..100).map(|j| if i < k { (i * 37 + j * j) as u8 } else { 0 }).collect())
                .collect();
            oracle.encode(&mut all).unwrap();
            let data: Vec<&[u8]> = all[..k].iter().map(Vec::as_slice).collect();
            let code = ReedSolomon::new(k, n).unwrap();
            assert_eq!(code.parity(&data), all[k..], "({k}, {n})");
            let late: Vec<(usize, &[u8])> = (n - k..n).map(|i| (i, all[i].as_slice())).collect();
            assert_eq!(code.decode(&late).unwrap(), all[..k], "({k}, {n})");
        }
    }
}
