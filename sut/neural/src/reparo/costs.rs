//! What the networks' work costs in virtual time, by machine.

use serde::{Deserialize, Serialize};

/// Which measurement is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Costs {
    /// The paper's Table 2: its networks, one NVIDIA V100 at each end.
    Paper,
    /// `lite` on one core of an AMD EPYC (Zen 5) with 16-bit products, medians of
    /// `just eval-tokens --threads 1 --precision bf16`.
    LiteBf16,
    /// The same with 32-bit products, `--precision fp32`.
    LiteFp32,
}

/// Microseconds per frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// Picture to tokens.
    pub encode_us: u64,
    /// Filling missing tokens.
    pub recover_us: u64,
    /// Tokens to picture.
    pub decode_us: u64,
}

impl Costs {
    /// Its row.
    #[must_use]
    pub fn table(self) -> Charged {
        let (encode_us, recover_us, decode_us) = match self {
            Self::Paper => (14_100, 17_800, 13_100),
            Self::LiteBf16 => (10_700, 12_500, 18_500),
            Self::LiteFp32 => (23_100, 16_600, 45_300),
        };
        Charged { encode_us, recover_us, decode_us }
    }
}
