//! Traces that come with the project, made by `freezeframe trace make` (traces/README.md).

use super::Format;

/// A trace that comes with the project.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// As scenarios name it.
    pub name: &'static str,
    /// How it is written.
    pub format: Format,
    /// The file.
    pub text: &'static str,
}

/// Traces that come with the project.
pub const SHIPPED: &[Shipped] = &[];
