//! The read side of a connection (RFC 6455 sections 5 and 6.2).

use std::borrow::Cow;
use std::mem;

use crate::assembly::{Assembly, charge};
use crate::close::Close;
use crate::error::DecodeError;
use crate::frame::{Frame, Header, Opcode};
use crate::inflate::Inflater;
use crate::limits::Limits;
use crate::message::Message;
use crate::partial::{Partial, Reading, skip};

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads masked frames.
    Server,
    /// Reads frames without masks.
    Client,
}

/// Turns the bytes of one peer into messages.
///
/// Between messages it holds nothing but itself (48 bytes). What a call leaves unfinished, a part
/// of a header, frame or message, moves to the heap and is freed when the message ends.
///
/// ```
/// use websocket::{Decoder, Inflater, Limits, Message, Role};
///
/// let mut decoder = Decoder::new(Role::Server, Limits::default(), false);
/// let mut inflater = Inflater::new();
/// // "Hello" as in RFC 6455 section 5.7, in the buffer that it was read into.
/// let mut read = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// let mut input = &mut read[..];
/// while let Some(message) = decoder.decode(&mut input, &mut inflater)? {
///     assert_eq!(message, Message::Text("Hello".into()));
/// }
/// assert!(input.is_empty());
/// # Ok::<(), websocket::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    partial: Option<Box<Partial>>,
    role: Role,
    deflate: bool,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Open,
    Closed,
    Failed(DecodeError),
}

impl Decoder {
    /// A decoder for one connection; `deflate` if permessage-deflate was agreed in its handshake.
    #[must_use]
    pub const fn new(role: Role, limits: Limits, deflate: bool) -> Self {
        Self { limits, partial: None, role, deflate, status: Status::Open }
    }

    /// Yields the next message of `input`, which is then moved to what follows it; `None` when
    /// all of `input` is used up.
    ///
    /// A message that is whole in `input` is unmasked there and lent to the caller. Any division
    /// of the peer's bytes into inputs yields the same messages.
    ///
    /// After a [`Message::Close`] the rest is skipped, as RFC 6455 section 5.5.1 asks.
    ///
    /// # Errors
    ///
    /// When the peer broke the protocol or went beyond a limit, at the earliest byte that shows
    /// it. The decoder frees what it holds, and repeats the error when it is called again.
    pub fn decode<'a, 'input: 'a>(
        &mut self,
        input: &mut &'input mut [u8],
        inflater: &'a mut Inflater,
    ) -> Result<Option<Message<'a>>, DecodeError> {
        match self.status {
            Status::Open => {}
            Status::Closed => {
                *input = &mut [];
                return Ok(None);
            }
            Status::Failed(error) => return Err(error),
        }
        let result = self.advance(input, inflater);
        if let Err(error) = result {
            self.status = Status::Failed(error);
            self.partial = None;
        }
        result
    }

    /// Whether a frame or message has begun and not ended: the caller may give it a deadline.
    #[must_use]
    pub const fn is_unfinished(&self) -> bool {
        self.partial.is_some()
    }

    /// Bytes of heap that are held for what is unfinished; 0 between messages.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            let message = partial.message.as_ref().map_or(0, Assembly::capacity);
            size_of::<Partial>() + partial.control.capacity() + message
        })
    }

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes the limits from the next frame on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    fn advance<'a, 'input: 'a>(
        &mut self,
        input: &mut &'input mut [u8],
        inflater: &'a mut Inflater,
    ) -> Result<Option<Message<'a>>, DecodeError> {
        loop {
            let Some(mut reading) = self.reading(input)? else {
                return Ok(None);
            };
            let chunk = reading.take(input);
            if reading.frame.opcode.is_control() {
                if let Some(payload) = self.control_payload(&reading, chunk) {
                    return self.control(reading.frame.opcode, payload).map(Some);
                }
            } else if reading.to_come == 0 && reading.frame.fin && self.message().is_none() {
                self.settle();
                return self.whole(reading.frame, chunk, inflater).map(Some);
            } else if let Some(message) = self.fragment(&reading, chunk)? {
                return message.finish(inflater, self.limits.inflated_bytes_max).map(Some);
            }
            if reading.to_come > 0 {
                self.partial().frame = Some(reading);
                return Ok(None);
            }
        }
    }

    /// The frame that the next byte of `input` belongs to; `None` if its header is not complete.
    fn reading(&mut self, input: &mut &mut [u8]) -> Result<Option<Reading>, DecodeError> {
        let header = match &mut self.partial {
            Some(partial) => {
                if let Some(reading) = partial.frame.take() {
                    return Ok(Some(reading));
                }
                partial.header(input)?
            }
            None => Header::decode(input)?.map(|(header, used)| {
                skip(input, used);
                header
            }),
        };
        if let Some(header) = header {
            self.admit(&header)?;
            return Ok(Some(Reading::new(&header)));
        }
        if !input.is_empty() {
            self.partial().keep_header(input);
        }
        Ok(None)
    }

    /// Judges a header by what came before it and by the limits.
    fn admit(&self, header: &Header) -> Result<(), DecodeError> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(DecodeError::NotMasked),
            (Role::Client, Some(_)) => return Err(DecodeError::Masked),
            _ => {}
        }
        let Frame { opcode, fin, compressed } = header.frame;
        let message = self.message();
        let may_compress = match (opcode, message) {
            (Opcode::Text | Opcode::Binary, None) => self.deflate,
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(DecodeError::ExpectedContinuation);
            }
            (Opcode::Continuation, None) => return Err(DecodeError::UnexpectedContinuation),
            _ => false,
        };
        if compressed && !may_compress {
            return Err(DecodeError::ReservedBits);
        }
        if opcode.is_control() {
            return Ok(());
        }

        let compressed = message.map_or(compressed, Assembly::is_compressed);
        let (frame_bytes_max, message_bytes_max) = self.limits.on_the_wire(compressed);
        let payload_bytes = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX);
        if payload_bytes > frame_bytes_max {
            return Err(DecodeError::FrameTooBig);
        }
        let before = message.map_or(0, Assembly::charged_bytes);
        if charge(payload_bytes, fin) > message_bytes_max.saturating_sub(before) {
            return Err(DecodeError::MessageTooBig);
        }
        if message.map_or(0, Assembly::fragments) >= self.limits.fragments_max {
            return Err(DecodeError::TooManyFragments);
        }
        Ok(())
    }

    /// A message in one frame, all of it in the input.
    fn whole<'a>(
        &self,
        frame: Frame,
        payload: &'a [u8],
        inflater: &'a mut Inflater,
    ) -> Result<Message<'a>, DecodeError> {
        match (frame.opcode == Opcode::Text, frame.compressed) {
            (true, true) => inflater.text(payload, self.limits.inflated_bytes_max),
            (false, true) => inflater.binary(payload, self.limits.inflated_bytes_max),
            (false, false) => Ok(Message::Binary(Cow::Borrowed(payload))),
            (true, false) => match simdutf8::basic::from_utf8(payload) {
                Ok(text) => Ok(Message::Text(Cow::Borrowed(text))),
                Err(_) => Err(DecodeError::InvalidUtf8),
            },
        }
    }

    /// Adds to the message that `reading` is a part of, and returns it when it is complete.
    fn fragment(
        &mut self,
        reading: &Reading,
        chunk: &[u8],
    ) -> Result<Option<Assembly>, DecodeError> {
        let Reading { frame, payload_bytes, to_come, .. } = *reading;
        // A header alone begins no buffer: the payload may yet come in one piece.
        if chunk.is_empty() && to_come > 0 {
            return Ok(None);
        }
        let message = self.partial().message.get_or_insert_with(|| Assembly::new(frame));
        message.push(chunk, to_come, frame.fin)?;
        if to_come > 0 {
            return Ok(None);
        }
        if !frame.fin {
            message.end_fragment(usize::try_from(payload_bytes).unwrap_or(usize::MAX));
            return Ok(None);
        }
        let message = self.partial().message.take();
        self.settle();
        Ok(message)
    }

    /// The payload of a control frame when it is complete.
    fn control_payload<'a>(&mut self, reading: &Reading, chunk: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let waits = self.partial.as_ref().is_some_and(|partial| !partial.control.is_empty());
        if reading.to_come > 0 {
            self.partial().control.extend_from_slice(chunk);
            None
        } else if waits {
            let partial = self.partial();
            partial.control.extend_from_slice(chunk);
            Some(Cow::Owned(mem::take(&mut partial.control)))
        } else {
            Some(Cow::Borrowed(chunk))
        }
    }

    fn control<'a>(
        &mut self,
        opcode: Opcode,
        payload: Cow<'a, [u8]>,
    ) -> Result<Message<'a>, DecodeError> {
        self.settle();
        match opcode {
            Opcode::Ping => Ok(Message::Ping(payload)),
            Opcode::Pong => Ok(Message::Pong(payload)),
            _ => {
                let close = Close::decode(payload)?;
                self.status = Status::Closed;
                self.partial = None;
                Ok(Message::Close(close))
            }
        }
    }

    fn message(&self) -> Option<&Assembly> {
        self.partial.as_ref()?.message.as_ref()
    }

    fn partial(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }

    /// Frees what the frame that just ended needed, unless a message goes on.
    fn settle(&mut self) {
        if self.message().is_none() {
            self.partial = None;
        }
    }
}
