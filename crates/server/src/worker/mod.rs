//! Worker threads: each drives one [`engine::Worker`] and owns its clients' sockets for life.

/// Publishes that wait for consumers.
mod held;
/// Clients send commands, and handle those of others.
mod handling;
/// Clients show who they are.
mod knowing;
/// The way into a worker.
mod inbox;
/// What is known of what carries a client's messages.
mod link;
/// A worker's state beside the engine: sockets, scratch buffers.
mod shell;
/// Whether connections live, and how they end.
mod tending;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::LocalSet;

pub(crate) use inbox::{Inbox, Input};
pub(crate) use shell::{Peer, Shell};

use crate::node::Node;

/// A worker as one of its own tasks sees it.
pub(crate) type Shared = Rc<RefCell<Shell>>;

/// Starts the thread of the worker at `place`.
///
/// # Errors
/// Where the thread or its runtime cannot be made.
pub(crate) fn start(
    node: &Arc<Node>,
    place: usize,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let node = node.clone();
    std::thread::Builder::new().name(format!("tidings-worker-{place}")).spawn(move || {
        // A panic in a worker's state leaves clients that nobody serves: better to end and be
        // started again.
        let abort = AbortOnPanic;
        let local = LocalSet::new();
        local.block_on(&runtime, run(node, place));
        std::mem::forget(abort);
    })
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a worker panicked; the process ends");
            std::process::abort();
        }
    }
}

/// The worker's loop: what came in, what is due, and what clients can take.
async fn run(node: Arc<Node>, place: usize) {
    let Some(inbox) = node.inbox(place) else { return };
    let shell: Shared = Rc::new(RefCell::new(Shell::new(node.clone(), place)));
    let mut inputs = Vec::new();
    loop {
        shell.borrow_mut().sleeps_until_ms = None;
        inbox.take(&mut inputs);
        for input in inputs.drain(..) {
            match input {
                Input::Accepted(socket, address, side) => {
                    crate::http::serve(&shell, socket, address, side);
                }
                Input::Attached(pipe) => crate::transports::websocket::attach(&shell, pipe),
                Input::Stop => return,
                other => shell.borrow_mut().handle(other),
            }
        }
        let (is_behind, next_ms) = {
            let mut shell = shell.borrow_mut();
            shell.handle_due();
            let is_behind = shell.pump();
            shell.flush();
            let next_ms = shell.next_timer();
            shell.sleeps_until_ms = Some(next_ms.unwrap_or(u64::MAX));
            (is_behind, next_ms)
        };
        if is_behind {
            // Sockets and timers have their turn between two bursts.
            tokio::task::yield_now().await;
            continue;
        }
        let timer = async {
            match next_ms {
                Some(ms) => tokio::time::sleep_until(node.clock.instant(ms).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = inbox.wait() => {}
            () = timer => {}
        }
    }
}
