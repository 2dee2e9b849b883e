use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind, RedisResult, Value};

use super::{Remote, name_of};
use crate::config::Source;
use crate::node::Node;
use crate::sources::intake::{Intake, Message};

/// The connection is asked this often whether it still answers.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Takes what is published to the channels, for ever. What is published while there is no
/// connection is not kept by anybody.
pub(super) async fn run(mut remote: Remote, node: Arc<Node>, source: Arc<Source>) {
    let intake = Arc::new(Intake::new(node, source.clone()));
    let for_pushed = intake.clone();
    let config = remote.config().set_push_sender(move |push: PushInfo| {
        for_pushed.put_some(message(push));
        Ok::<(), ()>(())
    });
    let listen = async {
        loop {
            let Err(error) = listen(&mut remote, &config, &source).await else { continue };
            remote.down(&error, &intake).await;
        }
    };
    tokio::join!(listen, intake.pour());
}

/// Subscribes, and stays until the connection fails.
async fn listen(
    remote: &mut Remote,
    config: &redis::AsyncConnectionConfig,
    source: &Source,
) -> RedisResult<()> {
    let mut connection = remote.connect(config).await?;
    for channel in &source.channels {
        if channel.contains(['*', '?', '[', '\\']) {
            connection.psubscribe(channel).await?;
        } else {
            connection.subscribe(channel).await?;
        }
    }
    remote.up();
    loop {
        tokio::time::sleep(PING_EVERY).await;
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
    }
}

/// What was published, where it is that.
fn message(PushInfo { kind, data }: PushInfo) -> Option<Message> {
    let mut parts = data.into_iter();
    match kind {
        PushKind::Message => {}
        // First of all, the pattern.
        PushKind::PMessage => drop(parts.next()),
        _ => return None,
    }
    let (Value::BulkString(channel), Value::BulkString(data)) = (parts.next()?, parts.next()?)
    else {
        return None;
    };
    Some(Message { name: name_of(&channel), data: data.into(), ..Message::default() })
}
