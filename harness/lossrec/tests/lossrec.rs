//! Masks and the offline evaluation of LossRec against the original's own outputs (`FREEZEFRAME_VECTORS`, folder `lossrec`), and
//! `freezeframe lossrec` on a run.

#[path = "../../../sut/models/tests/formula/mod.rs"]
mod formula;

use formula::{damaged, frame, hex};
use lossrec::evaluate::{Evaluation, Pictures, Video};
use lossrec::{masks, npy};
use media::Rgb;
use models::lossrec::clip;
use models::lossrec::network::{Config, Half, Network};
use models::lossrec::original::LossRec;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor, no_grad};

fn folder() -> Option<PathBuf> {
    Some(testing::folder("vectors")?.join("lossrec"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a vector")).expect("vectors are JSON")
}

fn integers(list: &Value) -> Vec<i64> {
    list.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

#[test]
fn masks_of_logs_are_the_originals_files() {
    let Some(folder) = folder() else { return };
    let folder = folder.join("masks");
    let out = tempfile::tempdir().unwrap();
    for (name, case) in json(&folder.join("masks.json")).as_object().unwrap() {
        let written = masks::of_log(&folder.join(case["log"].as_str().unwrap()), out.path(), 30).unwrap();
        assert_eq!(written.path.file_name().unwrap().to_str(), case["npy_name"].as_str(), "{name}");
        let mask = npy::read(&written.path).unwrap();
        assert_eq!(mask, integers(&case["mask"]), "{name}");
        let bytes = std::fs::read(&written.path).unwrap();
        let head: String = bytes[..128].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(head, case["npy_header_hex"].as_str().unwrap(), "{name}");
        assert_eq!(hex(&bytes), case["npy_sha256"].as_str().unwrap(), "{name}");
        for (value, count) in case["counts"].as_object().unwrap() {
            assert_eq!(written.counts[value.parse::<usize>().unwrap()] as u64, *count, "{name}");
        }
    }
}

/// Pictures in memory.
struct Made(std::vec::IntoIter<Rgb>);

impl Pictures for Made {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn next(&mut self) -> anyhow::Result<Rgb> {
        self.0.next().ok_or_else(|| anyhow::anyhow!("no more pictures"))
    }
}

impl Made {
    fn new(pictures: Vec<Vec<u8>>, side: usize) -> Box<Self> {
        let all: Vec<Rgb> =
            pictures.into_iter().map(|data| Rgb { width: side, height: side, data }).collect();
        Box::new(Self(all.into_iter()))
    }
}

fn model(case: &Value) -> LossRec {
    tch::set_num_threads(1);
    let number = |key: &str| case["config"][key].as_i64().unwrap();
    let half = |width, depth, heads| Half {
        width: number(width),
        depth: number(depth) as usize,
        heads: number(heads),
    };
    let config = Config {
        image: number("img"),
        patch: number("patch"),
        encoder: half("ed", "en", "eh"),
        decoder: half("dd", "dn", "dh"),
    };
    let network = Network::new(config, Device::Cpu);
    no_grad(|| {
        for (key, mut variable) in network.store().variables() {
            let shape = variable.size();
            let values = formula::lossrec(&key, &shape, case["weights_seed"].as_u64().unwrap());
            variable.copy_(&Tensor::from_slice(&values).view(shape.as_slice()));
        }
    });
    LossRec::of(network)
}

/// Texts agree but for numbers with decimals, which may differ by one in the fourth decimal (PSNR of two decimals likewise).
fn alike(what: &str, ours: &str, wanted: &str) {
    let words = |text: &str| -> Vec<String> { text.split([',', ' ', '\n']).map(str::to_owned).collect() };
    let (ours, wanted) = (words(ours), words(wanted));
    assert_eq!(ours.len(), wanted.len(), "{what}: {ours:?}\n{wanted:?}");
    for (a, b) in ours.iter().zip(&wanted) {
        let (a, b) = (a.trim_end_matches('\r'), b.trim_end_matches('\r'));
        if let (Some((_, decimals)), Ok(x), Ok(y)) = (b.split_once('.'), a.parse::<f64>(), b.parse::<f64>()) {
            let step = 10f64.powi(-(decimals.len() as i32));
            assert!(a.len() == b.len() && (x - y).abs() < 1.5 * step, "{what}: {a} instead of {b}");
        } else {
            assert_eq!(a, b, "{what}");
        }
    }
}

#[test]
fn the_evaluation_prints_and_writes_what_the_original_does() {
    let Some(folder) = folder() else { return };
    let mut examples: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    examples.retain(|e| e.join("example.json").is_file());
    examples.sort();
    assert!(!examples.is_empty(), "no example in {}", folder.display());
    for example in examples {
        evaluate(&example);
    }
}

fn evaluate(example: &Path) {
    let name = example.file_name().unwrap().to_string_lossy().into_owned();
    let case = json(&example.join("example.json"));
    let model = model(&case);
    let side = model.network().config().image as usize;
    let seed = case["frame_seed"].as_u64().unwrap();
    let out = tempfile::tempdir().unwrap();

    let written = masks::of_log(&example.join("vid.log"), out.path(), 30).unwrap();
    let mask = npy::read(&written.path).unwrap();
    assert_eq!(mask, integers(&case["mask"]), "{name}");
    let selection = clip::select(&mask);
    let clips: Vec<Vec<i64>> = case["clips"].as_array().unwrap().iter().map(integers).collect();
    let ours: Vec<Vec<i64>> = selection.clips.iter().map(|c| c.map(|i| i as i64).to_vec()).collect();
    assert_eq!(ours, clips, "{name}");
    let without: Vec<i64> = selection.without_history.iter().map(|&i| i as i64).collect();
    assert_eq!(without, integers(&case["targets_without_history"]), "{name}");

    let count = case["frames"].as_i64().unwrap();
    let clean: Vec<Vec<u8>> = (0..count).map(|t| frame(side, side, t, seed)).collect();
    let mut received: Vec<Vec<u8>> = Vec::new();
    for (t, clean) in clean.iter().enumerate() {
        let picture = match mask.get(t).copied().unwrap_or_default() {
            0 => clean.clone(),
            1 => damaged(side, side, t as i64, seed, &received[t - 1]),
            _ => received[t - 1].clone(),
        };
        assert_eq!(hex(&picture), case["received_sha256"][t].as_str().unwrap(), "{name}: received frame {t}");
        received.push(picture);
    }

    let mut printed = String::new();
    let mut say = |line: &str| printed += &format!("{line}\n");
    let video = Video {
        name: "vid".into(),
        mask,
        clean: Made::new(clean, side),
        received: Made::new(received, side),
    };
    let mut evaluation = Evaluation { model: &model, save: out.path(), triplets: false, say: &mut say };
    let (psnr, ms_ssim) = evaluation.run(vec![("vid".into(), Ok(video))]).unwrap();
    let returned = &case["returned"];
    assert!((psnr - returned[0].as_f64().unwrap()).abs() <= 2e-4, "{name}: {psnr}");
    assert!((ms_ssim - returned[1].as_f64().unwrap()).abs() <= 2e-5, "{name}: {ms_ssim}");
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    alike(&name, &printed, &text(&example.join("printed.txt")));
    for (ours, given) in
        [("summary_metrics.csv", "summary_metrics.csv"), ("csv_logs/vid_metrics.csv", "vid_metrics.csv")]
    {
        let (ours, given) = (text(&out.path().join(ours)), text(&example.join(given)));
        assert_eq!(ours.matches("\r\n").count(), given.matches("\r\n").count(), "{name}: line ends");
        alike(&name, &ours, &given);
    }
    let final_pictures = out.path().join("vid/final");
    let saved = std::fs::read_dir(&final_pictures).unwrap().count();
    assert_eq!(saved, case["final_png_u8_sha256"].as_object().unwrap().len(), "{name}: pictures");
    for file in case["final_png_u8_sha256"].as_object().unwrap().keys() {
        let ours = media::still::read_rgb(&final_pictures.join(file)).unwrap();
        let given = example.join(file);
        if !given.is_file() {
            continue; // only some are among the vectors
        }
        let wanted = media::still::read_rgb(&given).unwrap();
        let off = ours.data.iter().zip(&wanted.data).filter(|(a, b)| a != b).count();
        let most = ours.data.iter().zip(&wanted.data).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off * 2000 <= ours.data.len() && most <= Some(1), "{name} {file}: {off} bytes, {most:?}");
    }
}

/// A folder with a clip, a cache and runs of its own.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let (side, frames) = (192, 45);
        let header = media::y4m::Header::new(side, side, (30, 1));
        let file = std::fs::File::create(place.path("a.y4m")).unwrap();
        let mut writer = media::y4m::Writer::new(std::io::BufWriter::new(file), header).unwrap();
        for t in 0..frames {
            let data = frame(side, side, t, 3);
            let picture =
                media::convert::to_yuv420(&Rgb { width: side, height: side, data }, Default::default());
            writer.write(&picture).unwrap();
        }
        writer.finish().unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the tool; gives its exit code and what it said.
    fn tool(&self, arguments: &[&str]) -> (i32, String, String) {
        // The tool starts the program that these tests are built with.
        let tool = Path::new(env!("CARGO_BIN_EXE_freezeframe-lossrec")).with_file_name("freezeframe");
        let mut command = std::process::Command::new(tool);
        command.args(arguments).current_dir(self.0.path()).env("XDG_CACHE_HOME", self.path("cache"));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    fn run(&self, out: &str) -> Value {
        let (code, _, error) = self.tool(&[
            "run",
            "ge-high",
            "--system",
            "revo-h265",
            "--clip",
            "a.y4m",
            "--size",
            "192x192",
            "--seed",
            "4",
            "--no-video",
            "--metrics",
            "psnr",
            "--out",
            out,
        ]);
        assert_eq!(code, 0, "{error}");
        json(&self.path(out).join("scores.json"))
    }
}

/// One session with losses, by every subcommand.
#[test]
fn a_run_gives_masks_samples_and_gains() {
    let place = Place::new();
    let plain = place.run("plain");
    assert_eq!(plain["health"]["valid"], true, "{}", plain["health"]);
    let exact = |scores: &Value| scores["streams"]["rgb"]["rendered"].as_u64().unwrap();
    assert!(exact(&plain) < 45, "the path lost nothing, which tests nothing");

    let (code, out, error) = place.tool(&["lossrec", "masks", "plain", "--into", "masks"]);
    assert_eq!((code, out.lines().count()), (0, 3), "{out}{error}");
    let mask = npy::read(&place.path("masks/plain_rgb_frame_mask.npy")).unwrap();
    assert_eq!(mask.len(), 45);
    assert!(mask.iter().any(|&m| m > 0) && mask.contains(&0), "{mask:?}");
    assert_eq!(npy::read(&place.path("masks/plain_rgb_frozen_mask.npy")).unwrap().len(), 45);

    let (code, out, error) = place.tool(&["lossrec", "samples", "plain", "--out", "samples", "--side", "96"]);
    assert_eq!(code, 0, "{error}");
    let samples = models::lossrec::samples::Samples::open(&place.path("samples")).unwrap();
    assert_eq!(out, format!("{} samples in samples\n", samples.len()));
    assert!(samples.read(0).unwrap().0.situation.h265);

    let (code, out, error) = place.tool(&["lossrec", "gain", "plain", "--frames", "frames.csv"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.lines().any(|l| l.starts_with("h265   rgb     ge-high   all")), "{out}");
    assert!(out.contains("lossrec-lite - hold") && out.contains("of one core per damaged frame"), "{out}");

    // The overview is of the frames: the median of their SSIM, and the slots that the run itself counts as frozen.
    let text = std::fs::read_to_string(place.path("frames.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|of| *of == name).unwrap();
    let mut values: Vec<f64> =
        rows[1..].iter().map(|row| row[column("none_ssim")].parse().unwrap()).collect();
    values.sort_by(f64::total_cmp);
    let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
    let overview = out.split("damaged slots").nth(1).unwrap();
    let words = |what: &str| {
        let line = overview.lines().find(|line| line.contains(what)).unwrap();
        line.split(what).nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert!((words("median SSIM").parse::<f64>().unwrap() - median).abs() < 0.001, "{median}: {out}");
    let frozen = rows[1..].iter().filter(|row| row[column("damage")] == "frozen").count();
    assert_eq!(plain["streams"]["rgb"]["frozen"], frozen);
    assert_eq!(words("  frozen"), frozen.to_string(), "{out}");

    for (arguments, said) in [
        (["lossrec", "gain", "plain", "--methods", "magic"], "there are: none, hold"),
        (["lossrec", "gain", "plain", "--methods", "lossrec"], "h265_rgb.pth"),
        (["lossrec", "gain", "nowhere", "--stream", "rgb"], "nowhere"),
    ] {
        let (code, _, error) = place.tool(&arguments);
        assert!(code != 0 && error.contains(said), "{arguments:?}: {code} {error}");
    }
}
