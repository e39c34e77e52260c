//! The original's offline evaluation of LossRec (`src/lossrec/{rgb,depth}/test_*_stage2.py` in umassos/ReVo @ 16027a7): the same frames,
//! lines, files and numbers.

use super::npy;
use anyhow::{Context as _, ensure};
use media::Rgb;
use media::convert::to_rgb;
use models::lossrec::clip::{self, CONTEXT, Selection, select};
use models::lossrec::original::LossRec;
use models::lossrec::quality;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tch::Tensor;
use video::{Reader, Target};

/// The pictures of a video, one after the other.
pub trait Pictures {
    /// How many there are.
    fn count(&self) -> usize;
    /// The next one.
    ///
    /// # Errors
    /// When it cannot be decoded, or there is none.
    fn next(&mut self) -> anyhow::Result<Rgb>;
}

/// A video file.
pub struct File {
    reader: Reader,
    path: PathBuf,
    count: usize,
}

impl File {
    /// Opens a file and counts its pictures.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let open = || Reader::open(path, &Target::default());
        let (mut counter, mut count) = (open()?, 0);
        while counter.skip_frame()? {
            count += 1;
        }
        Ok(Self { reader: open()?, path: path.into(), count })
    }
}

impl Pictures for File {
    fn count(&self) -> usize {
        self.count
    }

    fn next(&mut self) -> anyhow::Result<Rgb> {
        let picture = self.reader.next_frame()?;
        let picture = picture.with_context(|| format!("{} has no more pictures", self.path.display()))?;
        Ok(to_rgb(&picture, self.reader.colour()))
    }
}

/// A video to evaluate.
pub struct Video {
    /// Its name in the reports.
    pub name: String,
    /// Which frames are damaged.
    pub mask: Vec<i64>,
    /// What was captured.
    pub clean: Box<dyn Pictures>,
    /// What was received.
    pub received: Box<dyn Pictures>,
}

impl Video {
    /// The mask as far as all three reach.
    fn mask(&self) -> &[i64] {
        &self.mask[..self.mask.len().min(self.clean.count()).min(self.received.count())]
    }
}

/// The three folders.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Captured videos, `.mp4` or `.avi`.
    pub clean: PathBuf,
    /// Received videos of the same names.
    pub received: PathBuf,
    /// `<stem>_frame_mask.npy` of each, where `_vis` in the stem is left out.
    pub masks: PathBuf,
}

/// A measured frame.
struct Measured {
    frame: usize,
    psnr: f64,
    ms_ssim: f64,
}

/// What goes where.
pub struct Evaluation<'a> {
    /// The network.
    pub model: &'a LossRec,
    /// Folder of all that is written.
    pub save: &'a Path,
    /// Captured, damaged and recovered pictures beside each other, too.
    pub triplets: bool,
    /// Gets the lines that the original prints.
    pub say: &'a mut dyn FnMut(&str),
}

/// Looks for the videos of three folders, in the order of their names.
///
/// # Errors
/// When the folder of captured videos cannot be read.
pub fn find(folders: &Folders) -> anyhow::Result<Vec<(String, anyhow::Result<Video>)>> {
    let entries = std::fs::read_dir(&folders.clean);
    let entries = entries.with_context(|| format!("failed to read the folder {}", folders.clean.display()));
    let entries = entries.map_err(|e| freezeframe::BadInput(contract::said(&*e)))?;
    let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| name.ends_with(".mp4") || name.ends_with(".avi"));
    names.sort();
    let open = |name: &String| {
        let stem = name[..name.len() - 4].to_owned();
        let mask = folders.masks.join(format!("{}_frame_mask.npy", stem.replace("_vis", "")));
        let open = || -> anyhow::Result<Video> {
            for path in [&folders.received.join(name), &mask] {
                ensure!(path.exists(), "missing file: {}", path.display());
            }
            Ok(Video {
                name: stem.clone(),
                mask: npy::read(&mask)?,
                clean: Box::new(File::open(&folders.clean.join(name))?),
                received: Box::new(File::open(&folders.received.join(name))?),
            })
        };
        (stem.clone(), open())
    };
    Ok(names.iter().map(open).collect())
}

impl Evaluation<'_> {
    /// Recovers every damaged frame with enough history, measures and saves it, and writes the reports. Gives the means of the
    /// videos' means: PSNR and MS-SSIM; 0 without any.
    ///
    /// # Errors
    /// When a video turns out damaged midway or a file cannot be written.
    pub fn run(&mut self, videos: Vec<(String, anyhow::Result<Video>)>) -> anyhow::Result<(f64, f64)> {
        let chosen = self.choose(videos);
        let clips: usize = chosen.iter().map(|(_, selection)| selection.clips.len()).sum();
        self.line(&format!("Running inference on {clips} clips..."));
        let mut results: BTreeMap<String, Vec<Measured>> = BTreeMap::new();
        let mut number = 0;
        for (video, selection) in chosen {
            let name = video.name.clone();
            let measured = self.video(video, &selection, (&mut number, clips))?;
            results.entry(name).or_default().extend(measured);
        }
        self.line("\nWriting CSV reports...");
        self.reports(&results)
    }

    fn line(&mut self, text: &str) {
        (self.say)(text);
    }

    fn choose(&mut self, videos: Vec<(String, anyhow::Result<Video>)>) -> Vec<(Video, Selection)> {
        self.line("Scanning videos to build clip index...");
        let scanned = videos.len();
        let (mut chosen, mut skipped, mut damaged) = (Vec::new(), Vec::new(), 0);
        for (name, video) in videos {
            match video {
                Err(error) => skipped.push(format!("{name} ({})", contract::said(&*error))),
                Ok(video) => {
                    let selection = select(video.mask());
                    damaged += video.mask().iter().filter(|&&m| m != 0).count();
                    if selection.clips.is_empty() {
                        skipped.push(format!("{name} (0 clips: not enough clean history)"));
                    } else {
                        chosen.push((video, selection));
                    }
                }
            }
        }
        let clips: usize = chosen.iter().map(|(_, s)| s.clips.len()).sum();
        let rule = "=".repeat(50);
        self.line(&format!("\n{rule}"));
        let counts = [
            ("Videos scanned:", scanned),
            ("Videos loaded:", chosen.len()),
            ("Videos skipped:", skipped.len()),
            ("Corrupted frames (trimmed):", damaged),
            ("Clips created:", clips),
            ("Frames dropped (no history):", damaged - clips),
        ];
        for (what, count) in counts {
            self.line(&format!("{what:<28} {count}"));
        }
        if !skipped.is_empty() {
            self.line("Skipped:");
            for name in &skipped {
                self.line(&format!("  - {name}"));
            }
        }
        self.line(&rule);
        chosen
    }

    /// Both videos are read once: good pictures are kept as long as they can be context.
    fn video(
        &mut self,
        mut video: Video,
        selection: &Selection,
        (number, clips): (&mut usize, usize),
    ) -> anyhow::Result<Vec<Measured>> {
        let side = self.model.network().config().image;
        let mask = video.mask().to_owned();
        let targets: BTreeMap<usize, &[usize; CONTEXT + 1]> =
            selection.clips.iter().map(|c| (c[CONTEXT], c)).collect();
        let last = targets.last_key_value().map_or(0, |(&frame, _)| frame);
        let mut context: VecDeque<(usize, Tensor)> = VecDeque::new();
        let mut measured = Vec::new();
        for (frame, &damage) in mask.iter().enumerate().take(last + 1) {
            let (captured, received) = (video.clean.next()?, video.received.next()?);
            let input = clip::input(&received, side);
            if damage == 0 {
                context.push_back((frame, input));
                if context.len() > CONTEXT {
                    context.pop_front();
                }
                continue;
            }
            let Some(wanted) = targets.get(&frame) else { continue };
            debug_assert!(context.iter().map(|c| c.0).eq(wanted[..CONTEXT].iter().copied()));
            let inputs: Vec<Tensor> =
                context.iter().map(|c| &c.1).chain([&input]).map(Tensor::shallow_clone).collect();
            let recovered = self.model.recover(&inputs);
            let truth = clip::input(&captured, side);
            let (found, wanted) = (recovered.unsqueeze(0), truth.unsqueeze(0));
            let (psnr, ms_ssim) = (quality::psnr(&found, &wanted), quality::ms_ssim(&found, &wanted));
            self.line(&format!(
                "[{number}/{clips}] {} frame {frame} | PSNR {psnr:.2} dB  SSIM {ms_ssim:.4}",
                video.name
            ));
            *number += 1;
            let mut pictures = vec![("final", &recovered)];
            if self.triplets {
                pictures.extend([("orig", &truth), ("corrupted", &input), ("recon", &recovered)]);
            }
            for (folder, picture) in pictures {
                let folder = self.save.join(&video.name).join(folder);
                make(&folder)?;
                media::still::write_rgb(
                    &folder.join(format!("frame_{frame:04}.png")),
                    &clip::saved(picture),
                )?;
            }
            measured.push(Measured { frame, psnr, ms_ssim });
        }
        Ok(measured)
    }

    fn reports(&mut self, results: &BTreeMap<String, Vec<Measured>>) -> anyhow::Result<(f64, f64)> {
        let folder = self.save.join("csv_logs");
        make(&folder)?;
        let mut summary = String::from("Video Name,Average PSNR,Average SSIM,Frame Count\r\n");
        let mut means = (0.0, 0.0);
        for (name, frames) in results {
            let mut text = String::from("Frame Index,PSNR,SSIM\r\n");
            let mut sums = (0.0, 0.0);
            for Measured { frame, psnr, ms_ssim } in frames {
                writeln!(text, "{frame},{psnr:.4},{ms_ssim:.4}\r")?;
                sums = (sums.0 + psnr, sums.1 + ms_ssim);
            }
            write(&folder.join(format!("{name}_metrics.csv")), &text)?;
            let n = frames.len() as f64;
            let (psnr, ms_ssim) = (sums.0 / n, sums.1 / n);
            writeln!(summary, "{},{psnr:.4},{ms_ssim:.4},{}\r", quoted(name), frames.len())?;
            means = (means.0 + psnr, means.1 + ms_ssim);
        }
        let count = results.len();
        if count > 0 {
            means = (means.0 / count as f64, means.1 / count as f64);
            writeln!(summary, "\r\nGLOBAL AVERAGE,{:.4},{:.4},{count}\r", means.0, means.1)?;
            self.line(&format!("Global Average PSNR: {:.4} dB", means.0));
            self.line(&format!("Global Average SSIM: {:.4}", means.1));
        }
        write(&self.save.join("summary_metrics.csv"), &summary)?;
        Ok(means)
    }
}

/// A field as Python's `csv` writes it.
pub(crate) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn make(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    freezeframe::output::put(path, text)
}
