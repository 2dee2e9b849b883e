use serde_json::{Value, json};
use tidings_tests::harness::{Socket, http};

use super::{AUTH, EVERYWHERE, start, started, token};

const TOPICS: [&str; 6] =
    ["news.a", "draft.a", "user.ann.a", "user.eve.a", "open.a", "$system.probe"];

/// What each principal may do with each of the topics: subscribe, publish.
const MATRIX: [(&str, [&str; 6]); 4] = [
    ("anonymous", ["", "", "", "", "s", ""]),
    ("ann", ["s", "", "sp", "", "", ""]),
    ("eve, an editor", ["sp", "sp", "", "sp", "", ""]),
    ("a bearer of the shared token", ["", "", "", "", "s", ""]),
];

async fn attempt(socket: &mut Socket, verb: &str, body: Value) -> bool {
    let answer = socket.ask_seeing(verb, body, drop).await;
    match answer.get("error") {
        Some(error) => {
            assert_eq!(error["code"], "forbidden", "{answer}");
            false
        }
        None => true,
    }
}

#[tokio::test]
async fn every_action_of_every_principal_is_allowed_or_forbidden() {
    let auth = "[auth]\nkeys = [{ id = \"main\", algorithm = \"HS256\", secret_env = \"TIDINGS_SECRET\" }]\n\
        tokens = [{ id = \"shared\", secret_env = \"TIDINGS_SHARED\", roles = [\"open\"] }]\n\
        [auth.roles.anonymous]\nsubscribe = [\"open.>\"]\n[auth.roles.open]\nsubscribe = [\"open.>\"]\n\
        [auth.roles.person]\nsubscribe = [\"news.>\", \"user.{sub}.>\"]\npublish = [\"user.{sub}.>\"]\n\
        [auth.roles.editor]\nsubscribe = [\"news.>\", \"draft.>\", \"user.{sub}.>\"]\n\
        publish = [\"news.>\", \"draft.>\", \"user.{sub}.>\"]\n\
        [[endpoint]]\npath = \"/v1/ws\"\nauth = \"optional\"\ntokens = [\"query\", \"header\"]\n";
    let variables = [("TIDINGS_SECRET", token::SECRET), ("TIDINGS_SHARED", "shared-canary")];
    let server = tidings_tests::harness::TestServer::spawn_with_environment(auth, &variables).await;
    for (principal, rights) in MATRIX {
        let token = match principal {
            "anonymous" => None,
            "ann" => Some(token::with_roles("ann", &["person", "unknown"])),
            "eve, an editor" => Some(token::with_roles("eve", &["editor"])),
            _ => Some("shared-canary".to_owned()),
        };
        let query = token.as_ref().map(|token| format!("?token={token}")).unwrap_or_default();
        let mut socket = server.connect_at(&format!("/v1/ws{query}")).await;
        for (topic, rights) in TOPICS.into_iter().zip(rights) {
            let (reads, publishes) = (rights.contains('s'), rights.contains('p'));
            let subscribed = attempt(&mut socket, "subscribe", json!({ "topics": [topic] })).await;
            assert_eq!(subscribed, reads, "{principal} subscribes to {topic}");
            let read = attempt(&mut socket, "history", json!({ "topic": topic })).await;
            assert_eq!(read, reads, "{principal} reads {topic}");
            let published = json!({ "topic": topic, "data": 1 });
            let published = attempt(&mut socket, "publish", published).await;
            assert_eq!(published, publishes, "{principal} publishes to {topic}");
            let headers: Vec<(String, String)> = token
                .iter()
                .map(|token| ("authorization".to_owned(), format!("Bearer {token}")))
                .collect();
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            let path = format!("/v1/events?topic={topic}");
            let reply = http::send(server.public, "GET", &path, &headers, b"").await;
            assert_eq!(reply.status, if reads { 200 } else { 403 }, "{principal} gets {topic}");
        }
        // What is wider than what is granted is not granted, in whatever company.
        for wide in [">", "*.a", "user.>", "user.*.a", "news.>"] {
            let subscribed = attempt(&mut socket, "subscribe", json!({ "topics": [wide] })).await;
            let is_granted = wide == "news.>" && rights[0].contains('s');
            assert_eq!(subscribed, is_granted, "{principal} subscribes to {wide}");
        }
        let both = json!({ "topics": ["open.a", "secret.a"] });
        assert!(!attempt(&mut socket, "subscribe", both).await);
    }
}

#[tokio::test]
async fn a_user_gets_no_event_of_another_live_or_kept() {
    let server = started().await;
    let mut ann = super::connect(&server, &token::user("ann")).await;
    let mut eve = super::connect(&server, &token::user("eve")).await;
    for socket in [&mut ann, &mut eve] {
        socket.subscribe(&["news.>"]).await;
    }
    for (n, user) in [(1, "ann"), (2, "eve"), (3, "ann")] {
        let event = json!({ "topic": "news.a", "data": n, "user": user });
        server.post("/v1/publish", &event).await.ok();
    }
    server.publish("news.a", json!(4)).await;
    for (socket, expected) in [(&mut ann, vec![1, 3, 4]), (&mut eve, vec![2, 4])] {
        for n in &expected {
            assert_eq!(socket.json_with("event").await["event"]["data"], *n);
        }
        let history = socket.ask("history", json!({ "topic": "news.a" })).await;
        let data: Vec<i64> = history["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["data"].as_i64().unwrap())
            .collect();
        assert_eq!(data, expected);
    }
    let header = format!("Bearer {}", token::user("eve"));
    let path = "/v1/events?topic=news.a";
    let kept =
        http::send(server.public, "GET", path, &[("authorization", &header)], b"").await.ok();
    let data: Vec<i64> =
        kept["events"].as_array().unwrap().iter().map(|e| e["data"].as_i64().unwrap()).collect();
    assert_eq!(data, [2, 4]);
}

#[tokio::test]
async fn an_endpoint_allows_all_of_its_clients_something_more() {
    let rest = "[[endpoint]]\npath = \"/more\"\ntokens = [\"query\"]\nallow = { publish = [\"more.>\"] }\n";
    let server = start(&format!("{AUTH}{rest}")).await;
    let mut ann = server.connect_at(&format!("/more?token={}", token::user("ann"))).await;
    ann.ask("publish", json!({ "topic": "more.a", "data": 1 })).await;
    ann.ask("publish", json!({ "topic": "user.ann.a", "data": 1 })).await;
    assert_eq!(ann.refused("publish", json!({ "topic": "news.a", "data": 1 })).await, "forbidden");
}

#[tokio::test]
async fn limits_of_a_role_hold_instead_of_the_endpoints() {
    let limits = "[auth.roles.small]\nlimits = { subscriptions = 1, messages = \"2/h\", message_bytes = \"1KiB\" }\n";
    let server = start(&format!("{AUTH}{limits}{EVERYWHERE}")).await;
    let small = token::with_roles("ann", &["small"]);
    let mut socket = super::connect(&server, &small).await;
    assert_eq!(socket.welcome["limits"], json!({ "message_bytes": 1_024, "subscriptions": 1 }));
    socket.subscribe(&["news.a"]).await;
    let second = socket.refused("subscribe", json!({ "topics": ["news.b"] })).await;
    assert_eq!(second, "too_many_subscriptions");
    assert_eq!(socket.refused("ping", json!({})).await, "rate_limited");
    socket.send(&json!({ "publish": { "topic": "user.ann.a", "data": "x".repeat(2_000) } })).await;
    assert_eq!(socket.close_code().await, 1009);
    // By the first message, too.
    let mut late = server.connect().await;
    late.ask("hello", json!({ "token": small })).await;
    late.subscribe(&["news.a"]).await;
    let second = late.refused("subscribe", json!({ "topics": ["news.b"] })).await;
    assert_eq!(second, "too_many_subscriptions");
    let mut other = super::connect(&server, &token::user("ann")).await;
    other.subscribe(&["news.a", "news.b"]).await;
}
