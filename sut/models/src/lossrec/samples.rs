//! Damaged frames to learn from, in files.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `FFLOSS02` |
//! | 4 | pixels of a side, little-endian |
//! | rest | records: 32 bytes of [`About`], then four 4:2:0 pictures: captured, shown, last good, the one before |

use super::lite::{Planes, Situation};
use anyhow::{Context, ensure};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"FFLOSS02";
const HEAD: u64 = 12;
const ABOUT: usize = 32;

/// Kinds of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// Decoded whole, from a damaged reference.
    Drift,
    /// Decoded with holes.
    Partial,
    /// Nothing decoded: the screen stands still.
    Frozen,
}

impl Damage {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Drift, Self::Partial, Self::Frozen];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Partial => "partial",
            Self::Frozen => "frozen",
        }
    }
}

/// What is known of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct About {
    /// What the network is told.
    pub situation: Situation,
    /// What kind of damage it is.
    pub damage: Damage,
    /// Mean squared error ([`error`]) of the whole shown picture.
    pub shown: f32,
    /// The same of the last good picture.
    pub hold: f32,
}

impl About {
    fn bytes(&self) -> [u8; ABOUT] {
        let s = self.situation;
        let mut bytes = [0; ABOUT];
        bytes[0] = u8::from(s.h265);
        bytes[1] = u8::from(s.depth);
        bytes[2] = self.damage as u8;
        for (i, age) in [s.last_age, s.before_age, s.shown_age].into_iter().enumerate() {
            bytes[4 + 4 * i..8 + 4 * i].copy_from_slice(&age.to_le_bytes());
        }
        bytes[16..20].copy_from_slice(&self.shown.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.hold.to_le_bytes());
        bytes[24..28].copy_from_slice(&s.lost.to_le_bytes());
        bytes
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| Some(<[u8; 4]>::try_from(bytes.get(i..i + 4)?).expect("four"));
        let age = |i| Some(u32::from_le_bytes(word(i)?));
        let damage = *Damage::ALL.get(usize::from(*bytes.get(2)?))?;
        let situation = Situation {
            h265: bytes[0] == 1,
            depth: bytes[1] == 1,
            frozen: damage == Damage::Frozen,
            last_age: age(4)?,
            before_age: age(8)?,
            shown_age: age(12)?,
            lost: age(24)?,
        };
        let [shown, hold] = [16, 20].map(|i| word(i).map(f32::from_le_bytes));
        Some(Self { situation, damage, shown: shown?, hold: hold? })
    }
}

/// Mean squared error of two 4:2:0 pictures' raw planes (Y, U, V one after the other) in 0..1: luma's, plus half of chroma's.
#[must_use]
pub fn error(a: &[u8], b: &[u8]) -> f64 {
    let luma = a.len() * 2 / 3;
    let mean = |a: &[u8], b: &[u8]| {
        let square = |(x, y): (&u8, &u8)| u64::from(x.abs_diff(*y)).pow(2);
        a.iter().zip(b).map(square).sum::<u64>() as f64 / a.len().max(1) as f64 / 65025.0
    };
    mean(&a[..luma], &b[..luma]) + 0.5 * mean(&a[luma..], &b[luma..])
}

/// Writes samples of one size.
pub struct Writer {
    file: BufWriter<File>,
    side: usize,
}

impl Writer {
    /// Begins a file for pictures of `side` x `side`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, side: usize) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("failed to write {}", path.display()))?;
        let mut file = BufWriter::new(file);
        file.write_all(MAGIC)?;
        file.write_all(&u32::try_from(side)?.to_le_bytes())?;
        Ok(Self { file, side })
    }

    /// Adds one: raw planes captured, shown, last good, the one before.
    ///
    /// # Errors
    /// When the disk is full.
    ///
    /// # Panics
    /// When a picture is of another size.
    pub fn add(&mut self, about: &About, pictures: [&[u8]; 4]) -> std::io::Result<()> {
        self.file.write_all(&about.bytes())?;
        for picture in pictures {
            assert_eq!(picture.len(), self.side * self.side * 3 / 2, "a picture of this file's size");
            self.file.write_all(picture)?;
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Files of samples of one size, read as needed.
pub struct Samples {
    files: Vec<(File, PathBuf)>,
    /// File and number in it.
    places: Vec<(usize, u64)>,
    side: usize,
}

impl Samples {
    /// All `.samples` files of a folder, in the order of their names.
    ///
    /// # Errors
    /// When there are none, or one is damaged or of another size than the others.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let mut all = Self { files: Vec::new(), places: Vec::new(), side: 0 };
        for path in crate::train::list(folder, "samples")? {
            let file = File::open(&path).with_context(|| format!("failed to open {}", path.display()))?;
            let mut head = [0; HEAD as usize];
            file.read_exact_at(&mut head, 0).with_context(|| format!("{} is too short", path.display()))?;
            ensure!(head[..8] == *MAGIC, "{} holds no samples", path.display());
            let side = u32::from_le_bytes(head[8..].try_into().expect("four")) as usize;
            ensure!(all.side == 0 || all.side == side, "{} holds pictures of another size", path.display());
            all.side = side;
            let count = (file.metadata()?.len() - HEAD) / all.record() as u64;
            let number = all.files.len();
            all.places.extend((0..count).map(|i| (number, i)));
            all.files.push((file, path));
        }
        ensure!(!all.places.is_empty(), "no samples in {}", folder.display());
        Ok(all)
    }

    fn record(&self) -> usize {
        ABOUT + 4 * self.side * self.side * 3 / 2
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Never: [`open`](Self::open) refuses an empty folder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Pixels of a side.
    #[must_use]
    pub fn side(&self) -> usize {
        self.side
    }

    /// One sample: what is known of it, and its four pictures' planes, one after the other.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn read(&self, index: usize) -> anyhow::Result<(About, Vec<u8>)> {
        let (file, number) = self.places[index];
        let (file, path) = &self.files[file];
        let mut bytes = vec![0; self.record()];
        file.read_exact_at(&mut bytes, HEAD + number * self.record() as u64)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let about = About::of(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
        Ok((about, bytes.split_off(ABOUT)))
    }

    /// The four pictures of some samples as a batch.
    #[must_use]
    pub fn planes(&self, samples: &[Vec<u8>]) -> [Planes; 4] {
        let size = self.side * self.side * 3 / 2;
        std::array::from_fn(|i| {
            let of: Vec<&[u8]> = samples.iter().map(|s| &s[i * size..(i + 1) * size]).collect();
            Planes::of_bytes(&of, (self.side, self.side))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let picture = |v: u8| vec![v; 32 * 32 * 3 / 2];
        let about = |age| About {
            situation: Situation {
                h265: true,
                frozen: true,
                last_age: age,
                before_age: 70_000,
                shown_age: 2,
                lost: 7,
                depth: false,
            },
            damage: Damage::Frozen,
            shown: 0.25,
            hold: 0.5,
        };
        for (name, ages) in [("b", vec![3]), ("a", vec![1, 2])] {
            let mut writer = Writer::create(&folder.path().join(format!("{name}.samples")), 32).unwrap();
            for age in ages {
                let p = [0, 1, 2, 3].map(|i| picture(10 * age as u8 + i));
                writer.add(&about(age), [&p[0], &p[1], &p[2], &p[3]]).unwrap();
            }
            writer.finish().unwrap();
        }
        let samples = Samples::open(folder.path()).unwrap();
        assert_eq!((samples.len(), samples.side()), (3, 32));
        for (i, age) in [1, 2, 3].into_iter().enumerate() {
            let (found, pictures) = samples.read(i).unwrap();
            assert_eq!(found, about(age));
            let wanted: Vec<u8> = [0, 1, 2, 3].iter().flat_map(|j| picture(10 * age as u8 + j)).collect();
            assert_eq!(pictures, wanted);
        }
    }

    /// A luma difference of 51 codes is 0.2: 0.04; chroma of 51 in one of its two planes half of half of that.
    #[test]
    fn the_error_weighs_luma_and_chroma() {
        let (a, mut b) = (vec![100u8; 24], vec![100u8; 24]);
        b[..16].fill(151);
        assert!((error(&a, &b) - 0.04).abs() < 1e-12);
        b[16..20].fill(151);
        assert!((error(&a, &b) - 0.05).abs() < 1e-12);
    }
}
