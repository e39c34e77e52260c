//! The people of the synthetic scene as training clips.

use super::Clip;
use media::scene::{Clip as Scene, SceneConfig};

/// People and rooms; none is a clip that `just eval` or a golden shows (those have persons 0 to 5).
const PEOPLE: u32 = 12;
const FRAMES: u32 = 6;

/// Some frames each of people, `size` pixels a side.
///
/// # Errors
/// A size that the scene does not have.
pub fn synthetic_people(size: usize) -> anyhow::Result<Vec<Clip>> {
    (0..PEOPLE)
        .map(|number| {
            let config = SceneConfig {
                person: 100 + number,
                seed: 1000 + u64::from(number),
                width: size,
                height: size,
                ..SceneConfig::default()
            };
            let scene = Scene::new(config)?;
            let data = (0..FRAMES).flat_map(|i| scene.render(i * config.frames / FRAMES).0.data).collect();
            Ok(Clip { name: format!("synthetic{number}"), size, data })
        })
        .collect()
}
