//! Any frame is requests or an error with a message; any event is valid JSON.

use protocol::dialects::{self, Settings};
use protocol::{ClientId, Draft, Event, Frame, Message, Opening, Payload, StreamName, Topic};
use serde_json::value::RawValue;

/// A frame and the bytes of an event, whether it is text, and the event's topic.
pub type Input<'a> = (Vec<u8>, bool, &'a str);

/// Tries a dialect whose root has its own name.
pub fn check(name: &str, (bytes, is_text, topic): Input) {
    let settings = Settings { root: Topic::parse(name).ok(), ..Settings::default() };
    let (dialect, _) = dialects::of(name, &settings);
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
}
