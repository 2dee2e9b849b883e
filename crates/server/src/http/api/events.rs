use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use engine::{Action, Grants, Selector, StreamIndex, Viewer};
use http::{HeaderMap, Uri};
use protocol::dialects::native::{HISTORY_EVENTS_DEFAULT, push_event_object};
use protocol::json::{push_str, push_u64};
use protocol::{Answer, ClientId, Epoch, Error, History, Pattern, SEQ_MAX, StreamName};

use super::Result;
use crate::asking::{asked, silent};
use crate::auth::Principal;
use crate::http::error::response;
use crate::http::query::{limit, pairs};
use crate::http::who::{self, Shown, Who};
use crate::node::Node;

/// `GET /v1/streams/{name}/events?after=&epoch=&limit=&topic=`: for operators, every audience.
pub(super) async fn of_stream(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let mut history = history_of(query.as_deref(), Some(Pattern::parse(">")?))?;
    let is_open = history.topic.as_str() == ">";
    history.stream = Some(StreamName::parse(&name)?);
    let stream = node.table.find(&name)?;
    let topics = match node.table.spec(stream) {
        // A wildcard in first place would leave the system's topics out.
        Some(spec) if is_open => spec.topics.clone(),
        _ => vec![history.topic.clone()],
    };
    let selector = Selector { topics, except: Vec::new(), filter: None, viewer: None };
    answer(&node, stream, selector, history, true).await
}

/// `GET /v1/events?topic=&stream=&after=&epoch=&limit=`: for clients, what they may see.
pub(super) async fn of_topics(
    State(node): State<Arc<Node>>,
    uri: Uri,
    headers: HeaderMap,
) -> std::result::Result<Response, Response> {
    let refused = |error: Error| response(&error, None);
    let endpoint = crate::endpoint::events(&node);
    let who = who::identify(&node, &endpoint, Shown::of(&headers, &uri)).await;
    let principal = match who.map_err(|error| who::refuse(&error))? {
        Who::Known(principal) => principal,
        // Only who can send messages is asked to.
        Who::Later => Principal::default(),
    };
    let standing = endpoint.standing(&node, &principal).map_err(|error| who::refuse(&error))?;
    let groups = node.memberships.of(principal.user.as_deref(), &principal.groups);
    let viewer = Viewer { client: ClientId(0), user: principal.user, groups };
    read(&node, uri.query(), &standing.grants, viewer).await.map_err(|error| refused(error.0))
}

/// What a viewer may see of what a query asks for.
async fn read(
    node: &Node,
    query: Option<&str>,
    grants: &Grants,
    viewer: Viewer,
) -> Result<Response> {
    let history = history_of(query, None)?;
    grants.authorize(Action::Subscribe, &history.topic)?;
    let stream = engine::history::stream_of(&node.table, &history)?;
    let topics = vec![history.topic.clone()];
    let selector = Selector { topics, except: Vec::new(), filter: None, viewer: Some(viewer) };
    answer(node, stream, selector, history, false).await
}

/// What a query asks for; without a `topic` that holds where it names none, it must name one.
fn history_of(
    query: Option<&str>,
    mut topic: Option<Pattern>,
) -> std::result::Result<History, Error> {
    let (mut stream, mut epoch, mut after, mut most) = (None, None, 0, HISTORY_EVENTS_DEFAULT);
    for (name, value) in pairs(query) {
        match name.as_str() {
            "topic" => topic = Some(Pattern::parse(&value)?),
            "stream" => stream = Some(StreamName::parse(&value)?),
            "epoch" => epoch = Some(Epoch::parse(&value)?),
            "after" => {
                let seq = value.parse::<u64>().map(|seq| seq.min(SEQ_MAX));
                after = seq.map_err(|_| Error::bad_request("after must be a whole number"))?;
            }
            "limit" => most = limit(&value)?,
            _ => {}
        }
    }
    let missing = || Error::bad_request("topic is missing: name a topic or a pattern");
    Ok(History { topic: topic.ok_or_else(missing)?, stream, epoch, after, limit: most })
}

async fn answer(
    node: &Node,
    stream: StreamIndex,
    selector: Selector,
    history: History,
    with_audience: bool,
) -> Result<Response> {
    let found = asked(|answer| {
        engine::history::read(node.broker.clone(), stream, selector, history, answer);
    });
    let found = found.await?;
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
