//! The embedded clip: a synthetic person in front of a camera that also measures depth.
//!
//! ```text
//! (person, seed) ─▶ who: face, hair, clothes, room          frame ─▶ pose: head, eyes, mouth, hand, light
//!                          └────────── distance field ◀──────────┘
//!                    march a ray per pixel ─▶ shade ─▶ 4 samples at edges ─▶ noise ─▶ RGB
//!                                        └─▶ distance along the axis ─▶ depth, millimetres
//! ```
//! Frames are functions of (configuration, frame number) alone, built from integer hashing and exactly
//! specified IEEE operations: bit-identical on every machine, in any order, on any number of threads.
//! A camera at the origin, focal length 1.25 x the shorter side (44 degrees), square pixels.

mod body;
mod math;
mod motion;
mod person;
mod render;
mod room;
mod shade;

use crate::depth::DepthView;
use crate::{Depth16, Rgb};
use person::Person;

/// Goes up whenever any frame of any clip changes; part of the names of cached files.
pub const VERSION: u32 = 1;

/// The interval of the scene's 8-bit depth view: 0.4 m (a hand held out) to 6 m (beyond the window).
#[must_use]
pub fn depth_view() -> DepthView {
    DepthView::new(400, 6000).expect("near is below far")
}

/// Horizontal field of view of the scene's camera, degrees, for pictures of this size.
#[must_use]
pub fn field_of_view(width: usize, height: usize) -> f64 {
    let focal = f64::from(render::FOCAL_PER_SIDE) * width.min(height) as f64;
    2.0 * (0.5 * width as f64 / focal).atan().to_degrees()
}

/// Which clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneConfig {
    /// Who: 0..=5 are six looks, higher numbers further people.
    pub person: u32,
    /// Varies face, colours, room and movement.
    pub seed: u64,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Frames per second.
    pub fps: u32,
    /// Length in frames.
    pub frames: u32,
}

impl Default for SceneConfig {
    /// 512x512, 30 frames/s, 10 s.
    fn default() -> Self {
        Self { person: 0, seed: 1, width: 512, height: 512, fps: 30, frames: 300 }
    }
}

/// A configuration without pictures.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("scene: {what} must be {rule}, not {got}")]
pub struct SceneError {
    /// The field.
    pub what: &'static str,
    /// What it may be.
    pub rule: &'static str,
    /// What it is.
    pub got: usize,
}

/// A clip, ready to render any of its frames.
pub struct Clip {
    config: SceneConfig,
    person: Person,
    room: render::Layers,
}

impl Clip {
    /// Paints the room; frames come from [`Clip::render`].
    ///
    /// # Errors
    /// A side that is odd or outside 64..=4096, no frames, a rate outside 1..=240.
    pub fn new(config: SceneConfig) -> Result<Self, SceneError> {
        for (what, got) in [("width", config.width), ("height", config.height)] {
            if got % 2 != 0 || !(64..=4096).contains(&got) {
                return Err(SceneError { what, rule: "even and between 64 and 4096", got });
            }
        }
        if !(1..=240).contains(&config.fps) {
            return Err(SceneError { what: "fps", rule: "between 1 and 240", got: config.fps as usize });
        }
        if config.frames == 0 {
            return Err(SceneError { what: "frames", rule: "above 0", got: 0 });
        }
        let person = Person::new(config.person, config.seed);
        let room = render::Layers::paint(&person, config.width, config.height);
        Ok(Self { config, person, room })
    }

    /// What it was made with.
    #[must_use]
    pub fn config(&self) -> SceneConfig {
        self.config
    }

    /// One frame: what the camera sees, and the distance along its axis of what each pixel's middle meets.
    /// Every pixel has a depth. Frames beyond the clip's length go on with the movement.
    #[must_use]
    pub fn render(&self, frame: u32) -> (Rgb, Depth16) {
        let seconds = frame as f32 / self.config.fps as f32;
        let length = self.config.frames as f32 / self.config.fps as f32;
        let pose = motion::Pose::at(seconds, length, self.person.salt);
        render::frame(&self.person, &pose, &self.room, frame)
    }
}
