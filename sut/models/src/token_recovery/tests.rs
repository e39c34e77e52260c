use super::*;
use crate::layers::parameters;
use crate::train::Random;

fn received(random: &mut Random, places: usize, codes: usize, lost: f64) -> Vec<Option<u16>> {
    (0..places).map(|_| (!random.chance(lost)).then(|| random.below(codes) as u16)).collect()
}

/// The cached path must say what the whole sequence says, frame by frame and past the window.
fn cache_equals_sequence(preset: Preset) {
    tch::manual_seed(7);
    let (codes, columns, rows, frames) = (20, 6, 4, 9);
    let mut recovery = Recovery::new(preset, codes, Device::Cpu);
    recovery.codebook = recovery.codebook.randn_like();
    no_grad(|| {
        for variable in recovery.store().variables().values() {
            // Away from zero, so that every path counts.
            let _ = variable.shallow_clone().g_add_(&(variable.randn_like() * 0.05));
        }
    });
    let mut random = Random::of_step(3, 0);
    let mut history = recovery.history(columns, rows);
    let none = codes as i64;
    let (mut last, mut age) = (vec![none; columns * rows], vec![0; columns * rows]);
    let (mut all, mut lasts, mut ages) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..frames {
        let frame = received(&mut random, columns * rows, codes, 0.5);
        let filled = recovery.fill(&mut history, &frame);
        let tokens: Vec<i64> = frame.iter().map(|t| t.map_or(none, i64::from)).collect();
        all.extend_from_slice(&tokens);
        lasts.extend_from_slice(&last);
        ages.extend_from_slice(&age);
        Past { last: &mut last, age: &mut age, none }.pass(&tokens);
        let count = (all.len() / (columns * rows)) as i64;
        // The paper's temporal positions are places in the ring, which a sequence numbers from its start.
        let grid = |v: &[i64]| Tensor::from_slice(v).view([count, rows as i64, columns as i64]);
        let best = no_grad(|| {
            let features = recovery.sequence(&grid(&all), &grid(&lasts), &grid(&ages), count as usize);
            let channels = features.size()[1];
            let features = features.get(count - 1).permute([1, 2, 0]).reshape([-1, channels]);
            let last_frame = grid(&lasts).get(count - 1).view([-1]);
            let scores = recovery.scores(&features, &last_frame);
            recovery.vectors(&features, &scores, &recovery.codebook)
        });
        let missing: Vec<i64> = (0..frame.len()).filter(|&i| frame[i].is_none()).map(|i| i as i64).collect();
        let best = best.index_select(0, &Tensor::from_slice(&missing));
        let filled = Tensor::from_slice(&filled).view_as(&best);
        assert!(filled.allclose(&best, 1e-3, 1e-3, false), "frame {count}");
    }
}

#[test]
fn lite_cache_equals_sequence() {
    cache_equals_sequence(Preset::Lite);
}

#[test]
fn paper_has_its_size_and_its_cache_equals_the_sequence() {
    let recovery = Recovery::new(Preset::Paper, 1024, Device::Cpu);
    let millions = parameters(recovery.store()) as f64 / 1e6;
    // 172.3 M.
    assert!((millions - 172.3).abs() < 0.1, "{millions}");
    drop(recovery);
    cache_equals_sequence(Preset::Paper);
}

#[test]
fn a_fresh_lite_network_copies_the_last_token() {
    tch::manual_seed(1);
    let mut recovery = Recovery::new(Preset::Lite, 64, Device::Cpu).with_choice(Choice::Likeliest);
    recovery.adopt(&(Tensor::randn([64, lite::CODE_DIM], (tch::Kind::Float, Device::Cpu)) * 2.0));
    let mut random = Random::of_step(5, 0);
    let mut history = recovery.history(8, 8);
    let first = received(&mut random, 64, 64, 0.0);
    recovery.remember(&mut history, &first);
    let copied = recovery.fill(&mut history, &vec![None; 64]);
    let first: Vec<i64> = first.into_iter().flatten().map(i64::from).collect();
    let wanted = recovery.codebook.index_select(0, &Tensor::from_slice(&first));
    assert_eq!(copied, Vec::<f32>::try_from(&wanted.view([-1])).unwrap());
}

#[test]
fn same_input_same_output() {
    tch::manual_seed(2);
    let recovery = Recovery::new(Preset::Lite, 64, Device::Cpu);
    let run = || {
        let mut random = Random::of_step(6, 0);
        let mut history = recovery.history(8, 8);
        let frame = |random: &mut Random| received(random, 64, 64, 0.4);
        (0..8).map(|_| recovery.fill(&mut history, &frame(&mut random))).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
