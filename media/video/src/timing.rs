//! When a file's pictures are shown, by the time stamps of all its packets.

use crate::{Error, open};
use ff::{Packet, ffi};
use ffmpeg as ff;
use std::path::Path;

/// Longest time that one picture is believed to stay on the screen, seconds: beyond it a time stamp is taken to be broken.
const LONGEST: i64 = 3600;

/// A stream's time stamps.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// In ascending order, in the stream's time base.
    times: Vec<i64>,
    /// How long the last picture stays.
    pub last: Option<i64>,
    /// Where time begins: the first picture of the colour stream, for a depth stream beside it.
    pub origin: Option<i64>,
}

impl Timing {
    /// Reads every packet's times without decoding any. `clock` is the stream that time is counted from.
    pub fn of(path: &Path, stream: usize, clock: usize) -> Result<Self, Error> {
        let name = open::readable(path)?;
        let failed = |source| Error::NotVideo { path: path.into(), source };
        let mut input = open::file(name).map_err(failed)?;
        let mut this = Self::default();
        let mut began: Option<i64> = None;
        let mut stamps: Vec<(i64, i64)> = Vec::new();
        let mut packet = Packet::empty();
        // Damage is the decoder's to report.
        while packet.read(&mut input).is_ok() {
            // SAFETY: the packet is valid.
            let discarded = unsafe { (*raw(&packet)).flags } & ffi::AV_PKT_FLAG_DISCARD != 0;
            let Some(time) = packet.pts().or_else(|| packet.dts()).filter(|_| !discarded) else { continue };
            if packet.stream() == clock {
                began = Some(began.map_or(time, |b| b.min(time)));
            }
            if packet.stream() == stream {
                stamps.push((time, packet.duration()));
            }
        }
        stamps.sort_unstable();
        stamps.dedup_by_key(|(time, _)| *time);
        let base = |index: usize| input.stream(index).map(|s| s.time_base());
        if clock != stream
            && let (Some(began), Some(from), Some(to)) = (began, base(clock), base(stream))
        {
            // SAFETY: computes from its arguments alone.
            this.origin = Some(unsafe { ffi::av_rescale_q(began, from.into(), to.into()) });
        }
        this.times = stamps.iter().map(|(time, _)| *time).collect();
        this.last = stamps.last().map(|(_, duration)| *duration).filter(|d| *d > 0).or_else(|| this.usual());
        Ok(this)
    }

    /// The commonest gap between pictures.
    fn usual(&self) -> Option<i64> {
        let mut gaps: Vec<i64> = self.times.windows(2).map(|w| w[1] - w[0]).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }

    /// Whether every picture lies within half a picture's time of an even row, either the one of the nominal rate or the one that
    /// the first and the last picture span; and then the time between two, as a fraction in ticks.
    pub fn even(&self, nominal: (i128, i128)) -> Option<(i128, i128)> {
        let (Some(first), Some(last)) = (self.times.first(), self.times.last()) else { return Some(nominal) };
        let count = self.times.len() as i128 - 1;
        let own = (i128::from(last - first), count.max(1));
        let on = |(n, d): (i128, i128)| {
            let off = |(k, t): (usize, &i64)| (i128::from(t - first) * d - k as i128 * n).abs() * 2 < n;
            n > 0 && self.times.iter().enumerate().all(off)
        };
        [nominal, own].into_iter().find(|step| on(*step))
    }

    /// The first picture that stays longer than is believed, and for how many seconds; `per_second` ticks make one.
    pub fn gap(&self, per_second: (i64, i64)) -> Option<(u64, i64)> {
        let seconds =
            |ticks: i64| i128::from(ticks) * i128::from(per_second.1) / i128::from(per_second.0.max(1));
        let gaps = self.times.windows(2).map(|w| seconds(w[1].saturating_sub(w[0])));
        let (at, longest) = gaps.enumerate().find(|(_, s)| *s > i128::from(LONGEST))?;
        Some((at as u64, longest as i64))
    }
}

fn raw(packet: &Packet) -> *const ffi::AVPacket {
    use ff::packet::Ref;
    packet.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(times: &[i64], nominal: (i128, i128)) -> Option<(i128, i128)> {
        Timing { times: times.into(), ..Timing::default() }.even(nominal)
    }

    #[test]
    fn rounded_stamps_are_even_and_pauses_are_not() {
        // 30 per second in milliseconds
        let third = (100, 3);
        let rounded: Vec<i64> = (0..300).map(|k| (k * 100 + 1) / 3).collect();
        assert_eq!(even(&rounded, third), Some(third));
        // 24 per second under a nominal 30
        let film: Vec<i64> = (0..240).map(|k| k * 125 / 3).collect();
        let (n, d) = even(&film, third).unwrap();
        assert!((n as f64 / d as f64 - 125.0 / 3.0).abs() < 0.01);
        // a pause, dropped pictures, and 15 then 60 per second
        let pause: Vec<i64> = (0..60).map(|k| k * 33 + if k > 30 { 5000 } else { 0 }).collect();
        let drops: Vec<i64> = (0..54).filter(|k| k % 7 < 3).map(|k| k * 100 / 3).collect();
        let mixed: Vec<i64> = (0..60).map(|k| if k < 20 { k * 67 } else { 1340 + (k - 20) * 17 }).collect();
        assert!([pause, drops, mixed].iter().all(|t| even(t, third).is_none()));
        assert_eq!(even(&[], third), Some(third));
    }

    #[test]
    fn a_gap_of_more_than_an_hour_is_named() {
        let timing = Timing { times: vec![0, 33, 3_700_033], ..Timing::default() };
        assert_eq!(timing.gap((1000, 1)), Some((1, 3700)));
        assert_eq!(Timing { times: vec![0, 33, 60_000], ..Timing::default() }.gap((1000, 1)), None);
    }
}
