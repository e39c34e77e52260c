//! Where data lies that is installed with the tool: weights.
//!
//! | place | who puts it there |
//! |---|---|
//! | `PREFIX/share/freezeframe`, for a program in `PREFIX/bin` | the archive, the container image, `./just install` |
//! | `$XDG_DATA_HOME/freezeframe`, else `~/.local/share/freezeframe` | a user |
//! | `freezeframe` in each folder of `$XDG_DATA_DIRS`, else `/usr/local/share` and `/usr/share` | a machine's owner |

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folders, first place first, whether they are there or not.
#[must_use]
pub fn folders() -> Vec<PathBuf> {
    let program = std::env::current_exe().and_then(|p| p.canonicalize()).ok();
    folders_of(program.as_deref(), &|name| std::env::var_os(name))
}

fn folders_of(program: Option<&Path>, variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    // The specification of XDG base directories: what is not absolute is ignored.
    let named = |name: &str| variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let beside = program.and_then(|p| p.parent()?.parent().map(|prefix| prefix.join("share")));
    let user = named("XDG_DATA_HOME").or_else(|| named("HOME").map(|h| h.join(".local/share")));
    let machine = variable("XDG_DATA_DIRS").filter(|v| !v.is_empty());
    let machine = machine.unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    let mut all: Vec<PathBuf> = beside.into_iter().chain(user).collect();
    all.extend(std::env::split_paths(&machine).filter(|p| p.is_absolute()));
    let mut places: Vec<PathBuf> = Vec::new();
    for folder in all {
        let place = folder.join("freezeframe");
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(program: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let variable =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        folders_of(Some(Path::new(program)), &variable).iter().map(|p| p.display().to_string()).collect()
    }

    /// The defaults are those of the XDG base directory specification 0.8.
    #[test]
    fn beside_the_program_then_the_user_then_the_machine() {
        assert_eq!(
            places("/opt/f/bin/freezeframe", &[("HOME", "/home/a")]),
            [
                "/opt/f/share/freezeframe",
                "/home/a/.local/share/freezeframe",
                "/usr/local/share/freezeframe",
                "/usr/share/freezeframe"
            ]
        );
        assert_eq!(
            places(
                "/usr/bin/freezeframe",
                &[("XDG_DATA_HOME", "/d"), ("XDG_DATA_DIRS", "/x:relative:/usr/share")]
            ),
            ["/usr/share/freezeframe", "/d/freezeframe", "/x/freezeframe"]
        );
        assert_eq!(
            places("/b/f", &[("XDG_DATA_HOME", "relative"), ("HOME", "/h"), ("XDG_DATA_DIRS", "")])[1],
            "/h/.local/share/freezeframe"
        );
    }
}
