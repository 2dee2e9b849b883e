use super::jpeg;
use super::views::View;
use crate::dialects::spelling::members::{Member, Members};
use crate::dialects::spelling::payload::push_base64;
use crate::event::Event;
use crate::json::{push_str, push_u64};

/// Members that are never taken from an event's headers.
const OWN: [&str; 5] = ["image", "base64", "content_type", "size", "sequence"];

/// The data of an event of bytes, which are an object.
struct Data<'a> {
    view: Option<&'a View>,
    headers: Option<Members<'a>>,
    out: &'a mut Vec<u8>,
    is_first: bool,
}

/// Appends the data of an event of bytes: an image as `image`, other bytes as `base64`, neither
/// where they follow in a binary frame; and what the headers say.
pub(super) fn push_bytes(
    event: &Event,
    content_type: &str,
    bytes: &[u8],
    view: Option<&View>,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    let headers = event.draft.headers.as_ref().and_then(|headers| Members::of(headers));
    let mut data = Data { view, headers, out, is_first: true };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let format = media_type.strip_prefix("image/");
    let follow = view.is_some_and(|view| view.binary);
    if follow {
        data.member("content_type", |out| push_str(out, content_type));
        data.member("size", |out| push_u64(out, bytes.len() as u64));
    } else {
        let name = if format.is_some() { "image" } else { "base64" };
        data.member(name, |out| {
            out.push(b'"');
            push_base64(bytes, out);
            out.push(b'"');
        });
    }
    match format {
        Some(format) => {
            let size = if format == "jpeg" { jpeg::size(bytes) } else { None };
            if let Some((width, height)) = size {
                data.default("width", |out| push_u64(out, u64::from(width)));
                data.default("height", |out| push_u64(out, u64::from(height)));
            }
            data.default("format", |out| push_str(out, format));
        }
        None if !follow => data.member("content_type", |out| push_str(out, content_type)),
        None => {}
    }
    data.push_headers();
    data.raw("sequence", |out| push_u64(out, event.seq));
    data.out.push(b'}');
}

impl Data<'_> {
    /// Appends a member that is wanted.
    fn member(&mut self, name: &str, push_value: impl FnOnce(&mut Vec<u8>)) {
        if self.view.is_none_or(|view| view.wants(|field| field == name)) {
            self.raw(name, push_value);
        }
    }

    /// Appends a member that no header has.
    fn default(&mut self, name: &str, push_value: impl FnOnce(&mut Vec<u8>)) {
        if self.headers.and_then(|headers| headers.value(name)).is_none() {
            self.member(name, push_value);
        }
    }

    fn raw(&mut self, name: &str, push_value: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        push_str(self.out, name);
        self.out.push(b':');
        push_value(self.out);
    }

    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
    }

    /// Appends the headers, which are strings: those that spell numbers as numbers.
    fn push_headers(&mut self) {
        for header in self.headers.into_iter().flatten() {
            let is_wanted = self.view.is_none_or(|view| view.wants(|field| header.is(field)));
            if is_wanted && !OWN.iter().any(|own| header.is(own)) {
                self.separate();
                push_header(&header, self.out);
            }
        }
    }
}

fn push_header(header: &Member<'_>, out: &mut Vec<u8>) {
    let inner = header.value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let number = inner.filter(|inner| serde_json::from_slice::<f64>(inner).is_ok());
    let Some(number) = number else { return push_line(header.text, out) };
    let name = header.text.get(..header.text.len() - header.value.len()).unwrap_or_default();
    push_line(name, out);
    out.extend_from_slice(number);
}

/// Appends JSON on one line: a line break between its tokens would end a binary frame's first line.
fn push_line(text: &[u8], out: &mut Vec<u8>) {
    for part in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(part);
    }
}
