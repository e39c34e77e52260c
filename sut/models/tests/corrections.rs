//! Corrections, their encoder, and the property that nothing drifts, with the shipped weights.

use models::corrections::{Basis, Corrections, Encoder};
use models::layers::floats;
use models::tokenizer::{Meaning, Places, Preset, Shows, Tokenizer};
use models::train::{Losses, Random};
use models::weights::Weights;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor, no_grad};

const COLUMNS: usize = 6;
const ROWS: usize = 4;
const PLACES: usize = COLUMNS * ROWS;
const PERIOD: u32 = 13;

fn shipped(network: &str) -> PathBuf {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../weights");
    weights.join(format!("reparo-{network}-lite.safetensors"))
}

fn tokenizer() -> Tokenizer {
    tch::set_num_threads(1);
    Tokenizer::load(&shipped("tokenizer"), Preset::Lite, Device::Cpu).unwrap()
}

/// The shipped codebook with a shorter period.
fn corrections(tokenizer: &Tokenizer) -> Corrections {
    let file = Weights::read(&shipped("corrections")).unwrap();
    let codes = floats(&file.tensors["picture_codes"]).into_iter().map(|c| c as u16).collect();
    Corrections::new(tokenizer, codes, &file.tensors["corrections"], PERIOD)
}

/// A picture in which a square moves past noise that stands still, until a cut.
fn picture(frame: usize) -> Vec<u8> {
    let (width, height) = (16 * COLUMNS, 16 * ROWS);
    let mut random = Random::of_step(if frame < 60 { 1 } else { 2 }, 0);
    let mut rgb: Vec<u8> = (0..3 * width * height).map(|_| 90 + random.below(60) as u8).collect();
    for y in 20..40 {
        for x in 0..20 {
            rgb[3 * (y * width + (x + 2 * frame) % width)..][..3].fill(230);
        }
    }
    rgb
}

/// Tokens of a sequence, as the encoder sends them.
fn sequence(tokenizer: &Tokenizer, corrections: &Corrections, frames: usize) -> Vec<Vec<u16>> {
    let mut encoder = Encoder::new(tokenizer, COLUMNS, ROWS);
    let tokens = |frame: usize| {
        let patches = tokenizer.patches_of_bytes(&picture(frame), 16 * COLUMNS, 16 * ROWS);
        let found = encoder.tokens(tokenizer, corrections, frame as u32, &patches, &[true; PLACES]);
        encoder.settle(tokenizer, corrections);
        found.0
    };
    (0..frames).map(tokens).collect()
}

#[test]
fn values_are_the_lowest_frequencies_of_samples() {
    let basis = Basis::new(Device::Cpu);
    let values = Tensor::randn([6, Basis::VALUES as i64], (Kind::Float, Device::Cpu));
    let patches = basis.patches(&values, 3, 2);
    assert_eq!(patches.size(), [1, 192, 4, 6]);
    assert!(basis.values_of(&patches).allclose(&values, 1e-4, 1e-4, false), "orthonormal");
    let [samples, lengths] = [&patches, &values].map(|t| t.square().sum(Kind::Float).double_value(&[]));
    assert!((samples - lengths).abs() < 1e-3 * lengths);
    // A grey picture has one value per place: its level times the root of 768 samples.
    let grey = Tensor::full([1, 192, 4, 6], 0.5, (Kind::Float, Device::Cpu));
    let found = basis.values_of(&grey);
    assert!((found.select(1, 0) - 0.5 * 768f64.sqrt()).abs().max().double_value(&[]) < 1e-4);
    assert!(found.narrow(1, 1, Basis::VALUES as i64 - 1).abs().max().double_value(&[]) < 1e-4);
    // The second place is the second one of the first row: a pattern of its own stays there.
    let second = Tensor::zeros([6, Basis::VALUES as i64], (Kind::Float, Device::Cpu));
    let _ = second.get(1).fill_(1.0);
    let lit = basis.patches(&second, 3, 2).abs().amax([0, 1], false);
    let _ = lit.narrow(0, 0, 2).narrow(1, 2, 2).fill_(0.0);
    assert!(lit.max().double_value(&[]) < 1e-6);
}

#[test]
fn what_stands_still_gets_better_and_better() {
    let tokenizer = tokenizer();
    let corrections = corrections(&tokenizer);
    let tokens = sequence(&tokenizer, &corrections, 50);
    let first = |tokens: &[u16]| {
        tokens.iter().filter(|&&t| matches!(corrections.meaning(t), Meaning::Code(_))).count()
    };
    assert_eq!(first(&tokens[0]), PLACES, "a call begins with picture codes");
    let corrected: usize = tokens[1..].iter().map(|t| PLACES - first(t)).sum();
    assert!(corrected > 200, "{corrected} corrections of 1176 tokens");
    // The error of places that are corrected, against the same places without their corrections.
    let mut places = tokenizer.places(PLACES);
    let (mut with, mut without) = (0.0, 0.0);
    for (frame, tokens) in tokens.iter().enumerate() {
        let received: Vec<_> = tokens.iter().copied().map(Some).collect();
        let _ = places.receive(frame as u32, &received, Some(&corrections));
        let wanted = tokenizer.patches_of_bytes(&picture(frame), 16 * COLUMNS, 16 * ROWS);
        let drawn = no_grad(|| tokenizer.draw_patches(&tokenizer.input(&[places.view(&[])], COLUMNS, ROWS)));
        let added = corrections.patches(places.sums(), COLUMNS, ROWS);
        let error = |shown: &Tensor| (shown - &wanted).square().mean(Kind::Float).double_value(&[]);
        with += error(&(&drawn + added));
        without += error(&drawn);
    }
    assert!(with < without, "{with} against {without}");
}

/// The property that all of this rests on: whatever got lost, one period later a receiver has what one without loss has.
#[test]
fn after_any_loss_a_receiver_has_within_a_period_what_one_without_loss_has() {
    let tokenizer = tokenizer();
    let corrections = corrections(&tokenizer);
    let frames = 120;
    let tokens = sequence(&tokenizer, &corrections, frames);
    let whole = |frame: usize| -> Vec<Option<u16>> { tokens[frame].iter().copied().map(Some).collect() };
    let mut lossless = tokenizer.places(PLACES);
    let states: Vec<Places> = (0..frames)
        .map(|frame| {
            let _ = lossless.receive(frame as u32, &whole(frame), Some(&corrections));
            lossless.clone()
        })
        .collect();
    let (mut differed, mut sooner) = (0, 0);
    for seed in 0..1000 {
        let mut random = Random::of_step(seed, 9);
        let losses = Losses::draw(&mut random);
        // Some join in the middle, some miss whole frames.
        let begin = if random.chance(0.2) { random.below(40) } else { 0 };
        let end = begin + 1 + random.below(frames - PERIOD as usize - begin - 1);
        let mut places = tokenizer.places(PLACES);
        for frame in begin..end {
            if random.chance(0.1) {
                continue;
            }
            let arrived = losses.arrived(&[true; PLACES], COLUMNS, &mut random);
            let received: Vec<_> =
                whole(frame).into_iter().zip(arrived).map(|(t, arrived)| t.filter(|_| arrived)).collect();
            let _ = places.receive(frame as u32, &received, Some(&corrections));
        }
        differed += usize::from(end > begin && places != states[end - 1]);
        for (frame, lossless) in states.iter().enumerate().skip(end).take(PERIOD as usize) {
            sooner += usize::from(frame + 1 < end + PERIOD as usize && places == *lossless);
            let _ = places.receive(frame as u32, &whole(frame), Some(&corrections));
        }
        let at = end + PERIOD as usize - 1;
        assert!(places == states[at], "losses {seed} until frame {end}");
        assert!(places.now().iter().all(|shows| *shows != Shows::Guess));
    }
    assert!(differed > 500, "losses matter: {differed}");
    assert!(sooner < 12_000, "and are not forgotten at once");
}

#[test]
fn files_are_kept_whole_and_others_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.safetensors");
    let tokenizer = tokenizer();
    let corrections = corrections(&tokenizer);
    corrections.save(&path, &tokenizer).unwrap();
    let again = Corrections::load(&path, &tokenizer).unwrap();
    assert_eq!((again.codes(), again.period()), (1024, PERIOD));
    assert_eq!([3, 700].map(|t| again.meaning(t)), [3, 700].map(|t| corrections.meaning(t)));
    assert!(matches!(again.meaning(700), Meaning::Correction(_)));
    let apart = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
    assert!(again.vector(2, 7).iter().zip(corrections.vector(2, 7)).all(apart));
    let _ = no_grad(|| tokenizer.codebook().get(0).fill_(0.25));
    assert!(Corrections::load(&path, &tokenizer).unwrap_err().to_string().contains("codebook"));
}
