//! Sequences under way. Each begins with a key frame by x265; every later frame refers to what the codec made of an earlier one, on the
//! sender's side and on that of a receiver that loses frames. No gradient goes from frame to frame.

use anyhow::{Context, ensure};
use codecs::EncoderConfig;
use media::convert::{Colour, Range, to_yuv420};
use media::scene::{self, SceneConfig};
use media::{Rgb, Yuv420};
use models::dcvcrt::lite::history::History;
use models::dcvcrt::lite::motion::{self, Field};
use models::dcvcrt::lite::network::MOST_QP;
use models::dcvcrt::lite::{cells, distance, features, key};
use models::layers::{channels_last, to_bytes};
use models::train::{Clip, Data, Options, Random, Shape, kept};
use models::weights::Weights;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Kind, Tensor};

/// Frames of a sequence, the key frame among them.
const FRAMES: usize = 14;
/// What a bit of a vector is worth in levels; as the codec has it.
pub const PRICE: u32 = models::dcvcrt::lite::PRICE;

/// What sequences are cut from.
pub struct Films {
    colour: Data,
    depth: Vec<Clip>,
}

impl Films {
    /// Training clips, and depth views of people of the synthetic scene.
    pub fn load(data: &Path, work: &Path) -> anyhow::Result<Self> {
        use clap::Parser;
        #[derive(clap::Parser)]
        struct Parsed {
            #[command(flatten)]
            options: Options,
        }
        let arguments =
            ["".as_ref(), "--data".as_ref(), data.as_os_str(), "--work".as_ref(), work.as_os_str()];
        let options = Parsed::parse_from(arguments).options;
        Ok(Self { colour: Data::load(&options)?, depth: depth_views(&work.join("pictures"))? })
    }

    /// Clips that no training sees.
    pub fn held_out(&self) -> &[Clip] {
        &self.colour.held_out
    }

    /// A sequence, oldest frame first.
    fn sequence(&self, side: usize, random: &mut Random) -> Vec<Yuv420> {
        if random.chance(0.12) {
            return self.depth_sequence(side, random);
        }
        let shape = Shape { crop: side, frames: FRAMES, stills: 0.12 };
        let (mut frames, _) = self.colour.batch(1, shape, random);
        frames.reverse();
        let grey = random.chance(0.05);
        let picture = |frame: &Tensor| {
            let bytes = to_bytes(frame).view([-1]);
            let data = Vec::<u8>::try_from(&bytes).expect("bytes of one dimension");
            let mut picture = to_yuv420(&Rgb { width: side, height: side, data }, Colour::BT601);
            if grey {
                picture.u.fill(128);
                picture.v.fill(128);
            }
            picture
        };
        frames.iter().map(picture).collect()
    }

    fn depth_sequence(&self, side: usize, random: &mut Random) -> Vec<Yuv420> {
        let clip = &self.depth[random.below(self.depth.len())];
        let length = clip.data.len() / (clip.size * clip.size);
        let first = random.below(length - FRAMES + 1);
        let place = [0; 2].map(|_: i32| random.below(clip.size - side + 1));
        let (backwards, mirror) = (random.chance(0.5), random.chance(0.5));
        // Another interval of distances: other contrast.
        let (gain, shift) = (0.4 + 0.8 * random.unit(), 60.0 * random.unit());
        let noise = if random.chance(0.3) { 3.0 * random.unit() } else { 0.0 };
        let frame = |i: usize, random: &mut Random| {
            let at = first + if backwards { FRAMES - 1 - i } else { i };
            let bytes = &clip.data[at * clip.size * clip.size..][..clip.size * clip.size];
            let mut picture = Yuv420::filled(side, side, (0, 128, 128));
            for (y, row) in picture.y.chunks_exact_mut(side).enumerate() {
                let from = &bytes[(place[1] + y) * clip.size + place[0]..][..side];
                for (x, to) in row.iter_mut().enumerate() {
                    let value = f64::from(from[if mirror { side - 1 - x } else { x }]);
                    let value =
                        value * gain + shift + if noise > 0.0 { noise * random.normal() } else { 0.0 };
                    *to = value.clamp(0.0, 255.0) as u8;
                }
            }
            picture
        };
        (0..FRAMES).map(|i| frame(i, random)).collect()
    }
}

/// Luma of depth views, 40 frames each, kept in `cache`.
fn depth_views(cache: &Path) -> anyhow::Result<Vec<Clip>> {
    const SIZE: usize = 256;
    const LENGTH: u32 = 40;
    (0..4u32)
        .map(|number| {
            let file = cache.join(format!("depth{number}.{SIZE}.{}.grey", scene::VERSION));
            let name = format!("depth{number}");
            let config = SceneConfig {
                person: 100 + number,
                seed: 2000 + u64::from(number),
                width: SIZE,
                height: SIZE,
                ..SceneConfig::default()
            };
            let data = kept(&file, SIZE * SIZE * LENGTH as usize, || {
                let scene = scene::Clip::new(config)?;
                let view = |i: u32| scene::depth_view().to_yuv420(&scene.render(40 + i).1, Range::Limited).y;
                Ok((0..LENGTH).flat_map(view).collect())
            })?;
            Ok(Clip { name, size: SIZE, data })
        })
        .collect()
}

/// A key frame as a receiver has it.
pub fn key_frame(picture: &Yuv420, qp: u8) -> anyhow::Result<Yuv420> {
    let (width, height) = (picture.width, picture.height);
    let config = EncoderConfig::revo("h265", width as u32, height as u32, 30);
    let bytes = key::encode(picture, qp, &config)?;
    key::decode(&bytes, (width, height))?.context("no picture of a key frame")
}

/// The picture that a frame refers to.
pub fn reference(history: &History, frame: u32) -> &Yuv420 {
    history.at(frame).expect("a key frame came first")
}

/// One sequence.
struct Item {
    number: u64,
    frames: Vec<Yuv420>,
    /// The next frame.
    at: usize,
    qp: u8,
    layers: u32,
    loss: f64,
    sender: History,
    receiver: History,
    field: Option<Field>,
}

impl Item {
    fn new(seed: u64, number: u64, side: usize, films: &Films) -> anyhow::Result<Self> {
        let mut random = Random::of_step(seed ^ 0x7365_7175, number);
        let frames = films.sequence(side, &mut random);
        let qp = random.below(usize::from(MOST_QP) + 1) as u8;
        let layers = 1 + random.below(3) as u32;
        let loss = [0.0, 0.08, 0.2, 0.35][random.below(4)];
        let key = key_frame(&frames[0], 26 + random.below(11) as u8)?;
        let history = History::of(0, key);
        let (sender, receiver) = (history.clone(), history);
        Ok(Self { number, frames, at: 1, qp, layers, loss, sender, receiver, field: None })
    }

    fn is_lost(&self, seed: u64) -> bool {
        Random::of_step(seed ^ 0x6c6f_7373, self.number * FRAMES as u64 + self.at as u64).chance(self.loss)
    }
}

/// All sequences.
pub struct Pool {
    seed: u64,
    size: usize,
    side: usize,
    next: u64,
    items: Vec<Item>,
}

/// One frame each of some sequences, as tensors.
pub struct Batch {
    pub current: Tensor,
    /// From the sender's reference.
    pub predicted: Tensor,
    /// From that of a receiver that lost frames.
    pub stale: Tensor,
    pub motion: Tensor,
    pub qp: Vec<u8>,
    /// The receiver has what the sender has.
    pub whole: Vec<bool>,
}

/// `[n, 96, h, w]` of pictures of one size.
pub fn tensor(pictures: &[&Yuv420]) -> Tensor {
    let size = (pictures[0].height / cells::SIDE, pictures[0].width / cells::SIDE);
    let all: Vec<f32> = pictures.iter().flat_map(|p| cells::of(p)).collect();
    let shape = [pictures.len() as i64, size.0 as i64, size.1 as i64, cells::VALUES as i64];
    Tensor::from_slice(&all).view(shape).permute([0, 3, 1, 2])
}

/// `[n, 3, h, w]` of what the prior knows of vectors.
pub fn motion_tensor(fields: &[&Field]) -> Tensor {
    let all: Vec<f32> = fields.iter().flat_map(|f| features(f)).collect();
    let shape = [fields.len() as i64, fields[0].rows as i64, fields[0].columns as i64, 3];
    Tensor::from_slice(&all).view(shape).permute([0, 3, 1, 2])
}

/// Pictures that cells of `[n, 96, h, w]` show.
pub fn pictures(drawn: &Tensor) -> Vec<Yuv420> {
    let size = drawn.size();
    let (height, width) = (size[2] as usize * cells::SIDE, size[3] as usize * cells::SIDE);
    let flat = channels_last(drawn).permute([0, 2, 3, 1]).to_kind(Kind::Float).contiguous().view([-1]);
    let all = Vec::<f32>::try_from(&flat).expect("32-bit floats of one dimension");
    all.chunks_exact(width * height * 3 / 2).map(|part| cells::picture(part, (width, height))).collect()
}

impl Pool {
    pub fn new(seed: u64, size: usize, side: usize) -> Self {
        Self { seed, size, side, next: 0, items: Vec::new() }
    }

    fn draw(&mut self, films: &Films) -> anyhow::Result<Item> {
        self.next += 1;
        Item::new(self.seed, self.next - 1, self.side, films)
    }

    /// The next frame of each chosen sequence.
    pub fn next(&mut self, chosen: &[usize], films: &Films) -> anyhow::Result<Batch> {
        while self.items.len() < self.size {
            let mut item = self.draw(films)?;
            // Not all at the same place.
            item.frames.truncate(2 + self.items.len() * (FRAMES - 2) / self.size);
            self.items.push(item);
        }
        let (mut stale, mut predicted, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for &i in chosen {
            if self.items[i].at == self.items[i].frames.len() {
                self.items[i] = self.draw(films)?;
            }
            let item = &mut self.items[i];
            let number = item.at as u32 - distance(item.at as u32, item.layers);
            let (sent, seen) = (reference(&item.sender, number), reference(&item.receiver, number));
            let field = motion::search(&item.frames[item.at], sent, item.field.as_ref(), PRICE);
            predicted.push(motion::predict(sent, &field));
            whole.push(sent == seen);
            stale.push(motion::predict(seen, &field));
            item.field = Some(field);
        }
        let items = || chosen.iter().map(|&i| &self.items[i]);
        Ok(Batch {
            current: tensor(&items().map(|item| &item.frames[item.at]).collect::<Vec<_>>()),
            predicted: tensor(&predicted.iter().collect::<Vec<_>>()),
            stale: tensor(&stale.iter().collect::<Vec<_>>()),
            motion: motion_tensor(
                &items().map(|item| item.field.as_ref().expect("searched")).collect::<Vec<_>>(),
            ),
            qp: items().map(|item| item.qp).collect(),
            whole,
        })
    }

    /// Takes what was drawn: the senders' pictures, then those of the receivers that have not the same (`whole`).
    pub fn drawn(&mut self, chosen: &[usize], whole: &[bool], drawn: &Tensor) {
        let mut all = pictures(drawn);
        let mut behind = all.split_off(chosen.len()).into_iter();
        let seed = self.seed;
        for ((&i, sender), &whole) in chosen.iter().zip(all).zip(whole) {
            let item = &mut self.items[i];
            let receiver = if whole { Some(sender.clone()) } else { behind.next() };
            item.sender.add(item.at as u32, sender);
            if let Some(receiver) = receiver.filter(|_| !item.is_lost(seed)) {
                item.receiver.add(item.at as u32, receiver);
            }
            item.at += 1;
        }
    }

    /// Pictures that sequences refer to, for a state file.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut state = BTreeMap::new();
        for (i, item) in self.items.iter().enumerate() {
            for (side, history) in [("sender", &item.sender), ("receiver", &item.receiver)] {
                for (number, picture) in history.iter() {
                    let bytes = [picture.y.as_slice(), &picture.u, &picture.v].concat();
                    state.insert(format!("pool.{i}.{side}.{number}"), Tensor::from_slice(&bytes));
                }
            }
            if let Some(field) = &item.field {
                let vectors = Tensor::from_slice(&field.vectors.concat());
                state.insert(format!("pool.{i}.vectors"), vectors);
            }
        }
        state
    }

    /// Number, place and length of every sequence, and the number of the next.
    pub fn places(&self) -> String {
        let items =
            self.items.iter().map(|item| format!("{}:{}:{}", item.number, item.at, item.frames.len()));
        items.chain([self.next.to_string()]).collect::<Vec<_>>().join(" ")
    }

    /// Takes back what [`state`](Self::state) and [`places`](Self::places) gave.
    pub fn restore(&mut self, state: &Weights, films: &Films) -> anyhow::Result<()> {
        let places = state.metadata.get("pool").context("the state has no sequences")?;
        let mut places: Vec<&str> = places.split(' ').collect();
        self.next = places.pop().unwrap_or_default().parse()?;
        ensure!(places.len() == self.size, "the state has {} sequences (--pool)", places.len());
        for (i, place) in places.into_iter().enumerate() {
            let parts = place.split(':').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
            let &[number, at, length] = parts.as_slice() else { anyhow::bail!("{place:?} is no place") };
            let mut item = Item::new(self.seed, number, self.side, films)?;
            item.frames.truncate(length as usize);
            item.at = at as usize;
            let bytes = |key: &str| -> Option<Vec<u8>> {
                Vec::<f32>::try_from(&state.tensors[key])
                    .ok()
                    .map(|v| v.iter().map(|&v| v as i16 as u8).collect())
            };
            for (side, history) in [("sender", &mut item.sender), ("receiver", &mut item.receiver)] {
                let first = format!("pool.{i}.{side}.");
                let mut kept = Vec::new();
                for key in state.tensors.keys().filter(|key| key.starts_with(&first)) {
                    let number: u32 = key[first.len()..].parse()?;
                    kept.push((number, picture(&bytes(key).context("bytes")?, self.side)?));
                }
                kept.sort_by_key(|(number, _)| *number);
                let mut kept = kept.into_iter();
                let (number, picture) = kept
                    .next()
                    .with_context(|| format!("the state has no pictures of sequence {i} (--crop)"))?;
                *history = History::of(number, picture);
                kept.for_each(|(number, picture)| history.add(number, picture));
            }
            let key = format!("pool.{i}.vectors");
            if state.tensors.contains_key(&key) {
                let mut field = Field::still((self.side, self.side));
                let vectors = bytes(&key).context("vectors")?;
                for (vector, pair) in field.vectors.iter_mut().zip(vectors.chunks_exact(2)) {
                    *vector = [pair[0] as i8, pair[1] as i8];
                }
                item.field = Some(field);
            }
            self.items.push(item);
        }
        Ok(())
    }
}

/// A picture of raw planes.
fn picture(bytes: &[u8], side: usize) -> anyhow::Result<Yuv420> {
    codecs::networks::picture((side, side), bytes).context("the state has pictures of another size (--crop)")
}
