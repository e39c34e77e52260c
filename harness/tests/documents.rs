//! What the documents name exists: recipes, subcommands and their options, files, tests, packages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every text file of the source tree, by its path from the root.
struct Tree {
    root: PathBuf,
    texts: BTreeMap<String, String>,
    /// Files and folders.
    names: BTreeSet<String>,
}

/// What is made, not written.
const MADE: [&str; 6] = ["target", "runs", "out", ".git", ".libtorch", "venv"];

impl Tree {
    fn read() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        let mut tree = Tree { root: root.clone(), texts: BTreeMap::new(), names: BTreeSet::new() };
        let mut folders = vec![root];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let name = path.strip_prefix(&tree.root).unwrap().to_str().unwrap().to_owned();
                let last = name.rsplit('/').next().unwrap();
                if MADE.contains(&last) || last == "__pycache__" {
                    continue;
                }
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path);
                } else if entry.metadata().unwrap().len() < 1 << 20
                    && let Ok(text) = std::fs::read_to_string(&path)
                {
                    tree.texts.insert(name.clone(), text);
                }
                tree.names.insert(name);
            }
        }
        tree
    }

    fn documents(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().filter(|(name, _)| name.ends_with(".md")).map(|(n, t)| (n.as_str(), t.as_str()))
    }

    /// Whether `path`, as written in file `from`, is there: from the root, the file's folder, or its crate's folders.
    fn has(&self, from: &str, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folders = Path::new(from).ancestors().skip(1);
        folders.map(|f| clean(&f.join(path))).any(|p| self.names.contains(&p))
    }
}

/// Without `.` and `..`.
fn clean(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().filter_map(|p| p.to_str()) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Commands and names of a document: code spans and lines of code blocks, each with its line number.
fn code(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut block = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("```") {
            block = !block;
        } else if block || line.starts_with("    ") {
            found.push((number, line.trim()));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|span| (number, span)));
        }
    }
    found
}

/// The command lines in a piece of code.
fn commands(code: &str) -> impl Iterator<Item = Vec<&str>> {
    code.split(['|', ';', '&', '#']).map(|c| c.split_whitespace().collect())
}

fn is_a_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[test]
fn recipes_that_documents_name_exist() {
    let tree = Tree::read();
    let recipes: BTreeSet<&str> = tree.texts["justfile"]
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains(':'))
        .map(|line| line.split([' ', ':']).next().unwrap())
        .collect();
    assert!(recipes.contains("test") && recipes.contains("interop"));
    let (mut named, mut wrong) = (0, Vec::new());
    let spoken = |text: &str| -> Vec<(usize, String)> {
        // `just NAME` in code and in comments.
        let lines = (1..).zip(text.lines());
        lines.flat_map(|(n, l)| l.split('`').skip(1).step_by(2).map(move |s| (n, s.to_owned()))).collect()
    };
    for (file, text) in &tree.texts {
        let pieces = if file.ends_with(".md") {
            code(text).into_iter().map(|(n, c)| (n, c.to_owned())).collect()
        } else {
            spoken(text)
        };
        for (line, piece) in pieces {
            for command in commands(&piece) {
                if let ["just" | "./just", name, ..] = command[..]
                    && is_a_name(name)
                {
                    named += 1;
                    if !recipes.contains(name) {
                        wrong.push(format!("{file}:{line}: just {name}"));
                    }
                }
            }
        }
    }
    assert!(named > 30, "only {named} found: is the test blind?");
    assert_eq!(wrong, Vec::<String>::new(), "no such recipe");
}

/// Answers of `freezeframe WORDS --help`, asked once.
struct Help(BTreeMap<Vec<String>, Option<String>>);

impl Help {
    fn of(&mut self, words: &[&str]) -> Option<String> {
        let key: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let ask = || {
            let mut tool = Command::new(env!("CARGO_BIN_EXE_freezeframe"));
            let output = tool.args(words).arg("--help").output().expect("the tool starts");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        self.0.entry(key).or_insert_with(ask).clone()
    }
}

#[test]
fn subcommands_and_options_of_the_tool_that_documents_name_exist() {
    let tree = Tree::read();
    let mut help = Help(BTreeMap::new());
    let (mut named, mut wrong) = (0, Vec::new());
    for (file, text) in tree.documents() {
        for (line, piece) in code(text) {
            for command in commands(piece) {
                let Some(at) =
                    command.iter().position(|w| *w == "freezeframe" || w.ends_with("/freezeframe"))
                else {
                    continue;
                };
                // An argument of something else: `cargo run -p freezeframe`.
                if at > 0 && !command[..at].iter().all(|w| w.contains('=') || *w == "$") {
                    continue;
                }
                let words = &command[at + 1..];
                let [subcommand, arguments @ ..] = words else { continue };
                if !is_a_name(subcommand) {
                    continue;
                }
                named += 1;
                let mut path = vec![*subcommand];
                if *subcommand == "trace" {
                    path.extend(arguments.first().filter(|w| is_a_name(w)));
                }
                let Some(help) = help.of(&path) else {
                    wrong.push(format!("{file}:{line}: freezeframe {}", path.join(" ")));
                    continue;
                };
                let options: BTreeSet<&str> =
                    help.split([' ', ',', '=', '\n', '[', ']']).filter(|w| w.starts_with('-')).collect();
                for option in arguments.iter().filter(|a| a.starts_with('-') && a.len() > 1) {
                    let option = option.split('=').next().unwrap().trim_end_matches(['.', ',', ')']);
                    if option != "--" && !options.contains(option) {
                        wrong.push(format!("{file}:{line}: freezeframe {} {option}", path.join(" ")));
                    }
                }
            }
        }
    }
    assert!(named > 40, "only {named} found: is the test blind?");
    assert_eq!(wrong, Vec::<String>::new(), "no such subcommand or option");
}

#[test]
fn files_that_documents_and_comments_name_exist() {
    let tree = Tree::read();
    let folders: BTreeSet<&str> = tree.names.iter().filter_map(|n| Some(n.split_once('/')?.0)).collect();
    assert!(folders.contains("docs") && folders.contains("sut"));
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_./-<>*$".contains(c);
    let (mut named, mut wrong) = (0, Vec::new());
    for (file, text) in &tree.texts {
        // Lock files, stored results and data name no files of the tree; the changelog names what is gone.
        let history = ["Cargo.lock", "CHANGELOG.md"].contains(&file.as_str());
        if history || file.ends_with(".json") || file.ends_with(".snap") {
            continue;
        }
        let prose = file.ends_with(".md");
        for (number, line) in (1..).zip(text.lines()) {
            let words = line.split(|c: char| !is_path(c)).map(|w| w.trim_end_matches(['.', '/', '-']));
            for word in words.filter(|w| !w.contains(['<', '>', '*', '$']) && !w.contains("...")) {
                let first = word.split('/').next().unwrap();
                let file_like = word.contains('/')
                    && [".md", ".rs", ".toml", ".py", ".sh", ".json"].iter().any(|e| word.ends_with(e));
                let folder_like = prose && word.contains('/') && line.contains(&format!("`{word}"));
                let bare =
                    !word.contains('/') && word.len() > 3 && word.ends_with(".md") && word != "report.md"; // written by a sweep
                if bare && !tree.names.iter().any(|n| n.rsplit('/').next() == Some(word)) {
                    wrong.push(format!("{file}:{number}: {word}"));
                }
                if folders.contains(first) && (file_like || folder_like) {
                    named += 1;
                    if !tree.has(file, word) {
                        wrong.push(format!("{file}:{number}: {word}"));
                    }
                }
            }
        }
        if prose {
            for (line, span) in code(text) {
                let name = span.strip_suffix(".rs").unwrap_or_default();
                if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '/')
                {
                    named += 1;
                    let there = |n: &String| n == span || n.ends_with(&format!("/{span}"));
                    if !tree.names.iter().any(there) {
                        wrong.push(format!("{file}:{line}: {span}"));
                    }
                }
            }
            for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = target.split('#').next().unwrap();
                if !target.is_empty() && !target.contains(':') && !tree.has(file, target) {
                    wrong.push(format!("{file}: a link to {target}"));
                }
            }
        }
    }
    assert!(named > 100, "only {named} found: is the test blind?");
    assert_eq!(wrong, Vec::<String>::new(), "no such file");
}

/// Names of other programs that documents speak of.
const ELSEWHERE: [&str; 1] = ["max_packet_life_time"];

/// A test named in a document, and any other name of four words or more, stands somewhere in the sources.
#[test]
fn tests_and_long_names_that_documents_name_exist() {
    let tree = Tree::read();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let sources = tree.texts.iter().filter(|(name, _)| !name.ends_with(".md"));
    let words: BTreeSet<&str> = sources.flat_map(|(_, text)| text.split(|c: char| !is_word(c))).collect();
    let (mut named, mut wrong) = (0, Vec::new());
    for (file, text) in tree.documents() {
        for (line, span) in code(text) {
            for word in span.split(|c: char| !is_word(c)) {
                if word.matches('_').count() >= 3 && word.starts_with(|c: char| c.is_ascii_lowercase()) {
                    named += 1;
                    if !words.contains(word) && !ELSEWHERE.contains(&word) {
                        wrong.push(format!("{file}:{line}: {word}"));
                    }
                }
            }
        }
    }
    assert!(named > 3, "only {named} found: is the test blind?");
    assert_eq!(wrong, Vec::<String>::new(), "no such name in the sources");
}

/// What a document calls a test is one, however short its name.
#[test]
fn what_documents_call_a_test_is_one() {
    let tree = Tree::read();
    let (mut named, mut wrong) = (0, Vec::new());
    let is_test = |name: &str| {
        let function = format!("fn {name}(");
        tree.texts.iter().any(|(file, text)| file.ends_with(".rs") && text.contains(&function))
            || tree.names.iter().any(|n| n.ends_with(&format!("/{name}.rs")))
    };
    for (file, text) in tree.documents() {
        for (number, line) in (1..).zip(text.lines()) {
            let pieces: Vec<&str> = line.split('`').collect();
            for (before, span) in pieces.iter().step_by(2).zip(pieces.iter().skip(1).step_by(2)) {
                let before = before.trim_end();
                let called = ["test", "tests", "Test", "Tests"].iter().any(|w| before.ends_with(w));
                let name = span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
                if called && name && span.contains('_') {
                    named += 1;
                    if !is_test(span) {
                        wrong.push(format!("{file}:{number}: {span}"));
                    }
                }
            }
        }
    }
    assert!(named > 3, "only {named} found: is the test blind?");
    assert_eq!(wrong, Vec::<String>::new(), "no such test");
}

/// `cargo ... -p PACKAGE --example NAME` and the like.
#[test]
fn packages_and_programs_that_documents_name_exist() {
    let tree = Tree::read();
    let mut packages = BTreeSet::new();
    let mut programs: BTreeSet<String> = BTreeSet::new();
    for (file, text) in &tree.texts {
        if file.ends_with("Cargo.toml") {
            let names = text.lines().filter_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"'));
            packages.extend(names.clone().map(str::to_owned));
            programs.extend(names.map(str::to_owned));
        }
        if let Some(stem) = file.strip_suffix(".rs") {
            programs
                .insert(stem.strip_suffix("/main").unwrap_or(stem).rsplit('/').next().unwrap().to_owned());
        }
    }
    let mut wrong = Vec::new();
    for (file, text) in &tree.texts {
        let pieces: Vec<(usize, &str)> = match file.as_str() {
            "justfile" => (1..).zip(text.lines()).collect(),
            name if name.ends_with(".md") => code(text),
            _ => continue,
        };
        for (line, piece) in pieces {
            for command in commands(piece).filter(|c| c.contains(&"cargo")) {
                for pair in command.windows(2) {
                    let known = match pair[0] {
                        "-p" | "--package" => packages.contains(pair[1]),
                        "--example" | "--bin" | "--test" => programs.contains(pair[1]),
                        _ => continue,
                    };
                    if !known {
                        wrong.push(format!("{file}:{line}: {} {}", pair[0], pair[1]));
                    }
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "no such package or program");
}

/// A package that the workspace lists (and docs/DECISIONS.md explains) is one that some crate uses.
#[test]
fn listed_packages_are_used() {
    let tree = Tree::read();
    let root: toml::Table = tree.texts["Cargo.toml"].parse().expect("TOML");
    let listed = root["workspace"]["dependencies"].as_table().expect("a table");
    let used: BTreeSet<String> = tree
        .texts
        .iter()
        .filter(|(name, _)| name.ends_with("/Cargo.toml"))
        .flat_map(|(_, text)| {
            let manifest: toml::Table = text.parse().expect("TOML");
            let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
            let tables = tables.map(|t| manifest.get(t).and_then(|t| t.as_table()).cloned());
            tables.into_iter().flatten().flat_map(|t| t.keys().cloned().collect::<Vec<_>>())
        })
        .collect();
    let unused: Vec<&String> = listed.keys().filter(|name| !used.contains(*name)).collect();
    assert_eq!(unused, Vec::<&String>::new(), "no crate uses them");
}
