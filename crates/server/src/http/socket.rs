use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use crate::listen::{HandshakePlace, Handshakes};
use crate::node::Node;

/// What a request can do to its connection.
#[derive(Clone, Default)]
pub(super) struct Line {
    /// Ends it, written or not.
    pub(super) end: Arc<Notify>,
    is_stream: Arc<AtomicBool>,
    is_upgrading: Arc<AtomicBool>,
}

impl Line {
    /// From now on it carries the events of a session, which is kept while it is slow.
    pub(super) fn is_stream(&self) {
        self.is_stream.store(true, Ordering::Relaxed);
    }

    /// The answer that comes next grants an upgrade. It is kept for what the socket is upgraded to,
    /// and goes out with the first message: one write, and one packet, for both.
    pub(super) fn is_upgrading(&self) {
        self.is_upgrading.store(true, Ordering::Relaxed);
    }
}

/// A connection's socket. A client that leaves an answer unread has a deadline, and a place among
/// those that keep the server waiting: what is not taken yet is held in memory.
pub(super) struct Socket {
    io: TokioIo<TcpStream>,
    node: Arc<Node>,
    line: Line,
    waiting: Option<Waiting>,
    /// The answer that granted an upgrade.
    granted: Vec<u8>,
}

/// Since the client takes nothing.
struct Waiting {
    deadline: Pin<Box<Sleep>>,
    _place: HandshakePlace,
}

impl Socket {
    pub(super) fn new(socket: TcpStream, node: Arc<Node>, line: Line) -> Self {
        Self { io: TokioIo::new(socket), node, line, waiting: None, granted: Vec::new() }
    }

    /// The socket, and the answer to the upgrade, which is still to be written.
    pub(super) fn upgraded(self) -> (TcpStream, Vec<u8>) {
        (self.io.into_inner(), self.granted)
    }

    fn is_upgrading(&self) -> bool {
        self.line.is_upgrading.load(Ordering::Relaxed)
    }

    /// Waits for the client only so long.
    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() || self.line.is_stream.load(Ordering::Relaxed) {
            self.waiting = None;
            return written;
        }
        let begin = || Waiting::begin(&self.node, self.line.end.clone());
        let waiting = self.waiting.get_or_insert_with(begin);
        ready!(waiting.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Waiting {
    fn begin(node: &Arc<Node>, end: Arc<Notify>) -> Self {
        let deadline_ms = node.config().server.answer_deadline.as_ms();
        let deadline = Box::pin(sleep(Duration::from_millis(deadline_ms)));
        Self { deadline, _place: Handshakes::begin(node, end) }
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, room)
    }
}

impl Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_upgrading() {
            self.granted.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_upgrading() {
            let before = self.granted.len();
            slices.iter().for_each(|slice| self.granted.extend_from_slice(slice));
            return Poll::Ready(Ok(self.granted.len() - before));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.bounded(cx, written)
    }
}
