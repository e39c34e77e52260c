//! The numbers behind a figure: one record per point, bar, box, cell and rule. CSV and Vega-Lite are made of them.

use super::model::{Axis, Figure, Layer, Panel, Point, Shape};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Columns of a record, in order; a figure's CSV has those of them that it uses.
pub const COLUMNS: [(&str, &str); 21] = [
    ("panel", "place of the panel, from 1, row by row"),
    ("panel_title", "what stands above it"),
    ("x_axis", "label of the horizontal axis, with its unit"),
    ("y_axis", "label of the vertical axis, with its unit"),
    ("series", "system, or part of what is shown"),
    ("mark", "line, points, bars, cells, steps, boxes, rule"),
    ("category", "name at x, on an axis of names"),
    ("x", "place; left end of a cell"),
    ("x_to", "right end of a cell"),
    ("y", "value; upper end of a bar or cell"),
    ("y_from", "lower end of a bar or cell"),
    ("low", "lower end of the 95 % interval over runs"),
    ("high", "upper end of the 95 % interval over runs"),
    ("n", "runs (boxes: frames) it is over"),
    ("p5", "5th percentile over frames"),
    ("p25", "25th percentile"),
    ("p50", "median"),
    ("p75", "75th percentile"),
    ("p95", "95th percentile"),
    ("mean", "mean over frames"),
    ("worst10", "mean of the worst tenth of the frames"),
];

/// Everything that a figure of panels shows.
#[must_use]
pub fn records(figure: &Figure) -> Vec<Map<String, Value>> {
    let mut all = Vec::new();
    for (p, panel) in figure.panels.iter().enumerate() {
        for layer in &panel.layers {
            of_layer(panel, layer, |fields| {
                let mut record = Map::new();
                record.insert("panel".into(), json!(p + 1));
                record.insert("panel_title".into(), json!(panel.title));
                record.insert("x_axis".into(), json!(panel.x.label));
                record.insert("y_axis".into(), json!(panel.y.label));
                record.insert("series".into(), json!(layer.name));
                record.insert("mark".into(), json!(mark(&layer.shape)));
                for (key, value) in fields {
                    record.insert((*key).to_owned(), value.clone());
                }
                all.push(record);
            });
        }
    }
    all
}

/// The name of what a layer draws.
#[must_use]
pub const fn mark(shape: &Shape) -> &'static str {
    match shape {
        Shape::Line { .. } => "line",
        Shape::Points(_) => "points",
        Shape::Bars(_) => "bars",
        Shape::Cells(_) => "cells",
        Shape::Steps(_) => "steps",
        Shape::Boxes(_) => "boxes",
        Shape::Rule(..) => "rule",
    }
}

fn of_layer(panel: &Panel, layer: &Layer, mut add: impl FnMut(&[(&str, Value)])) {
    let name = |axis: &Axis, at: f64| -> Value {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // names are few
        let place = at.round().max(0.0) as usize;
        axis.names.get(place).map_or(Value::Null, |n| json!(n))
    };
    let point = |p: &Point| {
        vec![
            ("category", name(&panel.x, p.x)),
            ("x", json!(p.x)),
            ("y", json!(p.y)),
            ("low", json!(p.interval.map(|i| i.0))),
            ("high", json!(p.interval.map(|i| i.1))),
            ("n", json!(p.n)),
        ]
    };
    match &layer.shape {
        Shape::Line { points, .. } | Shape::Points(points) => points.iter().for_each(|p| add(&point(p))),
        Shape::Bars(bars) => bars.iter().for_each(|b| {
            let mut fields = point(&b.to);
            fields.push(("y_from", json!(b.from)));
            add(&fields);
        }),
        Shape::Cells(cells) | Shape::Steps(cells) => cells.iter().for_each(|c| {
            let row = name(&panel.y, f64::midpoint(c.y.0, c.y.1));
            add(&[
                ("category", row),
                ("x", json!(c.x.0)),
                ("x_to", json!(c.x.1)),
                ("y", json!(c.y.1)),
                ("y_from", json!(c.y.0)),
            ]);
        }),
        Shape::Boxes(boxes) => boxes.iter().for_each(|b| {
            let mut fields = vec![("category", name(&panel.x, b.x)), ("x", json!(b.x)), ("n", json!(b.n))];
            for (key, value) in ["p5", "p25", "p50", "p75", "p95"].into_iter().zip(b.at) {
                fields.push((key, json!(value)));
            }
            fields.extend([("mean", json!(b.mean)), ("worst10", json!(b.worst10))]);
            add(&fields);
        }),
        Shape::Rule(at, upright) => add(&[(if *upright { "x" } else { "y" }, json!(at))]),
    }
}

/// One line per record; of a table, its rows.
#[must_use]
pub fn csv(figure: &Figure) -> String {
    let quote = crate::report::quote;
    let mut out = String::new();
    if let Some(grid) = &figure.table {
        for row in std::iter::once(&grid.head).chain(&grid.rows) {
            let cells: Vec<String> = row.iter().map(|c| quote(c)).collect();
            let _ = writeln!(out, "{}", cells.join(","));
        }
        return out;
    }
    let records = records(figure);
    let says = |v: Option<&Value>| v.is_some_and(|v| !v.is_null() && v.as_str() != Some(""));
    let used: Vec<&str> =
        COLUMNS.iter().map(|(name, _)| *name).filter(|c| records.iter().any(|r| says(r.get(*c)))).collect();
    let _ = writeln!(out, "{}", used.join(","));
    for record in &records {
        let cells: Vec<String> = used
            .iter()
            .map(|c| match record.get(*c) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => quote(text),
                Some(value) => value.to_string(),
            })
            .collect();
        let _ = writeln!(out, "{}", cells.join(","));
    }
    out
}
