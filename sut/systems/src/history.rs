//! What an encoder's next frame depends on: everything that it has been asked for, or everything since a key frame at which it began anew
//! ([`Anew`]).

use crate::jobs::EncodeJob;
use codecs::registry::Anew;
use xxhash_rust::xxh3::xxh3_128;

/// The requests of a stream so far, as far as they matter.
#[derive(Clone, Debug)]
pub struct History {
    anew: Option<Anew>,
    /// How often the encoder has begun anew.
    segment: u64,
    beginning: Beginning,
    /// Key frames and pictures so far.
    counts: Counts,
    /// Requests since the segment began, each with what its frame is known by.
    since: Vec<(EncodeJob, u128)>,
    /// All of them as one number.
    chain: u128,
}

/// What an encoder has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames.
    pub pictures: u32,
    /// Key frames among them.
    pub keys: u32,
    /// Frames after the last key frame.
    pub since_key: u32,
}

impl Counts {
    /// One more.
    #[must_use]
    pub fn after(self, key: bool) -> Self {
        Self {
            pictures: self.pictures + 1,
            keys: self.keys + u32::from(key),
            since_key: if key { 0 } else { self.since_key + 1 },
        }
    }
}

/// What a segment begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// 0: with the stream. Else the number of key frames before, as far as it shows, plus 1.
    class: u32,
    /// The number of pictures before, as far as it shows.
    pictures: u32,
}

impl Beginning {
    /// Of a segment that an encoder would begin now.
    #[must_use]
    pub fn at(anew: Option<Anew>, counts: Counts) -> Self {
        match anew {
            Some(anew) if counts.keys > 0 => Self {
                class: 1 + counts.keys % anew.keys.max(1),
                pictures: counts.pictures % anew.pictures.max(1),
            },
            _ => Self::default(),
        }
    }

    /// True of a stream's own.
    #[must_use]
    pub fn is_first(self) -> bool {
        self.class == 0
    }

    /// What an encoder that stands at `counts`, and has made a key frame, is to make before it begins like this: so many frames, the first so
    /// many of them key frames. `gop`: the encoder makes a key frame of itself after so many others.
    #[must_use]
    pub fn approach(self, anew: Anew, gop: u32, counts: Counts) -> Option<(u32, u32)> {
        let period = anew.pictures.max(1);
        let nearest = (self.pictures + period - counts.pictures % period) % period;
        let reaches = |frames: u32, keys: u32| {
            let one = |counts: Counts, n: u32| {
                counts.after(n < keys || counts.keys == 0 || (gop > 0 && counts.since_key + 1 >= gop))
            };
            Self::at(Some(anew), (0..frames).fold(counts, one)) == self
        };
        (0..4)
            .map(|round| nearest + round * period)
            .flat_map(|frames| (0..=frames).map(move |keys| (frames, keys)))
            .find(|&(frames, keys)| reaches(frames, keys))
    }
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Number of its segment in this stream.
    pub segment: u64,
    /// What that begins with.
    pub beginning: Beginning,
    /// How many requests of the segment come before it.
    pub earlier: usize,
    /// What its frame is known by: a number of all that it depends on.
    pub hash: u128,
}

fn after(chain: u128, job: &EncodeJob) -> u128 {
    let mut bytes = Vec::with_capacity(30);
    bytes.extend(chain.to_le_bytes());
    bytes.extend(job.frame.to_le_bytes());
    bytes.extend([job.key, job.target_bps.is_some()].map(u8::from));
    bytes.extend(job.target_bps.unwrap_or_default().to_le_bytes());
    xxh3_128(&bytes)
}

impl History {
    /// Of an encoder that has been asked for nothing.
    #[must_use]
    pub fn new(anew: Option<Anew>) -> Self {
        Self {
            anew,
            segment: 0,
            beginning: Beginning::default(),
            counts: Counts::default(),
            since: Vec::new(),
            chain: 0,
        }
    }

    /// Where `job` stands if it comes next.
    #[must_use]
    pub fn of(&self, job: &EncodeJob) -> Standing {
        let now = Beginning::at(self.anew, self.counts);
        let begins = self.anew.is_some() && job.key;
        let chain = after(if begins { 0 } else { self.chain }, job);
        // A frame that the encoder makes a key frame of itself shows the number of key frames, too.
        let mark = self.anew.map_or(0, |anew| (anew.mark)(self.counts.pictures));
        let shown = [&chain.to_le_bytes()[..], &now.class.to_le_bytes(), &[mark]].concat();
        let hash = xxh3_128(&shown);
        if begins {
            Standing { segment: self.segment + 1, beginning: now, earlier: 0, hash }
        } else {
            Standing { segment: self.segment, beginning: self.beginning, earlier: self.since.len(), hash }
        }
    }

    /// `job` came, and its frame was a key frame or was not.
    pub fn pass(&mut self, job: &EncodeJob, key: bool) {
        let Standing { hash, .. } = self.of(job);
        if key && self.anew.is_some() {
            // One that the encoder made of itself begins a segment like one that was asked for.
            let asked = EncodeJob { key: true, ..job.clone() };
            self.beginning = Beginning::at(self.anew, self.counts);
            self.segment += 1;
            self.chain = after(0, &asked);
            self.since = vec![(asked, hash)];
        } else {
            self.chain = after(self.chain, job);
            self.since.push((job.clone(), hash));
        }
        self.counts = self.counts.after(key);
    }

    /// The segment's requests so far, each with what its frame is known by.
    #[must_use]
    pub fn since(&self) -> &[(EncodeJob, u128)] {
        &self.since
    }

    /// Number of the segment.
    #[must_use]
    pub fn segment(&self) -> u64 {
        self.segment
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codecs::registry::H264;

    /// From wherever an encoder stands every beginning of a stream with the same own key frames is reached.
    #[test]
    fn every_beginning_is_reached() {
        let anew = (H264.anew)(&codecs::EncoderConfig::revo("h264", 64, 64, 30)).unwrap();
        for gop in [0, 1, 2, 3, 10, 30, 32] {
            let forced = |frame: u32| frame == 0 || frame.is_multiple_of(7) || frame == 40;
            let next = |counts: Counts, frame: u32| {
                counts.after(forced(frame) || (gop > 0 && counts.since_key + 1 >= gop))
            };
            let stands: Vec<Counts> = (0..70)
                .scan(Counts::default(), |counts, frame| {
                    *counts = next(*counts, frame);
                    Some(*counts)
                })
                .collect();
            for wanted in &stands {
                let wanted = Beginning::at(Some(anew), *wanted);
                for from in stands.iter().chain([&Counts::default()]) {
                    let (frames, keys) = wanted.approach(anew, gop, *from).expect("reachable");
                    assert!(frames <= 128 && keys <= frames, "gop {gop}: {frames} frames, {keys} key frames");
                }
            }
        }
    }
}
