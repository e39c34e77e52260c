//! An error in one sentence: each reason once, and what to do about those that the system gives.

use std::error::Error;
use std::io;

/// An error with its causes, separated by colons. A cause whose words the text already has is not said again: many errors, of this project
/// and of its libraries, put their source into their own message. A reason that is the system's alone gets a remedy.
#[must_use]
pub fn said(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let (mut last, mut cause) = (error, error.source());
    while let Some(e) = cause {
        let more = e.to_string();
        if !text.contains(more.trim()) {
            text = format!("{text}: {more}");
        }
        (last, cause) = (e, e.source());
    }
    if let Some(io) = last.downcast_ref::<io::Error>()
        && text.ends_with(&io.to_string())
        && let Some(remedy) = remedy(io)
    {
        text = format!("{text}; {remedy}");
    }
    text
}

/// What to do about an error of the system's.
fn remedy(error: &io::Error) -> Option<&'static str> {
    Some(match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::IsADirectory => "give the path of a file in it",
        io::ErrorKind::NotADirectory => "a part of the path is a file: check the path",
        io::ErrorKind::PermissionDenied => "check the rights of the file and of its folders",
        io::ErrorKind::InvalidData => "save it as UTF-8 text",
        io::ErrorKind::StorageFull => "make room on the disk",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to read {path}: {source}")]
    struct Read {
        path: &'static str,
        source: io::Error,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("scenario x: {source}")]
    struct Outer {
        source: Read,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the run failed")]
    struct Bare {
        source: Outer,
    }

    #[test]
    fn each_reason_is_said_once() {
        let file = io::Error::from_raw_os_error(2);
        let error = Bare { source: Outer { source: Read { path: "a.log", source: file } } };
        assert_eq!(
            said(&error),
            "the run failed: scenario x: failed to read a.log: No such file or directory (os error 2); check the path"
        );
        let folder = Read { path: "d", source: io::Error::from_raw_os_error(21) };
        assert!(said(&folder).ends_with("Is a directory (os error 21); give the path of a file in it"));
    }
}
