//! Why a description is not a link.

use crate::trace::TraceError;

/// Why a [`LinkSpec`](crate::LinkSpec) is not a link. Messages name the field and say what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A stage follows a trace and there is none.
    #[error(
        "{field} = \"trace\" needs a [trace] table: add `trace = {{ file = \"...\", format = \"revo\" }}`"
    )]
    NoTrace {
        /// The field.
        field: &'static str,
    },
    /// The trace was not loaded.
    #[error("the trace {name} is not loaded: call LinkSpec::load before Link::new")]
    TraceNotLoaded {
        /// The trace.
        name: String,
    },
    /// A trace cannot do what a stage wants of it.
    #[error("{field} = \"trace\": {problem}")]
    TraceLacks {
        /// The field.
        field: &'static str,
        /// What is missing and what to do.
        problem: &'static str,
    },
    /// The trace itself.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A field does not go with another.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
}
