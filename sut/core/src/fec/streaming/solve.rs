//! Which equations are worth solving, and their solution.
//!
//! All parity stripes of a frame cover the same missing stripes, so equations come in groups. Coefficients are as good
//! as random: a stripe is determined exactly if some groups together have as many equations as unknowns. The smallest
//! such set of groups determines all that it covers; solving it and looking again finds everything, in systems that
//! are no larger than they must be. Only coefficients are eliminated; stripes are multiplied once, at the end.

use crate::fec::gf32::{Block, WORDS, combine, inverse};

/// The parity stripes of one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// Whose parity.
    pub(super) frame: u64,
    /// Parity stripes at hand.
    pub(super) equations: u32,
    /// Bit i: it covers the missing stripes of class i.
    pub(super) unknowns: u32,
}

/// Frames of the groups that together have at least as many equations as unknowns: those with the fewest unknowns, of
/// these the fewest groups. `missing` is how many unknowns each class has. At most 16 groups are looked at, the
/// oldest; a window has 10.
pub(super) fn smallest_solvable(groups: &[Group], missing: &[u32]) -> Option<Vec<u64>> {
    let groups = &groups[..groups.len().min(16)];
    let unknowns_of = |classes: u32| -> u32 {
        missing.iter().enumerate().filter(|(i, _)| classes >> i & 1 == 1).map(|(_, m)| m).sum()
    };
    // Per set of groups, by bits: equations, and the classes covered.
    let mut sets = vec![(0u32, 0u32); 1 << groups.len()];
    let mut best: Option<(u32, u32, usize)> = None;
    for set in 1..sets.len() {
        let group = groups[set.trailing_zeros() as usize];
        let (equations, classes) = sets[set & (set - 1)];
        sets[set] = (equations + group.equations, classes | group.unknowns);
        let (equations, classes) = sets[set];
        let unknowns = unknowns_of(classes);
        if equations >= unknowns {
            let found = (unknowns, (set as u32).count_ones(), set);
            best = Some(best.map_or(found, |b| b.min(found)));
        }
    }
    let (_, _, set) = best?;
    Some(groups.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, g)| g.frame).collect())
}

/// Coefficients of a system of equations, one row each, with the identity beside them: what becomes of it says how
/// the right sides are to be combined.
pub(super) struct Rows {
    unknowns: usize,
    width: usize,
    rows: Vec<Vec<Block>>,
}

impl Rows {
    /// All coefficients zero.
    pub(super) fn new(equations: usize, unknowns: usize) -> Self {
        let width = (equations + unknowns).div_ceil(WORDS);
        let mut rows = Rows { unknowns, width, rows: vec![vec![[0; WORDS]; width]; equations] };
        (0..equations).for_each(|e| rows.set(e, unknowns + e, 1));
        rows
    }

    /// Sets the coefficient of an unknown in an equation.
    pub(super) fn set(&mut self, equation: usize, unknown: usize, coefficient: u32) {
        self.rows[equation][unknown / WORDS][unknown % WORDS] = coefficient;
    }
}

/// Gauss-Jordan elimination: the unknowns that are determined, each with the equations to add up and their weights.
pub(super) fn solve(system: Rows) -> Vec<(usize, Vec<(usize, u32)>)> {
    let Rows { unknowns, width, mut rows } = system;
    let at = |row: &Vec<Block>, column: usize| row[column / WORDS][column % WORDS];
    let mut pivots: Vec<usize> = Vec::new();
    for column in 0..unknowns {
        let rank = pivots.len();
        let Some(pivot) = (rank..rows.len()).find(|&r| at(&rows[r], column) != 0) else { continue };
        rows.swap(rank, pivot);
        let mut normal = vec![[0; WORDS]; width];
        let scale = inverse(at(&rows[rank], column));
        for (to, from) in normal.iter_mut().zip(&rows[rank]) {
            combine(&[(scale, from)], to);
        }
        for row in &mut rows {
            let factor = at(row, column);
            if factor != 0 {
                for (to, from) in row.iter_mut().zip(&normal) {
                    combine(&[(factor, from)], to);
                }
            }
        }
        rows[rank] = normal;
        pivots.push(column);
        if pivots.len() == rows.len() {
            break;
        }
    }
    let equations = rows.len();
    pivots
        .iter()
        .zip(&rows)
        // Determined: no free unknown beside the pivot.
        .filter(|(_, row)| (0..unknowns).filter(|c| at(row, *c) != 0).count() == 1)
        .map(|(&unknown, row)| {
            let weights = (0..equations).map(|e| (e, at(row, unknowns + e))).filter(|(_, w)| *w != 0);
            (unknown, weights.collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::gf32::mul;

    #[test]
    fn the_smallest_system_is_taken_and_none_where_equations_are_too_few() {
        let group = |frame, equations, unknowns| Group { frame, equations, unknowns };
        let missing = [3, 2, 4];
        // Frame 7 has two equations for the five of classes 0 and 1, frame 8 three for class 1 alone.
        let groups = [group(7, 2, 0b011), group(8, 3, 0b010), group(9, 1, 0b100)];
        assert_eq!(smallest_solvable(&groups, &missing), Some(vec![8]));
        assert_eq!(smallest_solvable(&groups[..1], &missing), None);
        // Together they suffice, apart they do not.
        let groups = [group(7, 3, 0b011), group(8, 2, 0b011), group(9, 3, 0b100)];
        assert_eq!(smallest_solvable(&groups, &missing), Some(vec![7, 8]));
        assert_eq!(smallest_solvable(&[], &missing), None);
    }

    #[test]
    fn what_is_determined_is_found_and_nothing_else() {
        // a = 5 x; b = 3 x + 7 y + 9 z, so that x alone is determined.
        let mut rows = Rows::new(2, 3);
        for (e, coefficients) in [[5, 0, 0], [3, 7, 9]].into_iter().enumerate() {
            coefficients.into_iter().enumerate().for_each(|(u, c)| rows.set(e, u, c));
        }
        let solution = solve(rows);
        assert_eq!(solution.len(), 1);
        let (unknown, weights) = &solution[0];
        assert_eq!((*unknown, weights.len()), (0, 1));
        assert_eq!(mul(weights[0].1, mul(5, 1234)), 1234);
        // 70 equations in 66 unknowns, more than one block wide.
        let coefficient = |e: usize, u: usize| ((e * 977 + u * 131 + 7) as u32).wrapping_mul(0x9E37_79B1) | 1;
        let values: Vec<u32> = (0..66).map(|u| (u as u32 + 1).wrapping_mul(0x85EB_CA6B)).collect();
        let mut rows = Rows::new(70, 66);
        let mut right = [0; 70];
        for (e, right) in right.iter_mut().enumerate() {
            for (u, value) in values.iter().enumerate() {
                rows.set(e, u, coefficient(e, u));
                *right ^= mul(coefficient(e, u), *value);
            }
        }
        let solution = solve(rows);
        assert_eq!(solution.len(), 66);
        for (unknown, weights) in solution {
            let value = weights.iter().fold(0, |sum, &(e, w)| sum ^ mul(w, right[e]));
            assert_eq!(value, values[unknown], "{unknown}");
        }
    }
}
