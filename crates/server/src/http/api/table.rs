use std::sync::Arc;

use axum::routing::{MethodRouter, delete, get, post, put};

use super::{
    call, connections, control, cursors, elsewhere, events, health, metrics, openapi, presence,
    publish, streams, tokens, users,
};
use crate::node::Node;

/// Names with what they mean.
pub(super) type Meanings = &'static [(&'static str, &'static str)];

/// A route: what serves it, and what its description says.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// Parameters of the query.
    pub(super) query: Meanings,
    /// Headers of the request.
    pub(super) headers: Meanings,
    /// The schema of the request's body.
    pub(super) body: Option<&'static str>,
    /// The schema of the answer.
    pub(super) answer: &'static str,
    pub(super) handler: MethodRouter<Arc<Node>>,
}

impl Route {
    fn with_headers(mut self, headers: Meanings) -> Self {
        self.headers = headers;
        self
    }

    /// Whether `path` is one of this route's.
    pub(super) fn is_at(&self, path: &str) -> bool {
        let (mine, theirs) = (self.path.split('/'), path.split('/'));
        mine.clone().count() == theirs.clone().count()
            && mine.zip(theirs).all(|(mine, theirs)| mine.starts_with('{') || mine == theirs)
    }
}

macro_rules! route {
    ($method:ident $path:literal $handler:expr, $summary:literal,
     query $query:expr, body $body:expr, answer $answer:literal) => {
        Route {
            method: stringify!($method),
            path: $path,
            summary: $summary,
            query: $query,
            headers: &[],
            body: $body,
            answer: $answer,
            handler: $method($handler),
        }
    };
}

/// What the public listener serves beside its endpoints and its page.
pub(super) fn public() -> Vec<Route> {
    const EVENTS: Meanings = &[
        ("topic", "only topics of this pattern; must be given"),
        ("stream", "the stream to read; needed where the pattern reaches into several"),
        ("after", "read after this seq"),
        ("epoch", "the epoch in which `after` counts; of another one, all that is kept is read"),
        ("limit", "most events to answer: 1 to 10000, 100 where it is not given"),
    ];
    const SUBSCRIPTION: Meanings = &[
        ("topics", "patterns to take, separated by commas; must be given"),
        ("except", "patterns to leave out, separated by commas"),
        ("filter", "only events of whose data this holds: a filter as JSON"),
        ("last", "start with the last so many events of each stream: 1 to 100000"),
        ("since", "start with the first event at or after this time, in ms since 1970"),
        ("after", "start behind these positions, `stream:epoch:seq`, separated by commas"),
        ("stored", "start behind what `device` acknowledged: `true` or `false`"),
        ("device", "the device whose acknowledgements count"),
        ("latest", "only the newest event of each topic"),
        ("max_rate", "only the newest event of each topic, so many times a second: 0.001 to 1000"),
        ("batch_ms", "gather events for so long: 1 to 60000"),
    ];
    const IMAGES: Meanings = &[("max_rate", "so many images a second at most: 0.001 to 1000")];
    vec![
        // Answered before the routes are asked: its answer has no end.
        route!(get "/v1/sse" elsewhere::unreached, "Events as they come, as server-sent events",
            query SUBSCRIPTION, body None, answer "EventStream")
        .with_headers(&[(
            "Last-Event-ID",
            "the last `id:` of an earlier connection: goes on there",
        )]),
        route!(get "/v1/mjpeg/{topic}" elsewhere::unreached, "The newest JPEG of a topic, ever again",
            query IMAGES, body None, answer "Images"),
        route!(get "/v1/events" events::of_topics, "Kept events that clients may see",
            query EVENTS, body None, answer "Events"),
        route!(get "/healthz" health::alive, "Whether the process lives",
            query &[], body None, answer "Alive"),
    ]
}

/// What the admin listener serves beside its page.
pub(super) fn admin() -> Vec<Route> {
    const PAGE: Meanings = &[
        ("after", "read after this seq"),
        ("epoch", "the epoch in which `after` counts; of another one, all that is kept is read"),
        ("limit", "most events to answer: 1 to 10000, 100 where it is not given"),
        ("topic", "only topics of this pattern"),
    ];
    const AUDIENCE: Meanings = &[
        (
            "Content-Type",
            "`application/json` makes it an event with JSON data, any other a binary one",
        ),
        ("Tidings-User", "only this user may see it"),
        ("Tidings-Group", "only members of this group may see it"),
        ("Tidings-Client", "only the connection of this id may see it"),
        ("Idempotency-Key", "what is published again with the same one is kept once"),
    ];
    const CURSORS: Meanings = &[
        ("user", "only devices of this user"),
        (
            "limit",
            "most cursors to answer: 1 to 10000, 100 where it is not given; one answer has at most 1000",
        ),
        ("after", "go on where an earlier answer ended: its `next`"),
    ];
    const PRESENCE: Meanings =
        &[("topic", "who subscribes to a topic that this pattern selects; must be given")];
    const CLIENTS: Meanings = &[
        ("user", "only clients of this user"),
        (
            "limit",
            "most clients to answer: 1 to 10000, 100 where it is not given; one answer has at most 1000",
        ),
        ("after", "go on behind this client"),
    ];
    vec![
        route!(post "/v1/publish" publish::publish, "Publish an event, or an array of them",
            query &[], body Some("Publish"), answer "Appended"),
        route!(post "/v1/publish/{topic}" publish::publish_raw, "Publish the body as an event's data",
            query &[], body Some("Raw"), answer "Appended")
        .with_headers(AUDIENCE),
        route!(post "/v1/call" call::call, "Send a command to what handles it",
            query &[], body Some("Call"), answer "Called"),
        route!(get "/v1/streams" streams::list, "Every stream",
            query &[], body None, answer "Streams"),
        route!(get "/v1/streams/{name}" streams::show, "What a stream holds",
            query &[], body None, answer "Stream"),
        route!(get "/v1/streams/{name}/events" events::of_stream, "Kept events of a stream",
            query PAGE, body None, answer "Events"),
        route!(get "/v1/streams/{name}/cursors" cursors::list, "How far devices have acknowledged a stream",
            query CURSORS, body None, answer "Cursors"),
        route!(get "/v1/connections" connections::list, "Who is connected",
            query CLIENTS, body None, answer "Connections"),
        route!(get "/v1/connections/{id}" connections::show, "A client",
            query &[], body None, answer "Connection"),
        route!(delete "/v1/connections/{id}" connections::close, "Close a client",
            query &[], body None, answer "Closed"),
        route!(put "/v1/connections/{id}/groups/{group}" connections::join, "Make a client a member of a group",
            query &[], body None, answer "Member"),
        route!(delete "/v1/connections/{id}/groups/{group}" connections::leave, "Take a client out of a group",
            query &[], body None, answer "Member"),
        route!(put "/v1/users/{user}/groups/{group}" users::join, "Make a user's clients, present and future, members of a group",
            query &[], body None, answer "UserMember"),
        route!(delete "/v1/users/{user}/groups/{group}" users::leave, "Take a user's clients out of a group",
            query &[], body None, answer "UserMember"),
        route!(delete "/v1/users/{user}/connections" users::close, "Close all clients of a user",
            query &[], body None, answer "ClosedCount"),
        route!(post "/v1/tokens" tokens::make, "Make a token for a user",
            query &[], body Some("TokenRequest"), answer "Token"),
        route!(post "/v1/revocations" tokens::revoke, "Believe tokens no more, and end their sessions",
            query &[], body Some("Revocation"), answer "ClosedCount"),
        route!(get "/v1/presence" presence::presence, "Who subscribes to a topic",
            query PRESENCE, body None, answer "Presence"),
        route!(post "/v1/start" control::start, "Let publishing and delivery go on",
            query &[], body None, answer "Stopped"),
        route!(post "/v1/stop" control::stop, "Stop publishing and delivery; clients stay",
            query &[], body None, answer "Stopped"),
        route!(post "/v1/drain" control::drain, "Send clients away, then end",
            query &[], body None, answer "Draining"),
        route!(post "/v1/reload" control::reload, "Take up a changed configuration",
            query &[], body None, answer "Changes"),
        route!(get "/v1/health" health::health, "Levels and reasons",
            query &[], body None, answer "Health"),
        route!(get "/v1/metrics" metrics::json, "Figures as JSON",
            query &[], body None, answer "Figures"),
        route!(get "/metrics" metrics::prometheus, "Figures in the OpenMetrics text format",
            query &[], body None, answer "Text"),
        route!(get "/v1/openapi.json" openapi::document, "This document",
            query &[], body None, answer "Object"),
        route!(get "/healthz" health::alive, "Whether the process lives",
            query &[], body None, answer "Alive"),
        route!(get "/readyz" health::ready, "Whether events go through",
            query &[], body None, answer "Ready"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_its_parts() {
        let is_at = |path: &str| admin().iter().any(|route| route.is_at(path));
        for path in ["/v1/publish", "/v1/publish/a.b", "/metrics", "/v1/connections/x/groups/y"] {
            assert!(is_at(path), "{path}");
        }
        for path in ["/", "/v1", "/v1/publish/a/b", "/v1/events", "/v1/streams/a/b"] {
            assert!(!is_at(path), "{path}");
        }
    }
}
