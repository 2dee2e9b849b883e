//! Suites that are told once and tried on every implementation.

/// What every broker must do.
pub mod broker_conformance;
/// Whole nodes in virtual time.
pub mod simulator;
/// `tidings.proto` as an independent implementation of Protobuf understands it.
pub mod protobuf;
/// A running server and clients that do as they are told.
pub mod harness;
/// Wire transcripts, and how they are played.
pub mod vectors;
/// Tokens of users, and tokens that are none.
pub mod token;
