use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, ProtocolVersion};
use redis::{RedisError, RedisResult};
use tokio::task::LocalSet;

use super::intake::Intake;
use crate::config::Source;
use crate::node::Node;
use crate::services::Link;

/// What is published to channels.
mod channels;
/// What is added to streams.
mod streams;

/// How long a try to connect, or a command that does not wait, may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// A lost connection is made again after this time, and then after twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Starts to take what comes in channels and streams, each over a connection of its own: one that
/// waits for entries of a stream can do nothing else.
pub(super) fn start(local: &LocalSet, node: &Arc<Node>, source: &Arc<Source>) {
    if !source.channels.is_empty()
        && let Some(remote) = Remote::new(node, ProtocolVersion::RESP3, DEADLINE)
    {
        local.spawn_local(channels::run(remote, node.clone(), source.clone()));
    }
    if !source.streams.is_empty()
        && let Some(remote) = Remote::new(node, ProtocolVersion::RESP2, streams::WAIT + DEADLINE)
    {
        local.spawn_local(streams::run(remote, node.clone(), source.clone()));
    }
}

/// A connection to Redis that is made again when it is lost.
struct Remote {
    client: Client,
    link: Link,
    deadline: Duration,
    pause: Duration,
}

impl Remote {
    fn new(node: &Node, protocol: ProtocolVersion, deadline: Duration) -> Option<Self> {
        let config = node.config();
        let url = config.redis.url.as_ref()?;
        let client = url.reveal().into_connection_info().and_then(|info| {
            let settings = info.redis_settings().clone().set_protocol(protocol);
            Client::open(info.set_redis_settings(settings))
        });
        match client {
            Ok(client) => {
                let link = node.services.expect("redis");
                Some(Self { client, link, deadline, pause: PAUSE_MIN })
            }
            Err(error) => {
                tracing::error!(why = error.category(), "the URL of Redis");
                None
            }
        }
    }

    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(DEADLINE))
            .set_response_timeout(Some(self.deadline))
    }

    async fn connect(&self, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
        self.client.get_multiplexed_async_connection_with_config(config).await
    }

    /// It is connected, and has said what it should.
    fn up(&mut self) {
        self.pause = PAUSE_MIN;
        self.link.up();
    }

    /// It is not: waits for a while.
    async fn down(&mut self, error: &RedisError, intake: &Intake) {
        if self.link.down(&reason(error)) {
            intake.node().metrics.sources.redis_disconnects.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

/// Why something failed, in words that repeat themselves and hold no password.
fn reason(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("{} ({code})", error.category()),
        None => error.category().to_owned(),
    }
}

/// The name of a channel or key as a topic has it: in Redis, `:` separates what `.` does here.
fn name_of(key: &[u8]) -> String {
    String::from_utf8_lossy(key).replace(':', ".")
}
