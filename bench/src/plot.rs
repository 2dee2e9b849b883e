use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

/// How something grows: for each value the CPU per delivery in µs and the 99th percentile in ms.
pub(crate) struct Curve {
    pub(crate) title: &'static str,
    pub(crate) label: &'static str,
    pub(crate) points: Vec<(usize, f64, f64)>,
}

const SIZE: (u32, u32) = (1_000, 760);
const COST: RGBColor = RGBColor(32, 96, 192);
const LATENCY: RGBColor = RGBColor(208, 96, 32);

/// Draws all curves into one picture, two in a row.
pub(crate) fn draw(file: &Path, curves: &[Curve]) -> Result<()> {
    let wrong = |error: &dyn std::fmt::Display| anyhow!("drawing: {error}");
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(|error| wrong(&error))?;
    let rows = curves.len().div_ceil(2);
    for (curve, part) in curves.iter().zip(area.split_evenly((rows, 2))) {
        draw_one(&part, curve).map_err(|error| wrong(&error))?;
    }
    area.present().map_err(|error| wrong(&error))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_one(area: &Area<'_>, curve: &Curve) -> Result<(), Box<dyn std::error::Error>> {
    // A logarithm has no 0.
    let at = |value: usize| value.max(1) as f64;
    let last = curve.points.iter().map(|point| at(point.0)).fold(1.0, f64::max);
    let first = curve.points.iter().map(|point| at(point.0)).fold(last, f64::min);
    let most = |value: fn(&(usize, f64, f64)) -> f64| {
        curve.points.iter().map(value).fold(f64::EPSILON, f64::max) * 1.2
    };
    let mut chart = ChartBuilder::on(area)
        .caption(curve.title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(38)
        .y_label_area_size(52)
        .right_y_label_area_size(52)
        .build_cartesian_2d((first..last).log_scale(), 0.0..most(|point| point.1))?
        .set_secondary_coord((first..last).log_scale(), 0.0..most(|point| point.2));
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(curve.label)
        .y_desc("CPU per delivery, µs")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .axis_desc_style(("sans-serif", 13, &COST))
        .draw()?;
    chart
        .configure_secondary_axes()
        .y_desc("p99, ms")
        .axis_desc_style(("sans-serif", 13, &LATENCY))
        .draw()?;
    let cost = || curve.points.iter().map(|point| (at(point.0), point.1));
    let latency = || curve.points.iter().map(|point| (at(point.0), point.2));
    chart.draw_series(LineSeries::new(cost(), COST.stroke_width(2)))?;
    chart.draw_series(cost().map(|point| Circle::new(point, 3, COST.filled())))?;
    chart.draw_secondary_series(LineSeries::new(latency(), LATENCY.stroke_width(2)))?;
    chart.draw_secondary_series(latency().map(|point| Circle::new(point, 3, LATENCY.filled())))?;
    Ok(())
}
