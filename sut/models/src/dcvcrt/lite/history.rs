//! Pictures that later frames may refer to, on either side.

use super::MOST_LAYERS;
use media::Yuv420;
use std::collections::VecDeque;

/// As far back as layers reach.
const KEPT: usize = 1 << (MOST_LAYERS - 1);

/// The latest pictures since a key frame, by frame number.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<(u32, Yuv420)>);

impl History {
    /// A key frame's picture: nothing before it counts.
    #[must_use]
    pub fn of(frame: u32, picture: Yuv420) -> Self {
        Self(VecDeque::from([(frame, picture)]))
    }

    /// Adds the next picture and forgets what nothing refers to.
    pub fn add(&mut self, frame: u32, picture: Yuv420) {
        self.0.push_back((frame, picture));
        while self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The picture of a frame, or the latest before it, or the first that there is.
    #[must_use]
    pub fn at(&self, frame: u32) -> Option<&Yuv420> {
        let before = self.0.iter().rev().find(|(number, _)| *number <= frame);
        before.or(self.0.front()).map(|(_, picture)| picture)
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &(u32, Yuv420)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_replaced_by_the_latest_before_it() {
        let picture = |v: u8| Yuv420::filled(2, 2, (v, v, v));
        let mut history = History::of(30, picture(30));
        assert_eq!(history.at(29), Some(&picture(30)));
        for frame in [31, 34, 35] {
            history.add(frame, picture(frame as u8));
        }
        let at = |history: &History, frame| history.at(frame).map(|p| p.y[0]);
        assert_eq!([30, 31, 33, 34, 99].map(|f| at(&history, f)), [30, 31, 31, 34, 35].map(Some));
        history.add(36, picture(36));
        assert_eq!((at(&history, 30), history.iter().count()), (Some(31), 4));
        assert_eq!(History::default().at(5), None);
    }
}
