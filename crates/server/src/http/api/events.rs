use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use engine::{Action, Selector, StreamIndex, Viewer};
use protocol::dialects::native::push_event_object;
use protocol::json::{push_str, push_u64};
use protocol::{Answer, ClientId, Epoch, Error, ErrorCode, History, Pattern, SEQ_MAX, StreamName};
use tokio::sync::oneshot;

use super::Result;
use crate::http::query::pairs;
use crate::node::Node;

/// Events that are answered where no limit is given.
const LIMIT_DEFAULT: u32 = 100;

/// `GET /v1/streams/{name}/events?after=&epoch=&limit=&topic=`: for operators, every audience.
pub(super) async fn of_stream(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let mut history = history_of(query.as_deref())?;
    let is_open = history.topic.as_str() == ">";
    history.stream = Some(StreamName::parse(&name)?);
    let stream = node.table.find(&name)?;
    let topics = match node.table.spec(stream) {
        // A wildcard in first place would leave the system's topics out.
        Some(spec) if is_open => spec.topics.clone(),
        _ => vec![history.topic.clone()],
    };
    let selector = Selector { topics, except: Vec::new(), viewer: None };
    answer(&node, stream, selector, history, true).await
}

/// `GET /v1/events?topic=&stream=&after=&epoch=&limit=`: for clients, what they may see.
pub(super) async fn of_topics(
    State(node): State<Arc<Node>>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let history = history_of(query.as_deref())?;
    node.anonymous().authorize(Action::Subscribe, &history.topic)?;
    let stream = engine::history::stream_of(&node.table, &history)?;
    let viewer = Viewer { client: ClientId(0), user: None, groups: Vec::new() };
    let topics = vec![history.topic.clone()];
    let selector = Selector { topics, except: Vec::new(), viewer: Some(viewer) };
    answer(&node, stream, selector, history, false).await
}

fn history_of(query: Option<&str>) -> std::result::Result<History, Error> {
    let topic = Pattern::parse(">")?;
    let (stream, epoch, after, limit) = (None, None, 0, LIMIT_DEFAULT);
    let mut history = History { topic, stream, epoch, after, limit };
    for (name, value) in pairs(query) {
        let number = || {
            let wrong = || Error::bad_request(format!("{name} must be a whole number"));
            value.parse::<u64>().map_err(|_| wrong())
        };
        match name.as_str() {
            "topic" => history.topic = Pattern::parse(&value)?,
            "stream" => history.stream = Some(StreamName::parse(&value)?),
            "epoch" => history.epoch = Some(Epoch::parse(&value)?),
            "after" => history.after = number()?.min(SEQ_MAX),
            "limit" => history.limit = u32::try_from(number()?).unwrap_or(u32::MAX),
            _ => {}
        }
    }
    Ok(history)
}

async fn answer(
    node: &Node,
    stream: StreamIndex,
    selector: Selector,
    history: History,
    with_audience: bool,
) -> Result<Response> {
    let (answer, answered) = oneshot::channel();
    let answer = Box::new(move |result| drop(answer.send(result)));
    engine::history::read(node.broker.clone(), stream, selector, history, answer);
    let silent = || Error::new(ErrorCode::BrokerUnavailable, "the broker did not answer");
    let found = answered.await.map_err(|_| silent())??;
    let Answer::History { stream: name, epoch, events, after, more } = found else {
        return Err(silent().into());
    };
    let state = node.broker.state(stream).ok_or_else(silent)?;
    let mut out = b"{\"events\":[".to_vec();
    for (place, event) in events.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push_event_object(&name, event, with_audience, &mut out);
    }
    out.extend_from_slice(b"],\"stream\":");
    push_str(&mut out, name.as_str());
    out.extend_from_slice(b",\"epoch\":");
    push_str(&mut out, epoch.as_str());
    out.extend_from_slice(b",\"first\":");
    push_u64(&mut out, state.first);
    out.extend_from_slice(b",\"last\":");
    push_u64(&mut out, state.last);
    out.extend_from_slice(b",\"after\":");
    push_u64(&mut out, after);
    out.extend_from_slice(if more { b",\"more\":true}" } else { b",\"more\":false}" });
    Ok(super::json(out))
}
