//! What dialects share in how they read and write JSON, topics and times.

/// Objects and lists of JSON, read without copying.
pub mod object;
/// A client's frame as an object, and its fields.
pub mod incoming;
/// Members of published objects, as they stand.
pub mod members;
/// Published data where JSON is wanted.
pub mod payload;
/// Topics without the prefix that clients don't see.
pub mod root;
/// What an answer needs that comes later.
pub mod pending;
/// Batches, where a client asks for them with its request.
pub mod batch;
/// Times as text.
pub mod time;
/// Codes of errors, and when to try again.
pub mod codes;
