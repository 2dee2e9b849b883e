use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use protocol::{Appended, Pattern, Position};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::commands::{Call, Handling};
use crate::driver::Driver;
use crate::error::Error;
use crate::event::{HistoryPage, Item};
use crate::handlers::Queue;
use crate::link::Connector;
use crate::options::{History, Options, Publish, Subscribe};
use crate::requests::Reply;
use crate::subscriptions::{Key, Started};
use crate::url::Url;
use crate::websocket_link::WebSocketConnector;

/// How long the answer to a call may be under way when its time is over.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// Commands that wait until the task takes them.
const COMMANDS_MAX: usize = 64;

/// What a handle asks of the task.
#[derive(Debug)]
pub(crate) enum Command {
    Publish(Publish, Reply<Appended>),
    History(History, Reply<HistoryPage>),
    Acknowledge(Vec<Position>, Reply<Vec<Position>>),
    Ping(Reply<u64>),
    Call(Call, Reply<Bytes>),
    Handle { key: Key, patterns: Vec<Pattern>, queue: Queue, reply: Reply<()> },
    Subscribe { key: Key, options: Subscribe, queue: mpsc::Sender<Item>, reply: Reply<Started> },
}

/// What a handle gives up. The task always takes these, so that they need no bound: each
/// subscription, request and client is given up once, and each call answered once.
#[derive(Debug)]
pub(crate) enum Parting {
    /// A subscription, or what handles commands, was dropped.
    Membership(Key),
    /// A call was answered that came on that connection.
    Result { connection: u64, call_id: u64, result: Result<Bytes, protocol::Error> },
    /// A request was waited for long enough.
    Request,
    /// The client is to be closed; the answer says that it is.
    Client(oneshot::Sender<()>),
}

/// How the connection does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// An attempt to connect is under way.
    Connecting,
    /// Connected.
    Connected(Welcome),
    /// The connection broke, or there was none; the next attempt comes after a while.
    Waiting {
        /// What happened.
        error: Error,
        /// How long until the next attempt.
        wait: Duration,
    },
    /// It is over: the client was closed, or the server does not want it back.
    Closed(Error),
}

/// What the server said at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The client's id.
    pub client: Arc<str>,
    /// The node's name.
    pub node: Arc<str>,
    /// The authenticated user.
    pub user: Option<Arc<str>>,
    /// How often the server shows that it lives, in ms.
    pub heartbeat_ms: u64,
    /// Largest message that the client may send, in bytes.
    pub message_bytes_max: Option<usize>,
    /// Most patterns that the client may subscribe to.
    pub subscriptions_max: Option<usize>,
}

/// A client of a server. Clones share one connection, which ends when the last of them, and the
/// last subscription, is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    commands: mpsc::Sender<Command>,
    partings: mpsc::UnboundedSender<Parting>,
    status: watch::Receiver<Status>,
    keys: AtomicU64,
    request_timeout: Duration,
    queue_items: usize,
}

impl Client {
    /// Connects to a server's native endpoint over WebSocket: `/v1/ws` where the URL names no
    /// path. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the first attempt fails: [`Error::Unreachable`], [`Error::Refused`],
    /// [`Error::Invalid`] where the URL is wrong. Later the client reconnects by itself.
    pub async fn connect(url: &str, options: Options) -> Result<Self, Error> {
        let connector = WebSocketConnector::new(url.parse::<Url>()?, &options);
        let client = Self::over(connector, options);
        client.connected().await?;
        Ok(client)
    }

    /// Connects through `connector`, without waiting for it, and tries again until the server
    /// forbids it. Must be called within a tokio runtime.
    pub fn over(connector: impl Connector, options: Options) -> Self {
        let (commands, command_inbox) = mpsc::channel(COMMANDS_MAX);
        let (partings, parting_inbox) = mpsc::unbounded_channel();
        let (status, status_watch) = watch::channel(Status::Connecting);
        let (request_timeout, queue_items) = (options.request_timeout, options.queue_items.max(1));
        let driver = Driver::new(
            connector,
            options,
            command_inbox,
            (partings.downgrade(), parting_inbox),
            status,
        );
        tokio::spawn(driver.run());
        let (keys, status) = (AtomicU64::new(1), status_watch);
        let shared = Shared { commands, partings, status, keys, request_timeout, queue_items };
        Self { shared: Arc::new(shared) }
    }

    /// How the connection does, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.clone()
    }

    /// Waits until the attempt that is under way has come to something.
    ///
    /// # Errors
    /// Where it failed; the next attempt may succeed.
    pub async fn connected(&self) -> Result<Welcome, Error> {
        let mut status = self.status();
        let settled = status.wait_for(|status| *status != Status::Connecting).await;
        match settled.as_deref() {
            Ok(Status::Connected(welcome)) => Ok(welcome.clone()),
            Ok(Status::Waiting { error, .. } | Status::Closed(error)) => Err(error.clone()),
            Ok(Status::Connecting) | Err(_) => Err(Error::Stopped),
        }
    }

    /// Subscribes. The answer names positions; every matching event after them comes, or a gap.
    ///
    /// # Errors
    /// [`Error::Refused`] where the server refuses, [`Error::Timeout`] where it does not answer,
    /// or what ended the client.
    pub async fn subscribe(&self, options: Subscribe) -> Result<Subscription, Error> {
        let key = self.shared.keys.fetch_add(1, Ordering::Relaxed);
        let (queue, items) = mpsc::channel(self.shared.queue_items);
        // From here on, whatever happens, the task learns that the subscription is not wanted.
        let membership = Membership { client: self.clone(), key };
        let ask = |reply| Command::Subscribe { key, options, queue, reply };
        let Started { positions, truncated } = self.ask(ask).await?;
        Ok(Subscription { items, positions, truncated, membership })
    }

    /// Publishes an event, and learns where it stands and what it has survived.
    ///
    /// # Errors
    /// [`Error::Refused`] where the server refuses. [`Error::Timeout`], and any other, leave
    /// open whether it was done: publish again with the same [`Publish::key`].
    pub async fn publish(&self, message: Publish) -> Result<Appended, Error> {
        let message = message.with_key()?;
        self.ask(|reply| Command::Publish(message, reply)).await
    }

    /// Reads kept events.
    ///
    /// # Errors
    /// [`Error::Refused`] where the server refuses, [`Error::Timeout`] where it does not answer,
    /// or what ended the client.
    pub async fn history(&self, history: History) -> Result<HistoryPage, Error> {
        self.ask(|reply| Command::History(history, reply)).await
    }

    /// Says that this device, which [`Options::device`] names, has everything up to these
    /// positions, one per stream; answered once that is stored, with how far the device has
    /// acknowledged by then. [`protocol::Start::Stored`] begins behind it.
    ///
    /// # Errors
    /// [`Error::Refused`] for a position that was not delivered, or of an epoch that is over;
    /// [`Error::Timeout`] where the server does not answer, or what ended the client.
    pub async fn acknowledge(&self, positions: Vec<Position>) -> Result<Vec<Position>, Error> {
        self.ask(|reply| Command::Acknowledge(positions, reply)).await
    }

    /// Sends a command to what handles it; its answer is JSON text.
    ///
    /// # Errors
    /// [`Error::Refused`] with the code that the server or the handler chose.
    /// [`Error::Timeout`] and [`Error::Unreachable`], and the codes `timeout` and `no_handler`, may
    /// leave open whether it was carried out: a call is never sent twice by the client.
    pub async fn call(&self, call: Call) -> Result<Bytes, Error> {
        let least = call.timeout.map(|timeout| timeout.saturating_add(ANSWER_TIME));
        let wait = self.shared.request_timeout.max(least.unwrap_or_default());
        self.ask_within(wait, |reply| Command::Call(call, reply)).await
    }

    /// Handles the commands that match these patterns, beside those that the client handles
    /// already, across reconnections. Answered once the server gives them to this client.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no pattern or one breaks a rule; [`Error::Refused`] where
    /// the server refuses, [`Error::Timeout`] where it does not answer, or what ended the client.
    pub async fn handle<S: AsRef<str>>(&self, patterns: &[S]) -> Result<Handling, Error> {
        let patterns = crate::options::patterns(patterns)?;
        if patterns.is_empty() {
            return Err(Error::Invalid("a handler needs at least one pattern".into()));
        }
        let key = self.shared.keys.fetch_add(1, Ordering::Relaxed);
        let (queue, calls) = mpsc::channel(self.shared.queue_items);
        let membership = Membership { client: self.clone(), key };
        self.ask(|reply| Command::Handle { key, patterns, queue, reply }).await?;
        Ok(Handling { calls, membership })
    }

    /// Asks for the server's time, in ms since 1970.
    ///
    /// # Errors
    /// [`Error::Timeout`] where it does not answer, or what ended the client.
    pub async fn ping(&self) -> Result<u64, Error> {
        self.ask(Command::Ping).await
    }

    /// Ends the connection, for all clones and subscriptions. What had no answer gets
    /// [`Error::Stopped`].
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.shared.partings.send(Parting::Client(reply)).is_ok() {
            // Gone without an answer is closed, too.
            let _ = done.await;
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        self.ask_within(self.shared.request_timeout, command).await
    }

    async fn ask_within<T>(
        &self,
        wait: Duration,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let sent = self.shared.commands.send(command(reply)).await;
            sent.map_err(|_| self.ended())?;
            answer.await.unwrap_or_else(|_| Err(self.ended()))
        };
        timeout(wait, asked).await.unwrap_or_else(|_| {
            // A task that has ended needs not know.
            let _ = self.shared.partings.send(Parting::Request);
            Err(Error::Timeout)
        })
    }

    /// What ended the client.
    fn ended(&self) -> Error {
        match &*self.shared.status.borrow() {
            Status::Closed(error) => error.clone(),
            _ => Error::Stopped,
        }
    }
}

/// What a subscription brings. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    items: mpsc::Receiver<Item>,
    positions: Vec<Position>,
    truncated: bool,
    membership: Membership,
}

impl Subscription {
    /// The next item, as soon as there is one. May be dropped and called again.
    ///
    /// # Errors
    /// What ended the client; there will be no more items.
    pub async fn next(&mut self) -> Result<Item, Error> {
        self.items.recv().await.ok_or_else(|| self.membership.client.ended())
    }

    /// The next item, for programs that poll.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Item, Error>> {
        let item = self.items.poll_recv(context);
        item.map(|item| item.ok_or_else(|| self.membership.client.ended()))
    }

    /// Where it began in each of its streams.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Whether the search for the last N events ended at its bound before it found N.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

/// Keeps the client for a subscription or what handles commands, and tells the task when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    client: Client,
    key: Key,
}

impl Membership {
    /// What ended the client.
    pub(crate) fn ended(&self) -> Error {
        self.client.ended()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // A task that has ended needs not know.
        let _ = self.client.shared.partings.send(Parting::Membership(self.key));
    }
}
