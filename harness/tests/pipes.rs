//! Output whose reader has gone (`| head -1`), and output that finds no space.

use std::fs::File;
use std::io::pipe;
use std::process::{Command, Output, Stdio};

/// Commands that print without any run of before.
const PRINTING: [&[&str]; 11] = [
    &["list"],
    &["list", "--json"],
    &["weights"],
    &["figure", "--list"],
    &["export", "--columns"],
    &["system", "schema", "manifest"],
    &["completions", "bash"],
    &["link", "ge-high", "--packets", "20000"],
    &["link", "ge-high", "--packets", "20000", "--json"],
    &["trace", "info", "wifi-lossy"],
    &["--help"],
];

fn tool(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freezeframe"));
    command.args(words).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).stdin(Stdio::null());
    command
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

/// The exit code is the one that the command has when it is read to the end, and nothing is said of the pipe.
#[test]
fn a_reader_who_has_gone_is_no_error() {
    for words in PRINTING {
        let read = tool(words).output().unwrap();
        assert!(!read.stdout.is_empty(), "{words:?} prints nothing: {}", said(&read));
        let unread = tool(words).stdout(closed()).output().unwrap();
        assert_eq!(unread.status, read.status, "{words:?}: {}", said(&unread));
        assert!(
            !said(&unread).contains("panicked") && !said(&unread).contains("pipe"),
            "{words:?}: {}",
            said(&unread)
        );
    }
}

/// Messages of a failing command, which go to standard error, too: its exit code stays.
#[test]
fn nor_is_one_of_messages() {
    for words in
        [&["run", "no-such-scenario"][..], &["figure", "no-such-figure", "."], &["sweep", "no-such-plan"]]
    {
        let read = tool(words).output().unwrap();
        assert_eq!(read.status.code(), Some(2), "{words:?}: {}", said(&read));
        let status = tool(words).stdout(Stdio::null()).stderr(closed()).status().unwrap();
        assert_eq!(status, read.status, "{words:?}");
    }
}

/// What is lost for another reason is said: `/dev/full` has no space (full(4)).
#[test]
fn a_full_disk_is_one() {
    for words in
        [&["list"][..], &["export", "--columns"], &["link", "ge-high", "--packets", "20000", "--json"]]
    {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = tool(words).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", said(&output));
        assert!(said(&output).contains("No space left on device"), "{words:?}: {}", said(&output));
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
