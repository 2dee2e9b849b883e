use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use protocol::FrameKind;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::{Client, Connector, Error, Frame, Link, Options, Received, Subscribe, Subscription};

/// More than any script says at once.
const FRAMES_MAX: usize = 100_000;

/// A server that does what the test says.
pub(super) struct Server {
    accepted: mpsc::UnboundedReceiver<Peer>,
    refusals: Arc<Mutex<VecDeque<Error>>>,
}

/// One connection, seen from the server.
pub(super) struct Peer {
    to_client: mpsc::Sender<Received>,
    from_client: mpsc::UnboundedReceiver<Frame>,
    blocked: Arc<AtomicBool>,
    pub(super) at: Instant,
}

pub(super) struct ScriptedConnector {
    accepted: mpsc::UnboundedSender<Peer>,
    refusals: Arc<Mutex<VecDeque<Error>>>,
}

pub(super) struct ScriptedLink {
    from_server: mpsc::Receiver<Received>,
    to_server: mpsc::UnboundedSender<Frame>,
    blocked: Arc<AtomicBool>,
    is_closed: bool,
}

/// A client with these options, and its server.
pub(super) fn pair(options: Options) -> (Client, Server) {
    let (accepted, inbox) = mpsc::unbounded_channel();
    let refusals = Arc::new(Mutex::new(VecDeque::new()));
    let server = Server { accepted: inbox, refusals: refusals.clone() };
    (Client::over(ScriptedConnector { accepted, refusals }, options), server)
}

/// A client with these options that has been greeted, and both ends of its server.
pub(super) async fn connected(options: Options) -> (Client, Server, Peer) {
    let (client, mut server) = pair(options);
    let mut peer = server.accept().await;
    peer.welcome("c1", "t1");
    client.connected().await.unwrap();
    (client, server, peer)
}

impl Server {
    pub(super) async fn accept(&mut self) -> Peer {
        let accepted = timeout(Duration::from_secs(3_600), self.accepted.recv());
        accepted.await.expect("the client does not connect").unwrap()
    }

    /// The next attempts to connect fail so.
    pub(super) fn refuse(&self, errors: impl IntoIterator<Item = Error>) {
        self.refusals.lock().unwrap().extend(errors);
    }

    /// Whether the client has tried again within that time.
    pub(super) async fn is_left_alone(&mut self, time: Duration) -> bool {
        match timeout(time, self.accepted.recv()).await {
            Err(_) | Ok(None) => true,
            Ok(Some(_)) => false,
        }
    }
}

impl Peer {
    pub(super) fn say(&self, message: &Value) {
        self.say_text(&message.to_string());
    }

    pub(super) fn say_text(&self, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.send(Received::Frame(Frame { kind: FrameKind::Text, bytes }));
    }

    pub(super) fn say_bytes(&self, bytes: &'static [u8]) {
        let bytes = Bytes::from_static(bytes);
        self.send(Received::Frame(Frame { kind: FrameKind::Binary, bytes }));
    }

    pub(super) fn send(&self, received: Received) {
        self.to_client.try_send(received).expect("the client is gone");
    }

    pub(super) fn welcome(&mut self, client: &str, session: &str) {
        self.say(&json!({"welcome": {
            "client": client, "session": session, "node": "n1", "protocol": 1,
            "heartbeat_ms": 30_000, "limits": {"message_bytes": 65_536, "subscriptions": 100},
        }}));
    }

    /// What the client says next.
    pub(super) async fn heard(&mut self) -> Value {
        let frame = self.heard_frame().await;
        assert_eq!(frame.kind, FrameKind::Text);
        serde_json::from_slice(&frame.bytes).unwrap()
    }

    pub(super) async fn heard_frame(&mut self) -> Frame {
        let frame = timeout(Duration::from_secs(3_600), self.from_client.recv());
        frame.await.expect("the client says nothing").expect("the client is gone")
    }

    /// The next message must be this, apart from its id, which is returned.
    pub(super) async fn expect(&mut self, expected: &Value) -> i64 {
        let mut heard = self.heard().await;
        let id = heard.as_object_mut().unwrap().remove("id").unwrap();
        assert_eq!(heard, *expected);
        id.as_i64().unwrap()
    }

    /// Answers the next message, which must be this.
    pub(super) async fn answer(&mut self, expected: &Value, ok: &Value) {
        let id = self.expect(expected).await;
        self.say(&json!({"id": id, "ok": ok}));
    }

    /// The client says nothing for so long.
    pub(super) async fn assert_silent(&mut self, time: Duration) {
        let heard = timeout(time, self.from_client.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// What the client still says before it closes, within that time.
    pub(super) async fn closed_within(&mut self, time: Duration) -> Option<Frame> {
        timeout(time, self.from_client.recv()).await.expect("the client stays")
    }

    /// Frames that the client has not taken.
    pub(super) fn unread(&self) -> usize {
        self.to_client.max_capacity() - self.to_client.capacity()
    }

    /// From now on, nothing is taken from the client.
    pub(super) fn block(&self) {
        self.blocked.store(true, Ordering::SeqCst);
    }

    /// Subscribes `client` and answers it with seq 0 of the stream.
    pub(super) async fn subscribe(
        &mut self,
        client: &Client,
        options: Subscribe,
        body: &Value,
        ok: &Value,
    ) -> Subscription {
        let (client, asked) = (client.clone(), json!({"subscribe": body}));
        let subscribing = tokio::spawn(async move { client.subscribe(options).await });
        self.answer(&asked, ok).await;
        subscribing.await.unwrap().unwrap()
    }

    /// Subscribes `client` to `news.>` from now on, which is behind `seq`.
    pub(super) async fn subscribe_news(&mut self, client: &Client, seq: u64) -> Subscription {
        let ok = json!({
            "subscription": "s1", "topics": ["news.>"], "positions": [super::position(seq)],
        });
        let options = Subscribe::to(&["news.>"]).unwrap();
        self.subscribe(client, options, &json!({"topics": ["news.>"]}), &ok).await
    }
}

impl Connector for ScriptedConnector {
    type Link = ScriptedLink;

    async fn connect(&mut self) -> Result<ScriptedLink, Error> {
        if let Some(error) = self.refusals.lock().unwrap().pop_front() {
            return Err(error);
        }
        let (to_client, from_server) = mpsc::channel(FRAMES_MAX);
        let (to_server, from_client) = mpsc::unbounded_channel();
        let blocked = Arc::new(AtomicBool::new(false));
        let link =
            ScriptedLink { from_server, to_server, blocked: blocked.clone(), is_closed: false };
        let peer = Peer { to_client, from_client, blocked, at: Instant::now() };
        match self.accepted.send(peer) {
            Ok(()) => Ok(link),
            Err(_) => Err(Error::Unreachable("the test is over".into())),
        }
    }
}

impl Link for ScriptedLink {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Error>> {
        if self.is_closed {
            return Poll::Ready(Ok(Received::Closed { code: 1_000, reason: String::new() }));
        }
        let received = self.from_server.poll_recv(context);
        received.map(|received| received.ok_or_else(|| Error::Unreachable("cut".into())))
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.blocked.load(Ordering::SeqCst) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn send(&mut self, frame: Frame) {
        // A server that is gone hears nothing.
        let _ = self.to_server.send(frame);
    }

    fn close(&mut self) {
        self.is_closed = true;
    }
}
