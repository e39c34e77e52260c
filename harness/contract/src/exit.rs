//! Exit codes of every program here.

/// Everything went well.
pub const OK: i32 = 0;
/// The run failed (a system crashed, hung, or broke the contract).
pub const FAILED: i32 = 1;
/// The command line or a file given to it is wrong; the message names file, field and remedy.
pub const BAD_INPUT: i32 = 2;
/// A comparison found a difference beyond its tolerance (`golden --check`, parity).
pub const DIFFERENT: i32 = 3;
/// A run finished but is invalid (the emulator was later than its bound), or its files are damaged: never averaged, never left
/// out silently.
pub const INVALID: i32 = 4;
/// The machine cannot do it (no privilege, a package is missing); `doctor` says what to do.
pub const UNAVAILABLE: i32 = 69;
/// Interrupted by the user; what was finished is kept and a second call resumes.
pub const INTERRUPTED: i32 = 130;
/// A system does not know the scenario it was asked for.
pub const UNSUPPORTED: i32 = 127;
