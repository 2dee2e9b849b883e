use bytes::Bytes;
use protocol::json::{push_list, push_str, push_str_list, push_u64};
use protocol::{Audience, FrameKind, Pattern, Payload, Position, Start, SubscriptionId};

use crate::commands::Call;
use crate::link::Frame;
use crate::options::{History, Publish, Subscribe};

/// What a hello says.
pub(crate) struct Hello<'a> {
    pub(crate) device: Option<&'a str>,
    pub(crate) takeover: bool,
    pub(crate) session: Option<&'a str>,
    pub(crate) resumed: Resumed<'a>,
}

/// The subscriptions that a hello takes up again, and where.
#[derive(Default)]
pub(crate) struct Resumed<'a> {
    pub(crate) positions: Vec<Position>,
    pub(crate) subscriptions: Vec<&'a Subscribe>,
}

pub(crate) fn hello(id: i64, hello: &Hello<'_>) -> Frame {
    request(id, "hello", |out| {
        let mut object = Object::begin(out);
        if let Some(device) = hello.device {
            push_str(object.field("device"), device);
        }
        if let Some(session) = hello.session {
            push_str(object.field("session"), session);
        }
        if hello.takeover {
            object.field("takeover").extend_from_slice(b"true");
        }
        if !hello.resumed.subscriptions.is_empty() {
            push_positions(object.field("resume"), &hello.resumed.positions);
            let out = object.field("subscriptions");
            // Where they began is past; they go on at the positions.
            push_list(&hello.resumed.subscriptions, out, |body, out| {
                push_subscribe(out, body, &Start::Now);
            });
        }
        object.end();
    })
}

pub(crate) fn subscribe(id: i64, body: &Subscribe) -> Frame {
    request(id, "subscribe", |out| push_subscribe(out, body, &body.from))
}

pub(crate) fn unsubscribe(id: i64, subscription: SubscriptionId) -> Frame {
    request(id, "unsubscribe", |out| {
        let mut object = Object::begin(out);
        push_str(object.field("subscription"), &subscription.to_string());
        object.end();
    })
}

/// Text for JSON data; for bytes, a line and the bytes.
pub(crate) fn publish(id: i64, message: &Publish) -> Frame {
    let line = request(id, "publish", |out| push_publish(out, message));
    let Payload::Binary { bytes, .. } = &message.payload else { return line };
    let mut out = Vec::with_capacity(line.bytes.len() + 1 + bytes.len());
    out.extend_from_slice(&line.bytes);
    out.push(b'\n');
    out.extend_from_slice(bytes);
    Frame { kind: FrameKind::Binary, bytes: out.into() }
}

pub(crate) fn history(id: i64, history: &History) -> Frame {
    request(id, "history", |out| {
        let mut object = Object::begin(out);
        push_str(object.field("topic"), history.topic.as_str());
        if let Some(stream) = &history.stream {
            push_str(object.field("stream"), stream.as_str());
        }
        if let Some(epoch) = &history.epoch {
            push_str(object.field("epoch"), epoch.as_str());
        }
        if let Some(after) = history.after {
            push_u64(object.field("after"), after);
        }
        if let Some(limit) = history.limit {
            push_u64(object.field("limit"), u64::from(limit));
        }
        object.end();
    })
}

pub(crate) fn acknowledge(id: i64, positions: &[Position]) -> Frame {
    request(id, "ack", |out| {
        push_list(positions, out, |position, out| push_position(out, position, "seq"));
    })
}

pub(crate) fn call(id: i64, call: &Call) -> Frame {
    request(id, "call", |out| push_call_object(out, &Call { user: None, ..call.clone() }))
}

/// The object of the admin API, which may name a user.
pub(crate) fn push_call_object(out: &mut Vec<u8>, call: &Call) {
    let mut object = Object::begin(out);
    push_str(object.field("command"), call.command.as_str());
    object.field("data").extend_from_slice(&call.data);
    if let Some(user) = &call.user {
        push_str(object.field("user"), user);
    }
    if let Some(ms) = call.timeout_ms() {
        push_u64(object.field("timeout_ms"), ms);
    }
    object.end();
}

pub(crate) fn handle(id: i64, patterns: &[Pattern]) -> Frame {
    request(id, "handle", |out| {
        let mut object = Object::begin(out);
        push_patterns(object.field("commands"), patterns);
        object.end();
    })
}

/// What a handler has to say; nobody waits for an answer to it.
pub(crate) fn result(call_id: u64, result: &Result<Bytes, protocol::Error>) -> Frame {
    let mut out = Vec::with_capacity(128);
    let mut object = Object::begin(&mut out);
    let mut body = Object::begin(object.field("result"));
    push_u64(body.field("call_id"), call_id);
    match result {
        Ok(data) => body.field("data").extend_from_slice(data),
        Err(error) => push_error(body.field("error"), error),
    }
    body.end();
    object.end();
    Frame { kind: FrameKind::Text, bytes: out.into() }
}

fn push_error(out: &mut Vec<u8>, error: &protocol::Error) {
    let mut object = Object::begin(out);
    push_str(object.field("code"), error.code.as_str());
    push_str(object.field("message"), &error.message);
    if let Some(ms) = error.retry_after_ms {
        push_u64(object.field("retry_after_ms"), ms);
    }
    if let Some(details) = &error.details {
        object.field("details").extend_from_slice(details.as_bytes());
    }
    object.end();
}

pub(crate) fn ping(id: i64) -> Frame {
    request(id, "ping", |out| out.extend_from_slice(b"{}"))
}

fn request(id: i64, verb: &'static str, push_body: impl FnOnce(&mut Vec<u8>)) -> Frame {
    let mut out = Vec::with_capacity(128);
    let mut object = Object::begin(&mut out);
    object.field("id").extend_from_slice(id.to_string().as_bytes());
    push_body(object.field(verb));
    object.end();
    Frame { kind: FrameKind::Text, bytes: out.into() }
}

fn push_subscribe(out: &mut Vec<u8>, body: &Subscribe, from: &Start) {
    let mut object = Object::begin(out);
    push_patterns(object.field("topics"), &body.topics);
    if !body.except.is_empty() {
        push_patterns(object.field("except"), &body.except);
    }
    if let Some(filter) = &body.filter {
        object.field("filter").extend_from_slice(filter.as_str().as_bytes());
    }
    if *from != Start::Now {
        push_start(object.field("from"), from);
    }
    if body.latest {
        object.field("latest").extend_from_slice(b"true");
    }
    if let Some(rate) = body.max_rate {
        // A finite number's display form is JSON.
        object.field("max_rate").extend_from_slice(rate.to_string().as_bytes());
    }
    if let Some(ms) = body.batch_ms {
        push_u64(object.field("batch_ms"), u64::from(ms));
    }
    object.end();
}

fn push_start(out: &mut Vec<u8>, start: &Start) {
    match start {
        Start::Now => push_str(out, "now"),
        Start::Stored => push_str(out, "stored"),
        Start::Last(count) => push_single(out, "last", |out| push_u64(out, u64::from(*count))),
        Start::Since(ms) => push_single(out, "since", |out| push_u64(out, *ms)),
        Start::After(seq) => push_single(out, "after", |out| push_u64(out, *seq)),
        Start::Positions(positions) => {
            push_single(out, "positions", |out| push_positions(out, positions));
        }
    }
}

fn push_single(out: &mut Vec<u8>, name: &'static str, push_value: impl FnOnce(&mut Vec<u8>)) {
    let mut object = Object::begin(out);
    push_value(object.field(name));
    object.end();
}

fn push_publish(out: &mut Vec<u8>, message: &Publish) {
    let mut object = Object::begin(out);
    push_str(object.field("topic"), message.topic.as_str());
    match &message.payload {
        Payload::Json(text) => object.field("data").extend_from_slice(text),
        Payload::Binary { content_type, .. } => {
            push_str(object.field("content_type"), content_type);
        }
    }
    push_audience(&mut object, &message.audience);
    if let Some(key) = &message.key {
        push_str(object.field("key"), key);
    }
    push_headers(&mut object, &message.headers);
    object.end();
}

/// The object of the admin API, for JSON data; the key is called `id` there.
pub(crate) fn push_publish_object(out: &mut Vec<u8>, message: &Publish, data: &[u8]) {
    let mut object = Object::begin(out);
    push_str(object.field("topic"), message.topic.as_str());
    object.field("data").extend_from_slice(data);
    push_audience(&mut object, &message.audience);
    if let Some(id) = &message.key {
        push_str(object.field("id"), id);
    }
    push_headers(&mut object, &message.headers);
    object.end();
}

fn push_audience(object: &mut Object<'_>, audience: &Audience) {
    match audience {
        Audience::Everyone => {}
        Audience::User(user) => push_str(object.field("user"), user),
        Audience::Group(group) => push_str(object.field("group"), group),
        Audience::Client(client) => push_str(object.field("client"), &client.to_string()),
    }
}

fn push_headers(object: &mut Object<'_>, headers: &[(String, String)]) {
    if headers.is_empty() {
        return;
    }
    let out = object.field("headers");
    out.push(b'{');
    for (at, (name, value)) in headers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_str(out, name);
        out.push(b':');
        push_str(out, value);
    }
    out.push(b'}');
}

fn push_patterns(out: &mut Vec<u8>, patterns: &[Pattern]) {
    push_str_list(patterns.iter().map(Pattern::as_str), out);
}

fn push_positions(out: &mut Vec<u8>, positions: &[Position]) {
    push_list(positions, out, |position, out| push_position(out, position, "after"));
}

fn push_position(out: &mut Vec<u8>, position: &Position, seq: &'static str) {
    let mut object = Object::begin(out);
    push_str(object.field("stream"), position.stream.as_str());
    push_str(object.field("epoch"), position.epoch.as_str());
    push_u64(object.field(seq), position.seq);
    object.end();
}

/// An object that is being written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Begins a field; its value is to be appended to what this returns.
    fn field(&mut self, name: &'static str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        push_str(self.out, name);
        self.out.push(b':');
        self.out
    }

    fn end(self) {
        self.out.push(b'}');
    }
}
