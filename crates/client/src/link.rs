use std::future::Future;
use std::task::{Context, Poll};

use bytes::Bytes;
use protocol::FrameKind;

use crate::error::Error;

/// A message as the protocol spells it, without transport framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Text or bytes.
    pub kind: FrameKind,
    /// The message; UTF-8 where it is text.
    pub bytes: Bytes,
}

/// What comes from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Frame(Frame),
    /// A sign of life that says nothing, such as a WebSocket ping, already answered.
    Alive,
    /// The server closed; nothing follows.
    Closed {
        /// The WebSocket close code; 1005 where there was none.
        code: u16,
        /// The server's words.
        reason: String,
    },
}

/// A connection to a server that carries frames: a WebSocket, or a channel within a process.
///
/// Everything is polled from one task, and reading never waits for writing or the reverse: a
/// server that waits until its answers are taken must not make the client wait for it.
pub trait Link: Send + 'static {
    /// The next thing from the server. Not called while the application is behind.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where the connection broke; the link is of no more use.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Error>>;

    /// Moves sent frames towards the server; ready when there is room for one more. It is called
    /// whenever the task wakes, also without a frame to send.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where the connection broke; the link is of no more use.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Takes a frame to send. Called once for each time that [`Link::poll_ready`] was ready.
    fn send(&mut self, frame: Frame);

    /// Begins to close, behind what was sent: [`Received::Closed`] or an error will follow.
    fn close(&mut self);
}

/// Makes links, one for each connection.
pub trait Connector: Send + 'static {
    /// What it makes.
    type Link: Link;

    /// Connects.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where there is no connection and a later attempt may succeed;
    /// [`Error::Refused`] where the server refused.
    fn connect(&mut self) -> impl Future<Output = Result<Self::Link, Error>> + Send;
}
