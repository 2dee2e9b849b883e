//! Handshakes: those that are wrong, too large, from foreign pages, or too many.

use serde_json::json;
use tidings_tests::harness::socket::request;
use tidings_tests::harness::{Socket, TestServer, eventually, http};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const LIMITED: &str = r#"
[[endpoint]]
path = "/v1/ws"
origins = ["https://good.example"]
"#;

async fn status(server: &TestServer, request: &str) -> u16 {
    http::exchange(server.public, request.as_bytes()).await.status
}

#[tokio::test]
async fn pages_of_foreign_origins_get_403_before_any_upgrade() {
    let server = TestServer::start(LIMITED);
    for origin in [
        "http://evil.example",
        "null",
        "https://good.example.evil",
        "https://sub.good.example",
        "https://evilgood.example",
        "http://good.example",
        "https://good.example:8443",
        "https://good.example/",
        "file://",
        "",
    ] {
        let request = request("/v1/ws", &format!("Origin: {origin}\r\n"));
        let reply = http::exchange(server.public, request.as_bytes()).await;
        assert_eq!(reply.error(403), "forbidden", "{origin}");
    }
    let twice = "Origin: https://good.example\r\nOrigin: http://evil.example\r\n";
    assert_eq!(status(&server, &request("/v1/ws", twice)).await, 403);
    for allowed in ["Origin: https://good.example\r\n", "Origin: http://localhost\r\n", ""] {
        assert_eq!(status(&server, &request("/v1/ws", allowed)).await, 101, "{allowed}");
    }
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let server = TestServer::start(LIMITED);
    let good = request("/v1/ws", "");
    let body = "Content-Length: 5\r\n\r\nhello";
    for (what, wrong, statuses) in [
        ("another version", good.replace("Version: 13", "Version: 8"), &[426][..]),
        ("a short key", good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), &[400]),
        ("two keys", request("/v1/ws", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), &[400]),
        ("two versions", request("/v1/ws", "Sec-WebSocket-Version: 13\r\n"), &[400, 426]),
        ("two hosts", request("/v1/ws", "Host: evil.example\r\n"), &[400, 421]),
        ("POST", good.replace("GET", "POST"), &[400, 405]),
        ("HTTP/1.0", good.replace("HTTP/1.1", "HTTP/1.0"), &[400, 426, 505]),
        ("a body", good.trim_end().to_owned() + "\r\n" + body, &[400]),
        ("a chunked body", request("/v1/ws", "Transfer-Encoding: chunked\r\n"), &[400]),
        ("two lengths", request("/v1/ws", "Content-Length: 0\r\nContent-Length: 5\r\n"), &[400]),
        ("a folded header", request("/v1/ws", "X: a\r\n b\r\n"), &[400]),
        ("a space before the colon", request("/v1/ws", "X : a\r\n"), &[400]),
        ("a control character", request("/v1/ws", "X: a\u{1}b\r\n"), &[400]),
        ("no such path", good.replace("/v1/ws", "/v1/wss"), &[404]),
        ("no such protocol", request("/v1/ws", "Sec-WebSocket-Protocol: soap\r\n"), &[400]),
        (
            "headers that are too large",
            request("/v1/ws", &format!("X: {}\r\n", "x".repeat(20_000))),
            &[431],
        ),
        ("too many headers", request("/v1/ws", &"X: y\r\n".repeat(80)), &[431]),
        (
            "a path that is too long",
            good.replace("/v1/ws", &format!("/{}", "x".repeat(20_000))),
            &[414, 431],
        ),
        ("no HTTP", "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), &[400]),
    ] {
        let found = status(&server, &wrong).await;
        assert!(statuses.contains(&found), "{what}: {found}");
    }
    let mut socket = server.connect().await;
    socket.ask("ping", json!({})).await;
    server.has_connections(1).await;
}

#[tokio::test]
async fn an_offered_protocol_is_chosen_and_nothing_else_is_echoed() {
    let server = TestServer::start(LIMITED);
    let offer = "Sec-WebSocket-Protocol: soap, tidings.v1.json, bearer.secret\r\n";
    let reply = http::exchange(server.public, request("/v1/ws", offer).as_bytes()).await;
    assert_eq!(reply.status, 101);
    assert_eq!(reply.header("sec-websocket-protocol"), Some("tidings.v1.json"));
    assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(reply.header("sec-websocket-extensions"), None);
    assert!(!reply.head.contains("secret"));
}

#[tokio::test]
async fn a_handshake_that_stops_in_the_middle_is_ended() {
    let server =
        TestServer::start("[server]\nhandshake_deadline = \"300ms\"\ndrain_deadline = \"0s\"");
    for sent in [&b""[..], b"GET /v1/ws HT", b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut stream = TcpStream::connect(server.public).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, sent).await.unwrap();
        let mut rest = Vec::new();
        let ended =
            tokio::time::timeout(tidings_tests::harness::SOON, stream.read_to_end(&mut rest));
        assert!(ended.await.is_ok(), "{:?} is waited for", String::from_utf8_lossy(sent));
    }
}

#[tokio::test]
async fn the_newest_handshakes_stay_when_there_are_too_many() {
    let server = TestServer::start(
        // Of several workers one may be a little behind another.
        "[server]\nworkers = 1\ndrain_deadline = \"0s\"\n[limits]\nhandshakes = 10",
    );
    let mut silent = Vec::new();
    for _ in 0..30 {
        silent.push(TcpStream::connect(server.public).await.unwrap());
    }
    let mut byte = [0; 1];
    for stream in &mut silent[..10] {
        let ended =
            tokio::time::timeout(tidings_tests::harness::SOON, stream.read(&mut byte)).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))));
    }
    // One that is left can still finish.
    let last = silent.pop().unwrap();
    let mut socket = Socket::over(last, "/v1/ws").await;
    socket.ask("ping", json!({})).await;
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_told_when_to_try_again() {
    let server = TestServer::start(
        "[[endpoint]]\npath = \"/v1/ws\"\nlimits = { connections_per_address = \"3/min\" }\n",
    );
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(server.connect().await);
    }
    let reply = http::exchange(server.public, request("/v1/ws", "").as_bytes()).await;
    assert_eq!(reply.error(429), "too_many_connections");
    let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&after), "{after}");
    assert!(reply.json()["error"]["retry_after_ms"].is_u64());
    // Other requests are not counted.
    assert_eq!(http::get(server.public, "/healthz").await.status, 200);
    sockets[0].ask("ping", json!({})).await;
}

#[tokio::test]
async fn an_address_has_only_so_many_connections_at_a_time() {
    let server = TestServer::start(
        "[[endpoint]]\npath = \"/v1/ws\"\nlimits = { concurrent_per_address = 2 }\n\
         [[endpoint]]\npath = \"/other\"\nlimits = { concurrent_per_address = 1 }\n",
    );
    let mut first = server.connect().await;
    let second = server.connect().await;
    let reply = http::exchange(server.public, request("/v1/ws", "").as_bytes()).await;
    assert_eq!(reply.error(429), "too_many_connections");
    assert!(reply.header("retry-after").is_some());
    drop(second);
    server.has_connections(1).await;
    let _third = server.connect().await;
    first.ask("ping", json!({})).await;
    // Another endpoint counts its own.
    let other = Socket::open_at(server.public, "/other").await;
    assert_eq!(other.welcome["protocol"], 1);
}

#[tokio::test]
async fn a_full_server_says_so() {
    let server = TestServer::start("[limits]\nconnections = 1");
    let _one = server.connect().await;
    let reply = http::exchange(server.public, request("/v1/ws", "").as_bytes()).await;
    assert_eq!(reply.error(503), "too_many_connections");
    assert!(reply.header("retry-after").is_some());
}

/// How many of many upgrades that are asked for at the same moment are granted, and the status of
/// one that is not.
async fn at_once(server: &TestServer, count: usize) -> (Vec<Socket>, Vec<u16>) {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(server.public).await.unwrap());
    }
    let asking: Vec<_> = streams
        .into_iter()
        .map(|stream| tokio::spawn(Socket::over_unwelcomed(stream, "/v1/ws")))
        .collect();
    let (mut granted, mut refused) = (Vec::new(), Vec::new());
    for asked in asking {
        match asked.await.unwrap() {
            Ok(socket) => granted.push(socket),
            Err(head) => refused.push(head.split(' ').nth(1).unwrap().parse().unwrap()),
        }
    }
    (granted, refused)
}

#[tokio::test]
async fn bounds_hold_for_who_come_at_the_same_moment() {
    const WORKERS: &str = "[server]\nworkers = 4\ndrain_deadline = \"0s\"\n";
    for (bound, status) in [
        ("[[endpoint]]\npath = \"/v1/ws\"\nlimits = { concurrent_per_address = 1 }\n", 429),
        ("[limits]\nconnections = 1\n", 503),
    ] {
        let server = TestServer::start(&format!("{WORKERS}{bound}"));
        for _ in 0..20 {
            let (granted, refused) = at_once(&server, 50).await;
            assert_eq!((granted.len(), refused.len()), (1, 49), "{bound}");
            assert!(refused.iter().all(|found| *found == status), "{refused:?}");
            drop(granted);
            server.has_connections(0).await;
        }
    }
}

#[tokio::test]
async fn who_is_refused_or_gone_before_the_upgrade_takes_no_place() {
    let server = TestServer::start(
        "[[endpoint]]\npath = \"/v1/ws\"\nlimits = { concurrent_per_address = 1 }\n\
         [limits]\nconnections = 1\n",
    );
    for wrong in [
        request("/v1/ws?topics=a..b", ""),
        request("/v1/ws", "Sec-WebSocket-Protocol: soap\r\n"),
        format!("GET /v1/sse?topics=a..b HTTP/1.1\r\nHost: {}\r\n\r\n", server.public),
    ] {
        assert_eq!(status(&server, &wrong).await, 400, "{wrong}");
    }
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.public).await.unwrap();
        let upgrade = request("/v1/ws", "");
        tokio::io::AsyncWriteExt::write_all(&mut stream, upgrade.as_bytes()).await.unwrap();
    }
    eventually("there is a place", || async {
        let stream = TcpStream::connect(server.public).await.unwrap();
        Socket::over_unwelcomed(stream, "/v1/ws").await.is_ok()
    })
    .await;
}
