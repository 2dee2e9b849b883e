//! Any frame either becomes a request or an error that names what is wrong; data of a publish come
//! through byte for byte, and the event that they become is no shorter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::dialects::native::NativeProtobuf;
use protocol::{
    Command, Conversation, Dialect, Event, Frame, FrameKind, Payload, Request, StreamName,
};

fuzz_target!(|bytes: &[u8]| {
    let mut conversation = NativeProtobuf;
    let mut requests = match conversation.decode(Frame::Binary(bytes)) {
        Ok(requests) => requests,
        Err(wrong) => return assert!(!wrong.error.message.is_empty()),
    };
    let Some(Request { command: Command::Publish(draft), .. }) = requests.pop() else { return };
    let (Payload::Json(data) | Payload::Binary { bytes: data, .. }) = draft.payload.clone();
    assert!(data.is_empty() || bytes.windows(data.len()).any(|window| window == &data[..]));
    if let Some(headers) = &draft.headers {
        serde_json::from_slice::<serde_json::Value>(headers).expect("headers are JSON");
    }
    let stream = StreamName::parse("fuzz").expect("a stream's name");
    let event = Event { seq: 1, time_ms: 2, draft: *draft };
    let mut out = Vec::new();
    let kind = NativeProtobuf.event(&stream, &event, &mut out);
    assert_eq!(kind, FrameKind::Binary);
    assert!(out.ends_with(&data));
});
