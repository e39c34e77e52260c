//! The people of the synthetic scene as training clips.

use super::Clip;
use super::clips::kept;
use media::scene::{self, Clip as Scene, SceneConfig};
use std::ops::Range;
use std::path::Path;

/// Frames that follow each other, from the middle of the clip.
const FRAMES: u32 = 60;

/// Two seconds each of people with these numbers, `size` pixels a side; drawn once and kept in `cache`. Number 0 is person
/// 100 of the scene: none is a clip that `just eval` or a golden shows (those have persons 0 to 5).
///
/// # Errors
/// A size that the scene does not have, a cache that cannot be read or written.
pub fn synthetic_people(numbers: Range<u32>, size: usize, cache: &Path) -> anyhow::Result<Vec<Clip>> {
    numbers
        .map(|number| {
            let name = format!("synthetic{number}");
            let file = cache.join(format!("{name}.{size}.{FRAMES}.{}.rgb", scene::VERSION));
            let config = SceneConfig {
                person: 100 + number,
                seed: 1000 + u64::from(number),
                width: size,
                height: size,
                ..SceneConfig::default()
            };
            let data = kept(&file, FRAMES as usize * 3 * size * size, || {
                let scene = Scene::new(config)?;
                let from = config.frames / 2;
                Ok((from..from + FRAMES).flat_map(|i| scene.render(i).0.data).collect())
            })?;
            Ok(Clip { name, size, data })
        })
        .collect()
}
