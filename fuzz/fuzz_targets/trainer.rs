//! Any frame is requests or an error with a message; any event is valid JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::dialects::{self, Settings};
use protocol::{ClientId, Draft, Event, Frame, Message, Opening, Payload, StreamName, Topic};
use serde_json::value::RawValue;

fuzz_target!(|input: (Vec<u8>, bool, &str)| {
    let (bytes, is_text, topic) = input;
    let settings = Settings { root: Topic::parse("trainer").ok(), ..Settings::default() };
    let (dialect, _) = dialects::of("trainer", &settings);
    let opening = Opening { client: ClientId(1), user: None, query: &[] };
    let mut talk = dialect.open(&opening).expect("an opening without a query").conversation;
    let text = std::str::from_utf8(&bytes);
    let frame = match text {
        Ok(text) if is_text => Frame::Text(text),
        _ => Frame::Binary(&bytes),
    };
    if let Err(wrong) = talk.decode(frame) {
        assert!(!wrong.error.message.is_empty());
        let mut out = Vec::new();
        let told = Message::Reply { id: wrong.id, result: Err(wrong.error) };
        assert!(talk.encode(0, &told, &mut out).is_some());
        serde_json::from_slice::<&RawValue>(&out).expect("an error is JSON");
    }
    let Ok(topic) = Topic::parse(topic) else { return };
    let payload = if serde_json::from_slice::<&RawValue>(&bytes).is_ok() {
        Payload::Json(bytes.into())
    } else {
        Payload::Binary { content_type: "a/b".into(), bytes: bytes.into() }
    };
    let event = Event { seq: 1, time_ms: 1, draft: Draft::new(topic, payload) };
    let mut out = Vec::new();
    dialect.event(&StreamName::parse("s").expect("a name"), &event, &mut out);
    serde_json::from_slice::<&RawValue>(&out).expect("an event is JSON");
});
