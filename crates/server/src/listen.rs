use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::node::Node;
use crate::worker::Input;

/// Connections that the kernel may hold ready: a small queue overflows in a reconnect storm, and
/// those that it dropped come back only a second later.
const BACKLOG: i32 = 4096;
/// How long accepting rests when the process or the system is out of descriptors.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);
/// How often at most the log says that nothing can be accepted.
const EXHAUSTED_SAID_EVERY: Duration = Duration::from_secs(10);
/// What a socket may hold unsent before it takes no more: little, so that what is urgent or newest
/// still comes soon on a slow link.
const UNSENT_BYTES: u32 = 64 << 10;

/// Which of the server's sides a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Clients, at the endpoints of this address.
    Public(SocketAddr),
    /// Publishing and the admin API.
    Admin,
}

/// Bounds the connections that have not finished their handshake, or do not take an answer. When
/// there are too many, the oldest one goes: who is honest has finished long before.
pub(crate) struct Handshakes {
    count_max: usize,
    state: Mutex<Unfinished>,
}

/// What has not finished, by the order of its beginning.
#[derive(Default)]
struct Unfinished {
    last: u64,
    evictions: BTreeMap<u64, Arc<Notify>>,
}

/// A connection's place among those that have not finished; dropped when it has.
pub(crate) struct HandshakePlace {
    node: Arc<Node>,
    number: u64,
}

impl Handshakes {
    pub(crate) fn new(count_max: u32) -> Self {
        Self { count_max: count_max as usize, state: Mutex::default() }
    }

    /// Takes a place; `eviction` is told when it has to be given up.
    pub(crate) fn begin(node: &Arc<Node>, eviction: Arc<Notify>) -> HandshakePlace {
        let mut state = node.handshakes.state.lock();
        state.last += 1;
        let number = state.last;
        state.evictions.insert(number, eviction);
        if state.evictions.len() > node.handshakes.count_max
            && let Some((_, oldest)) = state.evictions.pop_first()
        {
            oldest.notify_one();
        }
        HandshakePlace { node: node.clone(), number }
    }
}

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        self.node.handshakes.state.lock().evictions.remove(&self.number);
    }
}

/// Opens a listener. What is set on it holds for the connections that it accepts (Linux hands it
/// on), and need not be set on each of them.
///
/// # Errors
/// Where the address cannot be had.
pub(crate) fn bind(address: SocketAddr, slow_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.set_keepalive(true)?;
    set_slow_timeout(&socket, Some(slow_timeout))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts connections and hands them to the workers in turn, for as long as it is polled.
pub(crate) async fn accept(node: Arc<Node>, listener: TcpListener, side: Side) {
    let listener = match watch(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener cannot be watched"),
    };
    let mut worker = 0;
    let mut said_at: Option<Instant> = None;
    let mut set_ms = Some(node.config().server.slow_timeout.as_ms());
    loop {
        match accept_one(&listener).await {
            Ok((socket, address)) => {
                let slow_timeout_ms = Some(node.config().server.slow_timeout.as_ms());
                if set_ms != slow_timeout_ms {
                    // After a reload: the listener for those that come after this one.
                    set_ms = slow_timeout_ms;
                    let timeout = slow_timeout_ms.map(Duration::from_millis);
                    for socket in [listener.get_ref().as_fd(), socket.as_fd()] {
                        if let Err(error) = set_slow_timeout(&socket, timeout) {
                            tracing::debug!(%error, "a connection was gone at once");
                        }
                    }
                }
                worker = (worker + 1) % node.inboxes().len().max(1);
                if let Some(inbox) = node.inbox(worker) {
                    inbox.push(Input::Accepted(socket, address, side));
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                // Out of descriptors, most likely: the connections wait in the backlog.
                node.metrics.accept_failed();
                if said_at.is_none_or(|at| at.elapsed() >= EXHAUSTED_SAID_EVERY) {
                    said_at = Some(Instant::now());
                    tracing::warn!(%error, "connections cannot be accepted at the moment");
                }
                tokio::time::sleep(EXHAUSTED_REST).await;
            }
        }
    }
}

/// Lets this runtime tell when a connection is there.
#[expect(deprecated, reason = "sound for a listener, which owns its descriptor; safe to call")]
fn watch(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

/// The next connection. Only its worker's runtime watches it: to register it here first would cost
/// every connection two system calls more.
async fn accept_one(listener: &AsyncFd<TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    let accept = |listener: &TcpListener| {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (socket, address) = rustix::net::acceptfrom_with(listener, flags)?;
        let address = address.and_then(|address| SocketAddr::try_from(address).ok());
        let address = address.ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok((TcpStream::from(socket), address))
    };
    listener.async_io(Interest::READABLE, accept).await
}

/// The kernel ends a connection whose peer has taken nothing for `slow_timeout`: it counts a closed
/// window as silence, even where its probes are answered (tcp(7), TCP_USER_TIMEOUT).
/// Connections have it from their listener.
fn set_slow_timeout(socket: &impl AsFd, slow_timeout: Option<Duration>) -> io::Result<()> {
    SockRef::from(socket).set_tcp_user_timeout(slow_timeout)
}

/// Errors that tell of the one connection and not of the listener (accept(2)).
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_have_what_was_set_on_their_listener() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = bind(any, Duration::from_millis(12_345)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listener = watch(listener).unwrap();
        let (socket, address) = accept_one(&listener).await.unwrap();
        assert_eq!(address, client.local_addr().unwrap());
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert!(socket.nonblocking().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(12_345)));
    }
}
