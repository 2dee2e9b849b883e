use protocol::{Event, Payload};

use super::body::Frame;

/// The media type of the answer: each image takes the place of the one before it.
pub(crate) const CONTENT_TYPE: &str = "multipart/x-mixed-replace; boundary=tidings-frame";

/// What stands before an image. Nothing may stand between images, so a connection that is gone is
/// found with the next one.
pub(crate) const FRAME: Frame =
    Frame { opening: b"--tidings-frame\r\nContent-Type: image/jpeg\r\n\r\n", heartbeat: b"" };

/// Appends an image, and already what stands before the next one: Chromium shows an image when it
/// has read the head of the part behind it, and would otherwise show each one an image late, and
/// the only one never. That head comes before the length of its image is known, so it has none.
/// What is no JPEG is left out.
pub(crate) fn push_image(event: &Event, out: &mut Vec<u8>) {
    let Payload::Binary { content_type, bytes } = &event.draft.payload else { return };
    if !is_jpeg(content_type) {
        return;
    }
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(FRAME.opening);
}

fn is_jpeg(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("image/jpeg")
}
