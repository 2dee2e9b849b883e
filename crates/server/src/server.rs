use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use engine::{Broker, StreamSpec, StreamTable};
use protocol::{CloseReason, Durability, Error, Mode, Pattern, StreamName};

use crate::config::Config;
use crate::listen::{self, Side};
use crate::node::{Bound, Node};
use crate::sources::Sources;
use crate::worker::{self, Input};

/// How often the broker looks after retention by age.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);
/// Clients that are sent away come back within this time per client, so that they do not come all
/// at once, and at most [`SPREAD_MAX_MS`].
const SPREAD_MS_PER_CLIENT: u64 = 1;
const SPREAD_MIN_MS: u64 = 100;
const SPREAD_MAX_MS: u64 = 10_000;

/// What a server is made of.
pub struct Parts {
    /// How it is configured.
    pub config: Config,
    /// Its streams: see [`stream_table`].
    pub table: Arc<StreamTable>,
    /// Where events are kept: a broker of the same table.
    pub broker: Arc<dyn Broker>,
    /// Reads the configuration anew, for a reload; an error is text that names file and line.
    pub reread: Box<dyn Fn() -> Result<Config, String> + Send + Sync>,
    /// More routes of the admin listener; with them, it has no page of its own at `/`.
    pub extra: Option<axum::Router>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A thread or its runtime cannot be made.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The system gives no random numbers.
    #[error("cannot get random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// The streams of a configuration, with the system's own.
///
/// # Errors
/// Never, unless a name that is fixed here broke a rule.
pub fn stream_table(config: &Config) -> Result<StreamTable, Error> {
    let mut specs: Vec<StreamSpec> = config.streams.iter().map(StreamSpec::from).collect();
    specs.push(StreamSpec {
        name: StreamName::parse("$presence")?,
        topics: vec![Pattern::parse("$presence.>")?],
        retention: engine::Retention { count: 10_000, ..engine::Retention::default() },
        durability: Durability::Memory,
        priority: 0,
        mode: Mode::EVERY,
    });
    specs.push(StreamSpec {
        name: StreamName::parse("$system")?,
        topics: vec![Pattern::parse("$system.>")?],
        retention: engine::Retention { count: 16, ..engine::Retention::default() },
        durability: Durability::Memory,
        priority: 0,
        mode: Mode::EVERY,
    });
    Ok(StreamTable::new(specs))
}

/// A server that runs, until it is drained.
pub struct Running {
    node: Arc<Node>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts the worker threads and the listeners.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running.
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let node = Arc::new(Node::new(parts)?);
        let config = node.config();
        let slow_timeout = Duration::from_millis(config.server.slow_timeout.as_ms());
        let mut listeners = vec![open(config.listen.admin, Side::Admin, slow_timeout)?];
        for address in config.public_listeners() {
            listeners.push(open(address, Side::Public(address), slow_timeout)?);
        }
        let local = |at: usize| -> Result<SocketAddr, std::io::Error> {
            let listener = listeners.get(at).ok_or(std::io::ErrorKind::NotFound)?;
            listener.0.local_addr()
        };
        let bound = Bound { admin: local(0)?, public: local(1)? };
        let wanted = config.public_listeners().into_iter().enumerate();
        let public: Result<Vec<_>, std::io::Error> =
            wanted.map(|(at, address)| Ok((address, local(at + 1)?))).collect();
        // Nothing else sets them.
        let _ = node.public.set(public?);
        let _ = node.bound.set(bound);
        let mut workers = Vec::new();
        for place in 0..node.inboxes().len() {
            workers.push(worker::start(&node, place)?);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let for_thread = node.clone();
        let sources = Sources::start(&node);
        let thread =
            std::thread::Builder::new().name("tidings-server".into()).spawn(move || {
                runtime.block_on(run(&for_thread, listeners));
                drop(sources);
                for inbox in for_thread.inboxes() {
                    inbox.push(Input::Stop);
                }
                for worker in workers {
                    // A worker that panicked has ended the process.
                    let _ = worker.join();
                }
                for_thread.commands.stop();
                // Nobody publishes any more: what was acknowledged is made to last.
                for_thread.broker.close();
            })?;
        Ok(Self { node, thread: Some(thread) })
    }

    /// What its threads share.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where it listens.
    pub fn bound(&self) -> Bound {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        self.node.bound.get().copied().unwrap_or(Bound { public: nowhere, admin: nowhere })
    }

    /// Waits until the server has been drained.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    /// Drains the server and waits for its end.
    fn drop(&mut self) {
        self.node.begin_drain();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(
    address: SocketAddr,
    side: Side,
    slow_timeout: Duration,
) -> Result<(std::net::TcpListener, Side), StartError> {
    let listener = listen::bind(address, slow_timeout)
        .map_err(|source| StartError::Listen { address, source })?;
    Ok((listener, side))
}

/// Accepts connections until a drain is over.
async fn run(node: &Arc<Node>, listeners: Vec<(std::net::TcpListener, Side)>) {
    let local = tokio::task::LocalSet::new();
    for (listener, side) in listeners {
        local.spawn_local(listen::accept(node.clone(), listener, side));
    }
    let for_presence = node.clone();
    local.spawn_local(async move { crate::presence::watch(&for_presence).await });
    let (broker, for_upkeep) = (node.broker.clone(), node.clone());
    local.spawn_local(async move {
        let mut every = tokio::time::interval(MAINTAIN_EVERY);
        loop {
            every.tick().await;
            broker.maintain();
            for_upkeep.absent.forget_expired(for_upkeep.clock.now().ms);
            for_upkeep.gates.all().for_each(|gate| gate.look_again());
        }
    });
    local
        .run_until(async {
            node.drain.notified().await;
            drain(node).await;
        })
        .await;
}

/// Tells every client when to come back, and waits until they have left or their time is over.
async fn drain(node: &Node) {
    let clients = node.registry.len();
    let deadline = Duration::from_millis(node.config().server.drain_deadline.as_ms());
    tracing::info!(clients, ?deadline, "draining");
    let spread_ms = (clients as u64 * SPREAD_MS_PER_CLIENT).clamp(SPREAD_MIN_MS, SPREAD_MAX_MS);
    node.ask_all(move |shell| {
        let now = shell.now();
        let keys: Vec<_> = shell.clients().map(|(key, client)| (key, client.id)).collect();
        for (key, id) in keys {
            // The id's random bits spread as well as any.
            let after_ms = (id.0 as u64) % spread_ms;
            shell.engine.close(now, key, CloseReason::Draining, Some(after_ms));
        }
    })
    .await;
    let is_left = async {
        while !node.registry.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(deadline, is_left).await.is_err() {
        tracing::warn!(clients = node.registry.len(), "clients did not leave in time");
    }
}
