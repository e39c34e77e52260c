//! Renders the embedded clip into a folder: `cache_scene DIR [PERSON [SEED [FRAMES]]]`.
use media::scene::SceneConfig;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(dir) = words.first() else {
        return Err("usage: cache_scene DIR [PERSON [SEED [FRAMES]]]".into());
    };
    let mut config = SceneConfig::default();
    if let Some(word) = words.get(1) {
        config.person = word.parse()?;
    }
    if let Some(word) = words.get(2) {
        config.seed = word.parse()?;
    }
    if let Some(word) = words.get(3) {
        config.frames = word.parse()?;
    }
    let start = std::time::Instant::now();
    let paths = video::scene::cached(Path::new(dir), config, |done, all| {
        if done % 30 == 0 {
            eprintln!("{done}/{all} frames, {:.1} s", start.elapsed().as_secs_f64());
        }
    })?;
    println!("{:.1} s: {paths:?}", start.elapsed().as_secs_f64());
    Ok(())
}
