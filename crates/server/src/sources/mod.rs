//! Where events come in from besides publishing: a file per kind of source.

/// The figures of this host.
mod host;

use std::sync::Arc;

use crate::config::SourceKind;
use crate::node::Node;

/// The sources of a server. They end when this is dropped, and before that when a drain begins.
#[derive(Default)]
pub(crate) struct Sources {
    hosts: Vec<host::Host>,
}

impl Sources {
    /// Starts what is configured. A source that cannot be started is said in the log; the server
    /// goes without it.
    pub(crate) fn start(node: &Arc<Node>) -> Self {
        let mut sources = Self::default();
        for source in &node.config().sources {
            match source.kind {
                SourceKind::Host => sources.hosts.extend(host::Host::start(node, source)),
                // Refused by the configuration of this version.
                SourceKind::Nats | SourceKind::Redis => {}
            }
        }
        sources
    }
}
