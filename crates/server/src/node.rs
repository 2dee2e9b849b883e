use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use engine::{Broker, Grants, StreamIndex, StreamTable};
use parking_lot::Mutex;
use protocol::{Appended, ClientId, CloseReason, Draft, Error, ErrorCode, Pattern, StreamName};
use tokio::sync::{Notify, oneshot};

use crate::absent::{Absent, Bounds, Continuity};
use crate::auth::{Authority, Principal, Revoked};
use crate::clock::Clock;
use crate::commands::Commands;
use crate::config::{Access, Allow, Config, Refusal, Schema, StreamCompression, TokenPlace};
use crate::counted::Counted;
use crate::departures::Departures;
use crate::endpoint::{Endpoint, Spoken};
use crate::gates::Gates;
use crate::http::Admission;
use crate::listen::Handshakes;
use crate::memberships::Memberships;
use crate::metrics::Metrics;
use crate::nats::Nats;
use crate::registry::{Connected, Registry, Way};
use crate::server::{Parts, StartError};
use crate::services::Services;
use crate::session_token::SealedIds;
use crate::transports::Transport;
use crate::wardrobe::Wardrobe;
use crate::worker::{Inbox, Input, Shell};

/// What all threads of a server share.
pub struct Node {
    /// Its name, told to clients.
    pub name: Arc<str>,
    /// Its clocks.
    pub clock: Clock,
    /// The streams.
    pub table: Arc<StreamTable>,
    /// Where events are kept.
    pub broker: Arc<dyn Broker>,
    /// Who is connected.
    pub registry: Registry,
    /// Which groups they are in.
    pub(crate) memberships: Memberships,
    /// What clients had that dropped.
    pub(crate) absent: Absent,
    /// What it counts beside the workers.
    pub metrics: Metrics,
    /// What clients did who have left.
    pub(crate) departures: Departures,
    /// Tokens that are not believed any more.
    pub(crate) revoked: Revoked,
    authority: ArcSwap<Authority>,
    /// What works beside it, and whether it does.
    pub services: Arc<Services>,
    /// The connection to NATS, where it is configured.
    pub(crate) nats: Option<Nats>,
    /// What carries out clients' commands.
    pub(crate) commands: Commands,
    /// What publishers wait before.
    pub(crate) gates: Gates,
    /// Room for publishes of requests.
    pub(crate) admission: Admission,
    /// When it started, in ms since 1970.
    pub started_at_ms: u64,
    /// Reads the configuration anew, for a reload.
    pub(crate) reread: Box<dyn Fn() -> Result<Config, String> + Send + Sync>,
    pub(crate) session_ids: SealedIds,
    pub(crate) looks: Wardrobe,
    pub(crate) handshakes: Handshakes,
    pub(crate) addresses: Counted,
    /// How often those send messages who are not connected.
    pub(crate) senders: Counted,
    pub(crate) admin_token: Option<String>,
    /// Where it listens in fact, once it does.
    pub(crate) bound: OnceLock<Bound>,
    /// Where each public listener of the configuration listens in fact, once it does.
    pub(crate) public: OnceLock<Vec<(SocketAddr, SocketAddr)>>,
    config: ArcSwap<Config>,
    inboxes: Vec<Arc<Inbox>>,
    /// Clients within the process so far.
    attached: AtomicUsize,
    is_stopped: AtomicBool,
    is_draining: AtomicBool,
    /// Told when a drain begins.
    pub(crate) drain: Notify,
    /// Extra routes of the admin listener, such as those of the demo.
    pub(crate) extra: Mutex<Option<axum::Router>>,
}

/// Where a token may come from, where nothing is said.
const TOKEN_PLACES: [TokenPlace; 3] =
    [TokenPlace::Header, TokenPlace::Protocol, TokenPlace::Message];

/// The addresses of the listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// For clients.
    pub public: SocketAddr,
    /// For publishing and the admin API.
    pub admin: SocketAddr,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Result<Self, StartError> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        let workers = parts.config.server.worker_count();
        let admin_token =
            parts.config.admin.token_env.as_ref().map(|token| token.reveal().to_owned());
        let inboxes: Vec<Arc<Inbox>> = (0..workers).map(|_| Arc::default()).collect();
        let services = Arc::<Services>::default();
        let nats = parts.config.nats.url.as_ref().map(|url| Nats::start(url, &services));
        let gates = Gates::new(&parts.config, &parts.table, &parts.broker, &inboxes);
        Ok(Self {
            name: node_name(),
            clock: Clock::new(),
            table: parts.table,
            broker: parts.broker,
            registry: Registry::default(),
            memberships: Memberships::default(),
            absent: Absent::default(),
            metrics: Metrics::default(),
            departures: Departures::default(),
            revoked: Revoked::default(),
            authority: ArcSwap::from_pointee(Authority::new(&parts.config.auth)),
            services,
            nats: nats.transpose()?,
            commands: Commands::start()?,
            gates,
            admission: Admission::default(),
            started_at_ms: crate::clock::wall_ms(),
            reread: parts.reread,
            session_ids: SealedIds::new(&key),
            looks: Wardrobe::new(&parts.config),
            handshakes: Handshakes::new(parts.config.limits.handshakes),
            addresses: Counted::default(),
            senders: Counted::default(),
            admin_token,
            bound: OnceLock::new(),
            public: OnceLock::new(),
            config: ArcSwap::from_pointee(parts.config),
            inboxes,
            attached: AtomicUsize::new(0),
            is_stopped: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            drain: Notify::new(),
            extra: Mutex::new(parts.extra),
        })
    }

    /// Streams whose events are never compressed.
    pub(crate) fn plain_streams(&self) -> HashSet<StreamName> {
        let config = self.config();
        let plain = config.streams.iter().filter(|s| s.compression == StreamCompression::Never);
        plain.map(|stream| stream.name.clone()).collect()
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Who clients are, by the configuration in force.
    pub(crate) fn authority(&self) -> Arc<Authority> {
        self.authority.load_full()
    }

    pub(crate) fn set_config(&self, config: Config) {
        if self.config().auth != config.auth {
            self.authority.store(Arc::new(Authority::new(&config.auth)));
        }
        self.config.store(Arc::new(config));
    }

    /// Where it listens in fact for what the configuration has at `address`.
    pub fn bound_to(&self, address: SocketAddr) -> SocketAddr {
        let mut listeners = self.public.get().into_iter().flatten();
        listeners.find(|(wanted, _)| *wanted == address).map_or(address, |(_, bound)| *bound)
    }

    /// For how long it has been running, in ms.
    pub(crate) fn uptime_ms(&self) -> u64 {
        crate::clock::wall_ms().saturating_sub(self.started_at_ms)
    }

    /// Whether publishing and delivery are stopped.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Stops publishing and delivery, or lets them go on.
    pub fn set_stopped(&self, is_stopped: bool) {
        self.is_stopped.store(is_stopped, Ordering::Relaxed);
        // Every stream may have something that was left.
        for inbox in &self.inboxes {
            for stream in self.table.indexes() {
                inbox.push(Input::Stream(stream));
            }
        }
    }

    /// Whether clients are being sent away.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Begins a drain: the server ends when its clients have left or their time is over.
    pub fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.drain.notify_one();
    }

    /// Hands the far end of a pipe to a worker: a client within the process, speaking the frames
    /// of a WebSocket without its handshake.
    pub fn attach(&self, pipe: tokio::io::DuplexStream) {
        let at = self.attached.fetch_add(1, Ordering::Relaxed);
        if let Some(inbox) = self.inboxes.get(at % self.inboxes.len().max(1)) {
            inbox.push(Input::Attached(pipe));
        }
    }

    pub(crate) fn inbox(&self, worker: usize) -> Option<Arc<Inbox>> {
        self.inboxes.get(worker).cloned()
    }

    pub(crate) fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }

    pub(crate) fn worker_limits(&self) -> engine::Limits {
        let config = self.config();
        let limits = &config.limits;
        let recent_bytes_max = limits.tail_bytes.as_len();
        let filters_max = limits.filters as usize;
        engine::Limits { recent_bytes_max, filters_max, ..engine::Limits::default() }
    }

    /// Asks every worker something about its own state.
    pub(crate) async fn ask_all<T: Send + 'static>(
        &self,
        ask: impl Fn(&mut Shell) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let mut answers = Vec::new();
        for worker in 0..self.inboxes.len() {
            answers.push(self.ask(worker, ask.clone()));
        }
        let mut all = Vec::new();
        for answer in answers {
            all.extend(answer.answer().await);
        }
        all
    }

    /// Asks one worker something about its own state, at once: before the answer is awaited.
    pub(crate) fn ask<T: Send + 'static, A>(&self, worker: usize, ask: A) -> Asked<T>
    where
        A: FnOnce(&mut Shell) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        if let Some(inbox) = self.inboxes.get(worker) {
            inbox.push(Input::Do(Box::new(move |shell| drop(answer.send(ask(shell))))));
        }
        Asked(answered)
    }

    /// Closes a client, whichever worker has it.
    pub fn close_client(&self, client: &Connected, reason: CloseReason, after_ms: Option<u64>) {
        let key = client.key;
        if let Some(inbox) = self.inboxes.get(client.worker) {
            inbox.push(Input::Do(Box::new(move |shell| {
                let now = shell.now();
                shell.engine.close(now, key, reason, after_ms);
            })));
        }
    }

    /// Keeps what a client had that dropped.
    pub(crate) fn remember(&self, continuity: &Continuity, remembered: engine::Remembered) {
        let config = self.config();
        let bounds = Bounds {
            count_max: config.limits.remembered as usize,
            bytes_max: config.limits.remembered_bytes.as_len(),
        };
        self.absent.keep(self.clock.now().ms, continuity, remembered, bounds);
    }

    /// Refuses what no stream should take.
    ///
    /// # Errors
    /// `draining` while publishing is stopped, `too_large` beyond the bound on data, `invalid_data`
    /// where they are not as a schema wants them.
    pub fn check_draft(&self, draft: &Draft) -> Result<(), Error> {
        if self.is_stopped() || self.is_draining() {
            let message = "the server takes no events at the moment";
            return Err(Error::new(ErrorCode::Draining, message).retry_after(1_000));
        }
        let config = self.config();
        let bytes_max = config.limits.event_bytes.as_len();
        if draft.payload.len() > bytes_max {
            let message = format!(
                "an event's data may have at most {bytes_max} bytes (setting `limits.event_bytes`)"
            );
            return Err(Error::new(ErrorCode::TooLarge, message));
        }
        let is_meant = |schema: &&Schema| schema.topics.iter().any(|it| it.matches(&draft.topic));
        config
            .schemas
            .iter()
            .filter(is_meant)
            .try_for_each(|schema| schema.file.validator().check(&draft.payload))
    }

    /// Appends to a stream, counting what its consumers have before them. Who can wait should have
    /// asked the stream's gate.
    pub fn append(
        &self,
        stream: StreamIndex,
        drafts: Vec<Draft>,
        answer: engine::Answer<Vec<Result<Appended, Error>>>,
    ) {
        let Some(gate) = self.gates.of(stream).cloned() else {
            return self.broker.append(stream, drafts, answer);
        };
        let sizes = gate.begin(&drafts);
        let counted = move |results: Vec<_>| {
            gate.finish(&sizes, &results);
            answer(results);
        };
        self.broker.append(stream, drafts, Box::new(counted));
    }

    /// Refuses what would have to wait for the consumers of a stream.
    ///
    /// # Errors
    /// `overloaded`.
    pub fn check_consumers(&self, stream: StreamIndex) -> Result<(), Error> {
        match self.gates.of(stream) {
            Some(gate) if !gate.is_open() => Err(gate.refusal()),
            _ => Ok(()),
        }
    }

    /// What an endpoint's clients without a token may do.
    pub(crate) fn anonymous(&self) -> Arc<Grants> {
        let standing = self.authority().standing(&Principal::default());
        standing.map(|standing| standing.grants).unwrap_or_default()
    }

    /// What programs may do that embed the server: everything but the system's topics.
    pub(crate) fn local_grants() -> Arc<Grants> {
        let all: Vec<Pattern> = Pattern::parse(">").into_iter().collect();
        Arc::new(Grants {
            subscribe: all.clone(),
            publish: all.clone(),
            command: all.clone(),
            handle: all,
        })
    }

    /// The endpoint of clients within the process.
    pub(crate) fn local_endpoint(&self) -> Rc<Endpoint> {
        let native = self.native_endpoint("local", Transport::Local);
        Rc::new(Endpoint { grants: Self::local_grants(), access: Access::None, ..native })
    }

    /// An endpoint of the native dialect with nothing configured.
    pub(crate) fn native_endpoint(&self, path: &str, transport: Transport) -> Endpoint {
        let listen = self.config().listen.public;
        self.plain_endpoint(listen, path, transport, self.looks.native(transport))
    }

    /// An endpoint with nothing configured but what is spoken there.
    pub(crate) fn plain_endpoint(
        &self,
        listen: SocketAddr,
        path: &str,
        transport: Transport,
        spoken: Spoken,
    ) -> Endpoint {
        let config = self.config();
        Endpoint {
            way: Arc::new(Way {
                endpoint: path.into(),
                id: crate::config::id_at(listen, path),
                dialect: spoken.first.dialect.name(),
                transport,
            }),
            aliases: Vec::new(),
            listen,
            spoken,
            grants: self.anonymous(),
            allow: Allow::default(),
            access: config.access(None),
            tokens: TOKEN_PLACES.to_vec(),
            refusal: Refusal::Status,
            devices_max: None,
            origins: Vec::new(),
            heartbeat_ms: 30_000,
            remember_ms: None,
            message_bytes_max: config.limits.message_bytes.as_len(),
            subscriptions_max: config.limits.subscriptions,
            messages: None,
            connections_per_address: None,
            concurrent_per_address: None,
        }
    }

    /// The client of that id.
    ///
    /// # Errors
    /// `not_found`.
    pub(crate) fn client(&self, id: &str) -> Result<(ClientId, Connected), Error> {
        let id = ClientId::parse(id)?;
        let client = self
            .registry
            .get(id)
            .ok_or_else(|| Error::new(ErrorCode::NotFound, "no client of that id is connected"))?;
        Ok((id, client))
    }
}

/// A question to a worker that is on its way.
pub(crate) struct Asked<T>(oneshot::Receiver<T>);

impl<T> Asked<T> {
    /// The answer; `None` where the worker is gone.
    pub(crate) async fn answer(self) -> Option<T> {
        self.0.await.ok()
    }
}

/// A name that tells nodes apart in what clients and logs show.
fn node_name() -> Arc<str> {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let tail = id.get(24..).unwrap_or_default();
    format!("node-{tail}").into()
}
