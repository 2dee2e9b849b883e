use std::io::{self, Write};

use server::config::{Log, LogFormat, LogLevel};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::output;
use super::text::escaped;

/// What is logged can be changed while the server runs.
#[derive(Clone)]
pub(crate) struct Logging {
    level: reload::Handle<Targets, Registry>,
}

impl Logging {
    /// Logs to standard error from now on.
    pub(crate) fn start(log: &Log) -> Self {
        let (filter, level) = reload::Layer::new(filter_of(log.level));
        let registry = tracing_subscriber::registry().with(filter);
        let is_coloured = output::is_colourful() && log.format == LogFormat::Text;
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(is_coloured)
            .with_writer(move || Lines { is_coloured });
        // Only where somebody else logs already, who then goes on doing so.
        let _ = match log.format {
            LogFormat::Text => registry.with(lines).try_init(),
            LogFormat::Json => registry.with(lines.json()).try_init(),
        };
        Self { level }
    }

    /// Logs from this level on.
    pub(crate) fn set_level(&self, level: LogLevel) {
        // It only fails where the subscriber is gone, and nothing is logged then.
        let _ = self.level.reload(filter_of(level));
    }
}

/// What the connection to NATS does is said by this server itself, and once.
fn filter_of(level: LogLevel) -> Targets {
    let all = level_of(level);
    let detailed = if all > LevelFilter::INFO { all } else { LevelFilter::OFF };
    Targets::new().with_default(all).with_target("async_nats", detailed)
}

fn level_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Writes log lines in which nothing that a peer sent can pass for a line of its own, or steer the
/// terminal.
struct Lines {
    is_coloured: bool,
}

impl Write for Lines {
    /// Takes a whole line, as the subscriber hands it over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        let printable = if self.is_coloured {
            // The subscriber's own colours stand; it escapes those in what it was given.
            body.split('\u{1b}').map(escaped).collect::<Vec<_>>().join("\u{1b}")
        } else {
            escaped(body).into_owned()
        };
        io::stderr().lock().write_all(format!("{printable}\n").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
