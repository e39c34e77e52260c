//! The networks as restorers: slot by slot and causally, what came before is remembered, the future is not known.

use crate::layers::Precision;
use crate::lossrec::clip::CONTEXT;
use crate::lossrec::costs::{self, charged};
use crate::lossrec::history::{History, Sight};
use crate::lossrec::lite::{self, Lite};
use crate::lossrec::network::Config;
use crate::lossrec::original::{self, LossRec};
use crate::weights::{WeightsError, find};
use codecs::restore::{CONTINUE, HOLD, NONE, Restorer, RestorerConfig, RestorerEntry, Slot};
use codecs::{CodecError, Setting};
use media::Yuv420;
use media::convert::Colour;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tch::Device;

/// The option that names a weight file; empty: the one that the method is shipped or published with.
pub const WEIGHTS: &str = "recovery_weights";
const SETTING: Setting = Setting { name: WEIGHTS, default: "" };

/// Everything that can stand between decoder and screen.
pub fn all() -> impl Iterator<Item = &'static RestorerEntry> {
    [&NONE, &HOLD, &CONTINUE, &LOSSREC, &LITE].into_iter()
}

/// This project's small network.
pub static LITE: RestorerEntry = RestorerEntry {
    name: "lossrec-lite",
    settings: &[SETTING, costs::LITE],
    makes_pictures: true,
    goes_on: true,
    lead: |config| charged(&config.settings, costs::LITE, (config.width, config.height)),
    open: |config| {
        if !["h264", "h265"].contains(&config.codec.as_str()) {
            let reason = format!("lossrec-lite was trained for h264 and h265, not for {}", config.codec);
            return Err(CodecError::Network(reason));
        }
        let net = Lite::load(&file(config, || lite::FILE.into())?, Device::Cpu).map_err(failed)?;
        let precision = Precision::of_this_cpu();
        net.set_precision(precision);
        Ok(Recovery::boxed(Net::Lite(Box::new(net)), precision, (LITE.lead)(config)?, config))
    },
    files: |config| Ok(vec![file(config, || lite::FILE.into())?]),
};

/// The original's network.
pub static LOSSREC: RestorerEntry = RestorerEntry {
    name: "lossrec",
    settings: &[SETTING, costs::LOSSREC],
    makes_pictures: true,
    goes_on: false,
    lead: |config| charged(&config.settings, costs::LOSSREC, (config.width, config.height)),
    open: |config| {
        let path = file(config, || original::file(&config.codec, config.depth))?;
        let net = LossRec::load(&path, Config::PUBLISHED, Device::Cpu).map_err(failed)?;
        Ok(Recovery::boxed(Net::LossRec(Box::new(net)), Precision::Fp32, (LOSSREC.lead)(config)?, config))
    },
    files: |config| Ok(vec![file(config, || original::file(&config.codec, config.depth))?]),
};

fn file(config: &RestorerConfig, usual: impl FnOnce() -> String) -> Result<PathBuf, CodecError> {
    match config.settings.get(WEIGHTS).filter(|path| !path.is_empty()) {
        Some(path) => Ok(path.into()),
        None => find(&usual()).map_err(failed),
    }
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn failed(error: WeightsError) -> CodecError {
    CodecError::Network(error.to_string())
}

enum Net {
    LossRec(Box<LossRec>),
    Lite(Box<Lite>),
}

/// Recovers one stream with a network.
struct Recovery {
    net: Net,
    precision: Precision,
    cost: Duration,
    history: History,
    /// What it gave last.
    screen: Option<Yuv420>,
}

impl Recovery {
    fn boxed(net: Net, precision: Precision, cost: Duration, config: &RestorerConfig) -> Box<dyn Restorer> {
        let history = History::new(config.codec == "h265", config.depth);
        Box::new(Self { net, precision, cost, history, screen: None })
    }

    /// The picture of a damaged slot.
    fn drawn(&self, frame: u32) -> Option<Yuv420> {
        let Some(sight) = self.history.sight(frame) else { return self.history.shown().cloned() };
        let _one = OneThread::begin();
        Some(self.draw(sight))
    }

    fn draw(&self, sight: Sight) -> Yuv420 {
        match &self.net {
            Net::Lite(net) => net.restore(&sight.pictures, sight.situation),
            Net::LossRec(net) => {
                let good: Vec<&Yuv420> = self.history.good().rev().collect();
                match <[&Yuv420; CONTEXT]>::try_from(good) {
                    // A decoder does not say its matrix; back and forth with another one, only what the network sees is a little off.
                    Ok([a, b, c, d, e]) => net.restore([a, b, c, d, e, sight.pictures.shown], Colour::BT601),
                    // Fewer than five good pictures: the original leaves the frame as it is.
                    Err(_) => sight.pictures.shown.clone(),
                }
            }
        }
    }
}

/// While it lives, libtorch works on one thread, whatever else this process does: the number of threads shows in the last bits. Streams
/// may be recovered side by side.
struct OneThread;

/// How many of them there are, and the number of threads before the first.
static ONE_THREAD: Mutex<(usize, i32)> = Mutex::new((0, 0));

impl OneThread {
    fn begin() -> Self {
        let mut state = ONE_THREAD.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 == 0 {
            state.1 = tch::get_num_threads();
        }
        state.0 += 1;
        tch::set_num_threads(1); // counts for this thread alone
        Self
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        let mut state = ONE_THREAD.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 -= 1;
        if state.0 == 0 {
            tch::set_num_threads(state.1);
        }
    }
}

impl Restorer for Recovery {
    fn restore(&mut self, slot: &Slot, picture: Option<Yuv420>) -> Result<Option<Yuv420>, CodecError> {
        let drawn = match picture {
            Some(picture) => {
                self.history.decoded(slot.frame, &picture, slot.exact);
                if slot.exact { Some(picture) } else { self.drawn(slot.frame) }
            }
            // What is on the screen already is no recovered picture: the slot is a frozen one.
            None => self.drawn(slot.frame).filter(|drawn| self.screen.as_ref() != Some(drawn)),
        };
        if drawn.is_some() {
            self.screen.clone_from(&drawn);
        }
        Ok(drawn)
    }

    fn cost(&self, slot: &Slot) -> Duration {
        if slot.exact { Duration::ZERO } else { self.cost }
    }

    fn made_by(&self) -> String {
        self.precision.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights;
    use codecs::restore::Arrival;

    fn picture(luma: u8) -> Yuv420 {
        Yuv420::filled(32, 32, (luma, 128, 128))
    }

    fn config(codec: &str, weights: &str) -> RestorerConfig {
        let settings = codecs::Settings::from([(WEIGHTS.to_owned(), weights.to_owned())]);
        RestorerConfig { codec: codec.into(), depth: false, width: 32, height: 32, settings }
    }

    /// Untrained, the network gives the mean of its sources: of shown, last good, the one before. What is on the screen is not given again
    /// for a frame of which nothing came.
    #[test]
    fn exact_frames_pass_and_all_others_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let net = Lite::new(Device::Cpu);
        let about = [("model", lite::MODEL), ("gate", &lite::Gate::default().text() as &str)];
        weights::write(&path, &net.store().variables().into_iter().collect(), &about, false).unwrap();
        let mut restorer = (LITE.open)(&config("h264", &path.to_string_lossy())).unwrap();
        // 32x32 of 512x512 pixels.
        let cost = Duration::from_micros(costs::TABLE[0].frame_us / 256);
        let slots = [
            (None, false),
            (Some(5), false),
            (Some(10), true),
            (Some(40), true),
            (Some(70), false),
            (None, false),
            (Some(9), true),
        ];
        let mut drawn = Vec::new();
        for (frame, (luma, exact)) in slots.into_iter().enumerate() {
            let arrival = if luma.is_some() { Arrival::Whole } else { Arrival::Nothing };
            let slot = Slot { frame: frame as u32, key: false, arrival, exact };
            let shown = restorer.restore(&slot, luma.map(picture)).unwrap();
            drawn.push(shown.map(|p| p.y[0]));
            assert_eq!(restorer.cost(&slot), if exact { Duration::ZERO } else { cost });
        }
        assert_eq!(drawn, [None, Some(5), Some(10), Some(40), Some(40), None, Some(9)]);
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let error = |entry: &RestorerEntry, config| (entry.open)(&config).err().unwrap().to_string();
        assert!(error(&LITE, config("dcvcrt", "")).contains("not for dcvcrt"));
        let absent = error(&LOSSREC, config("h265", "/nowhere/x.pth"));
        assert!(absent.contains("/nowhere/x.pth"), "{absent}");
    }
}
