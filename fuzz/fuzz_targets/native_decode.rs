//! Any frame either becomes a request or an error that names what is wrong; JSON data of a publish
//! come through byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::dialects::native::Native;
use protocol::{Command, Conversation, Frame, Payload, Request};

fuzz_target!(|bytes: &[u8]| {
    let mut conversation = Native;
    if let Ok(requests) = conversation.decode(Frame::Binary(bytes))
        && let [Request { command: Command::Publish(draft), .. }] = &requests[..]
    {
        assert!(
            matches!(&draft.payload, Payload::Binary { bytes: data, .. } if bytes.ends_with(data))
        );
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match conversation.decode(Frame::Text(text)) {
        Ok(requests) => {
            let [Request { command: Command::Publish(draft), .. }] = &requests[..] else { return };
            let Payload::Json(data) = &draft.payload else { panic!("text became bytes") };
            let data = std::str::from_utf8(data).expect("JSON is UTF-8");
            assert!(text.contains(data));
        }
        Err(wrong) => assert!(!wrong.error.message.is_empty()),
    }
});
