//! y4m, PNG and the depth view: round trips, and what damaged input says.
use media::convert::Range;
use media::depth::DepthView;
use media::picture::Plane;
use media::y4m::{self, Header};
use media::{Depth16, Format, Picture, Rgb, Yuv420, still};
use proptest::prelude::*;

fn noise(width: usize, height: usize, seed: u8) -> Yuv420 {
    let mut picture = Yuv420::black(width, height);
    let mut state = u32::from(seed) + 1;
    for s in picture.y.iter_mut().chain(&mut picture.u).chain(&mut picture.v) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *s = (state >> 24) as u8;
    }
    picture
}

fn stream(header: Header, pictures: &[Yuv420]) -> Vec<u8> {
    let mut writer = y4m::Writer::new(Vec::new(), header).unwrap();
    for picture in pictures {
        writer.write(picture).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Yuv420>, y4m::Error> {
    y4m::Reader::new(bytes)?.collect()
}

proptest! {
    #[test]
    fn y4m_round_trips(width in 1usize..35, height in 1usize..19, frames in 0u8..4, full: bool) {
        let range = if full { Range::Full } else { Range::Limited };
        let header = Header { range, ..Header::new(width, height, (30000, 1001)) };
        let pictures: Vec<_> = (0..frames).map(|seed| noise(width, height, seed)).collect();
        let bytes = stream(header, &pictures);
        let reader = y4m::Reader::new(&bytes[..]).unwrap();
        prop_assert_eq!(reader.header(), header);
        prop_assert_eq!(read(&bytes).unwrap(), pictures);
    }

    /// Cut anywhere: never a panic, never a picture that was not there, and no silence about half a picture.
    #[test]
    fn y4m_cut_anywhere(cut in 0usize..1000) {
        let pictures = [noise(13, 7, 1), noise(13, 7, 2)];
        let bytes = stream(Header::new(13, 7, (30, 1)), &pictures);
        let cut = cut.min(bytes.len() - 1);
        match read(&bytes[..cut]) {
            Ok(whole) => prop_assert_eq!(&whole[..], &pictures[..whole.len()]),
            Err(y4m::Error::Truncated { frame, got, want }) => {
                prop_assert!(frame < 2 && got < want && want == 91 + 2 * 28);
            }
            Err(y4m::Error::NotY4m) => prop_assert!(cut < 64),
            Err(y4m::Error::Header { place, .. }) => prop_assert!(place.starts_with("frame")),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn y4m_garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut tagged = b"YUV4MPEG2 W3 H3 F30:1\n".to_vec();
        tagged.extend(&bytes);
        let _ = (read(&bytes).is_ok(), read(&tagged).is_ok());
    }

    /// Depth -> code -> depth stays within the documented step; code -> depth -> code is the identity
    /// where codes are a millimetre apart.
    #[test]
    fn depth_view_inverts(near in 100u16..2000, span in 300u16..8000, mm in 1u16.., full: bool) {
        let range = if full { Range::Full } else { Range::Limited };
        let (steps, first) = if full { (254.0, 1) } else { (218.0, 17) };
        let far = near + span;
        let view = DepthView::new(near, far).unwrap();
        let d = mm.clamp(near, far);
        let back = view.millimetres(view.code(mm, range), range);
        let (near, far, d) = (f64::from(near), f64::from(far), f64::from(d));
        // half a step of inverse depth, seen from the far side of it
        let half = 0.5 / steps * (1.0 / near - 1.0 / far);
        let bound = 1.0 / (1.0 / d - half).max(1.0 / far) - d;
        prop_assert!((f64::from(back) - d).abs() <= bound.max(d - 1.0 / (1.0 / d + half)) + 0.5 + 1e-9);
        for code in first..=(first as usize + steps as usize) as u8 {
            let mm = view.millimetres(code, range);
            if code > first && view.millimetres(code - 1, range) - mm >= 2 {
                prop_assert_eq!(view.code(mm, range), code);
            }
        }
    }
}

#[test]
fn y4m_mono_keeps_luma_alone() {
    let picture = noise(9, 5, 3);
    let bytes =
        stream(Header { format: Format::GREY, ..Header::new(9, 5, (25, 1)) }, std::slice::from_ref(&picture));
    let back = read(&bytes).unwrap().remove(0);
    assert_eq!(back.y, picture.y);
    assert!(back.u.iter().chain(&back.v).all(|c| *c == 128));
}

#[test]
fn y4m_errors_say_what_to_do() {
    let said = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
    assert!(said("RIFF").contains("not a y4m file"));
    assert!(said("").contains("not a y4m file"));
    assert!(said("YUV4MPEG2 W4 H4 F30:1 C444p10\n").contains("8-bit 4:2:0 is needed here"));
    assert!(said("YUV4MPEG2 W4 H4 F30:1 C420p17\n").contains("C420p17 is not known"));
    assert!(said("YUV4MPEG2 W16384 H16384 F30:1\n").contains("beyond"));
    assert!(said("YUV4MPEG2 W0 H4 F30:1\n").contains("width"));
    assert!(said("YUV4MPEG2 W99999 H4 F30:1\n").contains("width"));
    assert!(said("YUV4MPEG2 W4 H4\n").contains("frame rate"));
    assert!(said("YUV4MPEG2 W4 H4 F30:0\n").contains("frame rate"));
    assert!(said("YUV4MPEG2 W4 H4 F30:1 Ix\n").contains("Ix is not one of"));
    assert!(said("YUV4MPEG2 W4 H4 F30:1\nFRAME\n0123").contains("picture 0 is cut off (4 of 24 bytes)"));
    let mut writer = y4m::Writer::new(Vec::new(), Header::new(4, 4, (30, 1))).unwrap();
    assert!(writer.write(&Yuv420::black(4, 2)).unwrap_err().to_string().contains("4x2"));
}

/// Every layout that the format can name, written and read back; and what a header leaves out.
#[test]
fn y4m_of_every_layout() {
    let yuv = |chroma, bits| Format { chroma, bits, ..Format::YUV420 };
    let mut formats: Vec<Format> = [8, 9, 10, 12, 14, 16].map(|bits| Format { bits, ..Format::GREY }).into();
    for chroma in [(1, 1), (1, 0), (0, 0), (0, 1), (2, 0), (2, 2)] {
        formats.extend([8, 9, 10, 12, 14, 16].map(|bits| yuv(chroma, bits)));
    }
    formats.push(Format { alpha: true, ..yuv((0, 0), 8) });
    for format in formats {
        let mut picture = Picture::default();
        picture.shape((9, 5), format);
        for (p, plane) in picture.planes.iter_mut().enumerate() {
            let code = |i: usize| (7 * i * i + 31 * p) as u16 & format.peak();
            match plane {
                Plane::Eight(s) => s.iter_mut().enumerate().for_each(|(i, s)| *s = code(i) as u8),
                Plane::Sixteen(s) => s.iter_mut().enumerate().for_each(|(i, s)| *s = code(i)),
            }
        }
        let header = Header { format, range: Range::Full, ..Header::new(9, 5, (25, 1)) };
        let mut writer = y4m::Writer::new(Vec::new(), header).unwrap();
        (0..2).for_each(|_| writer.write_picture(&picture).unwrap());
        let bytes = writer.finish().unwrap();
        let mut reader = y4m::Reader::new(&bytes[..]).unwrap();
        assert_eq!(reader.header(), header);
        let mut back = Picture::default();
        for _ in 0..2 {
            assert!(reader.next_picture_into(&mut back).unwrap() && back == picture, "{format}");
        }
        assert!(!reader.next_picture_into(&mut back).unwrap());
        let cut = &bytes[..bytes.len() - 1];
        let mut reader = y4m::Reader::new(cut).unwrap();
        reader.next_picture_into(&mut back).unwrap();
        assert!(
            reader.next_picture_into(&mut back).unwrap_err().to_string().contains("picture 1 is cut off")
        );
    }
    let header = |line: &str| y4m::Reader::new(format!("YUV4MPEG2 {line}\n").as_bytes()).unwrap().header();
    let plain = header("W4 H2 F30:1");
    assert!((plain.format, plain.range, plain.range_tagged) == (Format::YUV420, Range::Limited, false));
    assert_eq!(header("W4 H2 F30:1 Cmono").range, Range::Full);
    assert_eq!(header("C420mpeg2 XCOLORRANGE=LIMITED A128:117 Im F30:1 H2 W4").aspect, Some((128, 117)));
    for (text, word) in [("It", Some('t')), ("Ib", Some('b')), ("Im", Some('m')), ("Ip", None), ("I?", None)]
    {
        assert_eq!(header(&format!("W4 H2 F30:1 {text}")).interlaced, word);
    }
    let with_parameters =
        [b"YUV4MPEG2 W2 H2 F30:1 Cmono XYSCSS=GRAY\nFRAME Ixyz XA=b\n".as_slice(), &[1, 2, 3, 4]];
    assert_eq!(read(&with_parameters.concat()).unwrap()[0].y, [1, 2, 3, 4]);
}

/// 16-bit PNGs keep both bytes of a sample.
#[test]
fn pngs_keep_all_their_bits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep.png");
    let file = std::fs::File::create(&path).unwrap();
    let mut encoder = png::Encoder::new(file, 2, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Sixteen);
    let codes: [u16; 6] = [1, 257, 65535, 40_000, 255, 256];
    let bytes = codes.map(u16::to_be_bytes).concat();
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
    let picture = still::read_picture(&path).unwrap();
    assert_eq!(picture.format, Format { bits: 16, ..Format::RGB });
    let plane = |c: usize| Plane::Sixteen(vec![codes[c], codes[3 + c]]);
    assert_eq!(picture.planes, [plane(0), plane(1), plane(2)]);
}

#[test]
fn png_round_trips() {
    let dir = tempfile::tempdir().unwrap();
    let rgb = Rgb { width: 5, height: 3, data: (0..45).collect() };
    still::write_rgb(&dir.path().join("a.png"), &rgb).unwrap();
    assert_eq!(still::read_rgb(&dir.path().join("a.png")).unwrap(), rgb);
    still::write_grey(&dir.path().join("g.png"), 2, 1, &[7, 250]).unwrap();
    assert_eq!(still::read_rgb(&dir.path().join("g.png")).unwrap().data, [7, 7, 7, 250, 250, 250]);
    let depth = Depth16 { width: 3, height: 2, mm: vec![0, 1, 255, 256, 4321, 65535] };
    still::write_depth16(&dir.path().join("d.png"), &depth).unwrap();
    assert_eq!(still::read_depth16(&dir.path().join("d.png")).unwrap(), depth);
}

#[test]
fn png_errors_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("depth_000.png");
    assert!(still::read_depth16(&path).unwrap_err().to_string().contains("depth_000.png"));
    still::write_grey(&path, 2, 1, &[7, 250]).unwrap();
    assert!(still::read_depth16(&path).unwrap_err().to_string().contains("expected 16-bit grey"));
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() - 12 {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(still::read_rgb(&path).unwrap_err().to_string().contains("depth_000.png"), "cut at {cut}");
    }
}

#[test]
fn depth_view_ends_and_holes() {
    let view = DepthView::new(500, 4000).unwrap();
    assert_eq!([0, 500, 4000, 1, 65535].map(|mm| view.code(mm, Range::Full)), [0, 255, 1, 255, 1]);
    assert_eq!([0, 500, 4000, 1, 65535].map(|mm| view.code(mm, Range::Limited)), [16, 235, 17, 235, 17]);
    assert_eq!([0, 1, 255].map(|code| view.millimetres(code, Range::Full)), [0, 4000, 500]);
    assert_eq!(
        [0, 16, 17, 235, 255].map(|code| view.millimetres(code, Range::Limited)),
        [0, 0, 4000, 500, 500]
    );
    assert!(DepthView::new(0, 10).is_err() && DepthView::new(10, 10).is_err());
    let depth = Depth16 { width: 2, height: 2, mm: vec![0, 500, 4000, 800] };
    assert_eq!(view.to_depth16(&view.to_yuv420(&depth, Range::Full), Range::Full).mm[..3], [0, 500, 4000]);
    assert_eq!(DepthView::fit(&depth), Some(view));
    assert_eq!(DepthView::fit(&Depth16 { width: 1, height: 1, mm: vec![0] }), None);
}
