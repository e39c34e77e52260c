//! What the runs of a sweep have in common: the captured pictures, decoded once, and the tables of what is known.
//!
//! Captured pictures are kept up to [`KEPT`] bytes; what is beyond is decoded again by each run that needs it. Tables grow with the
//! number of different pictures, by some 200 bytes each.

use super::cache::place;
use super::pictures::{Captured, Meaning, Shot};
use contract::table::Table;
use contract::{ClipSpec, Stream};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of captured pictures that a sweep keeps: 300 frames of 512x512 with metric depth take 390 MB.
pub const KEPT: usize = 512 << 20;

/// What scorings share. The default shares nothing.
#[derive(Default)]
pub struct Shared {
    /// Bytes of captured pictures that may be kept.
    limit: usize,
    clips: Mutex<BTreeMap<String, Arc<Kept>>>,
    tables: Mutex<BTreeMap<PathBuf, Arc<Mutex<Table>>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// A captured picture and what it is known by.
pub struct Seen {
    /// The picture.
    pub shot: Shot,
    /// Its content's hash.
    pub hash: u128,
    /// Hash of the metric depth behind it; 0 without one.
    pub truth: u128,
}

impl Seen {
    fn of(shot: Shot) -> Arc<Self> {
        let (hash, truth) = (shot.picture.content_hash(), shot.truth_hash());
        Arc::new(Self { shot, hash, truth })
    }

    fn bytes(&self) -> usize {
        let picture = &self.shot.picture;
        let depth = self.shot.depth.as_ref().map_or(0, |d| 2 * d.mm.len());
        picture.y.len() + picture.u.len() + picture.v.len() + depth
    }
}

/// Captured pictures of one stream of a clip.
struct Kept {
    meaning: Meaning,
    bytes: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Absent: not opened yet, or every picture that may be kept is.
    reader: Option<Captured>,
    pictures: Vec<Arc<Seen>>,
    full: bool,
}

/// A thread that panicked has changed nothing by halves here.
pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// For many runs: captured pictures are kept.
    #[must_use]
    pub fn of_a_sweep() -> Self {
        Self { limit: KEPT, ..Self::default() }
    }

    /// The table `kind` of a `context` in the cache folder `dir`, with all that is in it now.
    #[must_use]
    pub fn table(&self, dir: Option<&Path>, kind: &str, context: &str) -> Arc<Mutex<Table>> {
        let Some(folder) = dir else { return Arc::new(Mutex::new(Table::open(None))) };
        let path = place(folder, kind, context);
        let open = || Arc::new(Mutex::new(Table::open(Some(path.clone()))));
        let table = lock(&self.tables).entry(path.clone()).or_insert_with(open).clone();
        lock(&table).refresh();
        table
    }

    /// The captured pictures of a stream; those that were decoded before are in the cache folder.
    ///
    /// # Errors
    /// When the clip is not there any more, or is no video.
    pub fn captured<'a>(
        &'a self,
        clip: &'a ClipSpec,
        stream: Stream,
        cache: Option<&'a Path>,
    ) -> anyhow::Result<Pictures<'a>> {
        if self.limit == 0 {
            let own = Captured::open_kept(clip, stream, cache)?;
            return Ok(Pictures {
                shared: self,
                clip,
                stream,
                cache,
                meaning: own.meaning(),
                kept: None,
                own: Some(own),
            });
        }
        let shape = (clip.width, clip.height, clip.fps, clip.frames);
        let name = format!("{} {stream:?} {shape:?} {:?} {:?}", clip.pictures(stream), clip.rgb, clip.depth);
        let found = lock(&self.clips).get(&name).cloned();
        let kept = if let Some(kept) = found {
            kept
        } else {
            let reader = Captured::open_kept(clip, stream, cache)?;
            let meaning = reader.meaning();
            let state = Mutex::new(State { reader: Some(reader), ..State::default() });
            let kept = || Arc::new(Kept { meaning, bytes: AtomicUsize::new(0), state });
            lock(&self.clips).entry(name).or_insert_with(kept).clone()
        };
        Ok(Pictures { shared: self, clip, stream, cache, meaning: kept.meaning, kept: Some(kept), own: None })
    }

    /// Whether `more` bytes may be kept; clips that nobody uses now make place.
    fn has_place(&self, more: usize) -> bool {
        let mut clips = lock(&self.clips);
        loop {
            let used: usize = clips.values().map(|kept| kept.bytes.load(Ordering::Relaxed)).sum();
            if used + more <= self.limit {
                return true;
            }
            let idle =
                clips.iter().find(|(_, kept)| Arc::strong_count(kept) == 1).map(|(name, _)| name.clone());
            match idle {
                Some(name) => drop(clips.remove(&name)),
                None => return false,
            }
        }
    }
}

/// The captured pictures of a stream, as one scoring needs them.
pub struct Pictures<'a> {
    shared: &'a Shared,
    clip: &'a ClipSpec,
    stream: Stream,
    cache: Option<&'a Path>,
    meaning: Meaning,
    kept: Option<Arc<Kept>>,
    /// For what is not kept.
    own: Option<Captured>,
}

impl Pictures<'_> {
    /// How to understand them.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// The picture of frame `frame`. In ascending order each is decoded once.
    ///
    /// # Errors
    /// When the clip is shorter than the run says, or damaged.
    pub fn frame(&mut self, frame: u32) -> anyhow::Result<Arc<Seen>> {
        if let Some(found) = self.kept.as_ref().map(|kept| self.from(kept, frame)).transpose()?.flatten() {
            return Ok(found);
        }
        if self.own.as_ref().is_none_or(|own| own.next() > frame) {
            self.own = Some(Captured::open_kept(self.clip, self.stream, self.cache)?);
        }
        let own = self.own.as_mut().expect("just opened");
        Ok(Seen::of(own.frame(frame)?))
    }

    /// From what is kept, read on if need be; `None` if this frame has no place. Whoever comes meanwhile waits for the same pictures.
    fn from(&self, kept: &Kept, frame: u32) -> anyhow::Result<Option<Arc<Seen>>> {
        let mut state = lock(&kept.state);
        while state.pictures.len() <= frame as usize && !state.full {
            let at = state.pictures.len() as u32;
            let Some(reader) = &mut state.reader else { break };
            let seen = Seen::of(reader.frame(at)?);
            let bytes = seen.bytes();
            if self.shared.has_place(bytes) {
                kept.bytes.fetch_add(bytes, Ordering::Relaxed);
                state.pictures.push(seen);
                if state.pictures.len() == self.clip.frames as usize {
                    state.reader = None;
                }
            } else {
                (state.full, state.reader) = (true, None);
            }
        }
        Ok(state.pictures.get(frame as usize).cloned())
    }
}
