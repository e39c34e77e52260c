//! Which picture metrics: the same words for `run`, `sweep` and `score`.

use super::compare::DeviceArg;
use crate::bad_input;
use crate::score::{DEFAULT_METRICS, Options};
use anyhow::Result;
use clap::Args as ClapArgs;
use contract::Metric;
use std::path::PathBuf;

/// Which metrics, and what they need.
#[derive(ClapArgs, Clone, Debug, Default)]
pub struct MetricArgs {
    /// Picture metrics by column name, `default`, or `all`; default: psnr, ssim, ms_ssim and depth errors.
    /// LPIPS (lpips_vgg, lpips_alex, lpips_squeeze) and point clouds (depth_d1, depth_d2) are slow
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub metrics: Vec<String>,
    /// Folder of LPIPS weights; default: where `freezeframe weights` finds them
    #[arg(long, value_name = "DIR")]
    pub lpips_weights: Option<PathBuf>,
    /// Where LPIPS runs; default: cpu
    #[arg(long, value_enum)]
    pub device: Option<DeviceArg>,
}

impl MetricArgs {
    /// What to compute; everything else as usual.
    pub fn options(&self) -> Result<Options> {
        let cuda = self.device == Some(DeviceArg::Cuda);
        let mut options = Options { lpips_weights: self.lpips_weights.clone(), cuda, ..Options::default() };
        if !self.metrics.is_empty() {
            options.metrics = parse(&self.metrics)?;
        } else if self.lpips_weights.is_some() {
            options.metrics = [&DEFAULT_METRICS[..], &[Metric::LpipsVgg]].concat();
        }
        Ok(options)
    }
}

/// In column order, each once.
fn parse(names: &[String]) -> Result<Vec<Metric>> {
    let mut wanted: Vec<Metric> = Vec::new();
    for name in names {
        match name.trim() {
            "all" => wanted.extend(Metric::ALL),
            "default" => wanted.extend(DEFAULT_METRICS),
            name => match Metric::from_name(name) {
                Some(metric) => wanted.push(metric),
                None if name == "vmaf" => bad_input!(
                    "--metrics: vmaf is measured by another program, of two files: `freezeframe compare REF SHOWN --metrics vmaf`"
                ),
                None => {
                    let known: Vec<&str> = Metric::ALL.iter().map(|m| m.name()).collect();
                    bad_input!(
                        "--metrics: `{name}` is no metric; there are {}; or `default`, `all`",
                        known.join(", ")
                    );
                }
            },
        }
    }
    Ok(Metric::ALL.into_iter().filter(|m| wanted.contains(m)).collect())
}

/// A field of view that a pinhole camera can have, degrees.
pub fn parse_fov(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(degrees) if degrees > 0.0 && degrees < 180.0 => Ok(degrees),
        _ => Err(format!("{text:?} is no field of view; give degrees between 0 and 180, as in 70")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_put_in_order() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parse(&names("ssim,psnr,ssim")).unwrap(), [Metric::Psnr, Metric::Ssim]);
        assert_eq!(parse(&names("all")).unwrap(), Metric::ALL);
        let more = parse(&names("default,lpips_squeeze")).unwrap();
        assert_eq!(more.len(), DEFAULT_METRICS.len() + 1);
        let error = parse(&names("psnr,pnsr")).unwrap_err().to_string();
        assert!(error.contains("`pnsr`") && error.contains("ms_ssim"), "{error}");
    }

    #[test]
    fn a_field_of_view_is_an_angle() {
        assert_eq!(parse_fov("43.6"), Ok(43.6));
        for wrong in ["0", "180", "-3", "nan", "wide"] {
            assert!(parse_fov(wrong).is_err(), "{wrong}");
        }
    }
}
