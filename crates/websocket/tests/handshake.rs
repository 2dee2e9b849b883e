//! The handshake, between our two sides and against what others may send.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test panics")]

use websocket::handshake::{
    AnswerError, ClientHandshake, HeadError, RequestHead, Upgrade, UpgradeError, asks_for_websocket,
};

type Headers = Vec<(&'static str, &'static [u8])>;

fn valid() -> Headers {
    vec![
        ("Host", b"example.org"),
        ("Upgrade", b"websocket"),
        ("Connection", b"keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ]
}

fn with(name: &'static str, value: &'static [u8]) -> Headers {
    let mut headers: Headers =
        valid().into_iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name)).collect();
    headers.push((name, value));
    headers
}

fn without(name: &str) -> Headers {
    valid().into_iter().filter(|(known, _)| *known != name).collect()
}

fn twice(name: &'static str, value: &'static [u8]) -> Headers {
    let mut headers = valid();
    headers.push((name, value));
    headers
}

fn refusal(headers: Headers) -> UpgradeError {
    Upgrade::http1("GET", 1, headers).unwrap_err()
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let upgrade = Upgrade::http1("GET", 1, valid()).unwrap();
    let answer = upgrade.accept(None, None);
    assert_eq!(answer.status(), 101);
    let headers: Vec<_> = answer.headers().collect();
    assert_eq!(
        headers,
        [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ]
    );
}

#[test]
fn each_fault_has_its_status() {
    use UpgradeError as E;
    let refused = [
        (without("Host"), E::Host, 400),
        (twice("host", b"example.org"), E::Host, 400),
        (without("Upgrade"), E::NotUpgrade, 426),
        (with("Upgrade", b"h2c"), E::NotUpgrade, 426),
        (with("Connection", b"keep-alive"), E::NotUpgrade, 426),
        (without("Sec-WebSocket-Version"), E::Version, 426),
        (with("Sec-WebSocket-Version", b"8"), E::Version, 426),
        (with("Sec-WebSocket-Version", b"13, 8"), E::Version, 426),
        (twice("sec-websocket-version", b"13"), E::VersionRepeated, 400),
        (without("Sec-WebSocket-Key"), E::Key, 400),
        (twice("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="), E::Key, 400),
        (with("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZ=="), E::Key, 400),
        (with("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQAA"), E::Key, 400),
        (with("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25j!Q=="), E::Key, 400),
        (with("Sec-WebSocket-Key", b"\xff"), E::Key, 400),
        (with("Sec-WebSocket-Protocol", b"two words"), E::Protocol, 400),
        (with("Sec-WebSocket-Extensions", b"a; b; ="), E::Extensions, 400),
        (with("Content-Length", b"5"), E::Body, 400),
        (with("Transfer-Encoding", b"chunked"), E::Body, 400),
    ];
    for (headers, error, status) in refused {
        assert_eq!(refusal(headers.clone()), error, "{headers:?}");
        assert_eq!(error.status(), status, "{error:?}");
        assert_eq!(status == 426, error.headers().contains(&("sec-websocket-version", "13")));
    }
    let error = Upgrade::http1("POST", 1, valid()).unwrap_err();
    assert_eq!((error, error.status()), (E::Method, 405));
    assert_eq!(Upgrade::http1("GET", 0, valid()).unwrap_err(), E::HttpVersion);
}

#[test]
fn what_is_unusual_and_right_is_accepted() {
    for headers in [
        with("Upgrade", b"WebSocket"),
        with("Upgrade", b"h2c, websocket"),
        with("Connection", b"UPGRADE"),
        twice("connection", b"close"),
        with("Content-Length", b"0"),
        // A key whose last digit has bits that belong to no byte.
        with("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZR=="),
        with("Sec-WebSocket-Extensions", b""),
    ] {
        assert!(Upgrade::http1("GET", 1, headers.clone()).is_ok(), "{headers:?}");
    }
}

#[test]
fn plain_requests_are_told_apart() {
    assert!(asks_for_websocket(valid()));
    assert!(!asks_for_websocket(without("Upgrade")));
    assert!(!asks_for_websocket(with("Upgrade", b"h2c")));
}

#[test]
fn the_clients_favourite_protocol_wins_and_only_offered_ones_are_answered() {
    let headers = with("Sec-WebSocket-Protocol", b"chat.v2, bearer.a.b.c, chat.v1");
    let upgrade = Upgrade::http1("GET", 1, headers).unwrap();
    assert_eq!(upgrade.protocols(), ["chat.v2", "bearer.a.b.c", "chat.v1"]);
    assert_eq!(upgrade.choose_protocol(&["chat.v1", "chat.v2"]), Some("chat.v2"));
    assert_eq!(upgrade.choose_protocol(&["other"]), None);
    assert_eq!(upgrade.accept(Some("chat.v1"), None).protocol(), Some("chat.v1"));
    assert_eq!(upgrade.accept(Some("other\r\nx: y"), None).protocol(), None);
}

#[test]
fn extensions_may_be_divided_among_lines() {
    let mut headers = with("Sec-WebSocket-Extensions", b"permessage-deflate; unknown");
    headers.push(("sec-websocket-extensions", b"permessage-deflate; server_max_window_bits=9"));
    headers.push(("sec-websocket-extensions", b"permessage-deflate"));
    let upgrade = Upgrade::http1("GET", 1, headers).unwrap();
    assert_eq!(upgrade.deflate().unwrap().window_bits(), 9);
    let answer = upgrade.accept(None, upgrade.deflate());
    let extensions = answer.headers().find(|(name, _)| *name == "sec-websocket-extensions");
    assert!(extensions.unwrap().1.ends_with("; server_max_window_bits=9"));
    // The server may have no use for it.
    assert!(upgrade.accept(None, None).deflate().is_none());
    // And none was offered here.
    let plain = Upgrade::http1("GET", 1, valid()).unwrap();
    assert!(plain.accept(None, upgrade.deflate()).deflate().is_none());
}

#[test]
fn over_http2_there_is_no_key() {
    let headers: Headers =
        vec![("sec-websocket-version", b"13"), ("sec-websocket-protocol", b"tidings.v1.json")];
    let upgrade = Upgrade::http2(headers).unwrap();
    let answer = upgrade.accept(Some("tidings.v1.json"), None);
    assert_eq!(answer.status(), 200);
    let headers: Vec<_> = answer.headers().collect();
    assert_eq!(headers, [("sec-websocket-protocol", "tidings.v1.json")]);
    assert_eq!(Upgrade::http2([]).unwrap_err(), UpgradeError::Version);
}

#[test]
fn our_two_sides_agree() {
    let client = ClientHandshake::new([9; 16]).protocol("a").protocol("b").deflate();
    let mut request = Vec::new();
    client.write_request(&mut request, "localhost:1", "/x?y=z", [("origin", "http://a")]).unwrap();
    let (head, used) = RequestHead::decode(&request).unwrap().unwrap();
    assert_eq!(used, request.len());
    assert_eq!((head.method, head.target), ("GET", "/x?y=z"));
    let upgrade = Upgrade::http1(head.method, head.minor_version, head.headers).unwrap();
    let mut answer = Vec::new();
    upgrade.accept(upgrade.choose_protocol(&["b"]), upgrade.deflate()).write_http1(&mut answer);
    for cut in 0..answer.len() {
        assert_eq!(client.read_answer(&answer[..cut]).unwrap(), None);
    }
    let length = answer.len();
    answer.extend_from_slice(b"\x81\x02hi");
    let (agreed, used) = client.read_answer(&answer).unwrap().unwrap();
    assert_eq!(used, length);
    assert_eq!(agreed.protocol.as_deref(), Some("b"));
    assert_eq!(agreed.deflate.unwrap().window_bits(), 15);
}

#[test]
fn a_client_takes_only_an_answer_to_its_own_request() {
    let client = ClientHandshake::new([9; 16]).protocol("a");
    let mut request = Vec::new();
    client.write_request(&mut request, "h", "/", []).unwrap();
    let (head, _) = RequestHead::decode(&request).unwrap().unwrap();
    let upgrade = Upgrade::http1(head.method, head.minor_version, head.headers).unwrap();
    let accepted = upgrade.accept(None, None);
    let answer: Vec<(&str, &[u8])> =
        accepted.headers().map(|(name, value)| (name, value.as_bytes())).collect();
    assert!(client.verify(101, answer.iter().copied()).is_ok());

    let changed = |name: &'static str, value: &'static [u8]| {
        let kept = answer.iter().copied().filter(move |(known, _)| *known != name);
        client.verify(101, kept.chain([(name, value)])).unwrap_err()
    };
    let added = |name: &'static str, value: &'static [u8]| {
        client.verify(101, answer.iter().copied().chain([(name, value)])).unwrap_err()
    };
    assert_eq!(client.verify(200, answer.iter().copied()), Err(AnswerError::Status(200)));
    assert_eq!(changed("upgrade", b"h2c"), AnswerError::NotUpgrade);
    assert_eq!(changed("connection", b"close"), AnswerError::NotUpgrade);
    assert_eq!(changed("sec-websocket-accept", b"AAAA"), AnswerError::Accept);
    assert_eq!(added("sec-websocket-accept", b"AAAA"), AnswerError::Accept);
    assert_eq!(added("sec-websocket-protocol", b"b"), AnswerError::Protocol);
    assert_eq!(added("sec-websocket-extensions", b"permessage-deflate"), AnswerError::Extensions);
}

#[test]
fn nothing_is_smuggled_into_a_request() {
    let client = ClientHandshake::new([9; 16]);
    let mut out = Vec::new();
    for (host, target, header) in [
        ("h\r\nx: y", "/", ("a", "b")),
        ("h", "/ HTTP/1.1\r\nx: y", ("a", "b")),
        ("h", "", ("a", "b")),
        ("h", "/", ("a\r\n", "b")),
        ("h", "/", ("a:", "b")),
        ("h", "/", ("a", "b\r\nx: y")),
        ("h", "/", ("a", "b\0")),
    ] {
        let result = client.write_request(&mut out, host, target, [header]);
        assert_eq!(result, Err(HeadError::Malformed));
    }
    let result = client.protocol("a\r\nb").write_request(&mut out, "h", "/", []);
    assert_eq!(result, Err(HeadError::Malformed));
    assert!(out.is_empty());
}
