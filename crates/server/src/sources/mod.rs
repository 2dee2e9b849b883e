//! Where events come in from besides publishing: a file per kind of source.

/// The figures of this host.
mod host;
/// NATS subjects.
mod nats;
/// Redis channels and streams.
mod redis;
/// Connections and services that come and go.
mod system;

/// From what a source read to events of the broker.
mod intake;
/// Events that wait for the broker.
mod queue;

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::config::{Source, SourceKind};
use crate::node::Node;

/// The sources of a server. They end when this is dropped, and those of figures before that, when
/// a drain begins.
pub(crate) struct Sources {
    _hosts: Vec<host::Host>,
    /// Ends the thread of the others.
    _stop: Option<oneshot::Sender<()>>,
}

impl Sources {
    /// Starts what is configured. A source that cannot be started is said in the log; the server
    /// goes without it.
    pub(crate) fn start(node: &Arc<Node>) -> Self {
        let config = node.config();
        let is_host = |source: &&Source| source.kind == SourceKind::Host;
        let hosts = config.sources.iter().filter(is_host);
        let hosts = hosts.filter_map(|source| host::Host::start(node, source)).collect();
        let others: Vec<Source> =
            config.sources.iter().filter(|source| !is_host(source)).cloned().collect();
        let stop = (!others.is_empty()).then(|| start_thread(node, others));
        let stop = stop.transpose().unwrap_or_else(|error| {
            tracing::error!(%error, "no thread for sources");
            None
        });
        Self { _hosts: hosts, _stop: stop }
    }
}

/// All sources but those of figures share a thread, since they do nothing but wait.
fn start_thread(node: &Arc<Node>, sources: Vec<Source>) -> std::io::Result<oneshot::Sender<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
    let node = node.clone();
    // Before anything connects, so that nothing that comes is missed.
    let changes: Vec<_> = sources.iter().map(|_| node.services.changes()).collect();
    std::thread::Builder::new().name("tidings-sources".into()).spawn(move || {
        let local = LocalSet::new();
        for (source, changes) in sources.into_iter().zip(changes) {
            let (node, source) = (node.clone(), Arc::new(source));
            match source.kind {
                SourceKind::Nats => drop(local.spawn_local(nats::run(node, source))),
                SourceKind::Redis => redis::start(&local, &node, &source),
                SourceKind::System => drop(local.spawn_local(system::run(node, source, changes))),
                SourceKind::Host => {}
            }
        }
        let _ = begun.send(());
        // An error means that the other end is gone, which is what is waited for.
        let _ = local.block_on(&runtime, stopped);
        drop(local);
        // Name resolution may hang; nobody waits for it.
        runtime.shutdown_background();
    })?;
    // From now on, health knows what should be connected.
    has_begun.recv().map_err(std::io::Error::other)?;
    Ok(stop)
}
