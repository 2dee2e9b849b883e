//! Conversations with other implementations, over a socket and both ways round.
//!
//! tokio-tungstenite judges everything but compression, yawc judges compression.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test panics")]

mod peer;
mod tungstenite;
mod yawc;
