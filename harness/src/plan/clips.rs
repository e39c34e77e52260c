//! Clips of a plan: one by one, a folder, a list in a file, a part of a split file.

use super::PlanClip;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a file of a folder must end with to be a clip, unless the plan says otherwise.
const VIDEO: [&str; 12] =
    ["avi", "flv", "ivf", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ts", "webm", "y4m"];

/// The ways to name clips.
const WAYS: &str = "write \"FILE\", { rgb, depth }, { folder, name }, { list } or { split, part, folder }";

/// Clips as a plan names them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    /// One clip.
    rgb: Option<String>,
    /// Its depth; of a folder or a split, the folder in which every clip's depth has the clip's name.
    depth: Option<PathBuf>,
    /// All videos in it, by name; with `split`, where its clips are.
    folder: Option<PathBuf>,
    /// Those of the folder's files whose name matches, with `*`, `?` and `[a-z]`.
    name: Option<String>,
    /// A text file with a clip on each line.
    list: Option<PathBuf>,
    /// A JSON, TOML or CSV file that gives clips to parts.
    split: Option<PathBuf>,
    /// Which part of it.
    part: Option<String>,
    /// Only the first so many.
    first: Option<usize>,
}

/// Every clip that `value` names, in order.
///
/// # Errors
/// What is wrong, which file, and what to write.
pub fn clips(value: &toml::Value) -> Result<Vec<PlanClip>, String> {
    match value {
        toml::Value::Array(all) if all.is_empty() => {
            Err("the list is empty; leave the key out or name a clip".into())
        }
        toml::Value::Array(all) => {
            Ok(all.iter().map(clips).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        toml::Value::String(rgb) => Ok(vec![PlanClip { rgb: rgb.clone(), depth: None }]),
        toml::Value::Table(table) => {
            let set = table.clone().try_into::<Set>().map_err(|e| format!("{}; {WAYS}", e.message()))?;
            set.clips()
        }
        other => Err(format!("{other} is no clip; {WAYS}")),
    }
}

/// The clips that a word of the command line names: a folder, a list (`.txt`) or one clip.
///
/// # Errors
/// As [`clips`].
pub fn named(word: &str) -> Result<Vec<PlanClip>, String> {
    let path = Path::new(word);
    if path.is_dir() {
        return of_folder(path, None, None);
    }
    if path.extension().is_some_and(|e| e == "txt") {
        return of_list(path);
    }
    Ok(vec![PlanClip { rgb: word.to_owned(), depth: None }])
}

impl Set {
    fn clips(&self) -> Result<Vec<PlanClip>, String> {
        let fits = |wanted: &[&str]| {
            let given = [
                ("rgb", self.rgb.is_some()),
                ("depth", self.depth.is_some()),
                ("folder", self.folder.is_some()),
                ("name", self.name.is_some()),
                ("list", self.list.is_some()),
                ("split", self.split.is_some()),
                ("part", self.part.is_some()),
                ("first", self.first.is_some()),
            ];
            match given.iter().find(|(key, given)| *given && !wanted.contains(key)) {
                Some((key, _)) => Err(format!("`{key}` does not go with `{}`; leave it out", wanted[0])),
                None => Ok(()),
            }
        };
        let mut all = if let Some(rgb) = &self.rgb {
            fits(&["rgb", "depth"])?;
            vec![PlanClip { rgb: rgb.clone(), depth: self.depth.clone() }]
        } else if let Some(split) = &self.split {
            fits(&["split", "part", "folder", "depth", "first"])?;
            of_split(split, self.part.as_deref(), self.folder.as_deref(), self.depth.as_deref())?
        } else if let Some(list) = &self.list {
            fits(&["list", "first"])?;
            of_list(list)?
        } else if let Some(folder) = &self.folder {
            fits(&["folder", "name", "depth", "first"])?;
            of_folder(folder, self.name.as_deref(), self.depth.as_deref())?
        } else {
            return Err("names no clip; write one of `rgb`, `folder`, `list`, `split`".to_owned());
        };
        match self.first {
            Some(0) => return Err("`first` is 0; leave it out or write 1 or more".to_owned()),
            Some(first) => all.truncate(first),
            None => {}
        }
        Ok(all)
    }
}

/// What is in a folder, by name, without what is hidden.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    // What a file without a folder in its path lies in.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed =
        |e: std::io::Error| format!("failed to read the folder {}: {e}; correct the path", folder.display());
    let mut all: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !crate::report::load::is_hidden(&path) {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

fn of_folder(folder: &Path, name: Option<&str>, depth: Option<&Path>) -> Result<Vec<PlanClip>, String> {
    let pattern = name
        .map(glob::Pattern::new)
        .transpose()
        .map_err(|e| format!("`name`: {e}; write it as \"*.mp4\""))?;
    let is_clip = |path: &PathBuf| match &pattern {
        Some(pattern) => path.file_name().is_some_and(|n| pattern.matches(&n.to_string_lossy())),
        None => path.is_file() && has_ending(path),
    };
    let found: Vec<PathBuf> = entries(folder)?.into_iter().filter(is_clip).collect();
    if found.is_empty() {
        let wanted = name
            .map_or_else(|| format!("ends with one of {}", VIDEO.join(", ")), |n| format!("matches {n:?}"));
        return Err(format!(
            "no file of the folder {} {wanted}; correct `folder` or `name`",
            folder.display()
        ));
    }
    found.iter().map(|path| with_depth(path, depth)).collect()
}

fn has_ending(path: &Path) -> bool {
    path.extension().is_some_and(|e| VIDEO.contains(&e.to_string_lossy().to_lowercase().as_str()))
}

fn with_depth(rgb: &Path, depth: Option<&Path>) -> Result<PlanClip, String> {
    let Some(text) = rgb.to_str() else {
        return Err(format!("{}: the path is not UTF-8; rename it", rgb.display()));
    };
    let stem = rgb.file_stem().unwrap_or_default();
    let depth = depth.map(|folder| called(folder, &stem.to_string_lossy(), Some(rgb))).transpose()?;
    Ok(PlanClip { rgb: text.to_owned(), depth })
}

/// What in `folder` has this name, with or without its ending, and is not `but`: a clip is not its own depth.
fn called(folder: &Path, name: &str, but: Option<&Path>) -> Result<PathBuf, String> {
    let exact = folder.join(name);
    if exact.exists() && but != Some(exact.as_path()) {
        return Ok(exact);
    }
    let is_it = |p: &PathBuf| p.file_stem().is_some_and(|s| s == name) && but != Some(p.as_path());
    let found: Vec<PathBuf> = entries(folder)?.into_iter().filter(is_it).collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(format!("{} has nothing called {name}; correct the name or the folder", folder.display())),
        [a, b, ..] => Err(format!(
            "{} has {} and {}: write which, with its ending",
            folder.display(),
            a.file_name().unwrap_or_default().display(),
            b.file_name().unwrap_or_default().display()
        )),
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|e| format!("failed to read {}: {e}; correct the path", path.display()))
}

/// A clip on each line, after a tab its depth; `#` begins a comment. Paths go from the file's folder.
fn of_list(list: &Path) -> Result<Vec<PlanClip>, String> {
    let base = list.parent().unwrap_or(Path::new(""));
    let place = |name: &str| {
        let embedded = crate::launch::clip::embedded_number(name).is_some();
        if embedded { name.to_owned() } else { base.join(name).to_string_lossy().into_owned() }
    };
    let text = read(list)?;
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let clip = |line: &str| match line.split_once('\t') {
        Some((rgb, depth)) => PlanClip { rgb: place(rgb.trim()), depth: Some(base.join(depth.trim())) },
        None => PlanClip { rgb: place(line), depth: None },
    };
    let all: Vec<PlanClip> = lines.map(clip).collect();
    if all.is_empty() {
        return Err(format!("{} names no clip; write one on each line", list.display()));
    }
    Ok(all)
}

fn of_split(
    split: &Path,
    part: Option<&str>,
    folder: Option<&Path>,
    depth: Option<&Path>,
) -> Result<Vec<PlanClip>, String> {
    let parts = parts(split)?;
    let known = || parts.keys().map(|p| format!("{p:?}")).collect::<Vec<_>>().join(", ");
    let Some(part) = part else {
        return Err(format!("`part` is missing: {} has {}; name one", split.display(), known()));
    };
    let Some(names) = parts.get(part) else {
        return Err(format!("{} has no part {part:?}; there are {}", split.display(), known()));
    };
    let folder = folder.or(split.parent()).unwrap_or(Path::new(""));
    names.iter().map(|name| with_depth(&called(folder, name, None)?, depth)).collect()
}

/// `{ "train": ["a"], "test": ["b"] }` in JSON or TOML, or CSV with the columns `clip` and `split`.
fn parts(split: &Path) -> Result<BTreeMap<String, Vec<String>>, String> {
    let text = read(split)?;
    let wrong = |why: &dyn std::fmt::Display| {
        format!(
            "{}: {why}; a split file is {{ \"train\": [\"a\"], \"test\": [\"b\"] }} in JSON or TOML, or CSV with the columns clip and split",
            split.display()
        )
    };
    match split.extension().and_then(|e| e.to_str()) {
        Some("json") => serde_json::from_str(&text).map_err(|e| wrong(&e)),
        Some("toml") => toml::from_str(&text).map_err(|e| wrong(&e.message())),
        Some("csv") => {
            let mut lines = text.lines().filter(|l| !l.trim().is_empty());
            let cells = |line: &str| {
                link::trace::fields(line, ',').map(|c| c.replace("\"\"", "\"")).collect::<Vec<_>>()
            };
            let header = cells(lines.next().unwrap_or_default());
            let column = |name: &str| header.iter().position(|h| h == name);
            let (Some(clip), Some(part)) = (column("clip"), column("split")) else {
                return Err(wrong(&"its first line does not name the columns"));
            };
            let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for line in lines {
                let cells = cells(line);
                let (Some(clip), Some(part)) = (cells.get(clip), cells.get(part)) else {
                    return Err(wrong(&format!("the line {line:?} has too few cells")));
                };
                parts.entry(part.clone()).or_default().push(clip.clone());
            }
            Ok(parts)
        }
        _ => Err(wrong(&"unknown kind of file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for name in ["v/b.mp4", "v/a.MP4", "v/notes.txt", "v/.hidden.mp4", "d/a.png", "d/b.mkv"] {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        place
    }

    /// The names of the clips, and of their depth.
    fn of(place: &tempfile::TempDir, text: &str) -> Result<Vec<String>, String> {
        let text = text.replace("@", &place.path().display().to_string());
        let table: toml::Table = format!("clips = {text}").parse().expect("TOML");
        let short = |path: &Path| path.strip_prefix(place.path()).unwrap_or(path).display().to_string();
        let name = |c: &PlanClip| {
            let depth = c.depth.as_deref().map_or_else(String::new, |d| format!("+{}", short(d)));
            short(Path::new(&c.rgb)) + &depth
        };
        Ok(clips(&table["clips"])?.iter().map(name).collect())
    }

    #[test]
    fn folders_lists_and_splits() {
        let place = place();
        let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
        write("list.txt", "# two\nv/b.mp4\td/b.mkv\n\nperson-1\n");
        write("s.json", r#"{"train": ["b"], "test": ["a", "b.mp4"]}"#);
        write("s.toml", "train = ['b']\n");
        write("s.csv", "split,clip\ntest,a\ntrain,b\n");
        write("q.csv", "split,clip\n\"test\",\"v/a, cut \"\"1\"\".mp4\"\n");
        write("v/a, cut \"1\".mp4", "");
        assert_eq!(of(&place, "{ split = '@/q.csv', part = 'test' }").unwrap(), ["v/a, cut \"1\".mp4"]);
        std::fs::remove_file(place.path().join("v/a, cut \"1\".mp4")).unwrap();
        assert_eq!(of(&place, "{ folder = '@/v' }").unwrap(), ["v/a.MP4", "v/b.mp4"]);
        assert_eq!(of(&place, "{ folder = '@/v', first = 1 }").unwrap(), ["v/a.MP4"]);
        assert_eq!(
            of(&place, "{ folder = '@/v', name = 'b*', depth = '@/d' }").unwrap(),
            ["v/b.mp4+d/b.mkv"]
        );
        assert_eq!(of(&place, "{ list = '@/list.txt' }").unwrap(), ["v/b.mp4+d/b.mkv", "person-1"]);
        assert_eq!(
            of(&place, "{ split = '@/s.json', part = 'test', folder = '@/v' }").unwrap(),
            ["v/a.MP4", "v/b.mp4"]
        );
        assert_eq!(
            of(&place, "{ split = '@/s.toml', part = 'train', folder = '@/v' }").unwrap(),
            ["v/b.mp4"]
        );
        assert_eq!(of(&place, "{ split = '@/s.csv', part = 'test', folder = '@/v' }").unwrap(), ["v/a.MP4"]);
        assert_eq!(
            of(&place, "['person-0', { rgb = 'x', depth = 'y' }, { folder = '@/v', name = 'b*' }]").unwrap(),
            ["person-0", "x+y", "v/b.mp4"]
        );
        for (wrong, said) in [
            ("{ folder = '@/none' }", "none"),
            ("{ folder = '@/v', name = '*.webm' }", "*.webm"),
            ("{ folder = '@/v', depth = '@/v' }", "nothing called a"),
            ("{ folder = '@/v', part = 'x' }", "`part`"),
            ("{ split = '@/s.json' }", "\"test\", \"train\""),
            ("{ split = '@/s.json', part = 'dev', folder = '@/v' }", "\"dev\""),
            ("{ split = '@/s.json', part = 'test' }", "nothing called a"),
            ("{ list = '@/v/notes.txt' }", "names no clip"),
            ("{ fold = 'x' }", "fold"),
            ("{ depth = 'x' }", "`rgb`"),
            ("7", "{ folder, name }"),
        ] {
            let error = of(&place, wrong).expect_err(wrong);
            assert!(error.contains(said), "{wrong}: {error}");
        }
        std::fs::write(place.path().join("v/b.mkv"), "").unwrap();
        let error = of(&place, "{ split = '@/s.json', part = 'train', folder = '@/v' }").unwrap_err();
        assert!(error.contains("b.mkv and b.mp4"), "{error}");
    }
}
