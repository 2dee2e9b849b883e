//! How messages are spelled: JSON objects with one verb.

/// What a client says.
mod write;
/// What a server says.
mod read;
/// What a server answers.
mod answers;
#[cfg(test)]
mod tests;

pub(crate) use answers::{
    Answered, read_acknowledged, read_appended, read_called, read_hello_answer, read_history_page,
    read_refusal, read_subscribed, read_time,
};
pub(crate) use read::{Closing, Messages, Replayed, ServerMessage, read_frame};
pub(crate) use write::{
    Hello, Resumed, acknowledge, call, handle, hello, history, ping, publish, push_call_object,
    push_publish_object, result, subscribe, unsubscribe,
};
