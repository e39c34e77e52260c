use super::*;
use crate::layers::{Precision, parameters, to_bytes, to_signed};
use crate::train::Random;
use crate::weights;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn saved(tokenizer: &Tokenizer, folder: &Path, preset: &str, half: bool) -> PathBuf {
    let path = folder.join("w.safetensors");
    let tensors: BTreeMap<String, Tensor> = tokenizer.store().variables().into_iter().collect();
    let hash = tokenizer.codebook_hash();
    let about = [("model", MODEL), ("preset", preset), ("codebook", &hash)];
    weights::write(&path, &tensors, &about, half).unwrap();
    path
}

fn fresh() -> Tokenizer {
    tch::manual_seed(4);
    let tokenizer = Tokenizer::new(Preset::Lite, 64, Device::Cpu);
    let _ = no_grad(|| tokenizer.codebook().shallow_clone().normal_(0.0, 1.0));
    tokenizer
}

fn encode(tokenizer: &Tokenizer, carry: &mut Carry, rgb: &[u8], width: usize, height: usize) -> Vec<u16> {
    tokenizer.tokens(carry, &tokenizer.features_of_bytes(rgb, width, height), None)
}

/// The view of a first frame that came whole.
fn alone(tokenizer: &Tokenizer, tokens: &[u16]) -> View {
    let received: Vec<_> = tokens.iter().copied().map(Some).collect();
    let mut places = tokenizer.places(tokens.len());
    let _ = places.receive(0, &received, None);
    places.view(&[])
}

fn picture(seed: u64) -> Vec<u8> {
    let mut random = Random::of_step(seed, 0);
    (0..3 * 64 * 48).map(|_| random.below(256) as u8).collect()
}

#[test]
fn paper_has_its_sizes() {
    let tokenizer = Tokenizer::new(Preset::Paper, 1024, Device::Cpu);
    let of = |part: &str| -> i64 {
        let variables = tokenizer.store().variables();
        variables.iter().filter(|(k, _)| k.starts_with(part)).map(|(_, t)| t.numel() as i64).sum()
    };
    // 23.61 M + 0.26 M and 30.56 M.
    assert_eq!(of("encoder."), 23_611_264);
    assert_eq!(of("codebook"), 262_144);
    assert_eq!(of("decoder."), 30_560_259);
    let drawn = no_grad(|| {
        let features = tokenizer.features(&Tensor::zeros([1, 3, 32, 48], (Kind::Float, Device::Cpu)));
        let (tokens, _) = tokenizer.quantise(&features, &mut Carry::default(), None);
        tokenizer.draw(&tokenizer.input_of_features(&[tokenizer.embed(&tokens)])).size()
    });
    assert_eq!(drawn, [1, 3, 32, 48]);
}

#[test]
fn lite_is_small() {
    assert!(parameters(fresh().store()) < 3_000_000);
}

#[test]
fn patches_in_one_pass_are_the_tensor_operations() {
    let tokenizer = fresh();
    let rgb = picture(3);
    let tokens = encode(&tokenizer, &mut Carry::default(), &rgb, 64, 48);
    no_grad(|| {
        let signed = to_signed(&Tensor::from_slice(&rgb).view([1, 48, 64, 3]));
        let features = tokenizer.features(&signed);
        let expected = tokenizer.quantise(&features, &mut Carry::default(), None).0;
        let found: Vec<i64> = tokens.iter().map(|&t| i64::from(t)).collect();
        assert_eq!(found, Vec::<i64>::try_from(&expected.view([-1])).unwrap());
        let drawn = to_bytes(&tokenizer.draw(&tokenizer.input_of_features(&[tokenizer.embed(&expected)])));
        let decoded = tokenizer.decode(&alone(&tokenizer, &tokens), 4, 3, None);
        assert_eq!(decoded, Vec::<u8>::try_from(&drawn.view([-1])).unwrap());
    });
}

#[test]
fn sixteen_bit_products_draw_nearly_the_same() {
    let tokenizer = fresh();
    let tokens: Vec<u16> = (0..12).map(|i| i * 5).collect();
    let view = alone(&tokenizer, &tokens);
    let exact = tokenizer.decode(&view, 4, 3, None);
    Precision::Bf16.set(tokenizer.store());
    let fast = tokenizer.decode(&view, 4, 3, None);
    assert_ne!(exact, fast, "the precision changes something");
    let mean: f64 =
        exact.iter().zip(&fast).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / exact.len() as f64;
    assert!(mean < 1.0, "{mean} levels apart on average");
}

#[test]
fn pictures_survive_in_size_and_files_in_content() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = fresh();
    let picture = picture(1);
    let tokens = encode(&tokenizer, &mut Carry::default(), &picture, 64, 48);
    assert_eq!(tokens.len(), 4 * 3);
    let view = alone(&tokenizer, &tokens);
    assert_eq!(tokenizer.decode(&view, 4, 3, None).len(), picture.len());
    let path = saved(&tokenizer, folder.path(), "lite", false);
    let again = Tokenizer::load(&path, Preset::Lite, Device::Cpu).unwrap();
    assert_eq!(encode(&again, &mut Carry::default(), &picture, 64, 48), tokens);
    assert_eq!(again.decode(&view, 4, 3, None), tokenizer.decode(&view, 4, 3, None));
}

#[test]
fn a_picture_is_a_function_of_all_that_its_view_holds() {
    let tokenizer = fresh();
    let grid = |seed: u16| (0..12u16).map(|i| Some((i * 7 + seed) % 64)).collect::<Vec<Option<u16>>>();
    let mut places = tokenizer.places(12);
    for (frame, seed) in [0, 1, 2].into_iter().enumerate() {
        let _ = places.receive(frame as u32, &grid(seed), None);
    }
    let mut some = grid(9);
    some[5] = None;
    let _ = places.receive(3, &some, None);
    let view = places.view(&[0.5; 16]);
    let shown = tokenizer.decode(&view, 4, 3, None);
    assert!(shown == tokenizer.decode(&view.clone(), 4, 3, None));
    let differs = |change: &dyn Fn(&mut View), what: &str| {
        let mut other = view.clone();
        change(&mut other);
        assert!(tokenizer.decode(&other, 4, 3, None) != shown, "{what}");
    };
    for slot in 0..4 {
        differs(&|v| v.tokens[slot * 12] ^= 1, &format!("slot {slot} is seen"));
    }
    differs(&|v| v.ages[0] = 7, "an age is seen");
    differs(&|v| v.guesses[3] = half::f16::from_f32(2.0), "a guess is seen");
    // On a GPU and with the paper's sizes a frame is drawn of its own codes.
    assert_eq!(Tokenizer::new(Preset::Paper, 8, Device::Cpu).slots(), 1);
}

#[test]
fn tokens_of_a_sequence_depend_on_the_frames_before_and_on_nothing_else() {
    let tokenizer = fresh();
    let still = picture(5);
    let sequence = || {
        let mut carry = Carry::default();
        (0..4).map(|_| encode(&tokenizer, &mut carry, &still, 64, 48)).collect::<Vec<_>>()
    };
    let tokens = sequence();
    assert_eq!(tokens, sequence());
    assert!(tokens.iter().any(|t| t != &tokens[0]), "errors are handed on where nothing moves");
    // Another size begins anew.
    let mut carry = Carry::default();
    let _ = encode(&tokenizer, &mut carry, &still[..3 * 64 * 32], 64, 32);
    assert_eq!(encode(&tokenizer, &mut carry, &still, 64, 48), tokens[0]);
}

#[test]
fn nearest_code_is_the_nearest() {
    let codes = Tensor::from_slice(&[0.0f32, 0.0, 1.0, 0.0, 0.0, 3.0]).view([3, 2]);
    let features = Tensor::from_slice(&[0.4f32, 0.0, 0.9, 0.2, 0.0, 1.6]).view([1, 3, 2]);
    let found = Vec::<i64>::try_from(nearest(&features, &codes).view([-1])).unwrap();
    assert_eq!(found, [0, 1, 2]);
}

#[test]
fn foreign_and_damaged_weights_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = fresh();
    let load = |path: &Path| Tokenizer::load(path, Preset::Lite, Device::Cpu).map(|_| ()).unwrap_err();

    let path = saved(&tokenizer, folder.path(), "paper", true);
    assert!(load(&path).to_string().contains("preset"), "another preset");

    let path = saved(&tokenizer, folder.path(), "lite", true);
    assert!(Tokenizer::load(&path, Preset::Lite, Device::Cpu).is_ok());
    assert!(matches!(
        Tokenizer::load(&path, Preset::Paper, Device::Cpu).unwrap_err(),
        WeightsError::Mismatch { .. }
    ));
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(load(&path), WeightsError::Damaged { .. }), "{length} bytes");
    }
    // An infinite weight (exponent bits all set) among the last values of the file.
    let mut infinite = whole.clone();
    let end = infinite.len();
    infinite[end - 2..].copy_from_slice(&[0x00, 0x7c]);
    std::fs::write(&path, &infinite).unwrap();
    assert!(matches!(load(&path), WeightsError::Damaged { .. }), "infinity");

    assert!(matches!(load(&folder.path().join("absent")), WeightsError::Io { .. }));

    let other = Tokenizer::new(Preset::Lite, 64, Device::Cpu);
    let tensors: BTreeMap<String, Tensor> = other.store().variables().into_iter().collect();
    let hash = tokenizer.codebook_hash();
    let about = [("model", MODEL), ("preset", "lite"), ("codebook", hash.as_str())];
    weights::write(&path, &tensors, &about, true).unwrap();
    assert!(load(&path).to_string().contains("codebook"), "codebook that is not the announced one");

    let mut fewer = tensors;
    fewer.retain(|name, _| name != "decoder.head.bias");
    weights::write(&path, &fewer, &about, true).unwrap();
    assert!(load(&path).to_string().contains("missing"));
}

#[test]
fn recovery_weights_of_another_codebook_are_refused() {
    use crate::token_recovery::{self, Recovery};
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = fresh();
    let recovery = Recovery::new(Preset::Lite, 64, Device::Cpu);
    let path = folder.path().join("r.safetensors");
    let tensors: BTreeMap<String, Tensor> = recovery.store().variables().into_iter().collect();
    let hash = tokenizer.codebook_hash();
    let about = [("model", token_recovery::MODEL), ("preset", "lite"), ("codebook", hash.as_str())];
    weights::write(&path, &tensors, &about, true).unwrap();
    assert!(Recovery::load(&path, Preset::Lite, &tokenizer, Device::Cpu).is_ok());
    let _ = no_grad(|| tokenizer.codebook().get(0).fill_(0.25));
    let refused = Recovery::load(&path, Preset::Lite, &tokenizer, Device::Cpu).unwrap_err();
    assert!(refused.to_string().contains("codebook"), "{refused}");
}
