//! `freezeframe score`.
