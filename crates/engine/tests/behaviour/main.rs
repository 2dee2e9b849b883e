//! What a worker says and asks for, step by step, without a broker that answers by itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

/// A worker, and what it said.
mod world;
/// The pages of which a history is made.
mod pages;
/// Subscriptions begin and end.
mod subscriptions;
/// Subscriptions as one set.
mod including;
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
/// Histories, and commands that wait.
mod histories;
