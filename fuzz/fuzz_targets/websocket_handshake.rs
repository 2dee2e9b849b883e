//! Any request is accepted or refused, what is answered has no line breaks, and our client takes
//! our server's answer; any answer is judged.

#![no_main]

use libfuzzer_sys::fuzz_target;
use websocket::handshake::{
    ClientHandshake, RequestHead, ResponseHead, Upgrade, asks_for_websocket,
};

fn client() -> ClientHandshake {
    ClientHandshake::new([0x42; 16]).protocol("tidings.v1.json").deflate()
}

fn request(bytes: &[u8]) {
    let Ok(Some((head, used))) = RequestHead::decode(bytes) else {
        return;
    };
    assert!(used <= bytes.len());
    let upgrade = Upgrade::http1(head.method, head.minor_version, head.headers.iter().copied());
    let Ok(upgrade) = upgrade else { return };
    assert!(asks_for_websocket(head.headers.iter().copied()));
    let protocol = upgrade.protocols().last().copied();
    let answer = upgrade.accept(protocol, upgrade.deflate());
    assert_eq!(answer.protocol(), protocol);
    for (_, value) in answer.headers() {
        assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{value:?}");
    }
    let mut out = Vec::new();
    answer.write_http1(&mut out);
    let (head, used) = ResponseHead::decode(&out).unwrap().unwrap();
    assert_eq!((head.status, used), (101, out.len()));
}

/// Offers of our own request replaced by the fuzzer's.
fn extensions(value: &[u8]) {
    let headers: [(&str, &[u8]); 6] = [
        ("host", b"h"),
        ("upgrade", b"websocket"),
        ("connection", b"upgrade"),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-extensions", value),
    ];
    let Ok(upgrade) = Upgrade::http1("GET", 1, headers) else {
        return;
    };
    let Some(deflate) = upgrade.deflate() else {
        return;
    };
    assert!((8..=15).contains(&deflate.window_bits()));
    let answer = upgrade.accept(None, Some(deflate));
    assert!(answer.headers().any(|(name, _)| name == "sec-websocket-extensions"));
}

fuzz_target!(|data: &[u8]| {
    request(data);
    extensions(data);
    if let Ok(Some((_, used))) = client().read_answer(data) {
        assert!(used <= data.len());
    }
});
