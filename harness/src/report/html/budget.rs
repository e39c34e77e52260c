//! Curves against the play-out budget.

use super::overview::colour;
use super::svg::{Margin, Plot, escape};
use crate::report::budget::{Curve, Point, RULE, ms};
use std::fmt::Write as _;

/// Two plots per condition, non-rendered frames and freezes; `None` if no curve has points.
#[must_use]
pub fn plots(curves: &[Curve]) -> Option<String> {
    let mut systems: Vec<&str> = Vec::new();
    let mut conditions: Vec<(&str, &str)> = Vec::new();
    for curve in curves.iter().filter(|c| c.points.is_ok()) {
        if !systems.contains(&curve.system.as_str()) {
            systems.push(&curve.system);
        }
        let condition = (curve.scenario.as_str(), curve.clip.as_str());
        if !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    if conditions.is_empty() {
        return None;
    }
    let mut out = String::from(r#"<div class="legend">"#);
    for (i, system) in systems.iter().enumerate() {
        let _ =
            write!(out, r#"<span class="{}"><span class="sw c"></span>{}</span>"#, colour(i), escape(system));
    }
    out.push_str("</div>");
    for (scenario, clip) in conditions {
        let here: Vec<(usize, &Curve)> = curves
            .iter()
            .filter(|c| c.scenario == scenario && c.clip == clip)
            .filter_map(|c| Some((systems.iter().position(|s| *s == c.system)?, c)))
            .collect();
        let _ = write!(
            out,
            r#"<h3 style="margin-top:18px">{} <small>{}</small></h3><div class="grid2">"#,
            escape(scenario),
            escape(clip)
        );
        for (what, of) in [
            ("non-rendered frames, %", (|p: &Point| p.non_rendered_percent) as fn(&Point) -> f64),
            ("stalls above 200 ms, % of the time", |p| p.freeze_time_percent),
        ] {
            let _ = write!(out, r#"<div class="card">{}</div>"#, plot(&here, scenario, what, of));
        }
        out.push_str("</div>");
    }
    Some(out)
}

fn plot(curves: &[(usize, &Curve)], scenario: &str, what: &str, of: fn(&Point) -> f64) -> String {
    let points = || curves.iter().filter_map(|(_, c)| c.points.as_ref().ok()).flatten();
    let last = points().map(|p| ms(p.budget.as_nanos())).fold(1.0, f64::max);
    let most = points().map(of).fold(1.0, f64::max);
    let margin = Margin { left: 42.0, right: 10.0, top: 26.0, bottom: 34.0 };
    let title = format!("{what} against the play-out budget, {scenario}");
    let mut plot = Plot::new((570.0, 240.0), margin, ((0.0, last), (0.0, most)), ("plot", &title));
    plot.names("play-out budget, ms from capture (dashed: the run's own)", what);
    plot.y_grid(5);
    plot.x_ticks(8);
    for (place, curve) in curves {
        let Ok(points) = &curve.points else { continue };
        // A step: nothing changes between two budgets of the list but at frames' own times.
        plot.line(
            &format!("stroke-c {}", colour(*place)),
            points.iter().map(|p| (ms(p.budget.as_nanos()), of(p))),
        );
        if let Some(kept) = curve.kept_ms {
            let x = plot.x.at(kept);
            plot.stroke(
                "theta",
                (x, plot.ceiling()),
                (x, plot.floor()),
                &format!("{}: {kept:.1} ms", curve.system),
            );
        }
    }
    plot.finish()
}

/// A page of its own.
#[must_use]
pub fn page(curves: &[Curve]) -> String {
    let body = plots(curves)
        .unwrap_or_else(|| "<p>No curve: no run recorded when its pictures were ready.</p>".to_owned());
    super::document(
        "Non-rendered frames and freezes against the play-out budget",
        &format!(
            r#"<main><h2>Non-rendered frames and freezes against the play-out budget</h2><p class="note">{}</p>{body}</main>"#,
            escape(RULE)
        ),
    )
}
