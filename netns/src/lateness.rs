//! How late packets left: a histogram that costs a few nanoseconds per packet.

use serde::{Deserialize, Serialize};

/// Percentiles of actual minus intended departure, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lateness {
    /// Packets counted.
    pub packets: u64,
    /// Half of the packets were at most this late.
    pub p50_ns: u64,
    /// 99 of 100 packets were at most this late.
    pub p99_ns: u64,
    /// The latest packet, exactly.
    pub max_ns: u64,
}

/// Bits of a value kept below its leading one: buckets are 1/64 of their value wide, so percentiles err by less than 1.6 %.
const KEPT: u32 = 6;
const BUCKETS: usize = 64 << KEPT;

/// Log-linear histogram of nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; BUCKETS].into(), total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one value, ns.
    pub fn add(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    /// Percentiles of what was counted; each is the upper end of its bucket, never above the maximum.
    #[must_use]
    pub fn summary(&self) -> Lateness {
        Lateness {
            packets: self.total,
            p50_ns: self.percentile(50),
            p99_ns: self.percentile(99),
            max_ns: self.max,
        }
    }

    fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return upper_end(index).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(ns: u64) -> usize {
    let octave = ns.checked_ilog2().unwrap_or(0).saturating_sub(KEPT);
    // Values below 2^(KEPT+1) have a bucket of their own; above, the leading KEPT+1 bits choose it.
    ((octave as usize) << KEPT) + (ns >> octave) as usize
}

fn upper_end(index: usize) -> u64 {
    let octave = (index >> KEPT).saturating_sub(1) as u32;
    let leading = (index - ((octave as usize) << KEPT)) as u64;
    (leading << octave) | ((1 << octave) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn percentiles_err_by_less_than_one_bucket(mut values in proptest::collection::vec(0u64..1u64 << 40, 1..400)) {
            let mut histogram = Histogram::default();
            for v in &values {
                histogram.add(*v);
            }
            values.sort_unstable();
            let summary = histogram.summary();
            for (percent, got) in [(50, summary.p50_ns), (99, summary.p99_ns)] {
                let exact = values[(values.len() * percent).div_ceil(100) - 1];
                prop_assert!(got >= exact && got - exact <= exact / 64, "p{} {} of exact {}", percent, got, exact);
            }
            prop_assert_eq!(summary.max_ns, *values.last().expect("not empty"));
        }
    }

    #[test]
    fn every_size_has_a_bucket() {
        for ns in [0, 1, 63, 64, 127, 128, 129, u64::from(u32::MAX), u64::MAX / 2, u64::MAX] {
            let index = bucket(ns);
            assert!(index < BUCKETS && upper_end(index) >= ns, "{ns} in {index}");
        }
        assert_eq!(Histogram::default().summary(), Lateness::default());
    }
}
