//! What can be wrong with the inputs of a metric.

/// Why a metric has no value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// The two pictures differ in size; nothing is scaled silently.
    #[error(
        "the pictures differ in size: {reference_width}x{reference_height} (reference) and {shown_width}x{shown_height} (shown)"
    )]
    SizeMismatch {
        /// Columns of the reference.
        reference_width: usize,
        /// Rows of the reference.
        reference_height: usize,
        /// Columns of the shown picture.
        shown_width: usize,
        /// Rows of the shown picture.
        shown_height: usize,
    },
    /// A plane does not hold the samples its size asks for.
    #[error("a {width}x{height} picture should have {expected} samples but has {found}")]
    BadBuffer {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Samples it should have.
        expected: usize,
        /// Samples it has.
        found: usize,
    },
    /// The picture is smaller than the metric's window.
    #[error(
        "{metric} needs pictures of at least {need}x{need} samples (after its own pooling), got {width}x{height}"
    )]
    TooSmall {
        /// The metric's name.
        metric: &'static str,
        /// The smallest side it accepts.
        need: usize,
        /// Columns, after pooling.
        width: usize,
        /// Rows, after pooling.
        height: usize,
    },
    /// No sample carries a value (an empty list, a depth picture without a valid pixel).
    #[error("{metric} has nothing to work on: {why}")]
    Nothing {
        /// The metric's name.
        metric: &'static str,
        /// What is missing.
        why: &'static str,
    },
    /// An argument is outside its range.
    #[error("{metric}: {what}")]
    BadArgument {
        /// The metric's name.
        metric: &'static str,
        /// What is wrong with it.
        what: String,
    },
}
