use std::sync::Arc;
use std::time::Duration;

use brokers::{Embedded, Level, Notice, OpenError, Options};
use engine::StreamTable;
use server::Parts;
use server::config::Config;

/// How long answers that are on their way have where a stream cannot be written any more.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Why parts cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// A name that is fixed in the server broke a rule.
    #[error(transparent)]
    Name(#[from] protocol::Error),
    /// The directory of the broker cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
}

/// Puts a server together from its configuration.
///
/// `reread` reads the configuration anew when a reload is asked for; `extra` are more routes of
/// the admin listener.
///
/// # Errors
/// [`AssembleError`].
pub fn assemble(
    config: Config,
    reread: Box<dyn Fn() -> Result<Config, String> + Send + Sync>,
    extra: Option<axum::Router>,
) -> Result<Parts, AssembleError> {
    let table: Arc<StreamTable> = Arc::new(server::stream_table(&config)?);
    let options = Options {
        tail_bytes_max: config.limits.tail_bytes.as_len(),
        cursor_age_ms: config.limits.cursor_age.as_ms(),
        cursor_count: config.limits.cursors as usize,
        tell: Arc::new(tell),
        ..Options::default()
    };
    let broker = Arc::new(match &config.broker.dir {
        Some(directory) => Embedded::open(&table, directory, &options)?,
        None => Embedded::new(&table, &options),
    });
    Ok(Parts { config, table, broker, reread, extra })
}

fn tell(Notice { level, text }: Notice) {
    match level {
        Level::Info => tracing::info!("{text}"),
        Level::Warning => tracing::warn!("{text}"),
        Level::Fatal => {
            tracing::error!("{text}; the process ends");
            // What is on the disk is only known for certain after a new start.
            std::thread::spawn(|| {
                std::thread::sleep(LAST_ANSWERS);
                std::process::exit(1);
            });
        }
    }
}
