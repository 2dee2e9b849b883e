use std::sync::Arc;

use brokers::{Embedded, Options};
use engine::StreamTable;
use server::Parts;
use server::config::Config;

/// Puts a server together from its configuration.
///
/// `reread` reads the configuration anew when a reload is asked for; `extra` are more routes of
/// the admin listener.
///
/// # Errors
/// Never, unless a name that is fixed in the server broke a rule.
pub fn assemble(
    config: Config,
    reread: Box<dyn Fn() -> Result<Config, String> + Send + Sync>,
    extra: Option<axum::Router>,
) -> Result<Parts, protocol::Error> {
    let table: Arc<StreamTable> = Arc::new(server::stream_table(&config)?);
    let options = Options {
        tail_bytes_max: config.limits.tail_bytes.as_len(),
        cursor_age_ms: config.limits.cursor_age.as_ms(),
        cursor_count: config.limits.cursors as usize,
        ..Options::default()
    };
    let broker = Arc::new(Embedded::new(&table, &options));
    Ok(Parts { config, table, broker, reread, extra })
}
