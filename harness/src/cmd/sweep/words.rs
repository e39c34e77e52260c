//! The command line of a part on another machine.

use super::{Args, ClipArgs};
use crate::cmd::compare::DeviceArg;
use contract::Backend;

impl Args {
    /// The command of a part, without `--shard` and `--out`.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = vec!["sweep".to_owned(), self.plan.clone()];
        let mut add = |flag: &str, value: String| words.push(format!("--{flag}={value}"));
        let ClipArgs { clip, depth, depth_unit, no_depth, frames, size, fps, fov } = &self.clip;
        if let Some(clip) = clip {
            add("clip", clip.clone());
        }
        if let Some(depth) = depth {
            add("depth", depth.display().to_string());
        }
        if !depth_unit.is_usual() {
            add("depth-unit", depth_unit.to_string());
        }
        if let Some(frames) = frames {
            add("frames", frames.to_string());
        }
        add("size", format!("{}x{}", size.0, size.1));
        add("fps", fps.to_string());
        if let Some(fov) = fov {
            add("fov", fov.to_string());
        }
        self.clips.iter().for_each(|c| add("clips", c.clone()));
        if let Some(seeds) = self.seeds {
            add("seeds", seeds.to_string());
        }
        if let Some(costs) = &self.costs {
            add("costs", costs.clone());
        }
        if let Some(jobs) = self.jobs {
            add("jobs", jobs.to_string());
        }
        if !self.metrics.metrics.is_empty() {
            add("metrics", self.metrics.metrics.join(","));
        }
        if let Some(weights) = &self.metrics.lpips_weights {
            add("lpips-weights", weights.display().to_string());
        }
        if let Some(DeviceArg::Cuda) = self.metrics.device {
            add("device", "cuda".to_owned());
        }
        if let Some(backend) = &self.backend {
            add("backend", Backend::from(*backend).to_string());
        }
        for (flag, given) in [("no-depth", *no_depth), ("keep-stale", self.keep_stale), ("video", self.video)]
        {
            if given {
                words.push(format!("--{flag}"));
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Probe {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Args {
        Probe::try_parse_from(words).unwrap_or_else(|e| panic!("{e}")).args
    }

    /// Every option that makes a difference to a run reaches the parts; what says where and in which parts does not.
    #[test]
    fn a_part_is_asked_for_the_same_runs() {
        for words in [
            vec!["sweep"],
            vec![
                "sweep",
                "p.toml",
                "--clips",
                "a",
                "b c",
                "--seeds",
                "4",
                "--jobs",
                "3",
                "--no-depth",
                "--size",
                "64x48",
            ],
            vec![
                "sweep",
                "p.toml",
                "--clip",
                "-x.mp4",
                "--depth",
                "d",
                "--depth-unit",
                "m",
                "--fov",
                "70.5",
                "--frames",
                "9",
                "--fps",
                "25",
                "--metrics",
                "psnr,ssim",
                "--lpips-weights",
                "w",
                "--device",
                "cuda",
                "--backend",
                "virtual",
                "--keep-stale",
                "--costs",
                "epyc-zen5",
                "--video",
            ],
        ] {
            let words: Vec<&str> =
                words.into_iter().map(|w| if w == "-x.mp4" { "./-x.mp4" } else { w }).collect();
            let given = parse(&words);
            let again = given.words();
            let again = parse(&again.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(format!("{given:?}"), format!("{again:?}"));
        }
        let on = parse(&[
            "sweep", "p", "--on", "slurm", "--tasks", "3", "--out", "o", "--json", "--junit", "j", "--",
            "--time=1",
        ]);
        assert_eq!(on.engine_options, ["--time=1"]);
        let part = on.words();
        let part = parse(&part.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(format!("{part:?}"), format!("{:?}", parse(&["sweep", "p"])));
    }
}
