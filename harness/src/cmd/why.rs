//! `freezeframe why`.
