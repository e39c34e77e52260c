//! `freezeframe report`.
