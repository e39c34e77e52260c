//! LPIPS against reference values: published pictures with the real SqueezeNet weights (outside the repository, skipped
//! where absent) and synthetic weights for the nets whose weights are not at hand (values of the original package,
//! made by `lpips_synthetic.py` beside this file).

use media::Rgb;
use models::lpips::{Lpips, Net};
use std::collections::BTreeMap;
use tch::{Device, Tensor};

fn close(what: &str, ours: f64, reference: f64, tolerance: f64) {
    assert!((ours - reference).abs() <= tolerance, "{what}: ours {ours}, reference {reference}");
}

fn picture(side: usize, f: impl Fn(usize, usize) -> [u8; 3]) -> Rgb {
    let data = (0..side).flat_map(|y| (0..side).map(move |x| (x, y))).flat_map(|(x, y)| f(x, y)).collect();
    Rgb { width: side, height: side, data }
}

#[test]
fn squeeze_reproduces_published_pictures() {
    let Some(dir) = testing::folder("lpips") else { return };
    let net = Lpips::load(Net::Squeeze, &dir.join(Net::Squeeze.file()), Device::Cpu).expect("weights");
    let read = |name: &str| media::still::read_rgb(&dir.join(name)).expect("picture");
    let (reference, p0, p1) = (read("ex_ref.png"), read("ex_p0.png"), read("ex_p1.png"));
    close("p0", net.distance(&reference, &p0).unwrap(), 0.711_048, 5e-6);
    close("p1", net.distance(&reference, &p1).unwrap(), 0.147_902, 5e-6);
    close("p0 p1", net.distance(&p0, &p1).unwrap(), 0.727_777, 5e-6);
    assert_eq!(net.distance(&reference, &reference).unwrap(), 0.0);
    let layers = net.layer_distances(&reference, &p0).unwrap();
    let expected = [0.00989, 0.00690, 0.12881, 0.26098, 0.15068, 0.08814, 0.06564];
    for (l, e) in layers.iter().zip(expected) {
        close("layer", *l, e, 1e-5);
    }
    let (black, white) = (picture(64, |_, _| [0; 3]), picture(64, |_, _| [255; 3]));
    close("black white", net.distance(&black, &white).unwrap(), 0.642_093, 5e-6);

    let table = std::fs::read_to_string(dir.join("golden/golden.tsv")).unwrap();
    for row in table.lines().skip(1) {
        let cells: Vec<&str> = row.split('\t').collect();
        let pair = [cells[0], cells[1]].map(|n| read(&format!("golden/{n}")));
        let value: f64 = cells[5].parse().unwrap();
        close(cells[1], net.distance(&pair[0], &pair[1]).unwrap(), value, 2e-6 + 1e-5 * value);
    }
}

/// Uniform numbers from a counter: what `lpips_synthetic.py` draws.
fn uniform(seed: u64, n: usize) -> Vec<f64> {
    let mix = |x: u64| {
        let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    (0..n as u64).map(|i| (mix((seed << 40) + i) >> 11) as f64 * 2f64.powi(-53)).collect()
}

fn synthetic(net: Net) -> Lpips {
    // Convolutions of torchvision's nets: index, outputs, inputs, kernel.
    let (convs, heads): (&[(usize, i64, i64, i64)], &[i64]) = match net {
        Net::Vgg => (
            &[
                (0, 64, 3, 3),
                (2, 64, 64, 3),
                (5, 128, 64, 3),
                (7, 128, 128, 3),
                (10, 256, 128, 3),
                (12, 256, 256, 3),
                (14, 256, 256, 3),
                (17, 512, 256, 3),
                (19, 512, 512, 3),
                (21, 512, 512, 3),
                (24, 512, 512, 3),
                (26, 512, 512, 3),
                (28, 512, 512, 3),
            ],
            &[64, 128, 256, 512, 512],
        ),
        Net::Alex => (
            &[(0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)],
            &[64, 192, 384, 256, 256],
        ),
        Net::Squeeze => unreachable!("its real weights are tested"),
    };
    let mut tensors = BTreeMap::new();
    for (l, &(index, to, from, k)) in convs.iter().enumerate() {
        let bound = (6.0 / (from * k * k) as f64).sqrt();
        let seed = 2 * l as u64 + 2;
        let weight: Vec<f32> = uniform(seed, (to * from * k * k) as usize)
            .iter()
            .map(|u| ((2.0 * u - 1.0) * bound) as f32)
            .collect();
        let bias: Vec<f32> =
            uniform(seed + 1, to as usize).iter().map(|u| ((2.0 * u - 1.0) * 0.05) as f32).collect();
        tensors.insert(
            format!("net.features.{index}.weight"),
            Tensor::from_slice(&weight).view([to, from, k, k]),
        );
        tensors.insert(format!("net.features.{index}.bias"), Tensor::from_slice(&bias));
    }
    for (l, &c) in heads.iter().enumerate() {
        let head: Vec<f32> = uniform(100 + l as u64, c as usize).iter().map(|u| *u as f32).collect();
        tensors.insert(format!("lin{l}.weight"), Tensor::from_slice(&head).view([1, c, 1, 1]));
    }
    Lpips::from_tensors(net, tensors, Device::Cpu).expect("all tensors")
}

#[test]
fn vgg_and_alex_match_the_original_package() {
    let json: serde_json::Value = serde_json::from_str(include_str!("lpips_synthetic.json")).unwrap();
    let a = picture(96, |x, y| [(2 * x) as u8, (2 * y) as u8, (x + y) as u8]);
    let b = picture(96, |x, y| [(2 * x) as u8 ^ 8, ((x * y) % 251) as u8, (191 - x) as u8]);
    for net in [Net::Vgg, Net::Alex] {
        let lpips = synthetic(net);
        let layers = lpips.layer_distances(&a, &b).unwrap();
        let expected: Vec<f64> =
            json[net.metric()].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert_eq!(layers.len(), expected.len());
        for (l, (ours, reference)) in layers.iter().zip(&expected).enumerate() {
            close(&format!("{} layer {l}", net.metric()), *ours, *reference, 1e-5 * reference);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let Some(dir) = testing::folder("lpips") else { return };
    let file = dir.join(Net::Squeeze.file());
    let error = Lpips::load(Net::Vgg, &file, Device::Cpu).err().expect("another net's weights").to_string();
    assert!(error.contains("lpips_vgg"), "{error}");
    let heads_only = dir.join("lin_vgg_v0.1.safetensors");
    let error = Lpips::load(Net::Vgg, &heads_only, Device::Cpu).err().expect("heads alone").to_string();
    assert!(error.contains("net.features.0.weight is missing"), "{error}");
    let net = Lpips::load(Net::Squeeze, &file, Device::Cpu).unwrap();
    assert!(net.distance(&Rgb::black(64, 64), &Rgb::black(64, 65)).is_err());
    assert!(net.distance(&Rgb::black(16, 16), &Rgb::black(16, 16)).is_err());
    assert_eq!(net.distance(&Rgb::black(17, 17), &Rgb::black(17, 17)).unwrap(), 0.0);
}

#[test]
fn the_training_term_is_the_mean_distance_and_has_a_gradient_at_equal_pictures() {
    let net = synthetic(Net::Alex);
    let pictures = [0u8, 40, 90]
        .map(|shift| picture(64, |x, y| [(3 * x) as u8 ^ shift, (x * y / 16) as u8, (2 * y) as u8 | shift]));
    let signed = |picture: &Rgb| {
        let bytes = Tensor::from_slice(&picture.data).view([1, 64, 64, 3]).permute([0, 3, 1, 2]);
        bytes.to_kind(tch::Kind::Float) / 127.5 - 1.0
    };
    let [a, b, c] = &pictures;
    let expected = (net.distance(a, b).unwrap() + net.distance(a, c).unwrap()) / 2.0;
    let reference = Tensor::cat(&[signed(a), signed(a)], 0);
    let shown = Tensor::cat(&[signed(b), signed(c)], 0).set_requires_grad(true);
    let loss = net.loss(&reference, &shown);
    close("mean of two", loss.double_value(&[]), expected, 1e-3 * expected);
    loss.backward();
    let strength = |shown: &Tensor| shown.grad().abs().sum(tch::Kind::Float).double_value(&[]);
    assert!(strength(&shown) > 0.0);
    let same = signed(a).set_requires_grad(true);
    net.loss(&signed(a), &same).backward();
    assert!(strength(&same).is_finite());
}
