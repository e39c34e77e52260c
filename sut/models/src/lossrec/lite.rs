//! LossRec-lite: warps the last two good pictures and the one on the screen, blends them, and adds what none of them has.
//!
//! ```text
//! shown, last good, one before ─ unshuffle 8 ─ 1x1 ─ blocks @1/8 ─ @1/16 ─ @1/32 ─ @1/16 ─ blocks @1/8 ─ heads:
//!    three flows @1/8 · three weights @1/4 · residual (1x1 + shuffle 8)
//! sum of weight x source warped by its flow, plus residual
//! ```
//!
//! The last line is there twice: on tensors for training ([`Lite::forward`]), on bytes for a receiver (the module `draw`), which takes a
//! fifth of the time; a test compares them.
//!
//! In kinds of situations in which the decoder goes on, most of what can be gained is to know where it is to be believed: there the module [`super::blend`]
//! may be the better choice, which the [`Gate`] says.
//!
//! Pictures are 4:2:0 as they come out of the decoder; a depth view has neutral chroma. One network serves H.264 and H.265,
//! colour and depth: it is told which. It starts as the mean of its sources: flows and residual are zero before training.

use super::blend::{self, Blend, Pictures};
use super::draw::{self, Field, Plan, Plane};
use crate::layers::{Block, Conv, Precision, channels_last, floats};
use crate::weights::{Weights, WeightsError};
use media::Yuv420;
use std::path::Path;
use tch::{Device, Kind, Tensor, nn, no_grad};

/// What a weight file of this model says it is.
pub const MODEL: &str = "lossrec-lite";
/// Its file in the weights folder.
pub const FILE: &str = "lossrec-lite.safetensors";

/// Pictures that are blended.
pub(super) const SOURCES: i64 = 3;
/// Pixels of a side of the finest features.
const STEM: i64 = 8;
/// Sides of pictures are padded to multiples of this.
const SIDE: usize = 32;
const FINE: i64 = 64;
const MIDDLE: i64 = 96;
const COARSE: i64 = 128;
/// Pixels that a flow of 1 moves by.
const REACH: f64 = 8.0;
/// What a residual of 1 adds, in 0..1.
const RESIDUAL: f64 = 0.25;

/// What is known of a damaged frame besides pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// Coded with H.265 (else H.264): their decoders make different things of missing references.
    pub h265: bool,
    /// A view of depth.
    pub depth: bool,
    /// Nothing was decoded for this slot: the picture on the screen is an earlier one.
    pub frozen: bool,
    /// Frames since the last good picture.
    pub last_age: u32,
    /// Frames since the good picture before that; equal to `last_age` if there is none.
    pub before_age: u32,
    /// Frames since the frame whose picture is on the screen.
    pub shown_age: u32,
    /// Frames since the last good picture of which nothing was decoded: their motion is what the picture on the screen lacks.
    pub lost: u32,
}

/// Values of a [`Situation`] as the network takes them.
const FLAGS: i64 = 8;

impl Situation {
    /// Frames since the last good picture of which something was decoded.
    #[must_use]
    pub fn since(self) -> u32 {
        self.last_age.saturating_sub(self.lost)
    }

    /// How many kinds of situations a [`Gate`] tells apart.
    pub const KINDS: usize = 8;

    /// Codec, stream and whether the screen stands still, as a number.
    #[must_use]
    pub fn kind(self) -> usize {
        usize::from(self.h265) << 2 | usize::from(self.depth) << 1 | usize::from(self.frozen)
    }

    /// Words for a kind.
    #[must_use]
    pub fn kind_name(kind: usize) -> String {
        let word = |bit: usize, words: [&'static str; 2]| words[kind >> bit & 1];
        [word(2, ["h264", "h265"]), word(1, ["rgb", "depth"]), word(0, ["decoded", "frozen"])].join("-")
    }

    fn flags(self) -> [f32; FLAGS as usize] {
        let slow = |age: u32| (1.0 + age as f32).ln() / 2.0;
        let flag = |set: bool| f32::from(u8::from(set));
        [
            flag(self.h265),
            flag(self.depth),
            flag(self.frozen),
            slow(self.last_age),
            slow(self.before_age),
            slow(self.shown_age),
            (self.last_age as f32 / 8.0).min(2.0),
            slow(self.lost),
        ]
    }

    /// How far a motion between the two good pictures goes on, for each source: what the frames that were lost would have moved for the
    /// picture on the screen, which has moved with all others; all frames until now for the good pictures.
    fn stretch(self) -> [f32; SOURCES as usize] {
        let gap = self.before_age.saturating_sub(self.last_age);
        [self.lost, self.last_age, self.last_age]
            .map(|frames| if gap == 0 { 0.0 } else { (frames as f32 / gap as f32).min(4.0) })
    }
}

/// What is drawn for a kind of damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The network's picture.
    #[default]
    Net,
    /// What the decoder gave.
    Shown,
    /// The last good picture.
    Hold,
    /// A mix of both, block by block.
    Blend,
}

impl Choice {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Net, Self::Shown, Self::Hold, Self::Blend];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Shown => "shown",
            Self::Hold => "hold",
            Self::Blend => "blend",
        }
    }
}

/// What is drawn in each kind of [`Situation`]: where the network was not better in training's last measurement, what was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate([Choice; Situation::KINDS]);

impl Gate {
    /// One choice per [`Situation::kind`].
    #[must_use]
    pub fn new(choices: [Choice; Situation::KINDS]) -> Self {
        Self(choices)
    }

    /// The choice for a situation.
    #[must_use]
    pub fn of(&self, situation: Situation) -> Choice {
        self.0[situation.kind()]
    }

    /// As weight files have it: one word per kind.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.map(Choice::name).join(" ")
    }

    /// Reads [`text`](Self::text).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let words: Option<Vec<Choice>> =
            text.split(' ').map(|word| Choice::ALL.into_iter().find(|c| c.name() == word)).collect();
        Some(Self(words?.try_into().ok()?))
    }
}

/// Planes of a batch of 4:2:0 pictures in 0..1: luma `[n, 1, h, w]`, chroma `[n, 2, h/2, w/2]`.
#[derive(Debug)]
pub struct Planes {
    /// Y.
    pub luma: Tensor,
    /// U and V.
    pub chroma: Tensor,
}

impl Planes {
    /// Of raw planes Y, U, V of `n` pictures, one after the other, of even size.
    #[must_use]
    pub fn of_bytes(bytes: &[&[u8]], (width, height): (usize, usize)) -> Self {
        let (w, h) = (width as i64, height as i64);
        let all = |from: usize, to: usize, shape: [i64; 3]| {
            let parts: Vec<Tensor> =
                bytes.iter().map(|b| Tensor::from_slice(&b[from..to]).view(shape)).collect();
            Tensor::stack(&parts, 0).to_kind(Kind::Float) * (1.0 / 255.0)
        };
        let luma = width * height;
        Self { luma: all(0, luma, [1, h, w]), chroma: all(luma, luma + luma / 2, [2, h / 2, w / 2]) }
    }

    /// A square part of every picture, at an even row and column.
    #[must_use]
    pub fn part(&self, [row, column]: [i64; 2], side: i64) -> Self {
        let cut = |t: &Tensor, by: i64| {
            t.narrow(2, row / by, side / by).narrow(3, column / by, side / by).contiguous()
        };
        Self { luma: cut(&self.luma, 1), chroma: cut(&self.chroma, 2) }
    }
}

/// The network.
#[derive(Debug)]
pub struct Lite {
    store: nn::VarStore,
    gate: Gate,
    stem: Conv,
    flags: nn::Linear,
    fine: Vec<Block>,
    down: Conv,
    middle: Vec<Block>,
    down_again: Conv,
    coarse: Vec<Block>,
    up: Conv,
    middle_again: Vec<Block>,
    up_again: Conv,
    fine_again: Vec<Block>,
    flow: Conv,
    weight: Conv,
    residual: Conv,
    blends: [Blend; blend::KINDS],
}

/// Where the blends' values are in a weight file.
const BLEND: &str = "blend";

/// Channels of the sources at 1/8: 64 of luma and 32 of chroma each.
const SEEN: i64 = SOURCES * STEM * STEM * 3 / 2;

impl Lite {
    /// A network before training.
    #[must_use]
    pub fn new(device: Device) -> Self {
        let store = nn::VarStore::new(device);
        let root = store.root();
        let blocks = |name: &str, count: usize, channels: i64| -> Vec<Block> {
            (0..count).map(|i| Block::new(&(&root / name / i), channels, 5)).collect()
        };
        let down = |name: &str, from, to| Conv::down(&(&root / name / "down"), from, to, 2);
        let up = |name: &str, from, to| Conv::pointwise(&(&root / name / "up"), from, to, 1.0);
        let head = |name: &str, channels| Conv::pointwise(&(&root / name), FINE, channels, 0.0);
        Self {
            stem: Conv::pointwise(&(&root / "stem"), SEEN, FINE, 1.0),
            flags: nn::linear(&root / "flags", FLAGS, FINE, nn::LinearConfig::default()),
            fine: blocks("fine", 2, FINE),
            down: down("half", FINE, MIDDLE),
            middle: blocks("middle", 2, MIDDLE),
            down_again: down("quarter", MIDDLE, COARSE),
            coarse: blocks("coarse", 4, COARSE),
            up: up("double", COARSE, MIDDLE),
            middle_again: blocks("middle_again", 2, MIDDLE),
            up_again: up("quadruple", MIDDLE, FINE),
            fine_again: blocks("fine_again", 2, FINE),
            flow: head("flow", SOURCES * 4),
            weight: head("weight", SOURCES * 4),
            residual: head("residual", STEM * STEM * 3 / 2),
            blends: [0, 1, 2, 3].map(|kind| Blend::new(&(&root / BLEND / kind))),
            gate: Gate::default(),
            store,
        }
    }

    /// The network with the weights of a file.
    ///
    /// # Errors
    /// A file that cannot be read or is not this model's; the first key or shape that differs is named.
    pub fn load(path: &Path, device: Device) -> Result<Self, WeightsError> {
        let mut model = Self::new(device);
        let weights = Weights::read(path)?;
        weights.expect("model", MODEL)?;
        let gate = weights.metadata.get("gate").map(String::as_str).unwrap_or_default();
        model.gate = Gate::parse(gate).ok_or_else(|| WeightsError::Mismatch {
            path: path.into(),
            reason: format!("gate is {gate:?} instead of {} words", Situation::KINDS),
        })?;
        weights.fill(&model.store.variables())?;
        Ok(model)
    }

    /// The same for a file whose blends are not trained yet, or to be trained again.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_network(path: &Path) -> Result<Self, WeightsError> {
        let model = Self::new(Device::Cpu);
        let mut weights = Weights::read(path)?;
        weights.expect("model", MODEL)?;
        let is_network = |name: &String| !name.starts_with(BLEND);
        weights.tensors.retain(|name, _| is_network(name));
        let variables = model.store.variables();
        weights.fill(&variables.into_iter().filter(|(name, _)| is_network(name)).collect())?;
        Ok(model)
    }

    /// The blend of a [`Situation::kind`].
    #[must_use]
    pub fn blend(&self, kind: usize) -> &Blend {
        // Frozen or not is the last bit.
        &self.blends[kind >> 1]
    }

    /// What is drawn in each kind of situation from now on.
    pub fn set_gate(&mut self, gate: Gate) {
        self.gate = gate;
    }

    /// Its parameters.
    #[must_use]
    pub fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// As [`store`](Self::store).
    pub fn store_mut(&mut self) -> &mut nn::VarStore {
        &mut self.store
    }

    /// Computes the large products in this precision from now on.
    pub fn set_precision(&self, precision: Precision) {
        precision.set(&self.store);
    }

    /// Pictures of a batch, one [`Situation`] each: on the screen, last good, the one before; sides are multiples of 32.
    pub fn forward(&self, sources: [&Planes; 3], situations: &[Situation]) -> Planes {
        let luma = sources.map(|s| s.luma.pixel_unshuffle(STEM));
        let chroma = sources.map(|s| s.chroma.pixel_unshuffle(STEM / 2));
        let seen = Tensor::cat(&[&luma[0], &luma[1], &luma[2], &chroma[0], &chroma[1], &chroma[2]], 1);
        let Said { flow, weight, residual } = self.say(&channels_last(&(seen * 2.0 - 1.0)), situations);
        let fine = STEM * STEM;
        let luma = blend(sources.map(|s| &s.luma), &flow, &weight, REACH);
        let chroma = blend(sources.map(|s| &s.chroma), &flow, &weight, REACH / 2.0);
        Planes {
            luma: luma + residual.narrow(1, 0, fine).pixel_shuffle(STEM) * RESIDUAL,
            chroma: chroma + residual.narrow(1, fine, fine / 2).pixel_shuffle(STEM / 2) * RESIDUAL,
        }
    }

    /// What the network says of the squares that it sees.
    fn say(&self, seen: &Tensor, situations: &[Situation]) -> Said {
        let device = self.store.device();
        let flags: Vec<f32> = situations.iter().flat_map(|s| s.flags()).collect();
        let flags = Tensor::from_slice(&flags).view([-1, FLAGS]).to_device(device);
        // A column and a row of each source.
        let stretch: Vec<f32> =
            situations.iter().flat_map(|s| s.stretch().map(|part| [part; 2])).flatten().collect();
        let stretch = Tensor::from_slice(&stretch).view([-1, 2 * SOURCES, 1, 1]).to_device(device);

        let x = self.trunk(seen, &flags);
        let flow = self.flow.forward(&x);
        let flow = flow.narrow(1, 0, 2 * SOURCES) + flow.narrow(1, 2 * SOURCES, 2 * SOURCES) * stretch;
        let weight = self.weight.forward(&x).pixel_shuffle(2).softmax(1, Kind::Float);
        Said { flow, weight, residual: self.residual.forward(&x).contiguous() }
    }

    fn trunk(&self, seen: &Tensor, flags: &Tensor) -> Tensor {
        let known = flags.apply(&self.flags).unsqueeze(2).unsqueeze(3);
        let through = |blocks: &[Block], x: Tensor| blocks.iter().fold(x, |x, block| block.forward(&x));
        let larger = |x: &Tensor| {
            let size = x.size();
            x.to_kind(Kind::Float).upsample_nearest2d([2 * size[2], 2 * size[3]], None, None)
        };
        let fine = through(&self.fine, self.stem.forward(seen) + known);
        let middle = through(&self.middle, self.down.forward(&fine).to_kind(Kind::Float));
        let coarse = through(&self.coarse, self.down_again.forward(&middle).to_kind(Kind::Float));
        let middle = through(&self.middle_again, middle + larger(&self.up.forward(&coarse)));
        through(&self.fine_again, fine + larger(&self.up_again.forward(&middle)))
    }

    /// A picture for one slot.
    ///
    /// # Panics
    /// When the pictures differ in size.
    #[must_use]
    pub fn restore(&self, pictures: &Pictures, situation: Situation) -> Yuv420 {
        self.draw(self.gate.of(situation), pictures, situation)
    }

    /// The same by another choice than the gate's.
    ///
    /// # Panics
    /// When the pictures differ in size.
    #[must_use]
    pub fn draw(&self, choice: Choice, pictures: &Pictures, situation: Situation) -> Yuv420 {
        let Pictures { shown, earlier, last, before } = *pictures;
        let size = (shown.width, shown.height);
        assert!([earlier, last, before].iter().all(|p| (p.width, p.height) == size), "pictures of one size");
        let too_small = size.0.div_ceil(2).min(size.1.div_ceil(2)) < draw::SMALLEST;
        match choice {
            _ if too_small => return shown.clone(),
            Choice::Shown => return shown.clone(),
            Choice::Hold => return last.clone(),
            Choice::Blend => return self.blend(situation.kind()).restore(pictures, situation),
            Choice::Net => {}
        }
        let sources = [shown, last, before];
        let (seen, rows, columns) = draw::seen(sources, STEM as usize, SIDE);
        let (flow, weight, residual) = no_grad(|| {
            let seen = Tensor::from_slice(&seen).view([1, rows as i64, columns as i64, SEEN]);
            let Said { flow, weight, residual } = self.say(&seen.permute([0, 3, 1, 2]), &[situation]);
            (floats(&flow), floats(&weight), floats(&residual))
        });
        let planes = sources.map(Plane::of);
        let drawn = [0, 1, 2].map(|plane| {
            // Chroma has half the pixels.
            let by = if plane == 0 { 1 } else { 2 };
            let (stem, fine) = (STEM as usize, (STEM * STEM) as usize);
            let grid = |values, step| Field {
                values,
                width: columns * stem / step,
                height: rows * stem / step,
                step: step / by,
            };
            let plan = Plan {
                flow: grid(&flow, stem),
                reach: REACH as f32 / by as f32,
                weight: grid(&weight, stem / 2),
                residual: grid(&residual, stem),
                first: [0, fine, fine + fine / 4][plane],
                scale: RESIDUAL as f32 * 255.0,
            };
            draw::plane(planes.map(|p| p[plane]), &plan)
        });
        let [y, u, v] = drawn;
        Yuv420 { width: size.0, height: size.1, y, u, v }
    }
}

/// What the network says of a batch: flows at 1/8, weights at 1/4 that add up to 1, residual.
struct Said {
    flow: Tensor,
    weight: Tensor,
    residual: Tensor,
}

/// The weighted sum of sources `[n, c, h, w]`, each moved by its part of `flow` `[n, 6, .., ..]`; a flow of 1 is `reach` pixels.
fn blend(sources: [&Tensor; 3], flow: &Tensor, weight: &Tensor, reach: f64) -> Tensor {
    let size = sources[0].size();
    let (n, h, w) = (size[0], size[2], size[3]);
    let options = (Kind::Float, flow.device());
    // Columns and rows in -1..1, as the sampler counts them: pixels have centres at half numbers.
    let line = |count: i64| {
        let half = 1.0 / count as f64;
        Tensor::linspace(half - 1.0, 1.0 - half, count, options)
    };
    let at = Tensor::stack(
        &[line(w).view([1, w]).expand([h, w], false), line(h).view([h, 1]).expand([h, w], false)],
        2,
    );
    let scale = Tensor::from_slice(&[2.0 * reach as f32 / w as f32, 2.0 * reach as f32 / h as f32])
        .to_device(flow.device());
    let weights = weight.upsample_bilinear2d([h, w], false, None, None);
    let moved = (0..SOURCES).map(|i| {
        let flow = channels_last(&flow.narrow(1, 2 * i, 2)).upsample_bilinear2d([h, w], false, None, None);
        let grid = flow.permute([0, 2, 3, 1]) * &scale + at.unsqueeze(0).expand([n, h, w, 2], false);
        // 0: bilinear; 1: edges repeated.
        sources[i as usize].grid_sampler(&grid, 0, 1, false) * weights.narrow(1, i, 1)
    });
    moved.reduce(|sum, part| sum + part).expect("three sources")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, seed: usize) -> Yuv420 {
        let mut picture = Yuv420::filled(width, height, (0, 0, 0));
        let fill = |plane: &mut Vec<u8>, step: usize| {
            plane.iter_mut().enumerate().for_each(|(i, v)| *v = ((i * step + seed) % 251) as u8);
        };
        fill(&mut picture.y, 7);
        fill(&mut picture.u, 3);
        fill(&mut picture.v, 5);
        picture
    }

    /// Without training flows and residual are zero and all weights equal, so that equal sources come back as they are,
    /// whatever the size.
    #[test]
    fn untrained_it_is_the_mean_of_its_sources() {
        let net = Lite::new(Device::Cpu);
        for (width, height) in [(64, 64), (98, 66), (33, 47)] {
            let p = picture(width, height, 1);
            let situation = Situation { last_age: 2, before_age: 3, ..Situation::default() };
            let same = Pictures { shown: &p, earlier: &p, last: &p, before: &p };
            assert_eq!(net.restore(&same, situation), p, "{width}x{height}");
        }
        let [a, b, c] = [10, 20, 60].map(|v| Yuv420::filled(64, 32, (v, v, v)));
        let different = Pictures { shown: &a, earlier: &a, last: &b, before: &c };
        assert_eq!(net.restore(&different, Situation::default()), Yuv420::filled(64, 32, (30, 30, 30)));
    }

    /// A flow of one unit takes the picture from [`REACH`] pixels to the right, in luma and chroma alike.
    #[test]
    fn a_flow_moves_luma_and_chroma_together() {
        let ramp = |w: i64, step: f64| {
            let row = Tensor::arange(w, (Kind::Float, Device::Cpu)) * step;
            row.view([1, 1, 1, w]).expand([1, 1, 16, w], false).contiguous()
        };
        let flow = Tensor::zeros([1, 6, 2, 4], (Kind::Float, Device::Cpu));
        let _ = flow.narrow(1, 0, 1).fill_(1.0);
        let weight = Tensor::zeros([1, 3, 4, 8], (Kind::Float, Device::Cpu));
        let _ = weight.narrow(1, 0, 1).fill_(1.0);
        for (width, step, reach) in [(32, 1.0, REACH), (16, 2.0, REACH / 2.0)] {
            let source = ramp(width, step);
            let moved = blend([&source, &source, &source], &flow, &weight, reach);
            let difference = moved.narrow(3, 0, width / 2) - source.narrow(3, 0, width / 2);
            assert!((&difference - REACH).abs().max().double_value(&[]) < 1e-3, "{difference}");
        }
    }

    /// Training differentiates one form of the last step, receivers run another: levels differ by rounding alone.
    #[test]
    fn bytes_and_tensors_draw_the_same() {
        tch::manual_seed(3);
        let net = Lite::new(Device::Cpu);
        no_grad(|| {
            for (name, mut variable) in net.store().variables() {
                if ["flow", "weight", "residual"].iter().any(|head| name.starts_with(head)) {
                    let _ = variable.normal_(0.0, 0.1);
                }
            }
        });
        let size = (96, 64);
        let pictures = [1, 90, 170].map(|seed| picture(size.0, size.1, seed));
        let bytes = pictures.each_ref().map(|p| [&p.y[..], &p.u, &p.v].concat());
        let planes = bytes.each_ref().map(|b| Planes::of_bytes(&[b], size));
        let situation =
            Situation { last_age: 3, before_age: 4, shown_age: 1, lost: 2, ..Situation::default() };
        let [shown, last, before] = &planes;
        let Planes { luma, chroma } = no_grad(|| net.forward([shown, last, before], &[situation]));
        let wanted = [floats(&luma), floats(&chroma)].concat();
        let [shown, last, before] = &pictures;
        let drawn = net.restore(&Pictures { shown, earlier: shown, last, before }, situation);
        let drawn = [drawn.y, drawn.u, drawn.v].concat();
        assert_ne!(drawn, bytes[0]);
        for (at, (drawn, wanted)) in drawn.iter().zip(wanted).enumerate() {
            let wanted = (wanted * 255.0).clamp(0.0, 255.0);
            assert!((f32::from(*drawn) - wanted).abs() < 0.51, "{at}: {drawn} for {wanted}");
        }
    }

    #[test]
    fn a_gate_comes_back_from_its_text() {
        let mut gate = Gate::default();
        let situation = Situation { h265: true, frozen: true, ..Situation::default() };
        gate.0[situation.kind()] = Choice::Hold;
        assert_eq!(gate.of(situation), Choice::Hold);
        assert_eq!(gate.text(), "net net net net net hold net net");
        assert_eq!(Situation::kind_name(situation.kind()), "h265-rgb-frozen");
        assert_eq!(Gate::parse(&gate.text()), Some(gate));
        assert_eq!([Gate::parse("net"), Gate::parse("net net net net net net net no")], [None, None]);
    }

    #[test]
    fn motion_goes_on_as_long_as_it_is_old() {
        let at = |last_age, before_age, lost| {
            Situation { last_age, before_age, lost, ..Situation::default() }.stretch()
        };
        assert_eq!(at(2, 3, 1), [1.0, 2.0, 2.0]);
        assert_eq!(at(2, 4, 1), [0.5, 1.0, 1.0]);
        assert_eq!([at(1, 1, 1), at(30, 31, 5)], [[0.0; 3], [4.0; 3]]);
    }
}
