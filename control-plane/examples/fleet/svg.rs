//! Line charts, as small SVG documents that are the same for the same figures.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 48.0;
/// Steps of the grid, at most.
const STEPS: f64 = 6.0;

pub struct Line {
    pub name: &'static str,
    pub colour: &'static str,
    pub points: Vec<(f64, f64)>,
}

pub struct Chart {
    pub title: &'static str,
    pub across: &'static str,
    pub up: &'static str,
    pub lines: Vec<Line>,
}

impl Chart {
    /// The document.
    pub fn render(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let most = |pick: fn(&(f64, f64)) -> f64| points().map(pick).fold(0.0, f64::max).max(1e-9);
        let (step_x, step_y) = (step(most(|point| point.0)), step(most(|point| point.1)));
        let max_x = most(|point| point.0);
        let max_y = (most(|point| point.1) / step_y).ceil() * step_y;
        let x = |value: f64| LEFT + value / max_x * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value / max_y * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{}</text>\n",
            self.title
        );
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for n in 0..=(max_y / step_y).round() as u32 {
            let value = f64::from(n) * step_y;
            let at = y(value);
            // Writing to a string cannot fail.
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#e2e8f0\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                LEFT - 6.0,
                at + 4.0
            );
        }
        for n in 0..=(max_x / step_x).floor() as u32 {
            let value = f64::from(n) * step_x;
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
                x(value),
                bottom + 18.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 10.0,
            self.across
        );
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\" fill=\"#4a5568\">{}</text>", TOP - 4.0, self.up);
        for (n, line) in self.lines.iter().enumerate() {
            let path: Vec<_> = line.points.iter().map(|(px, py)| format!("{:.1} {:.1}", x(*px), y(*py))).collect();
            let legend = TOP + 18.0 * n as f64;
            let _ = writeln!(
                svg,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"/>",
                path.join("L"),
                line.colour
            );
            let _ = writeln!(
                svg,
                "<path d=\"M{} {legend:.1}h16\" stroke=\"{}\" stroke-width=\"3\"/><text x=\"{}\" y=\"{:.1}\">{}</text>",
                right + 10.0,
                line.colour,
                right + 30.0,
                legend + 4.0,
                line.name
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// A round step that divides `most` into a few.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most / STEPS).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| most / step <= STEPS)
        .unwrap_or(10.0 * power)
}
