use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use engine::Action;
use http::StatusCode;
use protocol::dialects::spelling::incoming;
use protocol::{Call, Draft, Error, ErrorCode, Payload, Topic};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::Beside;
use super::problems::{Problems, fields, is_text};
use crate::commands::{self, Caller};
use crate::endpoint::new_client_id;
use crate::http::error::ApiError;
use crate::http::systems::input::Sender;
use crate::http::systems::json as answer_of;
use crate::node::Node;
use crate::publishing::append_one;

/// The command that answers questions.
const COMMAND: &str = "ai_infer";

/// `POST /api/ai/infer`: a question is put to what answers `ai_infer`. The answer goes to who asked
/// and to everyone who wants answers.
pub(super) async fn infer(node: &Arc<Node>, beside: &Beside, request: Request) -> Response {
    let (sender, body) = match Sender::of_message(node, &beside.id, request).await {
        Ok(sent) => sent,
        Err(refused) => return refused,
    };
    let question = match Question::read(&body) {
        Ok(question) => question,
        Err(problems) => return problems.into_response(),
    };
    let command = match beside.root.topic(COMMAND) {
        Ok(command) => command,
        Err(error) => return ApiError::from(error).into_response(),
    };
    if let Err(error) = sender.may(Action::Command, &command) {
        return ApiError::from(error).into_response();
    }
    let started = Instant::now();
    let answered = ask(node, &sender, command, question.data).await;
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match answered.and_then(|answer| Inference::read(&answer, took_ms)) {
        Ok(inference) => inference.told(node, beside, &question.query).await,
        Err(error) => failed(node, beside, &error).await,
    }
}

/// What was asked.
struct Question {
    query: String,
    /// What the command is given: query and context as they stand.
    data: Bytes,
}

impl Question {
    fn read(body: &[u8]) -> Result<Self, Problems> {
        let question = fields(body)?;
        let mut problems = Problems::default();
        let rule = (true, "must be a string, not empty");
        problems.check("query", question.get("query"), rule, is_text);
        let query = question.get("query").and_then(incoming::string).unwrap_or_default();
        let mut data = b"{\"query\":".to_vec();
        data.extend_from_slice(&incoming::json(question.get("query")));
        if let Some(context) = question.get("context") {
            data.extend_from_slice(b",\"context\":");
            data.extend_from_slice(context.get().as_bytes());
        }
        data.push(b'}');
        problems.unless_any(Self { query: query.into_owned(), data: data.into() })
    }
}

async fn ask(
    node: &Arc<Node>,
    sender: &Sender,
    command: Topic,
    data: Bytes,
) -> Result<Bytes, Error> {
    if node.is_draining() {
        let message = "the server takes no commands at the moment";
        return Err(Error::new(ErrorCode::Draining, message).retry_after(1_000));
    }
    let call = Call { command, data, timeout_ms: None };
    // One of no connection, and no operator.
    let client = Some(new_client_id());
    let caller = Caller { client, user: sender.principal.user.clone() };
    let (answer, answered) = oneshot::channel();
    commands::call(node, call, caller, Box::new(|result| drop(answer.send(result))));
    let gone = || Error::new(ErrorCode::Internal, "the command was not answered");
    answered.await.map_err(|_| gone())?
}

/// What the model said.
#[derive(Debug, PartialEq)]
struct Inference {
    text: String,
    metadata: Map<String, Value>,
}

impl Inference {
    /// Reads what the backend answered: `{"text","metadata"}`, a text alone, or what services like
    /// Ollama answer to `generate` and `chat`.
    fn read(answer: &[u8], took_ms: u64) -> Result<Self, Error> {
        let no_text =
            || Error::new(ErrorCode::CommandFailed, "the AI service answered without text");
        let answer: Value = serde_json::from_slice(answer).map_err(|_| no_text())?;
        let texts = ["", "/text", "/response", "/message/content"];
        let text = texts.iter().find_map(|pointer| answer.pointer(pointer)?.as_str());
        let text = text.ok_or_else(no_text)?.to_owned();
        let given = answer.pointer("/metadata").and_then(Value::as_object);
        let mut metadata = given.cloned().unwrap_or_default();
        let ns = answer.pointer("/total_duration").and_then(Value::as_u64);
        let known = [
            ("model", answer.pointer("/model").cloned()),
            ("inferenceTime", Some(ns.map_or(took_ms, |ns| ns / 1_000_000).into())),
            ("tokenCount", answer.pointer("/eval_count").cloned()),
        ];
        for (name, value) in known {
            if let Some(value) = value {
                metadata.entry(name).or_insert(value);
            }
        }
        Ok(Self { text, metadata })
    }

    async fn told(self, node: &Node, beside: &Beside, query: &str) -> Response {
        let event = json!({
            "query": query,
            "response": self.text,
            "metadata": self.metadata,
            "timestamp": crate::clock::wall_ms(),
        });
        // Who asked gets the answer even where nobody else can be told.
        tell(node, beside, "ai_response", &event).await;
        answer_of(&json!({ "text": self.text, "metadata": self.metadata }))
    }
}

/// Tells everyone that questions are not answered, and who asked.
async fn failed(node: &Node, beside: &Beside, error: &Error) -> Response {
    let summary = match error.code {
        ErrorCode::Timeout => "AI service did not answer in time",
        ErrorCode::NoHandler => "AI service unavailable",
        _ => "AI inference failed",
    };
    let event = json!({
        "error": summary,
        "details": error.message,
        "code": "AI_ERROR",
        "timestamp": crate::clock::wall_ms(),
    });
    tell(node, beside, "error", &event).await;
    let status = match error.code {
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    (status, answer_of(&event)).into_response()
}

async fn tell(node: &Node, beside: &Beside, channel: &str, event: &Value) {
    let told = match beside.root.topic(channel) {
        Ok(topic) => {
            let draft = Draft::new(topic, Payload::Json(event.to_string().into()));
            append_one(node, draft).await.map(drop)
        }
        Err(error) => Err(error),
    };
    if let Err(error) = told {
        tracing::warn!(%error, channel, "an event of the AI service is not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &Value) -> (String, Value) {
        let Inference { text, metadata } =
            Inference::read(answer.to_string().as_bytes(), 12).unwrap();
        (text, Value::Object(metadata))
    }

    #[test]
    fn answers_of_several_kinds_are_understood() {
        let own = json!({ "text": "a", "metadata": { "model": "m", "inferenceTime": 5 } });
        let expected = json!({ "model": "m", "inferenceTime": 5 });
        assert_eq!(read(&own), ("a".to_owned(), expected));
        let generated = json!({
            "model": "llama3.2:latest", "response": "b", "done": true,
            "total_duration": 1_234_567_890_u64, "eval_count": 45,
        });
        let expected =
            json!({ "model": "llama3.2:latest", "inferenceTime": 1234, "tokenCount": 45 });
        assert_eq!(read(&generated), ("b".to_owned(), expected));
        let chat = json!({ "message": { "role": "assistant", "content": "c" } });
        assert_eq!(read(&chat), ("c".to_owned(), json!({ "inferenceTime": 12 })));
        assert_eq!(read(&json!("d")).0, "d");
        for wrong in ["null", "{}", "[\"x\"]", "7", "{\"text\":7}"] {
            let error = Inference::read(wrong.as_bytes(), 1).unwrap_err();
            assert_eq!(error.code, ErrorCode::CommandFailed);
        }
    }

    #[test]
    fn a_question_keeps_what_was_sent() {
        let question = Question::read(br#"{"query":"w\u00e9?","context":{"b":1,"a":2}}"#).ok();
        let question = question.unwrap();
        assert_eq!(question.query, "wé?");
        assert_eq!(question.data, r#"{"query":"w\u00e9?","context":{"b":1,"a":2}}"#);
        for wrong in ["", "{}", "[]", r#"{"query":""}"#, r#"{"query":7}"#] {
            assert!(Question::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
