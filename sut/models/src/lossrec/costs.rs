//! What recovered frames cost in virtual time, by machine.

use codecs::{CodecError, Setting, Settings};
use std::time::Duration;

/// The option that names a row of the [table](Charged).
pub const COSTS: &str = "recovery_costs";
/// For LossRec-lite.
pub const LITE: Setting = Setting { name: COSTS, default: "epyc-bf16" };
/// For the original's network.
pub const LOSSREC: Setting = Setting { name: COSTS, default: "assumed" };

/// A frame of 512x512, on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// Name of the row.
    pub name: &'static str,
    /// What was measured where.
    pub machine: &'static str,
    /// Microseconds.
    pub frame_us: u64,
}

/// The rows. Other sizes are charged by their number of pixels.
pub const TABLE: [Charged; 3] = [
    Charged {
        name: "epyc-bf16",
        machine: "LossRec-lite on one core of an AMD EPYC (Zen 4) that was busy with other work, 16-bit products: last line of `just lossrec-gain`",
        frame_us: 32_000,
    },
    Charged {
        name: "assumed",
        machine: "nothing was measured: a GPU that keeps up with 30 frames a second, nothing else beside",
        frame_us: 33_000,
    },
    Charged { name: "free", machine: "no time at all: what a recovery could reach at best", frame_us: 0 },
];

/// What settings say that a frame of this size costs.
///
/// # Errors
/// A row that is not in the table.
pub fn charged(
    settings: &Settings,
    usual: Setting,
    (width, height): (u32, u32),
) -> Result<Duration, CodecError> {
    let name = settings.get(COSTS).map_or(usual.default, String::as_str);
    let Some(row) = TABLE.iter().find(|row| row.name == name) else {
        let names = TABLE.map(|row| row.name).join(", ");
        return Err(CodecError::Network(format!("{COSTS} is {name:?}; it must be one of {names}")));
    };
    let pixels = u64::from(width) * u64::from(height);
    Ok(Duration::from_micros(row.frame_us * pixels / (512 * 512)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_charged_by_row_and_size() {
        let of = |name: &str| Settings::from([(COSTS.to_owned(), name.to_owned())]);
        let cost = |settings: &Settings, size| charged(settings, LITE, size).map(|c| c.as_micros());
        assert_eq!(cost(&Settings::new(), (512, 512)).unwrap(), u128::from(TABLE[0].frame_us));
        assert_eq!(cost(&of("assumed"), (512, 256)).unwrap(), 16_500);
        assert_eq!(cost(&of("free"), (512, 512)).unwrap(), 0);
        let error = cost(&of("abacus"), (512, 512)).unwrap_err().to_string();
        assert!(error.contains("abacus") && error.contains("epyc-bf16, assumed, free"), "{error}");
    }
}
