use std::process::Command;

use serde_json::json;
use tidings_tests::harness::server::program;
use tidings_tests::harness::{TestServer, http};

use super::{AUTH, connect, started, token, upgrade};

#[tokio::test]
async fn a_users_clients_are_members_present_and_future() {
    let server = started().await;
    let mut present = connect(&server, &token::user("ann")).await;
    let mut eve = connect(&server, &token::user("eve")).await;
    let joined = server.request("PUT", "/v1/users/ann/groups/red").await.ok();
    assert_eq!(joined, json!({ "user": "ann", "group": "red", "member": true, "clients": 1 }));
    let mut future = connect(&server, &token::user("ann")).await;
    let mut by_message = server.connect().await;
    by_message.ask("hello", json!({ "token": token::user("ann") })).await;
    let claim = token::of(json!({ "sub": "bob", "exp": token::now() + 60, "groups": ["red"] }));
    let mut bob = connect(&server, &claim).await;
    for socket in [&mut present, &mut future, &mut by_message, &mut bob, &mut eve] {
        socket.subscribe(&["news.>"]).await;
    }
    let to_red = |n: u64| json!({ "topic": "news.a", "data": n, "group": "red" });
    server.post("/v1/publish", &to_red(1)).await.ok();
    server.publish("news.a", json!(2)).await;
    for socket in [&mut present, &mut future, &mut by_message, &mut bob] {
        for n in [1, 2] {
            assert_eq!(socket.json_with("event").await["event"]["data"], n);
        }
    }
    assert_eq!(eve.json_with("event").await["event"]["data"], 2);
    let left = server.request("DELETE", "/v1/users/ann/groups/red").await.ok();
    assert_eq!(left["clients"], 3);
    server.post("/v1/publish", &to_red(3)).await.ok();
    server.publish("news.a", json!(4)).await;
    assert_eq!(bob.json_with("event").await["event"]["data"], 3);
    for socket in [&mut present, &mut future, &mut by_message, &mut eve] {
        assert_eq!(socket.json_with("event").await["event"]["data"], 4);
    }
}

#[tokio::test]
async fn a_users_clients_are_closed_together() {
    let server = started().await;
    let mut ann = [
        connect(&server, &token::user("ann")).await,
        connect(&server, &token::device("ann", "phone")).await,
    ];
    let mut eve = connect(&server, &token::user("eve")).await;
    let listed = server.get("/v1/connections?user=ann").await;
    assert_eq!(listed["connections"].as_array().unwrap().len(), 2);
    let closed = server.request("DELETE", "/v1/users/ann/connections").await.ok();
    assert_eq!(closed, json!({ "closed": 2 }));
    for socket in &mut ann {
        assert_eq!(socket.close_code().await, 4403);
    }
    eve.ask("ping", json!({})).await;
}

#[tokio::test]
async fn a_revoked_token_ends_its_session_and_begins_none() {
    let server = started().await;
    let with_id = |id: &str| {
        token::of(json!({ "sub": "ann", "exp": token::now() + 60, "jti": id, "iat": token::now() }))
    };
    let (one, two) = (with_id("one"), with_id("two"));
    let mut first = connect(&server, &one).await;
    let mut second = connect(&server, &two).await;
    let revoked = server.post("/v1/revocations", &json!({ "token_id": "one" })).await.ok();
    assert_eq!(revoked, json!({ "closed": 1 }));
    assert_eq!(first.close_code().await, 4403);
    second.ask("ping", json!({})).await;
    assert_eq!(second.refused("refresh", json!({ "token": one })).await, "unauthorized");
    assert_eq!(
        upgrade(&server, &format!("/v1/ws?token={one}"), "").await.error(401),
        "unauthorized"
    );
    server.post("/v1/revocations", &json!({ "user": "ann" })).await.ok();
    assert_eq!(second.close_code().await, 4403);
    assert_eq!(
        upgrade(&server, &format!("/v1/ws?token={two}"), "").await.error(401),
        "unauthorized"
    );
    let newer = json!({ "sub": "ann", "exp": token::now() + 60, "iat": token::now() + 2 });
    let newer = token::of(newer);
    assert_eq!(upgrade(&server, &format!("/v1/ws?token={newer}"), "").await.status, 101);
    for wrong in [json!({}), json!({ "user": "a", "token_id": "b" }), json!({ "user": 7 })] {
        let refused = server.post("/v1/revocations", &wrong).await;
        assert_eq!(refused.error(400), "bad_request", "{wrong}");
    }
}

#[tokio::test]
async fn the_api_makes_tokens_for_a_backend() {
    let server = started().await;
    let wanted = json!({
        "user": "ann", "device": "phone", "roles": ["editor"], "groups": ["red"], "ttl": "2h",
    });
    let made = server.post("/v1/tokens", &wanted).await.ok();
    let in_two_hours = (token::now() + 7_200) * 1_000;
    assert!(made["expires_at"].as_u64().unwrap().abs_diff(in_two_hours) < 60_000, "{made}");
    let mut socket = connect(&server, made["token"].as_str().unwrap()).await;
    socket.subscribe(&["draft.>"]).await;
    let shown = server.get(&format!("/v1/connections/{}", socket.client())).await;
    assert_eq!((&shown["user"], &shown["device"]), (&json!("ann"), &json!("phone")));
    assert_eq!(shown["groups"], json!(["red"]));
    for wrong in [
        json!({}),
        json!({ "user": "" }),
        json!({ "user": "a\n" }),
        json!({ "user": "ann", "ttl": "0s" }),
        json!({ "user": "ann", "ttl": "1000000h" }),
        json!({ "user": "ann", "roles": "editor" }),
    ] {
        assert_eq!(server.post("/v1/tokens", &wrong).await.error(400), "bad_request", "{wrong}");
    }
    let without = TestServer::start("");
    let refused = without.post("/v1/tokens", &json!({ "user": "ann" })).await;
    assert_eq!(refused.error(404), "not_found");
}

#[tokio::test]
async fn the_command_line_makes_tokens_with_the_configured_key() {
    let server = started().await;
    let run = |arguments: &[&str]| {
        Command::new(program())
            .args(["token", "--config"])
            .arg(server.config_file())
            .args(arguments)
            .env("TIDINGS_SECRET", token::SECRET)
            .output()
            .unwrap()
    };
    let made = run(&["--user", "ann", "--device", "phone", "--role", "editor", "--ttl", "10m"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let printed = String::from_utf8(made.stdout).unwrap();
    let mut socket = connect(&server, printed.trim_end()).await;
    socket.subscribe(&["draft.>"]).await;
    assert_eq!(socket.welcome["user"], "ann");
    assert_eq!(run(&["--user", "ann", "--ttl", "0s"]).status.code(), Some(2));
    assert_eq!(run(&["--device", "phone"]).status.code(), Some(2));
}

#[test]
fn a_configuration_whose_secret_is_not_there_is_refused_by_name() {
    let directory = tidings_tests::harness::server::temporary_directory();
    let file = directory.path().join("tidings.toml");
    std::fs::write(&file, AUTH).unwrap();
    for command in ["serve", "check"] {
        let output = Command::new(program())
            .args([command, "--config"])
            .arg(&file)
            .env_remove("TIDINGS_SECRET")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("TIDINGS_SECRET") && said.contains("not set"), "{said}");
        assert!(said.contains("tidings.toml:3"), "{said}");
    }
}

#[tokio::test]
async fn limits_of_a_live_client_are_changed() {
    let server = started().await;
    let mut socket = connect(&server, &token::user("ann")).await;
    let path = format!("/v1/connections/{}", socket.client());
    let change = |body: &str| {
        let (address, path, body) = (server.admin, path.clone(), body.to_owned());
        async move { http::send(address, "PATCH", &path, &[], body.as_bytes()).await }
    };
    let limits = r#"{"limits":{"subscriptions":1,"messages":"2/h","message_bytes":"1KiB"}}"#;
    assert_eq!(change(limits).await.ok()["changed"], socket.client());
    socket.subscribe(&["news.a"]).await;
    let second = socket.refused("subscribe", json!({ "topics": ["news.b"] })).await;
    assert_eq!(second, "too_many_subscriptions");
    assert_eq!(socket.refused("ping", json!({})).await, "rate_limited");
    change(r#"{"limits":{"messages":null,"subscriptions":5}}"#).await.ok();
    socket.subscribe(&["news.b"]).await;
    for wrong in ["", "{}", r#"{"limits":{"messages":"x"}}"#, r#"{"limits":{"other":1}}"#] {
        assert_eq!(change(wrong).await.error(400), "bad_request", "{wrong}");
    }
    socket.send(&json!({ "publish": { "topic": "user.ann.a", "data": "x".repeat(2_000) } })).await;
    assert_eq!(socket.close_code().await, 1009);
}

#[tokio::test]
async fn what_a_reload_allows_no_more_ends_at_once() {
    let server = started().await;
    let mut editor = connect(&server, &token::with_roles("eve", &["editor"])).await;
    editor.subscribe(&["draft.>", "news.>"]).await;
    let mut late = server.connect().await;
    late.ask("hello", json!({ "token": token::with_roles("ann", &["editor"]) })).await;
    late.subscribe(&["draft.>"]).await;
    let text = std::fs::read_to_string(server.config_file()).unwrap();
    let narrowed = text.replace("[\"draft.>\"]", "[\"draft.open.>\"]");
    std::fs::write(server.config_file(), narrowed).unwrap();
    server.request("POST", "/v1/reload").await.ok();
    server.publish("draft.a", json!(1)).await;
    server.publish("news.a", json!(2)).await;
    assert_eq!(editor.json_with("event").await["event"]["data"], 2);
    for socket in [&mut editor, &mut late] {
        assert_eq!(
            socket.refused("subscribe", json!({ "topics": ["draft.a"] })).await,
            "forbidden"
        );
        socket.subscribe(&["draft.open.a"]).await;
    }
}
