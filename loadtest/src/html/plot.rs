//! Plots as SVG: lines over an axis, shaded stretches, marks. Pure.

use crate::limits::PLOT_POINTS_MAX;
use std::fmt::Write as _;

const WIDTH: f64 = 1_040.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 34.0;
/// Marks on an axis, about.
const TICKS: f64 = 6.0;

/// A line with its name.
pub struct Series<'a> {
    pub name: &'a str,
    /// A CSS class: it has the colour.
    pub class: &'a str,
    pub points: Vec<(f64, f64)>,
    /// Dots on the line, for few points.
    pub dots: bool,
    /// Points farther apart than this are not joined: nothing was measured between them.
    pub gap: f64,
}

/// A stretch of the horizontal axis.
pub struct Band {
    pub from: f64,
    pub to: f64,
    pub name: String,
}

/// A moment on it.
pub struct Mark {
    pub at: f64,
    pub what: String,
}

/// A plot.
pub struct Plot<'a> {
    pub title: &'a str,
    pub x_unit: &'a str,
    pub height: f64,
    pub series: Vec<Series<'a>>,
    pub bands: Vec<Band>,
    pub marks: Vec<Mark>,
    /// A horizontal line with its name: an objective.
    pub limit: Option<(f64, String)>,
    /// Each step is ten times the last.
    pub logarithmic: bool,
}

struct Scale {
    x: (f64, f64),
    y: (f64, f64),
    height: f64,
    logarithmic: bool,
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x.0) / (self.x.1 - self.x.0).max(f64::MIN_POSITIVE) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.y.0).ln() - self.y.0.ln()) / (self.y.1.ln() - self.y.0.ln()).max(f64::MIN_POSITIVE)
        } else {
            (value - self.y.0) / (self.y.1 - self.y.0).max(f64::MIN_POSITIVE)
        };
        self.height - BOTTOM - share.clamp(0.0, 1.0) * (self.height - TOP - BOTTOM)
    }
}

impl Plot<'_> {
    /// The plot, or a sentence when there is nothing to show.
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| series.points.iter());
        if points().next().is_none() {
            return format!("<p class=\"none\">{}: nothing was measured.</p>", escape(self.title));
        }
        let scale = self.scale();
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {h}\" role=\"img\" aria-label=\"{title}\">\n<text x=\"{LEFT}\" y=\"16\" class=\"title\">{title}</text>\n",
            h = self.height,
            title = escape(self.title)
        );
        self.draw_bands(&mut svg, &scale);
        self.draw_axes(&mut svg, &scale);
        self.draw_limit(&mut svg, &scale);
        for series in &self.series {
            draw_series(&mut svg, &scale, series);
        }
        self.draw_marks(&mut svg, &scale);
        self.draw_legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn scale(&self) -> Scale {
        let points = || self.series.iter().flat_map(|series| series.points.iter());
        let least = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::INFINITY, f64::min);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::NEG_INFINITY, f64::max);
        let limit = self.limit.as_ref().map_or(f64::NEG_INFINITY, |(at, _)| *at);
        let (from, to) = self
            .bands
            .iter()
            .fold((least(|p| p.0), most(|p| p.0)), |(from, to), band| (from.min(band.from), to.max(band.to)));
        let top = most(|p| p.1).max(limit);
        let y = if self.logarithmic {
            let bottom = points().map(|p| p.1).filter(|y| *y > 0.0).fold(f64::INFINITY, f64::min);
            let bottom = if bottom.is_finite() { bottom } else { 1.0 };
            (10_f64.powf(bottom.log10().floor()), 10_f64.powf(top.max(bottom * 10.0).log10().ceil()))
        } else {
            (0.0, (top * 1.08).max(1e-9))
        };
        let x = if to > from { (from, to) } else { (from - 0.5, from + 0.5) };
        Scale { x, y, height: self.height, logarithmic: self.logarithmic }
    }

    fn draw_bands(&self, svg: &mut String, scale: &Scale) {
        for (number, band) in self.bands.iter().enumerate() {
            let (from, to) = (scale.x(band.from), scale.x(band.to));
            let class = if number % 2 == 0 { "band" } else { "band odd" };
            put(
                svg,
                format_args!(
                    "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" class=\"{class}\"><title>{}</title></rect>\n",
                    (to - from).max(0.0),
                    self.height - TOP - BOTTOM,
                    escape(&band.name)
                ),
            );
        }
        // Behind all of them, so that none covers a name; where there is room for it.
        for band in &self.bands {
            let (from, to) = (scale.x(band.from), scale.x(band.to));
            if to - from > 6.2 * band.name.len() as f64 {
                let (x, name) = ((from + to) / 2.0, escape(&band.name));
                put(svg, format_args!("<text x=\"{x:.1}\" y=\"{:.1}\" class=\"name\">{name}</text>\n", TOP + 11.0));
            }
        }
    }

    fn draw_axes(&self, svg: &mut String, scale: &Scale) {
        for value in ticks(scale.y, self.logarithmic) {
            let y = scale.y(value);
            put(
                svg,
                format_args!(
                    "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"grid\"/>\n\
                     <text x=\"{:.1}\" y=\"{:.1}\" class=\"tick end\">{}</text>\n",
                    WIDTH - RIGHT,
                    LEFT - 6.0,
                    y + 4.0,
                    short(value)
                ),
            );
        }
        let bottom = self.height - BOTTOM;
        for value in ticks(scale.x, false) {
            let x = scale.x(value);
            put(
                svg,
                format_args!(
                    "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom:.1}\" y2=\"{:.1}\" class=\"axis\"/>\n\
                     <text x=\"{x:.1}\" y=\"{:.1}\" class=\"tick\">{}</text>\n",
                    bottom + 4.0,
                    bottom + 17.0,
                    short(value)
                ),
            );
        }
        put(
            svg,
            format_args!(
                "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\" class=\"axis\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" class=\"tick end\">{}</text>\n",
                WIDTH - RIGHT,
                WIDTH - RIGHT,
                bottom + 30.0,
                escape(self.x_unit)
            ),
        );
    }

    fn draw_limit(&self, svg: &mut String, scale: &Scale) {
        let Some((at, name)) = &self.limit else { return };
        let y = scale.y(*at);
        put(
            svg,
            format_args!(
                "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"limit\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" class=\"limit end\">{}</text>\n",
                WIDTH - RIGHT,
                WIDTH - RIGHT - 4.0,
                y - 4.0,
                escape(name)
            ),
        );
    }

    fn draw_marks(&self, svg: &mut String, scale: &Scale) {
        let bottom = self.height - BOTTOM;
        for (number, mark) in self.marks.iter().enumerate() {
            let x = scale.x(mark.at);
            put(
                svg,
                format_args!(
                    "<g class=\"mark\"><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>\
                     <circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"7\"/><text x=\"{x:.1}\" y=\"{:.1}\">{}</text><title>{}</title></g>\n",
                    TOP + 22.0,
                    TOP + 22.0,
                    TOP + 25.5,
                    number + 1,
                    escape(&mark.what)
                ),
            );
        }
    }

    fn draw_legend(&self, svg: &mut String) {
        let mut x = WIDTH - RIGHT;
        for series in self.series.iter().rev() {
            x -= 7.0 * series.name.len() as f64 + 30.0;
            put(
                svg,
                format_args!(
                    "<line x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"12\" y2=\"12\" class=\"line {}\"/>\
                     <text x=\"{:.1}\" y=\"16\" class=\"legend\">{}</text>\n",
                    x + 18.0,
                    series.class,
                    x + 23.0,
                    escape(series.name)
                ),
            );
        }
    }
}

fn draw_series(svg: &mut String, scale: &Scale, series: &Series<'_>) {
    let step = series.points.len().div_ceil(PLOT_POINTS_MAX).max(1);
    let kept: Vec<(f64, f64)> = series.points.iter().step_by(step).copied().collect();
    let points: Vec<(f64, f64)> = kept.iter().map(|(x, y)| (scale.x(*x), scale.y(*y))).collect();
    let mut path = String::new();
    for (number, (x, y)) in points.iter().enumerate() {
        let joined = number > 0 && kept[number].0 - kept[number - 1].0 <= series.gap * step as f64;
        put(&mut path, format_args!("{}{x:.1} {y:.1}", if joined { " L" } else { " M" }));
    }
    put(svg, format_args!("<path d=\"{path}\" class=\"line {}\"/>\n", series.class));
    if series.dots {
        for (x, y) in &points {
            put(svg, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\" class=\"dot {}\"/>\n", series.class));
        }
    }
}

/// Round values over a range.
fn ticks((from, to): (f64, f64), logarithmic: bool) -> Vec<f64> {
    if logarithmic {
        let (low, high) = (from.log10().round() as i32, to.log10().round() as i32);
        return (low..=high).map(|power| 10_f64.powi(power)).collect();
    }
    let rough = ((to - from) / TICKS).max(f64::MIN_POSITIVE);
    let unit = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * unit).find(|step| *step >= rough).unwrap_or(unit);
    let first = (from / step).ceil() as i64;
    (first..).map(|number| number as f64 * step).take_while(|value| *value <= to + step * 1e-6).collect()
}

/// A number as an axis has room for.
fn short(value: f64) -> String {
    match value.abs() {
        big if big >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        big if big >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".into() } else { text.into() }
}

/// Text that HTML and SVG take.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn put(to: &mut String, what: std::fmt::Arguments<'_>) {
    to.write_fmt(what).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> Plot<'static> {
        Plot {
            title: "a < b",
            x_unit: "s",
            height: 200.0,
            series: vec![Series { name: "x", class: "a", points, dots: true, gap: f64::INFINITY }],
            bands: vec![Band { from: 0.0, to: 5.0, name: "hold".into() }],
            marks: vec![Mark { at: 2.0, what: "killed".into() }],
            limit: Some((50.0, "objective".into())),
            logarithmic: false,
        }
    }

    #[test]
    fn points_lie_between_the_axes_and_text_is_escaped() {
        let svg = plot(vec![(0.0, 0.0), (10.0, 100.0)]).svg();
        assert!(svg.contains("a &lt; b") && svg.contains("killed") && svg.contains("objective"));
        assert!(svg.contains(&format!("M{LEFT:.1} {:.1}", 200.0 - BOTTOM)), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(plot(Vec::new()).svg().contains("nothing was measured"));
        assert!(!plot(vec![(1.0, 0.0)]).svg().contains("NaN"), "a single point");
    }

    #[test]
    fn axes_have_round_marks() {
        assert_eq!(ticks((0.0, 60.0), false), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(ticks((0.1, 100.0), true).len(), 4);
        assert_eq!((short(12_000.0).as_str(), short(0.5).as_str(), short(0.0).as_str()), ("12k", "0.5", "0"));
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let mut broken = plot(vec![(0.0, 1.0), (1.0, 1.0), (5.0, 1.0), (6.0, 1.0)]);
        broken.series[0].gap = 1.5;
        assert_eq!(broken.svg().matches(" M").count(), 2, "two lines");
    }

    #[test]
    fn many_points_are_thinned_out() {
        let points = (0..PLOT_POINTS_MAX * 3).map(|x| (x as f64, 1.0)).collect();
        let mut many = plot(points);
        many.series[0].dots = false;
        assert!(many.svg().matches(" L").count() <= PLOT_POINTS_MAX);
    }
}
