//! Files as cameras, telephones, calls and data sets make them; the right values come from FFmpeg's own conversions of the same
//! files, or from how the file was made.
use media::{Depth16, Yuv420, still};
use std::path::Path;
use std::process::Command;
use video::{DepthReader, DepthSource, DepthUnit, DepthWriter, Error, Quality, Reader, SampleReader, Target};

testing::place!(Place);

impl Place {
    /// `None`, and skipped, without the `ffmpeg` program.
    fn new() -> Option<Self> {
        testing::ffmpeg()?;
        Some(Self(testing::Place::new()))
    }

    fn frames(&self, name: &str, target: &Target) -> Vec<Yuv420> {
        Reader::open(&self.path(name), target).unwrap().map(Result::unwrap).collect()
    }
}

fn at30(width: usize, height: usize) -> Target {
    Target::new((width, height), (30, 1))
}

const CLIP: &str = "-f lavfi -i testsrc2=size=64x48:rate=30:duration=2 -pix_fmt yuv420p";

/// Pictures that come unevenly are on the screen when their time stamps say so, whatever the average rate claims; FFmpeg's
/// `fps=30:round=near` on the same file picks the same pictures (but for ties and the end).
#[test]
fn uneven_times_are_followed() {
    let Some(place) = Place::new() else { return };
    for (name, options) in [
        // 20 pictures at 15 a second, then 40 at 60: 30 on average
        (
            "mixed.mp4",
            "-vf setpts='if(lt(N,20),N*4,80+(N-20))/(60*TB)' -vsync vfr -video_track_timescale 60000",
        ),
        ("pause.mkv", "-vf setpts='(N+gt(N,20)*45)/(30*TB)' -vsync vfr"),
        ("drops.mkv", "-vf select='lt(mod(n,7),3)' -vsync vfr"),
    ] {
        place.ffmpeg(&format!("{CLIP} {options} -c:v libx264 -qp 0 {name}"));
        place.ffmpeg(&format!("-i {name} -vf fps=30:round=near -c:v ffv1 even.mkv"));
        let reader = Reader::open(&place.path(name), &at30(64, 48)).unwrap();
        assert!(reader.description().contains("variable frame rate"), "{}", reader.description());
        let ours: Vec<_> = reader.map(Result::unwrap).collect();
        let theirs = place.frames("even.mkv", &at30(64, 48));
        assert!(ours.len().abs_diff(theirs.len()) <= 1, "{name}: {} {}", ours.len(), theirs.len());
        let same = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
        assert!(same * 20 >= theirs.len() * 19, "{name}: {same} of {}", theirs.len());
    }
    // Counting converts nothing and gives the same number.
    let mut reader = Reader::open(&place.path("pause.mkv"), &at30(64, 48)).unwrap();
    let mut count = 0;
    while reader.skip_frame().unwrap() {
        count += 1;
    }
    assert_eq!(count, place.frames("pause.mkv", &at30(64, 48)).len());
    // Even ones are all kept, with jitter of less than half a picture's time, and at 29.97 for 30.
    for (name, options) in [
        ("ntsc.mkv", "-vf setpts='N*1001/(30000*TB)' -r 30000/1001"),
        ("jitter.mkv", "-vf setpts='(N+0.3*mod(N,2))/(30*TB)' -vsync vfr"),
    ] {
        place.ffmpeg(&format!("{CLIP} {options} -c:v ffv1 {name}"));
        let reader = Reader::open(&place.path(name), &at30(64, 48)).unwrap();
        assert!(!reader.description().contains("retimed"), "{}", reader.description());
        assert_eq!(reader.count(), 60, "{name}");
    }
}

#[test]
fn a_broken_time_stamp_is_named_before_hours_of_it_are_shown() {
    let Some(place) = Place::new() else { return };
    place.ffmpeg(&format!("{CLIP} -vf setpts='(N+gt(N,9)*30*90000)/(30*TB)' -vsync vfr -c:v ffv1 gap.mkv"));
    let error = Reader::open(&place.path("gap.mkv"), &at30(64, 48)).err().unwrap();
    assert!(matches!(error, Error::Gap { frame: 9, seconds: 90_000, .. }), "{error}");
    // As stored it is a file like any other.
    assert_eq!(SampleReader::open(&place.path("gap.mkv")).unwrap().count(), 60);
}

/// The container's sample aspect counts as the codec's does; what rounding leaves, and nonsense, do not.
#[test]
fn a_sample_aspect_wherever_it_stands() {
    let Some(place) = Place::new() else { return };
    place.ffmpeg(&format!("{CLIP} -vf setsar=2/1 -c:v libx264 -qp 0 vui.mp4"));
    place.ffmpeg(&format!("{CLIP} -c:v ffv1 -aspect 8:3 container.mkv"));
    for name in ["vui.mp4", "container.mkv"] {
        let reader = Reader::open(&place.path(name), &at30(48, 48)).unwrap();
        let line = reader.description();
        assert!(line.contains("samples of 2:1 counted in, cropped to 24x48+20+0"), "{name}: {line}");
    }
    for (aspect, words) in [("640/639", "-> used as it is"), ("100/1", "100:1 taken as square")] {
        place.ffmpeg(&format!("{CLIP} -vf setsar={aspect} -c:v ffv1 square.mkv"));
        let reader = Reader::open(&place.path("square.mkv"), &at30(64, 48)).unwrap();
        assert!(reader.description().contains(words), "{}", reader.description());
    }
}

/// More than 8 bits are rounded, not dithered: a flat picture stays flat, and no sample is off by more than half a code.
#[test]
fn more_than_eight_bits_are_rounded() {
    let Some(place) = Place::new() else { return };
    for (pixels, code, want) in
        [("yuv420p10le", 515, 129), ("yuv420p10le", 513, 128), ("yuv444p12le", 2060, 129)]
    {
        place.ffmpeg(&format!(
            "-f lavfi -i color=black:size=64x48:rate=30:duration=0.1,format={pixels},geq=lum={code}:cb={code}:cr={code} -c:v ffv1 flat.mkv"
        ));
        for size in [(64, 48), (32, 48)] {
            let frames = place.frames("flat.mkv", &at30(size.0, size.1));
            let flat = |plane: &[u8]| plane.iter().all(|s| *s == want);
            assert!(
                frames.iter().all(|f| flat(&f.y) && flat(&f.u) && flat(&f.v)),
                "{pixels} {code} {:?}",
                frames[0].y[0]
            );
        }
    }
}

/// One file with colour and depth, as depth cameras record: each is found by its kind, in one time.
#[test]
fn depth_beside_colour_in_one_file() {
    let Some(place) = Place::new() else { return };
    let mut writer = DepthWriter::create(&place.path("d.mkv"), (64, 48), (30, 1), Quality::Ffv1).unwrap();
    let depth = |i: usize| Depth16 {
        width: 64,
        height: 48,
        mm: (0..64 * 48).map(|p| (500 + p + 7 * i) as u16).collect(),
    };
    (0..58).for_each(|i| writer.write(&depth(i)).unwrap());
    writer.finish().unwrap();
    // The depth stream begins two pictures later than the colour, and comes first in the file.
    place.ffmpeg(&format!("{CLIP} -c:v ffv1 c.mkv"));
    place.ffmpeg("-i c.mkv -itsoffset 0.066667 -i d.mkv -map 1 -map 0 -c copy both.mkv");
    let both = place.path("both.mkv");
    let reader = Reader::open(&both, &at30(64, 48)).unwrap();
    assert!(
        reader.description().contains("yuv420p")
            && reader.description().contains("(stream 1, of 2 with video)")
    );
    assert!(reader.map(Result::unwrap).eq(place.frames("c.mkv", &at30(64, 48))));
    let DepthSource::Metric(reader) = DepthSource::open(&both, &at30(64, 48), DepthUnit::Usual).unwrap()
    else {
        panic!("not metric")
    };
    let read: Vec<_> = reader.map(Result::unwrap).collect();
    assert!(
        read.len() == 60
            && read[0] == depth(0)
            && read[2] == depth(0)
            && read[10] == depth(8)
            && read[59] == depth(57)
    );
    let stored = SampleReader::open(&both).unwrap();
    assert!(stored.notes()[0].contains("stream 1 is taken, of 2"), "{:?}", stored.notes());
}

/// Grey of 10 to 16 bits either byte order, TIFF, PFM in metres: depth by arithmetic.
#[test]
fn depth_of_every_kind() {
    let Some(place) = Place::new() else { return };
    let make = |pixels: &str, out: &str| {
        place.ffmpeg(&format!(
            "-f lavfi -i color=black:size=64x48:rate=30:duration=0.03,format=gray16le,geq=lum=X*15+Y*3 -pix_fmt {pixels} {out}"
        ));
    };
    let read = |name: &str, unit: &str| -> Vec<u16> {
        let mut reader = DepthReader::open(&place.path(name), &at30(64, 48), unit.parse().unwrap()).unwrap();
        reader.next_frame().unwrap().unwrap().mm
    };
    make("gray16le", "-c:v ffv1 a.mkv");
    let codes: Vec<u16> = (0..64 * 48).map(|i| (i % 64 * 15 + i / 64 * 3) as u16).collect();
    assert_eq!(read("a.mkv", "usual"), codes);
    make("gray16le", "a.tiff");
    assert_eq!(read("a.tiff", "mm"), codes);
    for (bits, shift) in [(10, 6), (12, 4), (14, 2)] {
        make(&format!("gray{bits}le"), "-c:v rawvideo b.nut");
        let mut stored = SampleReader::open(&place.path("b.nut")).unwrap();
        let plane = stored.next_picture().unwrap().unwrap().planes.remove(0);
        assert!((0..codes.len()).all(|i| plane.at(i).abs_diff(codes[i] >> shift) <= 1), "{bits}");
        assert!(read("b.nut", "usual").iter().enumerate().all(|(i, mm)| *mm == plane.at(i)), "{bits}");
    }
    // A picture in metres, single precision, bottom row first (netpbm's pfm).
    let mut pfm = b"Pf\n4 2\n-1.0\n".to_vec();
    for metres in [1.0f32, 2.5, 0.0, f32::INFINITY, 0.4, 0.5, 0.6, 70.0] {
        pfm.extend(metres.to_le_bytes());
    }
    std::fs::create_dir(place.path("metres")).unwrap();
    std::fs::write(place.path("metres/1.pfm"), pfm).unwrap();
    let mut reader = DepthReader::stored(&place.path("metres"), DepthUnit::Usual).unwrap();
    assert_eq!(reader.next_frame().unwrap().unwrap().mm, [400, 500, 600, 0, 1000, 2500, 0, 0]);
    // An 8-bit or colour picture among depth is refused by name.
    still::write_grey(&place.path("grey.png"), 64, 48, &[7; 64 * 48]).unwrap();
    let error = DepthReader::open(&place.path("grey.png"), &at30(64, 48), DepthUnit::Usual).err().unwrap();
    assert!(error.to_string().contains("16-bit grey"), "{error}");
}

/// Files that name other files, or the network, are no clips; nor is a header that asks for all memory.
#[test]
fn a_clip_opens_nothing_but_itself() {
    let Some(place) = Place::new() else { return };
    place.ffmpeg(&format!("{CLIP} -c:v ffv1 real.mkv"));
    place.ffmpeg(&format!("{CLIP} -c:v libx264 -qp 20 real.ts"));
    let lists = [
        ("list.ffconcat", "ffconcat version 1.0\nfile real.mkv\n".to_owned()),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nreal.ts\n#EXT-X-ENDLIST\n".to_owned()),
        ("net.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n".to_owned()),
        ("call.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 VP8/90000\n".to_owned()),
    ];
    for (name, text) in lists {
        std::fs::write(place.path(name), text).unwrap();
        let error = Reader::open(&place.path(name), &at30(64, 48)).err().unwrap().to_string();
        assert!(error.contains(name) && error.contains("is not a video"), "{error}");
    }
    let huge = b"YUV4MPEG2 W60000 H60000 F30:1 C420\nFRAME\n".repeat(3);
    std::fs::write(place.path("huge.y4m"), huge).unwrap();
    assert!(Reader::open(&place.path("huge.y4m"), &at30(64, 48)).is_err());
}

#[test]
fn what_is_no_file_is_said() {
    let Some(place) = Place::new() else { return };
    let made = Command::new("mkfifo").arg(place.path("pipe.y4m")).status().unwrap();
    assert!(made.success());
    let error = Reader::open(&place.path("pipe.y4m"), &at30(64, 48)).err().unwrap().to_string();
    assert!(error.contains("is a pipe") && error.contains("write it to a file"), "{error}");
    let error = Reader::open(Path::new("/dev/null"), &at30(64, 48)).err().unwrap().to_string();
    assert!(error.contains("is a pipe"), "{error}");
}
