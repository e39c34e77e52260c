//! ReVo's own list of sessions as a plan: both codecs over every trace, as its scripts set the path.

use super::{Block, Plan, PlanClip};
use contract::Backend;
use contract::trace_map::{Entry, TraceMapError, read};
use std::path::{Path, PathBuf};

/// Where the videos of a map lie, seen from it: as the original's tree has them, or in folders of their own, or beside.
const COLOUR: [&str; 5] = ["data/gt_rgb", "data/gt_rgb_looped", "gt_rgb", "rgb", "."];
const DEPTH: [&str; 5] = ["data/gt_depth", "data/gt_depth_looped", "gt_depth", "depth", "."];

/// The plan of a map.
///
/// # Errors
/// Those of the map.
pub fn plan(path: &Path) -> Result<Plan, TraceMapError> {
    let beside = path.parent().unwrap_or(Path::new(""));
    let block = |entry: Entry| Block {
        systems: ["revo-h264", "revo-h265"].map(str::to_owned).to_vec(),
        scenarios: vec![entry.trace.to_string_lossy().into_owned()],
        clips: vec![clip(beside, &entry.stem)],
        seeds: vec![1],
        options: vec![Vec::new()],
        backend: Backend::Virtual,
        frames: None,
        optional: false,
        exclude: Vec::new(),
    };
    Ok(Plan {
        name: "trace-map".to_owned(),
        description: format!("the sessions of {}", path.display()),
        costs: contract::costs::IDEAL.to_owned(),
        blocks: read(path)?.into_iter().map(block).collect(),
    })
}

fn clip(beside: &Path, stem: &str) -> PlanClip {
    let files = |folders: [&str; 5], names: &[String]| -> Vec<PathBuf> {
        let all = folders.iter().flat_map(|folder| names.iter().map(move |n| beside.join(folder).join(n)));
        all.collect()
    };
    let there = |files: &[PathBuf]| files.iter().find(|p| p.is_file()).cloned();
    let endings = |end: &str| ["mp4", "mkv"].map(|e| format!("{stem}{end}.{e}"));
    let colour = files(COLOUR, &endings(""));
    // A depth view is called as the colour is, in a folder of its own, or has a word more.
    let mut depth = files(DEPTH, &["_depth", "_vis", "_depth_vis"].map(endings).concat());
    depth.extend(files(DEPTH, &endings("")).into_iter().filter(|p| !colour.contains(p)));
    let rgb = there(&colour).unwrap_or_else(|| colour[0].clone());
    PlanClip { rgb: rgb.to_string_lossy().into_owned(), depth: there(&depth) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_block_with_its_trace_and_its_clip() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let map = write("trace_map.txt", "wifi\tA\twifi/trace6.log\ncell\tB\tcell/trace1.log\n");
        let colour = write("gt_rgb/A.mp4", "");
        let depth = write("gt_depth/A_vis.mp4", "");
        let plan = plan(&map).unwrap();
        assert_eq!(plan.blocks.len(), 2);
        let block = &plan.blocks[0];
        assert_eq!(block.scenarios, [dir.path().join("wifi/trace6.log").to_str().unwrap()]);
        assert_eq!(Path::new(&block.clips[0].rgb), colour);
        assert_eq!(block.clips[0].depth.as_deref(), Some(&*depth));
        // What is not there is named as the original's tree would have it.
        assert!(plan.blocks[1].clips[0].rgb.ends_with("data/gt_rgb/B.mp4"));
    }
}
