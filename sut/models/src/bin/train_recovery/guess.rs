//! What the network makes of missing tokens, and how far off it is.

use crate::batch::Batch;
use models::token_recovery::Recovery;
use tch::{Kind, Tensor};

/// What the network makes of the missing tokens.
pub struct Guessed {
    /// Indices of them.
    pub missing: Tensor,
    pub scores: Tensor,
    pub vectors: Tensor,
}

impl Guessed {
    pub fn cross_entropy(&self, batch: &Batch, smoothing: f64) -> Tensor {
        let truth = batch.on_device(&batch.truth);
        self.scores.cross_entropy_loss(&truth, None::<&Tensor>, tch::Reduction::Mean, -100, smoothing)
    }
}

pub fn guess(recovery: &Recovery, batch: &Batch, codebook: &Tensor, frames: usize) -> Guessed {
    let none = recovery.codes() as i64;
    let features = recovery.sequence(
        &batch.grid(&batch.tokens),
        &batch.grid(&batch.last),
        &batch.grid(&batch.age),
        frames,
    );
    let missing = batch.missing(none);
    let channels = features.size()[1];
    let features = features.permute([0, 2, 3, 1]).reshape([-1, channels]).index_select(0, &missing);
    let last = batch.on_device(&batch.last).index_select(0, &missing);
    let scores = recovery.scores(&features, &last);
    let vectors = recovery.vectors(&features, &scores, codebook);
    Guessed { missing, scores, vectors }
}

/// Sums over missing tokens of held-out clips; errors are squared distances from the features.
#[derive(Default)]
pub struct Sums {
    sequences: f64,
    loss: f64,
    tokens: f64,
    right: f64,
    error: f64,
    likeliest_error: f64,
    copy_error: f64,
    code_error: f64,
    far: f64,
    far_error: f64,
    far_copy_error: f64,
}

/// A copy is far off when it errs by more than this; the codes themselves err by about 3.
const FAR: f64 = 8.0;

impl Sums {
    pub fn add(&mut self, batch: &Batch, found: &Guessed, codebook: &Tensor) {
        self.sequences += 1.0;
        self.loss += found.cross_entropy(batch, 0.0).double_value(&[]);
        let pick = |values: &[i64]| batch.on_device(values).index_select(0, &found.missing);
        let (last, age) = (pick(&batch.last), pick(&batch.age));
        // Where something can be copied.
        let known = age.gt(0).nonzero().view([-1]);
        let of = |t: &Tensor| t.index_select(0, &known);
        let (truth, wanted) = (of(&batch.on_device(&batch.truth)), of(&batch.wanted()));
        let best = of(&found.scores.argmax(1, false));
        let distance = |a: &Tensor| (a - &wanted).square().sum_dim_intlist(1, false, Kind::Float);
        let error = distance(&of(&found.vectors));
        let [likeliest_error, copy_error, code_error] =
            [&best, &of(&last), &truth].map(|tokens| distance(&codebook.index_select(0, tokens)));
        let far = copy_error.gt(FAR).to_kind(Kind::Float);
        let total = |t: Tensor| t.sum(Kind::Float).double_value(&[]);
        self.tokens += truth.numel() as f64;
        self.right += total(best.eq_tensor(&truth).to_kind(Kind::Float));
        self.far_error += total(&error * &far);
        self.far_copy_error += total(&copy_error * &far);
        self.far += total(far);
        self.error += total(error);
        self.likeliest_error += total(likeliest_error);
        self.copy_error += total(copy_error);
        self.code_error += total(code_error);
    }

    pub fn text(&self) -> String {
        let (all, far) = (self.tokens.max(1.0), self.far.max(1.0));
        format!(
            "{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4}",
            self.loss / self.sequences.max(1.0),
            self.right / all,
            self.error / all,
            self.likeliest_error / all,
            self.copy_error / all,
            self.code_error / all,
            self.far_error / far,
            self.far_copy_error / far
        )
    }
}
