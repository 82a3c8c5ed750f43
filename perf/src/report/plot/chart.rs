//! A chart as SVG, drawn by plotters: lines, points, ranges and marks between two axes.

use super::axis::Axis;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The room that a picture has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A screen.
    Wide,
    /// A telephone: as many letters on less room.
    Narrow,
}

impl Look {
    /// Both, with the class that the page's style knows them by.
    pub const BOTH: [(Look, &'static str); 2] = [(Look::Wide, "wide"), (Look::Narrow, "narrow")];

    fn size(self) -> (u32, u32) {
        if self == Look::Wide { (960, 480) } else { (380, 340) }
    }

    fn letters(self) -> u32 {
        if self == Look::Wide { 16 } else { 15 }
    }
}

/// Colours that can be told apart on light and on dark paper, also by who sees no red or green (Okabe and Ito).
pub const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(128, 128, 128),
    RGBColor(160, 32, 32),
];
/// What is for orientation alone.
pub const GREY: usize = 6;
/// What should not be.
pub const RED: usize = 7;

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line through the points.
    Line,
    /// A line, and each point on it.
    Dotted,
    /// Points alone.
    Points,
    /// Points that are somebody else's.
    Diamonds,
    /// A broken line: what is for orientation.
    Dashed,
    /// From the foot to each point.
    Sticks,
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// Of [`COLOURS`].
    pub colour: usize,
    /// How it is drawn.
    pub style: Style,
    /// In the axes' units.
    pub points: Vec<(f64, f64)>,
    /// By abscissa: the lowest and the highest that was measured there.
    pub ranges: Vec<(f64, f64, f64)>,
}

impl Series {
    /// Points without ranges.
    pub fn new(name: impl Into<String>, colour: usize, style: Style, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), colour, style, points, ranges: Vec::new() }
    }
}

/// A line across the chart with a word.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where on its axis.
    pub at: f64,
    /// It stands at a value of the horizontal axis; else it lies at one of the vertical one.
    pub upright: bool,
    /// What it says.
    pub says: String,
    /// Of [`COLOURS`].
    pub colour: usize,
}

impl Mark {
    /// At a value of the horizontal axis.
    pub fn upright(at: f64, says: impl Into<String>, colour: usize) -> Mark {
        Mark { at, upright: true, says: says.into(), colour }
    }

    /// At a value of the vertical axis.
    pub fn level(at: f64, says: impl Into<String>, colour: usize) -> Mark {
        Mark { upright: false, ..Mark::upright(at, says, colour) }
    }
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows, for who cannot see it too.
    pub title: String,
    /// What is to be seen, in a sentence.
    pub about: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// In the order in which they are drawn.
    pub series: Vec<Series>,
    /// Lines across.
    pub marks: Vec<Mark>,
}

type Backend<'s> = SVGBackend<'s>;
type Area<'s> = DrawingArea<Backend<'s>, Shift>;
type Plot<'a, 's> = ChartContext<'a, Backend<'s>, Cartesian2d<Axis, Axis>>;

/// More points than these are drawn by thinner lines.
const MANY: usize = 320;
/// How wide a letter is, by the letters' size, with some air.
const LETTER: f64 = 0.6;
/// What is beside the plot, by the letters' size.
const MARGINS: f64 = 6.5;
/// Between a broken line's dashes, and their length, pixels.
const DASH: (u32, u32) = (6, 5);

fn fault(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing: {error}")
}

impl Chart {
    /// Draws it.
    ///
    /// # Errors
    /// When plotters cannot.
    pub fn svg(&self, look: Look) -> Result<String> {
        let mut svg = String::new();
        {
            let root: Area<'_> = SVGBackend::with_string(&mut svg, look.size()).into_drawing_area();
            let letters = look.letters();
            let width = f64::from(look.size().0) - f64::from(letters) * MARGINS;
            let mut plot = ChartBuilder::on(&root)
                .margin(letters / 2)
                .margin_right(letters * 2)
                .margin_top(letters + letters / 2)
                .x_label_area_size(letters * 3)
                .y_label_area_size(letters * 4)
                .build_cartesian_2d(self.x.thinned(width, LETTER * f64::from(letters)), self.y.clone())
                .map_err(fault)?;
            self.mesh(&mut plot, letters)?;
            for series in &self.series {
                self.draw(&mut plot, series, look)?;
            }
            for (number, mark) in self.marks.iter().enumerate() {
                self.mark(&root, &plot, mark, number, letters)?;
            }
            // The vertical axis' name lies above it: on a telephone there is no room beside.
            let style = text_style(letters, &BLACK, Pos::new(HPos::Left, VPos::Top));
            root.draw(&Text::new(self.y.name.clone(), (2, 2), style)).map_err(fault)?;
            root.present().map_err(fault)?;
        }
        Ok(self.inline(&svg))
    }

    fn mesh(&self, plot: &mut Plot<'_, '_>, letters: u32) -> Result<()> {
        let mut mesh = plot.configure_mesh();
        mesh.light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.15))
            .axis_style(BLACK.mix(0.6))
            .label_style(("sans-serif", letters).into_font())
            .axis_desc_style(("sans-serif", letters).into_font())
            .x_desc(self.x.name.clone());
        mesh.draw().map_err(fault)
    }

    fn draw(&self, plot: &mut Plot<'_, '_>, series: &Series, look: Look) -> Result<()> {
        let colour = COLOURS[series.colour % COLOURS.len()];
        let foot = self.y.ends().0;
        let points = || series.points.iter().copied();
        let radius = if look == Look::Wide { 4 } else { 3 };
        let line = colour.stroke_width(if series.points.len() > MANY { 1 } else { 2 });
        if matches!(series.style, Style::Line | Style::Dotted) {
            plot.draw_series(LineSeries::new(points(), line)).map_err(fault)?;
        }
        match series.style {
            Style::Line => {}
            Style::Dotted | Style::Points => {
                let dots = points().map(|point| Circle::new(point, radius, colour.filled()));
                plot.draw_series(dots).map_err(fault)?;
            }
            Style::Diamonds => {
                let size = radius + 3;
                let corners = [(0, -size), (size, 0), (0, size), (-size, 0)];
                let shapes = points()
                    .map(|point| EmptyElement::at(point) + Polygon::new(corners.to_vec(), colour.filled()));
                plot.draw_series(shapes).map_err(fault)?;
            }
            Style::Dashed => {
                let dashes = DashedLineSeries::new(points(), DASH.0, DASH.1, colour.stroke_width(1));
                plot.draw_series(dashes).map_err(fault)?;
            }
            Style::Sticks => {
                let sticks = points().map(|(x, y)| PathElement::new(vec![(x, foot), (x, y)], line));
                plot.draw_series(sticks).map_err(fault)?;
            }
        }
        let ranges = series.ranges.iter().map(|(x, low, high)| {
            PathElement::new(vec![(*x, *low), (*x, *high)], colour.mix(0.6).stroke_width(1))
        });
        plot.draw_series(ranges).map_err(fault).map(drop)
    }

    fn mark(
        &self,
        root: &Area<'_>,
        plot: &Plot<'_, '_>,
        mark: &Mark,
        number: usize,
        letters: u32,
    ) -> Result<()> {
        let colour = COLOURS[mark.colour % COLOURS.len()];
        let ((left, right), (foot, top)) = (self.x.ends(), self.y.ends());
        let (from, to) = match mark.upright {
            true => ((mark.at, foot), (mark.at, top)),
            false => ((left, mark.at), (right, mark.at)),
        };
        let to_pixels = |point: (f64, f64)| plot.plotting_area().map_coordinate(&point);
        let line = vec![to_pixels(from), to_pixels(to)];
        root.draw(&PathElement::new(line, colour.stroke_width(1))).map_err(fault)?;
        let (x, y) = to_pixels(to);
        let gap = letters as i32 / 3;
        // Words of neighbours lie in different lines; those at the right end left of their line.
        let (at, place) = match (mark.upright, self.x.share(mark.at) > 0.6) {
            (true, late) => {
                let line = gap + (number % 4) as i32 * (letters as i32 + gap);
                let side = if late { (x - gap, HPos::Right) } else { (x + gap, HPos::Left) };
                ((side.0, y + line), Pos::new(side.1, VPos::Top))
            }
            (false, _) => ((x - gap, y - gap), Pos::new(HPos::Right, VPos::Bottom)),
        };
        let style = text_style(letters, &colour, place);
        root.draw(&Text::new(mark.says.clone(), at, style)).map_err(fault)
    }

    /// As a page takes it: of the width that there is, in the page's colour, with words for who cannot see it.
    fn inline(&self, svg: &str) -> String {
        let (head, rest) = svg.split_once('>').unwrap_or(("", svg));
        let view = head.find("viewBox=").and_then(|at| head[at..].split('"').nth(1)).unwrap_or("0 0 1 1");
        let (title, about) = (escaped(&self.title), escaped(&self.about));
        format!(
            "<svg viewBox=\"{view}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title><desc>{about}</desc>{}",
            rest.replace("\"#000000\"", "\"currentColor\"")
        )
    }
}

fn text_style(letters: u32, colour: &RGBColor, place: Pos) -> TextStyle<'_> {
    TextStyle::from(("sans-serif", letters).into_font()).color(colour).pos(place)
}

/// Text as HTML has it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
#[path = "chart/test.rs"]
mod test;
