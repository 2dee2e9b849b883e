use super::{Asked, Code, Talk, Told, Wanted};
use crate::dialects::spelling::codes::{push_retry_after, push_upper};
use crate::dialects::spelling::pending::Said;
use crate::dialects::spelling::time::push_iso;
use crate::error::{Error, ErrorCode};
use crate::json::{push_str, push_str_list};
use crate::message::{Answer, Interest, Message};

impl Talk {
    /// Appends a message; whether there is something to say.
    pub(super) fn tell(&mut self, now_ms: u64, message: &Message, out: &mut Vec<u8>) -> bool {
        match self.pending.said(message) {
            Some(Said::Welcome(welcome)) => {
                begin("connection_established", out);
                member("client_id", &welcome.client.to_string(), out);
                end(now_ms, out);
                true
            }
            Some(Said::Outcome(Some(asked), result)) => self.answer(now_ms, &asked, result, out),
            Some(Said::Outcome(None, Err(error))) => push_error(now_ms, error, None, out),
            Some(Said::Outcome(None, Ok(_))) | None => false,
        }
    }

    fn answer(
        &self,
        now_ms: u64,
        asked: &Asked,
        result: Result<&Answer, &Error>,
        out: &mut Vec<u8>,
    ) -> bool {
        match (asked, result) {
            (Asked::Command(told), result) => push_result(now_ms, told, result, out),
            // The result says it.
            (Asked::Received(_), Err(_)) | (Asked::Part, Ok(_)) => return false,
            // The whole message was refused.
            (Asked::Part, Err(error)) if error.code == ErrorCode::RateLimited => return false,
            (Asked::Wrong(code), Err(error)) => {
                return push_error(now_ms, error, Some(*code), out);
            }
            (_, Err(error)) => return push_error(now_ms, error, None, out),
            (Asked::Subscribe(wanted), Ok(Answer::Included(all))) => {
                begin("subscribed", out);
                self.push_wanted(wanted, "all_subscriptions", all, out);
                end(now_ms, out);
            }
            (Asked::Unsubscribe(wanted), Ok(Answer::Excluded { all, .. })) => {
                begin("unsubscribed", out);
                self.push_wanted(wanted, "remaining_subscriptions", all, out);
                end(now_ms, out);
            }
            (Asked::Received(told), Ok(_)) => push_received(now_ms, told, out),
            (Asked::Ping(client_time), Ok(_)) => {
                begin("pong", out);
                out.extend_from_slice(b",\"client_timestamp\":");
                out.extend_from_slice(client_time);
                out.extend_from_slice(b",\"server_timestamp\":");
                push_iso(now_ms, out);
                out.push(b'}');
            }
            (Asked::Word, Ok(_)) => {
                begin("pong", out);
                out.push(b'}');
            }
            (Asked::Subscribe(_) | Asked::Unsubscribe(_) | Asked::Wrong(_), Ok(_)) => return false,
        }
        true
    }

    fn push_wanted(&self, wanted: &Wanted, name: &str, all: &[Interest], out: &mut Vec<u8>) {
        push_room(wanted.room.as_deref(), out);
        push_list("events", wanted.events.iter().map(String::as_str), out);
        push_list(name, self.names.events(all).into_iter(), out);
    }
}

fn push_received(now_ms: u64, told: &Told, out: &mut Vec<u8>) {
    begin("command_received", out);
    member("command", &told.command, out);
    push_room(told.room.as_deref(), out);
    member("status", "acknowledged", out);
    member("message", &format!("{} was received", told.command), out);
    end(now_ms, out);
}

fn push_result(now_ms: u64, told: &Told, result: Result<&Answer, &Error>, out: &mut Vec<u8>) {
    begin("command_result", out);
    member("command", &told.command, out);
    push_room(told.room.as_deref(), out);
    match result {
        Ok(answer) => {
            out.extend_from_slice(b",\"ok\":true,\"result\":");
            match answer {
                Answer::Called(json) => out.extend_from_slice(json),
                _ => out.extend_from_slice(b"null"),
            }
        }
        Err(error) => {
            out.extend_from_slice(b",\"ok\":false,\"error\":{\"code\":");
            push_upper(error.code, out);
            member("message", &error.message, out);
            push_retry_after(error, out);
            if let Some(details) = &error.details {
                out.extend_from_slice(b",\"details\":");
                out.extend_from_slice(details.as_bytes());
            }
            out.push(b'}');
        }
    }
    end(now_ms, out);
}

/// Appends an error, under the code of what was not understood unless something else is the matter.
fn push_error(now_ms: u64, error: &Error, code: Option<Code>, out: &mut Vec<u8>) -> bool {
    let code = code.filter(|_| error.code == ErrorCode::BadRequest);
    begin("error", out);
    match code {
        Some(code) => member("error_code", code.as_str(), out),
        None if matches!(error.code, ErrorCode::BadRequest | ErrorCode::Internal) => {
            member("error_code", Code::ProcessingError.as_str(), out);
        }
        None => {
            out.extend_from_slice(b",\"error_code\":");
            push_upper(error.code, out);
        }
    }
    member("message", &error.message, out);
    push_retry_after(error, out);
    end(now_ms, out);
    true
}

fn begin(kind: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":");
    push_str(out, kind);
}

fn member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    push_str(out, name);
    out.push(b':');
    push_str(out, value);
}

fn push_room(room: Option<&str>, out: &mut Vec<u8>) {
    if let Some(room) = room {
        member("room", room, out);
    }
}

fn push_list<'a>(name: &str, items: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    out.push(b',');
    push_str(out, name);
    out.push(b':');
    push_str_list(items, out);
}

fn end(now_ms: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"timestamp\":");
    push_iso(now_ms, out);
    out.push(b'}');
}
