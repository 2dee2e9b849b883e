use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ClientError, ConnectOptions, Event, ServerAddr, ServerError};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::config::Url;
use crate::services::{Link, Services};

/// The server is asked this often whether it still answers; two questions without an answer end
/// the connection, so that a frozen server is noticed within three of these.
const PING_EVERY: Duration = Duration::from_secs(1);
/// How long a try to connect may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// The longest pause between two tries to connect.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Messages of one subscription that wait for who subscribed; more are lost and counted. Who reads
/// them beside the connection needs less: it reads on only when the reader has had its turn.
const UNREAD_MAX: usize = 1 << 20;
/// How often what the connection says of itself is compared with what is known.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The one connection of this node to NATS, for sources and commands. It lives on a thread of its
/// own, connects in the background, and again when it is lost: subscriptions are made again by
/// themselves.
pub(crate) struct Nats {
    client: Client,
    runtime: Handle,
    known: Arc<Known>,
    /// Ends the thread when it is dropped.
    _stop: oneshot::Sender<()>,
}

/// What is known of the connection.
struct Known {
    link: Link,
    /// Why it could not be made, as far as was told.
    why: Mutex<String>,
    disconnects: AtomicU64,
    lost: AtomicU64,
}

impl Nats {
    /// Starts the thread; the server need not be there.
    ///
    /// # Errors
    /// Where the thread or its runtime cannot be made, or the URL is none of a NATS server.
    pub(crate) fn start(url: &Url, services: &Arc<Services>) -> std::io::Result<Self> {
        let known = Arc::new(Known {
            link: services.expect("nats"),
            why: Mutex::default(),
            disconnects: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let (server, options) = options(url, &known)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (made, client) = std::sync::mpsc::sync_channel(1);
        let for_thread = known.clone();
        std::thread::Builder::new().name("tidings-nats".into()).spawn(move || {
            runtime.block_on(async {
                // At once: it tries to connect in the background.
                let connected = options.connect(server).await;
                let client = connected.as_ref().ok().cloned();
                let _ = made.send(connected);
                let Some(client) = client else { return };
                tokio::select! {
                    _ = stopped => {}
                    () = look_after(&client, &for_thread) => {}
                }
            });
            // Name resolution may hang; nobody waits for it.
            runtime.shutdown_background();
        })?;
        let client = client.recv().map_err(std::io::Error::other)?;
        let client = client.map_err(std::io::Error::other)?;
        Ok(Self { client, runtime: handle, known, _stop: stop })
    }

    /// To subscribe and to ask with. What is sent while there is no connection waits for the next:
    /// who wants an answer should look at [`Nats::is_connected`] before.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Where the connection lives, for what must keep up with it. It is never blocked.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Whether the server answers.
    pub(crate) fn is_connected(&self) -> bool {
        self.known.link.is_up()
    }

    /// How often the connection was lost.
    pub(crate) fn disconnects(&self) -> u64 {
        self.known.disconnects.load(Ordering::Relaxed)
    }

    /// Messages that were lost because who subscribed did not take them, at least.
    pub(crate) fn lost(&self) -> u64 {
        self.known.lost.load(Ordering::Relaxed)
    }
}

impl Known {
    fn down(&self) {
        let why = self.why.lock().clone();
        let why = if why.is_empty() { "the connection is lost" } else { &why };
        if self.link.down(why) {
            self.disconnects.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn hear(&self, event: Event) {
        match event {
            Event::Connected => {
                self.why.lock().clear();
                self.link.up();
            }
            Event::Disconnected | Event::Closed => self.down(),
            Event::SlowConsumer(_) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            Event::ClientError(ClientError::Other(why)) => {
                *self.why.lock() = why;
                self.down();
            }
            Event::ServerError(ServerError::Other(why)) => {
                tracing::warn!(why, "nats refuses something");
            }
            other => tracing::debug!(event = %other, "nats"),
        }
    }
}

/// Events may be left out where many come at once, so what they say is compared with the state.
async fn look_after(client: &Client, known: &Known) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        match client.connection_state() {
            State::Connected => known.link.up(),
            State::Pending | State::Disconnected => known.down(),
        }
    }
}

/// Where to connect and how. The URL's user and password are taken out of it, so that no message
/// about the server shows them; a user without a password is a token.
fn options(url: &Url, known: &Arc<Known>) -> std::io::Result<(ServerAddr, ConnectOptions)> {
    let with_login: ServerAddr = url.reveal().parse()?;
    let user = with_login.username().map(unescaped);
    let password = with_login.password().map(unescaped);
    let mut bare = with_login.into_inner();
    let cannot = || std::io::Error::other("this is no URL of a NATS server");
    bare.set_username("").map_err(|()| cannot())?;
    bare.set_password(None).map_err(|()| cannot())?;
    let known = known.clone();
    let options = ConnectOptions::new()
        .name("tidings")
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_EVERY)
        .connection_timeout(CONNECT_DEADLINE)
        .reconnect_delay_callback(pause)
        .subscription_capacity(UNREAD_MAX)
        .event_callback(move |event| {
            known.hear(event);
            async {}
        });
    let options = match (user, password) {
        (Some(user), Some(password)) => options.user_and_password(user, password),
        (Some(token), None) => options.token(token),
        (None, _) => options,
    };
    Ok((ServerAddr::from_url(bare)?, options))
}

/// How long to wait before the next try: longer each time.
fn pause(tries: usize) -> Duration {
    let doubled = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    Duration::from_millis(if doubled == 0 { 0 } else { 10 << doubled }).min(PAUSE_MAX)
}

/// Text of a URL in which `%40` stands for `@` (RFC 3986, section 2.1).
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let value = escaped.filter(|_| first == b'%');
        match value.and_then(|value| u8::from_str_radix(value, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_have_any_character() {
        assert_eq!(unescaped("p%40ss%3Aw%25rd"), "p@ss:w%rd");
        assert_eq!(unescaped("100%"), "100%");
        assert_eq!(unescaped("%zz"), "%zz");
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let pauses: Vec<u64> =
            [1, 2, 3, 9, 1_000].map(pause).map(|it| it.as_millis() as u64).into();
        assert_eq!(pauses, [0, 20, 40, 2_000, 2_000]);
    }
}
