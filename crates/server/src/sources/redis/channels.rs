use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind, RedisResult, Value};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver};

use super::{Remote, name_of};
use crate::config::Source;
use crate::node::Node;
use crate::sources::intake::{Intake, Lost, Message};

/// The connection is asked this often whether it still answers.
const PING_EVERY: Duration = Duration::from_secs(1);
/// Messages between the connection and this source; more are lost and counted.
const UNREAD_MAX: usize = 8_192;

/// Takes what is published to the channels, for ever. What is published while there is no
/// connection is not kept by anybody.
pub(super) async fn run(mut remote: Remote, node: Arc<Node>, source: Rc<Source>) {
    let intake = Intake::new(node, source.clone());
    let (pushed, mut messages) = mpsc::channel(UNREAD_MAX);
    let (overflowed, mut overflows) = mpsc::channel::<()>(UNREAD_MAX);
    let config = remote.config().set_push_sender(move |push: PushInfo| {
        match pushed.try_send(push) {
            // What cannot be counted exactly is at least counted up to the bound.
            Err(TrySendError::Full(_)) => drop(overflowed.try_send(())),
            Ok(()) | Err(TrySendError::Closed(_)) => {}
        }
        Ok::<(), ()>(())
    });
    let listen = async {
        loop {
            let Err(error) = listen(&mut remote, &config, &source).await else { continue };
            remote.down(&error, &intake).await;
        }
    };
    let count = async {
        while overflows.recv().await.is_some() {
            intake.lose(Lost::Dropped, "", "messages come faster than they are read");
        }
    };
    tokio::join!(listen, read(&mut messages, &intake), count, intake.pour());
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

async fn read(messages: &mut Receiver<PushInfo>, intake: &Intake) {
    while let Some(PushInfo { kind, data }) = messages.recv().await {
        let mut parts = data.into_iter();
        match kind {
            PushKind::Message => {}
            // First of all, the pattern.
            PushKind::PMessage => drop(parts.next()),
            _ => continue,
        }
        if let (Some(Value::BulkString(channel)), Some(Value::BulkString(data))) =
            (parts.next(), parts.next())
        {
            let name = name_of(&channel);
            intake.put(Message { name, data: data.into(), ..Message::default() });
        }
    }
}
