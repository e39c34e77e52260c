//! Picture strips of the worst frames: captured, shown, amplified difference.

use crate::report::escape;
use crate::report::load::Run;
use contract::{FrameRow, Metric, Stream};
use std::fmt::Write as _;

/// Strips that scoring left in the run's directory (`strips/<stream>-<frame>.jpg`), worst first; empty without any. Pictures are named
/// by `data-src`, relative to the run's directory: the page knows where that is from where it stands.
#[must_use]
pub fn strips(run: &Run) -> String {
    let mut out = String::new();
    for stream in run.streams() {
        let name = |row: &FrameRow| format!("strips/{}-{:06}.jpg", stream.name(), row.frame_id);
        let is_there = |row: &&FrameRow| {
            // A link that a system left could show any file.
            run.dir.join(name(row)).symlink_metadata().is_ok_and(|m| m.is_file())
        };
        let mut found: Vec<&FrameRow> = run.stream(stream).filter(is_there).collect();
        if found.is_empty() {
            continue;
        }
        let _ =
            write!(out, "<h3>Worst {} pictures</h3>", if stream == Stream::Rgb { "colour" } else { "depth" });
        let key = |row: &FrameRow| row.metrics.get(&Metric::Psnr).copied().unwrap_or(f64::INFINITY);
        found.sort_by(|a, b| key(a).total_cmp(&key(b)));
        for row in found {
            let _ = write!(
                out,
                r#"<div class="strip"><p class="cap">{}</p><img alt="captured, shown and difference of frame {}" data-src="{}"><div class="heads"><span>captured</span><span>shown</span><span>difference, 4 times</span></div></div>"#,
                caption(row),
                row.frame_id,
                name(row)
            );
        }
    }
    out
}

fn caption(row: &FrameRow) -> String {
    let mut text = format!("<b>frame {}</b> · {}", row.frame_id, row.status.name().replace('_', " "));
    if let Some(cause) = row.loss_cause {
        let _ = write!(text, " ({})", cause.name());
    }
    match row.shown_frame_id {
        Some(shown) if shown != row.frame_id => {
            let _ = write!(text, " · shows frame {shown}");
        }
        None => text.push_str(" · shows black"),
        Some(_) => {}
    }
    for metric in [Metric::Psnr, Metric::Ssim] {
        if let Some(value) = row.metrics.get(&metric) {
            let _ =
                write!(text, " · {} {value:.*} {}", escape(metric.title()), metric.digits(), metric.unit());
        }
    }
    text
}
