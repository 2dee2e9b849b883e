use std::net::SocketAddr;

use protocol::{Pattern, Topic};

use super::schema::Shape;
use super::sections::Limits;
use super::setting::{Context, Setting, settings};
use super::tree::Node;
use super::units::{ByteSize, EndpointPath, Rate, Timespan, WebOrigin};
use super::words::{choose, words};

settings! {
    /// A path that speaks one dialect under one root.
    item Endpoint by path at listen {
        /// The path, such as `/events`.
        path: EndpointPath => Restart;
        /// Other paths under which it is served: bounds and figures count all of them together. One that
        /// is the `path` of another endpoint is that one's.
        aliases: Vec<EndpointPath> = Vec::new() => Restart;
        /// The address that it is served on.
        listen: Option<SocketAddr>, unset "that of `listen.public`" => Restart;
        /// How commands and events are spelled.
        dialect: DialectName = DialectName::NATIVE => Restart;
        /// The prefix of topics that its clients don't see.
        root: Option<Topic>, unset "clients see whole topics" => Restart;
        /// What may be subscribed to, in dialects that have a fixed vocabulary.
        names: Vec<String> = Vec::new() => Restart;
        /// Whether clients need a token.
        auth: Option<Access>, unset "`required` where `[auth]` has keys, otherwise `none`" => Live;
        /// Where a token may come from.
        tokens: Option<Vec<TokenPlace>>, unset "`header`, `protocol` and `message`" => Live;
        /// How a wrong token is answered that came as a subprotocol, from a browser for the most part:
        /// its page sees a close code, and no status.
        refusal: Refusal = Refusal::Status => Live;
        /// What its clients may do besides what their roles allow.
        allow: Allow = Allow::default() => Live;
        /// Whether the HTTP routes of the dialect's system are served on its listener.
        routes: bool = false => Restart;
        /// What the status route of the dialect's system says while the server is up, where it has one.
        status: String = "online".to_owned() => Live;
        /// Web origins from which browsers may connect: `*` stands for all, `loopback` for those of
        /// this machine on any port.
        origins: Vec<WebOrigin> = Vec::new() => Live;
        /// Web origins whose pages may read plain HTTP answers: of the system's routes, and at
        /// `/v1/ws` of everything below `/v1/`; `*` stands for all.
        cors: Vec<WebOrigin> = Vec::new() => Live;
        /// How often both sides show that they are alive.
        heartbeat: Timespan = Timespan::from_secs(30),
            within Timespan::from_ms(100)..=Timespan::from_hours(1) => Live;
        /// How long the place of a client that dropped is kept under its identity.
        remember: Option<Timespan>, unset "clients resume by position",
            within Timespan::from_secs(1)..=Timespan::from_hours(168) => Live;
        /// Compression of what is sent.
        compression: Option<Compression>, unset "no compression" => Restart;
        /// Bounds of its clients.
        limits: ClientLimits = ClientLimits::default() => Live;
    }

    /// What every client of an endpoint may do.
    section Allow {
        /// Patterns of topics that they may subscribe to.
        subscribe: Vec<Pattern> = Vec::new() => Live;
        /// Patterns of topics that they may publish to.
        publish: Vec<Pattern> = Vec::new() => Live;
        /// Patterns of commands that they may send.
        command: Vec<Pattern> = Vec::new() => Live;
        /// Patterns of commands of others that they may handle.
        handle: Vec<Pattern> = Vec::new() => Live;
    }

    /// When and how strongly messages are compressed.
    section Compression {
        /// Messages from this size on.
        above: ByteSize = ByteSize::from_kib(1) => Restart;
        /// From 1, fast, to 9, small.
        level: u32 = 6, within 1..=9 => Restart;
    }

    /// Bounds of a client, a user or an address.
    section ClientLimits {
        /// Largest message from a client; a larger one closes 1009.
        message_bytes: Option<ByteSize>, unset "that of `limits.message_bytes`",
            within ByteSize::from_kib(1)..=ByteSize::from_mib(64) => Live;
        /// Most devices of a user at a time.
        devices_per_user: Option<u32>, unset "no bound", within 1..=1_000_000 => Live;
        /// Messages from a client.
        messages: Option<Rate>, unset "no bound" => Live;
        /// New connections from an address.
        connections_per_address: Option<Rate>, unset "no bound" => Live;
        /// Connections from an address at a time.
        concurrent_per_address: Option<u32>, unset "no bound", within 1..=10_000_000 => Live;
        /// Most patterns that a client subscribes to.
        subscriptions: Option<u32>, unset "that of `limits.subscriptions`", within 1..=100_000
            => Live;
    }
}

words! {
    /// Whether clients of an endpoint need a token.
    Access, "a rule for tokens" {
        /// Without a valid one nobody connects.
        Required "required",
        /// Without one a client is anonymous.
        Optional "optional",
        /// Tokens are not looked at.
        None "none",
    }

    /// How a client is told that its token is wrong.
    Refusal, "a way to refuse" {
        /// Status 401 instead of the upgrade.
        Status "status",
        /// The upgrade, and then close code 1008.
        Close "close",
    }

    /// Where a client puts its token.
    TokenPlace, "a place for tokens" {
        /// `Authorization: Bearer …`
        Header "header",
        /// `Sec-WebSocket-Protocol`
        Protocol "protocol",
        /// The first message.
        Message "message",
        /// `?token=…`
        Query "query",
    }
}

/// The name of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DialectName(&'static str);

impl DialectName {
    /// The native protocol.
    pub const NATIVE: Self = Self("native");
    const NAMES: &'static [&'static str] = protocol::dialects::NAMES;

    /// The name in the file.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl Setting for DialectName {
    fn shape() -> Shape {
        Shape::Choice(Self::NAMES)
    }

    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let name = choose(node, cx, "a dialect", Self::NAMES)?;
        Self::NAMES.iter().find(|known| **known == name).map(|known| Self(known))
    }

    fn write(&self) -> Option<toml::Value> {
        Some(toml::Value::String(self.0.to_owned()))
    }
}

impl Endpoint {
    /// Every path under which it is served.
    pub fn paths(&self) -> impl Iterator<Item = &EndpointPath> {
        std::iter::once(&self.path).chain(&self.aliases)
    }

    /// Whether it is served under that path.
    pub fn is_at(&self, path: &str) -> bool {
        self.paths().any(|known| known.as_str() == path)
    }

    /// Largest message from a client.
    pub fn message_bytes(&self, server: &Limits) -> ByteSize {
        self.limits.message_bytes.unwrap_or(server.message_bytes)
    }

    /// Most patterns that a client subscribes to.
    pub fn subscriptions(&self, server: &Limits) -> u32 {
        self.limits.subscriptions.unwrap_or(server.subscriptions)
    }
}
