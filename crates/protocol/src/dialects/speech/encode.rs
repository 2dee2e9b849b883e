use super::{ALL, Asked, EVERYTHING, Talk, Told};
use crate::dialects::native::push_error;
use crate::dialects::spelling::pending::Said;
use crate::error::{Error, ErrorCode};
use crate::json::{push_list, push_str};
use crate::message::{Answer, Interest, Message};

impl Talk {
    /// Appends a message; whether there is something to say.
    pub(super) fn tell(&mut self, message: &Message, out: &mut Vec<u8>) -> bool {
        // Listeners are told events, and how what they asked for went.
        match self.pending.said(message) {
            Some(Said::Outcome(asked, result)) => self.answer(asked, result, out),
            Some(Said::Welcome(_)) | None => false,
        }
    }

    fn answer(
        &mut self,
        asked: Option<Asked>,
        result: Result<&Answer, &Error>,
        out: &mut Vec<u8>,
    ) -> bool {
        match (asked, result) {
            (Some(Asked::Command(told)), result) => self.push_result(&told, result, out),
            (Some(Asked::Step(last)), Err(_)) => match self.pending.take(last) {
                Some(Asked::Command(told)) => self.push_result(&told, result, out),
                _ => false,
            },
            (Some(Asked::Wrong(word)), Err(error)) => push_error_event(error, Some(word), out),
            (None, Err(error)) => push_error_event(error, None, out),
            // What is not asked for, such as that a chunk arrived, is not told.
            (Some(Asked::Step(_) | Asked::Wrong(_)) | None, Ok(_)) => false,
        }
    }

    fn push_result(&self, told: &Told, result: Result<&Answer, &Error>, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"{\"event\":\"command_result\",\"command\":");
        push_str(out, &told.command);
        match result {
            Ok(answer) => {
                out.extend_from_slice(b",\"ok\":true,\"result\":");
                self.push_answer(answer, out);
            }
            Err(error) => {
                out.extend_from_slice(b",\"ok\":false,");
                push_error(error, out);
            }
        }
        if let Some(id) = &told.id {
            out.extend_from_slice(b",\"id\":");
            out.extend_from_slice(id);
        }
        out.push(b'}');
        true
    }

    fn push_answer(&self, answer: &Answer, out: &mut Vec<u8>) {
        match answer {
            Answer::Called(json) => out.extend_from_slice(json),
            Answer::Included(all) | Answer::Excluded { all, .. } => self.push_events(all, out),
            _ => out.extend_from_slice(b"null"),
        }
    }

    /// Appends what the client subscribes to.
    fn push_events(&self, all: &[Interest], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"events\":");
        push_list(all, out, |interest, out| {
            let topic = interest.topic.as_str();
            match self.root.strip(topic).unwrap_or(topic) {
                ALL => push_str(out, EVERYTHING),
                name => push_str(out, name),
            }
        });
        out.push(b'}');
    }
}

/// Appends an error that belongs to no command, under another word than its code where one is given.
fn push_error_event(error: &Error, word: Option<&str>, out: &mut Vec<u8>) -> bool {
    // Whatever it was, it may have come too fast or too early.
    let word = word.filter(|_| error.code == ErrorCode::BadRequest);
    out.extend_from_slice(b"{\"event\":\"error\",\"code\":");
    push_str(out, word.unwrap_or(error.code.as_str()));
    out.extend_from_slice(b",\"message\":");
    push_str(out, &error.message);
    out.push(b'}');
    true
}
