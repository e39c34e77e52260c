//! Traces that come with the project (traces/README.md).

use super::{Format, make};

/// A trace that comes with the project.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// As scenarios name it.
    pub name: &'static str,
    /// How it is written.
    pub format: Format,
    /// The file in `traces/`.
    pub text: &'static str,
    /// Makes the file again.
    pub make: fn() -> String,
}

/// Traces that come with the project.
pub const SHIPPED: &[Shipped] = &[
    Shipped {
        name: "wifi-lossy",
        format: Format::Revo,
        text: include_str!("../../../../traces/wifi-lossy.log"),
        make: make::wifi_lossy,
    },
    Shipped {
        name: "cellular",
        format: Format::Mahimahi,
        text: include_str!("../../../../traces/cellular.down"),
        make: make::cellular,
    },
    Shipped {
        name: "step-down",
        format: Format::Revo,
        text: include_str!("../../../../traces/step-down.log"),
        make: make::step_down,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    #[test]
    fn files_are_what_the_maker_makes() {
        for shipped in SHIPPED {
            assert!(
                shipped.text == (shipped.make)(),
                "{}: `freezeframe trace make` gives another file",
                shipped.name
            );
            Trace::parse(shipped.name, shipped.format, shipped.text.as_bytes()).unwrap();
        }
    }
}
