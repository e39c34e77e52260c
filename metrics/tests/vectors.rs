//! Reference values of PIQ, pytorch_msssim, skimage and FFmpeg. The project's own small vectors are beside this file;
//! the larger set lies outside the repository and is skipped, saying so, where it is absent.

use media::Rgb;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn shared(path: &str) -> Option<PathBuf> {
    let p = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if !p.exists() {
        eprintln!("skipped: {} is absent", p.display());
        return None;
    }
    Some(p)
}

fn png(path: &Path) -> Rgb {
    let file = std::io::BufReader::new(std::fs::File::open(path).expect("picture"));
    let mut reader = png::Decoder::new(file).read_info().expect("png");
    let mut data = vec![0; reader.output_buffer_size().expect("size")];
    let info = reader.next_frame(&mut data).expect("png data");
    data.truncate(info.buffer_size());
    let data = match info.color_type {
        png::ColorType::Rgb => data,
        // Three equal channels have the grey picture's PSNR and SSIM.
        png::ColorType::Grayscale => data.iter().flat_map(|&v| [v; 3]).collect(),
        other => panic!("{other:?}"),
    };
    Rgb { width: info.width as usize, height: info.height as usize, data }
}

fn close(name: &str, what: &str, ours: f64, reference: &Value, tolerance: f64) {
    let Some(r) = reference.as_f64() else { return };
    assert!(
        (ours - r).abs() <= tolerance,
        "{name} {what}: ours {ours}, reference {r}, off by {:e}",
        ours - r
    );
}

#[test]
fn picture_pairs_match_the_reference_libraries() {
    let Some(dir) = shared("vectors/metrics") else { return };
    let json: Value = serde_json::from_slice(&std::fs::read(dir.join("image_pairs.json")).unwrap()).unwrap();
    for pair in json["pairs"].as_array().unwrap() {
        let name = pair["name"].as_str().unwrap();
        let a = png(&dir.join(pair["ref"].as_str().unwrap()));
        let b = png(&dir.join(pair["dist"].as_str().unwrap()));
        for level in metrics::SimdLevel::available() {
            let mut scorer = metrics::Scorer::with_level(level);
            let n = format!("{name} {level:?}");
            close(&n, "psnr", scorer.psnr(&a, &b).unwrap(), &pair["piq_psnr_f64"], 1e-9);
            close(&n, "ssim", scorer.ssim(&a, &b).unwrap(), &pair["piq_ssim_ds_f64"], 1e-6);
            close(&n, "ssim f32", scorer.ssim(&a, &b).unwrap(), &pair["piq_ssim_ds_f32"], 5e-5);
            close(&n, "ssim_full", scorer.ssim_full(&a, &b).unwrap(), &pair["piq_ssim_nods_f64"], 1e-6);
            if a.width.min(a.height) > 160 {
                let ours = scorer.ms_ssim(&a, &b).unwrap();
                close(&n, "ms_ssim", ours, &pair["pytorch_msssim_msssim_f64"], 1e-6);
                eprintln!(
                    "{n}: {:.2e} {:.2e} {:.2e}",
                    scorer.ssim(&a, &b).unwrap() - pair["piq_ssim_ds_f64"].as_f64().unwrap(),
                    scorer.ssim_full(&a, &b).unwrap() - pair["piq_ssim_nods_f64"].as_f64().unwrap(),
                    ours - pair["pytorch_msssim_msssim_f64"].as_f64().unwrap()
                );
            } else {
                assert!(scorer.ms_ssim(&a, &b).is_err());
            }
        }
    }
}
