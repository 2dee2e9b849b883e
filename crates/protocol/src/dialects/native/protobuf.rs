//! Field numbers are those of `tidings.proto`, whose messages these functions write one by one.

use smallvec::SmallVec;

use super::wire::Writer;
use crate::close::CloseReason;
use crate::dialect::FrameKind;
use crate::dialects::spelling::object::{Object, Text};
use crate::error::Error;
use crate::event::{Event, Payload};
use crate::message::{Answer, Appended, Message, Subscribed, Welcome};
use crate::position::{Gap, Position, StreamName};

/// Appends a `ServerMessage` with one live event.
pub(super) fn push_event_frame(stream: &StreamName, event: &Event, out: &mut Vec<u8>) -> FrameKind {
    push_event(9, stream, event, &mut Writer::new(out));
    FrameKind::Binary
}

/// Appends a `ServerMessage`; a success that nobody waits for goes unsaid.
pub(super) fn encode(message: &Message, out: &mut Vec<u8>) -> Option<FrameKind> {
    let out = &mut Writer::new(out);
    match message {
        Message::Welcome(welcome) => out.message(2, |out| push_welcome(welcome, out)),
        Message::Reply { id: None, result: Ok(_) } => return None,
        Message::Reply { id, result } => {
            if let Some(id) = id {
                out.int(1, *id);
            }
            match result {
                Ok(answer) => out.message(3, |out| push_answer(answer, out)),
                Err(error) => out.message(4, |out| push_error(error, out)),
            }
        }
        Message::Error(error) => out.message(4, |out| push_error(error, out)),
        Message::Replay { subscription, stream, events, done } => out.message(5, |out| {
            out.str(1, &subscription.to_string());
            out.str(2, stream.as_str());
            push_events(3, stream, events, out);
            out.bool(4, *done);
        }),
        Message::Gap(gap) => out.message(6, |out| push_gap(gap, out)),
        Message::Mark(positions) => out.message(7, |out| push_positions(1, positions, out)),
        Message::Closing { reason, reconnect_after_ms } => {
            out.message(8, |out| push_closing(*reason, *reconnect_after_ms, out));
        }
        Message::Restored(subscriptions) => {
            out.message(10, |out| push_subscriptions(1, subscriptions, out));
        }
        Message::Called { .. } => return None,
        Message::Call { call_id, call, user } => out.message(11, |out| {
            out.uint(1, *call_id);
            out.str(2, call.command.as_str());
            out.bytes(3, &call.data);
            if let Some(user) = user {
                out.str(4, user);
            }
        }),
        Message::Expiring { in_ms } => out.message(12, |out| out.uint(1, *in_ms)),
    }
    Some(FrameKind::Binary)
}

fn push_event(number: u32, stream: &StreamName, event: &Event, out: &mut Writer<'_>) {
    let headers = event.draft.headers.as_deref().map(headers).unwrap_or_default();
    out.message(number, |out| {
        out.str(1, event.topic().as_str());
        out.str(2, stream.as_str());
        out.uint(3, event.seq);
        out.uint(4, event.time_ms);
        for (key, Text(text)) in &headers {
            out.message(8, |out| {
                out.str(1, key);
                out.str(2, text);
            });
        }
        match &event.draft.payload {
            Payload::Json(text) => out.bytes(5, text),
            Payload::Binary { content_type, bytes } => {
                out.str(7, content_type);
                out.bytes(6, bytes);
            }
        }
    });
}

/// The pairs of headers, which were checked when they were published.
fn headers(text: &[u8]) -> SmallVec<[(String, Text<'_>); 2]> {
    let Ok(object) = serde_json::from_slice::<Object<'_>>(text) else { return SmallVec::new() };
    let pairs = object.iter().filter_map(|(key, raw)| {
        let text = serde_json::from_str(raw.get()).ok()?;
        Some((key.to_owned(), text))
    });
    pairs.collect()
}

fn push_events(number: u32, stream: &StreamName, events: &[Event], out: &mut Writer<'_>) {
    for event in events {
        push_event(number, stream, event, out);
    }
}

fn push_welcome(welcome: &Welcome, out: &mut Writer<'_>) {
    out.str(1, &welcome.client.to_string());
    out.str(2, &welcome.session);
    out.str(3, &welcome.node);
    out.uint(4, 1);
    if let Some(user) = &welcome.user {
        out.str(5, user);
    }
    out.uint(6, welcome.heartbeat_ms);
    out.message(7, |out| {
        out.size(1, welcome.message_bytes_max);
        out.size(2, welcome.subscriptions_max);
    });
}

fn push_answer(answer: &Answer, out: &mut Writer<'_>) {
    match answer {
        Answer::Hello { client, user, subscriptions } => out.message(1, |out| {
            out.str(1, &client.to_string());
            if let Some(user) = user {
                out.str(2, user);
            }
            push_subscriptions(3, subscriptions, out);
        }),
        Answer::Subscribed(subscribed) => out.message(2, |out| push_subscribed(subscribed, out)),
        // Of sets of subscriptions this protocol knows nothing.
        Answer::Unsubscribed | Answer::Included(_) | Answer::Excluded { .. } => {
            out.message(3, |_| {});
        }
        Answer::Published(appended) => out.message(4, |out| push_appended(appended, out)),
        Answer::History { stream, epoch, events, after, more } => out.message(5, |out| {
            push_events(1, stream, events, out);
            out.str(2, epoch.as_str());
            out.uint(3, *after);
            out.bool(4, *more);
        }),
        Answer::Pong { time_ms } => out.message(6, |out| out.uint(1, *time_ms)),
        Answer::Acknowledged(positions) => {
            out.message(7, |out| push_positions(1, positions, out));
        }
        Answer::Called(data) => out.message(8, |out| out.bytes(1, data)),
        Answer::Handling => out.message(9, |_| {}),
        Answer::Refreshed { expires_at_ms } => out.message(10, |out| out.uint(1, *expires_at_ms)),
        Answer::Presence { users, clients } => out.message(11, |out| {
            users.iter().for_each(|user| out.str(1, user));
            out.uint(2, *clients);
        }),
    }
}

fn push_subscriptions(number: u32, subscriptions: &[Subscribed], out: &mut Writer<'_>) {
    for subscribed in subscriptions {
        out.message(number, |out| push_subscribed(subscribed, out));
    }
}

fn push_subscribed(subscribed: &Subscribed, out: &mut Writer<'_>) {
    out.str(1, &subscribed.subscription.to_string());
    for pattern in &subscribed.topics {
        out.str(2, pattern.as_str());
    }
    push_positions(3, &subscribed.positions, out);
    if subscribed.truncated {
        out.bool(4, true);
    }
}

fn push_appended(appended: &Appended, out: &mut Writer<'_>) {
    out.str(1, appended.stream.as_str());
    out.str(2, appended.epoch.as_str());
    out.uint(3, appended.seq);
    out.bool(4, appended.duplicate);
    out.str(5, appended.durability.as_str());
}

fn push_positions(number: u32, positions: &[Position], out: &mut Writer<'_>) {
    for position in positions {
        out.message(number, |out| {
            out.str(1, position.stream.as_str());
            out.str(2, position.epoch.as_str());
            out.uint(3, position.seq);
        });
    }
}

fn push_error(error: &Error, out: &mut Writer<'_>) {
    out.str(1, error.code.as_str());
    out.str(2, &error.message);
    if let Some(ms) = error.retry_after_ms {
        out.uint(3, ms);
    }
    if let Some(details) = &error.details {
        out.str(4, details);
    }
}

fn push_gap(gap: &Gap, out: &mut Writer<'_>) {
    out.str(1, gap.stream.as_str());
    out.str(2, gap.epoch.as_str());
    out.uint(3, gap.from);
    out.uint(4, gap.to);
    out.str(5, gap.reason.as_str());
}

fn push_closing(reason: CloseReason, reconnect_after_ms: Option<u64>, out: &mut Writer<'_>) {
    out.uint(1, u64::from(reason.code()));
    out.str(2, reason.text());
    if let Some(ms) = reconnect_after_ms {
        out.message(3, |out| out.uint(1, ms));
    }
}
