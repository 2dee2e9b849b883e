use std::sync::Arc;

use client::{Connector, Error, Options, WebSocket};
use server::Node;

/// Bytes that may be under way in each direction.
const PIPE_BYTES: usize = 256 << 10;

/// Connects to a server in the same process, over a pipe instead of a socket. Everything else is
/// the same as for a client from outside, so order, history and resuming are too.
pub(crate) struct LocalConnector {
    node: Arc<Node>,
    options: Options,
}

impl LocalConnector {
    pub(crate) fn new(node: Arc<Node>, options: Options) -> Self {
        Self { node, options }
    }
}

impl Connector for LocalConnector {
    type Link = WebSocket<tokio::io::DuplexStream>;

    async fn connect(&mut self) -> Result<Self::Link, Error> {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        if self.node.is_draining() {
            return Err(Error::Unreachable("the server is draining".into()));
        }
        self.node.attach(far);
        Ok(WebSocket::over(near, &self.options))
    }
}
