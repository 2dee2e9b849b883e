use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use engine::{Cursor, LocateTicket, Located, Page, StreamIndex, Ticket, Wake};
use parking_lot::Mutex;
use protocol::{Answer, Appended, Error, Position, Seq};
use tokio::io::DuplexStream;
use tokio::sync::Notify;

use super::shell::Shell;
use crate::listen::Side;

/// What reaches a worker from other threads.
pub(crate) enum Input {
    /// A connection was accepted.
    Accepted(TcpStream, SocketAddr, Side),
    /// A client within the process.
    Attached(DuplexStream),
    /// A stream has something new.
    Stream(StreamIndex),
    /// The broker answered an append.
    Appended(Ticket, Result<Appended, Error>),
    /// The broker answered a read.
    Page(StreamIndex, Seq, Result<Page, Error>),
    /// The broker answered a read of newest events.
    Newest(StreamIndex, Seq, Result<Page, Error>),
    /// The broker answered a search.
    Located(LocateTicket, StreamIndex, Result<Located, Error>),
    /// The broker loaded a device's cursor.
    Cursor(LocateTicket, StreamIndex, Result<Option<Cursor>, Error>),
    /// Acknowledgements were stored.
    Acknowledged(Ticket, Result<Vec<Position>, Error>),
    /// A history was read.
    History(Ticket, Result<Answer, Error>),
    /// A call was answered.
    Called(Ticket, Result<Bytes, Error>),
    /// Publishes to a stream need not wait for its consumers any more.
    Opened(StreamIndex),
    /// Something to do with the worker's own state.
    Do(Box<dyn FnOnce(&mut Shell) + Send>),
    /// Leave: the thread ends.
    Stop,
}

/// The way into a worker. Nothing here waits: what is put in is bounded by what puts it in
/// (connections that were accepted, answers to requests of a bounded number, one wake-up per
/// stream).
#[derive(Default)]
pub(crate) struct Inbox {
    inputs: Mutex<Vec<Input>>,
    notify: Notify,
}

impl Inbox {
    /// Puts something in.
    pub(crate) fn push(&self, input: Input) {
        let is_first = {
            let mut inputs = self.inputs.lock();
            inputs.push(input);
            inputs.len() == 1
        };
        if is_first {
            self.notify.notify_one();
        }
    }

    /// Swaps all that is in it for an empty list.
    pub(crate) fn take(&self, taken: &mut Vec<Input>) {
        std::mem::swap(&mut *self.inputs.lock(), taken);
    }

    /// Lets [`Inbox::wait`] end although nothing was put in.
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    /// Waits until something was put in.
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }
}

/// Puts a stream's wake-ups into a worker's inbox.
pub(crate) struct WakeInbox(pub(crate) Arc<Inbox>);

impl Wake for WakeInbox {
    fn wake(&self, stream: StreamIndex) {
        self.0.push(Input::Stream(stream));
    }
}
