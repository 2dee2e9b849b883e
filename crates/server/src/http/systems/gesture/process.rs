use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use engine::Action;
use protocol::Error;
use protocol::dialects::spelling::members::push_members;

use super::Beside;
use super::problems::{Problems, fields, is_text, number};
use crate::http::error::ApiError;
use crate::http::systems::input::Sender;
use crate::node::Node;

/// `POST /api/gesture/process`: a gesture was seen. It is told to everyone who wants gestures.
pub(super) async fn process(node: &Node, beside: &Beside, request: Request) -> Response {
    let (sender, body) = match Sender::of_message(node, &beside.id, request).await {
        Ok(sent) => sent,
        Err(refused) => return refused,
    };
    let gesture = match read(&body, crate::clock::wall_ms()) {
        Ok(gesture) => gesture,
        Err(problems) => return problems.into_response(),
    };
    match told(node, beside, &sender, gesture).await {
        Ok(answer) => answer,
        Err(error) => ApiError::from(error).into_response(),
    }
}

async fn told(
    node: &Node,
    beside: &Beside,
    sender: &Sender,
    gesture: Vec<u8>,
) -> Result<Response, Error> {
    let topic = beside.root.topic("gesture")?;
    sender.may(Action::Publish, &topic)?;
    sender.publish(node, &topic, gesture.clone()).await?;
    let answer = [br#"{"message":"Gesture processed","gesture":"#, &gesture[..], b"}"].concat();
    Ok(crate::http::api::json(answer))
}

/// A gesture as it is told: what was sent as it stands, with the time and a confidence where it has
/// none.
fn read(body: &[u8], now_ms: u64) -> Result<Vec<u8>, Problems> {
    let gesture = fields(body)?;
    let mut problems = Problems::default();
    let rule = (true, "must be a string, not empty");
    problems.check("type", gesture.get("type"), rule, is_text);
    match gesture.get("position").map(|value| fields(value.get().as_bytes())) {
        Some(Ok(position)) => {
            for (name, is_needed) in [("x", true), ("y", true), ("z", false)] {
                let rule = (is_needed, "must be a number");
                let is_number = |value: &_| number(value).is_some();
                problems.check(&format!("position.{name}"), position.get(name), rule, is_number);
            }
        }
        _ => problems.add("position", "must be an object with the numbers x and y"),
    }
    let rule = (false, "must be a number from 0 to 1");
    let is_share = |value: &_| number(value).is_some_and(|share| (0.0..=1.0).contains(&share));
    problems.check("confidence", gesture.get("confidence"), rule, is_share);
    let rule = (false, "must be a time in ms since 1970");
    let is_time = |value: &_| number(value).is_some_and(|ms| ms >= 0.0);
    problems.check("timestamp", gesture.get("timestamp"), rule, is_time);

    let mut told = Vec::with_capacity(body.len() + 64);
    push_members(body, &[], &mut told);
    if gesture.get("confidence").is_none() {
        told.extend_from_slice(b",\"confidence\":1");
    }
    if gesture.get("timestamp").is_none() {
        told.extend_from_slice(format!(",\"timestamp\":{now_ms}").as_bytes());
    }
    if let Some(first) = told.first_mut() {
        *first = b'{';
    }
    told.push(b'}');
    problems.unless_any(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> String {
        String::from_utf8(read(body.as_bytes(), 7).unwrap()).unwrap()
    }

    fn problems(body: &str) -> Vec<String> {
        let problems = read(body.as_bytes(), 7).unwrap_err();
        problems.0.into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn what_was_sent_stays_as_it_stands() {
        let whole = r#"{"type":"wave","position":{"x":0.50,"y":1},"confidence":0.9,"timestamp":1640000000000,"hand":"left"}"#;
        assert_eq!(told(whole), whole);
        assert_eq!(
            told(r#"{"type":"wave","position":{"x":0,"y":1,"z":-2}}"#),
            r#"{"type":"wave","position":{"x":0,"y":1,"z":-2},"confidence":1,"timestamp":7}"#
        );
    }

    #[test]
    fn each_wrong_field_is_named() {
        assert_eq!(problems("{}"), ["type", "position"]);
        assert_eq!(problems("nonsense"), [""]);
        assert_eq!(problems("[]"), [""]);
        let body =
            r#"{"type":" ","position":{"x":"1","z":null},"confidence":1.5,"timestamp":"now"}"#;
        let expected =
            ["type", "position.x", "position.y", "position.z", "confidence", "timestamp"];
        assert_eq!(problems(body), expected);
        assert_eq!(problems(r#"{"type":"a","position":[1,2]}"#), ["position"]);
    }
}
