use client::Error;
use client::http::Admin;
use serde::de::DeserializeOwned;

use super::failure::{Failure, Result};
use super::text::span;

const URL: &str = "http://127.0.0.1:8080";
const ADMIN_URL: &str = "http://127.0.0.1:8081";

/// Options that all commands take.
#[derive(clap::Args)]
pub(crate) struct Globals {
    /// Print results for programs: one JSON object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Where the server listens for clients
    #[arg(
        long,
        global = true,
        env = "TIDINGS_URL",
        value_name = "URL",
        default_value = URL,
        help_heading = "Server"
    )]
    url: String,
    /// The token that clients show there
    #[arg(
        long,
        global = true,
        env = "TIDINGS_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Server"
    )]
    token: Option<String>,
    /// Where the server listens for publishers and operators
    #[arg(
        long,
        global = true,
        env = "TIDINGS_ADMIN_URL",
        value_name = "URL",
        default_value = ADMIN_URL,
        help_heading = "Server"
    )]
    admin_url: String,
    /// The token that they show there
    #[arg(
        long,
        global = true,
        env = "TIDINGS_ADMIN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Server"
    )]
    admin_token: Option<String>,
}

/// One of a server's two listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// For clients.
    Public,
    /// For publishers and operators.
    Admin,
}

/// A listener of a server, to be asked over HTTP.
pub(crate) struct Remote {
    pub(crate) http: Admin,
    side: Side,
}

impl Globals {
    /// The public listener. An empty variable is none, here and below.
    pub(crate) fn url(&self) -> &str {
        if self.url.is_empty() { URL } else { &self.url }
    }

    /// The client's token.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref().filter(|token| !token.is_empty())
    }

    /// A listener, not connected to yet.
    pub(crate) fn remote(&self, side: Side) -> Result<Remote> {
        let admin_token = self.admin_token.as_deref().filter(|token| !token.is_empty());
        let admin_url = if self.admin_url.is_empty() { ADMIN_URL } else { &self.admin_url };
        let (url, token) = match side {
            Side::Public => (self.url(), self.token()),
            Side::Admin => (admin_url, admin_token),
        };
        let http = Admin::new(url, token).map_err(|error| explain(error, side))?;
        Ok(Remote { http, side })
    }
}

impl Remote {
    /// Reads a path.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.http.get(path).await.map_err(|error| self.explain(error))
    }

    /// Asks with any method.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, method: &str, path: &str) -> Result<T> {
        self.http.request(method, path, None).await.map_err(|error| self.explain(error))
    }

    /// What an error means to whoever typed the command.
    pub(crate) fn explain(&self, error: Error) -> Failure {
        explain(error, self.side)
    }
}

/// What an error means to whoever typed the command.
pub(crate) fn explain(error: Error, side: Side) -> Failure {
    let (url, token, variable) = match side {
        Side::Public => ("--url (TIDINGS_URL)", "--token", "TIDINGS_TOKEN"),
        Side::Admin => ("--admin-url (TIDINGS_ADMIN_URL)", "--admin-token", "TIDINGS_ADMIN_TOKEN"),
    };
    let failure = match &error {
        Error::Invalid(message) => return Failure::usage(message.clone()),
        // The configuration's errors come with their text.
        Error::Refused(refusal) if refusal.message.contains('\n') => {
            Failure::failed_at_length(printable_lines(&refusal.message))
        }
        error => Failure::failed(error.to_string()),
    };
    match &error {
        Error::Unreachable(_) => failure.hint(format!(
            "is the server running? start one with `tidings serve`, or name another with {url}"
        )),
        Error::Timeout => failure.hint("is the server overloaded? ask `tidings health`"),
        Error::Protocol(_) => {
            failure.hint(format!("is that a Tidings server? another is named with {url}"))
        }
        Error::Refused(refusal) => match (refusal.code.as_str(), refusal.retry_after_ms) {
            ("unauthorized" | "token_expired", _) => {
                failure.hint(format!("give a valid token with {token} ({variable})"))
            }
            (_, Some(ms)) => failure.hint(format!("try again in {}", span(ms))),
            ("unexpected_status", _) => {
                failure.hint(format!("is that a Tidings server? another is named with {url}"))
            }
            _ => failure,
        },
        _ => failure,
    }
}

/// Each line without what would steer a terminal.
fn printable_lines(text: &str) -> String {
    let lines = text.lines().map(super::text::escaped);
    lines.collect::<Vec<_>>().join("\n")
}

/// Does something that waits.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(future)
}
