use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::event::Payload;
use crate::json::push_str;

/// Appends what an event carries as a JSON value: JSON as it was published, bytes as
/// `{"content_type","base64"}`.
pub fn push_value(payload: &Payload, out: &mut Vec<u8>) {
    match payload {
        Payload::Json(text) => out.extend_from_slice(text),
        Payload::Binary { content_type, bytes } => {
            out.extend_from_slice(b"{\"content_type\":");
            push_str(out, content_type);
            out.extend_from_slice(b",\"base64\":\"");
            push_base64(bytes, out);
            out.extend_from_slice(b"\"}");
        }
    }
}

/// Appends bytes in base64, as RFC 4648 has it in section 4.
pub fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let length = base64::encoded_len(bytes.len(), true).unwrap_or(0);
    out.resize(start + length, 0);
    if let Some(room) = out.get_mut(start..) {
        // The room has exactly the encoded length.
        let _ = STANDARD.encode_slice(bytes, room);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn bytes_become_an_object() {
        let mut out = b">".to_vec();
        let bytes = Bytes::from_static(&[0, 255, 16, 1]);
        push_value(&Payload::Binary { content_type: "audio/\"x".into(), bytes }, &mut out);
        let expected = r#">{"content_type":"audio/\"x","base64":"AP8QAQ=="}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn json_stays_as_it_is() {
        let mut out = Vec::new();
        push_value(&Payload::Json(Bytes::from_static(b"{ \"b\":1.0, \"a\":2}")), &mut out);
        assert_eq!(out, b"{ \"b\":1.0, \"a\":2}");
    }
}
