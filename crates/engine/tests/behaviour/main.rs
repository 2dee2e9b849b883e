//! What a worker says and asks for, step by step, without a broker that answers by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

/// A worker, and what it said.
mod world;
/// The pages of which a history is made.
mod pages;
/// Subscriptions begin and end.
mod subscriptions;
/// Subscriptions of a client as one set.
mod including;
/// Subscriptions of a set that change keep their places.
mod reshaping;
/// Readers behind.
mod readers;
/// What is not kept any more.
mod retention;
/// Conditions on data.
mod filters;
/// A mistake of a dialect reaches one client, or one event.
mod isolation;
/// Clients that drop and come back.
mod remembering;
/// Events look as clients choose.
mod looks;
/// What is known of a connection, and of how far its client is.
mod status;
/// Histories, and commands that wait.
mod histories;
/// Sessions end with their tokens.
mod expiry;
/// Commands that go to what handles them.
mod calling;
