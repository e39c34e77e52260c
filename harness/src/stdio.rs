//! `print!`, `println!` and `eprintln!` of this crate, instead of those of the standard library, which panic when nobody reads: `| head` closes
//! a pipe early, and that is no error of the program. What was being done is finished, and the exit code is the same as without a pipe.

use anyhow::Context as _;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

/// As `std::print!`.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::stdio::out(format_args!($($arg)*)) };
}

/// As `std::println!`.
#[macro_export]
macro_rules! println {
    () => { $crate::stdio::out(format_args!("\n")) };
    ($($arg:tt)*) => { $crate::stdio::out(format_args!("{}\n", format_args!($($arg)*))) };
}

/// As `std::eprintln!`.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::stdio::err(format_args!("\n")) };
    ($($arg:tt)*) => { $crate::stdio::err(format_args!("{}\n", format_args!($($arg)*))) };
}

/// The first error of standard output that is more than a reader who has gone: a full disk, for one.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes to standard output.
#[doc(hidden)]
pub fn out(text: Arguments) {
    note(io::stdout().lock().write_fmt(text));
}

/// Writes to standard error. If that fails there is nobody left to tell.
#[doc(hidden)]
pub fn err(text: Arguments) {
    let _ = io::stderr().lock().write_fmt(text);
}

fn note(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != ErrorKind::BrokenPipe
    {
        FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }
}

/// Whether everything that was printed has arrived, or its reader did not want it.
///
/// # Errors
/// When some of it is lost.
pub fn finish() -> io::Result<()> {
    note(io::stdout().lock().flush());
    FAILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take().map_or(Ok(()), Err)
}

/// Whether what was to be written to standard output had no reader any more, which is no error.
///
/// # Errors
/// When it could not be written for another reason.
pub fn reader_gone(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(true),
        other => other.map(|()| false).context("failed to write to standard output"),
    }
}
