//! Results for people and for programs: terminal, CSV, Markdown, LaTeX, JSON, one-file HTML.
//!
//! ```text
//!  run directories ─▶ load ─▶ Run ─▶ group (system x scenario x clip) ─▶ columns ─▶ Table ─▶ terminal, CSV, …
//!                                  └─▶ html: plots, strips, comparisons, every run's details
//! ```

pub mod columns;
mod export;
pub mod group;
pub mod html;
pub mod load;
pub mod table;
mod terminal;

pub use export::{csv, json, latex, markdown};
pub use terminal::terminal;
