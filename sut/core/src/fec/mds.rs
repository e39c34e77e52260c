//! Systematic MDS codes over GF(2^8) by polynomial interpolation.
//!
//! Source symbol i is the value at point x_i of a polynomial of degree below k, repair symbols are its values
//! at further points: any k of the n symbols give all of it back. The coefficients are Lagrange's, so decoding
//! needs no matrix inversion. [`super::Zfec`] and [`super::ReedSolomon`] differ in the points alone.

use super::FecError;
use super::gf256::{combine, exp, log};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A code: n points, the first k of them for the source symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockCode {
    k: usize,
    points: Vec<u8>,
    /// (n-k) x k, row-major: repair symbols as combinations of source symbols.
    parity: Vec<u8>,
}

impl BlockCode {
    /// `points` are distinct; the first `k` belong to the source symbols.
    pub(super) fn new(k: usize, points: Vec<u8>) -> Self {
        let parity = lagrange(&points[..k], &points[k..]);
        BlockCode { k, points, parity }
    }

    /// Number of source symbols.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of all symbols.
    #[must_use]
    pub fn n(&self) -> usize {
        self.points.len()
    }

    /// Repair coefficients, (n-k) rows of k, row-major.
    #[must_use]
    pub fn matrix(&self) -> &[u8] {
        &self.parity
    }

    /// The n - k repair symbols (indices k..n) of `data`: k source symbols of one length.
    ///
    /// # Panics
    /// If `data` has another number of symbols or they differ in length; [`Self::parity_into`] reports it instead.
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

    /// [`Self::parity`] into memory of the caller: n - k strings of the symbols' length, overwritten.
    ///
    /// # Errors
    /// [`FecError::Symbols`] or [`FecError::Length`] if numbers or lengths do not fit.
    pub fn parity_into(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), FecError> {
        if data.len() != self.k || parity.len() != self.n() - self.k {
            return Err(FecError::Symbols {
                k: self.k,
                n: self.n(),
                source_symbols: data.len(),
                repair_symbols: parity.len(),
            });
        }
        let length = data[0].len();
        let lengths = data.iter().map(|d| d.len()).chain(parity.iter().map(|p| p.len()));
        same_length(length, lengths)?;
        combine(&self.parity, data, parity);
        Ok(())
    }

    /// The k source symbols from any k different ones of (index, bytes), in any order; indices 0..k are source
    /// symbols, k..n repair symbols. A repeated index counts once (the first stays).
    ///
    /// # Errors
    /// [`FecError::NotEnough`], [`FecError::Index`] or [`FecError::Length`].
    pub fn decode(&self, shards: &[(usize, &[u8])]) -> Result<Vec<Vec<u8>>, FecError> {
        let mut by_index: Vec<Option<&[u8]>> = vec![None; self.n()];
        for &(index, bytes) in shards {
            let slot = by_index.get_mut(index).ok_or(FecError::Index { index, n: self.n() })?;
            slot.get_or_insert(bytes);
        }
        // The lowest indices: present source symbols always come first and are only copied.
        let chosen: Vec<(usize, &[u8])> =
            by_index.iter().enumerate().filter_map(|(i, s)| s.map(|s| (i, s))).take(self.k).collect();
        if chosen.len() < self.k {
            return Err(FecError::NotEnough { have: chosen.len(), need: self.k });
        }
        let length = chosen[0].1.len();
        same_length(length, chosen.iter().map(|(_, s)| s.len()))?;
        let missing: Vec<usize> = (0..self.k).filter(|&i| by_index[i].is_none()).collect();
        let mut source: Vec<Vec<u8>> =
            (0..self.k).map(|i| by_index[i].map_or_else(|| vec![0; length], <[u8]>::to_vec)).collect();
        if !missing.is_empty() {
            let from: Vec<u8> = chosen.iter().map(|&(i, _)| self.points[i]).collect();
            let to: Vec<u8> = missing.iter().map(|&i| self.points[i]).collect();
            let bytes: Vec<&[u8]> = chosen.iter().map(|&(_, s)| s).collect();
            let mut out: Vec<&mut [u8]> = source
                .iter_mut()
                .enumerate()
                .filter(|(i, _)| by_index[*i].is_none())
                .map(|(_, s)| s.as_mut_slice())
                .collect();
            combine(&lagrange(&from, &to), &bytes, &mut out);
        }
        Ok(source)
    }
}

/// Codes made so far. Matrices are small and a stream meets few shapes, so they are kept for the life of the
/// process and asking again costs a look-up.
pub(super) type Cache = Mutex<BTreeMap<(usize, usize), Arc<BlockCode>>>;

/// The code for 1 <= `k` <= `n` <= 256 over the points `point(0..n)`.
pub(super) fn cached(
    cache: &Cache,
    k: usize,
    n: usize,
    point: impl Fn(usize) -> u8,
) -> Result<Arc<BlockCode>, FecError> {
    if k == 0 || k > n || n > MAX_N {
        return Err(FecError::Shape { k, n, max_n: MAX_N });
    }
    let mut codes = cache.lock().unwrap_or_else(PoisonError::into_inner);
    let code =
        codes.entry((k, n)).or_insert_with(|| Arc::new(BlockCode::new(k, (0..n).map(point).collect())));
    Ok(Arc::clone(code))
}

/// Largest n: the field has 256 points.
pub const MAX_N: usize = 256;

fn same_length(expected: usize, mut lengths: impl Iterator<Item = usize>) -> Result<(), FecError> {
    match lengths.find(|&l| l != expected) {
        Some(got) => Err(FecError::Length { expected, got }),
        None => Ok(()),
    }
}

/// Row t, column c: weight of the value at `from[c]` in the value at `to[t]`, that is
/// prod over j != c of (to_t - from_j) / (from_c - from_j). No point of `to` is in `from`.
fn lagrange(from: &[u8], to: &[u8]) -> Vec<u8> {
    // Logarithms of products; the one factor of zero, where x is in `from`, is left out since log(0) reads 0.
    let product = |x: u8| from.iter().map(|&f| log(x ^ f)).sum::<usize>() % 255;
    let weights: Vec<usize> = from.iter().map(|&f| product(f)).collect();
    let mut matrix = Vec::with_capacity(from.len() * to.len());
    for &t in to {
        let numerator = product(t) + 2 * 255;
        matrix.extend(from.iter().zip(&weights).map(|(&f, &w)| exp(numerator - log(t ^ f) - w)));
    }
    matrix
}
