//! Colour conversion against the definitions in real numbers.
use media::convert::{self, Colour, Matrix, Range};
use media::{Rgb, Yuv420};
use proptest::prelude::*;

const COLOURS: [Colour; 4] = [Colour::BT601, Colour::BT709, Colour::BT601.full(), Colour::BT709.full()];

struct Reals {
    kr: f64,
    kb: f64,
    offset: f64,
    luma: f64,
    chroma: f64,
}

fn reals(colour: Colour) -> Reals {
    let (kr, kb) = match colour.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
        Matrix::Smpte240m => (0.212, 0.087),
        Matrix::Fcc => (0.30, 0.11),
    };
    match colour.range {
        Range::Limited => Reals { kr, kb, offset: 16.0, luma: 219.0, chroma: 224.0 },
        Range::Full => Reals { kr, kb, offset: 0.0, luma: 255.0, chroma: 255.0 },
    }
}

fn reference_rgb(colour: Colour, y: u8, u: u8, v: u8) -> [f64; 3] {
    let k = reals(colour);
    let y = (f64::from(y) - k.offset) / k.luma * 255.0;
    let u = (f64::from(u) - 128.0) / k.chroma * 255.0;
    let v = (f64::from(v) - 128.0) / k.chroma * 255.0;
    let (r, b) = (y + 2.0 * (1.0 - k.kr) * v, y + 2.0 * (1.0 - k.kb) * u);
    let g = (y - k.kr * r - k.kb * b) / (1.0 - k.kr - k.kb);
    [r, g, b].map(|c| c.clamp(0.0, 255.0))
}

fn reference_luma(colour: Colour, [r, g, b]: [f64; 3]) -> f64 {
    let k = reals(colour);
    k.offset + (k.kr * r + (1.0 - k.kr - k.kb) * g + k.kb * b) / 255.0 * k.luma
}

fn reference_chroma(colour: Colour, [r, g, b]: [f64; 3]) -> [f64; 2] {
    let k = reals(colour);
    let y = k.kr * r + (1.0 - k.kr - k.kb) * g + k.kb * b;
    [(b - y) / (2.0 * (1.0 - k.kb)), (r - y) / (2.0 * (1.0 - k.kr))]
        .map(|c| (128.0 + c / 255.0 * k.chroma).clamp(0.0, 255.0))
}

/// Every luma with a lattice of chroma, one picture per colour space.
#[test]
fn rgb_is_within_rounding_of_the_reals() {
    for colour in COLOURS {
        let mut worst: f64 = 0.0;
        for u in (0..=255).step_by(5) {
            let mut picture = Yuv420 { width: 256, height: 104, y: vec![], u: vec![], v: vec![] };
            picture.y = (0..104).flat_map(|_| 0..=255).collect();
            picture.u = vec![u; 128 * 52];
            picture.v = (0..52).flat_map(|row| vec![row * 5; 128]).collect();
            let rgb = convert::to_rgb(&picture, colour);
            for (i, pixel) in rgb.data.chunks_exact(3).enumerate() {
                let expected = reference_rgb(colour, picture.y[i], u, (i / 512 * 5) as u8);
                for (ours, real) in pixel.iter().zip(expected) {
                    worst = worst.max((f64::from(*ours) - real).abs());
                }
            }
        }
        assert!(worst < 0.55, "{colour}: {worst} from the exact value");
    }
}

#[test]
fn greys_keep_their_value_and_have_no_chroma() {
    for colour in COLOURS {
        let data = (0..=255).flat_map(|g| [g; 6]).collect::<Vec<u8>>();
        let grey = Rgb { width: 512, height: 2, data: [data.clone(), data].concat() };
        let yuv = convert::to_yuv420(&grey, colour);
        assert!(yuv.u.iter().chain(&yuv.v).all(|c| *c == 128), "{colour}");
        let back = convert::to_rgb(&yuv, colour);
        let worst = back.data.iter().zip(&grey.data).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{colour}");
        assert_eq!(yuv.y[0], if colour.range == Range::Limited { 16 } else { 0 });
        assert_eq!(yuv.y[511], if colour.range == Range::Limited { 235 } else { 255 });
    }
}

#[test]
fn saturated_colours_have_the_published_codes() {
    // BT.601 and BT.709 colour bars at 100 %, limited range (e.g. ITU-R BT.801, SMPTE RP 177).
    let one = |rgb: [u8; 3], colour| {
        let yuv = convert::to_yuv420(&Rgb { width: 2, height: 2, data: rgb.repeat(4) }, colour);
        (yuv.y[0], yuv.u[0], yuv.v[0])
    };
    assert_eq!(one([255, 0, 0], Colour::BT601), (81, 90, 240));
    assert_eq!(one([0, 255, 0], Colour::BT601), (145, 54, 34));
    assert_eq!(one([0, 0, 255], Colour::BT601), (41, 240, 110));
    assert_eq!(one([255, 0, 0], Colour::BT709), (63, 102, 240));
    assert_eq!(one([0, 255, 0], Colour::BT709), (173, 42, 26));
    assert_eq!(one([0, 0, 255], Colour::BT709), (32, 240, 118));
}

/// Codes of the pure colours from BT.601-7 and BT.709-6 (see `saturated_colours_have_the_published_codes`): the same red, green and
/// blue have these codes in either matrix.
#[test]
fn a_colour_keeps_itself_in_another_matrix() {
    for (here, there) in
        [((81, 90, 240), (63, 102, 240)), ((145, 54, 34), (173, 42, 26)), ((41, 240, 110), (32, 240, 118))]
    {
        for (from, to, old, new) in
            [(Colour::BT601, Colour::BT709, here, there), (Colour::BT709, Colour::BT601, there, here)]
        {
            let mut picture = Yuv420::filled(3, 3, old);
            convert::recolour(&mut picture, from, to);
            let near = |a: u8, b: u8| a.abs_diff(b) <= 1;
            let all = picture.y.iter().all(|&y| near(y, new.0))
                && picture.u.iter().all(|&u| near(u, new.1))
                && picture.v.iter().all(|&v| near(v, new.2));
            assert!(all, "{old:?} became {picture:?}, not {new:?}");
        }
    }
    let mut grey = Yuv420::filled(2, 2, (126, 128, 128));
    convert::recolour(&mut grey, Colour::BT709.full(), Colour::BT601);
    // 126 * 219 / 255 + 16 = 124.2.
    assert_eq!(grey, Yuv420::filled(2, 2, (124, 128, 128)));
}

#[test]
fn range_changes_round_trip_where_codes_exist() {
    let mut picture = Yuv420::filled(220, 1, (0, 60, 200));
    picture.y = (16..=235).collect();
    let original = picture.clone();
    convert::change_range(&mut picture, Range::Limited, Range::Full);
    assert_eq!((picture.y[0], picture.y[219]), (0, 255));
    convert::change_range(&mut picture, Range::Full, Range::Limited);
    assert_eq!(picture, original);
}

fn pictures() -> impl Strategy<Value = Rgb> {
    (1usize..40, 1usize..12).prop_flat_map(|(width, height)| {
        prop::collection::vec(any::<u8>(), 3 * width * height).prop_map(move |data| Rgb {
            width,
            height,
            data,
        })
    })
}

proptest! {
    /// Any size, odd ones too: luma per pixel and chroma of the block's mean, within rounding.
    #[test]
    fn yuv_is_within_rounding_of_the_reals(rgb in pictures(), which in 0usize..4) {
        let colour = COLOURS[which];
        let yuv = convert::to_yuv420(&rgb, colour);
        let (w, h) = (rgb.width, rgb.height);
        let at = |x: usize, y: usize| -> [f64; 3] {
            let i = 3 * (y.min(h - 1) * w + x.min(w - 1));
            [0, 1, 2].map(|c| f64::from(rgb.data[i + c]))
        };
        for y in 0..h {
            for x in 0..w {
                let real = reference_luma(colour, at(x, y));
                prop_assert!((f64::from(yuv.y[y * w + x]) - real).abs() < 0.55);
            }
        }
        for y in 0..h.div_ceil(2) {
            for x in 0..w.div_ceil(2) {
                let block = [at(2 * x, 2 * y), at(2 * x + 1, 2 * y), at(2 * x, 2 * y + 1), at(2 * x + 1, 2 * y + 1)];
                let mean = [0, 1, 2].map(|c| block.iter().map(|p| p[c]).sum::<f64>() / 4.0);
                let [u, v] = reference_chroma(colour, mean);
                let i = y * w.div_ceil(2) + x;
                prop_assert!((f64::from(yuv.u[i]) - u).abs() < 0.55, "u {} {u}", yuv.u[i]);
                prop_assert!((f64::from(yuv.v[i]) - v).abs() < 0.55, "v {} {v}", yuv.v[i]);
            }
        }
    }

    /// Chroma is replicated: a pixel depends on its luma and its block's chroma alone.
    #[test]
    fn chroma_is_replicated(rgb in pictures(), which in 0usize..4) {
        let colour = COLOURS[which];
        let yuv = convert::to_yuv420(&rgb, colour);
        let back = convert::to_rgb(&yuv, colour);
        for (i, pixel) in back.data.chunks_exact(3).enumerate() {
            let (x, y) = (i % rgb.width, i / rgb.width);
            let c = y / 2 * rgb.width.div_ceil(2) + x / 2;
            let alone = convert::to_rgb(&Yuv420::filled(1, 1, (yuv.y[i], yuv.u[c], yuv.v[c])), colour);
            prop_assert_eq!(pixel, &alone.data[..]);
        }
    }
}
