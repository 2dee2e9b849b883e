use super::event::push_event_list;
use crate::close::CloseReason;
use crate::dialect::FrameKind;
use crate::dialects::spelling::codes::push_retry_after;
use crate::error::Error;
use crate::json::{push_list, push_str, push_str_list, push_u64};
use crate::message::{Answer, Appended, Message, Subscribed, Welcome};
use crate::pattern::Pattern;
use crate::position::{Epoch, Gap, Position, StreamName};

/// Appends `message`; a success that nobody waits for goes unsaid.
pub(super) fn encode(message: &Message, out: &mut Vec<u8>) -> Option<FrameKind> {
    match message {
        Message::Welcome(welcome) => push_welcome(welcome, out),
        Message::Reply { id: Some(id), result } => push_reply(*id, result, out),
        Message::Reply { id: None, result: Ok(_) } => return None,
        Message::Reply { id: None, result: Err(error) } | Message::Error(error) => {
            push_error_object(error, out);
        }
        Message::Replay { subscription, stream, events, done } => {
            push(out, "{\"replay\":{\"subscription\":");
            push_str(out, &subscription.to_string());
            // Named apart from the events: the last part of a replay may have none, and each
            // stream has its own.
            push(out, ",\"stream\":");
            push_str(out, stream.as_str());
            push(out, ",\"events\":");
            push_event_list(stream, events, out);
            push(out, ",\"done\":");
            push_bool(out, *done);
            push(out, "}}");
        }
        Message::Restored(subscriptions) => {
            push(out, "{\"restored\":{\"subscriptions\":");
            push_list(subscriptions, out, push_subscribed);
            push(out, "}}");
        }
        Message::Gap(gap) => push_gap(gap, out),
        Message::Mark(positions) => {
            push(out, "{\"mark\":");
            push_positions(positions, out);
            push(out, "}");
        }
        Message::Closing { reason, reconnect_after_ms } => {
            push_closing(*reason, *reconnect_after_ms, out);
        }
        Message::Called { .. } => return None,
        Message::Call { call_id, call, user } => {
            push(out, "{\"call\":{\"call_id\":");
            push_u64(out, *call_id);
            push(out, ",\"command\":");
            push_str(out, call.command.as_str());
            push(out, ",\"data\":");
            out.extend_from_slice(&call.data);
            push_user(user.as_deref(), out);
            push(out, "}}");
        }
        Message::Expiring { in_ms } => {
            push(out, "{\"expiring\":{\"in_ms\":");
            push_u64(out, *in_ms);
            push(out, "}}");
        }
    }
    Some(FrameKind::Text)
}

/// Appends `{"error":{…}}`, as errors are spelled everywhere.
pub fn push_error_object(error: &Error, out: &mut Vec<u8>) {
    push(out, "{");
    push_error(error, out);
    push(out, "}");
}

/// Appends the member `"error":{…}`, as errors are spelled everywhere.
pub fn push_error(error: &Error, out: &mut Vec<u8>) {
    push(out, "\"error\":{\"code\":\"");
    push(out, error.code.as_str());
    push(out, "\",\"message\":");
    push_str(out, &error.message);
    push_retry_after(error, out);
    if let Some(details) = &error.details {
        push(out, ",\"details\":");
        push(out, details);
    }
    push(out, "}");
}

fn push_welcome(welcome: &Welcome, out: &mut Vec<u8>) {
    push(out, "{\"welcome\":{\"client\":");
    push_str(out, &welcome.client.to_string());
    push(out, ",\"session\":");
    push_str(out, &welcome.session);
    push(out, ",\"node\":");
    push_str(out, &welcome.node);
    push(out, ",\"protocol\":1");
    push_user(welcome.user.as_deref(), out);
    push(out, ",\"heartbeat_ms\":");
    push_u64(out, welcome.heartbeat_ms);
    push(out, ",\"limits\":{\"message_bytes\":");
    push_usize(out, welcome.message_bytes_max);
    push(out, ",\"subscriptions\":");
    push_usize(out, welcome.subscriptions_max);
    push(out, "}}}");
}

fn push_reply(id: i64, result: &Result<Answer, Error>, out: &mut Vec<u8>) {
    push(out, "{\"id\":");
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    match result {
        Ok(answer) => {
            push(out, ",\"ok\":");
            push_answer(answer, out);
        }
        Err(error) => {
            push(out, ",");
            push_error(error, out);
        }
    }
    push(out, "}");
}

fn push_answer(answer: &Answer, out: &mut Vec<u8>) {
    match answer {
        Answer::Hello { client, user, subscriptions } => {
            push(out, "{\"client\":");
            push_str(out, &client.to_string());
            push_user(user.as_deref(), out);
            push(out, ",\"subscriptions\":");
            push_list(subscriptions, out, push_subscribed);
            push(out, "}");
        }
        Answer::Subscribed(subscribed) => push_subscribed(subscribed, out),
        // Of sets of subscriptions this protocol knows nothing, nor of status.
        Answer::Unsubscribed
        | Answer::Handling
        | Answer::Included(_)
        | Answer::Excluded { .. }
        | Answer::Status(_) => push(out, "{}"),
        Answer::Published(appended) => push_appended(appended, out),
        Answer::History { stream, epoch, events, after, more } => {
            push(out, "{\"events\":");
            push_event_list(stream, events, out);
            push(out, ",\"epoch\":");
            push_str(out, epoch.as_str());
            push(out, ",\"after\":");
            push_u64(out, *after);
            push(out, ",\"more\":");
            push_bool(out, *more);
            push(out, "}");
        }
        Answer::Acknowledged(positions) => {
            push(out, "{\"positions\":");
            push_positions(positions, out);
            push(out, "}");
        }
        Answer::Pong { time_ms } => {
            push(out, "{\"time\":");
            push_u64(out, *time_ms);
            push(out, "}");
        }
        Answer::Called(data) => {
            push(out, "{\"data\":");
            out.extend_from_slice(data);
            push(out, "}");
        }
        Answer::Refreshed { expires_at_ms } => {
            push(out, "{\"expires_at\":");
            push_u64(out, *expires_at_ms);
            push(out, "}");
        }
        Answer::Presence { users, clients } => {
            push(out, "{\"users\":");
            push_str_list(users.iter().map(|user| &**user), out);
            push(out, ",\"clients\":");
            push_u64(out, *clients);
            push(out, "}");
        }
    }
}

fn push_subscribed(subscribed: &Subscribed, out: &mut Vec<u8>) {
    push(out, "{\"subscription\":");
    push_str(out, &subscribed.subscription.to_string());
    push(out, ",\"topics\":");
    push_str_list(subscribed.topics.iter().map(Pattern::as_str), out);
    push(out, ",\"positions\":");
    push_positions(&subscribed.positions, out);
    if subscribed.truncated {
        push(out, ",\"truncated\":true");
    }
    push(out, "}");
}

/// Appends where an event was appended, as a JSON object.
pub fn push_appended(appended: &Appended, out: &mut Vec<u8>) {
    push(out, "{");
    push_stream(&appended.stream, &appended.epoch, out);
    push(out, ",\"seq\":");
    push_u64(out, appended.seq);
    push(out, ",\"duplicate\":");
    push_bool(out, appended.duplicate);
    push(out, ",\"durability\":\"");
    push(out, appended.durability.as_str());
    push(out, "\"}");
}

fn push_gap(gap: &Gap, out: &mut Vec<u8>) {
    push(out, "{\"gap\":{");
    push_stream(&gap.stream, &gap.epoch, out);
    push(out, ",\"from\":");
    push_u64(out, gap.from);
    push(out, ",\"to\":");
    push_u64(out, gap.to);
    push(out, ",\"reason\":\"");
    push(out, gap.reason.as_str());
    push(out, "\"}}");
}

fn push_closing(reason: CloseReason, reconnect_after_ms: Option<u64>, out: &mut Vec<u8>) {
    push(out, "{\"closing\":{\"code\":");
    push_u64(out, u64::from(reason.code()));
    push(out, ",\"reason\":");
    push_str(out, reason.text());
    if let Some(ms) = reconnect_after_ms {
        push(out, ",\"reconnect\":{\"after_ms\":");
        push_u64(out, ms);
        push(out, "}");
    }
    push(out, "}}");
}

fn push_positions(positions: &[Position], out: &mut Vec<u8>) {
    push_list(positions, out, |position: &Position, out| {
        push(out, "{");
        push_stream(&position.stream, &position.epoch, out);
        push(out, ",\"seq\":");
        push_u64(out, position.seq);
        push(out, "}");
    });
}

fn push_stream(stream: &StreamName, epoch: &Epoch, out: &mut Vec<u8>) {
    push(out, "\"stream\":");
    push_str(out, stream.as_str());
    push(out, ",\"epoch\":");
    push_str(out, epoch.as_str());
}

fn push_user(user: Option<&str>, out: &mut Vec<u8>) {
    if let Some(user) = user {
        push(out, ",\"user\":");
        push_str(out, user);
    }
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_bool(out: &mut Vec<u8>, value: bool) {
    push(out, if value { "true" } else { "false" });
}

fn push_usize(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
