use super::{Asked, Talk};
use crate::dialects::spelling::codes::{push_retry_after, push_upper};
use crate::dialects::spelling::pending::Said;
use crate::error::{Error, ErrorCode};
use crate::json::{push_str, push_str_list, push_u64};
use crate::message::Message;

impl Talk {
    /// Appends a message; whether there is something to say.
    pub(super) fn tell(&mut self, now_ms: u64, message: &Message, out: &mut Vec<u8>) -> bool {
        match self.pending.said(message) {
            Some(Said::Welcome(welcome)) => {
                begin("connection", out);
                out.extend_from_slice(b",\"message\":\"Connected\"");
                push_time(now_ms, out);
                out.extend_from_slice(b",\"client_id\":");
                push_str(out, &welcome.client.to_string());
                out.push(b'}');
                true
            }
            Some(Said::Outcome(_, Err(error))) => push_error(now_ms, error, out),
            Some(Said::Outcome(Some(asked), Ok(_))) => push_answer(now_ms, &asked, out),
            Some(Said::Outcome(None, Ok(_))) | None => false,
        }
    }
}

fn push_answer(now_ms: u64, asked: &Asked, out: &mut Vec<u8>) -> bool {
    match asked {
        Asked::Subscribe(channels) => {
            begin("subscribed", out);
            push_channels(channels, out);
        }
        Asked::Unsubscribe(channels) => {
            begin("unsubscribed", out);
            push_channels(channels, out);
        }
        Asked::Ping => begin("pong", out),
        Asked::Heartbeat => begin("heartbeat_ack", out),
        Asked::Other(kind) => {
            begin("ack", out);
            out.extend_from_slice(b",\"originalType\":");
            push_str(out, kind);
        }
        Asked::Wrong => return false,
    }
    push_time(now_ms, out);
    out.push(b'}');
    true
}

fn begin(kind: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":");
    push_str(out, kind);
}

fn push_time(now_ms: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"timestamp\":");
    push_u64(out, now_ms);
}

fn push_channels(channels: &[String], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"channels\":");
    push_str_list(channels.iter().map(String::as_str), out);
}

fn push_error(now_ms: u64, error: &Error, out: &mut Vec<u8>) -> bool {
    begin("error", out);
    out.extend_from_slice(b",\"data\":{\"error\":");
    push_str(out, summary(error.code));
    out.extend_from_slice(b",\"details\":");
    push_str(out, &error.message);
    out.extend_from_slice(b",\"code\":");
    match error.code {
        ErrorCode::RateLimited => push_str(out, "RATE_LIMIT"),
        code if is_about_the_message(code) => push_str(out, "VALIDATION_ERROR"),
        ErrorCode::BrokerUnavailable => push_str(out, "NETWORK_ERROR"),
        code => push_upper(code, out),
    }
    push_retry_after(error, out);
    push_time(now_ms, out);
    out.extend_from_slice(b"}}");
    true
}

/// Whether the message was wrong, and not the time or the client.
fn is_about_the_message(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::BadRequest
            | ErrorCode::InvalidTopic
            | ErrorCode::InvalidPattern
            | ErrorCode::InvalidData
            | ErrorCode::TooLarge
    )
}

/// What went wrong in a few words.
fn summary(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::RateLimited => "Rate limit exceeded",
        ErrorCode::BrokerUnavailable => "Events cannot be reached",
        ErrorCode::Forbidden => "Not allowed",
        ErrorCode::TooManySubscriptions => "Too many channels",
        code if is_about_the_message(code) => "Invalid message",
        _ => "The message could not be processed",
    }
}
