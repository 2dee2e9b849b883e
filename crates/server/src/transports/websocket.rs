/// What the worker and the client's task share of a connection.
mod peer;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use engine::ClientKey;
use protocol::{CloseReason, Error, ErrorCode, Frame};
use tokio::io::DuplexStream;
use websocket::{CloseCode, DecodeError, Decoder, Encoder, Inflater, Limits, Message, Role};

pub(crate) use peer::{Changed, Heartbeat, Peer};

use super::stream::Stream;
use crate::auth::TOKEN_BYTES_MAX;
use crate::endpoint::{Arrival, Endpoint};
use crate::rate::Bucket;
use crate::worker::{Peer as AnyPeer, Shared, Shell};

/// How long a client may take to read what precedes the close frame.
pub(crate) const LAST_WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a client may take to close its side after we closed ours.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// Whole heartbeats that one message may take to arrive.
const UNFINISHED_HEARTBEATS_MAX: u8 = 2;
/// Reads of one client before others have their turn.
const READS_MAX: usize = 8;

/// Appends the ping of a heartbeat, with the number by which its answer is known.
pub(crate) fn push_ping(number: Option<u64>, out: &mut Vec<u8>) {
    let number = number.map(u64::to_be_bytes);
    Encoder::server().ping(out, number.as_ref().map_or(b"", |bytes| bytes));
}

/// Appends the close frame of a reason.
pub(crate) fn push_close(reason: CloseReason, out: &mut Vec<u8>) {
    let code = CloseCode::new(reason.code()).unwrap_or(CloseCode::INTERNAL_ERROR);
    Encoder::server().close(out, code, reason.text());
}

/// A client within the process: it speaks the frames of a WebSocket over a pipe, and is spared the
/// handshake.
pub(crate) fn attach(shared: &Shared, pipe: DuplexStream) {
    let endpoint = shared.borrow().node.local_endpoint();
    let arrival = Arrival::native(&endpoint, None);
    start(shared, Stream::pipe(pipe), Bytes::new(), &endpoint, arrival);
}

/// Begins a session over a stream; `leftover` was read behind the handshake.
pub(crate) fn start(
    shared: &Shared,
    stream: Stream,
    leftover: Bytes,
    endpoint: &Rc<Endpoint>,
    arrival: Arrival,
) {
    let peer = Rc::new(Peer::new(stream, &shared.borrow().node.clock));
    let bounds = arrival.standing.bounds;
    let mut message_bytes_max = endpoint.message_bytes_of(&bounds);
    if arrival.must_authenticate {
        message_bytes_max = message_bytes_max.min(TOKEN_BYTES_MAX);
    }
    let limits = Limits::message(message_bytes_max);
    let messages = bounds.messages.or(endpoint.messages);
    let deflates = arrival.deflates;
    let (key, requests) = {
        let mut shell = shared.borrow_mut();
        let (coming, requests) = arrival.into_connect(&shell.node, endpoint);
        (shell.connect(coming, AnyPeer::WebSocket(peer.clone())), requests)
    };
    let mut connection = Box::new(Connection {
        shared: shared.clone(),
        key,
        peer,
        decoder: Decoder::new(Role::Server, limits, deflates),
        bucket: messages.map(|rate| Box::new(Bucket::new(rate))),
    });
    connection.begin(leftover, requests);
    tokio::task::spawn_local(Serving(Some(connection)));
}

/// The task of one client: a future by hand, since one that the compiler makes of `async` keeps
/// room for what only its beginning and its end need. With the connection in a box a task of the
/// runtime takes 128 bytes; a larger one takes 256, since tasks are aligned to 128.
struct Serving(Option<Box<Connection>>);

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(connection) = &mut self.0 {
            ready!(connection.poll(cx));
        }
        if let Some(connection) = self.0.take() {
            tokio::task::spawn_local(connection.finish());
        }
        Poll::Ready(())
    }
}

/// A client's state beside its [`Peer`]. Everything that is held while it is idle is here.
struct Connection {
    shared: Shared,
    key: ClientKey,
    peer: Rc<Peer>,
    decoder: Decoder,
    bucket: Option<Box<Bucket>>,
}

impl Connection {
    /// Takes what came with the handshake.
    fn begin(&mut self, leftover: Bytes, requests: Vec<protocol::Request>) {
        {
            let mut shell = self.shared.borrow_mut();
            let now = shell.now();
            for request in requests {
                shell.engine.handle_command(now, self.key, request);
            }
        }
        if !leftover.is_empty() {
            // Behind the handshake there can only be a little.
            self.take_in(&mut leftover.to_vec());
        }
        self.shared.borrow_mut().flush();
    }

    async fn finish(mut self: Box<Self>) {
        if self.peer.is_closing.get() && !self.peer.has_failed.get() {
            self.end().await;
        }
        self.shared.borrow_mut().disconnect(self.key);
    }

    async fn end(&mut self) {
        let written = poll_fn(|cx| self.poll_last_write(cx));
        let is_written = tokio::time::timeout(LAST_WRITE_DEADLINE, written).await.is_ok();
        if !is_written || self.peer.has_failed.get() {
            return;
        }
        self.peer.stream.shut_down();
        let rest = poll_fn(|cx| self.poll_end(cx));
        // Whether it closed its side or not: it had its time.
        let _ = tokio::time::timeout(CLOSE_DEADLINE, rest).await;
    }

    /// Serves the client until its connection is to be ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.keep_waker(cx);
        if self.poll_write(cx).is_ready() || self.is_over() {
            return Poll::Ready(());
        }
        for _ in 0..READS_MAX {
            if self.peer.is_closing.get() {
                return Poll::Ready(());
            }
            let shared = self.shared.clone();
            let mut shell = shared.borrow_mut();
            if !shell.is_accepting(self.key) {
                shell.leave_unread(self.key);
                return Poll::Pending;
            }
            let mut scratch = std::mem::take(&mut shell.scratch);
            drop(shell);
            let read = self.peer.stream.poll_read(cx, &mut scratch);
            if let Poll::Ready(Ok(count)) = read {
                self.take_in(scratch.get_mut(..count).unwrap_or_default());
            }
            let mut shell = shared.borrow_mut();
            shell.scratch = scratch;
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => shell.flush(),
                Poll::Ready(ended) => {
                    if ended.is_ok() {
                        // To say that it ends is a sign of life, too.
                        self.peer.hear(&shell.node.clock);
                    }
                    self.peer.has_failed.set(true);
                    return Poll::Ready(());
                }
            }
            drop(shell);
            if self.is_over() {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn keep_waker(&self, cx: &Context<'_>) {
        let known = self.peer.waker.take().filter(|waker| waker.will_wake(cx.waker()));
        self.peer.waker.set(known.or_else(|| Some(cx.waker().clone())));
    }

    /// Goes on writing once the stream takes more; ready where it is broken.
    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<()> {
        while self.peer.is_slow() && !self.peer.has_failed.get() {
            match self.peer.stream.poll_room(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {
                    let since = self.peer.blocked_since.take();
                    let mut shell = self.shared.borrow_mut();
                    let now = shell.now();
                    self.peer.has_written.set(false);
                    shell.engine.handle_writable(now, self.key);
                    // This task is awake: where nothing goes out after all, to wake it again
                    // would let it spin.
                    let waker = self.peer.waker.take();
                    shell.flush();
                    self.peer.waker.set(waker);
                    let is_blocked = self.peer.is_slow();
                    if is_blocked && !self.peer.has_written.get() {
                        // Nothing went out after all.
                        self.peer.blocked_since.set(since);
                    } else {
                        // Who makes room lives, even where the answer to a ping is far behind.
                        self.peer.is_heard.set(true);
                    }
                    if is_blocked && matches!(self.peer.stream, Stream::Pipe(_)) {
                        // Its write has registered who is woken.
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Pending
    }

    /// Ready once everything is written, or cannot be.
    fn poll_last_write(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.keep_waker(cx);
        if self.poll_write(cx).is_ready() || self.is_over() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn is_over(&self) -> bool {
        self.peer.has_failed.get()
            || (self.peer.is_closing.get() && !self.shared.borrow().engine.has_pending(self.key))
    }

    /// Reads and forgets, until the client has closed its side too.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut forgotten = [0; 512];
        loop {
            match self.peer.stream.poll_read(cx, &mut forgotten) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Bytes came from the client.
    fn take_in(&mut self, bytes: &mut [u8]) {
        self.peer.is_heard.set(true);
        self.peer.bytes_in.set(self.peer.bytes_in.get() + bytes.len() as u64);
        let mut shell = self.shared.borrow_mut();
        self.peer.hear(&shell.node.clock);
        let mut inflater = std::mem::take(&mut shell.inflater);
        let mut input = bytes;
        loop {
            take_up_changes(&self.peer, &mut self.decoder, &mut self.bucket);
            // A mistake in the decoder costs this client, and neither the worker nor other clients.
            let (decoder, rest, inflating) = (&mut self.decoder, &mut input, &mut inflater);
            let Ok(decoded) = engine::isolated(move || decoder.decode(rest, inflating)) else {
                inflater = Inflater::new();
                shell.engine.append_last(self.key, |out| push_close(CloseReason::Internal, out));
                self.peer.close();
                break;
            };
            match decoded {
                Ok(Some(message)) => {
                    // A ping between its fragments leaves a message unfinished.
                    self.peer.note_unfinished(self.decoder.is_unfinished());
                    handle(&mut shell, self.key, &mut self.bucket, &self.peer, message);
                    if self.peer.is_closing.get() {
                        break;
                    }
                }
                Ok(None) => {
                    self.peer.note_unfinished(self.decoder.is_unfinished());
                    break;
                }
                Err(error) => {
                    refuse(&mut shell, self.key, &self.peer, error);
                    break;
                }
            }
        }
        shell.inflater = inflater;
    }
}

fn take_up_changes(peer: &Peer, decoder: &mut Decoder, bucket: &mut Option<Box<Bucket>>) {
    let Some(changed) = peer.changed.take() else { return };
    if let Some(bytes) = changed.message_bytes_max {
        decoder.set_limits(Limits::message(bytes));
    }
    if let Some(messages) = changed.messages {
        *bucket = messages.map(|rate| Box::new(Bucket::new(rate)));
    }
}

fn handle(
    shell: &mut Shell,
    key: ClientKey,
    bucket: &mut Option<Box<Bucket>>,
    peer: &Peer,
    message: Message<'_>,
) {
    let now = shell.now();
    let frame = match &message {
        Message::Text(text) => Frame::Text(text),
        Message::Binary(bytes) => Frame::Binary(bytes),
        Message::Ping(bytes) => {
            return shell.engine.append(key, |out| Encoder::server().pong(out, bytes));
        }
        Message::Pong(bytes) => {
            if let Ok(number) = <[u8; 8]>::try_from(&**bytes) {
                shell.engine.handle_pong(key, u64::from_be_bytes(number));
            }
            return peer.answered(now.ms);
        }
        Message::Close(close) => {
            shell.engine.append_last(key, |out| Encoder::server().close_reply(out, close.as_ref()));
            return peer.close();
        }
    };
    let refusal = bucket.as_mut().and_then(|bucket| bucket.take(now.ms).err()).map(|wait_ms| {
        let message = "the client sends more messages than it may";
        Error::new(ErrorCode::RateLimited, message).retry_after(wait_ms)
    });
    shell.engine.handle_frame(now, key, frame, refusal);
}

/// The client broke the protocol or sent too much: it is told so and closed.
fn refuse(shell: &mut Shell, key: ClientKey, peer: &Peer, error: DecodeError) {
    tracing::debug!(%error, "a client broke the protocol");
    let reason = error.to_string();
    let code = error.close_code();
    shell.engine.append_last(key, |out| Encoder::server().close(out, code, &reason));
    peer.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two words count references.
    const COUNTS: usize = 16;

    #[test]
    fn an_idle_client_is_small() {
        // The next sizes of the allocator are 160 and 80 bytes.
        assert!(size_of::<Peer>() + COUNTS <= 160, "{}", size_of::<Peer>());
        assert!(size_of::<Connection>() <= 80, "{}", size_of::<Connection>());
        // Beside what the runtime keeps of a task it has room for 32 bytes.
        assert_eq!(size_of::<Serving>(), 8);
    }
}
