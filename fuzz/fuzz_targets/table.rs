//! The dialect of the pool table: any frame becomes requests or an error with a message, and what was
//! published, JSON or bytes, in whatever look, is a message in JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::dialects::table::Table;
use protocol::dialects::{Settings, native::Native};
use protocol::{
    ClientId, Command, Conversation, Dialect, Draft, Event, Frame, FrameKind, Opening, Payload,
    StreamName, Topic,
};
use serde_json::value::RawValue;

/// A look that touches everything.
const LOOK: &str = r#"{"frame":{"binary":true},"state":{"fields":["a","sequence"]}}"#;

fuzz_target!(|bytes: &[u8]| {
    let root = Some(Topic::parse("table").expect("a topic"));
    let dialect = Table::new(&Settings { root, names: vec!["foul".to_owned()] });
    let opening = Opening { client: ClientId(1), user: None, query: &[] };
    let mut talk = dialect.open(&opening).expect("nothing was asked").conversation;
    let frame = std::str::from_utf8(bytes).map_or(Frame::Binary(bytes), Frame::Text);
    if let Err(wrong) = talk.decode(frame) {
        assert!(wrong.id.is_some() && !wrong.error.message.is_empty());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = dialect.variant(text);
    }
    let look = dialect.variant(LOOK).expect("a look");
    let image = Payload::Binary { content_type: "image/jpeg".into(), bytes: bytes.to_vec().into() };
    let mut payloads = vec![(image, None)];
    // What the native protocol takes for an event is one.
    if let Ok(requests) = Native.decode(frame) {
        for request in requests {
            if let Command::Publish(draft) = request.command {
                payloads.push((draft.payload, draft.headers));
            }
        }
    }
    for (payload, headers) in payloads {
        for name in ["table.state", "table.frame", "other"] {
            let topic = Topic::parse(name).expect("a topic");
            let draft = Draft { headers: headers.clone(), ..Draft::new(topic, payload.clone()) };
            let event = Event { seq: 1, time_ms: 2, draft };
            check(&dialect, &event);
            check(&*look, &event);
        }
    }
});

fn check(dialect: &dyn Dialect, event: &Event) {
    let stream = StreamName::parse("fuzz").expect("a stream's name");
    let mut out = Vec::new();
    let kind = dialect.event(&stream, event, &mut out);
    let head = match (kind, &event.draft.payload) {
        (FrameKind::Text, _) => &out[..],
        (FrameKind::Binary, Payload::Binary { bytes, .. }) => {
            let (head, data) = out.split_at(out.len() - bytes.len());
            assert_eq!(data, &bytes[..]);
            assert_eq!(head.iter().filter(|byte| **byte == b'\n').count(), 1);
            head
        }
        (FrameKind::Binary, Payload::Json(_)) => panic!("JSON became bytes"),
    };
    serde_json::from_slice::<&RawValue>(head).expect("the message is JSON");
}
