//! The servers that are measured, each with how its clients subscribe and how it is told events.

/// Tidings itself.
mod tidings;
/// What no server can beat: bare writes.
mod floor;
/// Servers of a few lines around a library, which all speak one protocol of a few words.
mod scripted;
/// Socket.IO.
mod socket_io;
/// NATS over WebSocket.
mod nats;
/// Mosquitto: MQTT over WebSocket.
mod mosquitto;
/// Nchan: a module of nginx.
mod nchan;
/// Sockudo: the Pusher protocol.
mod sockudo;

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::load::dialogue::Dialogue;
use crate::load::publisher::Telling;
use crate::process::{Process, free_address};

/// A server that can be measured.
pub(crate) trait Target: Dialogue + Sync {
    /// Its name in results.
    fn name(&self) -> &'static str;

    /// Its version.
    ///
    /// # Errors
    /// Why it cannot be run.
    fn version(&self, tools: &Tools) -> Result<String>;

    /// What starts it.
    fn command(&self, setup: &Setup<'_>) -> Result<Command>;

    /// A connection that is ready to publish over, and how.
    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)>;

    /// Whether its clients can come back at a position.
    fn resumes(&self) -> bool {
        false
    }

    /// Whether it compresses, where a run asks for it.
    fn deflates(&self) -> bool {
        false
    }

    /// Whether it is a bound and no server.
    fn is_floor(&self) -> bool {
        false
    }
}

/// Where what is measured was put.
pub(crate) struct Tools {
    /// The Tidings binary.
    pub(crate) tidings: PathBuf,
    /// Other servers, as the install command puts them there.
    pub(crate) peers: PathBuf,
    /// This crate's scripts of peers.
    pub(crate) scripts: PathBuf,
}

/// How a server is started.
pub(crate) struct Setup<'a> {
    pub(crate) tools: &'a Tools,
    /// A directory of its own for configuration and state.
    pub(crate) directory: &'a Path,
    /// Where its clients connect.
    pub(crate) clients: SocketAddr,
    /// Where events are published, where that is elsewhere.
    pub(crate) publish: SocketAddr,
    /// Its core, where it is pinned to one.
    pub(crate) core: Option<usize>,
    /// Compress what is longer than a few hundred bytes.
    pub(crate) deflate: bool,
    /// Subscriptions that one client may have.
    pub(crate) subscriptions: usize,
}

/// A server that runs.
pub(crate) struct Running<'a> {
    pub(crate) target: &'a dyn Target,
    pub(crate) setup: Setup<'a>,
    pub(crate) process: Process,
}

/// How a run wants its server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) core: Option<usize>,
    pub(crate) deflate: bool,
    /// Subscriptions that one client may have, where more than usual.
    pub(crate) subscriptions: Option<usize>,
}

impl<'a> Running<'a> {
    /// Starts a server on free ports.
    pub(crate) fn start(
        target: &'a dyn Target,
        tools: &'a Tools,
        directory: &'a Path,
        wishes: Wishes,
    ) -> Result<Self> {
        let setup = Setup {
            tools,
            directory,
            clients: free_address()?,
            publish: free_address()?,
            core: wishes.core,
            deflate: wishes.deflate,
            subscriptions: wishes.subscriptions.unwrap_or(100),
        };
        let command = target.command(&setup)?;
        let command = match wishes.core {
            Some(core) => pinned(core, &command),
            None => command,
        };
        let process =
            Process::start(command, &[setup.clients]).with_context(|| target.name().to_owned())?;
        Ok(Self { target, setup, process })
    }

    /// A connection to publish over.
    pub(crate) fn publisher(&self) -> Result<(TcpStream, Box<dyn Telling>)> {
        self.target.publisher(&self.setup).context("connecting the publisher")
    }
}

/// The same command on one core.
fn pinned(core: usize, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.arg("-c").arg(core.to_string()).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => pinned.env(name, value),
            None => pinned.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        pinned.current_dir(directory);
    }
    pinned
}

/// Tidings alone.
pub(crate) fn tidings() -> impl Target {
    tidings::Tidings
}

/// Every target, floors first.
pub(crate) fn all() -> Vec<Box<dyn Target>> {
    vec![
        Box::new(floor::Floor { joins: false }),
        Box::new(floor::Floor { joins: true }),
        Box::new(tidings::Tidings),
        Box::new(scripted::BUN),
        Box::new(scripted::SOCKETIFY),
        Box::new(nchan::Nchan),
        Box::new(nats::Nats),
        Box::new(mosquitto::Mosquitto),
        Box::new(scripted::WS),
        Box::new(socket_io::SocketIo),
        Box::new(sockudo::Sockudo),
        Box::new(scripted::FASTAPI),
    ]
}

/// What a command prints of its version: the first word that has a digit and a dot.
fn printed_version(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let is_version =
        |word: &&str| word.contains('.') && word.contains(|c: char| c.is_ascii_digit());
    let word = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '/' | '"'));
    let found = word.into_iter().find(is_version).context("it does not say its version")?;
    Ok(found.trim_start_matches('v').to_owned())
}
