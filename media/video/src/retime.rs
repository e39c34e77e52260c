//! From a stream's own times to evenly spaced ones.
//!
//! | the source's time stamps | pictures |
//! |---|---|
//! | even, at a rate within 1 % of the wanted one (29.97 for 30) | every one, 1:1 |
//! | otherwise, [`Retime::Nearest`] | slot k shows the picture that is on the screen at k / fps: the last whose time, rounded to a slot, has come |
//! | otherwise, [`Retime::EveryPicture`] | every one, 1:1: the clip plays faster or slower |
//!
//! Slots go on until the last picture's end. Nothing is blended.

use crate::Error;

/// What to do with a clip of another frame rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retime {
    /// Keep the clip's speed: drop or repeat pictures.
    #[default]
    Nearest,
    /// Keep every picture: play it at the wanted rate.
    EveryPicture,
}

/// Are the rates equal to within 1 %?
pub(crate) fn same_rate(a: (u32, u32), b: (u32, u32)) -> bool {
    let (a, b) = (u64::from(a.0) * u64::from(b.1), u64::from(b.0) * u64::from(a.1));
    a.abs_diff(b) * 100 <= a.min(b)
}

/// Is a step between pictures, a fraction of ticks of which `per_second` make a second, that of a rate to within 1 %?
pub(crate) fn same_step(step: (i128, i128), per_second: (i64, i64), fps: (u32, u32)) -> bool {
    // step.0 / step.1 ticks against per_second.0 / per_second.1 * fps.1 / fps.0
    let a = step.0 * i128::from(per_second.1) * i128::from(fps.0);
    let b = step.1 * i128::from(per_second.0) * i128::from(fps.1);
    (a - b).abs() * 100 <= a.min(b)
}

/// Picks pictures for slots by time. `T` is a picture.
pub(crate) struct Retimer<T> {
    /// Units of time per second, as a fraction.
    per_second: (i128, i128),
    fps: (i128, i128),
    duration: i64,
    slot: i128,
    start: Option<i64>,
    current: Option<(i64, T)>,
    next: Option<(i64, T)>,
    started: bool,
}

impl<T> Retimer<T> {
    /// `per_second` and `fps` as fractions; `duration` of the last picture in time units; slot 0 is at `start`, or where the first
    /// picture is.
    pub fn new(per_second: (i64, i64), fps: (u32, u32), duration: i64, start: Option<i64>) -> Self {
        Self {
            per_second: (per_second.0.into(), per_second.1.into()),
            fps: (fps.0.into(), fps.1.into()),
            duration,
            slot: 0,
            start,
            current: None,
            next: None,
            started: false,
        }
    }

    /// The picture of the next slot. `pull` gives the source's pictures in order.
    pub fn next(
        &mut self,
        mut pull: impl FnMut() -> Result<Option<(i64, T)>, Error>,
    ) -> Result<Option<&T>, Error> {
        if !self.started {
            self.started = true;
            self.current = pull()?;
            self.next = pull()?;
            self.start = self.start.or(self.current.as_ref().map(|(t, _)| *t));
        }
        while let (Some(_), Some((then, _))) = (&self.current, &self.next) {
            // Half a slot is rounding; the earlier picture stays on a tie.
            if 2 * self.offset(*then) >= self.fps.1 * self.per_second.0 {
                break;
            }
            self.current = self.next.take();
            self.next = pull()?;
        }
        let Some((time, _)) = &self.current else { return Ok(None) };
        let over = self.next.is_none() && self.offset(time.saturating_add(self.duration)) <= 0;
        self.slot += 1;
        Ok(if over { None } else { self.current.as_ref().map(|(_, picture)| picture) })
    }

    /// Time of a picture minus time of the slot, in a common unit: `t / per_second - slot / fps`.
    fn offset(&self, time: i64) -> i128 {
        let (ps_num, ps_den) = self.per_second;
        let (fps_num, fps_den) = self.fps;
        (i128::from(time) - i128::from(self.start.unwrap_or(0))) * ps_den * fps_num
            - self.slot * fps_den * ps_num
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(source: (u32, u32), pictures: u32, wanted: (u32, u32)) -> Vec<u32> {
        let (n, d) = (i64::from(source.0), i64::from(source.1));
        let mut left = (0..pictures).map(|i| (i64::from(i) * d, i));
        let mut retimer = Retimer::new((n, 1), wanted, d, None);
        let mut out = Vec::new();
        while let Some(picture) = retimer.next(|| Ok(left.next())).unwrap() {
            out.push(*picture);
        }
        out
    }

    #[test]
    fn nearest_by_time() {
        assert_eq!(picks((60, 1), 8, (30, 1)), [0, 2, 4, 6]);
        assert_eq!(picks((15, 1), 3, (30, 1)), [0, 0, 1, 1, 2, 2]);
        assert_eq!(picks((25, 1), 5, (30, 1)), [0, 1, 2, 2, 3, 4]);
        // A slow picture stays until the next one comes, not until that one is nearer.
        assert_eq!(picks((10, 1), 3, (30, 1)), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        assert_eq!(picks((30, 1), 4, (30, 1)), [0, 1, 2, 3]);
        assert_eq!(picks((30, 1), 0, (30, 1)), [0; 0]);
        assert_eq!(picks((30, 1), 1, (30, 1)), [0]);
    }

    #[test]
    fn length_is_kept() {
        for source in [(24, 1), (25, 1), (50, 1), (24000, 1001), (12, 1)] {
            let pictures = 10 * source.0 / source.1;
            let slots = picks(source, pictures, (30, 1)).len() as u32;
            let wanted = (u64::from(pictures) * 30 * u64::from(source.1)).div_ceil(source.0.into());
            assert_eq!(u64::from(slots), wanted, "{source:?}");
        }
    }

    #[test]
    fn one_percent_is_the_same_rate() {
        assert!(same_rate((30000, 1001), (30, 1)) && same_rate((30, 1), (30, 1)));
        assert!(!same_rate((25, 1), (30, 1)) && !same_rate((29, 1), (30, 1)));
        // 33.37 ms in ticks of a millisecond is 29.97 per second
        assert!(same_step((3337, 100), (1000, 1), (30, 1)) && !same_step((40, 1), (1000, 1), (30, 1)));
    }
}
