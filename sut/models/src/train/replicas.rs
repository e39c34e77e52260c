//! Several replicas of a network that work on one step, and where a training stands.

use crate::weights::{Weights, WeightsError, write};
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Tensor, nn};

/// Adds the gradients of `from` into those of `to` and clears them. Two replicas give the same sum in
/// either order, so that a seeded training stays repeatable.
pub fn add_gradients(to: &nn::VarStore, from: &nn::VarStore) {
    let target = to.variables();
    for (name, variable) in from.variables() {
        let mut grad = variable.grad();
        if grad.defined() {
            let _ = target[&name].grad().g_add_(&grad);
            let _ = grad.zero_();
        }
    }
}

/// Writes what a training needs to go on.
///
/// # Errors
/// When the file cannot be written.
pub fn checkpoint(
    path: &Path,
    state: &BTreeMap<String, Tensor>,
    step: u64,
    minutes: f64,
) -> Result<(), WeightsError> {
    let (step, minutes) = (step.to_string(), minutes.to_string());
    write(path, state, &[("step", &step), ("minutes", &minutes)], false)
}

/// Step and minutes of a checkpoint.
///
/// # Errors
/// When it does not say.
pub fn place_of(state: &Weights) -> anyhow::Result<(u64, f64)> {
    let text = |key: &str| state.metadata.get(key).with_context(|| format!("no {key} in the checkpoint"));
    Ok((text("step")?.parse()?, text("minutes")?.parse()?))
}
