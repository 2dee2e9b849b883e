use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};

use serde_json::Value;

use super::failure::{Failure, Result};
use super::text::escaped;

/// Bytes that are gathered before they are written, where more follow at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Standard output. Nothing else writes to it.
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    is_json: bool,
}

impl Output {
    /// For programs, or for people.
    pub(crate) fn new(is_json: bool) -> Self {
        Self { stdout: BufWriter::with_capacity(BUFFER_BYTES, io::stdout()), is_json }
    }

    /// Whether programs read it: one JSON object per line.
    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Writes bytes as they are, and a line break.
    pub(crate) fn line(&mut self, line: impl AsRef<[u8]>) -> Result {
        let written = self.stdout.write_all(line.as_ref());
        written
            .and_then(|()| self.stdout.write_all(b"\n"))
            .map_err(|error| Failure::of_output(&error))
    }

    /// Writes JSON text as one line: its line breaks stand between tokens, for within strings JSON
    /// has none.
    pub(crate) fn json_line(&mut self, json: &str) -> Result {
        if json.contains(['\n', '\r']) {
            return self.line(json.replace(['\n', '\r'], ""));
        }
        self.line(json)
    }

    /// Writes text that ends its own lines.
    pub(crate) fn text(&mut self, text: &str) -> Result {
        self.stdout.write_all(text.as_bytes()).map_err(|error| Failure::of_output(&error))
    }

    /// Hands everything on.
    pub(crate) fn flush(&mut self) -> Result {
        self.stdout.flush().map_err(|error| Failure::of_output(&error))
    }

    /// Writes rows in columns as wide as they need to be. Columns whose heading begins with a
    /// space are numbers.
    pub(crate) fn table(&mut self, headings: &[&str], rows: &[Vec<String>]) -> Result {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| escaped(cell).into_owned()).collect())
            .collect();
        let width_of = |at: usize, heading: &str| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            widest.max(heading.trim().chars().count())
        };
        let widths: Vec<usize> =
            headings.iter().enumerate().map(|(at, heading)| width_of(at, heading)).collect();
        let first = headings.iter().map(|heading| heading.trim().to_owned()).collect();
        for row in std::iter::once(&first).chain(&rows) {
            let mut line = String::new();
            for ((cell, width), heading) in row.iter().zip(&widths).zip(headings) {
                if heading.starts_with(' ') {
                    line.push_str(&format!("{cell:>width$}  "));
                } else {
                    line.push_str(&format!("{cell:<width$}  "));
                }
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Writes the fields of an object for people: first those named, in that order.
    pub(crate) fn fields(&mut self, object: &Value, first: &[&str]) -> Result {
        let Some(object) = object.as_object() else { return Ok(()) };
        let named = first.iter().filter_map(|key| object.get_key_value(*key));
        let others = object.iter().filter(|(key, _)| !first.contains(&key.as_str()));
        let fields: Vec<(&String, &Value)> = named.chain(others).collect();
        let width = fields.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
        for (key, value) in fields {
            self.line(format!("{key:<width$}  {}", escaped(&cell(value))))?;
        }
        Ok(())
    }
}

/// Puts what people read into the place of a field, where there is something to read.
pub(crate) fn replace(object: &mut Value, key: &str, text: impl Fn(&Value) -> Option<String>) {
    if let Some(field) = object.get_mut(key)
        && let Some(text) = text(field)
    {
        *field = text.into();
    }
}

/// A JSON value as a person would write it in a table.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key} {}", cell(value)));
            fields.collect::<Vec<_>>().join(", ")
        }
        Value::Number(number) => number.to_string(),
    }
}

/// Writes a line to standard error. Where nobody can be told, nobody is told.
pub(crate) fn error_line(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Tells people what happens meanwhile.
pub(crate) fn note(text: &str) {
    error_line(&format!("tidings: {}", escaped(text)));
}

/// Whether colours and progress may go to standard error: it is a terminal, and nobody asked to
/// be spared (no-color.org).
pub(crate) fn is_colourful() -> bool {
    is_watched() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether a person watches standard error.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Shows how far something has come, in the place of what was shown before.
pub(crate) fn progress(text: &str) {
    // `ESC [ K` clears the rest of the line (ECMA-48, erase in line).
    let _ = write!(io::stderr().lock(), "\r{text}\u{1b}[K");
}
