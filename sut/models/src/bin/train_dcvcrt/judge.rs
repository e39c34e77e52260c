//! Measures a network on held-out clips: bits and PSNR of predicted frames on a clean link and with every fifth frame lost.

use crate::pool::{Films, PRICE, key_frame, motion_tensor, pictures, reference, tensor};
use media::convert::{Colour, to_rgb, to_yuv420};
use media::{Rgb, Yuv420};
use models::dcvcrt::lite::history::History;
use models::dcvcrt::lite::network::Network;
use models::dcvcrt::lite::{distance, motion};
use tch::no_grad;

/// Frames of a measurement, the key frame among them.
const FRAMES: usize = 10;
/// Quantisers.
const QP: [u8; 2] = [21, 42];
/// Of key frames.
const KEY_QP: u8 = 27;

/// Held-out frames.
pub struct Judge {
    clips: Vec<(Vec<Yuv420>, Yuv420)>,
}

impl Judge {
    pub fn new(films: &Films) -> anyhow::Result<Self> {
        let clip = |clip: &models::train::Clip| {
            let first = clip.frames() / 3;
            let frames: Vec<Yuv420> = (first..first + FRAMES)
                .map(|i| {
                    let data = clip.frame(i).to_vec();
                    to_yuv420(&Rgb { width: clip.size, height: clip.size, data }, Colour::BT601)
                })
                .collect();
            let key = key_frame(&frames[0], KEY_QP)?;
            Ok((frames, key))
        };
        Ok(Self { clips: films.held_out().iter().map(clip).collect::<anyhow::Result<_>>()? })
    }

    /// Columns of [`measure`](Self::measure)'s text: kbit/s of predicted frames at 30 a second without vectors; PSNR of RGB in frames
    /// 1, 5 and 9; mean PSNR where every fifth frame is lost (repeated).
    pub fn header() -> String {
        QP.map(|qp| format!("kbps_{qp},first_{qp},fifth_{qp},ninth_{qp},lossy_{qp}")).join(",")
    }

    pub fn measure(&self, net: &Network) -> anyhow::Result<String> {
        let mut parts = Vec::new();
        for qp in QP {
            let (mut bits, mut at, mut lossy) = (0.0, [0.0; 3], 0.0);
            for (frames, key) in &self.clips {
                let mut sender = History::of(0, key.clone());
                let mut receiver = sender.clone();
                let mut field = None;
                for (number, frame) in frames.iter().enumerate().skip(1) {
                    let before = number as u32 - distance(number as u32, 1);
                    let (sent, seen) = (reference(&sender, before), reference(&receiver, before));
                    let found = motion::search(frame, sent, field.as_ref(), PRICE);
                    let predicted = [sent, seen].map(|r| motion::predict(r, &found));
                    let drawn = no_grad(|| {
                        let current = tensor(&[frame]);
                        let [predicted, stale] = predicted.each_ref().map(|p| tensor(&[p]));
                        let latents = net.analyse(&current, &predicted, &[qp]);
                        let coded = net.code(&latents, &motion_tensor(&[&found]), &[qp]);
                        bits += coded.bits.double_value(&[0]);
                        [predicted, stale].map(|p| pictures(&net.synthesise(&coded.latents, &p)).remove(0))
                    });
                    let [clean, stale] = drawn;
                    if let Some(i) = [1, 5, 9].iter().position(|n| *n == number) {
                        at[i] += psnr(&clean, frame);
                    }
                    sender.add(number as u32, clean);
                    if number % 5 != 2 {
                        receiver.add(number as u32, stale);
                    }
                    lossy += psnr(reference(&receiver, u32::MAX), frame);
                    field = Some(found);
                }
            }
            let clips = self.clips.len() as f64;
            let predicted = (FRAMES - 1) as f64 * clips;
            let at = at.map(|sum| format!("{:.2}", sum / clips)).join(",");
            parts.push(format!("{:.1},{at},{:.2}", bits / predicted * 30.0 / 1000.0, lossy / predicted));
        }
        Ok(parts.join(","))
    }
}

/// Of RGB.
fn psnr(a: &Yuv420, b: &Yuv420) -> f64 {
    let [a, b] = [a, b].map(|p| to_rgb(p, Colour::BT601).data);
    let sum: u64 = a.iter().zip(&b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (65025.0 * a.len() as f64 / (sum as f64).max(1.0)).log10()
}
