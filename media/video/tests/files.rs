//! Files written and read back, foreign files made by the `ffmpeg` program, damaged files, and real clips.
use media::convert::{Colour, Range};
use media::{Depth16, Format, Yuv420, still};
use std::path::{Path, PathBuf};
use video::{
    DepthReader, DepthSource, DepthUnit, DepthWriter, Error, Quality, Reader, Retime, Target, Writer, probe,
};

/// A picture with shapes that a codec keeps apart: a gradient, a moving bar, a number's worth of blocks.
fn picture(width: usize, height: usize, index: usize) -> Yuv420 {
    let mut p = Yuv420::filled(width, height, (0, 128, 128));
    for y in 0..height {
        for x in 0..width {
            let bar = (x + 5 * index) % 64 < 8;
            p.y[y * width + x] = if bar { 230 } else { 30 + ((x + y) * 150 / (width + height)) as u8 };
        }
    }
    let cw = width.div_ceil(2);
    for (i, (u, v)) in p.u.iter_mut().zip(&mut p.v).enumerate() {
        *u = (90 + (i % cw) * 70 / cw) as u8;
        *v = (160 - (i / cw) * 70 / height.div_ceil(2)) as u8;
    }
    p
}

fn depth(width: usize, height: usize, index: usize) -> Depth16 {
    let mm = (0..width * height).map(|i| ((i * 37 + index * 1000) % 65536) as u16).collect();
    Depth16 { width, height, mm }
}

fn written(path: &Path, frames: usize, fps: (u32, u32), colour: Colour, quality: Quality) -> Vec<Yuv420> {
    let pictures: Vec<_> = (0..frames).map(|i| picture(64, 48, i)).collect();
    let mut writer = Writer::create(path, (64, 48), fps, colour, quality).unwrap();
    pictures.iter().for_each(|p| writer.write(p).unwrap());
    writer.finish().unwrap();
    pictures
}

fn read(path: &Path, target: &Target) -> Result<Vec<Yuv420>, Error> {
    Reader::open(path, target)?.collect()
}

fn psnr(a: &Yuv420, b: &Yuv420) -> f64 {
    assert_eq!(a.y.len(), b.y.len());
    let sse: u64 = a.y.iter().zip(&b.y).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * a.y.len() as f64 / (sse as f64 + 1e-9)).log10()
}

/// Makes a file with FFmpeg's program; `false`, and skipped, without it.
fn ffmpeg(arguments: &[&str], out: &Path) -> bool {
    testing::ffmpeg_file(arguments, out).is_some()
}

fn clips(name: &str) -> Option<PathBuf> {
    testing::folder("clips").map(|clips| clips.join(name))
}

#[test]
fn lossless_files_come_back_sample_by_sample() {
    let dir = tempfile::tempdir().unwrap();
    for (name, quality) in
        [("a.mp4", Quality::X264Lossless), ("a.mkv", Quality::X264Lossless), ("b.mkv", Quality::Ffv1)]
    {
        for colour in [Colour::BT601, Colour::BT709, Colour::BT601.full()] {
            let path = dir.path().join(name);
            let pictures = written(&path, 7, (30, 1), colour, quality);
            let mut reader = Reader::open(&path, &Target::new((64, 48), (30, 1))).unwrap();
            assert_eq!((reader.colour(), reader.fps(), reader.size()), (colour, (30, 1), (64, 48)), "{name}");
            assert!(reader.description().contains("used as it is"), "{}", reader.description());
            let back: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
            assert!(back == pictures, "{name} {colour}");
        }
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "parts left behind: {left:?}");
}

/// Which pictures are skipped changes none of the others, whether a codec's pictures stand alone, in groups (FFV1's contexts go on from
/// picture to picture with `-g 4`), or need those before them.
#[test]
fn skipped_pictures_change_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut files = Vec::new();
    for (name, quality) in [
        ("a.mkv", Quality::Ffv1),
        ("b.mkv", Quality::Ffvhuff),
        ("c.mkv", Quality::Crf(18)),
        ("d.mp4", Quality::X264Lossless),
    ] {
        written(&path(name), 11, (30, 1), Colour::BT601, quality);
        files.push(path(name));
    }
    let source = path("a.mkv");
    let groups = ["-i", source.to_str().unwrap(), "-c:v", "ffv1", "-level", "3", "-coder", "1", "-g", "4"];
    if ffmpeg(&groups, &path("e.mkv")) {
        files.push(path("e.mkv"));
    }
    for file in files {
        let whole = read(&file, &Target::default()).unwrap();
        assert_eq!(whole.len(), 11);
        for wanted in [0u32, 1, 1 << 10, 0b100_0100_0000, 0b010_0000_1001, 0b111_1000_0110, 0b101_0101_0101] {
            let mut reader = Reader::open(&file, &Target::default()).unwrap();
            for (i, picture) in whole.iter().enumerate() {
                if wanted >> i & 1 == 1 {
                    assert!(
                        reader.next_frame().unwrap().as_ref() == Some(picture),
                        "{} {i} {wanted:b}",
                        file.display()
                    );
                } else {
                    assert!(reader.pass_over().unwrap());
                }
            }
            assert!(!reader.pass_over().unwrap() && reader.next_frame().unwrap().is_none());
        }
    }
    let file = path("depth.mkv");
    let mut writer = DepthWriter::create(&file, (64, 48), (30, 1), Quality::Ffv1).unwrap();
    (0..7).for_each(|i| writer.write(&depth(64, 48, i)).unwrap());
    writer.finish().unwrap();
    let mut reader = DepthReader::open(&file, &Target::default(), DepthUnit::Usual).unwrap();
    for i in 0..7 {
        if i % 3 == 2 {
            assert!(reader.next_frame().unwrap() == Some(depth(64, 48, i)), "{i}");
        } else {
            assert!(reader.pass_over().unwrap());
        }
    }
    assert!(!reader.pass_over().unwrap());
}

#[test]
fn equal_pictures_give_equal_files() {
    let dir = tempfile::tempdir().unwrap();
    for (name, quality) in [("a.mp4", Quality::Crf(23)), ("a.mkv", Quality::Ffv1)] {
        let path = dir.path().join(name);
        written(&path, 5, (30, 1), Colour::BT601, quality);
        let first = std::fs::read(&path).unwrap();
        written(&path, 5, (30, 1), Colour::BT601, quality);
        assert!(first == std::fs::read(&path).unwrap(), "{name}");
    }
}

#[test]
fn a_playable_file_looks_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("play.mp4");
    let pictures = written(&path, 30, (30000, 1001), Colour::BT709, Quality::Crf(18));
    let info = probe(&path).unwrap();
    assert_eq!((info.codec.as_str(), info.frames, info.fps), ("h264", Some(30), (30000, 1001)));
    let back = read(&path, &Target::default()).unwrap();
    assert_eq!(back.len(), 30);
    for (a, b) in pictures.iter().zip(&back) {
        assert!(psnr(a, b) > 38.0, "{}", psnr(a, b));
    }
}

#[test]
fn metric_depth_keeps_its_millimetres() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.mkv");
    let pictures: Vec<_> = (0..5).map(|i| depth(32, 24, i)).collect();
    let mut writer = DepthWriter::create(&path, (32, 24), (30, 1), Quality::Ffv1).unwrap();
    pictures.iter().for_each(|p| writer.write(p).unwrap());
    writer.finish().unwrap();
    let target = Target::new((32, 24), (30, 1));
    let back: Vec<_> =
        DepthReader::open(&path, &target, DepthUnit::Usual).unwrap().map(Result::unwrap).collect();
    assert!(back == pictures);
    assert!(matches!(DepthSource::open(&path, &target, DepthUnit::Usual).unwrap(), DepthSource::Metric(_)));
    // Half the size: samples of the file, no means of them.
    let small: Vec<_> = DepthReader::open(&path, &Target::new((16, 16), (30, 1)), DepthUnit::Usual)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(small[1].mm.iter().all(|d| pictures[1].mm.contains(d)));
    // At half the rate: every second picture.
    let slow: Vec<_> = DepthReader::open(&path, &Target::new((32, 24), (15, 1)), DepthUnit::Usual)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(slow.len() == 3 && slow[1] == pictures[2]);
    // Colour is no depth, and says so.
    let colour = dir.path().join("c.mkv");
    written(&colour, 2, (30, 1), Colour::BT601, Quality::Ffv1);
    let error = DepthReader::open(&colour, &target, DepthUnit::Usual).err().unwrap().to_string();
    assert!(error.contains("c.mkv holds yuv420p; metric depth is grey of 9 to 16 bits"), "{error}");
    let error = DepthSource::open(&colour, &target, DepthUnit::Usual).err().unwrap().to_string();
    assert!(error.contains("c.mkv holds colour (yuv420p); depth is grey"), "{error}");
    // Nor is depth colour; but a picture without colours is an 8-bit view.
    let error = Reader::open(&path, &target).err().unwrap().to_string();
    assert!(error.contains("holds gray16le; that is depth"), "{error}");
    let grey = dir.path().join("g.mkv");
    let mut writer = Writer::create(&grey, (64, 48), (30, 1), Colour::BT601, Quality::Ffv1).unwrap();
    let mut picture = picture(64, 48, 0);
    picture.u.fill(127);
    picture.v.fill(130);
    writer.write(&picture).unwrap();
    writer.finish().unwrap();
    assert!(matches!(DepthSource::open(&grey, &target, DepthUnit::Usual).unwrap(), DepthSource::View(_)));
}

#[test]
fn a_folder_of_pngs_goes_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target { fps: Some((30, 1)), ..Target::default() };
    let error = DepthReader::open(dir.path(), &target, DepthUnit::Usual).err().unwrap().to_string();
    assert!(error.contains("no picture in it"), "{error}");
    for i in [2, 10, 1] {
        still::write_depth16(&dir.path().join(format!("frame-{i}.depth.png")), &depth(32, 24, i)).unwrap();
    }
    std::fs::write(dir.path().join("notes.txt"), "not a picture").unwrap();
    let back: Vec<_> =
        DepthReader::open(dir.path(), &target, DepthUnit::Usual).unwrap().map(Result::unwrap).collect();
    assert!(back == [1, 2, 10].map(|i| depth(32, 24, i)));
    still::write_depth16(&dir.path().join("frame-3.depth.png"), &depth(16, 24, 3)).unwrap();
    let error = DepthReader::open(dir.path(), &target, DepthUnit::Usual)
        .unwrap()
        .find_map(Result::err)
        .unwrap()
        .to_string();
    assert!(error.contains("frame-3.depth.png changes from 32x24 to 16x24"), "{error}");
}

#[test]
fn rates_and_sizes_are_made_to_fit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mkv");
    let pictures = written(&path, 20, (25, 1), Colour::BT601, Quality::Ffv1);
    let nearest = read(&path, &Target::new((64, 48), (30, 1))).unwrap();
    assert_eq!(nearest.len(), 24);
    assert!(nearest[3] == pictures[2] && nearest[23] == pictures[19]);
    let every = Target { retime: Retime::EveryPicture, ..Target::new((64, 48), (30, 1)) };
    assert!(read(&path, &every).unwrap() == pictures);
    let reader = Reader::open(&path, &Target::new((32, 32), (30, 1))).unwrap();
    assert_eq!(
        reader.description(),
        "a.mkv: ffv1 yuv420p 64x48 at 25 fps -> cropped to 48x48+8+0, scaled to 32x32, \
         retimed to 30 fps by the nearest picture (BT.601 limited range)"
    );
    assert!(reader.map(Result::unwrap).all(|p| (p.width, p.height, p.u.len()) == (32, 32, 256)));
    // A cut alone moves no sample.
    let cut = read(&path, &Target::new((48, 48), (25, 1))).unwrap();
    let row = |p: &Yuv420, at: usize| p.y[at..at + 48].to_vec();
    assert_eq!(row(&cut[4], 48), row(&pictures[4], 64 + 8));
    for (size, fps) in [((63, 48), (30, 1)), ((0, 0), (30, 1)), ((64, 48), (0, 1)), ((64, 99_998), (30, 1))] {
        let error = Reader::open(&path, &Target::new(size, fps)).err().unwrap();
        assert!(matches!(error, Error::Size { .. } | Error::Rate { .. }), "{error}");
    }
}

#[test]
fn foreign_formats_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let test = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=24:duration=1"];
    let odd = "scale=161:121";
    for (name, more, steps) in [
        (
            "ten.mkv",
            vec!["-vf", odd, "-c:v", "ffv1", "-pix_fmt", "yuv422p10le"],
            "cropped to 160x120+0+0, converted to yuv420p",
        ),
        (
            "rgb.avi",
            vec!["-vf", odd, "-c:v", "rawvideo", "-pix_fmt", "bgr24"],
            "cropped to 160x120+0+0, converted to yuv420p",
        ),
        ("full.mov", vec!["-vf", odd, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p"], "cropped to 160x120+0+0"),
        ("grey.mkv", vec!["-vf", odd, "-c:v", "ffv1", "-pix_fmt", "gray"], "cropped to 160x120+0+0"),
        (
            "web.webm",
            vec!["-c:v", "libvpx-vp9", "-deadline", "realtime", "-pix_fmt", "yuv420p"],
            "used as it is",
        ),
        ("b.mp4", vec!["-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p"], "used as it is"),
    ] {
        let path = dir.path().join(name);
        if !ffmpeg(&[&test[..], &more[..]].concat(), &path) {
            return;
        }
        let reader = Reader::open(&path, &Target::default()).unwrap();
        let line = reader.description().to_owned();
        assert!(line.contains(&format!("-> {steps} (")), "{line}");
        assert_eq!(name == "full.mov" || name == "grey.mkv", line.contains("full range"), "{line}");
        let pictures: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!((pictures.len(), pictures[0].width, pictures[0].height), (24, 160, 120), "{name}");
    }
}

#[test]
fn telephones_film_sideways() {
    let dir = tempfile::tempdir().unwrap();
    let (flat, turned) = (dir.path().join("flat.mp4"), dir.path().join("turned.mp4"));
    let pictures = written(&flat, 3, (30, 1), Colour::BT601, Quality::X264Lossless);
    // The track header's matrix (ISO 14496-12, 8.3.2): a quarter turn clockwise.
    let mut bytes = std::fs::read(&flat).unwrap();
    let matrix = bytes.windows(4).position(|w| w == b"tkhd").unwrap() + 4 + 40;
    let turn: [i32; 9] = [0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30];
    bytes[matrix..matrix + 36].copy_from_slice(&turn.map(i32::to_be_bytes).concat());
    std::fs::write(&turned, bytes).unwrap();
    let back = read(&turned, &Target::default()).unwrap();
    assert_eq!((back[0].width, back[0].height), (48, 64));
    assert_eq!(back[1].y[47], pictures[1].y[0], "the top left corner turns to the top right");
}

#[test]
fn clear_errors_for_what_is_no_video() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let said = |path: &Path| Reader::open(path, &Target::default()).err().unwrap().to_string();
    assert!(said(&at("none.mp4")).contains("failed to open") && said(&at("none.mp4")).contains("none.mp4"));
    assert!(said(dir.path()).contains("is a folder; make a video"));
    std::fs::write(at("zero.mp4"), "").unwrap();
    assert!(said(&at("zero.mp4")).contains("zero.mp4 is empty (0 bytes)"));
    std::fs::write(at("text.mp4"), "this is no video\n".repeat(100)).unwrap();
    assert!(said(&at("text.mp4")).contains("text.mp4 is not a video"));
    if ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1"], &at("sound.m4a")) {
        assert!(said(&at("sound.m4a")).contains("sound.m4a has no video stream"));
    }
    let create = |path: &Path, quality| Writer::create(path, (64, 48), (30, 1), Colour::BT601, quality).err();
    assert!(create(&at("a.avi"), Quality::Crf(23)).unwrap().to_string().contains(".mp4 or .mkv"));
    assert!(create(&at("a.mp4"), Quality::Ffv1).unwrap().to_string().contains("a.mp4"));
    assert!(create(&at("no/a.mp4"), Quality::Crf(23)).unwrap().to_string().contains("failed to create"));
    let mut writer = Writer::create(&at("a.mkv"), (64, 48), (30, 1), Colour::BT601, Quality::Ffv1).unwrap();
    let error = writer.write(&picture(32, 32, 0)).unwrap_err().to_string();
    assert!(error.contains("picture 0 is 32x32, the file is 64x48"), "{error}");
    assert!(matches!(writer.finish(), Err(Error::NoPictures { .. })));
    assert!(!at("a.mkv").exists());
    assert!(
        std::fs::read_dir(dir.path()).unwrap().all(|e| !e
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("part"))
    );
}

/// Cut anywhere, every kind of file is refused or gives an error; pictures before it are the right ones.
#[test]
fn truncated_files_never_pass_for_shorter_clips() {
    let dir = tempfile::tempdir().unwrap();
    for (name, quality) in
        [("a.mp4", Quality::Crf(23)), ("a.mkv", Quality::Ffv1), ("b.mkv", Quality::Crf(23))]
    {
        let path = dir.path().join(name);
        written(&path, 30, (30, 1), Colour::BT601, quality);
        let whole = std::fs::read(&path).unwrap();
        let pictures = read(&path, &Target::default()).unwrap();
        let cut = dir.path().join(format!("cut-{name}"));
        for tenth in 1..10 {
            std::fs::write(&cut, &whole[..whole.len() * tenth / 10]).unwrap();
            let mut good = 0;
            let error = match Reader::open(&cut, &Target::default()) {
                Err(error) => error,
                Ok(reader) => {
                    let mut outcome = None;
                    for picture in reader {
                        match picture {
                            Ok(picture) => {
                                assert!(picture == pictures[good], "{name} {tenth}: picture {good}");
                            }
                            Err(error) => {
                                outcome = Some(error);
                                break;
                            }
                        }
                        good += 1;
                    }
                    outcome.unwrap_or_else(|| panic!("{name} cut to {tenth}/10 passed for {good} pictures"))
                }
            };
            let text = error.to_string();
            assert!(text.contains(&format!("cut-{name}")), "{text}");
            let words = ["truncated", "damaged", "cut short", "no pictures"];
            assert!(words.iter().any(|w| text.contains(w)), "{text}");
        }
    }
}

/// Uncompressed video has no index that would tell; its last picture must be whole all the same.
#[test]
fn a_y4m_cut_inside_a_picture_is_named_with_its_bytes() {
    use media::y4m;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.y4m");
    let (want, frame_line) = (64 * 48 * 3 / 2, "FRAME\n".len());
    for format in [Format::YUV420, Format::GREY] {
        let want = if format == Format::GREY { 64 * 48 } else { want };
        let header = y4m::Header { format, ..y4m::Header::new(64, 48, (30, 1)) };
        let mut writer = y4m::Writer::new(Vec::new(), header).unwrap();
        (0..4).for_each(|i| writer.write(&picture(64, 48, i)).unwrap());
        let whole = writer.finish().unwrap();
        let start = whole.len() - 4 * (frame_line + want);
        let at = |frame: usize, bytes: usize| start + frame * (frame_line + want) + frame_line + bytes;
        for (frame, got) in [(3, want - 1), (3, 1), (3, 0), (1, 1000), (0, 77), (0, 0)] {
            std::fs::write(&path, &whole[..at(frame, got)]).unwrap();
            let mut outcome = Vec::new();
            let error = match Reader::open(&path, &Target::default()) {
                Err(error) => error,
                Ok(reader) => reader
                    .filter_map(|p| p.map(|p| outcome.push(p)).err())
                    .next()
                    .unwrap_or_else(|| panic!("{frame} {got}: passed for {} pictures", outcome.len())),
            };
            let text = error.to_string();
            let words = format!("cut.y4m is truncated: picture {frame} is cut off ({got} of {want} bytes)");
            assert!(text.contains(&words) && text.contains("ffmpeg -i"), "{text}");
            assert_eq!(outcome.len(), frame, "the pictures before it");
        }
        // Inside the word FRAME; and at the end of a picture, where nothing is wrong.
        std::fs::write(&path, &whole[..at(2, 0) - 3]).unwrap();
        let error = read(&path, &Target::default()).unwrap_err().to_string();
        assert!(error.contains("picture 2 is cut off (0 of"), "{error}");
        std::fs::write(&path, &whole[..at(2, want)]).unwrap();
        assert_eq!(read(&path, &Target::default()).unwrap().len(), 3);
        // A header and no picture.
        std::fs::write(&path, &whole[..start]).unwrap();
        let error = read(&path, &Target::default()).unwrap_err();
        assert!(error.to_string().contains("no pictures (zero length)"), "{error}");
    }
}

#[test]
fn garbage_is_never_a_clip() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = 1u64;
    let mut noise = |n: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..n).map(|_| next()).collect()
    };
    for name in ["a.mp4", "a.mkv", "a.y4m", "a.webm", "a.avi", "a"] {
        let path = dir.path().join(name);
        for length in [1, 100, 200_000] {
            std::fs::write(&path, noise(length)).unwrap();
            let error = read(&path, &Target::default()).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}

#[test]
fn damaged_files_name_the_picture() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mkv");
    written(&path, 20, (30, 1), Colour::BT601, Quality::Ffv1);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 8] {
        *byte ^= 0x55;
    }
    std::fs::write(&path, bytes).unwrap();
    let error = Reader::open(&path, &Target::default()).unwrap().find_map(Result::err).unwrap();
    let Error::Damaged { frame, .. } = &error else { panic!("{error}") };
    assert!((7..13).contains(frame), "{error}");
    assert!(error.to_string().contains("damaged at picture"));
}

#[test]
fn real_clips_are_read_whole() {
    let Some(folder) = clips("talkinghead") else { return };
    let mut clips: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    clips.sort();
    for clip in clips.iter().filter(|c| c.extension().is_some_and(|e| e == "mp4")) {
        let mut reader = Reader::open(clip, &Target::new((512, 512), (30, 1))).unwrap();
        assert!(
            reader.description().contains("used as it is (BT.709 limited range)"),
            "{}",
            reader.description()
        );
        let announced = reader.info().frames.unwrap();
        let mut read = 0;
        while reader.next_frame().unwrap().is_some() {
            read += 1;
        }
        assert_eq!(read, announced, "{}", clip.display());
    }
}

#[test]
fn real_depth_is_read_in_both_kinds() {
    let Some(folder) = clips("rgbd") else { return };
    let target = Target::new((512, 512), (30, 1));
    let metric = folder.join("r01_7scenes_kitchen_a_depth16.mkv");
    let DepthSource::Metric(reader) = DepthSource::open(&metric, &target, DepthUnit::Usual).unwrap() else {
        panic!("not metric")
    };
    let pictures: Vec<_> = reader.take(5).map(Result::unwrap).collect();
    let measured = pictures[0].mm.iter().filter(|d| **d > 0).count();
    assert!(measured > 512 * 512 * 8 / 10 && pictures[0].mm.iter().all(|d| *d < 10_000));
    let view = folder.join("r01_7scenes_kitchen_a_depth8_vis.mp4");
    let DepthSource::View(reader) = DepthSource::open(&view, &target, DepthUnit::Usual).unwrap() else {
        panic!("not a view")
    };
    assert_eq!(reader.colour().range, Range::Full);
    assert_eq!(reader.count(), 240);
}

#[test]
fn the_embedded_clip_is_rendered_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("made/on/demand");
    let config = media::scene::SceneConfig { width: 64, height: 64, frames: 3, ..Default::default() };
    let mut told = Vec::new();
    let paths = video::scene::cached(&cache, config, |done, all| told.push((done, all))).unwrap();
    assert_eq!(told, [(0, 3), (1, 3), (2, 3), (3, 3)]);
    let again = video::scene::cached(&cache, config, |_, _| panic!("rendered twice")).unwrap();
    assert_eq!(paths, again);
    let clip = media::scene::Clip::new(config).unwrap();
    let (rgb, depth) = clip.render(2);
    let target = Target::new((64, 64), (30, 1));
    let read_rgb = read(&paths.rgb, &target).unwrap();
    assert!(read_rgb.len() == 3 && read_rgb[2] == media::convert::to_yuv420(&rgb, Colour::BT601));
    let read_depth: Vec<_> =
        DepthReader::open(&paths.depth16, &target, DepthUnit::Usual).unwrap().map(Result::unwrap).collect();
    assert!(read_depth.len() == 3 && read_depth[2] == depth);
    let view = read(&paths.view, &target).unwrap();
    let back = media::scene::depth_view().to_depth16(&view[2], Range::Limited);
    assert!(back.mm.iter().zip(&depth.mm).all(|(a, b)| a.abs_diff(*b) < *b / 10 + 2));
}

#[test]
fn a_killed_renderer_leaves_nothing_that_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let config = media::scene::SceneConfig { width: 64, height: 64, frames: 1, ..Default::default() };
    let paths = video::scene::cached(dir.path(), config, |_, _| ()).unwrap();
    // As if killed: one whole file missing, half a part of a process that is no more.
    let name = paths.rgb.file_stem().unwrap().to_string_lossy().into_owned();
    let part = dir.path().join(format!("{name}.part-4194999.mkv"));
    std::fs::rename(&paths.rgb, &part).unwrap();
    video::scene::cached(dir.path(), config, |_, _| ()).unwrap();
    assert!(paths.rgb.exists() && !part.exists());
}
