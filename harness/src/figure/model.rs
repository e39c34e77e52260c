//! What a figure is made of, whatever draws it: panels of layers over axes, or a table.

use super::style::Look;

/// A figure: panels beside and below each other, or a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Name by which it is asked for.
    pub name: String,
    /// What it shows, in a sentence; read aloud to people who cannot see it.
    pub title: String,
    /// Across both columns of a page (178 mm), or one (85 mm).
    pub wide: bool,
    /// Panels beside each other.
    pub columns: usize,
    /// Height of a panel's plotting area, millimetres.
    pub panel_mm: f64,
    /// Row by row.
    pub panels: Vec<Panel>,
    /// Instead of panels: a table.
    pub table: Option<Grid>,
}

/// A table as a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Headings, with units.
    pub head: Vec<String>,
    /// Rows of as many cells; the first column is text, the others are numbers.
    pub rows: Vec<Vec<String>>,
}

/// One coordinate system.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Above it; may be empty.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// From below to above.
    pub layers: Vec<Layer>,
    /// Its height, as a share of the figure's panels'.
    pub share: f64,
}

/// An axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What it is, with its unit.
    pub label: String,
    /// These names at 0, 1, 2, … instead of numbers.
    pub names: Vec<String>,
    /// From where to where; absent: what the layers need.
    pub range: Option<(f64, f64)>,
    /// Values that are always inside.
    pub includes: Vec<f64>,
    /// No value above it makes sense (1 for SSIM, 100 for a share).
    pub at_most: Option<f64>,
    /// No value below it makes sense.
    pub at_least: Option<f64>,
    /// Logarithmic; every value is above 0.
    pub log: bool,
}

impl Axis {
    /// An axis of numbers.
    #[must_use]
    pub fn of(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// An axis of names.
    #[must_use]
    pub fn names(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// An axis of percent.
    #[must_use]
    pub fn percent(label: impl Into<String>) -> Self {
        Self { includes: vec![0.0], at_least: Some(0.0), at_most: Some(100.0), ..Self::of(label) }
    }

    /// An axis that begins at 0.
    #[must_use]
    pub fn from_zero(label: impl Into<String>) -> Self {
        Self { includes: vec![0.0], at_least: Some(0.0), ..Self::of(label) }
    }

    /// A logarithmic axis.
    #[must_use]
    pub fn log(label: impl Into<String>) -> Self {
        Self { log: true, ..Self::of(label) }
    }

    /// An axis with these ends.
    #[must_use]
    pub fn between(label: impl Into<String>, lo: f64, hi: f64) -> Self {
        Self { range: Some((lo, hi)), ..Self::of(label) }
    }
}

/// Something drawn in one look.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// System, or part of what is shown.
    pub name: String,
    /// How it looks.
    pub look: Look,
    /// True if the legend names it.
    pub in_legend: bool,
    /// What is drawn.
    pub shape: Shape,
}

/// What a layer draws.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A line through points; a value that is not finite breaks it.
    Line {
        /// By x.
        points: Vec<Point>,
        /// A mark at each point.
        markers: bool,
        /// Intervals as a band instead of bars.
        band: bool,
    },
    /// Marks alone.
    Points(Vec<Point>),
    /// Upright bars with intervals.
    Bars(Vec<Bar>),
    /// Filled rectangles.
    Cells(Vec<Cell>),
    /// Area between two steps.
    Steps(Vec<Cell>),
    /// Percentiles.
    Boxes(Vec<Percentiles>),
    /// A straight line through the whole panel, across (`false`) or upright (`true`).
    Rule(f64, bool),
}

/// A value with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Place.
    pub x: f64,
    /// Value.
    pub y: f64,
    /// 95 % interval of the value.
    pub interval: Option<(f64, f64)>,
    /// Runs it is over.
    pub n: usize,
}

impl Point {
    /// A value alone.
    #[must_use]
    pub fn at(x: f64, y: f64) -> Self {
        Self { x, y, interval: None, n: 1 }
    }

    /// A mean with its interval.
    #[must_use]
    pub fn mean(x: f64, value: &metrics::stats::Estimate) -> Self {
        Self { x, y: value.mean, interval: value.interval.map(|i| (i.low, i.high)), n: value.n }
    }
}

/// An upright bar around `x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Middle.
    pub x: f64,
    /// Width, in units of the axis.
    pub width: f64,
    /// Lower end.
    pub from: f64,
    /// Upper end, its interval, and runs it is over.
    pub to: Point,
}

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Left and right.
    pub x: (f64, f64),
    /// Lower and upper.
    pub y: (f64, f64),
}

/// A box with whiskers around `x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    /// Middle.
    pub x: f64,
    /// Width, in units of the axis.
    pub width: f64,
    /// 5th, 25th, 50th, 75th and 95th percentile.
    pub at: [f64; 5],
    /// Mean.
    pub mean: f64,
    /// Mean of the worst tenth.
    pub worst10: f64,
    /// Values it is of.
    pub n: usize,
}

impl Figure {
    /// A figure of panels.
    #[must_use]
    pub fn of_panels(name: &str, title: impl Into<String>, columns: usize, panels: Vec<Panel>) -> Self {
        let columns = columns.clamp(1, panels.len().max(1));
        Self {
            name: name.to_owned(),
            title: title.into(),
            wide: columns > 1,
            columns,
            panel_mm: 38.0,
            panels,
            table: None,
        }
    }

    /// The same with panels of this height.
    #[must_use]
    pub fn high(self, panel_mm: f64) -> Self {
        Self { panel_mm, ..self }
    }

    /// The same across both columns of a page.
    #[must_use]
    pub fn across(self) -> Self {
        Self { wide: true, ..self }
    }

    /// What the legend names, in the order of the layers, each once.
    #[must_use]
    pub fn legend(&self) -> Vec<&Layer> {
        let mut keys: Vec<&Layer> = Vec::new();
        for layer in self.panels.iter().flat_map(|p| &p.layers).filter(|l| l.in_legend) {
            if !keys.iter().any(|k| k.name == layer.name) {
                keys.push(layer);
            }
        }
        keys
    }
}

impl Panel {
    /// An empty panel.
    #[must_use]
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, layers: Vec::new(), share: 1.0 }
    }

    /// Adds a layer that the legend names.
    pub fn add(&mut self, name: &str, look: Look, shape: Shape) {
        self.layers.push(Layer { name: name.to_owned(), look, in_legend: true, shape });
    }

    /// Adds a layer that explains itself.
    pub fn add_quietly(&mut self, name: &str, look: Look, shape: Shape) {
        self.layers.push(Layer { name: name.to_owned(), look, in_legend: false, shape });
    }

    /// Every x and every y that a layer uses.
    #[must_use]
    pub fn values(&self) -> (Vec<f64>, Vec<f64>) {
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        let point = |p: &Point, xs: &mut Vec<f64>, ys: &mut Vec<f64>| {
            xs.push(p.x);
            ys.push(p.y);
            if let Some((low, high)) = p.interval {
                ys.extend([low, high]);
            }
        };
        for layer in &self.layers {
            match &layer.shape {
                Shape::Line { points, .. } | Shape::Points(points) => {
                    points.iter().for_each(|p| point(p, &mut xs, &mut ys));
                }
                Shape::Bars(bars) => {
                    for bar in bars {
                        point(&bar.to, &mut xs, &mut ys);
                        xs.extend([bar.x - bar.width / 2.0, bar.x + bar.width / 2.0]);
                        ys.push(bar.from);
                    }
                }
                Shape::Cells(cells) | Shape::Steps(cells) => {
                    for c in cells {
                        xs.extend([c.x.0, c.x.1]);
                        ys.extend([c.y.0, c.y.1]);
                    }
                }
                Shape::Boxes(boxes) => {
                    for b in boxes {
                        xs.extend([b.x - b.width / 2.0, b.x + b.width / 2.0]);
                        ys.extend(b.at);
                        ys.extend([b.mean, b.worst10]);
                    }
                }
                Shape::Rule(at, upright) => if *upright { &mut xs } else { &mut ys }.push(*at),
            }
        }
        (xs, ys)
    }
}
