//! Who may use the API, what it says of itself, and reloading.

use serde_json::{Value, json};
use tidings_tests::harness::socket::request;
use tidings_tests::harness::{Socket, TestServer, http};

/// Every route of the admin side.
const ROUTES: &[(&str, &str)] = &[
    ("POST", "/v1/publish"),
    ("POST", "/v1/publish/{topic}"),
    ("GET", "/v1/streams"),
    ("GET", "/v1/streams/{name}"),
    ("GET", "/v1/streams/{name}/events"),
    ("GET", "/v1/connections"),
    ("GET", "/v1/connections/{id}"),
    ("DELETE", "/v1/connections/{id}"),
    ("PUT", "/v1/connections/{id}/groups/{group}"),
    ("DELETE", "/v1/connections/{id}/groups/{group}"),
    ("POST", "/v1/start"),
    ("POST", "/v1/stop"),
    ("POST", "/v1/drain"),
    ("POST", "/v1/reload"),
    ("GET", "/v1/health"),
    ("GET", "/v1/metrics"),
    ("GET", "/metrics"),
    ("GET", "/v1/openapi.json"),
];

/// A path of that route.
fn filled(route: &str) -> String {
    route
        .replace("{topic}", "t")
        .replace("{name}", "default")
        .replace("{id}", "x")
        .replace("{group}", "g")
}

#[tokio::test]
async fn every_admin_path_is_unknown_on_the_public_listener() {
    let server = TestServer::start("");
    for (method, route) in ROUTES {
        let reply = http::send(server.public, method, &filled(route), &[], b"").await;
        assert_eq!(reply.error(404), "not_found", "{method} {route}");
    }
    assert_eq!(http::get(server.admin, "/readyz").await.status, 200);
    assert_eq!(http::get(server.public, "/readyz").await.error(404), "not_found");
    assert_eq!(http::get(server.public, "/healthz").await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused_in_json() {
    let server = TestServer::start("");
    for address in [server.public, server.admin] {
        assert_eq!(http::get(address, "/nothing/here").await.error(404), "not_found");
        let reply = http::send(address, "DELETE", "/healthz", &[], b"").await;
        assert_eq!(reply.error(405), "bad_request");
    }
    for (method, route) in ROUTES {
        let wrong = if *method == "GET" { "POST" } else { "TRACE" };
        let reply = http::send(server.admin, wrong, &filled(route), &[], b"").await;
        assert_eq!(reply.error(405), "bad_request", "{wrong} {route}");
        assert!(reply.header("allow").is_some(), "{}", reply.head);
    }
}

#[tokio::test]
async fn pages_of_other_sites_cannot_use_the_admin_side() {
    let server = TestServer::start("");
    let own = format!("http://{}", server.admin);
    let body = br#"{"topic":"t","data":1}"#;
    let evil = format!("{own}.evil.example");
    for headers in [
        [("Origin", "http://evil.example")],
        [("Origin", "null")],
        [("Origin", evil.as_str())],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
    ] {
        let reply = http::send(server.admin, "POST", "/v1/publish", &headers, body).await;
        assert_eq!(reply.error(403), "forbidden", "{headers:?}");
        let reply = http::send(server.admin, "GET", "/v1/streams", &headers, b"").await;
        assert_eq!(reply.error(403), "forbidden", "{headers:?}");
    }
    let same = [("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(http::send(server.admin, "POST", "/v1/publish", &same, body).await.status, 200);
    assert_eq!(server.get("/v1/streams/default").await["last"], 1);
}

#[tokio::test]
async fn a_foreign_host_is_misdirected_on_both_sides() {
    let server = TestServer::start("");
    for address in [server.public, server.admin] {
        for host in [
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
        ] {
            let reply = http::send(address, "GET", "/healthz", &[("Host", host)], b"").await;
            assert_eq!(reply.error(421), "forbidden", "{host}");
        }
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080"] {
            let reply = http::send(address, "GET", "/healthz", &[("Host", host)], b"").await;
            assert_eq!(reply.status, 200, "{host}");
        }
        let twice = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
        assert!(matches!(http::exchange(address, twice.as_bytes()).await.status, 400 | 421));
        let none = "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
        assert!(matches!(http::exchange(address, none.as_bytes()).await.status, 400 | 421));
    }
}

#[tokio::test]
async fn where_there_is_an_admin_token_it_is_asked_for() {
    let token = "a-long-token-that-nobody-guesses-0123456789";
    let server = TestServer::spawn_with_environment(
        "[admin]\ntoken_env = \"TIDINGS_TEST_ADMIN_TOKEN\"",
        &[("TIDINGS_TEST_ADMIN_TOKEN", token)],
    )
    .await;
    let longer = format!("Bearer {token}x");
    for wrong in [None, Some("Bearer wrong"), Some("Basic eDp4"), Some(token), Some(&longer)] {
        let headers: Vec<_> = wrong.iter().map(|value| ("Authorization", *value)).collect();
        for (method, route) in ROUTES {
            let reply = http::send(server.admin, method, &filled(route), &headers, b"").await;
            assert_eq!(reply.error(401), "unauthorized", "{method} {route}");
        }
    }
    let right = format!("Bearer {token}");
    let headers = [("Authorization", right.as_str())];
    assert_eq!(http::send(server.admin, "GET", "/v1/streams", &headers, b"").await.status, 200);
    assert_eq!(http::get(server.admin, "/healthz").await.status, 200);
    assert!(!server.log().contains(token));
}

#[tokio::test]
async fn every_route_is_described() {
    let server = TestServer::start("");
    let document = server.get("/v1/openapi.json").await;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    for (method, route) in ROUTES.iter().filter(|(_, route)| *route != "/v1/openapi.json") {
        let operation = &document["paths"][route][method.to_lowercase()];
        assert!(operation["responses"].is_object(), "{method} {route} is not described");
    }
    for route in ["/v1/sse", "/v1/events", "/healthz"] {
        let tags = document["paths"][route]["get"]["tags"].as_array().unwrap();
        assert!(tags.contains(&json!("public")), "{route}");
    }
    let parameters = document["paths"]["/v1/publish/{topic}"]["post"]["parameters"].to_string();
    for header in ["Tidings-User", "Tidings-Group", "Tidings-Client", "Idempotency-Key"] {
        assert!(parameters.contains(header), "{header}");
    }
}

const RELOADED: &str = "[[endpoint]]\npath = \"/v1/ws\"\nlimits = { messages = \"100/s\" }\n";

#[tokio::test]
async fn a_broken_file_at_reload_changes_nothing_and_the_message_names_the_line() {
    let server = TestServer::spawn(RELOADED).await;
    let file = server.config_file();
    let mut socket = server.subscriber(&["t"]).await;
    let good = std::fs::read_to_string(&file).unwrap();
    let line = good.lines().count() + 2;
    std::fs::write(&file, format!("{good}\n[limits]\nsubscripsions = 3\n")).unwrap();
    let line = if good.ends_with('\n') { line + 1 } else { line };
    let reply = server.post("/v1/reload", &Value::Null).await;
    assert_eq!(reply.error(400), "bad_request");
    let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("{line}")) && message.contains("subscripsions"), "{message}");
    assert!(message.contains("tidings.toml"), "{message}");
    server.publish("t", json!(1)).await;
    assert_eq!(socket.json().await["event"]["data"], 1);
    assert_eq!(server.connect().await.welcome["limits"]["subscriptions"], 1_000);
}

#[tokio::test]
async fn a_reload_takes_hold_for_who_connects_and_drops_nobody() {
    let server = TestServer::spawn(RELOADED).await;
    let file = server.config_file();
    let mut socket = server.subscriber(&["t"]).await;
    let good = std::fs::read_to_string(&file).unwrap();
    let changed = good.replace("100/s", "2/s") + "\n[limits]\nsubscriptions = 3\n";
    std::fs::write(&file, changed).unwrap();
    let answer = server.post("/v1/reload", &Value::Null).await.ok();
    assert!(answer["live"].as_array().is_some_and(|live| !live.is_empty()), "{answer}");
    assert_eq!(answer["restart_needed"], json!([]));
    let mut new = server.connect().await;
    assert_eq!(new.welcome["limits"]["subscriptions"], 3);
    let topics = json!({ "topics": ["a", "b", "c", "d"] });
    assert_eq!(new.ask_refused("subscribe", topics).await["code"], "too_many_subscriptions");
    server.publish("t", json!(1)).await;
    assert_eq!(socket.json().await["event"]["data"], 1);
}

#[tokio::test]
async fn what_a_reload_cannot_change_goes_on_as_before_with_all_that_rests_on_it() {
    let endpoint =
        "[[endpoint]]\npath = \"/s\"\ndialect = \"trainer\"\nroot = \"old\"\nroutes = true\n";
    let server = TestServer::spawn(endpoint).await;
    let file = server.config_file();
    let good = std::fs::read_to_string(&file).unwrap();
    let limits = "limits = { message_bytes = \"2KiB\" }\n[limits]\nsubscriptions = 3\n";
    std::fs::write(&file, good.replace("root = \"old\"", "root = \"new\"") + limits).unwrap();
    let answer = server.post("/v1/reload", &Value::Null).await.ok();
    assert_eq!(answer["restart_needed"], json!(["endpoint./s.root"]));
    assert_eq!(server.connect().await.welcome["limits"]["subscriptions"], 3);
    let mut socket = Socket::open_unwelcomed(server.public, "/s", "").await.unwrap();
    socket.json().await;
    socket.send(&json!({ "type": "subscribe", "events": ["training_status"] })).await;
    socket.json().await;
    let status = json!({ "status": "running" });
    server.publish("new.training_status", json!({ "status": "other" })).await;
    server.publish("old.training_status", status.clone()).await;
    assert_eq!(socket.json().await["status"], "running");
    let told = http::get(server.public, "/api/ws/status").await.ok();
    assert_eq!(told["training_state"]["status"], "running");
    // What is left of it is told again, as it still is so.
    let answer = server.post("/v1/reload", &Value::Null).await.ok();
    assert_eq!(answer, json!({ "live": [], "restart_needed": ["endpoint./s.root"] }));
}

#[tokio::test]
async fn a_reload_changes_how_often_addresses_that_are_known_may_connect() {
    let rates = ["1/h", "2/h"];
    let endpoint = |rate: &str| {
        let limits = format!("limits = {{ connections_per_address = \"{rate}\" }}");
        format!("[[endpoint]]\npath = \"/v1/ws\"\n{limits}\n")
    };
    let server = TestServer::spawn(&endpoint(rates[0])).await;
    let file = server.config_file();
    let mut text = std::fs::read_to_string(&file).unwrap();
    let mut inside = Vec::new();
    for (place, rate) in rates.iter().enumerate() {
        text = text.replace(&endpoint(rates[0]), &endpoint(rate));
        std::fs::write(&file, &text).unwrap();
        server.post("/v1/reload", &Value::Null).await.ok();
        for _ in 0..=place {
            inside.push(server.connect().await);
        }
        let reply = http::exchange(server.public, request("/v1/ws", "").as_bytes()).await;
        assert_eq!(reply.error(429), "too_many_connections", "{rate}");
    }
}
