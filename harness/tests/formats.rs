//! `freezeframe compare` on files as people have them, made here by the `ffmpeg` program; the right values come from FFmpeg's own
//! filters run beside it, from the files' construction, or from arithmetic that is named.

use serde_json::Value;
use std::fs;
use std::process::Command;
use testing::Said;

testing::place!(Place);

impl Place {
    /// `None`, and skipped, without the `ffmpeg` program.
    fn new() -> Option<Self> {
        testing::ffmpeg()?;
        Some(Self(testing::Place::new()))
    }

    fn sh(&self, command: &str) -> String {
        let Said { out, err, .. } = self.said("bash", &["-c", command]).well();
        out + &err
    }

    /// Exit code, standard output, standard error.
    fn compare(&self, arguments: &[&str]) -> (i32, String, String) {
        let Said { code, out, err } =
            self.said(env!("CARGO_BIN_EXE_freezeframe"), &[&["compare"][..], arguments].concat());
        (code, out, err)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, said) = self.compare(&[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{arguments:?}: {said}");
        serde_json::from_str(&out).unwrap()
    }

    fn mean(&self, metric: &str, files: &[&str]) -> f64 {
        let all = self.json(&[files, &["--metrics", metric]].concat());
        match &all["mean"][metric] {
            Value::String(s) if s == "inf" => f64::INFINITY,
            value => {
                value.as_f64().unwrap_or_else(|| panic!("{files:?} {metric}: {} {}", value, all["missing"]))
            }
        }
    }

    fn notes(&self, files: &[&str]) -> String {
        self.json(&[files, &["--metrics", "psnr"]].concat())["notes"].to_string()
    }

    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let (code, out, said) = self.compare(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is missing in: {said}"));
    }

    /// A clip of noise in a pixel format; `amount` of noise.
    fn noisy(&self, name: &str, pixels: &str, amount: u32) {
        self.ffmpeg(&format!(
            "-f lavfi -i testsrc2=size=98x66:rate=30:duration=0.1,format=gbrp,noise=alls={amount}:all_seed=5 \
             -pix_fmt {pixels} -c:v rawvideo {name}"
        ));
    }

    /// FFmpeg's own value: the average of `psnr`, or `ssim`'s from its decibels, which have more digits.
    fn filter(&self, name: &str, reference: &str, shown: &str) -> f64 {
        let said = self.ffmpeg(&format!("-cpuflags 0 -i {shown} -i {reference} -lavfi {name} -f null -"));
        let after =
            |mark: &str| said.rsplit(mark).next().unwrap().split([' ', ')', '\n']).next().unwrap().to_owned();
        match name {
            "psnr" => after("average:").parse().unwrap(),
            _ => {
                let decibels: f64 =
                    said.rsplit("All:").next().unwrap().split(['(', ')']).nth(1).unwrap().parse().unwrap();
                1.0 - 10f64.powf(-decibels / 10.0)
            }
        }
    }
}

/// Where FFmpeg's filters would convert a file by their scaler, there is no value that could be taken for theirs.
#[test]
fn the_filters_values_or_none() {
    let Some(place) = Place::new() else { return };
    for pixels in [
        "pal8",
        "rgb565le",
        "bgr8",
        "rgb4_byte",
        "rgb555le",
        "ya8",
        "yuva444p",
        "yuva420p16le",
        "gbrap",
        "gbrap16le",
        "monob",
    ] {
        place.noisy("a.nut", pixels, 0);
        place.noisy("b.nut", pixels, 30);
        let all = place.json(&["a.nut", "b.nut", "--metrics", "psnr,ffmpeg_psnr,ffmpeg_ssim"]);
        assert!(all["mean"]["psnr"].is_number(), "{pixels}");
        for (metric, name, tolerance) in [("ffmpeg_psnr", "psnr", 1e-6), ("ffmpeg_ssim", "ssim", 1e-7)] {
            match all["mean"][metric].as_f64() {
                Some(ours) => {
                    let theirs = place.filter(name, "a.nut", "b.nut");
                    assert!((ours - theirs).abs() < tolerance, "{pixels} {metric}: {ours} {theirs}");
                }
                None => assert!(all["missing"][metric].as_str().unwrap().contains("-pix_fmt"), "{all}"),
            }
        }
    }
}

/// As FFmpeg's filters see every kind of format: depth, subsampling, grey, RGB, packed, alpha.
#[test]
fn the_filters_values_in_every_format() {
    let Some(place) = Place::new() else { return };
    for pixels in [
        "yuv420p",
        "yuvj420p",
        "nv12",
        "yuv422p",
        "uyvy422",
        "yuv444p",
        "yuv440p",
        "yuv411p",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p12le",
        "yuv420p16le",
        "gray",
        "gray10le",
        "gbrp",
        "rgb24",
        "bgr0",
        "gbrp10le",
        "rgb48be",
        "yuva420p",
        "rgba",
    ] {
        place.noisy("a.nut", pixels, 0);
        place.noisy("b.nut", pixels, 30);
        let all = place.json(&["a.nut", "b.nut", "--metrics", "psnr,ffmpeg_psnr,ffmpeg_ssim"]);
        let ours = |metric: &str| {
            all["mean"][metric].as_f64().unwrap_or_else(|| panic!("{pixels} {}", all["missing"]))
        };
        let (psnr, ssim) = (place.filter("psnr", "a.nut", "b.nut"), place.filter("ssim", "a.nut", "b.nut"));
        assert!((ours("ffmpeg_psnr") - psnr).abs() < 1e-6, "{pixels}: {} {psnr}", ours("ffmpeg_psnr"));
        assert!((ours("ffmpeg_ssim") - ssim).abs() < 1e-7, "{pixels}: {} {ssim}", ours("ffmpeg_ssim"));
        // On RGB without alpha the two PSNRs have one squared error, frame by frame.
        if pixels.starts_with("gbrp") || ["rgb24", "bgr0", "rgb48le"].contains(&pixels) {
            let frames = place.json(&["a.nut", "b.nut", "--metrics", "psnr,ffmpeg_psnr"]);
            for frame in frames["frames"].as_array().unwrap() {
                let (p, f) = (frame["psnr"].as_f64().unwrap(), frame["ffmpeg_psnr"].as_f64().unwrap());
                assert!(
                    (-10.0 * (10f64.powf(-f / 10.0) + 1e-8).log10() - p).abs() < 1e-9,
                    "{pixels}: {p} {f}"
                );
            }
        }
        let same = place.json(&["a.nut", "a.nut", "--metrics", "psnr,ssim,ffmpeg_psnr"]);
        assert_eq!(
            (same["mean"]["psnr"].as_f64(), same["mean"]["ssim"].as_f64()),
            (Some(80.0), Some(1.0)),
            "{pixels}"
        );
        assert_eq!(same["mean"]["ffmpeg_psnr"], "inf", "{pixels}");
    }
}

/// A lossless copy of a clip in another container, with a sample aspect, another rate, an odd size: the same samples.
#[test]
fn samples_are_compared_as_they_are_stored() {
    let Some(place) = Place::new() else { return };
    place.ffmpeg("-f lavfi -i testsrc=size=97x65:rate=30:duration=0.4 -pix_fmt yuv444p ref.y4m");
    for (name, options) in [
        ("sar.mkv", "-vf setsar=640/639 -c:v ffv1"),
        ("wide.mp4", "-vf setsar=128/117 -c:v libx264 -qp 0"),
        ("broken.nut", "-vf setsar=100/1 -c:v ffv1"),
        ("slow.mkv", "-vf setpts=N/25/TB -r 25 -c:v ffv1"),
        ("uneven.mkv", "-vf setpts=(N+gt(N\\,5)*40)/30/TB -vsync vfr -c:v ffv1"),
    ] {
        place.ffmpeg(&format!("-i ref.y4m {options} {name}"));
        assert_eq!(place.mean("ffmpeg_psnr", &["ref.y4m", name]), f64::INFINITY, "{name}");
    }
    assert!(place.notes(&["ref.y4m", "wide.mp4"]).contains("samples are compared as they are stored"));
    // The damage of the last column, which a reader of even sizes would not see.
    place.ffmpeg("-i ref.y4m -c:v ffv1 same.nut");
    place.ffmpeg("-i ref.y4m -vf geq=lum='if(eq(X,W-1),255-lum(X,Y),lum(X,Y))':cb='cb(X,Y)':cr='cr(X,Y)' -c:v ffv1 bad.nut");
    // One container, so that both have one time base: the filter pairs pictures by their times.
    let want = place.filter("psnr", "same.nut", "bad.nut");
    assert!(
        want.is_finite() && (place.mean("ffmpeg_psnr", &["ref.y4m", "bad.nut"]) - want).abs() < 1e-6,
        "{want}"
    );
    // --scale stretches; FFmpeg's bicubic is the same but for its fixed point.
    place.ffmpeg("-f lavfi -i testsrc2=size=80x80:rate=30:duration=0.4 -pix_fmt yuv444p small.y4m");
    place.ffmpeg("-i small.y4m -vf scale=97:65:flags=bicubic+accurate_rnd+full_chroma_int stretched.y4m");
    let want = place.filter("psnr", "ref.y4m", "stretched.y4m");
    let ours = place.mean("ffmpeg_psnr", &["ref.y4m", "small.y4m", "--scale"]);
    assert!((ours - want).abs() < 0.3, "{ours} {want}");
    assert!(place.notes(&["ref.y4m", "small.y4m", "--scale"]).contains("changes its shape"));
}

/// What a player turns and mirrors is laid out so: FFmpeg's autorotate on the same file.
#[test]
fn the_whole_display_matrix() {
    let Some(place) = Place::new() else { return };
    place.ffmpeg(
        "-f lavfi -i testsrc2=size=64x48:rate=30:duration=0.1 -pix_fmt yuv420p -c:v libx264 -qp 0 flat.mp4",
    );
    let flat = fs::read(place.path("flat.mp4")).unwrap();
    let at = flat.windows(4).position(|w| w == b"tkhd").unwrap() + 4 + 40;
    let one = 1 << 16;
    for (a, b, c, d) in [
        (-one, 0, 0, one),
        (one, 0, 0, -one),
        (-one, 0, 0, -one),
        (0, one, -one, 0),
        (0, -one, one, 0),
        (0, one, one, 0),
        (0, -one, -one, 0),
    ] {
        let mut bytes = flat.clone();
        let matrix: [i32; 9] = [a, b, 0, c, d, 0, 0, 0, 1 << 30];
        bytes[at..at + 36].copy_from_slice(&matrix.map(i32::to_be_bytes).concat());
        fs::write(place.path("turned.mp4"), bytes).unwrap();
        place.ffmpeg("-i turned.mp4 -c:v ffv1 shown.mkv");
        assert_eq!(place.mean("psnr", &["shown.mkv", "turned.mp4"]), 80.0, "{a} {b} {c} {d}");
    }
}

/// y4m in every header that FFmpeg and libvmaf read, against the same samples in another container.
#[test]
fn y4m_in_its_variants() {
    let Some(place) = Place::new() else { return };
    for pixels in
        ["yuv422p", "yuv444p", "yuv411p", "yuv420p10", "yuv422p12", "yuv444p16", "gray", "gray12", "yuva444p"]
    {
        place.ffmpeg(&format!(
            "-f lavfi -i testsrc2=size=49x33:rate=30:duration=0.1 -pix_fmt {pixels} -strict -1 a.y4m"
        ));
        place.ffmpeg(&format!("-i a.y4m -pix_fmt {pixels} -c:v rawvideo a.nut"));
        assert_eq!(place.mean("psnr", &["a.y4m", "a.nut"]), 80.0, "{pixels}");
    }
    place.ffmpeg("-f lavfi -i testsrc2=size=48x32:rate=30:duration=0.1 -pix_fmt yuv420p a.y4m");
    let text = fs::read(place.path("a.y4m")).unwrap();
    let line = text.iter().position(|b| *b == b'\n').unwrap();
    for header in [
        "W48 H32 F30:1 It A1:1 C420mpeg2",
        "W48 H32 F30:1 Im A128:117 C420paldv XYSCSS=420MPEG2",
        "C420jpeg F30000:1001 Ib H32 W48",
        "W48 H32 F30:1",
    ] {
        let other = [b"YUV4MPEG2 ", header.as_bytes(), &text[line..]].concat();
        fs::write(place.path("b.y4m"), other).unwrap();
        assert_eq!(place.mean("psnr", &["a.y4m", "b.y4m"]), 80.0, "{header}");
    }
    assert!(place.notes(&["a.y4m", "a.y4m"]) == "[]");
}

/// Ten bits rounded to eight: the error is rounding's, not a dither's. From arithmetic on the samples: FFmpeg's filter on the
/// same rounding brought back to ten bits by a shift.
#[test]
fn ten_bits_against_eight() {
    let Some(place) = Place::new() else { return };
    place.ffmpeg(
        "-f lavfi -i gradients=size=96x64:rate=30:duration=0.1:c0=black:c1=orange:seed=3,format=yuv420p10le -c:v ffv1 ten.mkv",
    );
    place.ffmpeg(
        "-i ten.mkv -vf lutyuv=y=round(val/4)*4:u=round(val/4)*4:v=round(val/4)*4 -c:v ffv1 back.mkv",
    );
    place.ffmpeg("-i back.mkv -sws_dither none -pix_fmt yuv420p -c:v ffv1 eight.mkv");
    let want = place.filter("psnr", "ten.mkv", "back.mkv");
    assert!(want > 56.0 && want < 66.0, "{want}");
    assert!((place.mean("ffmpeg_psnr", &["ten.mkv", "eight.mkv"]) - want).abs() < 1e-6);
    assert!(place.mean("psnr", &["ten.mkv", "eight.mkv"]) > 50.0);
    assert!(place.notes(&["ten.mkv", "eight.mkv"]).contains("4:2:0 10 bit, SHOWN 4:2:0 8 bit"));
}

/// Tags that differ are said; ranges that differ leave FFmpeg's values out, with the reason; other formats, too.
#[test]
fn differences_of_the_files_are_said() {
    let Some(place) = Place::new() else { return };
    place.ffmpeg("-f lavfi -i testsrc2=size=64x48:rate=30:duration=0.1 -pix_fmt yuv420p plain.y4m");
    for (name, options) in [
        ("709.mkv", "-colorspace bt709 -color_range tv -c:v libx264 -qp 0"),
        ("full.mkv", "-color_range pc -c:v libx264 -qp 0"),
        ("444.mkv", "-pix_fmt yuv444p -c:v ffv1"),
        ("rgb.mkv", "-pix_fmt bgr0 -c:v ffv1"),
    ] {
        place.ffmpeg(&format!("-i plain.y4m {options} {name}"));
    }
    // Equal samples, one tag lost.
    let all = place.json(&["709.mkv", "plain.y4m", "--metrics", "psnr,ffmpeg_psnr"]);
    assert_eq!(all["mean"]["ffmpeg_psnr"], "inf");
    assert!(all["notes"].to_string().contains("REF is BT.709 limited range, SHOWN BT.601 limited range"));
    for (other, reason) in [("full.mkv", "ranges differ"), ("444.mkv", "4:4:4"), ("rgb.mkv", "RGB 8 bit")] {
        let all = place.json(&["plain.y4m", other, "--metrics", "psnr,ffmpeg_psnr,ffmpeg_ssim"]);
        assert!(all["mean"]["ffmpeg_psnr"].is_null() && all["mean"]["psnr"].is_number(), "{other}");
        assert!(
            all["missing"]["ffmpeg_psnr"].as_str().unwrap().contains(reason),
            "{other}: {}",
            all["missing"]
        );
        assert!(all["missing"]["ffmpeg_ssim"].as_str().unwrap().contains(reason), "{other}");
        assert_ne!(all["notes"].to_string(), "[]");
    }
}

/// A lossless RGB video against its own pictures; folders as people number them; all bits of 16-bit pictures.
#[test]
fn folders_of_pictures() {
    let Some(place) = Place::new() else { return };
    ["padded", "plain", "deep", "deeper", "tiff"].iter().for_each(|d| fs::create_dir(place.path(d)).unwrap());
    let source = "-f lavfi -i testsrc2=size=48x32:rate=30:duration=0.4,format=gbrp";
    place.ffmpeg(&format!("{source} padded/frame_%04d.png"));
    place.ffmpeg(&format!("{source} plain/img%d.png"));
    place.ffmpeg(&format!("{source} tiff/%d.tiff"));
    place.ffmpeg(&format!("{source} -pix_fmt bgr0 -c:v ffv1 rgb.mkv"));
    fs::copy(place.path("plain/img3.png"), place.path("plain/.img0.png")).unwrap();
    for other in ["plain", "tiff", "rgb.mkv"] {
        assert_eq!(place.mean("ffmpeg_psnr", &["padded", other]), f64::INFINITY, "{other}");
    }
    // One code of 65535 off: FFmpeg's filter says so too.
    let noise = "format=gbrp16,geq=r=r(X\\,Y):g=g(X\\,Y)";
    place.ffmpeg(&format!("{source},{noise}:b=b(X\\,Y)+1 -pix_fmt rgb48be deep/%d.png"));
    place.ffmpeg(&format!("{source},{noise}:b=b(X\\,Y) -pix_fmt rgb48be deeper/%d.png"));
    let want = place.filter("psnr", "deep/%d.png", "deeper/%d.png");
    assert!(want > 90.0 && want.is_finite(), "{want}");
    assert!((place.mean("ffmpeg_psnr", &["deep", "deeper"]) - want).abs() < 1e-6);
    // Another size among them is named.
    place.ffmpeg("-f lavfi -i testsrc2=size=32x32 -frames:v 1 plain/img5.png");
    place.refuses(&["padded", "plain"], &["img5.png is 32x32, the first picture 48x32"]);
}

/// A decoder's output comes through a pipe: y4m and other containers, and standard input.
#[test]
fn pipes_are_read_once() {
    let Some(place) = Place::new() else { return };
    place.ffmpeg("-f lavfi -i testsrc2=size=48x32:rate=30:duration=0.2 -pix_fmt yuv420p a.y4m");
    place.ffmpeg("-i a.y4m -c:v ffv1 a.mkv");
    let program = env!("CARGO_BIN_EXE_freezeframe");
    for command in [
        "compare a.y4m <(cat a.y4m)",
        "compare <(cat a.y4m) <(cat a.mkv)",
        "compare a.mkv - < a.y4m",
        "compare a.mkv /dev/stdin < a.mkv",
    ] {
        let out = place.sh(&format!("{program} {command} --metrics psnr --json"));
        assert!(out.contains("\"psnr\": 80.0"), "{command}: {out}");
    }
    place.sh("mkfifo named.y4m");
    let mut writer =
        Command::new("bash").args(["-c", "cat a.y4m > named.y4m"]).current_dir(place.root()).spawn().unwrap();
    assert_eq!(place.mean("psnr", &["a.y4m", "named.y4m"]), 80.0);
    assert!(writer.wait().unwrap().success());
}

/// Whole files that announce more pictures than they hold, or none: a screen recording, a call with a pause, a live recording.
#[test]
fn counts_and_durations_are_not_believed() {
    let Some(place) = Place::new() else { return };
    let source = "-f lavfi -i testsrc2=size=64x48:rate=30:duration=1.2 -pix_fmt yuv420p";
    for (name, options, frames) in [
        ("drops.mkv", "-vf select=lt(mod(n\\,7)\\,3) -vsync vfr -c:v libx264 -qp 0", 16..=16),
        ("pause.ts", "-vf setpts=(N+gt(N\\,15)*150)/30/TB -vsync vfr -c:v libx264 -bf 2 -qp 4", 36..=36),
        (
            "slides.webm",
            "-vf setpts=(N+gt(N\\,15)*90)/30/TB -vsync vfr -c:v libvpx -deadline realtime",
            30..=36,
        ),
        ("skips.avi", "-vf setpts=(N+gt(N\\,15)*10)/30/TB -vsync vfr -c:v ffv1", 36..=36),
    ] {
        place.ffmpeg(&format!("{source} {options} {name}"));
        let count = place.sh(&format!(
            "ffprobe -v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0 {name}"
        ));
        let count: usize = count.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        assert!(frames.contains(&count), "{name}: {count}");
        let all = place.json(&[name, name, "--metrics", "psnr"]);
        assert_eq!(all["frames"].as_array().unwrap().len(), count, "{name}");
    }
    // An edit list that cuts both ends off, by stream copy.
    place.ffmpeg(&format!("{source} -c:v libx264 -g 6 -qp 4 whole.mp4"));
    place.ffmpeg("-ss 0.5 -i whole.mp4 -t 0.4 -c copy edited.mp4");
    assert_eq!(place.compare(&["edited.mp4", "edited.mp4", "--metrics", "psnr"]).0, 0);
    // Matroska through a pipe has neither duration nor count nor size.
    place.sh(&format!("ffmpeg -v error {source} -c:v libx264 -qp 4 -f matroska - > live.mkv"));
    assert_eq!(
        place.json(&["live.mkv", "live.mkv", "--metrics", "psnr"])["frames"].as_array().unwrap().len(),
        36
    );
    // What a recorder writes into an IVF header before it knows.
    place.ffmpeg(&format!("{source} -c:v libvpx -deadline realtime live.ivf"));
    let mut ivf = fs::read(place.path("live.ivf")).unwrap();
    ivf[12..16].copy_from_slice(&[0x80, 2, 0xe0, 1]);
    for count in [0u32, 900, u32::MAX] {
        ivf[24..28].copy_from_slice(&count.to_le_bytes());
        fs::write(place.path("live.ivf"), &ivf).unwrap();
        let all = place.json(&["live.ivf", "live.ivf", "--metrics", "psnr"]);
        assert_eq!(all["frames"].as_array().unwrap().len(), 36, "{count}");
    }
    // But a file whose bytes are missing is truncated, in every container.
    for name in ["drops.mkv", "pause.ts", "slides.webm", "skips.avi", "whole.mp4", "live.ivf"] {
        let whole = fs::read(place.path(name)).unwrap();
        fs::write(place.path(&format!("cut-{name}")), &whole[..whole.len() - 5]).unwrap();
        let (code, _, said) = place.compare(&[name, &format!("cut-{name}"), "--metrics", "psnr"]);
        assert!(code == 2 && said.contains(&format!("cut-{name}")), "{name}: {code} {said}");
        assert!(["truncated", "damaged", "cut short"].iter().any(|w| said.contains(w)), "{name}: {said}");
    }
    // Sound with a cover is no video.
    place.ffmpeg("-f lavfi -i testsrc2=size=64x64 -frames:v 1 cover.png");
    place.ffmpeg(
        "-f lavfi -i sine=duration=1 -i cover.png -map 0 -map 1 -c:v png -disposition:v attached_pic -c:a aac song.m4a",
    );
    place.refuses(&["song.m4a", "song.m4a"], &["song.m4a has no video stream"]);
}

/// Codes of several units are millimetres by arithmetic; colour is refused as depth.
#[test]
fn depth_in_its_units_and_depths() {
    let Some(place) = Place::new() else { return };
    ["mm", "tum"].iter().for_each(|d| fs::create_dir(place.path(d)).unwrap());
    let ramp = |codes: &str, pixels: &str, out: &str| {
        place.ffmpeg(&format!(
            "-f lavfi -i color=black:size=64x48:rate=30:duration=0.1,format=gray16le,geq=lum={codes} -pix_fmt {pixels} {out}"
        ));
    };
    ramp("800+4*X+N", "gray16be", "mm/%d.png");
    ramp("(800+4*X+N)*5", "gray16be", "tum/%d.png");
    ramp("800+4*X+N", "gray16le", "-c:v ffv1 depth.mkv");
    let rmse = |files: &[&str]| place.mean("depth_rmse_mm", files);
    assert_eq!(rmse(&["mm", "depth.mkv"]), 0.0);
    // Both in one unit: 5000 to the metre makes 160 mm of 800.
    let as_tum = place.json(&["tum", "tum", "--metrics", "depth_rmse_mm", "--depth-unit", "5000/m"]);
    assert_eq!(as_tum["mean"]["depth_rmse_mm"], 0.0);
    let off = rmse(&["mm", "tum"]);
    assert!(off > 3000.0, "{off}");
    place.refuses(&["mm", "tum", "--depth-unit", "feet"], &["feet", "5000/m"]);
    place.refuses(&["mm", "mm", "--depth-unit", "m"], &["65.535 m", "--depth-unit"]);
    // Twelve bits hold integers too; asked for as depth they are depth.
    ramp("800+4*X+N", "gray12le", "-c:v ffv1 d12.mkv");
    assert!(place.compare(&["d12.mkv", "d12.mkv", "--metrics", "depth_rmse_mm"]).0 == 0);
    assert_eq!(place.mean("ffmpeg_psnr", &["d12.mkv", "d12.mkv"]), f64::INFINITY, "else grey pictures");
    assert_eq!(place.mean("psnr", &["depth.mkv", "depth.mkv", "--as", "pictures"]), 80.0);
    place.refuses(&["depth.mkv", "depth.mkv", "--metrics", "psnr"], &["psnr", "--as pictures"]);
}
