//! What a receiver keeps of each place of the grid from frame to frame.
//!
//! A token is one of two things ([`Corrections`] says which): a *picture code*, from which the decoder draws, or a *correction*, which
//! is added to what the place shows already. Per place there are the newest picture codes that came, and the sum of the corrections since
//! the newest of them.
//!
//! Nothing drifts, by construction. Every [`period`](Corrections::period) frames a place is *due*: its next picture code begins it anew,
//! without older codes and without corrections, and until that has come corrections are ignored and the place stays as it is. So what
//! is kept of a place is a function of the tokens since it was last due, and a receiver that has lost whatever it has lost has, one period
//! after the last loss, what a receiver without loss has, bit for bit. When a place is due follows from frame number and place: a
//! receiver knows it without a word.
//!
//! Without corrections (`None`) every token is a picture code and nothing is ever due: a picture depends on the newest
//! picture codes of each place that came.

use super::view::{NONE, OLDEST, View};
use crate::corrections::Corrections;
use half::f16;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    places: usize,
    /// Of each slot all places, newest first: the decoder's codes.
    codes: Vec<u16>,
    /// The frame of each.
    frames: Vec<u32>,
    /// The newest token that came to a place was a correction.
    held: Vec<bool>,
    /// Corrections of each place, added up.
    sums: Vec<f32>,
    /// What each place shows in the newest frame.
    now: Vec<Shows>,
    frame: u32,
}

/// What a place shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// A picture code that came with this frame.
    Code,
    /// What it showed before, corrected if a correction came.
    Held,
    /// A guess.
    Guess,
}

impl Places {
    /// Nothing came yet; the decoder sees `slots` codes of each place.
    pub(super) fn new(slots: usize, places: usize) -> Self {
        let all = slots * places;
        Self {
            places,
            codes: vec![NONE; all],
            frames: vec![0; all],
            held: vec![false; places],
            sums: Vec::new(),
            now: vec![Shows::Guess; places],
            frame: 0,
        }
    }

    /// The next frame, of which so much came. What stands for each place: a code of the decoder's, or nothing where one is
    /// to be guessed.
    ///
    /// # Panics
    /// When `received` is not a grid of these places.
    pub fn receive(
        &mut self,
        frame: u32,
        received: &[Option<u16>],
        corrections: Option<&Corrections>,
    ) -> Vec<Option<u16>> {
        assert_eq!(received.len(), self.places, "a whole grid");
        self.frame = frame;
        if let Some(corrections) = corrections {
            self.sums.resize(self.places * corrections.values(), 0.0);
        }
        for (place, &token) in received.iter().enumerate() {
            let shows = match (token, corrections) {
                (None, _) if self.held[place] => Shows::Held,
                (None, _) => Shows::Guess,
                (Some(code), None) => self.code(place, code, false),
                (Some(token), Some(corrections)) => match corrections.meaning(token) {
                    Meaning::Code(code) => {
                        let anew = self.is_due(place, frame, corrections);
                        if self.held[place] {
                            self.sums[place * corrections.values()..][..corrections.values()].fill(0.0);
                        }
                        self.code(place, code, anew)
                    }
                    Meaning::Correction(number) => self.correct(place, number, corrections),
                },
            };
            self.now[place] = shows;
        }
        let stands = |place: usize| (self.now[place] != Shows::Guess).then(|| self.codes[place]);
        (0..self.places).map(stands).collect()
    }

    fn code(&mut self, place: usize, code: u16, anew: bool) -> Shows {
        for at in (place + self.places..self.codes.len()).step_by(self.places).rev() {
            self.codes[at] = if anew { NONE } else { self.codes[at - self.places] };
            self.frames[at] = if anew { 0 } else { self.frames[at - self.places] };
        }
        (self.codes[place], self.frames[place], self.held[place]) = (code, self.frame, false);
        Shows::Code
    }

    fn correct(&mut self, place: usize, number: u16, corrections: &Corrections) -> Shows {
        if self.codes[place] == NONE {
            return Shows::Guess;
        }
        self.held[place] = true;
        if !self.is_due(place, self.frame, corrections) {
            let stage = corrections.stage(self.frame.saturating_sub(self.frames[place]));
            let sum = &mut self.sums[place * corrections.values()..][..corrections.values()];
            sum.iter_mut().zip(corrections.vector(stage, number)).for_each(|(sum, value)| *sum += value);
        }
        Shows::Held
    }

    /// No picture code has come to the place since it was due: a sender sends one now.
    #[must_use]
    pub fn is_due(&self, place: usize, frame: u32, corrections: &Corrections) -> bool {
        self.codes[place] == NONE
            || corrections.round(place, self.frames[place]) != corrections.round(place, frame)
    }

    /// Stage of the corrections that come to a place in `frame`.
    #[must_use]
    pub fn stage(&self, place: usize, frame: u32, corrections: &Corrections) -> usize {
        corrections.stage(frame.saturating_sub(self.frames[place]))
    }

    /// What each place shows in the newest frame.
    #[must_use]
    pub fn now(&self) -> &[Shows] {
        &self.now
    }

    /// Whether the newest token that came to each place was a correction.
    #[must_use]
    pub fn held(&self) -> &[bool] {
        &self.held
    }

    /// The newest picture code of each place, [`NONE`] where none came.
    #[must_use]
    pub fn newest(&self) -> &[u16] {
        &self.codes[..self.places]
    }

    /// A place has as many picture codes as the decoder sees.
    #[must_use]
    pub fn is_full(&self, place: usize) -> bool {
        self.codes[self.codes.len() - self.places + place] != NONE
    }

    /// Corrections of each place, added up: `[places, values]`; empty before there were any.
    #[must_use]
    pub fn sums(&self) -> &[f32] {
        &self.sums
    }

    /// What the newest frame is drawn from, with one guess (a code vector) for each place that shows one.
    #[must_use]
    pub fn view(&self, guesses: &[f32]) -> View {
        let (all, places) = (self.codes.len(), self.places);
        let (mut tokens, mut ages) = (vec![NONE; all], vec![0; all - places]);
        for (place, shows) in self.now.iter().enumerate() {
            // A guess stands in front of what came; a held place is seen as when its newest code came.
            let (shift, seen_from) = match shows {
                Shows::Code => (0, self.frame),
                Shows::Held => (0, self.frames[place]),
                Shows::Guess => (places, self.frame),
            };
            for at in (place..all).step_by(places) {
                let Some(from) = at.checked_sub(shift) else { continue };
                tokens[at] = self.codes[from];
                if at >= places && tokens[at] != NONE {
                    let age = seen_from.saturating_sub(self.frames[from]).clamp(1, u32::from(OLDEST));
                    ages[at - places] = age as u8;
                }
            }
        }
        View { tokens, ages, guesses: guesses.iter().map(|&g| f16::from_f32(g)).collect() }
    }
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A code of the decoder's codebook.
    Code(u16),
    /// A correction, by its number.
    Correction(u16),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_keeps_the_newest_tokens_that_came() {
        let mut places = Places::new(3, 2);
        assert_eq!(places.receive(0, &[Some(5), None], None), [Some(5), None]);
        let first = places.view(&[0.5]);
        assert_eq!((first.tokens, first.ages), (vec![5, NONE, NONE, NONE, NONE, NONE], vec![0; 4]));
        let _ = places.receive(1, &[None, None], None);
        let _ = places.receive(2, &[Some(6), Some(7)], None);
        let third = places.view(&[]);
        assert_eq!((third.tokens, third.ages), (vec![6, 7, 5, NONE, NONE, NONE], vec![2, 0, 0, 0]));
        let _ = places.receive(3, &[None, Some(8)], None);
        let fourth = places.view(&[0.25]);
        assert_eq!((fourth.tokens, fourth.ages), (vec![NONE, 8, 6, 7, 5, NONE], vec![1, 1, 3, 0]));
        let _ = places.receive(40, &[None, None], None);
        assert_eq!(places.view(&[0.0; 2]).ages, [OLDEST; 4]);
    }
}
