//! Clients' commands and what answers them, through the real program: a module per backend.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

/// A backend over HTTP that does as it is told.
mod backend;

/// Handled by connected clients.
mod handlers;
/// Who may do what, and how much.
mod bounds;
/// Handled over HTTP.
mod http;
/// A backend that fails.
mod breaker;
/// Handled over NATS.
mod nats;
/// Handled by a program.
mod programs;
/// Handled within a process.
mod library;
/// Running the program, and reading what it says.
#[path = "../cli/program.rs"]
#[allow(dead_code)]
mod program;

use serde_json::{Value, json};
use tidings_tests::harness::{Reply, Socket, TestServer};

/// Everybody may send and handle every command.
const OPEN: &str = "[auth.roles.anonymous]\nsubscribe = ['>']\npublish = ['>']\n\
    command = ['>']\nhandle = ['>']\n";

/// Starts the program with a server on which everybody may everything.
async fn start(rest: &str) -> TestServer {
    TestServer::spawn(&format!("{OPEN}{rest}")).await
}

/// A client that handles commands.
async fn handler(server: &TestServer, patterns: &[&str]) -> Socket {
    let mut socket = server.connect().await;
    assert_eq!(socket.ask("handle", json!({ "commands": patterns })).await, json!({}));
    socket
}

/// The next call that a handler is given.
async fn given(handler: &mut Socket) -> Value {
    handler.json_with("call").await["call"].clone()
}

/// A handler's answer.
async fn answer(handler: &mut Socket, call: &Value, data: Value) {
    let result = json!({ "call_id": call["call_id"], "data": data });
    handler.send(&json!({ "result": result })).await;
}

/// Sends a command as an operator.
async fn call(server: &TestServer, command: &str, data: Value) -> Reply {
    server.post("/v1/call", &json!({ "command": command, "data": data })).await
}
