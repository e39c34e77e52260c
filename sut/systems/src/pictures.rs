//! Pictures of the clip that a process encodes run after run: decoded once, as far as they have a place.

use crate::encode::{OpenPictures, Pictures, Source};
use anyhow::Result;
use media::Yuv420;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that a process may keep: 300 pictures of 512x512 are 118 MB.
pub const KEPT: usize = 128 << 20;

static LIMIT: AtomicUsize = AtomicUsize::new(0);
static LAST: Mutex<Option<Clip>> = Mutex::new(None);

/// The first pictures of one stream of a clip, the one that was opened last.
struct Clip {
    name: String,
    pictures: Vec<Arc<Yuv420>>,
    bytes: usize,
}

/// From now on up to `bytes` of pictures are kept in this process.
pub fn keep(bytes: usize) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

fn last() -> MutexGuard<'static, Option<Clip>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As `open`, of pictures that `name` says all of, with what is kept of them.
#[must_use]
pub fn kept(name: String, open: OpenPictures) -> OpenPictures {
    if LIMIT.load(Ordering::Relaxed) == 0 {
        return open;
    }
    let open = Arc::new(Mutex::new(open));
    Box::new(move || {
        let mut last = last();
        if last.as_ref().is_none_or(|clip| clip.name != name) {
            *last = Some(Clip { name: name.clone(), pictures: Vec::new(), bytes: 0 });
        }
        Ok(Box::new(Kept { name: name.clone(), open: open.clone(), next: 0, file: None }))
    })
}

struct Kept {
    name: String,
    open: Arc<Mutex<OpenPictures>>,
    next: usize,
    /// The file, open, and its next picture.
    file: Option<(Pictures, usize)>,
}

impl Kept {
    /// The file, at the next picture; `None` if it ends before.
    fn file(&mut self) -> Result<Option<&mut Pictures>> {
        if self.file.is_none() {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            self.file = Some((open()?, 0));
        }
        let Some((pictures, at)) = &mut self.file else { return Ok(None) };
        while *at < self.next {
            if !pictures.pass_over()? {
                return Ok(None);
            }
            *at += 1;
        }
        *at += 1;
        Ok(Some(pictures))
    }
}

impl Source for Kept {
    fn next(&mut self) -> Result<Option<Yuv420>> {
        let found = last()
            .as_ref()
            .filter(|clip| clip.name == self.name)
            .and_then(|clip| clip.pictures.get(self.next).cloned());
        if let Some(picture) = found {
            self.next += 1;
            return Ok(Some((*picture).clone()));
        }
        let Some(pictures) = self.file()? else { return Ok(None) };
        let Some(picture) = pictures.next()? else { return Ok(None) };
        if let Some(clip) = last().as_mut().filter(|clip| clip.name == self.name) {
            let bytes = picture.y.len() + picture.u.len() + picture.v.len();
            if clip.pictures.len() == self.next && clip.bytes + bytes <= LIMIT.load(Ordering::Relaxed) {
                clip.bytes += bytes;
                clip.pictures.push(Arc::new(picture.clone()));
            }
        }
        self.next += 1;
        Ok(Some(picture))
    }

    fn pass_over(&mut self) -> Result<bool> {
        let known =
            last().as_ref().is_some_and(|clip| clip.name == self.name && self.next < clip.pictures.len());
        let passed = known
            || match self.file()? {
                Some(pictures) => pictures.pass_over()?,
                None => false,
            };
        self.next += usize::from(passed);
        Ok(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten pictures, each of its own grey; counts how many are read and skipped.
    fn opener(read: &Arc<AtomicUsize>) -> OpenPictures {
        let read = read.clone();
        Box::new(move || {
            let (read, mut next) = (read.clone(), 0u8);
            Ok(Box::new(move || -> Result<_> {
                read.fetch_add(1, Ordering::Relaxed);
                next += 1;
                Ok((next <= 10).then(|| Yuv420::filled(16, 16, (next, 128, 128))))
            }))
        })
    }

    /// Whatever is skipped, whichever clip was before, and where only some have a place: the file's own pictures, each decoded once
    /// if it has one. One test, since what is kept is the process's.
    #[test]
    fn pictures_are_the_file_s_and_decoded_once() {
        let read = Arc::new(AtomicUsize::new(0));
        let all = |name: &str, passed: &[u8]| -> Vec<u8> {
            let mut pictures = kept(name.into(), opener(&read))().unwrap();
            let one = |n: u8| {
                if passed.contains(&n) {
                    assert!(pictures.pass_over().unwrap());
                    return None;
                }
                Some(pictures.next().unwrap().expect("a picture").y[0])
            };
            let seen = (1..=10).filter_map(one).collect();
            assert!(pictures.next().unwrap().is_none() && !pictures.pass_over().unwrap());
            seen
        };
        let count = || read.swap(0, Ordering::Relaxed);
        let whole: Vec<u8> = (1..=10).collect();
        assert_eq!((all("a", &[]), count()), (whole.clone(), 12), "nothing is kept unless asked for");
        keep(1 << 20);
        assert_eq!((all("a", &[]), all("a", &[])), (whole.clone(), whole.clone()));
        // Both look whether the clip goes on.
        assert_eq!(count(), 12 + 12);
        let mut again = kept("a".into(), opener(&read))().unwrap();
        (1..=10).for_each(|n| assert_eq!(again.next().unwrap().unwrap().y[0], n));
        assert_eq!(count(), 0);
        assert_eq!(all("a", &[1, 5]), [2, 3, 4, 6, 7, 8, 9, 10]);
        // Another clip; what is skipped ends what is kept.
        count();
        assert_eq!(all("b", &[3]), [1, 2, 4, 5, 6, 7, 8, 9, 10]);
        let mut first = kept("b".into(), opener(&read))().unwrap();
        count();
        (1..=2).for_each(|n| assert_eq!(first.next().unwrap().unwrap().y[0], n));
        assert_eq!(count(), 0);
        assert_eq!(first.next().unwrap().unwrap().y[0], 3);
        // Room for two pictures of 384 bytes.
        keep(2 * 384);
        assert_eq!((all("c", &[]), all("c", &[])), (whole.clone(), whole));
        let mut some = kept("c".into(), opener(&read))().unwrap();
        count();
        (1..=2).for_each(|n| assert_eq!(some.next().unwrap().unwrap().y[0], n));
        assert_eq!(count(), 0);
        assert_eq!((some.next().unwrap().unwrap().y[0], count()), (3, 3));
    }
}
