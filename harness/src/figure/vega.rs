//! Figures as Vega-Lite 5 specifications, with their numbers inside: for those who want to draw them otherwise.

use super::model::{Axis, Figure, Panel, Shape};
use super::numbers::{mark, records};
use serde_json::{Map, Value, json};

/// The specification.
#[must_use]
pub fn spec(figure: &Figure) -> Value {
    let schema = "https://vega.github.io/schema/vega-lite/v5.json";
    if let Some(grid) = &figure.table {
        let cells: Vec<Value> = std::iter::once(&grid.head)
            .chain(&grid.rows)
            .enumerate()
            .flat_map(|(r, row)| {
                row.iter().enumerate().map(move |(c, text)| json!({ "row": r, "column": c, "text": text }))
            })
            .collect();
        return json!({
            "$schema": schema, "description": figure.title, "data": { "values": cells }, "width": 640,
            "mark": { "type": "text", "align": "left" },
            "encoding": {
                "x": { "field": "column", "type": "ordinal", "axis": null },
                "y": { "field": "row", "type": "ordinal", "axis": null },
                "text": { "field": "text", "type": "nominal" },
            },
        });
    }
    let records = records(figure);
    let panels: Vec<Value> =
        figure.panels.iter().enumerate().map(|(i, panel)| of_panel(figure, i, panel, &records)).collect();
    json!({
        "$schema": schema, "description": figure.title, "columns": figure.columns, "concat": panels,
        "config": { "view": { "stroke": null }, "axisX": { "grid": false } },
    })
}

/// Colour and dash of every series that the legend names.
fn scales(figure: &Figure) -> (Value, Value) {
    let keys = figure.legend();
    let names: Vec<&str> = keys.iter().map(|k| k.name.as_str()).collect();
    let colours: Vec<String> = keys.iter().map(|k| k.look.colour.hex()).collect();
    let dashes: Vec<Vec<i32>> = keys
        .iter()
        .map(|k| k.look.dash.pattern().iter().map(|d| (d / 10).max(1)).collect::<Vec<i32>>())
        .map(|d| if d.is_empty() { vec![1, 0] } else { d })
        .collect();
    (json!({ "domain": names, "range": colours }), json!({ "domain": names, "range": dashes }))
}

fn axis(axis: &Axis, values: &[f64]) -> Value {
    let mut said = json!({ "title": if axis.label.is_empty() { Value::Null } else { json!(axis.label) } });
    if !axis.names.is_empty() {
        let names = &axis.names;
        said["values"] = json!((0..names.len()).collect::<Vec<_>>());
        said["labelExpr"] = json!(format!("{}[datum.value]", json!(names)));
        said["tickCount"] = json!(names.len());
        return json!({
            "axis": said,
            "scale": { "domain": [-0.5, 0.5 + f64::from(u32::try_from(names.len() - 1).unwrap_or(0))], "nice": false },
        });
    }
    let scale = match axis.range {
        Some((lo, hi)) => json!({ "domain": [lo, hi], "nice": false }),
        None if axis.log => json!({ "type": "log" }),
        None => json!({ "zero": axis.includes.contains(&0.0) && !values.is_empty() }),
    };
    json!({ "axis": said, "scale": scale })
}

fn of_panel(figure: &Figure, index: usize, panel: &Panel, records: &[Map<String, Value>]) -> Value {
    let (colours, dashes) = scales(figure);
    let (xs, ys) = panel.values();
    let (x_axis, y_axis) = (axis(&panel.x, &xs), axis(&panel.y, &ys));
    let field = |name: &str, of: &Value| {
        let mut encoding = json!({ "field": name, "type": "quantitative" });
        if let (Some(to), Some(from)) = (encoding.as_object_mut(), of.as_object()) {
            to.extend(from.clone());
        }
        encoding
    };
    let (x, y) = (|name: &str| field(name, &x_axis), |name: &str| field(name, &y_axis));
    let colour =
        json!({ "field": "series", "type": "nominal", "scale": colours, "legend": { "title": null } });
    let dash = json!({ "field": "series", "type": "nominal", "scale": dashes, "legend": { "title": null } });
    let mut marks: Vec<&str> = panel.layers.iter().map(|l| mark(&l.shape)).collect();
    marks.dedup();
    let mut layers: Vec<Value> = Vec::new();
    let of_panel = |r: &&Map<String, Value>| r.get("panel") == Some(&json!(index + 1));
    let has_intervals = |name: &str| {
        records
            .iter()
            .filter(of_panel)
            .any(|r| r["mark"] == name && r.get("low").is_some_and(|v| !v.is_null()))
    };
    let mut done: Vec<&str> = Vec::new();
    for name in marks {
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let has_intervals = has_intervals(name);
        let only = |mark: Value, encoding: Value| json!({ "transform": [{ "filter": format!("datum.mark == '{name}'") }], "mark": mark, "encoding": encoding });
        let whisker = || {
            only(
                json!("rule"),
                json!({ "x": x("x"), "y": y("low"), "y2": { "field": "high" }, "color": colour }),
            )
        };
        match name {
            "line" => {
                let line = panel.layers.iter().find_map(|l| match l.shape {
                    Shape::Line { markers, band, .. } => Some((markers, band)),
                    _ => None,
                });
                let (markers, band) = line.unwrap_or((false, false));
                let interval = if band {
                    only(json!({ "type": "area", "opacity": 0.16 }), json!({ "x": x("x"), "y": y("low"), "y2": { "field": "high" }, "color": colour }))
                } else {
                    whisker()
                };
                if has_intervals {
                    layers.push(interval);
                }
                layers.push(only(
                    json!({ "type": "line", "point": markers }),
                    json!({ "x": x("x"), "y": y("y"), "color": colour, "strokeDash": dash, "order": { "field": "x" } }),
                ));
            }
            "points" => {
                if has_intervals {
                    layers.push(whisker());
                }
                layers.push(only(json!({ "type": "point", "filled": true, "opacity": 0.6 }), json!({ "x": x("x"), "y": y("y"), "color": colour })));
            }
            "bars" => {
                let width = panel.layers.iter().find_map(|l| match &l.shape {
                    Shape::Bars(bars) => bars.first().map(|b| b.width),
                    _ => None,
                });
                let half = width.unwrap_or(0.8) / 2.0;
                layers.push(json!({
                    "transform": [
                        { "filter": "datum.mark == 'bars'" },
                        { "calculate": format!("datum.x - {half}"), "as": "left" },
                        { "calculate": format!("datum.x + {half}"), "as": "right" },
                    ],
                    "mark": "rect",
                    "encoding": { "x": x("left"), "x2": { "field": "right" }, "y": y("y_from"), "y2": { "field": "y" }, "color": colour },
                }));
                if has_intervals {
                    layers.push(only(json!("rule"), json!({ "x": x("x"), "y": y("low"), "y2": { "field": "high" } })));
                }
            }
            "cells" | "steps" => layers.push(only(
                json!("rect"),
                json!({ "x": x("x"), "x2": { "field": "x_to" }, "y": y("y_from"), "y2": { "field": "y" }, "color": colour }),
            )),
            "boxes" => {
                layers.push(only(json!("rule"), json!({ "x": x("x"), "y": y("p5"), "y2": { "field": "p95" }, "color": colour })));
                layers.push(only(
                    json!({ "type": "bar", "size": 10, "opacity": 0.5 }),
                    json!({ "x": x("x"), "y": y("p25"), "y2": { "field": "p75" }, "color": colour }),
                ));
                for (value, shape) in [("p50", "stroke"), ("mean", "circle"), ("worst10", "triangle-down")] {
                    layers.push(only(json!({ "type": "point", "shape": shape, "filled": true }), json!({ "x": x("x"), "y": y(value), "color": colour })));
                }
            }
            _ => {
                for (key, of) in [("x", &x as &dyn Fn(&str) -> Value), ("y", &y)] {
                    layers.push(json!({
                        "transform": [{ "filter": format!("datum.mark == 'rule' && isValid(datum.{key}) && !isValid(datum.{})", if key == "x" { "y" } else { "x" }) }],
                        "mark": { "type": "rule", "strokeDash": [4, 3], "color": "#6B7480" },
                        "encoding": { key: of(key) },
                    }));
                }
            }
        }
    }
    let values: Vec<&Map<String, Value>> = records.iter().filter(of_panel).collect();
    json!({
        "title": panel.title, "width": if figure.wide { 640 / figure.columns } else { 320 },
        "height": (figure.panel_mm * panel.share * 3.6).round(), "data": { "values": values }, "layer": layers,
    })
}
