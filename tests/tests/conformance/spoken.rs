use serde_json::{Value, json};

/// A dialect, as far as the behaviours speak it.
pub(crate) struct Spoken {
    pub(crate) dialect: &'static str,
    /// The path of its endpoint in these tests.
    pub(crate) path: &'static str,
    /// Two names of events that exist in it.
    pub(crate) names: [&'static str; 2],
    /// What a client gets without asking.
    pub(crate) initially: Initially,
    /// A name that stands for several, and one of those, where the dialect has such names.
    pub(crate) wildcard: Option<(&'static str, &'static str)>,
    /// What subscribes to these names.
    pub(crate) subscribe: fn(&[&str]) -> Value,
    /// What takes these names back.
    pub(crate) unsubscribe: fn(&[&str]) -> Value,
    /// A message that is answered at once, and whether this is its answer.
    pub(crate) ask: (&'static str, fn(&Value) -> bool),
    /// The name and the data of an event.
    pub(crate) event: fn(&Value) -> Option<(String, Value)>,
    /// Whether this tells of an error.
    pub(crate) is_error: fn(&Value) -> bool,
    /// Texts that are no message; each is answered with an error.
    pub(crate) nonsense: &'static [&'static str],
}

/// What a client gets before it has subscribed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Initially {
    Nothing,
    /// Everything, until it subscribes to something.
    Everything,
    /// Everything, less what it unsubscribes from.
    AllChannels,
}

impl Spoken {
    /// The topic of an event.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.root())
    }

    /// The root of its endpoint.
    pub(crate) fn root(&self) -> &'static str {
        self.dialect
    }
}

fn text(value: &Value, member: &str) -> Option<String> {
    value.get(member)?.as_str().map(str::to_owned)
}

fn nothing_else(value: &Value, words: &[&str]) -> bool {
    text(value, "type").is_some_and(|word| words.contains(&&*word))
}

/// The native protocol, whose clients name whole topics.
pub(crate) fn native() -> Spoken {
    Spoken {
        dialect: "native",
        path: "/n",
        names: ["a", "b"],
        initially: Initially::Nothing,
        wildcard: Some((">", "a.deep.one")),
        subscribe: |names| {
            let topics: Vec<_> = names.iter().map(|name| format!("native.{name}")).collect();
            json!({ "id": 1, "subscribe": { "topics": topics } })
        },
        unsubscribe: |names| {
            let topics: Vec<_> = names.iter().map(|name| format!("native.{name}")).collect();
            json!({ "id": 2, "unsubscribe": { "topics": topics } })
        },
        ask: (r#"{"id":9,"ping":{}}"#, |value| value["id"] == 9),
        event: |value| {
            let event = value.get("event")?;
            let name = text(event, "topic")?.strip_prefix("native.")?.to_owned();
            Some((name, event["data"].clone()))
        },
        is_error: |value| value.get("error").is_some(),
        nonsense: &[
            "{",
            "[]",
            "7",
            "{}",
            r#"{"id":3,"dance":{}}"#,
            r#"{"id":4,"subscribe":{"topics":[]}}"#,
        ],
    }
}

/// The speech-to-text server.
pub(crate) fn speech() -> Spoken {
    Spoken {
        dialect: "speech",
        path: "/events",
        names: ["transcription", "wake_word"],
        initially: Initially::Everything,
        wildcard: None,
        subscribe: |names| json!({ "command": "subscribe", "events": names }),
        unsubscribe: |names| json!({ "command": "unsubscribe", "events": names }),
        ask: ("{", |value| value["event"] == "error" && value["code"] == "invalid_json"),
        event: |value| {
            let name = text(value, "event")?;
            let is_answer = name == "error" || name == "command_result";
            (!is_answer).then(|| (name, value.clone()))
        },
        is_error: |value| value["event"] == "error" || value["ok"] == false,
        nonsense: &["{", "not json", "[1,"],
    }
}

/// The pool-table vision system.
pub(crate) fn table() -> Spoken {
    Spoken {
        dialect: "table",
        path: "/api/v1/ws",
        names: ["state", "trajectory"],
        initially: Initially::Nothing,
        wildcard: None,
        subscribe: |names| json!({ "type": "subscribe", "data": { "streams": names } }),
        unsubscribe: |names| json!({ "type": "unsubscribe", "data": { "streams": names } }),
        ask: (r#"{"type":"ping","data":{}}"#, |value| value["type"] == "pong"),
        event: |value| {
            let name = text(value, "type")?;
            ["state", "trajectory"].contains(&&*name).then(|| (name, value["data"].clone()))
        },
        is_error: |value| value["type"] == "error",
        nonsense: &[
            "{",
            "[]",
            "7",
            r#"{"data":{}}"#,
            r#"{"type":"dance"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","data":{"streams":"state"}}"#,
        ],
    }
}

/// The model-training user interface.
pub(crate) fn trainer() -> Spoken {
    Spoken {
        dialect: "trainer",
        path: "/ws",
        names: ["log", "validation_result"],
        initially: Initially::Nothing,
        wildcard: None,
        subscribe: |names| json!({ "type": "subscribe", "events": names }),
        unsubscribe: |names| json!({ "type": "unsubscribe", "events": names }),
        ask: (r#"{"type":"ping"}"#, |value| value["type"] == "pong"),
        event: |value| {
            let is_event = nothing_else(value, &["log", "validation_result"]);
            Some((text(value, "type").filter(|_| is_event)?, value.clone()))
        },
        is_error: |value| value["type"] == "error",
        nonsense: &[
            "{",
            "[]",
            "7",
            "{}",
            r#"{"type":"dance"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","events":[]}"#,
            r#"{"type":"subscribe","events":[7]}"#,
            r#"{"type":"command"}"#,
        ],
    }
}

/// The gesture and AI backend.
pub(crate) fn gesture() -> Spoken {
    Spoken {
        dialect: "gesture",
        path: "/g",
        names: ["gesture", "ai_response"],
        initially: Initially::AllChannels,
        wildcard: None,
        subscribe: |names| json!({ "type": "subscribe", "channels": names }),
        unsubscribe: |names| json!({ "type": "unsubscribe", "channels": names }),
        ask: (r#"{"type":"ping"}"#, |value| value["type"] == "pong"),
        event: |value| {
            let is_event = nothing_else(value, &["gesture", "ai_response"]);
            Some((text(value, "type").filter(|_| is_event)?, value["data"].clone()))
        },
        is_error: |value| value["type"] == "error",
        nonsense: &[
            "{",
            "[]",
            "7",
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","channels":7}"#,
        ],
    }
}

/// The writing studio.
pub(crate) fn studio() -> Spoken {
    Spoken {
        dialect: "studio",
        path: "/studio",
        names: ["blob.created", "book.updated"],
        initially: Initially::Nothing,
        wildcard: Some(("blob.*", "blob.deep.one")),
        subscribe: |names| json!({ "type": "subscribe", "events": names }),
        unsubscribe: |names| json!({ "type": "unsubscribe", "events": names }),
        ask: (r#"{"type":"ping"}"#, |value| value["type"] == "pong"),
        event: |value| Some((text(value, "event_type")?, value["data"].clone())),
        is_error: |value| value["type"] == "error",
        nonsense: &[
            "{",
            "[]",
            "7",
            "{}",
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","events":[]}"#,
            r#"{"type":"subscribe","events":[7]}"#,
        ],
    }
}
