//! Who may do what: the real program, with tokens as other programs make them.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

/// Where a token may come from.
mod places;
/// What is not believed.
mod refusals;
/// Keys of every kind.
mod keys;
/// What each principal may do.
mod matrix;
/// Sessions end with their tokens, or go on with newer ones.
mod expiry;
/// Devices of a user.
mod devices;
/// A user's clients, and what the API does with them.
mod users;
/// A backend that knows its users.
mod backend;
/// What is shown to nobody.
mod secrets;

use tidings_tests::harness::socket::request;
use tidings_tests::harness::{Reply, Socket, TestServer, http};
use tidings_tests::token::{self, SECRET};

/// A key, and roles for most tests.
const AUTH: &str = r#"
[auth]
keys = [{ id = "main", algorithm = "HS256", secret_env = "TIDINGS_SECRET" }]
[auth.roles.default]
subscribe = ["news.>", "user.{sub}.>"]
publish = ["user.{sub}.>"]
[auth.roles.editor]
subscribe = ["draft.>"]
publish = ["news.>", "draft.>"]
"#;

/// Every place for tokens.
const EVERYWHERE: &str = "[[endpoint]]\npath = \"/v1/ws\"\ntokens = [\"query\", \"header\", \"protocol\", \"message\"]\n";

/// Starts the program with a secret.
async fn start(rest: &str) -> TestServer {
    TestServer::spawn_with_environment(rest, &[("TIDINGS_SECRET", SECRET)]).await
}

/// Starts it with keys and roles, and takes tokens from everywhere.
async fn started() -> TestServer {
    start(&format!("{AUTH}{EVERYWHERE}")).await
}

/// The answer to an upgrade.
async fn upgrade(server: &TestServer, path: &str, headers: &str) -> Reply {
    http::exchange(server.public, request(path, headers).as_bytes()).await
}

/// Connects with a token in the query.
async fn connect(server: &TestServer, token: &str) -> Socket {
    server.connect_at(&format!("/v1/ws?token={token}")).await
}
