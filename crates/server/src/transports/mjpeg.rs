use protocol::{Event, Payload};

use super::body::Frame;

/// The media type of the answer: each image takes the place of the one before it.
pub(crate) const CONTENT_TYPE: &str = "multipart/x-mixed-replace; boundary=tidings-frame";

/// The line between two images; the first one opens the body. Nothing may stand between images, so
/// a connection that is gone is found with the next one.
pub(crate) const FRAME: Frame = Frame { opening: b"--tidings-frame\r\n", heartbeat: b"" };

/// Appends an image as a part, with the line that ends it: browsers show an image when they see
/// that line, so it does not wait for the next image. What is no JPEG is left out.
pub(crate) fn push_image(event: &Event, out: &mut Vec<u8>) {
    let Payload::Binary { content_type, bytes } = &event.draft.payload else { return };
    if !is_jpeg(content_type) {
        return;
    }
    let head = format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", bytes.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(FRAME.opening);
}

fn is_jpeg(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("image/jpeg")
}
