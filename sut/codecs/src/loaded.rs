//! Shared libraries of this process, by their files; and those that it had the last time, so that a program that only names them need not load
//! a hundred and thirty libraries for that.
//!
//! A record of the last time holds while the loader would come to the same files: it is asked by the same program, neither the environment nor the
//! program names folders of its own, the loader's cache (`ld.so.cache(5)`) has not changed, and each library's link leads to the same file in the
//! same state. Hashes are not part of it: those are of the files as they are now.

use contract::digest::{at_rest, cache_folder, write_checked};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_int, c_void};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// Libraries by the part of their name before `.so`: version, and file; without one it is part of the program.
pub(crate) type Known = BTreeMap<String, (String, Option<PathBuf>)>;

/// What tells the loader where to look.
const VARIABLES: [&str; 3] = ["LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT"];
const LOADER_CACHE: &str = "/etc/ld.so.cache";

/// The files of the shared libraries of this process, by the part of their name before `.so`.
pub(crate) fn files() -> BTreeMap<String, PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = |line: &str| line.find('/').map(|at| PathBuf::from(&line[at..]));
    maps.lines().filter_map(path).filter_map(|path| Some((name(&path)?, path))).collect()
}

/// libx265-2f1.so.199 carries a build's mark before the point.
fn name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.split_once(".so")?.0;
    Some(name.split_once('-').map_or(name, |(n, _)| n).to_owned())
}

/// What was remembered of the libraries of these names, if it holds.
pub(crate) fn recall(names: &[&str]) -> Option<Known> {
    let (place, head) = record()?;
    let text = String::from_utf8(contract::digest::read_checked(&place)?).ok()?;
    let mut lines = text.lines();
    if lines.next()? != head {
        return None;
    }
    let mut known = Known::new();
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, link, real, state] = fields[..] else { return None };
        let file = (!real.is_empty()).then(|| PathBuf::from(real));
        if let Some(real) = &file
            && !(Path::new(link).canonicalize().ok()? == *real && at_rest(real)? == state)
        {
            return None;
        }
        known.insert(name.to_owned(), (version.to_owned(), file));
    }
    names.iter().all(|name| known.contains_key(*name)).then_some(known)
}

/// Remembers them for the next time.
pub(crate) fn remember(known: &Known) {
    let Some((place, head)) = record() else { return };
    let links = links();
    let line = |(name, (version, file)): (&String, &(String, Option<PathBuf>))| {
        let Some(real) = file else { return Some(format!("{name}\t{version}\t\t\t")) };
        let link = links.get(name)?;
        // What the loader opened is what the link leads to now.
        let same = link.canonicalize().ok()? == *real;
        let state = at_rest(real).filter(|_| same)?;
        Some(format!("{name}\t{version}\t{}\t{}\t{state}", link.to_str()?, real.to_str()?))
    };
    let lines: Option<Vec<String>> = known.iter().map(line).collect();
    if let Some(lines) = lines {
        write_checked(&place, [head, lines.join("\n")].join("\n").as_bytes());
    }
}

/// Where this program's record is, and its first line; `None` where nothing is to be remembered.
fn record() -> Option<(PathBuf, String)> {
    let folder = cache_folder()?;
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if VARIABLES.into_iter().any(is_set) || has_folders_of_its_own() {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    let place = format!("loaded-{:032x}", xxh3_128(program.as_os_str().as_encoded_bytes()));
    let head = format!("{} {}", at_rest(&program)?, at_rest(Path::new(LOADER_CACHE))?);
    Some((folder.join("files").join(place), head))
}

/// What the loader opened, by name: a link, where there is one.
fn links() -> BTreeMap<String, PathBuf> {
    unsafe extern "C" fn add(info: *mut libc::dl_phdr_info, _: usize, to: *mut c_void) -> c_int {
        // SAFETY: the loader's own record, and the map that was handed over below.
        let (text, to) =
            unsafe { (CStr::from_ptr((*info).dlpi_name), &mut *to.cast::<BTreeMap<String, PathBuf>>()) };
        if let Ok(path) = text.to_str()
            && let Some(name) = name(Path::new(path))
        {
            to.insert(name, PathBuf::from(path));
        }
        0
    }
    let mut links = BTreeMap::new();
    // SAFETY: the callback takes what is handed over, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut links).cast()) };
    links
}

/// Whether the program itself says where its libraries are (`DT_RPATH`, `DT_RUNPATH`).
fn has_folders_of_its_own() -> bool {
    const RPATH: i64 = 15;
    const RUNPATH: i64 = 29;
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
        // SAFETY: the loader's own record of the program, the first of all; its dynamic section ends with a zero tag.
        unsafe {
            let info = &*info;
            for header in std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) {
                if header.p_type != libc::PT_DYNAMIC {
                    continue;
                }
                let mut entry = (info.dlpi_addr + header.p_vaddr) as *const [i64; 2];
                while (*entry)[0] != 0 {
                    if matches!((*entry)[0], RPATH | RUNPATH) {
                        *found.cast::<bool>() = true;
                    }
                    entry = entry.add(1);
                }
            }
        }
        1
    }
    let mut found = false;
    // SAFETY: the callback writes to `found`, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    found
}
