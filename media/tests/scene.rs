//! The embedded clip: the same bytes everywhere, sensible depth, and things that move as they should.
use media::convert::{self, Colour};
use media::scene::{Clip, SceneConfig};
use media::{Depth16, Rgb};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::fmt::Write;

fn small(person: u32, seed: u64) -> SceneConfig {
    SceneConfig { person, seed, width: 128, height: 128, ..SceneConfig::default() }
}

fn digest(rgb: &Rgb, depth: &Depth16) -> (String, String) {
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().fold(String::new(), |s, b| s + &format!("{b:02x}"));
    let mm: Vec<u8> = depth.mm.iter().flat_map(|d| d.to_le_bytes()).collect();
    (hex(&rgb.data), hex(&mm))
}

/// Hashes of frames of every look, and of two frames at full size. A difference on another machine is a
/// bug of that build; a difference after a change of the renderer needs a new `scene::VERSION`.
#[test]
fn frames_are_bit_identical_to_the_golden_ones() {
    let mut text = format!(
        "renderer {}\nperson seed size frame sha256(rgb) sha256(depth, mm, LE)\n",
        media::scene::VERSION
    );
    let mut add = |config: SceneConfig, frames: &[u32]| {
        let clip = Clip::new(config).unwrap();
        for frame in frames {
            let (rgb, depth) = clip.render(*frame);
            let (a, b) = digest(&rgb, &depth);
            let SceneConfig { person, seed, width, height, .. } = config;
            writeln!(text, "{person} {seed} {width}x{height} {frame} {a} {b}").unwrap();
        }
    };
    for person in 0..7 {
        add(small(person, 1), &[0, 150]);
    }
    add(small(0, u64::MAX), &[299]);
    add(SceneConfig { width: 192, height: 108, ..small(1, 2) }, &[37]);
    add(SceneConfig::default(), &[0, 150]);
    insta::with_settings!({ snapshot_path => "../../golden/media", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("scene", text);
    });
}

#[test]
fn a_frame_does_not_depend_on_its_predecessors_or_threads() {
    let clip = Clip::new(small(3, 9)).unwrap();
    let later = clip.render(160);
    let _ = clip.render(3);
    assert!(clip.render(160) == later);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert!(one.install(|| Clip::new(small(3, 9)).unwrap().render(160)) == later);
}

#[test]
fn depth_is_everywhere_and_in_the_room() {
    for person in 0..6 {
        let clip = Clip::new(small(person, 4)).unwrap();
        let (_, depth) = clip.render(150);
        let (near, far) = (depth.mm.iter().min().unwrap(), depth.mm.iter().max().unwrap());
        assert!((350..650).contains(near), "person {person}: nearest {near} mm");
        assert!((2400..6000).contains(far), "person {person}: farthest {far} mm");
        // The face is in the middle, at arm's length; the wall is above it at the left.
        assert!(
            (480..700).contains(&depth.mm[60 * 128 + 60]),
            "person {person}: {}",
            depth.mm[60 * 128 + 60]
        );
        assert!((2300..2600).contains(&depth.mm[8 * 128 + 50]));
        let view = media::scene::depth_view();
        assert!(view.near_mm() < *near && *far < view.far_mm());
    }
}

#[test]
fn people_and_seeds_differ() {
    let picture = |person, seed| Clip::new(small(person, seed)).unwrap().render(10).0;
    let all: Vec<Rgb> =
        [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (0, 2)].map(|(p, s)| picture(p, s)).into();
    for (i, a) in all.iter().enumerate() {
        for b in &all[..i] {
            let far = a.data.iter().zip(&b.data).filter(|(a, b)| a.abs_diff(**b) > 24).count();
            assert!(far * 20 > a.data.len(), "two people look alike");
        }
    }
}

/// A talking head: the person moves all the time, the camera does not; the hand comes and goes.
#[test]
fn it_moves_like_a_call() {
    let clip = Clip::new(small(0, 1)).unwrap();
    let luma = |frame| convert::to_yuv420(&clip.render(frame).0, Colour::BT601).y;
    let changed = |a: &[u8], b: &[u8], rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
        let at = rows.flat_map(|y| columns.clone().map(move |x| y * 128 + x));
        at.filter(|i| a[*i].abs_diff(b[*i]) > 20).count()
    };
    let (first, later, wave) = (luma(0), luma(60), luma(150));
    assert!(changed(&first, &later, 40..100, 40..90) > 100, "the head rests");
    assert!(changed(&first, &later, 0..100, 0..25) < 20, "the room moves");
    assert!(changed(&first, &wave, 40..120, 90..128) > 400, "no hand");
    assert!(changed(&wave, &luma(155), 40..120, 90..128) > 100, "the hand does not wave");
}

#[test]
fn impossible_configurations_are_refused() {
    let said = |config| Clip::new(config).err().unwrap().to_string();
    let base = SceneConfig::default();
    assert_eq!(
        said(SceneConfig { width: 511, ..base }),
        "scene: width must be even and between 64 and 4096, not 511"
    );
    assert!(said(SceneConfig { height: 0, ..base }).contains("height"));
    assert!(said(SceneConfig { fps: 0, ..base }).contains("fps"));
    assert!(said(SceneConfig { frames: 0, ..base }).contains("frames"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Any person, any frame, any shape of picture: never a panic, depth on every pixel.
    #[test]
    fn any_frame_renders(person: u32, seed: u64, frame in 0u32..100_000, w in 32usize..80, h in 32usize..80) {
        let config = SceneConfig { person, seed, width: 2 * w, height: 2 * h, ..SceneConfig::default() };
        let (rgb, depth) = Clip::new(config).unwrap().render(frame);
        prop_assert_eq!(rgb.data.len(), 12 * w * h);
        prop_assert!(depth.mm.iter().all(|d| (250..6000).contains(d)));
    }
}
