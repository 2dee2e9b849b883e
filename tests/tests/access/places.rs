use serde_json::json;
use tidings_tests::harness::{EventSource, Images, Incoming, Socket, http};

use super::{AUTH, start, started, token, upgrade};

#[tokio::test]
async fn a_token_comes_by_query_header_subprotocol_or_first_message() {
    let server = started().await;
    let ann = token::user("ann");
    let socket = server.connect_at(&format!("/v1/ws?token={ann}")).await;
    assert_eq!(socket.welcome["user"], "ann");
    let header = format!("Authorization: Bearer {ann}\r\n");
    assert_eq!(server.connect_with("/v1/ws", &header).await.welcome["user"], "ann");
    let offered = format!("Sec-WebSocket-Protocol: tidings.v1.json, bearer.{ann}\r\n");
    let socket = server.connect_with("/v1/ws", &offered).await;
    assert_eq!(socket.welcome["user"], "ann");
    assert!(socket.head.to_lowercase().contains("sec-websocket-protocol: tidings.v1.json\r\n"));
    assert!(!socket.head.contains(&ann));
    let mut socket = server.connect().await;
    assert_eq!(socket.welcome.get("user"), None);
    let hello =
        json!({ "token": ann, "device": "phone", "subscriptions": [{ "topics": ["news.>"] }] });
    let answer = socket.ask("hello", hello).await;
    assert_eq!(answer["user"], "ann");
    server.publish("news.a", json!(1)).await;
    assert_eq!(socket.json_with("event").await["event"]["data"], 1);
    let shown = server.get(&format!("/v1/connections/{}", socket.client())).await;
    assert_eq!((&shown["user"], &shown["device"]), (&json!("ann"), &json!("phone")));
}

#[tokio::test]
async fn a_lone_value_that_no_protocol_has_is_the_token_and_is_echoed() {
    let server = started().await;
    let ann = token::user("ann");
    for value in [ann.clone(), format!("bearer.{ann}")] {
        let offered = format!("Sec-WebSocket-Protocol: {value}\r\n");
        let socket = server.connect_with("/v1/ws", &offered).await;
        assert_eq!(socket.welcome["user"], "ann");
        let echoed = format!("sec-websocket-protocol: {value}\r\n").to_lowercase();
        assert!(socket.head.to_lowercase().contains(&echoed), "{}", socket.head);
    }
    let offered = "Sec-WebSocket-Protocol: nonsense\r\n";
    assert_eq!(upgrade(&server, "/v1/ws", offered).await.error(401), "unauthorized");
}

#[tokio::test]
async fn a_place_that_is_not_named_is_not_looked_at() {
    let server = start(AUTH).await;
    let ann = token::user("ann");
    // In the query only where the endpoint says so; its client could still say hello.
    let mut socket = server.connect_at(&format!("/v1/ws?token={ann}")).await;
    assert_eq!(socket.welcome.get("user"), None);
    assert_eq!(socket.refused("ping", json!({})).await, "unauthorized");
    assert_eq!(socket.close_code().await, 4401);
    let rest = "[[endpoint]]\npath = \"/v1/ws\"\ntokens = [\"query\"]\n";
    let server = start(&format!("{AUTH}{rest}")).await;
    let header = format!("Authorization: Bearer {ann}\r\n");
    let refused = upgrade(&server, "/v1/ws", &header).await;
    assert_eq!(refused.error(401), "unauthorized");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("query"));
}

#[tokio::test]
async fn who_says_nothing_of_who_it_is_is_closed() {
    let rest = format!("{AUTH}[server]\nworkers = 1\nhandshake_deadline = \"300ms\"\n");
    let server = start(&rest).await;
    let mut silent = server.connect().await;
    assert_eq!(silent.close_code().await, 4401);
    let mut late = server.connect().await;
    late.ask("hello", json!({ "token": token::user("ann") })).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    late.ask("ping", json!({})).await;
}

#[tokio::test]
async fn before_it_is_known_a_client_sends_little_and_asks_for_nothing() {
    let server = started().await;
    let mut large = server.connect().await;
    large.send(&json!({ "hello": { "token": "x".repeat(9_000) } })).await;
    assert_eq!(large.close_code().await, 1009);
    let mut curious = server.connect().await;
    assert_eq!(curious.refused("subscribe", json!({ "topics": ["news.>"] })).await, "unauthorized");
    assert_eq!(curious.close_code().await, 4401);
    let mut wrong = server.connect().await;
    assert_eq!(wrong.refused("hello", json!({ "token": "a.b.c" })).await, "unauthorized");
    assert_eq!(wrong.close_code().await, 4401);
    // Once it is known its messages may be as large as those of others.
    let mut known = server.connect().await;
    known.ask("hello", json!({ "token": token::with_roles("ann", &["editor"]) })).await;
    let large = json!({ "topic": "news.a", "data": "x".repeat(20_000) });
    assert_eq!(known.ask("publish", large).await["seq"], 1);
}

#[tokio::test]
async fn commands_behind_the_hello_wait_for_it() {
    let server = started().await;
    let mut socket = server.connect().await;
    let hello = json!({ "id": 1, "hello": { "token": token::user("ann") } });
    let subscribe = json!({ "id": 2, "subscribe": { "topics": ["user.ann.>"] } });
    let both = [socket.framed(&hello), socket.framed(&subscribe)].concat();
    socket.send_raw(&both).await;
    assert_eq!(socket.json().await["ok"]["user"], "ann");
    assert_eq!(socket.json().await["ok"]["subscription"], "s1");
}

#[tokio::test]
async fn events_images_and_history_over_http_take_tokens_too() {
    let server = started().await;
    let (ann, editor) = (token::user("ann"), token::with_roles("eve", &["editor"]));
    for path in ["/v1/sse?topics=news.a", "/v1/mjpeg/news.a", "/v1/events?topic=news.a"] {
        let refused = http::get(server.public, path).await;
        assert_eq!(refused.error(401), "unauthorized", "{path}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        let with = if path.contains('?') { '&' } else { '?' };
        let wrong = http::get(server.public, &format!("{path}{with}token=a.b.c")).await;
        assert_eq!(wrong.error(401), "unauthorized", "{path}");
        let forbidden = path.replace("news.a", "draft.a");
        let forbidden = http::get(server.public, &format!("{forbidden}{with}token={ann}")).await;
        assert_eq!(forbidden.error(403), "forbidden", "{path}");
    }
    let mut events =
        EventSource::open(server.public, &format!("topics=draft.a&token={editor}"), None).await;
    assert_eq!(events.next().await.name, "ok");
    server.publish("draft.a", json!(7)).await;
    assert_eq!(events.next().await.json()["data"], 7);
    let header = format!("Bearer {editor}");
    let headers = [("authorization", &*header)];
    let path = "/v1/events?topic=draft.a";
    let history = http::send(server.public, "GET", path, &headers, b"").await.ok();
    assert_eq!(history["events"][0]["data"], 7);
    let jpeg = [("content-type", "image/jpeg")];
    let stored = http::send(server.admin, "POST", "/v1/publish/news.a", &jpeg, b"JPEG").await;
    assert_eq!(stored.status, 200);
    let mut images = Images::open(server.public, &format!("news.a?token={ann}")).await;
    assert_eq!(images.next().await.as_deref(), Some(&b"JPEG"[..]));
}

#[tokio::test]
async fn an_endpoint_may_answer_a_wrong_subprotocol_token_with_a_close() {
    let rest = "[[endpoint]]\npath = \"/v1/ws\"\nrefusal = \"close\"\n";
    let server = start(&format!("{AUTH}{rest}")).await;
    let expired = token::of(json!({ "sub": "ann", "exp": token::now() - 100 }));
    for wrong in ["nonsense", "bearer.a.b.c", &format!("bearer.{expired}")] {
        let offered = format!("Sec-WebSocket-Protocol: tidings.v1.json, {wrong}\r\n");
        let offered = if wrong == "nonsense" {
            "Sec-WebSocket-Protocol: nonsense\r\n".to_owned()
        } else {
            offered
        };
        let mut socket = Socket::open_unwelcomed(server.public, "/v1/ws", &offered).await.unwrap();
        loop {
            match socket.next().await {
                Incoming::Close(code, _) => break assert_eq!(code, 1008),
                Incoming::Json(message) => assert!(message.get("closing").is_some(), "{message}"),
                other => panic!("{other:?}"),
            }
        }
    }
    let header = "Authorization: Bearer a.b.c\r\n";
    assert_eq!(upgrade(&server, "/v1/ws", header).await.error(401), "unauthorized");
    let offered = format!("Sec-WebSocket-Protocol: bearer.{}\r\n", token::user("ann"));
    assert_eq!(server.connect_with("/v1/ws", &offered).await.welcome["user"], "ann");
}

#[tokio::test]
async fn optional_and_none_let_in_who_has_no_token() {
    let roles = "[auth.roles.anonymous]\nsubscribe = [\"open.>\"]\n";
    let endpoints = "[[endpoint]]\npath = \"/optional\"\nauth = \"optional\"\ntokens = [\"query\", \"message\"]\n\
        [[endpoint]]\npath = \"/none\"\nauth = \"none\"\ntokens = [\"query\"]\n";
    let server = start(&format!("{AUTH}{roles}{endpoints}")).await;
    let ann = token::user("ann");
    let mut anonymous = server.connect_at("/optional").await;
    anonymous.subscribe(&["open.a"]).await;
    assert_eq!(anonymous.refused("subscribe", json!({ "topics": ["news.a"] })).await, "forbidden");
    let mut known = server.connect_at(&format!("/optional?token={ann}")).await;
    known.subscribe(&["news.a"]).await;
    let mut later = server.connect_at("/optional").await;
    assert_eq!(later.ask("hello", json!({ "token": ann })).await["user"], "ann");
    later.subscribe(&["news.a"]).await;
    assert_eq!(upgrade(&server, "/optional?token=a.b.c", "").await.error(401), "unauthorized");
    let mut nobody = server.connect_at("/none?token=a.b.c").await;
    assert_eq!(nobody.welcome.get("user"), None);
    nobody.subscribe(&["open.a"]).await;
    assert_eq!(nobody.refused("subscribe", json!({ "topics": ["news.a"] })).await, "forbidden");
}
