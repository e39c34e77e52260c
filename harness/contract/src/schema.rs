//! JSON schemas (2020-12) of what plug-ins write and read, for editors and for checks in any language: `freezeframe system schema`.
//!
//! They are files, written by hand and checked against the types in both directions by `tests/schema.rs`.

/// A system's manifest; TOML's values are JSON's.
pub const MANIFEST: &str = include_str!("../schema/manifest.schema.json");
/// A run's `spec.toml`.
pub const SPEC: &str = include_str!("../schema/spec.schema.json");
/// One line of a file of events.
pub const EVENT: &str = include_str!("../schema/event.schema.json");
/// One line of the control channel.
pub const LINE: &str = include_str!("../schema/line.schema.json");
