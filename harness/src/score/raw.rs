//! Captured pictures, decoded, in the cache folder: to decode a lossless clip takes as long as to score it.
//!
//! One file per stream of a clip, `pictures/HASH.raw`, has a place for every frame; places that nobody has filled are holes. A record begins
//! with the hash of its frame's number and of its samples, which begins with the file's name: what is damaged, half written, another frame's
//! or another clip's is no record, and is decoded.
//! All files together hold at most [`LIMIT`] bytes; whoever begins one removes those that were opened longest ago.

use super::cache::place;
use super::pictures::Shot;
use contract::digest::name_seed;
use contract::{ClipSpec, Stream};
use media::depth::DepthView;
use media::{Depth16, Yuv420, convert::Range};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::SystemTime;
use xxhash_rust::xxh3::Xxh3;

/// Bytes that the folder holds: ten seconds of 512x512 with metric depth are 275 MB.
const LIMIT: u64 = 1 << 30;
/// Bytes of a record's hash.
const MARK: usize = 16;

/// The pictures of one stream.
pub struct Raw {
    file: File,
    /// Of the records' hashes.
    seed: u64,
    size: (usize, usize),
    /// Of metric depth: what is kept is millimetres.
    view: Option<DepthView>,
    frames: u32,
    record: Vec<u8>,
}

impl Raw {
    /// Those of a clip's stream in the cache folder `dir`; `view` if they are metric depth. `None` where they have no place.
    #[must_use]
    pub fn open(dir: &Path, clip: &ClipSpec, stream: Stream, view: Option<DepthView>) -> Option<Self> {
        let size = (clip.width as usize, clip.height as usize);
        let shape = format!("{}x{}@{} {}", clip.width, clip.height, clip.fps, clip.frames);
        let context = format!("{} {} {shape} {view:?}", clip.pictures(stream), stream.name());
        Self::at(&place(dir, "pictures", &context).with_extension("raw"), size, view, clip.frames, LIMIT)
    }

    fn at(
        path: &Path,
        size: (usize, usize),
        view: Option<DepthView>,
        frames: u32,
        limit: u64,
    ) -> Option<Self> {
        let samples = if view.is_some() {
            2 * size.0 * size.1
        } else {
            size.0 * size.1 + 2 * size.0.div_ceil(2) * size.1.div_ceil(2)
        };
        let whole = u64::from(frames) * (MARK + samples) as u64;
        if whole > limit / 2 {
            return None;
        }
        let folder = path.parent()?;
        std::fs::create_dir_all(folder).ok()?;
        if !path.exists() {
            make_place(folder, limit - whole);
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).ok()?;
        file.set_modified(SystemTime::now()).ok()?;
        Some(Self { file, seed: name_seed(path), size, view, frames, record: vec![0; MARK + samples] })
    }

    /// The picture of a frame, if it is there and whole.
    #[must_use]
    pub fn read(&mut self, frame: u32) -> Option<Shot> {
        if frame >= self.frames {
            return None;
        }
        let at = u64::from(frame) * self.record.len() as u64;
        let mut mark = [0; MARK];
        // A hole costs one short read.
        self.file.read_exact_at(&mut mark, at).ok().filter(|()| mark != [0; MARK])?;
        self.file.read_exact_at(&mut self.record, at).ok()?;
        if hash(self.seed, frame, &self.record[MARK..]) != self.record[..MARK] {
            return None;
        }
        let (width, height) = self.size;
        let samples = &self.record[MARK..];
        Some(if let Some(view) = self.view {
            let mm = samples.as_chunks::<2>().0.iter().map(|&two| u16::from_le_bytes(two)).collect();
            let depth = Depth16 { width, height, mm };
            Shot { picture: view.to_yuv420(&depth, Range::Limited), depth: Some(depth) }
        } else {
            let (y, chroma) = samples.split_at(width * height);
            let (u, v) = chroma.split_at(chroma.len() / 2);
            let [y, u, v] = [y, u, v].map(<[u8]>::to_vec);
            Shot { picture: Yuv420 { width, height, y, u, v }, depth: None }
        })
    }

    /// Keeps the picture of a frame. What cannot be kept is decoded again.
    pub fn write(&mut self, frame: u32, shot: &Shot) {
        let (width, height) = (shot.picture.width, shot.picture.height);
        if frame >= self.frames || (width, height) != self.size || self.view.is_some() != shot.depth.is_some()
        {
            return;
        }
        let whole = self.record.len();
        self.record.truncate(MARK);
        match &shot.depth {
            Some(depth) => self.record.extend(depth.mm.iter().flat_map(|mm| mm.to_le_bytes())),
            None => shot.picture.planes().into_iter().for_each(|plane| self.record.extend_from_slice(plane)),
        }
        debug_assert_eq!(self.record.len(), whole, "planes and depth of the picture's size");
        self.record.resize(whole, 0);
        let mark = hash(self.seed, frame, &self.record[MARK..]);
        self.record[..MARK].copy_from_slice(&mark);
        let _ = self.file.write_all_at(&self.record, u64::from(frame) * self.record.len() as u64);
    }
}

fn hash(seed: u64, frame: u32, samples: &[u8]) -> [u8; MARK] {
    let mut hash = Xxh3::with_seed(seed);
    hash.update(&frame.to_le_bytes());
    hash.update(samples);
    hash.digest128().to_le_bytes()
}

/// Removes what was opened longest ago until no more than `rest` bytes are left. Whoever has it open keeps it until he ends.
fn make_place(folder: &Path, rest: u64) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let about = entry.metadata().ok()?;
            // Holes take no place.
            Some((about.modified().ok()?, 512 * about.blocks(), entry.path()))
        })
        .collect();
    files.sort();
    let mut taken: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if taken <= rest {
            return;
        }
        if std::fs::remove_file(path).is_ok() {
            taken -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(seed: u8) -> Shot {
        let mut picture = Yuv420::filled(9, 7, (0, 128, 128));
        let samples = picture.y.iter_mut().chain(&mut picture.u).chain(&mut picture.v);
        samples.enumerate().for_each(|(i, s)| *s = (i as u8).wrapping_mul(31) ^ seed);
        Shot { picture, depth: None }
    }

    fn depth(seed: u16, view: DepthView) -> Shot {
        let mm = (0..63).map(|i: u16| i.wrapping_mul(977).wrapping_add(seed) % 6000).collect();
        let depth = Depth16 { width: 9, height: 7, mm };
        Shot { picture: view.to_yuv420(&depth, Range::Limited), depth: Some(depth) }
    }

    fn same(a: Option<Shot>, b: &Shot) -> bool {
        a.is_some_and(|a| a.picture == b.picture && a.depth == b.depth)
    }

    /// Both kinds of picture come back to the bit, in another process too (opened anew), and holes are none.
    #[test]
    fn what_was_decoded_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let view = DepthView::new(400, 5000).unwrap();
        for (name, view, shot) in
            [("a.raw", None, colour(3)), ("b.raw", Some(view), depth(11, view)), ("c.raw", None, colour(200))]
        {
            let open = || Raw::at(&dir.path().join(name), (9, 7), view, 20, 1 << 20).unwrap();
            let mut raw = open();
            assert!(raw.read(5).is_none());
            raw.write(5, &shot);
            raw.write(20, &shot);
            assert!(same(raw.read(5), &shot) && same(open().read(5), &shot));
            assert!([0, 4, 6, 19, 20, 21].iter().all(|&other| open().read(other).is_none()));
        }
    }

    /// Every bit of a record counts, and so does its place.
    #[test]
    fn a_damaged_or_misplaced_record_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.raw");
        let mut raw = Raw::at(&path, (9, 7), None, 4, 1 << 20).unwrap();
        raw.write(1, &colour(1));
        let record = raw.record.len();
        let whole = std::fs::read(&path).unwrap();
        for at in record..2 * record {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(&path, &damaged).unwrap();
            assert!(Raw::at(&path, (9, 7), None, 4, 1 << 20).unwrap().read(1).is_none(), "byte {at}");
        }
        for cut in [record, record + 1, record + MARK, 2 * record - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(Raw::at(&path, (9, 7), None, 4, 1 << 20).unwrap().read(1).is_none(), "cut at {cut}");
        }
        std::fs::write(dir.path().join("b.raw"), &whole).unwrap();
        let mut other = Raw::at(&dir.path().join("b.raw"), (9, 7), None, 4, 1 << 20).unwrap();
        assert!(other.read(1).is_none(), "another clip's");
        let moved = [&whole[record..2 * record], &whole[record..2 * record]].concat();
        std::fs::write(&path, moved).unwrap();
        let mut raw = Raw::at(&path, (9, 7), None, 4, 1 << 20).unwrap();
        assert!(raw.read(0).is_none() && same(raw.read(1), &colour(1)));
    }

    /// The folder stays within its limit, and what was used last stays.
    #[test]
    fn what_was_opened_longest_ago_goes() {
        let dir = tempfile::tempdir().unwrap();
        let record = MARK + 9 * 7 + 2 * 5 * 4;
        // Each file takes whole blocks of the disk.
        let (frames, limit) = (400, 3 * (400 * record as u64).next_multiple_of(4096));
        let open = |name: &str| {
            let raw = Raw::at(&dir.path().join(name), (9, 7), None, frames, limit);
            std::thread::sleep(std::time::Duration::from_millis(20));
            raw
        };
        let fill = |name: &str| {
            let mut raw = open(name).expect("a place");
            (0..frames).for_each(|frame| raw.write(frame, &colour(frame as u8)));
        };
        fill("a.raw");
        fill("b.raw");
        drop(open("a.raw"));
        fill("c.raw");
        fill("d.raw");
        let there = |name: &str| dir.path().join(name).exists();
        assert!(there("a.raw") && !there("b.raw") && there("c.raw") && there("d.raw"));
        assert!(Raw::at(&dir.path().join("e.raw"), (9, 7), None, frames, 4 * record as u64).is_none());
    }
}
