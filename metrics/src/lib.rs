//! Picture and session metrics with named definitions.
