use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use engine::ClientKey;
use http_body::{Body, Frame as Part};
use tokio::sync::Notify;

use crate::endpoint::{Arrival, Endpoint};
use crate::transports::websocket::LAST_WRITE_DEADLINE;
use crate::worker::{Peer as AnyPeer, Shared, Shell};

/// A client whose events are the body of an answer: its connection asks for bytes when it can take
/// them.
pub(crate) struct Peer {
    /// What shows it that the server lives; nothing where the body has no room for that.
    pub(crate) heartbeat: &'static [u8],
    shared: Weak<RefCell<Shell>>,
    waker: RefCell<Option<Waker>>,
    is_closing: Cell<bool>,
    /// Ends the connection, written or not.
    end: Arc<Notify>,
}

impl Peer {
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// End when everything is written, or after a deadline.
    pub(crate) fn close(&self, key: ClientKey) {
        self.is_closing.set(true);
        self.wake();
        let (shared, end) = (self.shared.clone(), self.end.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(LAST_WRITE_DEADLINE).await;
            if let Some(shared) = shared.upgrade() {
                shared.borrow_mut().disconnect(key);
            }
            end.notify_one();
        });
    }
}

/// How a body begins and goes on where there are no events.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) opening: &'static [u8],
    pub(crate) heartbeat: &'static [u8],
}

/// Begins a session; its events are the body of the answer, on the connection that `end` ends.
pub(crate) fn start(
    shared: &Shared,
    endpoint: &Rc<Endpoint>,
    arrival: Arrival,
    frame: Frame,
    end: Arc<Notify>,
) -> Events {
    let (weak, waker, is_closing) = (Rc::downgrade(shared), RefCell::default(), Cell::default());
    let heartbeat = frame.heartbeat;
    let peer = Rc::new(Peer { heartbeat, shared: weak, waker, is_closing, end });
    let mut shell = shared.borrow_mut();
    let (coming, requests) = arrival.into_connect(&shell.node, endpoint);
    let key = shell.connect(coming, AnyPeer::Body(peer.clone()));
    shell.engine.append(key, |out| out.extend_from_slice(frame.opening));
    let now = shell.now();
    for request in requests {
        shell.engine.handle_command(now, key, request);
    }
    shell.flush();
    Events { shared: shared.clone(), key, peer, is_subscribed: false }
}

/// The body of an answer: events for as long as they come.
pub(crate) struct Events {
    shared: Shared,
    key: ClientKey,
    peer: Rc<Peer>,
    is_subscribed: bool,
}

impl Events {
    /// Whether its request was answered and began no subscription: nothing would ever come.
    fn is_refused(&mut self, shell: &Shell) -> bool {
        if !self.is_subscribed && shell.engine.is_accepting(self.key) {
            let view = shell.engine.view(self.key);
            self.is_subscribed = view.is_some_and(|view| !view.topics.is_empty());
            return !self.is_subscribed;
        }
        false
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Part<Bytes>, Infallible>>> {
        let shared = self.shared.clone();
        let mut shell = shared.borrow_mut();
        let mut slices = [IoSlice::new(&[]); 64];
        let count = shell.engine.gather(self.key, &mut slices);
        let bytes: Vec<u8> =
            slices.iter().take(count).flat_map(|slice| slice.iter()).copied().collect();
        if bytes.is_empty() {
            if self.peer.is_closing.get() || self.is_refused(&shell) {
                return Poll::Ready(None);
            }
            *self.peer.waker.borrow_mut() = Some(cx.waker().clone());
            // Looking for events may have asked the broker for a page, or want to be gone on with.
            shell.flush();
            return Poll::Pending;
        }
        shell.engine.sent(self.key, bytes.len());
        shell.flush();
        Poll::Ready(Some(Ok(Part::data(bytes.into()))))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The connection ended, or the client went away.
        if let Ok(mut shell) = self.shared.try_borrow_mut() {
            shell.disconnect(self.key);
        }
    }
}
