use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::compare::{Results, Row, Table};

/// Writes `results.json` and `results.md`.
pub(crate) fn write(directory: &Path, results: &Results<'_>) -> Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("results.json"), format!("{:#}\n", results.to_json()))?;
    fs::write(directory.join("results.md"), markdown(results)?)?;
    Ok(())
}

fn markdown(results: &Results<'_>) -> Result<String> {
    let mut out = String::new();
    let word = |key: &str| match results.machine.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "unknown".to_owned(),
    };
    writeln!(
        out,
        "{}, {} cores, {}, Linux {}. Medians of {} rounds of {} s, servers in turn.\n",
        word("cpu"),
        word("cores"),
        word("memory"),
        word("kernel"),
        results.rounds,
        results.seconds
    )?;
    let versions: Vec<String> = results
        .versions
        .iter()
        .filter(|(_, version)| version != "-")
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    writeln!(out, "{}.", versions.join(", "))?;
    for (name, why) in &results.missing {
        writeln!(out, "Missing: {name} ({why}).")?;
    }
    for table in &results.tables {
        push_table(&mut out, table)?;
    }
    Ok(out)
}

fn push_table(out: &mut String, table: &Table<'_>) -> Result<()> {
    let mode = if table.is_pinned { "server on one core, load on another" } else { "unpinned" };
    writeln!(out, "\n**{}** (`{}`, {mode})\n", table.plan.title, table.plan.name)?;
    let columns = table.plan.columns;
    let heads: Vec<String> = columns.iter().map(|column| head(column)).collect();
    writeln!(out, "| server | {} | ratio |", heads.join(" | "))?;
    writeln!(out, "| --- |{}", " ---: |".repeat(columns.len() + 1))?;
    for row in &table.rows {
        if let Some(failure) = &row.failure {
            let short: String = failure.chars().take(80).collect();
            writeln!(out, "| {} | {short} |{}", row.target, " |".repeat(columns.len()))?;
            continue;
        }
        let figures = columns.iter().map(|column| {
            row.figures.get(column).map_or_else(|| "–".to_owned(), |value| shown(*value))
        });
        let figures: Vec<String> = figures.collect();
        let bound = if row.is_bound_by_load { " (load-bound)" } else { "" };
        let ratio = ratio(table, row).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        writeln!(out, "| {}{bound} | {} | {ratio} |", row.target, figures.join(" | "))?;
    }
    Ok(())
}

/// The first figure as a multiple of Tidings', turned round where more is better: below 1 is
/// better than Tidings.
fn ratio(table: &Table<'_>, row: &Row) -> Option<f64> {
    let column = table.plan.columns.first()?;
    let ours = table.rows.iter().find(|row| row.target == "Tidings")?.figures.get(column)?;
    let theirs = row.figures.get(column)?;
    let (ours, theirs) = if table.plan.more_is_better { (theirs, ours) } else { (ours, theirs) };
    (*ours > 0.0).then(|| theirs / ours)
}

fn head(column: &str) -> String {
    let (name, unit) = match column {
        "cpu_us_per_delivery" => ("CPU per delivery", "µs"),
        "deliveries_per_s" => ("deliveries", "1/s"),
        "load_busy_cores" => ("load", "cores"),
        "bytes_per_client" => ("memory per client", "bytes"),
        "connects_per_s" => ("connects", "1/s"),
        "cpu_us_per_connect" => ("CPU per connect", "µs"),
        "idle_cpu_cores" => ("CPU when idle", "cores"),
        "back_ms" => ("all back", "ms"),
        "cpu_ms" => ("CPU", "ms"),
        "missed_events" => ("missed events", "each"),
        "wire_bytes_per_delivery" => ("on the wire", "bytes"),
        "memory_mib" => ("memory grew", "MiB"),
        "lost_by_slow" => ("lost by the slow", "events"),
        "busiest_thread_share" => ("busiest of two threads", "part"),
        other => match other.strip_suffix("_ms") {
            Some(percentile) => (percentile, "ms"),
            None => (other, ""),
        },
    };
    format!("{name}, {unit}")
}

fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000_000.0 => format!("{:.2} M", value / 1e6),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
