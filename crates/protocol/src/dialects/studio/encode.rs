use super::{Asked, ERROR, Talk, Told};
use crate::dialects::spelling::codes::push_upper;
use crate::dialects::spelling::members::Members;
use crate::dialects::spelling::pending::Said;
use crate::error::{Error, ErrorCode};
use crate::json::{push_str, push_str_list, push_u64};
use crate::message::{Answer, Interest, Message, Welcome};
use crate::pattern::Pattern;

impl Talk {
    /// Appends a message; whether there is something to say.
    pub(super) fn tell(&mut self, message: &Message, out: &mut Vec<u8>) -> bool {
        match self.pending.said(message) {
            Some(Said::Welcome(welcome)) => {
                push_connected(welcome, out);
                true
            }
            Some(Said::Outcome(Some(asked), result)) => self.answer(&asked, result, out),
            Some(Said::Outcome(None, Err(error))) => push_error(error, None, None, out),
            Some(Said::Outcome(None, Ok(_))) | None => false,
        }
    }

    fn answer(&self, asked: &Asked, result: Result<&Answer, &Error>, out: &mut Vec<u8>) -> bool {
        match (asked, result) {
            (Asked::Command(told), Err(error)) => return push_error(error, None, Some(told), out),
            (Asked::Wrong(code), Err(error)) => return push_error(error, Some(code), None, out),
            (_, Err(error)) => return push_error(error, None, None, out),
            (Asked::Subscribe, Ok(Answer::Included(all))) => self.push_subscribed(all, out),
            (Asked::Unsubscribe { errors }, Ok(Answer::Excluded { removed, .. })) => {
                self.push_unsubscribed(removed, *errors, out);
            }
            (Asked::Ping, Ok(Answer::Pong { time_ms })) => {
                out.extend_from_slice(b"{\"type\":\"pong\",\"data\":{\"timestamp\":");
                push_u64(out, *time_ms);
                out.extend_from_slice(b"}}");
            }
            (Asked::Refresh, Ok(Answer::Refreshed { expires_at_ms })) => {
                out.extend_from_slice(b"{\"type\":\"refreshed\",\"data\":{\"expires_at\":");
                push_u64(out, expires_at_ms / 1_000);
                out.extend_from_slice(b"}}");
            }
            (Asked::Command(told), Ok(Answer::Called(json))) => {
                out.extend_from_slice(b"{\"type\":\"result\",\"data\":{\"command\":");
                push_str(out, &told.command);
                out.extend_from_slice(b",\"result\":");
                out.extend_from_slice(json);
                out.push(b'}');
                push_id(told, out);
                out.push(b'}');
            }
            (_, Ok(_)) => return false,
        }
        true
    }

    fn push_subscribed(&self, all: &[Interest], out: &mut Vec<u8>) {
        let mut names = self.names.of_all(all);
        names.retain(|name| *name != ERROR);
        if self.lists_errors {
            names.push(ERROR.into());
        }
        push_events("subscribed", names.iter().map(|name| &**name), out);
    }

    fn push_unsubscribed(&self, removed: &[Pattern], errors: bool, out: &mut Vec<u8>) {
        let removed: Vec<_> = removed.iter().map(|pattern| self.names.name(pattern)).collect();
        let errors = errors.then_some(ERROR);
        push_events("unsubscribed", removed.iter().map(|name| &**name).chain(errors), out);
    }
}

fn push_connected(welcome: &Welcome, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"connected\",\"data\":{\"status\":\"ready\",\"user_id\":");
    match &welcome.user {
        Some(user) => push_str(out, user),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"session_id\":");
    push_str(out, &welcome.client.to_string());
    out.extend_from_slice(b"}}");
}

fn push_events<'a>(kind: &str, names: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":");
    push_str(out, kind);
    out.extend_from_slice(b",\"data\":{\"events\":");
    push_str_list(names, out);
    out.extend_from_slice(b"}}");
}

/// Appends an error, under the code of what was not understood unless something else is the matter.
/// What handles a command may have a code of its own, and name the document.
fn push_error(error: &Error, code: Option<&str>, told: Option<&Told>, out: &mut Vec<u8>) -> bool {
    let details = error.details.as_ref().and_then(|details| Members::of(details.as_bytes()));
    let own_code = details
        .filter(|_| error.code == ErrorCode::CommandFailed)
        .and_then(|details| details.value("code"))
        .filter(|code| code.starts_with(b"\""));
    out.extend_from_slice(b"{\"type\":\"error\",\"data\":{\"code\":");
    match (code.filter(|_| error.code == ErrorCode::BadRequest), own_code) {
        (Some(code), _) => push_str(out, code),
        (None, Some(own)) => out.extend_from_slice(own),
        (None, None) => push_upper(error.code, out),
    }
    out.extend_from_slice(b",\"message\":");
    push_str(out, &error.message);
    let inner = details.and_then(|details| Members::of(details.value("details")?));
    let named = [details, inner].into_iter().flatten().find_map(|members| members.value("blob_id"));
    if let Some(blob_id) = named.or(told.and_then(|told| told.blob_id.as_deref())) {
        out.extend_from_slice(b",\"blob_id\":");
        out.extend_from_slice(blob_id);
    }
    if let Some(ms) = error.retry_after_ms {
        out.extend_from_slice(b",\"retry_after\":");
        push_u64(out, ms.div_ceil(1_000));
    }
    out.push(b'}');
    told.iter().for_each(|told| push_id(told, out));
    out.push(b'}');
    true
}

fn push_id(told: &Told, out: &mut Vec<u8>) {
    if let Some(id) = &told.id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id);
    }
}
