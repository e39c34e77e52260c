//! Message and packet formats, encode and decode side by side, one file per system.

pub mod reparo;
pub mod reparo_coding;
pub mod reparo_variants;
pub mod revo;
pub mod ringmaster;
