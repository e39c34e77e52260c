//! What a receiver remembers for recovery, slot by slot and causally.

use super::blend::Pictures;
use super::clip::CONTEXT;
use super::lite::Situation;
use media::Yuv420;
use std::collections::VecDeque;

/// The pictures that recovery looks at.
#[derive(Clone, Debug, Default)]
pub struct History {
    h265: bool,
    depth: bool,
    /// Good pictures, newest first.
    good: VecDeque<(u32, Yuv420)>,
    /// The decoder's latest picture.
    shown: Option<(u32, Yuv420)>,
    /// The one before it.
    earlier: Option<Yuv420>,
    /// Pictures since the last good one.
    since: u32,
}

/// What there is to recover a slot from.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// Of the decoder: this frame's or, where the screen stands still, an earlier one's, and the one before it (the same if there is none).
    /// Of the good pictures likewise.
    pub pictures: Pictures<'a>,
    /// The rest.
    pub situation: Situation,
}

impl History {
    /// Before the first frame of a stream.
    #[must_use]
    pub fn new(h265: bool, depth: bool) -> Self {
        Self { h265, depth, ..Self::default() }
    }

    /// A frame was decoded; `good` if all that it needs was there.
    pub fn decoded(&mut self, frame: u32, picture: &Yuv420, good: bool) {
        self.earlier = self.shown.replace((frame, picture.clone())).map(|(_, picture)| picture);
        self.since += 1;
        if good {
            self.since = 0;
            self.good.push_front((frame, picture.clone()));
            self.good.truncate(CONTEXT);
        }
    }

    /// The decoder's latest picture.
    #[must_use]
    pub fn shown(&self) -> Option<&Yuv420> {
        self.shown.as_ref().map(|(_, picture)| picture)
    }

    /// Good pictures, newest first; five at most.
    pub fn good(&self) -> impl DoubleEndedIterator<Item = &Yuv420> + ExactSizeIterator {
        self.good.iter().map(|(_, picture)| picture)
    }

    /// What slot `frame` can be recovered from; `None` before the first good picture.
    #[must_use]
    pub fn sight(&self, frame: u32) -> Option<Sight<'_>> {
        let (last_frame, last) = self.good.front()?;
        let (before_frame, before) = self.good.get(1).unwrap_or(&self.good[0]);
        let (shown_frame, shown) = self.shown.as_ref()?;
        let age = |of: &u32| frame.saturating_sub(*of);
        let situation = Situation {
            h265: self.h265,
            depth: self.depth,
            frozen: *shown_frame != frame,
            last_age: age(last_frame),
            before_age: age(before_frame),
            shown_age: age(shown_frame),
            lost: age(last_frame).saturating_sub(self.since),
        };
        let earlier = self.earlier.as_ref().unwrap_or(shown);
        Some(Sight { pictures: Pictures { shown, earlier, last, before }, situation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(luma: u8) -> Yuv420 {
        Yuv420::filled(32, 32, (luma, 128, 128))
    }

    #[test]
    fn history_knows_ages_and_never_takes_damaged_pictures_for_good_ones() {
        let mut history = History::new(true, false);
        assert!(history.sight(0).is_none());
        for (frame, good) in [(0, true), (2, true), (3, false)] {
            history.decoded(frame, &picture(frame as u8), good);
        }
        let sight = history.sight(3).unwrap();
        let expected = Situation { h265: true, last_age: 1, before_age: 3, ..Situation::default() };
        assert_eq!(sight.situation, expected);
        let Pictures { shown, earlier, last, before } = sight.pictures;
        let seen = [shown, earlier, last, before];
        assert_eq!(seen, [&picture(3), &picture(2), &picture(2), &picture(0)]);
        let expected =
            Situation { frozen: true, last_age: 3, before_age: 5, shown_age: 2, lost: 2, ..expected };
        assert_eq!(history.sight(5).unwrap().situation, expected);
        assert_eq!(history.good().len(), 2);
    }
}
