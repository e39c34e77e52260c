//! Folders of pictures, one file each.

use crate::Error;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// Endings of files that hold one picture.
pub const ENDINGS: [&str; 14] =
    ["png", "tif", "tiff", "exr", "pfm", "pgm", "ppm", "pnm", "bmp", "jpg", "jpeg", "webp", "tga", "dpx"];

/// Whether a file's name says that it holds one picture.
#[must_use]
pub fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
}

/// The files that a clip's pictures are in: those of a folder of pictures, as [`list`] gives them, or the one file.
///
/// # Errors
/// As for [`list`].
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if path.is_dir() { list(path) } else { Ok(vec![path.to_owned()]) }
}

/// The pictures of a folder in the order in which people number them: `img2` before `img10`. Hidden files are left out (a desktop's
/// `.thumb.png`, a copying tool's `._img1.png`).
///
/// # Errors
/// The folder cannot be read, holds no picture, or pictures of several kinds (a PNG sequence beside a TIFF sequence).
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io { doing: "list", path: folder.into(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let file = entry.map_err(io)?.path();
        let hidden = file.file_name().is_none_or(|n| n.to_string_lossy().starts_with('.'));
        if !hidden && is_image(&file) && file.is_file() {
            files.push(file);
        }
    }
    files.sort_by(|a, b| natural(&name(a), &name(b)));
    let kind = |file: &PathBuf| match file
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase())
        .as_deref()
    {
        Some("tif") => "tiff".to_owned(),
        Some("jpg") => "jpeg".to_owned(),
        Some(other) => other.to_owned(),
        None => String::new(),
    };
    let Some(first) = files.first() else {
        return Err(Error::NoImages { path: folder.into() });
    };
    if let Some(other) = files.iter().find(|f| kind(f) != kind(first)) {
        let (one, other) = (name(first), name(other));
        return Err(Error::SeveralKinds { path: folder.into(), one, other });
    }
    Ok(files)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs of digits count as numbers, everything else letter by letter; equal numbers go by their width.
#[must_use]
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.chars().peekable(), b.chars().peekable());
    loop {
        match (x.peek(), y.peek()) {
            (None, None) => return a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(p), Some(q)) if p.is_ascii_digit() && q.is_ascii_digit() => {
                let number = |of: &mut std::iter::Peekable<std::str::Chars>| {
                    let mut digits = String::new();
                    while let Some(d) = of.next_if(char::is_ascii_digit) {
                        digits.push(d);
                    }
                    digits.trim_start_matches('0').to_owned()
                };
                let (m, n) = (number(&mut x), number(&mut y));
                match m.len().cmp(&n.len()).then_with(|| m.cmp(&n)) {
                    Ordering::Equal => {}
                    other => return other,
                }
            }
            (Some(p), Some(q)) if p == q => {
                x.next();
                y.next();
            }
            (Some(p), Some(q)) => return p.cmp(q),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_number_them() {
        let mut names = [
            "img10.png",
            "img2.png",
            "img1.png",
            "b-2-10.png",
            "b-2-9.png",
            "b-10-1.png",
            "007.png",
            "8.png",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "007.png",
                "8.png",
                "b-2-9.png",
                "b-2-10.png",
                "b-10-1.png",
                "img1.png",
                "img2.png",
                "img10.png"
            ]
        );
        assert_eq!(natural("1.png", "01.png"), Ordering::Less);
        assert_eq!(
            natural("99999999999999999999999999.png", "100000000000000000000000000.png"),
            Ordering::Less
        );
    }

    #[test]
    fn hidden_files_and_other_kinds() {
        let dir = tempfile::tempdir().unwrap();
        let touch = |name: &str| std::fs::write(dir.path().join(name), b"x").unwrap();
        assert!(list(dir.path()).unwrap_err().to_string().contains("no picture"));
        ["10.png", "9.png", "._9.png", ".thumb.png", "notes.txt"].iter().for_each(|name| touch(name));
        std::fs::create_dir(dir.path().join("more.png")).unwrap();
        let names: Vec<String> = list(dir.path()).unwrap().iter().map(|p| name(p)).collect();
        assert_eq!(names, ["9.png", "10.png"]);
        touch("9.tif");
        let error = list(dir.path()).unwrap_err().to_string();
        assert!(error.contains("9.tif") && error.contains("9.png"), "{error}");
    }
}
