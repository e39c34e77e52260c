//! The `freezeframe` tool.
fn main() {}
