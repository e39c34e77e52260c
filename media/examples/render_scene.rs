//! Writes frames of the synthetic clip as PNG: `render_scene DIR [PERSON [SEED [FRAME...]]]`.
use media::scene::{Clip, SceneConfig};
use media::{depth::DepthView, still};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(dir) = words.first() else {
        return Err("usage: render_scene DIR [PERSON [SEED [FRAME...]]]".into());
    };
    let person = words.get(1).map_or(Ok(0), |w| w.parse())?;
    let seed = words.get(2).map_or(Ok(1), |w| w.parse())?;
    let frames: Vec<u32> = match words.get(3..) {
        Some(some @ [_, ..]) => some.iter().map(|w| w.parse()).collect::<Result<_, _>>()?,
        _ => vec![0, 75, 150, 225],
    };
    std::fs::create_dir_all(dir)?;
    let start = std::time::Instant::now();
    let clip = Clip::new(SceneConfig { person, seed, ..SceneConfig::default() })?;
    println!("room: {:.2} s", start.elapsed().as_secs_f64());
    for frame in frames {
        let start = std::time::Instant::now();
        let (rgb, depth) = clip.render(frame);
        println!("frame {frame}: {:.2} s", start.elapsed().as_secs_f64());
        let name = |kind: &str| Path::new(dir).join(format!("p{person}-s{seed}-{frame:03}-{kind}.png"));
        still::write_rgb(&name("rgb"), &rgb)?;
        let view = DepthView::new(400, 6000)?.to_yuv420(&depth, media::convert::Range::Full);
        still::write_grey(&name("depth"), view.width, view.height, &view.y)?;
    }
    Ok(())
}
