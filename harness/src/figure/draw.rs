//! Figures as SVG, by the crate plotters. Its coordinates are whole numbers: here tenths of a point.

use super::axis::{label, log_ticks, range_of, ticks};
use super::model::{Axis, Bar, Cell, Figure, Grid, Layer, Panel, Percentiles, Point, Shape};
use super::style::{AXIS, Colour, Dash, GRID, INK, Look, Marker};
use super::text::{FAMILY, cut, width, width_bold, wrap};
use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Tenths of a point per millimetre.
const MM: f64 = 28.346_457;
const TICK_TEXT: f64 = 65.0;
const LABEL_TEXT: f64 = 70.0;
const TITLE_TEXT: f64 = 75.0;
const LINE_HEIGHT: f64 = 1.2;
const LINE: u32 = 10;
const MARK: i32 = 17;
const TICK: i32 = 14;
/// Above this width of its text a name of an axis is set upright.
const NAME_LINES: usize = 3;

/// A drawn figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The picture.
    pub svg: String,
    /// Of each panel: left, right, top and bottom of its plotting area, as shares of the picture's width and height.
    pub plots: Vec<[f64; 4]>,
}

impl Drawn {
    /// The picture for the inside of a page, where it needs no name space.
    #[must_use]
    pub fn inline(&self) -> String {
        self.svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1)
    }
}

/// The picture with the length of every text in it: shown with another font than the one it was laid out by, texts are squeezed instead of
/// running into each other.
#[must_use]
pub fn with_lengths(svg: &str) -> String {
    let mut out = String::with_capacity(svg.len() + svg.len() / 8);
    let mut pieces = svg.split("<text ");
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.push_str("<text ");
        let (head, rest) = piece.split_once('>').unwrap_or((piece, ""));
        let said = rest.split("</text>").next().unwrap_or_default().trim();
        let said = said
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&apos;", "'")
            .replace("&amp;", "&");
        let size = head.split("font-size=\"").nth(1).and_then(|s| s.split('"').next()?.parse::<f64>().ok());
        let length =
            size.map(
                |size| {
                    if head.contains("font-weight") { width_bold(&said, size) } else { width(&said, size) }
                },
            );
        out.push_str(head);
        if let Some(length) = length.filter(|l| *l > 0.0) {
            out.push_str(&format!(" textLength=\"{length:.0}\" lengthAdjust=\"spacingAndGlyphs\""));
        }
        out.push('>');
        out.push_str(rest);
    }
    out
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = DrawingAreaErrorKind<std::io::Error>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Ticked, Ticked>>;

/// A linear axis with the ticks that were chosen for it.
#[derive(Clone, Debug)]
struct Ticked {
    /// Exponents of ten on a logarithmic axis, and so are the ticks.
    ends: (f64, f64),
    ticks: Vec<f64>,
    log: bool,
}

impl Ranged for Ticked {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn range(&self) -> std::ops::Range<f64> {
        self.ends.0..self.ends.1
    }

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.ends.0) / (self.ends.1 - self.ends.0);
        from + px(share * f64::from(to - from))
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }
}

impl ValueFormatter<f64> for Ticked {
    fn format_ext(&self, value: &f64) -> String {
        label(if self.log { 10f64.powf(*value) } else { *value })
    }
}

/// Draws a figure.
///
/// # Panics
/// Never: text is the only thing written, and to memory.
#[must_use]
pub fn draw(figure: &Figure) -> Drawn {
    try_draw(figure).expect("a drawing in memory")
}

fn try_draw(figure: &Figure) -> Result<Drawn, Failure> {
    let across = if figure.wide { 178.0 } else { 85.0 } * MM;
    match &figure.table {
        Some(grid) => draw_table(figure, grid, across),
        None => draw_panels(figure, across),
    }
}

/// Rounds to whole units.
#[allow(clippy::cast_possible_truncation)] // pictures are far smaller
fn px(v: f64) -> i32 {
    v.round() as i32
}

#[allow(clippy::cast_sign_loss)]
fn size(v: f64) -> u32 {
    px(v).max(1) as u32
}

const fn rgb(c: Colour) -> RGBColor {
    RGBColor(c.0, c.1, c.2)
}

/// The document with its size in millimetres and its description; a plotters document begins with its own `<svg …>`.
fn finish(buffer: &str, figure: &Figure, (w, h): (f64, f64)) -> String {
    let body = buffer.split_once('>').map_or("", |(_, rest)| rest);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.2}mm\" height=\"{:.2}mm\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{body}",
        w / MM,
        h / MM,
        px(w),
        px(h),
        crate::report::escape(&figure.title)
    )
}

struct Place<'a> {
    panel: &'a Panel,
    x: (f64, f64),
    y: (f64, f64),
    x_ticks: Vec<f64>,
    y_ticks: Vec<f64>,
    /// Lines of each name of the horizontal axis, if they fit.
    names: Vec<Vec<String>>,
    upright: bool,
    x_label: Vec<String>,
    y_label: Vec<String>,
    title: Vec<String>,
    left: f64,
    bottom: f64,
    top: f64,
}

fn draw_panels(figure: &Figure, across: f64) -> Result<Drawn, Failure> {
    #[allow(clippy::cast_precision_loss)] // panels are few
    let columns = figure.columns as f64;
    let gap = 30.0;
    let each = (across - gap * (columns - 1.0)) / columns;
    let plot_height = |p: &Panel| figure.panel_mm * MM * p.share;
    let mut places: Vec<Place> = figure.panels.iter().map(|p| place(p, each, plot_height(p))).collect();
    // Plotting areas below each other have one left edge, those beside each other one upper and lower edge.
    for column in 0..figure.columns {
        let widest = places.iter().skip(column).step_by(figure.columns).map(|p| p.left).fold(0.0, f64::max);
        places.iter_mut().skip(column).step_by(figure.columns).for_each(|p| p.left = widest);
    }
    let mut rows: Vec<(f64, f64, f64)> = Vec::new();
    for row in places.chunks_mut(figure.columns) {
        let most = |of: fn(&Place) -> f64| row.iter().map(of).fold(0.0, f64::max);
        let (top, bottom) = (most(|p| p.top), most(|p| p.bottom));
        let plot = row.iter().map(|p| plot_height(p.panel)).fold(0.0, f64::max);
        row.iter_mut().for_each(|p| (p.top, p.bottom) = (top, bottom));
        rows.push((top, bottom, plot));
    }
    let legend = legend(figure, across);
    let legend_height = if legend.is_empty() { 10.0 } else { legend_rows(&legend) * 100.0 + 30.0 };
    #[allow(clippy::cast_precision_loss)]
    let gaps = gap * (rows.len().max(1) - 1) as f64;
    let height =
        legend_height + rows.iter().map(|(top, bottom, plot)| top + plot + bottom).sum::<f64>() + gaps + 10.0;
    let mut buffer = String::new();
    let mut plots = Vec::new();
    {
        let root = SVGBackend::with_string(&mut buffer, (size(across), size(height))).into_drawing_area();
        draw_legend(&root, &legend)?;
        let mut y = legend_height;
        for (row, (top, bottom, plot)) in places.chunks(figure.columns).zip(&rows) {
            for (column, place) in row.iter().enumerate() {
                #[allow(clippy::cast_precision_loss)]
                let x = column as f64 * (each + gap);
                let corner = (x, y);
                draw_panel(&root, place, corner, (each, *plot))?;
                plots.push([
                    (x + place.left) / across,
                    (x + each - RIGHT) / across,
                    (y + top) / height,
                    (y + top + plot) / height,
                ]);
            }
            y += top + plot + bottom + gap;
        }
        root.present()?;
    }
    Ok(Drawn { svg: finish(&buffer, figure, (across, height)), plots })
}

/// Room at the right edge of a panel, for half of the last tick's label.
const RIGHT: f64 = 75.0;

fn place(panel: &Panel, each: f64, plot_height: f64) -> Place<'_> {
    let (xs, ys) = panel.values();
    let y = range(&panel.y, &ys, false);
    let ticks_of =
        |axis: &Axis, ends, count| if axis.log { log_ticks(ends) } else { ticks(ends, target(count)) };
    let shown = |axis: &Axis, tick: f64| label(if axis.log { 10f64.powf(tick) } else { tick });
    let y_ticks = ticks_of(&panel.y, y, plot_height / 200.0);
    let widest = y_ticks.iter().map(|t| width(&shown(&panel.y, *t), TICK_TEXT)).fold(0.0, f64::max);
    let widest = if panel.y.names.is_empty() {
        widest
    } else {
        panel.y.names.iter().map(|n| width(n, TICK_TEXT)).fold(0.0, f64::max).min(each * 0.35)
    };
    let y_label = lines(&panel.y.label, LABEL_TEXT, plot_height);
    let left = widest + f64::from(2 * TICK) + 10.0 + height_of(&y_label, LABEL_TEXT);
    let room = each - left - RIGHT;
    let x = range(&panel.x, &xs, true);
    let x_ticks = ticks_of(&panel.x, x, room / 330.0);
    #[allow(clippy::cast_precision_loss)]
    let slot = room / panel.x.names.len().max(1) as f64 - 20.0;
    let names: Vec<Vec<String>> = panel.x.names.iter().map(|n| wrap(n, TICK_TEXT, slot)).collect();
    // A name that had to be cut, or is in too many lines, stands upright, and so do the others.
    let upright = names.iter().any(|n| n.len() > NAME_LINES || n.iter().any(|l| l.ends_with('…')));
    let text_height = if panel.x.names.is_empty() {
        TICK_TEXT
    } else if upright {
        panel.x.names.iter().map(|n| width(n, TICK_TEXT)).fold(0.0, f64::max).min(UPRIGHT)
    } else {
        names.iter().map(|n| height_of(n, TICK_TEXT)).fold(0.0, f64::max)
    };
    let x_label = lines(&panel.x.label, LABEL_TEXT, room + 40.0);
    let title = lines(&panel.title, TITLE_TEXT * 1.08, room);
    Place {
        bottom: f64::from(2 * TICK) + text_height + height_of(&x_label, LABEL_TEXT) + 22.0,
        top: height_of(&title, TITLE_TEXT) + 22.0,
        panel,
        x,
        y,
        x_ticks: if panel.x.names.is_empty() { x_ticks } else { Vec::new() },
        y_ticks: if panel.y.names.is_empty() { y_ticks } else { Vec::new() },
        names,
        upright,
        x_label,
        y_label,
        title,
        left,
    }
}

/// Longest upright name.
const UPRIGHT: f64 = 1000.0;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a handful
fn target(count: f64) -> u32 {
    (count as u32).clamp(2, 10)
}

fn lines(text: &str, size: f64, room: f64) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { wrap(text, size, room) }
}

#[allow(clippy::cast_precision_loss)]
fn height_of(lines: &[String], size: f64) -> f64 {
    lines.len() as f64 * size * LINE_HEIGHT
}

#[allow(clippy::cast_precision_loss)]
fn range(axis: &Axis, values: &[f64], tight: bool) -> (f64, f64) {
    if !axis.names.is_empty() {
        return (-0.5, axis.names.len() as f64 - 0.5);
    }
    if let Some(range) = axis.range {
        return range;
    }
    if axis.log {
        let exponents = values.iter().filter(|v| **v > 0.0).map(|v| v.log10());
        let (lo, hi) = super::axis::ends(exponents).unwrap_or((0.0, 1.0));
        return (lo - 0.05, hi + 0.05);
    }
    let all = || values.iter().chain(&axis.includes).copied();
    let (mut lo, mut hi) = range_of(all()).unwrap_or((0.0, 1.0));
    if tight && let Some((least, most)) = super::axis::ends(all()).filter(|(a, b)| b > a) {
        let air = (most - least) * 0.03;
        (lo, hi) = (least - air, most + air);
    }
    lo = axis.at_least.map_or(lo, |least| lo.max(least));
    hi = axis.at_most.map_or(hi, |most| hi.min(most));
    if hi > lo { (lo, hi) } else { (lo - 0.5, lo + 0.5) }
}

fn style<'a>(size: f64, bold: bool, colour: Colour) -> TextStyle<'a> {
    // plotters divides by 1.24.
    let font = (FAMILY, size * 1.24).into_font();
    let font = if bold { font.style(FontStyle::Bold) } else { font };
    font.color(&rgb(colour))
}

fn write(
    root: &Area,
    text: &str,
    (x, y): (f64, f64),
    style: &TextStyle,
    h: HPos,
    v: VPos,
) -> Result<(), Failure> {
    root.draw_text(text, &style.pos(Pos::new(h, v)), (px(x), px(y)))
}

fn draw_panel(
    root: &Area,
    place: &Place,
    (x, y): (f64, f64),
    (w, plot_height): (f64, f64),
) -> Result<(), Failure> {
    let area =
        root.clone().shrink((px(x), px(y + place.top)), (size(w - RIGHT), size(plot_height + place.bottom)));
    let mut chart = ChartBuilder::on(&area)
        .x_label_area_size(size(place.bottom))
        .y_label_area_size(size(place.left))
        .build_cartesian_2d(
            Ticked { ends: place.x, ticks: place.x_ticks.clone(), log: place.panel.x.log },
            Ticked { ends: place.y, ticks: place.y_ticks.clone(), log: place.panel.y.log },
        )?;
    let tick = style(TICK_TEXT, false, INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(rgb(GRID).stroke_width(5))
        .axis_style(rgb(AXIS).stroke_width(6))
        .set_all_tick_mark_size(TICK)
        .x_label_style(tick.clone())
        .y_label_style(tick.clone())
        .draw()?;
    let (left, right) = (x + place.left, x + w - RIGHT);
    let (top, floor) = (y + place.top, y + place.top + plot_height);
    for layer in &place.panel.layers {
        draw_layer(root, &chart, place, layer)?;
    }
    let middle = f64::midpoint(left, right);
    for (i, line) in place.title.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)]
        let above = (place.title.len() - i) as f64 * TITLE_TEXT * LINE_HEIGHT + 4.0;
        write(root, line, (left, top - above), &style(TITLE_TEXT, true, INK), HPos::Left, VPos::Top)?;
    }
    let names = &place.panel.x.names;
    for (i, name) in names.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)]
        let (at, _) = map(&chart, place, i as f64, place.y.0);
        if place.upright {
            let upright = tick.transform(FontTransform::Rotate270);
            let name = cut(name, TICK_TEXT, UPRIGHT);
            write(
                root,
                &name,
                (f64::from(at), floor + f64::from(TICK)),
                &upright,
                HPos::Right,
                VPos::Center,
            )?;
            continue;
        }
        for (k, line) in place.names[i].iter().enumerate() {
            #[allow(clippy::cast_precision_loss)]
            let below = floor + f64::from(2 * TICK) + k as f64 * TICK_TEXT * LINE_HEIGHT;
            write(root, line, (f64::from(at), below), &tick, HPos::Center, VPos::Top)?;
        }
    }
    for (i, name) in place.panel.y.names.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)]
        let (_, at) = map(&chart, place, place.x.0, i as f64);
        let name = cut(name, TICK_TEXT, place.left - 30.0);
        write(root, &name, (left - f64::from(2 * TICK), f64::from(at)), &tick, HPos::Right, VPos::Center)?;
    }
    let text = style(LABEL_TEXT, false, INK);
    for (i, line) in place.x_label.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)]
        let above = (place.x_label.len() - i) as f64 * LABEL_TEXT * LINE_HEIGHT;
        write(root, line, (middle, floor + place.bottom - above - 2.0), &text, HPos::Center, VPos::Top)?;
    }
    let turned = text.transform(FontTransform::Rotate270);
    for (i, line) in place.y_label.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)]
        let from_left = x + i as f64 * LABEL_TEXT * LINE_HEIGHT;
        write(root, line, (from_left, f64::midpoint(top, floor)), &turned, HPos::Center, VPos::Top)?;
    }
    Ok(())
}

/// Units of a value; one outside the axes ends at their edge.
fn map(chart: &Chart, place: &Place, x: f64, y: f64) -> (i32, i32) {
    let on = |v: f64, axis: &Axis, (lo, hi): (f64, f64)| {
        let v = if axis.log { v.max(f64::MIN_POSITIVE).log10() } else { v };
        v.clamp(lo, hi)
    };
    let at = (on(x, &place.panel.x, place.x), on(y, &place.panel.y, place.y));
    chart.plotting_area().map_coordinate(&at)
}

fn draw_layer(root: &Area, chart: &Chart, place: &Place, layer: &Layer) -> Result<(), Failure> {
    let look = layer.look;
    let at = |x: f64, y: f64| map(chart, place, x, y);
    match &layer.shape {
        Shape::Line { points, markers, band } => {
            if *band {
                draw_band(root, &at, points, look)?;
            }
            for piece in points.split(|p| !p.y.is_finite()) {
                let path: Vec<(i32, i32)> = piece.iter().map(|p| at(p.x, p.y)).collect();
                stroke(root, &path, look, LINE)?;
            }
            for p in points.iter().filter(|p| p.y.is_finite()) {
                if !*band {
                    whisker(root, &at, p, look)?;
                }
                if *markers {
                    mark(root, at(p.x, p.y), look, MARK)?;
                }
            }
            Ok(())
        }
        Shape::Points(points) => points.iter().filter(|p| p.y.is_finite()).try_for_each(|p| {
            whisker(root, &at, p, look)?;
            mark(root, at(p.x, p.y), look, if p.interval.is_some() { MARK } else { MARK - 4 })
        }),
        Shape::Bars(bars) => bars.iter().try_for_each(|b| draw_bar(root, &at, b, look)),
        Shape::Cells(cells) => cells.iter().try_for_each(|c| {
            let ((x0, y0), (x1, y1)) = (at(c.x.0, c.y.1), at(c.x.1, c.y.0));
            // What is there is seen, however narrow.
            root.draw(&Rectangle::new(
                [(x0, y0), (x1.max(x0 + 3), y1.max(y0 + 3))],
                rgb(look.colour).filled(),
            ))
        }),
        Shape::Steps(cells) => draw_steps(root, &at, cells, look),
        Shape::Boxes(boxes) => boxes.iter().try_for_each(|b| draw_box(root, &at, b, look)),
        Shape::Rule(value, upright) => {
            let (from, to) = if *upright {
                (at(*value, place.y.0), at(*value, place.y.1))
            } else {
                (at(place.x.0, *value), at(place.x.1, *value))
            };
            stroke(root, &[from, to], look, 7)
        }
    }
}

fn draw_band(
    root: &Area,
    at: &impl Fn(f64, f64) -> (i32, i32),
    points: &[Point],
    look: Look,
) -> Result<(), Failure> {
    for piece in points.split(|p| p.interval.is_none()) {
        let upper = piece.iter().filter_map(|p| Some(at(p.x, p.interval?.1)));
        let lower = piece.iter().rev().filter_map(|p| Some(at(p.x, p.interval?.0)));
        let outline: Vec<(i32, i32)> = upper.chain(lower).collect();
        if outline.len() > 3 {
            root.draw(&Polygon::new(outline, rgb(look.colour).mix(0.16).filled()))?;
        }
    }
    Ok(())
}

fn whisker(root: &Area, at: &impl Fn(f64, f64) -> (i32, i32), p: &Point, look: Look) -> Result<(), Failure> {
    let Some((low, high)) = p.interval else { return Ok(()) };
    let ((x, y0), (_, y1)) = (at(p.x, low), at(p.x, high));
    let thin = rgb(look.colour).stroke_width(6);
    root.draw(&PathElement::new(vec![(x, y0), (x, y1)], thin))?;
    for y in [y0, y1] {
        root.draw(&PathElement::new(vec![(x - 12, y), (x + 12, y)], thin))?;
    }
    Ok(())
}

fn draw_bar(root: &Area, at: &impl Fn(f64, f64) -> (i32, i32), bar: &Bar, look: Look) -> Result<(), Failure> {
    let half = bar.width / 2.0;
    let ((x0, y0), (x1, y1)) = (at(bar.x - half, bar.to.y), at(bar.x + half, bar.from));
    root.draw(&Rectangle::new([(x0, y0), (x1, y1)], rgb(look.colour).filled()))?;
    if !look.solid {
        foot(root, (f64::midpoint(f64::from(x0), f64::from(x1)), f64::from(y1)), y1 - y0, x1 - x0, look)?;
    }
    let ink = Look { colour: INK, ..look };
    whisker(root, at, &Point { x: bar.x, ..bar.to }, ink)
}

/// A system's mark at the foot of its bar, white where the bar is high enough, else in its colour above it: a bar of 0 is seen, too, and colour
/// is not all that tells systems apart.
fn foot(root: &Area, (x, floor): (f64, f64), height: i32, width: i32, look: Look) -> Result<(), Failure> {
    let r = (MARK - 4).min(width / 3).max(6);
    if height > 3 * r {
        let white = Look { colour: Colour(0xFF, 0xFF, 0xFF), ..look };
        return mark(root, (px(x), px(floor) - r - 8), white, r);
    }
    mark(root, (px(x), px(floor) - height - r - 6), look, r)
}

fn draw_steps(
    root: &Area,
    at: &impl Fn(f64, f64) -> (i32, i32),
    cells: &[Cell],
    look: Look,
) -> Result<(), Failure> {
    for piece in cells.chunk_by(|a, b| (a.x.1 - b.x.0).abs() < 1e-9) {
        let upper = piece.iter().flat_map(|c| [at(c.x.0, c.y.1), at(c.x.1, c.y.1)]);
        let lower = piece.iter().rev().flat_map(|c| [at(c.x.1, c.y.0), at(c.x.0, c.y.0)]);
        let mut outline: Vec<(i32, i32)> = upper.chain(lower).collect();
        outline.dedup();
        root.draw(&Polygon::new(outline, rgb(look.colour).filled()))?;
    }
    Ok(())
}

fn draw_box(
    root: &Area,
    at: &impl Fn(f64, f64) -> (i32, i32),
    b: &Percentiles,
    look: Look,
) -> Result<(), Failure> {
    let half = b.width / 2.0;
    let y = |v: f64| at(b.x, v).1;
    let ((left, _), (right, _), (x, _)) = (at(b.x - half, b.mean), at(b.x + half, b.mean), at(b.x, b.mean));
    let colour = rgb(look.colour);
    root.draw(&PathElement::new(vec![(x, y(b.at[0])), (x, y(b.at[1]))], colour.stroke_width(7)))?;
    root.draw(&PathElement::new(vec![(x, y(b.at[3])), (x, y(b.at[4]))], colour.stroke_width(7)))?;
    for v in [b.at[0], b.at[4]] {
        let cap = (right - left) / 4;
        root.draw(&PathElement::new(vec![(x - cap, y(v)), (x + cap, y(v))], colour.stroke_width(7)))?;
    }
    let corners = [(left, y(b.at[3])), (right, y(b.at[1]).max(y(b.at[3]) + 3))];
    root.draw(&Rectangle::new(corners, colour.mix(0.35).filled()))?;
    root.draw(&Rectangle::new(corners, colour.stroke_width(6)))?;
    root.draw(&PathElement::new(vec![(left, y(b.at[2])), (right, y(b.at[2]))], colour.stroke_width(12)))?;
    mark(root, (x, y(b.mean)), look, MARK.min((right - left) / 3).max(8))?;
    let worst = y(b.worst10);
    root.draw(&PathElement::new(vec![(left, worst), (right, worst)], rgb(INK).stroke_width(8)))
}

fn stroke(root: &Area, path: &[(i32, i32)], look: Look, width: u32) -> Result<(), Failure> {
    let style = rgb(look.colour).stroke_width(width);
    match look.dash {
        Dash::Solid => {
            let mut path = path.to_vec();
            path.dedup();
            if path.len() < 2 { Ok(()) } else { root.draw(&PathElement::new(path, style)) }
        }
        dash => dashes(path, dash.pattern())
            .into_iter()
            .try_for_each(|piece| root.draw(&PathElement::new(piece, style))),
    }
}

/// The strokes of a dashed path.
fn dashes(path: &[(i32, i32)], pattern: &[i32]) -> Vec<Vec<(i32, i32)>> {
    let mut pieces: Vec<Vec<(i32, i32)>> = Vec::new();
    let (mut step, mut left) = (0, f64::from(pattern[0]));
    let mut piece: Vec<(i32, i32)> = path.first().copied().into_iter().collect();
    for pair in path.windows(2) {
        let (from, to) =
            ((f64::from(pair[0].0), f64::from(pair[0].1)), (f64::from(pair[1].0), f64::from(pair[1].1)));
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let share = done / length;
            let here = (px(from.0 + share * (to.0 - from.0)), px(from.1 + share * (to.1 - from.1)));
            if step % 2 == 0 {
                piece.push(here);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![here];
            }
            step = (step + 1) % pattern.len();
            left = f64::from(pattern[step]);
        }
        left -= length - done;
        if step % 2 == 0 {
            piece.push(pair[1]);
        }
    }
    pieces.push(piece);
    pieces.retain(|p| p.len() > 1);
    pieces
}

fn mark(root: &Area, (x, y): (i32, i32), look: Look, r: i32) -> Result<(), Failure> {
    let colour = rgb(look.colour);
    let (fill, thick) = (colour.filled(), colour.stroke_width(8));
    let polygon = |corners: &[(i32, i32)]| {
        root.draw(&Polygon::new(corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect::<Vec<_>>(), fill))
    };
    let lines = |ends: [((i32, i32), (i32, i32)); 2]| {
        ends.into_iter().try_for_each(|((ax, ay), (bx, by))| {
            root.draw(&PathElement::new(vec![(x + ax, y + ay), (x + bx, y + by)], thick))
        })
    };
    match look.marker {
        Marker::Circle => root.draw(&Circle::new((x, y), r, fill)),
        Marker::Ring => {
            root.draw(&Circle::new((x, y), r, WHITE.filled()))?;
            root.draw(&Circle::new((x, y), r, thick))
        }
        Marker::Square => root.draw(&Rectangle::new([(x - r + 2, y - r + 2), (x + r - 2, y + r - 2)], fill)),
        Marker::Up => polygon(&[(0, -r - 3), (r + 1, r - 3), (-r - 1, r - 3)]),
        Marker::Down => polygon(&[(0, r + 3), (r + 1, 3 - r), (-r - 1, 3 - r)]),
        Marker::Diamond => polygon(&[(0, -r - 5), (r + 1, 0), (0, r + 5), (-r - 1, 0)]),
        Marker::Cross => lines([((-r, -r), (r, r)), ((-r, r), (r, -r))]),
        Marker::Plus => lines([((-r - 3, 0), (r + 3, 0)), ((0, -r - 3), (0, r + 3))]),
    }
}

/// A system's line and mark as a little picture, for tables.
///
/// # Panics
/// Never: text is the only thing written, and to memory.
#[must_use]
pub fn swatch(look: Look) -> String {
    let mut buffer = String::new();
    {
        let root = SVGBackend::with_string(&mut buffer, (190, 90)).into_drawing_area();
        let drawn = stroke(&root, &[(5, 45), (185, 45)], look, LINE + 4)
            .and_then(|()| mark(&root, (95, 45), look, 26));
        drawn.and_then(|()| root.present()).expect("a drawing in memory");
    }
    let body = buffer.split_once('>').map_or("", |(_, rest)| rest);
    format!("<svg class=\"key\" viewBox=\"0 0 190 90\" aria-hidden=\"true\">{body}")
}

struct Key<'a> {
    layer: &'a Layer,
    text: String,
    x: f64,
    row: f64,
}

fn legend(figure: &Figure, across: f64) -> Vec<Key<'_>> {
    let (mut x, mut row) = (20.0, 0.0);
    let mut keys = Vec::new();
    for layer in figure.legend() {
        let text = cut(&layer.name, LABEL_TEXT, across - 250.0);
        let wide = 175.0 + width(&text, LABEL_TEXT) + 70.0;
        if x > 20.0 && x + wide - 70.0 > across {
            (x, row) = (20.0, row + 1.0);
        }
        keys.push(Key { layer, text, x, row });
        x += wide;
    }
    keys
}

fn legend_rows(keys: &[Key]) -> f64 {
    keys.last().map_or(0.0, |k| k.row + 1.0)
}

fn draw_legend(root: &Area, keys: &[Key]) -> Result<(), Failure> {
    for key in keys {
        let (x, y) = (key.x, 55.0 + key.row * 100.0);
        let look = key.layer.look;
        let (left, right, middle) = (px(x), px(x + 150.0), (px(x + 75.0), px(y)));
        match &key.layer.shape {
            Shape::Line { markers, .. } => {
                stroke(root, &[(left, px(y)), (right, px(y))], look, LINE)?;
                if *markers {
                    mark(root, middle, look, MARK)?;
                }
            }
            Shape::Points(_) => mark(root, middle, look, MARK)?,
            Shape::Rule(..) => stroke(root, &[(left, px(y)), (right, px(y))], look, 7)?,
            Shape::Boxes(_) => {
                let corners = [(left + 20, px(y) - 28), (right - 20, px(y) + 28)];
                root.draw(&Rectangle::new(corners, rgb(look.colour).mix(0.35).filled()))?;
                root.draw(&Rectangle::new(corners, rgb(look.colour).stroke_width(6)))?;
                mark(root, middle, look, MARK)?;
            }
            Shape::Bars(_) | Shape::Cells(_) | Shape::Steps(_) => {
                let corners = [(left + 40, px(y) - 28), (right - 20, px(y) + 28)];
                root.draw(&Rectangle::new(corners, rgb(look.colour).filled()))?;
                if !look.solid {
                    mark(
                        root,
                        (px(x + 85.0), px(y)),
                        Look { colour: Colour(0xFF, 0xFF, 0xFF), ..look },
                        MARK - 3,
                    )?;
                }
            }
        }
        write(root, &key.text, (x + 175.0, y), &style(LABEL_TEXT, false, INK), HPos::Left, VPos::Center)?;
    }
    Ok(())
}

fn draw_table(figure: &Figure, grid: &Grid, across: f64) -> Result<Drawn, Failure> {
    let pad = 60.0;
    let natural: Vec<f64> = (0..grid.head.len())
        .map(|c| {
            let cells = grid.rows.iter().map(|r| width(&r[c], LABEL_TEXT));
            cells.chain([width(&grid.head[c], LABEL_TEXT) * 1.08]).fold(0.0, f64::max) + pad
        })
        .collect();
    let total: f64 = natural.iter().sum();
    // Too wide for the page: everything becomes smaller alike.
    let scale = (across / total).min(1.0);
    let text = LABEL_TEXT * scale;
    let line = 105.0 * scale.max(0.7);
    #[allow(clippy::cast_precision_loss)]
    let height = 40.0 + line * (grid.rows.len() as f64 + 1.0) + 40.0;
    let mut buffer = String::new();
    {
        let root = SVGBackend::with_string(&mut buffer, (size(across), size(height))).into_drawing_area();
        let rule = |y: f64, w: u32| {
            root.draw(&PathElement::new(vec![(0, px(y)), (px(across), px(y))], rgb(INK).stroke_width(w)))
        };
        let spread = if total * scale < across {
            (across - total * scale) / (grid.head.len().max(2) - 1) as f64
        } else {
            0.0
        };
        let mut rights = Vec::new();
        let mut x = 0.0;
        for w in &natural {
            x += w * scale;
            rights.push(x);
            x += spread;
        }
        let begins_as_a_number =
            |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit() || "+-–".contains(c));
        let words: Vec<bool> =
            (0..grid.head.len()).map(|c| !grid.rows.iter().any(|r| begins_as_a_number(&r[c]))).collect();
        let cell = |c: usize, value: &str, y: f64, bold: bool| {
            let style = style(text, bold, INK);
            if words[c] {
                let left = rights[c] - natural[c] * scale + if c == 0 { 10.0 } else { 20.0 };
                write(&root, value, (left, y), &style, HPos::Left, VPos::Center)
            } else {
                write(&root, value, (rights[c] - 10.0, y), &style, HPos::Right, VPos::Center)
            }
        };
        rule(10.0, 10)?;
        for (c, head) in grid.head.iter().enumerate() {
            cell(c, head, 20.0 + line / 2.0, true)?;
        }
        rule(25.0 + line, 6)?;
        for (r, row) in grid.rows.iter().enumerate() {
            #[allow(clippy::cast_precision_loss)]
            let y = 35.0 + line * (r as f64 + 1.5);
            for (c, value) in row.iter().enumerate() {
                cell(c, value, y, false)?;
            }
        }
        rule(height - 15.0, 10)?;
        root.present()?;
    }
    Ok(Drawn { svg: finish(&buffer, figure, (across, height)), plots: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_have_their_lengths_around_corners() {
        let pieces = dashes(&[(0, 0), (100, 0), (100, 100)], &[60, 20]);
        assert_eq!(
            pieces,
            [vec![(0, 0), (60, 0)], vec![(80, 0), (100, 0), (100, 40)], vec![(100, 60), (100, 100)]]
        );
    }
}
