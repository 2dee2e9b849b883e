use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use brokers::OpenError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use server::config::{Config, Loaded, LogFormat, load};
use server::{Node, Running, StartError};
use tidings::assemble::{AssembleError, assemble};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::failure::{Failure, Result};
use super::logging::Logging;
use super::output::{self, Output};
use super::setup::{Setup, environment, tell};

const EXAMPLES: &str = "\
Examples:
  tidings serve
  tidings serve --config tidings.toml --listen 0.0.0.0:8080
  tidings serve --listen 127.0.0.1:0 --admin 127.0.0.1:0 --json

The URLs to open are printed once it listens. SIGTERM and SIGINT send clients away and then end the
server; a second one ends it at once. SIGHUP lets it read its configuration again.";

/// Run the server
///
/// With nothing given it keeps events in memory and listens on loopback only.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    setup: Setup,
}

/// Every client takes a descriptor, and shells give few by default: takes as many as it may.
pub(super) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where that is refused, it serves fewer clients.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Runs the server until it is drained.
pub(crate) fn run(args: Args, out: &mut Output) -> Result {
    raise_descriptor_limit();
    let loaded = args.setup.load()?;
    let logging = Logging::start(&loaded.config.log);
    tell_where_logs_go(&loaded);
    let reread = rereading(&args.setup, logging)?;
    let parts = assemble(loaded.config, reread, None).map_err(not_assembled)?;
    // Before anybody is told that it runs, and may want to end it.
    let signals = Signals::take()?;
    let running = Running::start(parts).map_err(not_started)?;
    print(&running, out)?;
    signals.until_drained(running)
}

/// Programs that read the log get what people are told as lines of it.
fn tell_where_logs_go(loaded: &Loaded) {
    if loaded.config.log.format == LogFormat::Text {
        return tell(loaded);
    }
    if let Some(file) = &loaded.file {
        tracing::info!(file = %file.display(), "read the configuration");
    }
    for warning in loaded.warnings.titles() {
        tracing::warn!("{warning}");
    }
}

/// Reads the configuration anew as it was read at first.
type Reread = Box<dyn Fn() -> std::result::Result<Config, String> + Send + Sync>;

/// Reads the configuration anew, with the same options.
pub(crate) fn rereading(setup: &Setup, logging: Logging) -> Result<Reread> {
    let options = setup.options()?;
    Ok(Box::new(move || {
        let loaded = load(&options, environment()).map_err(|errors| errors.to_string())?;
        for warning in loaded.warnings.titles() {
            tracing::warn!("{warning}");
        }
        // What can be read is taken.
        logging.set_level(loaded.config.log.level);
        Ok(loaded.config)
    }))
}

/// Why a server cannot be put together, and what to do about it.
pub(crate) fn not_assembled(error: AssembleError) -> Failure {
    let failure = Failure::failed(error.to_string());
    match error {
        AssembleError::Data(OpenError::InUse(_)) => failure
            .hint("stop the other server, or give this one a directory of its own with --data"),
        AssembleError::Data(OpenError::Store(_)) => failure.hint(
            "moved away, the file is made again: then every stream begins a new epoch, and events \
             are kept",
        ),
        _ => failure,
    }
}

/// Why a server does not start, and what to do about it.
pub(crate) fn not_started(error: StartError) -> Failure {
    let failure = Failure::failed(error.to_string());
    let StartError::Listen { address, source } = error else { return failure };
    match source.kind() {
        std::io::ErrorKind::AddrInUse => failure.hint(format!(
            "something listens at {address} already, perhaps another server; choose another \
             address with --listen (for clients) or --admin"
        )),
        std::io::ErrorKind::PermissionDenied => failure
            .hint("ports below 1024 need a privilege; choose another with --listen or --admin"),
        std::io::ErrorKind::AddrNotAvailable => {
            failure.hint("this machine has no such address; `0.0.0.0` stands for all that it has")
        }
        _ => failure,
    }
}

/// Prints the URLs to open.
pub(crate) fn print(running: &Running, out: &mut Output) -> Result {
    let (bound, config) = (running.bound(), running.node().config());
    let public = format!("http://{}", reachable(bound.public));
    let admin = format!("http://{}", reachable(bound.admin));
    let endpoints: Vec<(String, &str, &str)> = config
        .endpoints
        .iter()
        .flat_map(|endpoint| endpoint.paths().map(move |path| (endpoint, path.as_str())))
        .map(|(endpoint, path)| {
            let address = running.node().bound_to(config.listener_of(endpoint));
            let url = format!("ws://{}{path}", reachable(address));
            (url, path, endpoint.dialect.as_str())
        })
        .collect();
    if out.is_json() {
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(url, path, dialect)| json!({ "url": url, "path": path, "dialect": dialect }))
            .collect();
        let listening = json!({ "public": public, "admin": admin, "endpoints": endpoints });
        out.line(listening.to_string())?;
    } else {
        out.line(format!("Tidings {} is listening.", env!("CARGO_PKG_VERSION")))?;
        out.line(format!("  clients  {public}"))?;
        for (url, _, dialect) in endpoints {
            out.line(format!("           {url} ({dialect})"))?;
        }
        out.line(format!("  admin    {admin}"))?;
    }
    out.flush()
}

/// An address that can be opened: listening on all addresses is listening on loopback, too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// What the process is told from outside. From the moment in which they are taken, signals wait
/// here instead of ending the process.
pub(crate) struct Signals {
    runtime: Runtime,
    received: Received,
}

struct Received {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes them from now on.
    pub(crate) fn take() -> Result<Self> {
        let cannot = |error| Failure::failed(format!("cannot take signals: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(cannot)?;
        let received = {
            let _within = runtime.enter();
            Received {
                interrupt: signal(SignalKind::interrupt()).map_err(cannot)?,
                terminate: signal(SignalKind::terminate()).map_err(cannot)?,
                hangup: signal(SignalKind::hangup()).map_err(cannot)?,
            }
        };
        Ok(Self { runtime, received })
    }

    /// Waits until the server has been drained, and does what they say meanwhile.
    pub(crate) fn until_drained(self, running: Running) -> Result {
        let node = running.node().clone();
        let (end, mut ended) = oneshot::channel();
        std::thread::spawn(move || {
            running.wait();
            // The receiver waits for it.
            let _ = end.send(());
        });
        self.runtime.block_on(self.received.obey(&node, &mut ended));
        tracing::info!("ended");
        Ok(())
    }
}

impl Received {
    async fn obey(mut self, node: &Arc<Node>, ended: &mut oneshot::Receiver<()>) {
        let mut is_asked = false;
        loop {
            tokio::select! {
                _ = &mut *ended => return,
                Some(()) = self.interrupt.recv() => is_asked = end(node, is_asked),
                Some(()) = self.terminate.recv() => is_asked = end(node, is_asked),
                Some(()) = self.hangup.recv() => reload(node).await,
            }
        }
    }
}

/// The first signal drains; who sends another does not want to wait.
fn end(node: &Node, is_asked: bool) -> bool {
    if is_asked {
        tracing::warn!("ended at once, before all clients had left");
        std::process::exit(1);
    }
    tracing::info!("draining; another signal ends at once");
    node.begin_drain();
    true
}

async fn reload(node: &Arc<Node>) {
    let Err(errors) = server::reload::reload(node).await else { return };
    if node.config().log.format == LogFormat::Text {
        tracing::error!("the new configuration is wrong; the old one stays whole");
        output::error_line(&errors);
    } else {
        tracing::error!(%errors, "the new configuration is wrong; the old one stays whole");
    }
}
