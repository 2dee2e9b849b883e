use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tidings_tests::harness::server::free_address;
use tidings_tests::harness::{TestServer, http};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::upgrade;

/// A backend with sessions of its own: answers to cookies and tokens.
struct Backend {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Backend {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let counter = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counter = counter.clone();
                tokio::spawn(async move {
                    let mut read = Vec::new();
                    while !read.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    counter.fetch_add(1, Ordering::SeqCst);
                    let head = String::from_utf8(read).unwrap().to_lowercase();
                    let (status, body) = answer(&head);
                    let length = body.len();
                    let reply = format!(
                        "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                    );
                    let _ = stream.write_all(reply.as_bytes()).await;
                });
            }
        });
        Self { address, asked }
    }
}

fn answer(head: &str) -> (u16, String) {
    if head.contains("session=ann") || head.contains("authorization: bearer ann") {
        let body =
            json!({ "user": "ann", "device": "desk", "roles": ["editor"], "groups": ["red"] });
        return (200, body.to_string());
    }
    if head.contains("session=odd") {
        return (200, "{\"user\":7}".into());
    }
    if head.contains("session=broken") {
        return (500, String::new());
    }
    (401, String::new())
}

async fn server_asking(address: SocketAddr) -> TestServer {
    let rest = format!(
        "[auth]\nhttp = \"http://{address}/session\"\nhttp_timeout = \"500ms\"\n\
         [auth.roles.editor]\nsubscribe = [\"news.>\"]\n\
         [[endpoint]]\npath = \"/v1/ws\"\ntokens = [\"query\", \"header\", \"message\"]\n"
    );
    TestServer::spawn(&rest).await
}

#[tokio::test]
async fn a_backend_says_who_a_request_belongs_to() {
    let backend = Backend::start().await;
    let server = server_asking(backend.address).await;
    let mut socket = server.connect_with("/v1/ws", "Cookie: a=b; session=ann\r\n").await;
    assert_eq!(socket.welcome["user"], "ann");
    socket.subscribe(&["news.>"]).await;
    let shown = server.get(&format!("/v1/connections/{}", socket.client())).await;
    assert_eq!((&shown["device"], &shown["groups"]), (&json!("desk"), &json!(["red"])));
    // What was said is believed for a while.
    let asked = backend.asked.load(Ordering::SeqCst);
    server.connect_with("/v1/ws", "Cookie: a=b; session=ann\r\n").await;
    assert_eq!(backend.asked.load(Ordering::SeqCst), asked);
    for header in ["Authorization: Bearer ann\r\n", "Authorization: bearer ann\r\n"] {
        assert_eq!(server.connect_with("/v1/ws", header).await.welcome["user"], "ann");
    }
    assert_eq!(server.connect_at("/v1/ws?token=ann").await.welcome["user"], "ann");
    let mut late = server.connect().await;
    assert_eq!(late.ask("hello", json!({ "token": "ann" })).await["user"], "ann");
    late.subscribe(&["news.>"]).await;
    let headers = [("cookie", "session=ann")];
    let path = "/v1/events?topic=news.a";
    assert_eq!(http::send(server.public, "GET", path, &headers, b"").await.status, 200);
}

#[tokio::test]
async fn cookies_are_believed_of_pages_that_are_listed_by_name() {
    let backend = Backend::start().await;
    let rest = format!(
        "[auth]\nhttp = \"http://{}/session\"\n[[endpoint]]\npath = \"/v1/ws\"\n\
         tokens = [\"header\"]\norigins = [\"*\", \"https://app.example\"]\n",
        backend.address
    );
    let server = TestServer::spawn(&rest).await;
    let cookie = "Cookie: session=ann\r\n";
    let own = format!("{cookie}Origin: http://localhost\r\n");
    let listed = format!("{cookie}Origin: https://app.example\r\n");
    for headers in [cookie, &own, &listed] {
        assert_eq!(server.connect_with("/v1/ws", headers).await.welcome["user"], "ann");
    }
    // Any page can have its visitor's cookies sent: that it may connect does not make it ann's.
    let asked = backend.asked.load(Ordering::SeqCst);
    let foreign = format!("{cookie}Origin: https://evil.example\r\n");
    assert_eq!(upgrade(&server, "/v1/ws", &foreign).await.error(401), "unauthorized");
    let embedded = [("cookie", "session=ann"), ("sec-fetch-site", "cross-site")];
    let refused = http::send(server.public, "GET", "/v1/mjpeg/news.a", &embedded, b"").await;
    assert_eq!(refused.error(401), "unauthorized");
    assert_eq!(backend.asked.load(Ordering::SeqCst), asked);
}

#[tokio::test]
async fn whom_the_backend_does_not_know_is_refused_and_where_it_is_away_told_when_to_come_back() {
    let backend = Backend::start().await;
    let server = server_asking(backend.address).await;
    let refused = upgrade(&server, "/v1/ws", "Cookie: session=eve\r\n").await;
    assert_eq!(refused.error(401), "unauthorized");
    for cookie in ["Cookie: session=odd\r\n", "Cookie: session=broken\r\n"] {
        let refused = upgrade(&server, "/v1/ws", cookie).await;
        assert_eq!(refused.error(503), "overloaded");
        assert!(refused.header("retry-after").is_some());
    }
    let away = server_asking(free_address()).await;
    let refused = upgrade(&away, "/v1/ws", "Cookie: session=ann\r\n").await;
    assert_eq!(refused.error(503), "overloaded");
    assert!(refused.header("retry-after").is_some());
    // Nothing listens to who never answers for longer than it may take.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = server_asking(silent.local_addr().unwrap()).await;
    let refused = upgrade(&server, "/v1/ws", "Cookie: session=ann\r\n").await;
    assert_eq!(refused.error(503), "overloaded");
    // It is ready all the same.
    assert_eq!(http::get(server.admin, "/readyz").await.status, 200);
}
