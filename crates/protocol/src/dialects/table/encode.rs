use super::Talk;
use super::decode::Asked;
use crate::dialects::spelling::codes::push_retry_after;
use crate::dialects::spelling::pending::Said;
use crate::dialects::spelling::time::push_iso;
use crate::error::{Error, ErrorCode};
use crate::json::{push_str, push_str_list, push_u64};
use crate::message::{Answer, Interest, Message, Status, Welcome};
use crate::pattern::Pattern;

impl Talk {
    /// Appends a message; whether it is said at all.
    pub(super) fn push(&mut self, now_ms: u64, message: &Message, out: &mut Vec<u8>) -> bool {
        match self.pending.said(message) {
            Some(Said::Welcome(welcome)) => push_welcome(now_ms, welcome, out),
            Some(Said::Outcome(asked, Err(error))) => {
                push_error(now_ms, error, asked.as_ref(), out);
            }
            Some(Said::Outcome(Some(asked), Ok(answer))) => {
                return self.push_answer(now_ms, &asked, answer, out);
            }
            Some(Said::Outcome(None, Ok(_))) | None => return false,
        }
        true
    }

    fn push_answer(
        &mut self,
        now_ms: u64,
        asked: &Asked,
        answer: &Answer,
        out: &mut Vec<u8>,
    ) -> bool {
        match (asked, answer) {
            (
                Asked::Subscribe { streams, rejected, view },
                Answer::Included(all) | Answer::Excluded { all, .. },
            ) => {
                let names = streams.iter().map(|place| self.vocabulary.name(*place));
                let lists = Lists { names, rejected, all };
                self.push_lists("subscribed", now_ms, lists, out);
                for place in streams {
                    self.views.set(self.vocabulary.name(*place), view);
                }
                self.look = self.views.text();
            }
            (Asked::Unsubscribe { rejected }, Answer::Excluded { removed, all }) => {
                let names = removed.iter().map(|pattern| self.vocabulary.name_of_pattern(pattern));
                let lists = Lists { names, rejected, all };
                self.push_lists("unsubscribed", now_ms, lists, out);
                for pattern in removed {
                    self.views.forget(self.vocabulary.name_of_pattern(pattern));
                }
                self.look = self.views.text();
            }
            (Asked::Ping, Answer::Status(status)) => {
                begin("pong", now_ms, out);
                push(out, ",\"quality_score\":");
                push_decimal(out, status.link.quality);
                end(now_ms, out);
            }
            (Asked::Heartbeat, _) => {
                begin("heartbeat_response", now_ms, out);
                end(now_ms, out);
            }
            (Asked::Status, Answer::Status(status)) => self.push_status(now_ms, status, out),
            (Asked::Acknowledge { stream, sequence }, Answer::Acknowledged(positions)) => {
                begin("acked", now_ms, out);
                push(out, ",\"stream\":");
                push_str(out, self.vocabulary.name(*stream));
                push(out, ",\"sequence\":");
                push_u64(out, *sequence);
                push(out, ",\"stored\":");
                push(out, if positions.is_empty() { "false" } else { "true" });
                end(now_ms, out);
            }
            _ => return false,
        }
        true
    }

    fn push_lists<'n>(
        &self,
        kind: &str,
        now_ms: u64,
        lists: Lists<'_, impl Iterator<Item = &'n str>>,
        out: &mut Vec<u8>,
    ) {
        begin(kind, now_ms, out);
        push(out, ",\"streams\":");
        push_str_list(lists.names, out);
        push(out, ",\"all_subscriptions\":");
        push_str_list(self.names(lists.all), out);
        push(out, ",\"rejected\":");
        push_str_list(lists.rejected.iter().map(String::as_str), out);
        end(now_ms, out);
    }

    fn names<'i>(&'i self, all: &'i [Interest]) -> impl Iterator<Item = &'i str> {
        let topics = all.iter().map(|interest| &interest.topic);
        topics.map(|topic: &Pattern| self.vocabulary.name_of_pattern(topic))
    }

    fn push_status(&self, now_ms: u64, status: &Status, out: &mut Vec<u8>) {
        let link = &status.link;
        begin("status", now_ms, out);
        push(out, ",\"client_id\":");
        push_str(out, &status.client.to_string());
        push(out, ",\"user_id\":");
        match &status.user {
            Some(user) => push_str(out, user),
            None => push(out, "null"),
        }
        push(out, ",\"connected_at\":");
        push_iso(link.connected_at_ms, out);
        push(out, ",\"uptime\":");
        push_decimal(out, now_ms.saturating_sub(link.connected_at_ms) as f64 / 1e3);
        push(out, ",\"subscriptions\":");
        push_str_list(self.names(&status.interests), out);
        push(out, ",\"message_count\":");
        push_u64(out, status.events_out + status.messages_in);
        push(out, ",\"bytes_sent\":");
        push_u64(out, status.bytes_out);
        push(out, ",\"bytes_received\":");
        push_u64(out, link.bytes_in);
        push(out, ",\"quality_score\":");
        push_decimal(out, link.quality);
        push(out, ",\"last_ping_latency\":");
        match link.latency_ms {
            Some(ms) => push_u64(out, ms),
            None => push(out, "null"),
        }
        push(out, ",\"is_alive\":");
        push(out, if link.is_alive { "true" } else { "false" });
        end(now_ms, out);
    }
}

/// What an answer to a subscribe or unsubscribe lists.
struct Lists<'a, N> {
    names: N,
    rejected: &'a [String],
    all: &'a [Interest],
}

fn push_welcome(now_ms: u64, welcome: &Welcome, out: &mut Vec<u8>) {
    begin("connection", now_ms, out);
    push(out, ",\"client_id\":");
    push_str(out, &welcome.client.to_string());
    push(out, ",\"status\":\"connected\"");
    end(now_ms, out);
}

fn push_error(now_ms: u64, error: &Error, asked: Option<&Asked>, out: &mut Vec<u8>) {
    begin("error", now_ms, out);
    push(out, ",\"code\":");
    match (error.code, asked) {
        (ErrorCode::RateLimited, _) => push_str(out, "RATE_LIMIT"),
        (ErrorCode::BadRequest, Some(Asked::Wrong(wrong))) => push_str(out, wrong.code()),
        (ErrorCode::Internal, _) => push_str(out, "MESSAGE_HANDLER_ERROR"),
        (code, _) => push_str(out, &code.as_str().to_ascii_uppercase()),
    }
    push(out, ",\"message\":");
    push_str(out, &error.message);
    push_retry_after(error, out);
    end(now_ms, out);
}

/// Begins a message and its data, whose first member is the time.
fn begin(kind: &str, now_ms: u64, out: &mut Vec<u8>) {
    push(out, "{\"type\":\"");
    push(out, kind);
    push(out, "\",\"data\":{\"timestamp\":");
    push_iso(now_ms, out);
}

fn end(now_ms: u64, out: &mut Vec<u8>) {
    push(out, "},\"timestamp\":");
    push_iso(now_ms, out);
    push(out, "}");
}

/// Three decimals are as many as these figures are worth.
fn push_decimal(out: &mut Vec<u8>, number: f64) {
    push(out, &format!("{number:.3}"));
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}
