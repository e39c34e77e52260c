//! LossRec against the original's outputs for synthetic weights (`FREEZEFRAME_VECTORS`, folder `lossrec`).

mod formula;

use formula::{damaged, frame, hex, lossrec};
use media::Rgb;
use models::layers::floats;
use models::lossrec::network::{Config, Half, Network, positions};
use models::lossrec::original::LossRec;
use models::lossrec::{clip, quality};
use models::probe;
use models::weights::{self, Weights};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tch::{Device, Kind, Tensor, no_grad};

/// Of tensors, section 4 of the notes beside the vectors.
const TENSOR: f64 = 5e-5;
const PICTURE: f64 = 5e-6;

fn folder() -> Option<PathBuf> {
    Some(testing::folder("vectors")?.join("lossrec"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a vector")).expect("vectors are JSON")
}

fn config(given: &Value) -> Config {
    let number = |key: &str| given[key].as_i64().unwrap_or_else(|| panic!("{key} of the configuration"));
    assert_eq!(number("frames"), 6);
    let half = |width, depth, heads| Half {
        width: number(width),
        depth: number(depth) as usize,
        heads: number(heads),
    };
    Config {
        image: number("img"),
        patch: number("patch"),
        encoder: half("ed", "en", "eh"),
        decoder: half("dd", "dn", "dh"),
    }
}

fn network(config: Config, seed: u64) -> Network {
    tch::set_num_threads(1);
    let network = Network::new(config, Device::Cpu);
    no_grad(|| {
        for (key, mut variable) in network.store().variables() {
            let shape = variable.size();
            variable.copy_(&Tensor::from_slice(&lossrec(&key, &shape, seed)).view(shape.as_slice()));
        }
    });
    network
}

/// Files of the folder with an ending, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

#[test]
fn the_published_network_has_186_tensors_and_99_502_464_values() {
    let variables = Network::new(Config::PUBLISHED, Device::Cpu).store().variables();
    assert_eq!(variables.len(), 186);
    assert_eq!(variables.values().map(Tensor::numel).sum::<usize>(), 99_502_464);
    assert_eq!(variables["encoder.blocks.11.attn.qkv.weight"].size(), [2304, 768]);
    assert_eq!(variables["decoder.head.bias"].size(), [6144]);
}

#[test]
fn keys_shapes_and_synthetic_weights_are_the_originals() {
    let Some(folder) = folder() else { return };
    for path in files(&folder, "_weights_check.json") {
        let case = json(Path::new(&path.to_string_lossy().replace("_weights_check", "")));
        let network = network(config(&case["config"]), case["weights_seed"].as_u64().unwrap());
        let variables: BTreeMap<String, Tensor> = network.store().variables().into_iter().collect();
        let given = json(&path);
        let tensors = given["tensors"].as_object().unwrap();
        assert_eq!(
            variables.keys().collect::<Vec<_>>(),
            tensors.keys().collect::<Vec<_>>(),
            "{}",
            path.display()
        );
        assert_eq!(variables.values().map(Tensor::numel).sum::<usize>() as u64, given["params"]);
        for (key, tensor) in &variables {
            assert_eq!(serde_json::json!(tensor.size()), tensors[key][0], "{key}");
            let bytes: Vec<u8> = floats(tensor).iter().flat_map(|v| v.to_le_bytes()).collect();
            assert_eq!(hex(bytes)[..16], *tensors[key][4].as_str().unwrap(), "{key}");
        }
    }
}

fn close(what: &str, ours: f64, given: &Value, limit: f64) {
    let given = given.as_f64().expect("a number");
    assert!((ours - given).abs() <= limit, "{what}: {ours} instead of {given}");
}

/// Compares a tensor with its summary among the vectors.
fn check(what: &str, tensor: &Tensor, given: &Value, limit: f64) {
    assert_eq!(serde_json::json!(tensor.size()), given["shape"], "{what}");
    let flat = tensor.to_kind(Kind::Double).contiguous().view([-1]);
    let n = flat.size()[0];
    for (k, wanted) in given["first8"].as_array().unwrap().iter().enumerate() {
        close(&format!("{what}, value {k}"), flat.double_value(&[k as i64]), wanted, limit);
    }
    for (k, wanted) in given["spread8"].as_array().unwrap().iter().enumerate() {
        let i = k as i64 * (n - 1) / 7;
        close(&format!("{what}, value {i}"), flat.double_value(&[i]), wanted, limit);
    }
    let absmean = given["absmean"].as_f64().unwrap();
    close(
        &format!("{what}, absmean"),
        flat.abs().mean(Kind::Double).double_value(&[]),
        &given["absmean"],
        limit,
    );
    let sum = flat.sum(Kind::Double).double_value(&[]);
    close(&format!("{what}, sum"), sum, &given["sum"], 1e-6 * n as f64 * absmean.max(1.0));
}

/// The six frames of a case: five good ones, the damaged one, and perhaps a flat corner in the last two.
fn frames(case: &Value, side: usize) -> Vec<Rgb> {
    let number = |key: &str| case[key].as_i64().unwrap();
    let (first, seed) = (number("first_frame"), number("frame_seed") as u64);
    let mut frames: Vec<Vec<u8>> = (first..first + 5).map(|t| frame(side, side, t, seed)).collect();
    frames.push(damaged(side, side, first + 5, seed, &frames[4]));
    let corner = number("flat_corner") as usize;
    for frame in &mut frames[4..] {
        for y in 0..corner {
            frame[3 * y * side..3 * (y * side + corner)].fill(77);
        }
    }
    let rgb = |data: Vec<u8>| Rgb { width: side, height: side, data };
    frames.into_iter().map(rgb).collect()
}

/// At most 0.05 % of the bytes differ, none by more than one.
fn same_picture(what: &str, ours: &[u8], wanted: &[u8]) {
    assert_eq!(ours.len(), wanted.len(), "{what}");
    let off = ours.iter().zip(wanted).filter(|(a, b)| a != b).count();
    let most = ours.iter().zip(wanted).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(off * 2000 <= ours.len() && most <= Some(1), "{what}: {off} bytes differ, by at most {most:?}");
}

#[test]
fn every_stage_and_picture_is_the_originals() {
    let Some(folder) = folder() else { return };
    let mut seen = 0;
    for path in files(&folder, ".json") {
        let case = json(&path);
        if case["stages"].is_object() {
            compare(&path, &case);
            seen += 1;
        }
    }
    assert!(seen > 0, "no case in {}", folder.display());
}

fn compare(path: &Path, case: &Value) {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let folder = path.parent().unwrap();
    let config = config(&case["config"]);
    let network = network(config, case["weights_seed"].as_u64().unwrap());
    let side = config.image as usize;
    let frames = frames(case, side);
    for (frame, wanted) in frames.iter().zip(case["input_u8_sha256"].as_array().unwrap()) {
        assert_eq!(hex(&frame.data), *wanted, "{name}: the made-up input differs");
    }
    for (table, width) in
        [("pos_embed_encoder", config.encoder.width), ("pos_embed_decoder", config.decoder.width)]
    {
        check(
            &format!("{name} {table}"),
            &positions(config.tokens(), width).unsqueeze(0),
            &case[table],
            1e-7,
        );
    }
    let inputs: Vec<Tensor> = frames.iter().map(|f| clip::input(f, config.image)).collect();
    let clip = clip::clip(&inputs);
    check(&format!("{name} input"), &clip, &case["input"], 1e-7);

    let stages: Rc<RefCell<BTreeMap<String, Tensor>>> = Rc::default();
    let keep = Rc::clone(&stages);
    let look =
        move |name: &str, output: &Tensor| drop(keep.borrow_mut().insert(name.to_owned(), output.copy()));
    let output = probe::watched(look, || no_grad(|| network.forward(&clip)));
    for (stage, wanted) in case["stages"].as_object().unwrap() {
        let stages = stages.borrow();
        let ours = stages.get(stage).unwrap_or_else(|| panic!("{name}: nothing looked at {stage}"));
        check(&format!("{name} {stage}"), ours, wanted, TENSOR);
    }
    for raw in files(folder, ".f32")
        .iter()
        .filter(|f| f.file_name().unwrap().to_string_lossy().starts_with(&format!("{name}_output.")))
    {
        let bytes = std::fs::read(raw).unwrap();
        let wanted = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        let worst =
            floats(&output).iter().zip(wanted).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        assert!(worst <= TENSOR, "{}: {worst}", raw.display());
    }
    let (mean, spread) = clip::statistics(&clip, config);
    check(&format!("{name} mean"), &mean.squeeze_dim(2), &case["tubelet_mean"], TENSOR);
    check(&format!("{name} spread"), &spread.squeeze_dim(2), &case["tubelet_std_plus_eps"], TENSOR);
    for (token, wanted) in case["tokens"].as_object().unwrap() {
        let token: i64 = token.parse().unwrap();
        let values = [
            ("first16", output.get(0).get(token)),
            ("mean_c", mean.get(0).get(token).get(0)),
            ("std_c", spread.get(0).get(token).get(0)),
        ];
        for (what, ours) in values {
            for (i, wanted) in wanted[what].as_array().unwrap().iter().enumerate() {
                close(
                    &format!("{name} token {token} {what} {i}"),
                    ours.double_value(&[i as i64]),
                    wanted,
                    TENSOR,
                );
            }
        }
    }
    let pictures = clip::pictures(&output, &clip, config);
    check(&format!("{name} clip"), &pictures, &case["clip_rec"], PICTURE);

    // The way that is used computes only what the last frame needs.
    let model = LossRec::of(network);
    let target = model.recover(&inputs);
    check(&format!("{name} target"), &target.unsqueeze(0), &case["target_frame"], PICTURE);
    let whole = pictures.get(0).select(1, 5);
    assert!((&whole - &target).abs().max().double_value(&[]) <= PICTURE, "{name}: the short way differs");
    let truth = clip::input(
        &Rgb {
            width: side,
            height: side,
            data: frame(
                side,
                side,
                case["first_frame"].as_i64().unwrap() + 5,
                case["frame_seed"].as_u64().unwrap(),
            ),
        },
        config.image,
    );
    close(&format!("{name} PSNR"), quality::psnr(&target, &truth), &case["psnr_vs_truth"], 2e-4);
    let block = case["target_block_means"]["block"].as_i64().unwrap();
    let means =
        target.unsqueeze(0).avg_pool2d([block, block], [block, block], [0, 0], false, true, None::<i64>);
    for (c, rows) in case["target_block_means"]["values"].as_array().unwrap().iter().enumerate() {
        for (y, row) in rows.as_array().unwrap().iter().enumerate() {
            for (x, wanted) in row.as_array().unwrap().iter().enumerate() {
                let ours = means.double_value(&[0, c as i64, y as i64, x as i64]);
                close(&format!("{name} block {c} {y} {x}"), ours, wanted, PICTURE);
            }
        }
    }
    let saved = clip::saved(&target);
    for png in files(folder, ".png") {
        let file = png.file_stem().unwrap().to_string_lossy().into_owned();
        let Some(part) = file.strip_prefix(&format!("{name}_")) else { continue };
        let given = media::still::read_rgb(&png).unwrap();
        match part {
            "in4" => assert_eq!(given, frames[4]),
            "in5" => assert_eq!(given, frames[5]),
            "target" => same_picture(&file, &saved.data, &given.data),
            _ => {
                let ends: Vec<usize> = part
                    .strip_prefix("target_crop_")
                    .unwrap()
                    .split('_')
                    .map(|n| n.parse().unwrap())
                    .collect();
                let rows = ends[0]..ends[1];
                let cut: Vec<u8> = rows
                    .clone()
                    .flat_map(|y| saved.data[3 * (y * side + rows.start)..3 * (y * side + rows.end)].to_vec())
                    .collect();
                same_picture(&file, &cut, &given.data);
            }
        }
    }
}

/// `msssim_pairs.json`: what the original prints for pairs of pictures, said in words.
#[test]
fn psnr_and_ms_ssim_are_what_the_original_prints() {
    let Some(folder) = folder() else { return };
    for pair in json(&folder.join("msssim_pairs.json")).as_array().unwrap() {
        let text = pair["pair"].as_str().unwrap();
        let (a, b) = text.split_once(" vs ").unwrap();
        let side = pair["shape"][0].as_i64().unwrap();
        let pictures = [a, b].map(|said| {
            let data = said_picture(said);
            Rgb { width: side as usize, height: side as usize, data }
        });
        assert_eq!(
            [hex(&pictures[0].data), hex(&pictures[1].data)],
            [pair["a_sha256"].as_str().unwrap(), pair["b_sha256"].as_str().unwrap()]
        );
        let [a, b] = pictures.map(|p| clip::input(&p, side).unsqueeze(0));
        close("MSE", a.mse_loss(&b, tch::Reduction::Mean).double_value(&[]), &pair["mse_f32"], 1e-7);
        close("PSNR", quality::psnr(&a, &b), &pair["psnr_f32"], 2e-4);
        close("MS-SSIM", quality::ms_ssim(&a, &b), &pair["ms_ssim_f32"], 2e-5);
    }
}

/// `frame_u8(w,h,t,seed)` or `damaged_u8(w,h,t,seed,prev=...)`.
fn said_picture(said: &str) -> Vec<u8> {
    let (name, rest) = said.split_once('(').unwrap();
    let inside = rest.strip_suffix(')').unwrap();
    let (numbers, before) = inside.split_once(",prev=").map_or((inside, None), |(n, p)| (n, Some(p)));
    let n: Vec<i64> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
    let (w, h, t, seed) = (n[0] as usize, n[1] as usize, n[2], n[3] as u64);
    match (name, before) {
        ("frame_u8", None) => frame(w, h, t, seed),
        ("damaged_u8", Some(before)) => damaged(w, h, t, seed, &said_picture(before)),
        _ => panic!("{said}"),
    }
}

/// Bilinear with antialiasing: a grey picture stays grey, and halving averages a triangle of four pixels (1, 3, 3, 1) / 8.
#[test]
fn pictures_of_another_size_are_scaled() {
    let ramp = |width: usize, height: usize| {
        let data = (0..height).flat_map(|_| (0..width).flat_map(|x| [8 * x as u8; 3])).collect();
        Rgb { width, height, data }
    };
    let x = clip::input(&ramp(16, 24), 8) * 255.0;
    assert_eq!(x.size(), [3, 8, 8]);
    // Pixel 3 of 8 lies over pixels 5 to 8 of 16, whose weighted mean on a ramp is 6.5 steps.
    assert!((x.double_value(&[1, 4, 3]) - 52.0).abs() < 1e-3, "{}", x.double_value(&[1, 4, 3]));
}

#[test]
fn checkpoints_are_read_strictly() {
    let config = Config {
        image: 32,
        patch: 16,
        encoder: Half { width: 8, depth: 1, heads: 2 },
        decoder: Half { width: 4, depth: 1, heads: 1 },
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h265_rgb.safetensors");
    let tensors = || network(config, 3).store().variables().into_iter().collect::<BTreeMap<_, _>>();
    let load = || LossRec::load(&path, config, Device::Cpu).map(|m| m.network().store().variables());
    weights::write(&path, &tensors(), &[], false).unwrap();
    let loaded = load().unwrap();
    assert!(tensors().iter().all(|(key, tensor)| loaded[key].equal(tensor)));

    let mut missing = tensors();
    missing.remove("decoder.norm.bias");
    weights::write(&path, &missing, &[], false).unwrap();
    assert!(load().unwrap_err().to_string().contains("decoder.norm.bias is missing"));
    let mut surplus = tensors();
    surplus.insert("decoder.extra".into(), Tensor::zeros([2], (Kind::Float, Device::Cpu)));
    weights::write(&path, &surplus, &[], false).unwrap();
    assert!(load().unwrap_err().to_string().contains("decoder.extra is unknown"));
    let mut other = tensors();
    other.insert("mask_token".into(), Tensor::zeros([1, 1, 5], (Kind::Float, Device::Cpu)));
    weights::write(&path, &other, &[], false).unwrap();
    let error = load().unwrap_err().to_string();
    assert!(
        error.contains("mask_token is [1, 1, 5], not [1, 1, 4]") && error.contains("h265_rgb"),
        "{error}"
    );
    assert!(Weights::read_any(&folder.path().join("no.pth")).is_err());
}
