//! Systems beside each other in one server: what one has is not mixed with what another has, even
//! where both use the same path.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tidings_tests::harness::server::free_address;
use tidings_tests::harness::{Backing, Socket, TestServer, http};

const SECRET: &str = "a secret of at least thirty-two bytes";

/// The table and the studio, which both have `/api/v1/ws`.
async fn start() -> (TestServer, SocketAddr, SocketAddr) {
    let (table, studio) = (free_address(), free_address());
    let text = [
        include_str!("../../../profiles/table.toml"),
        include_str!("../../../profiles/studio.toml"),
    ]
    .concat()
    .replace("127.0.0.1:8000", &table.to_string())
    .replace("127.0.0.1:8010", &studio.to_string())
    .replace("nats://127.0.0.1:4222", &Backing::absent_nats().url());
    let server = TestServer::spawn_with_environment(&text, &[("TIDINGS_SECRET", SECRET)]).await;
    (server, table, studio)
}

async fn connect(clients: SocketAddr, query: &str) -> Socket {
    let path = format!("/api/v1/ws{query}");
    let mut socket = Socket::open_unwelcomed(clients, &path, "").await.unwrap();
    socket.json().await;
    socket
}

async fn ask(socket: &mut Socket, message: Value) -> Value {
    socket.send(&message).await;
    socket.json().await
}

#[tokio::test]
async fn each_counts_its_own_clients() {
    let (server, table, studio) = start().await;
    let about = json!({ "user": "ann", "device": "desk" });
    let token = server.post("/v1/tokens", &about).await.ok()["token"].as_str().unwrap().to_owned();
    let _writer = connect(studio, &format!("?token={token}")).await;
    let _players = [connect(table, "").await, connect(table, "").await];
    let health = http::get(studio, "/health").await.ok();
    let count = |health: &Value| health["active_connections"].clone();
    assert_eq!((count(&health), &health["active_users"]), (json!(1), &json!(1)));
    let health = http::get(table, "/api/v1/websocket/health/summary").await.ok();
    assert_eq!(count(&health), 2);
    let listed = http::get(table, "/api/v1/websocket/connections").await.ok();
    assert_eq!(listed["total"], 2);
}

#[tokio::test]
async fn what_a_device_had_at_one_it_does_not_get_at_the_other() {
    let (server, table, studio) = start().await;
    let about = json!({ "user": "ann", "device": "desk" });
    let token = server.post("/v1/tokens", &about).await.ok()["token"].as_str().unwrap().to_owned();
    let query = format!("?token={token}");
    let mut player = connect(table, &query).await;
    let data = json!({ "streams": ["state"] });
    ask(&mut player, json!({ "type": "subscribe", "data": data })).await;
    drop(player);
    server.has_connections(0).await;
    let mut writer = connect(studio, &query).await;
    let all = ask(&mut writer, json!({ "type": "subscribe", "events": ["blob.*"] })).await;
    assert_eq!(all["data"]["events"], json!(["blob.*"]));
    let mut player = connect(table, &query).await;
    let status = ask(&mut player, json!({ "type": "get_status" })).await;
    assert_eq!(status["data"]["subscriptions"], json!(["state"]));
}

#[tokio::test]
async fn each_says_on_its_own_page_what_runs_there() {
    let (_server, table, studio) = start().await;
    for (clients, named, not_named) in
        [(table, "table dialect", "studio dialect"), (studio, "studio dialect", "table dialect")]
    {
        let page = http::get(clients, "/").await.text();
        assert!(page.contains(named) && !page.contains(not_named), "{page}");
        let told = http::get(clients, "/api/v1/ws").await;
        assert_eq!(told.status, 426);
        // An endpoint of another listener is nothing here.
        let elsewhere = http::get(clients, "/v1/ws").await;
        assert_eq!(elsewhere.status, 404);
    }
}
