//! Plots as inline SVG: a coordinate system, axes, and the few marks that the report needs.
//! Colours come from the page's style sheet by class, so that they follow its light and dark themes.

use std::fmt::Write as _;

/// Text safe inside HTML and SVG, also inside a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are not allowed in XML at all.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A linear axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    lo: f64,
    hi: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Maps `lo..hi` to pixels `from..to`; an empty range is widened so that its value lies in the middle.
    #[must_use]
    pub fn new((lo, hi): (f64, f64), (from, to): (f64, f64)) -> Self {
        if hi > lo { Self { lo, hi, from, to } } else { Self { lo: lo - 0.5, hi: lo + 0.5, from, to } }
    }

    /// Pixel of a value; values outside the range end at its edge.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let share = ((value - self.lo) / (self.hi - self.lo)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// Round values inside the range, about `target` of them.
    #[must_use]
    pub fn ticks(&self, target: u32) -> Vec<f64> {
        let step = nice_step((self.hi - self.lo) / f64::from(target.max(1)));
        let first = (self.lo / step).ceil();
        (0..64).map(|i| (first + f64::from(i)) * step).take_while(|t| *t <= self.hi + step * 1e-9).collect()
    }
}

fn nice_step(rough: f64) -> f64 {
    let magnitude = 10f64.powf(rough.log10().floor());
    let mantissa = rough / magnitude;
    let nice = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|n| mantissa <= *n + 1e-9).unwrap_or(10.0);
    nice * magnitude
}

/// The range of `values` with a little air, snapped to round numbers; `None` without finite values.
#[must_use]
pub fn range_of(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (lo, hi) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if lo > hi {
        return None;
    }
    let span = (hi - lo).max(hi.abs() * 0.02).max(1e-6);
    let step = nice_step(span / 5.0);
    Some((((lo - span * 0.04) / step).floor() * step, ((hi + span * 0.04) / step).ceil() * step))
}

/// A number as short as its axis needs.
#[must_use]
pub fn label(value: f64) -> String {
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A plot under construction.
pub struct Plot {
    out: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    width: f64,
    height: f64,
    margin: Margin,
}

/// Pixels around the plotting area.
#[derive(Clone, Copy, Debug)]
pub struct Margin {
    /// For the vertical axis.
    pub left: f64,
    /// Right.
    pub right: f64,
    /// Top.
    pub top: f64,
    /// For the horizontal axis.
    pub bottom: f64,
}

impl Plot {
    /// An empty plot of `width` x `height` pixels; `what` is read aloud to people who cannot see it.
    #[must_use]
    pub fn new(
        (width, height): (f64, f64),
        margin: Margin,
        (x, y): ((f64, f64), (f64, f64)),
        (class, what): (&str, &str),
    ) -> Self {
        let mut out = String::new();
        let _ = write!(
            out,
            r#"<svg class="{class}" viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#,
            escape(what)
        );
        Self {
            out,
            x: Axis::new(x, (margin.left, width - margin.right)),
            y: Axis::new(y, (height - margin.bottom, margin.top)),
            width,
            height,
            margin,
        }
    }

    /// Pixel of the plotting area's lower edge.
    #[must_use]
    pub fn floor(&self) -> f64 {
        self.height - self.margin.bottom
    }

    /// Pixel of the plotting area's upper edge.
    #[must_use]
    pub fn ceiling(&self) -> f64 {
        self.margin.top
    }

    /// Horizontal grid lines with labels.
    pub fn y_grid(&mut self, target: u32) {
        for tick in self.y.ticks(target) {
            let y = self.y.at(tick);
            let (left, right) = (self.margin.left, self.width - self.margin.right);
            let _ = write!(
                self.out,
                r#"<line class="grid" x1="{left}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                left - 6.0,
                y + 3.5,
                label(tick)
            );
        }
    }

    /// Vertical tick labels along the floor.
    pub fn x_ticks(&mut self, target: u32) {
        let floor = self.floor();
        for tick in self.x.ticks(target) {
            let x = self.x.at(tick);
            let _ = write!(
                self.out,
                r#"<line class="axis" x1="{x:.1}" x2="{x:.1}" y1="{floor}" y2="{:.1}"/><text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                floor + 4.0,
                floor + 15.0,
                label(tick)
            );
        }
        self.x_ticks_none();
    }

    /// The floor alone, for axes of names.
    pub fn x_ticks_none(&mut self) {
        let (left, right, floor) = (self.margin.left, self.width - self.margin.right, self.floor());
        let _ =
            write!(self.out, r#"<line class="axis" x1="{left}" x2="{right}" y1="{floor}" y2="{floor}"/>"#);
    }

    /// Names of the axes: `y` above the axis, `x` under the right end of the floor.
    pub fn names(&mut self, x: &str, y: &str) {
        let (right, bottom) = (self.width - self.margin.right, self.height - 3.0);
        let _ = write!(
            self.out,
            r#"<text class="name" x="4" y="{:.1}">{}</text><text class="name" x="{right}" y="{bottom}" text-anchor="end">{}</text>"#,
            self.margin.top - 8.0,
            escape(y),
            escape(x)
        );
    }

    /// A line through points in data coordinates; a point that is not finite breaks it.
    pub fn line(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let mut path = String::new();
        let mut pen_down = false;
        for (x, y) in points {
            if !y.is_finite() {
                pen_down = false;
                continue;
            }
            let command = if pen_down { 'L' } else { 'M' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x.at(x), self.y.at(y));
            pen_down = true;
        }
        if !path.is_empty() {
            let _ = write!(self.out, r#"<path class="line {class}" d="{path}"/>"#);
        }
    }

    /// A filled rectangle in pixels.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (w, h): (f64, f64), title: &str) {
        let _ = write!(
            self.out,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}""#,
            w.max(0.0),
            h.max(0.0)
        );
        self.close(title, "rect");
    }

    /// A filled circle in pixels.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, title: &str) {
        let _ = write!(self.out, r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}""#);
        self.close(title, "circle");
    }

    /// A straight stroke in pixels.
    pub fn stroke(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64), title: &str) {
        let _ =
            write!(self.out, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}""#);
        self.close(title, "line");
    }

    /// Text at a pixel; `anchor` is `start`, `middle` or `end`.
    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
        let _ = write!(
            self.out,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escape(text)
        );
    }

    /// A path in pixels.
    pub fn path(&mut self, class: &str, d: &str, title: &str) {
        let _ = write!(self.out, r#"<path class="{class}" d="{d}""#);
        self.close(title, "path");
    }

    fn close(&mut self, title: &str, tag: &str) {
        if title.is_empty() {
            self.out.push_str("/>");
        } else {
            let _ = write!(self.out, "><title>{}</title></{tag}>", escape(title));
        }
    }

    /// The finished picture.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::new((17.3, 41.2), (0.0, 100.0));
        assert_eq!(axis.ticks(5), [20.0, 25.0, 30.0, 35.0, 40.0]);
        assert_eq!(Axis::new((0.0, 1.0), (0.0, 1.0)).ticks(5).len(), 6);
        assert_eq!(Axis::new((3.0, 3.0), (0.0, 10.0)).at(3.0), 5.0);
    }

    #[test]
    fn labels_are_short() {
        for (value, text) in
            [(0.95, "0.95"), (30.0, "30"), (1250.0, "1250"), (-0.0001, "0"), (0.125, "0.125")]
        {
            assert_eq!(label(value), text);
        }
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let margin = Margin { left: 0.0, right: 0.0, top: 0.0, bottom: 0.0 };
        let mut plot = Plot::new((10.0, 10.0), margin, ((0.0, 3.0), (0.0, 1.0)), ("", "x"));
        plot.line("a", [(0.0, 0.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, 1.0)].into_iter());
        assert!(plot.finish().contains(r#"d="M0.0 10.0M6.7 0.0L10.0 0.0""#));
    }

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(escape("<a href=\"x\">&'\u{1}"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{fffd}");
    }
}
