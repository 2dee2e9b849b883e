//! RFC 6455 (WebSocket) and RFC 7692 (permessage-deflate) as state machines over byte slices.
//!
//! The crate opens no socket, knows no clock and holds no task. Bytes that were read go into a
//! [`Decoder`], which lends messages out of them; frames go into the caller's `Vec<u8>` by an
//! [`Encoder`]; [`handshake`] judges header lines that any HTTP library has read. Timeouts, and
//! when to close, are the caller's.
//!
//! # A server's connection
//!
//! ```
//! use websocket::{Decoder, Encoder, Inflater, Limits, Message, Role, handshake};
//!
//! // 1. The handshake; `headers` as they come from an `http::HeaderMap`.
//! let headers: [(&str, &[u8]); 6] = [
//!     ("host", b"example.org"),
//!     ("upgrade", b"websocket"),
//!     ("connection", b"keep-alive, Upgrade"),
//!     ("sec-websocket-version", b"13"),
//!     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
//!     ("sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
//! ];
//! let upgrade = handshake::Upgrade::http1("GET", 1, headers)?;
//! let deflate = upgrade.deflate();
//! let answer = upgrade.accept(None, deflate);
//! assert_eq!(answer.status(), 101);
//! let deflate = answer.deflate(); // what was agreed; keep it for writing
//!
//! // 2. Reading; one scratch buffer and one inflater serve all connections of a thread.
//! let mut decoder = Decoder::new(Role::Server, Limits::message(64 << 10), deflate.is_some());
//! let mut inflater = Inflater::new();
//! let mut scratch = *b"\x89\x82\x37\xfa\x21\x3d\x5f\x93"; // a masked ping, "hi"
//! let mut input = &mut scratch[..];
//! let mut out = Vec::new();
//! loop {
//!     match decoder.decode(&mut input, &mut inflater) {
//!         Ok(Some(Message::Ping(bytes))) => Encoder::server().pong(&mut out, &bytes),
//!         Ok(Some(Message::Close(close))) => Encoder::server().close_reply(&mut out, close.as_ref()),
//!         Ok(Some(_message)) => {}
//!         Ok(None) => break,
//!         Err(error) => {
//!             Encoder::server().close(&mut out, error.close_code(), "");
//!             break;
//!         }
//!     }
//! }
//! assert_eq!(out, b"\x8a\x02hi");
//!
//! // 3. Writing; a payload of unknown length straight into the buffer, without a copy.
//! use websocket::{Frame, Opcode};
//! let frame = Encoder::server().begin(&mut out, 300);
//! out.extend_from_slice(br#"{"event":{}}"#);
//! frame.finish(&mut out, Frame::whole(Opcode::Text));
//! # Ok::<(), handshake::UpgradeError>(())
//! ```
//!
//! # Compression
//!
//! Context takeover is never agreed to. So a [`Deflater`] makes frames that serve every
//! connection whose [`Deflate::allows`] them (a client with a small window gets what is longer as
//! a plain frame, which is always right), and one [`Inflater`] serves every connection of a
//! thread.
//!
//! # What costs memory
//!
//! An idle [`Decoder`] is 48 bytes and holds no heap. A message that is whole in the input is
//! lent, not copied. A partial one is held in one buffer of at most twice what arrived.

/// The opening handshake, both sides.
pub mod handshake;

mod frame; // a frame's header, on the wire and read
mod mask; // what a client's payloads are XORed with
mod limits; // how much of a peer's data is taken
mod decoder; // bytes in, messages out
mod partial; // what is kept between inputs
mod assembly; // a message whose bytes are still arriving
mod utf8; // text that arrives in pieces
mod inflate; // compressed messages, in steps up to a bound
mod message; // what a decoder yields
mod error; // what a peer can do wrong, and the close code for it
mod encoder; // frames into the caller's buffer
mod deflate; // a payload compressed once for everyone
mod close; // close codes and reasons

pub use close::{CLOSE_REASON_BYTES_MAX, Close, CloseCode};
pub use decoder::{Decoder, Role};
pub use deflate::Deflater;
pub use encoder::{Encoder, OpenFrame};
pub use error::DecodeError;
pub use frame::{CONTROL_BYTES_MAX, Frame, Opcode};
pub use handshake::Deflate;
pub use inflate::Inflater;
pub use limits::{FRAGMENT_CHARGE_BYTES, Limits};
pub use mask::{MaskKey, MaskKeys, apply_mask};
pub use message::Message;
