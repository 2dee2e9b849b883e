use std::sync::Arc;

use client::{Client, HandlerCall, Options};
use protocol::Error;
use serde::Serialize;
use server::config::{ConfigErrors, parse};
use server::{Bound, Running};

use crate::assemble::assemble;
use crate::handler::Handler;
use crate::local::LocalConnector;
use crate::publisher::Publisher;

/// A server inside a program. When it is dropped, its clients are told to come back later and it
/// ends.
pub struct Server {
    running: Running,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A part cannot be made.
    #[error(transparent)]
    Part(#[from] crate::assemble::AssembleError),
    /// The server does not start.
    #[error(transparent)]
    Start(#[from] server::StartError),
}

impl Server {
    /// Starts a server with a configuration as in `tidings.toml`; an empty one has a memory
    /// broker and listens on loopback.
    ///
    /// A stream in a directory that cannot be written any more ends the process: what is on the
    /// disk is only known for certain after a new start.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running.
    pub fn start(config: &str) -> Result<Self, StartError> {
        let text = config.to_owned();
        let reread =
            move || parse(&text).map(|loaded| loaded.config).map_err(|error| error.to_string());
        let config = parse(config)?.config;
        let parts = assemble(config, Box::new(reread), None)?;
        Ok(Self { running: Running::start(parts)? })
    }

    /// Publishes from any thread.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.running.node().clone())
    }

    /// A client within the process, who may do everything. Must be called within a tokio runtime.
    pub fn client(&self) -> Client {
        let options = Options::default();
        let connector = LocalConnector::new(Arc::clone(self.running.node()), options.clone());
        Client::over(connector, options)
    }

    /// Handles the commands that match `pattern` within this process: `handler` gets each call and
    /// its result, or error, is the answer. One that panics fails its call and no other. Ends when
    /// what this gives is dropped. Must be called within a tokio runtime, on which it is run.
    ///
    /// # Errors
    /// Where the pattern breaks a rule, or the server is being drained.
    pub async fn handle<H, A, T>(&self, pattern: &str, handler: H) -> Result<Handler, client::Error>
    where
        H: Fn(HandlerCall) -> A + Send + 'static,
        A: Future<Output = Result<T, Error>> + Send + 'static,
        T: Serialize,
    {
        Handler::start(self.client(), pattern, handler).await
    }

    /// Where it listens.
    pub fn bound(&self) -> Bound {
        self.running.bound()
    }

    /// Sends its clients away and waits until it has ended.
    pub fn shut_down(self) {
        self.running.node().begin_drain();
        self.running.wait();
    }
}
