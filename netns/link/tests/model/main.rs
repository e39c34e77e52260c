//! The link model against laws, theory and slow restatements of itself.

mod bottleneck;
mod formats;
mod kernel;
mod ladder;
mod laws;
mod specs;
mod statistics;
mod tc;
mod traces;
