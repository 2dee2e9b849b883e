//! Whatever was published, the frames that carry it are well formed: the first line is one JSON
//! object, and what follows it are the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::dialects::native::{Native, push_event_object};
use protocol::{
    Command, Conversation, Dialect, Event, Frame, FrameKind, Payload, Request, StreamName,
};
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    let mut conversation = Native;
    let frame = match std::str::from_utf8(bytes) {
        Ok(text) => Frame::Text(text),
        Err(_) => Frame::Binary(bytes),
    };
    let Ok(mut requests) = conversation.decode(frame) else { return };
    let Some(Request { command: Command::Publish(draft), .. }) = requests.pop() else { return };
    let stream = StreamName::parse("fuzz").expect("a stream's name");
    let event = Event { seq: 1, time_ms: 2, draft: *draft };

    let mut out = Vec::new();
    let kind = Native.event(&stream, &event, &mut out);
    let head = match (&event.draft.payload, kind) {
        (Payload::Json(_), FrameKind::Text) => &out[..],
        (Payload::Binary { bytes, .. }, FrameKind::Binary) => {
            let (head, data) = out.split_at(out.len() - bytes.len());
            assert_eq!(data, &bytes[..]);
            assert_eq!(head.iter().filter(|byte| **byte == b'\n').count(), 1);
            head
        }
        _ => panic!("the frame's kind is not the payload's"),
    };
    serde_json::from_slice::<&RawValue>(head).expect("the first line is JSON");

    out.clear();
    push_event_object(&stream, &event, true, &mut out);
    serde_json::from_slice::<&RawValue>(&out).expect("the object is JSON");
});
