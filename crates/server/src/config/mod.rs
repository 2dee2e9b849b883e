//! What an operator can set: one TOML file, profiles, the environment and the command line.
//!
//! `load` merges the sources, gives every value its type, checks the whole, and tells all that
//! is wrong at once, pointing at the text. Each section is one list of settings (see
//! `setting.rs`), from which reading, suggestions, `reference_markdown`, `reference_toml` and
//! `Loaded::effective` are derived. Modules in reading order:

/// Settings from environment variables.
mod environment;
/// From sources to a checked configuration.
mod load;

/// Where settings come from, and the texts that messages point into.
mod source;
/// The tree that sources are merged into: what was written, and where, before it has types.
mod tree;

/// What can be written.
mod schema;
/// How a value gets its type; the macro that defines a section.
mod setting;

/// Settings of settings: those that may be absent, lists, tables by name.
mod containers;
/// Secrets: named in the file by a variable, read once, never shown.
mod secret;
/// Public keys: named in the file by a path, read with it.
mod pem;
/// Values with units, and text with rules.
mod units;
/// The types of single values, as settings.
mod values;
/// Settings that are one of a few words.
mod words;
/// A file with a JSON Schema, read and compiled.
mod schema_file;

/// The sections that stand once in a file.
mod sections;

/// `[[stream]]`: which topics a log captures and what it keeps.
mod stream;

/// `[[endpoint]]`: a path that speaks one dialect under one root.
mod endpoint;

/// `[auth]`: which tokens are believed, and what their roles may do.
mod auth;

/// `[[command]]`, `[[source]]`, `[[schema]]`: what reaches beyond topics and clients.
mod routes;
/// JSON with places to fill in.
mod template;

/// What must hold between sections, and what is built in.
mod rules;
/// What must hold of `[auth]`.
mod auth_rules;
/// What must hold of sources and where they are.
mod source_rules;

/// What this version refuses.
mod not_yet;

/// What is wrong, in plain words, pointing at the text.
mod problem;
/// The word that was meant.
mod suggest;

/// What a reload changes.
mod changes;
/// The merged configuration, with where each value came from.
mod effective;
/// Every setting with default and meaning.
mod reference;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

pub use auth::{Algorithm, Auth, AuthKey, AuthToken, Role};
pub use changes::{Changes, diff};
pub use endpoint::{
    Access, Allow, ClientLimits, Compression, DialectName, Endpoint, Refusal, TokenPlace,
};
pub use load::{ConfigFile, LoadOptions, Loaded, Overrides, Profile, load, parse};
pub use pem::PemFile;
pub use problem::{ConfigErrors, Warnings};
pub use reference::{SettingReference, reference_markdown, reference_settings, reference_toml};
pub use routes::{Backend, Breaker, CommandRoute, Retry, Schema, Source, SourceKind};
pub use schema_file::SchemaFile;
pub use secret::SecretVariable;
pub use sections::{
    Admin, Broker, BrokerKind, Limits, Listen, Log, LogFormat, LogLevel, Nats, Redis, Server, Tls,
};
pub use stream::{
    DEFAULT as DEFAULT_STREAM, Deliver, Durability, Retain, Stream, StreamCompression, WaitFor,
};
pub use template::Template;
pub use units::{
    ByteSize, EndpointPath, HostName, ParseError, Period, Rate, Timespan, Url, WebOrigin,
};

pub(crate) use auth_rules::USER_TEMPLATE;
use setting::settings;

settings! {
    /// A whole configuration, checked. Built-in items are among `streams` and `endpoints`.
    item Config {
        /// Where the server listens.
        listen: Listen = Listen::default() => Restart;
        /// Who may use the admin listener.
        admin: Admin = Admin::default() => Restart;
        /// What is logged, on standard error.
        log: Log = Log::default() => Restart;
        /// How the server process runs.
        server: Server = Server::default() => Restart;
        /// Bounds of this server as a whole. Endpoints set those of their clients.
        limits: Limits = Limits::default() => Restart;
        /// Where events are appended, ordered and kept.
        broker: Broker = Broker::default() => Restart;
        /// The NATS server for the broker, sources and commands.
        nats: Nats = Nats::default() => Restart;
        /// The Redis server for the broker and sources.
        redis: Redis = Redis::default() => Restart;
        /// Logs: which topics each captures, what it keeps, how it is delivered. A topic that none
        /// captures falls into the built-in stream `default`.
        streams as "stream": Vec<Stream> = Vec::new() => Restart;
        /// Which tokens are believed, and what their roles may do.
        auth: Auth = Auth::default() => Live;
        /// Paths that speak one dialect under one root. `/v1/ws` is built in.
        endpoints as "endpoint": Vec<Endpoint> = Vec::new() => Restart;
        /// Where clients' commands go, and for how long they are tried.
        commands as "command": Vec<CommandRoute> = Vec::new() => Live;
        /// Where events come in from besides publishing.
        sources as "source": Vec<Source> = Vec::new() => Restart;
        /// What data must look like, checked at publish.
        schemas as "schema": Vec<Schema> = Vec::new() => Live;
    }
}

/// The id of what is served at a path of a listener.
pub(crate) fn id_at(listener: SocketAddr, path: &str) -> Arc<str> {
    format!("{listener}{path}").into()
}

impl Config {
    /// The address that an endpoint is served on.
    pub fn listener_of(&self, endpoint: &Endpoint) -> SocketAddr {
        endpoint.listen.unwrap_or(self.listen.public)
    }

    /// The endpoints that are served on an address.
    pub(crate) fn endpoints_at(&self, listener: SocketAddr) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(move |endpoint| self.listener_of(endpoint) == listener)
    }

    /// What tells an endpoint from all others: systems may use one path, each on its listener.
    pub(crate) fn id_of(&self, endpoint: &Endpoint) -> Arc<str> {
        id_at(self.listener_of(endpoint), endpoint.path.as_str())
    }

    /// Whether clients need a token, where something or nothing is said about it.
    pub(crate) fn access(&self, said: Option<Access>) -> Access {
        let unset = if self.auth.checks_tokens() { Access::Required } else { Access::None };
        match said {
            // Where none can be checked, one that comes all the same means nothing.
            Some(Access::Optional) if !self.auth.checks_tokens() => Access::None,
            _ => said.unwrap_or(unset),
        }
    }

    /// The addresses on which clients are served: that of `listen.public` first.
    pub fn public_listeners(&self) -> Vec<SocketAddr> {
        let mut all = vec![self.listen.public];
        for address in self.endpoints.iter().map(|endpoint| self.listener_of(endpoint)) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    /// Whether clients of `endpoint` need a token.
    pub fn access_of(&self, endpoint: &Endpoint) -> Access {
        self.access(endpoint.auth)
    }
}
