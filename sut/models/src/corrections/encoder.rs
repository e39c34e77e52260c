//! The sender's side: what to say of each place, a picture code or a correction.
//!
//! The encoder keeps what a receiver without loss keeps ([`Places`]) and draws what such a receiver draws, after each frame. So it knows
//! what of the next frame is missing there, and what the best correction would leave of that. A correction is sent where it leaves
//! less than the newest picture codes did: where nothing moves.

use super::{Corrections, STAGES};
use crate::layers::floats;
use crate::tokenizer::{Carry, NONE, Places, Shows, Tokenizer, Use};
use tch::{Tensor, no_grad};

/// Squared distance between the features of a place in two frames (of squared length 16) below which nothing has moved there.
const STILL: f32 = 1.0;

/// What a sender keeps from frame to frame.
#[derive(Debug)]
pub struct Encoder {
    columns: usize,
    rows: usize,
    places: Places,
    carry: Carry,
    /// Values `[places, values]` of the picture that a receiver draws without corrections.
    drawn: Option<Tensor>,
    /// Values of the newest captured picture.
    wanted: Option<Tensor>,
    /// Squared error of each place when a picture code was sent last.
    errors: Vec<f32>,
    /// Features of each place then, and in the newest frame.
    coded: Vec<f32>,
    features: Vec<f32>,
    /// Frames since something moved at each place.
    still: Vec<usize>,
    /// Picture codes that were sent of each place since its last correction.
    run: Vec<usize>,
    error: f64,
    /// A correction is sent where it leaves less than this share of what a picture code would.
    pub share: f32,
}

/// What the newest frame's corrections were chosen from.
#[derive(Debug)]
pub struct Choices {
    /// Of each stage what was left over at places that were corrected, `[n, values]`, and the corrections' numbers.
    pub stages: Vec<(Tensor, Tensor)>,
}

impl Encoder {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new(tokenizer: &Tokenizer, columns: usize, rows: usize) -> Self {
        Self {
            columns,
            rows,
            places: tokenizer.places(columns * rows),
            carry: Carry::default(),
            drawn: None,
            wanted: None,
            errors: vec![0.0; columns * rows],
            coded: vec![0.0; columns * rows * tokenizer.values()],
            features: vec![0.0; columns * rows * tokenizer.values()],
            still: vec![0; columns * rows],
            run: vec![0; columns * rows],
            error: 0.0,
            share: 1.0,
        }
    }

    /// Tokens of the next picture, patches `[1, 192, 2 rows, 2 columns]`, and what its corrections were chosen from. Only tokens that
    /// are `sent` reach anybody.
    ///
    /// # Panics
    /// When there is not one `sent` per place.
    pub fn tokens(
        &mut self,
        tokenizer: &Tokenizer,
        corrections: &Corrections,
        frame: u32,
        patches: &Tensor,
        sent: &[bool],
    ) -> (Vec<u16>, Choices) {
        no_grad(|| {
            let features = floats(&tokenizer.features_of_patches(patches));
            let wanted = corrections.basis().values_of(patches);
            let left = self.drawn.as_ref().map(|drawn| &wanted - drawn - self.sums(&wanted));
            self.watch(&features, tokenizer.values());
            let ready = self.ready(tokenizer, corrections, frame, sent);
            let (best, choices) = self.best(corrections, frame, left.as_ref(), &ready);
            let uses: Vec<Use> = (best.iter().zip(sent))
                .map(|(best, sent)| match (best, sent) {
                    (_, false) => Use::Dropped,
                    (Some(_), true) => Use::Corrected,
                    (None, true) => Use::Sent,
                })
                .collect();
            let found = corrections.chooser().next(&mut self.carry, features, self.columns, &uses);
            let tokens: Vec<u16> = (found.tokens.into_iter().zip(&best))
                .map(|(code, best)| best.map_or(code, |number| corrections.token(number)))
                .collect();
            let received: Vec<_> = tokens.iter().zip(sent).map(|(&t, &sent)| sent.then_some(t)).collect();
            let _ = self.places.receive(frame, &received, Some(corrections));
            for (run, shows) in self.run.iter_mut().zip(self.places.now()) {
                match shows {
                    Shows::Code => *run += 1,
                    Shows::Held => *run = 0,
                    Shows::Guess => {}
                }
            }
            self.wanted = Some(wanted);
            (tokens, choices)
        })
    }

    /// Draws what a receiver draws of the newest frame; after [`tokens`](Self::tokens), when they are on their way.
    pub fn settle(&mut self, tokenizer: &Tokenizer, corrections: &Corrections) {
        let Some(wanted) = self.wanted.take() else { return };
        no_grad(|| {
            let codebook = floats(tokenizer.codebook());
            let values = tokenizer.values();
            // A receiver guesses better, but nothing is corrected there.
            let mut guesses = Vec::new();
            let shown = self.places.now().iter().zip(self.places.newest());
            for (_, &newest) in shown.filter(|(shows, _)| **shows == Shows::Guess) {
                match newest {
                    NONE => guesses.resize(guesses.len() + values, 0.0),
                    code => guesses.extend_from_slice(&codebook[usize::from(code) * values..][..values]),
                }
            }
            let input = tokenizer.input(&[self.places.view(&guesses)], self.columns, self.rows);
            let drawn = corrections.basis().values_of(&tokenizer.draw_patches(&input));
            let left = &wanted - &drawn;
            self.error = (&left - self.sums(&wanted)).square().sum(tch::Kind::Float).double_value(&[]);
            let errors = floats(&left.square().sum_dim_intlist(1, false, tch::Kind::Float));
            for (place, shows) in self.places.now().iter().enumerate() {
                if *shows == Shows::Code {
                    self.errors[place] = errors[place];
                    let at = place * values..(place + 1) * values;
                    self.coded[at.clone()].copy_from_slice(&self.features[at]);
                }
            }
            self.drawn = Some(drawn);
        });
    }

    /// Squared error of what a receiver shows of the newest frame, as far as corrections could correct it: full scale is 2.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.error
    }

    /// How long nothing has moved at each place.
    fn watch(&mut self, features: &[f32], values: usize) {
        let places = self.features.chunks_exact(values).zip(features.chunks_exact(values));
        for (still, (before, now)) in self.still.iter_mut().zip(places) {
            *still = if apart(before, now) < STILL { *still + 1 } else { 0 };
        }
        self.features.copy_from_slice(features);
    }

    /// Places that may get a correction. The picture codes that the decoder sees of a place must all be of what is there now: until
    /// then another one says more than a correction. And they must be new: were there only one, a receiver that lost it would add
    /// corrections to a picture that they are not made for.
    fn ready(
        &self,
        tokenizer: &Tokenizer,
        corrections: &Corrections,
        frame: u32,
        sent: &[bool],
    ) -> Vec<usize> {
        let values = tokenizer.values();
        let same = |place: usize| {
            let at = place * values..(place + 1) * values;
            apart(&self.coded[at.clone()], &self.features[at]) < STILL
        };
        let ready = |&place: &usize| {
            sent[place]
                && self.still[place] >= tokenizer.slots()
                && (self.places.held()[place] || self.run[place] >= tokenizer.slots())
                && self.places.is_full(place)
                && !self.places.is_due(place, frame, corrections)
                && same(place)
        };
        (0..sent.len()).filter(ready).collect()
    }

    /// The best correction of each place that is ready, where one is better than a picture code.
    fn best(
        &self,
        corrections: &Corrections,
        frame: u32,
        left: Option<&Tensor>,
        ready: &[usize],
    ) -> (Vec<Option<u16>>, Choices) {
        let mut best = vec![None; self.places.now().len()];
        let mut choices = Choices { stages: Vec::new() };
        let Some(left) = left else { return (best, choices) };
        for stage in 0..STAGES {
            let of_stage = |&&place: &&usize| self.places.stage(place, frame, corrections) == stage;
            let at: Vec<i64> = ready.iter().filter(of_stage).map(|&place| place as i64).collect();
            if at.is_empty() {
                choices.stages.push((Tensor::new(), Tensor::new()));
                continue;
            }
            let left = left.index_select(0, &Tensor::from_slice(&at).to_device(left.device()));
            let (numbers, errors) = corrections.nearest(stage, &left);
            let (mut rows, mut chosen) = (Vec::new(), Vec::new());
            for (row, (&place, (&number, &error))) in at.iter().zip(numbers.iter().zip(&errors)).enumerate() {
                if error < self.share * self.errors[place as usize] {
                    best[place as usize] = Some(number as u16);
                    rows.push(row as i64);
                    chosen.push(number);
                }
            }
            let rows = Tensor::from_slice(&rows).to_device(left.device());
            choices.stages.push((left.index_select(0, &rows), Tensor::from_slice(&chosen)));
        }
        (best, choices)
    }

    fn sums(&self, like: &Tensor) -> Tensor {
        match self.places.sums() {
            [] => like.zeros_like(),
            sums => Tensor::from_slice(sums).view_as(like).to_device(like.device()),
        }
    }
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
