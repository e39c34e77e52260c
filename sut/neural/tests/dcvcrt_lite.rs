//! DCVC-RT-lite as a codec: exact whatever the threads, streams that outlive losses, damage, sizes, options. Networks are made up unless
//! the shipped weights are there; a real clip where there is one.

use codecs::{
    DecoderConfig, EncoderConfig, Quantisers, RateControl, Settings, Unit, VideoDecoder, VideoEncoder,
};
use media::Yuv420;
use media::convert::{Colour, to_yuv420};
use media::scene::{Clip, SceneConfig};
use models::dcvcrt::lite::network::Network;
use models::dcvcrt::lite::{FILE, MODEL};
use neural::dcvcrt_lite::DCVCRT_LITE;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tch::{Device, Tensor};
use tempfile::TempDir;

/// The shipped weights, or random ones whose latents take several steps.
fn settings() -> Settings {
    static MADE: OnceLock<(TempDir, Settings)> = OnceLock::new();
    if models::weights::find(FILE).is_ok() {
        return Settings::from([("layers".to_owned(), "2".to_owned())]);
    }
    let (_, settings) = MADE.get_or_init(|| {
        tch::manual_seed(3);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let scaled = |(name, value): (String, Tensor)| {
            let by = if name.starts_with("latent.") || name.starts_with("head.") { 4.0 } else { 1.0 };
            (name, value.detach() * by)
        };
        let weights: BTreeMap<String, Tensor> =
            Network::new(Device::Cpu).store().variables().into_iter().map(scaled).collect();
        models::weights::write(&file, &weights, &[("model", MODEL)], true).unwrap();
        let text = file.display().to_string();
        (folder, Settings::from([("weights".to_owned(), text), ("layers".to_owned(), "2".to_owned())]))
    });
    settings.clone()
}

fn encoder(width: usize, height: usize, key: u8, qp: u8) -> Box<dyn VideoEncoder> {
    let config = EncoderConfig {
        rate: RateControl::ConstantQp(Quantisers { key: Some(key), other: qp }),
        settings: settings(),
        ..EncoderConfig::revo("dcvcrt-lite", width as u32, height as u32, 30)
    };
    (DCVCRT_LITE.encoder)(&config).unwrap()
}

fn decoder(width: usize, height: usize) -> Box<dyn VideoDecoder> {
    let config = DecoderConfig {
        settings: settings(),
        ..DecoderConfig::new("dcvcrt-lite", (width as u32, height as u32))
    };
    (DCVCRT_LITE.decoder)(&config).unwrap()
}

/// Pictures of a real clip, or of the synthetic scene.
fn pictures(count: u32, side: usize) -> Vec<Yuv420> {
    let clip = testing::folder("clips").map(|f| f.join("talkinghead/d03_lp_d13.mp4"));
    if let Some(clip) = clip.filter(|c| c.is_file()) {
        let mut clip = models::train::decode(&clip, side, 1).unwrap();
        clip.data.truncate(count as usize * 3 * side * side);
        let data = clip.data.chunks_exact(3 * side * side);
        return data
            .map(|d| to_yuv420(&media::Rgb { width: side, height: side, data: d.to_vec() }, Colour::BT601))
            .collect();
    }
    let scene = Clip::new(SceneConfig { width: side, height: side, ..SceneConfig::default() }).unwrap();
    (0..count).map(|i| to_yuv420(&scene.render(i).0, Colour::BT601)).collect()
}

fn units(pictures: &[Yuv420], qp: u8) -> Vec<Unit> {
    let mut encoder = encoder(pictures[0].width, pictures[0].height, 27, qp);
    (0u32..).zip(pictures).map(|(i, p)| encoder.encode(i, p, i % 30 == 0).unwrap()).collect()
}

fn decoded(units: &[Unit], (width, height): (usize, usize)) -> Vec<Yuv420> {
    let mut decoder = decoder(width, height);
    (0u32..).zip(units).map(|(i, u)| decoder.decode(i, u).unwrap().expect("a picture")).collect()
}

/// 300 frames, coded and decoded with one thread, then with two, and by two decoders at once: the same bytes, the same pictures.
#[test]
fn threads_change_nothing() {
    let pictures = pictures(300, 256);
    tch::set_num_threads(1);
    let sent = units(&pictures, 42);
    let seen = decoded(&sent, (256, 256));
    tch::set_num_threads(2);
    assert!(units(&pictures, 42) == sent, "other bytes with two threads");
    let both = std::thread::scope(|scope| {
        let threads = [2, 4].map(|count| {
            let sent = &sent;
            scope.spawn(move || {
                tch::set_num_threads(count);
                decoded(sent, (256, 256))
            })
        });
        threads.map(|t| t.join().unwrap())
    });
    assert!(both.iter().all(|b| *b == seen), "other pictures with more threads");
    assert_ne!(seen[29], seen[1]);
}

/// With two layers nothing refers to odd frames: one that is lost costs itself. After an even one pictures differ until the next key
/// frame, but there is one for every frame, and the key frame ends it.
#[test]
fn frames_that_are_lost() {
    let pictures = pictures(40, 128);
    let mut sent = units(&pictures, 42);
    // A second key frame at 30.
    assert_eq!(
        sent.iter().map(|u| u.key).collect::<Vec<_>>(),
        (0..40).map(|i| i % 30 == 0).collect::<Vec<_>>()
    );
    let whole = decoded(&sent, (128, 128));
    let without = |lost: &[u32]| -> BTreeMap<u32, Yuv420> {
        let mut decoder = decoder(128, 128);
        let arrived = (0u32..).zip(&sent).filter(|(i, _)| !lost.contains(i));
        arrived.map(|(i, u)| (i, decoder.decode(i, u).unwrap().expect("a picture"))).collect()
    };
    let odd = without(&[3, 5, 17]);
    assert!(odd.iter().all(|(i, p)| *p == whole[*i as usize]));
    let even = without(&[4]);
    assert!((0..4).chain(30..40).all(|i| even[&i] == whole[i as usize]));
    assert_ne!(even[&6], whole[6]);
    assert_eq!(even.len(), 39);
    // Without its key frame a group of pictures has nothing to refer to in a decoder that begins there.
    let mut late = decoder(128, 128);
    assert_eq!(late.decode(1, &sent[1]).unwrap(), None);
    // A hole of zeros is no picture, or a picture: never an error.
    let mut receiver = decoder(128, 128);
    receiver.decode(0, &sent[0]).unwrap().expect("a picture");
    sent[1].bytes[12..].fill(0);
    assert_eq!(receiver.decode(1, &sent[1]).unwrap(), None);
    assert!(receiver.decode(2, &sent[2]).unwrap().is_some());
}

#[test]
fn any_even_size_comes_back_in_its_size() {
    for (width, height) in [(64, 64), (98, 66), (320, 180)] {
        let mut encoder = encoder(width, height, 30, 30);
        let mut decoder = decoder(width, height);
        for i in 0..3u32 {
            let picture = Yuv420::filled(width, height, (90 + 10 * i as u8, 120, 130));
            let unit = encoder.encode(i, &picture, i == 0).unwrap();
            let shown = decoder.decode(i, &unit).unwrap().expect("a picture");
            assert_eq!((shown.width, shown.height), (width, height));
        }
    }
}

/// `layers=3`: frames 4, 8 are of the lowest layer, 2, 6 of the next, odd ones of the topmost, each `qp_step` below.
#[test]
fn frames_that_fewer_refer_to_have_smaller_quantisers() {
    let mut settings = settings();
    settings.extend([("layers".to_owned(), "3".to_owned()), ("qp_step".to_owned(), "20".to_owned())]);
    let rate = RateControl::ConstantQp(Quantisers { key: Some(30), other: 50 });
    let config = EncoderConfig { rate, settings, ..EncoderConfig::revo("dcvcrt-lite", 64, 64, 30) };
    let mut encoder = (DCVCRT_LITE.encoder)(&config).unwrap();
    let picture = Yuv420::filled(64, 64, (90, 120, 130));
    let quantisers: Vec<u8> = (0..9).map(|n| encoder.encode(n, &picture, n == 0).unwrap().qp).collect();
    assert_eq!(quantisers, [30, 10, 30, 10, 50, 10, 30, 10, 50]);
}

#[test]
fn options_are_checked_by_name() {
    let set = |key: u8, name: &str, value: &str| {
        let mut settings = settings();
        settings.insert(name.to_owned(), value.to_owned());
        let rate = RateControl::ConstantQp(Quantisers { key: Some(key), other: 30 });
        let config = EncoderConfig { rate, settings, ..EncoderConfig::revo("dcvcrt-lite", 64, 64, 30) };
        (DCVCRT_LITE.encoder)(&config).err().map(|e| e.to_string())
    };
    let open = |key: u8, layers: &str| set(key, "layers", layers);
    assert_eq!(open(51, "3"), None);
    assert!(open(52, "1").unwrap().contains("qp_i"));
    for bad in ["0", "4", "two"] {
        assert!(open(30, bad).unwrap().contains("layers"), "{bad}");
    }
    assert_eq!(set(30, "qp_step", "63"), None);
    for bad in ["-1", "64", "much"] {
        assert!(set(30, "qp_step", bad).unwrap().contains("qp_step"), "{bad}");
    }
    let missing = Settings::from([("weights".to_owned(), "/nowhere/w.safetensors".to_owned())]);
    let config = DecoderConfig { settings: missing, ..DecoderConfig::new("dcvcrt-lite", (64, 64)) };
    let error = (DCVCRT_LITE.decoder)(&config).err().unwrap().to_string();
    assert!(error.contains("/nowhere/w.safetensors"), "{error}");
}
