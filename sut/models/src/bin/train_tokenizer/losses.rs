//! Tokens that the decoder sees in training as a receiver would have them: some are not there and filled with the last
//! one that was, as the worst recovery does it.

use models::train::Random;
use tch::Tensor;

/// Share of sequences with losses.
const LOSSY: f64 = 0.4;

/// Tokens `[n, rows, columns]` of a frame and of those `past`, newest first, as they were filled.
pub fn filled(tokens: &Tensor, past: &[Tensor], random: &mut Random) -> Vec<Tensor> {
    let mut frames = vec![tokens.shallow_clone()];
    if past.is_empty() {
        return frames;
    }
    frames.extend(past.iter().map(Tensor::shallow_clone));
    let size = tokens.size();
    let rates: Vec<f64> =
        (0..size[0]).map(|_| if random.chance(LOSSY) { 0.8 * random.unit() } else { 0.0 }).collect();
    let places = (size[1] * size[2]) as usize;
    for age in (0..past.len()).rev() {
        let kept: Vec<bool> = rates
            .iter()
            .flat_map(|&rate| (0..places).map(move |_| rate))
            .map(|r| !random.chance(r))
            .collect();
        let kept = Tensor::from_slice(&kept).view(size.as_slice()).to_device(tokens.device());
        frames[age] = frames[age].where_self(&kept, &frames[age + 1]);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_own_or_the_last_that_was_there() {
        let frame = |age: i64| Tensor::full([40, 4, 4], age, (tch::Kind::Int64, tch::Device::Cpu));
        let filled = filled(&frame(0), &[frame(1), frame(2)], &mut Random::of_step(1, 0));
        let values = |age: usize| Vec::<i64>::try_from(filled[age].view([-1])).unwrap();
        assert!(values(2).iter().all(|&t| t == 2), "before the oldest frame there is nothing to copy");
        for age in 0..2 {
            for (token, older) in values(age).into_iter().zip(values(age + 1)) {
                assert!(token == age as i64 || token == older);
            }
        }
        let lost = values(0).iter().filter(|&&t| t != 0).count() as f64 / 640.0;
        // 0.4 of the sequences lose 0.4 of their tokens in the mean.
        assert!((0.05..0.3).contains(&lost), "{lost}");
        let whole =
            (0..40).filter(|&n| filled[0].get(n).eq_tensor(&frame(0).get(n)).all().int64_value(&[]) == 1);
        assert!(whole.count() > 12, "most sequences are whole");
    }
}
