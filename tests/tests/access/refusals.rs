use serde_json::json;
use tidings_tests::harness::TestServer;

use super::{AUTH, EVERYWHERE, start, started, token, upgrade};

/// How an upgrade with a token is refused: the error's code, and its message.
async fn refusal(server: &TestServer, token: &str) -> (String, String) {
    let refused = upgrade(server, &format!("/v1/ws?token={token}"), "").await;
    let code = refused.error(401);
    (code, refused.json()["error"]["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn odd_claims_are_refused_by_name_before_the_upgrade() {
    let server = started().await;
    let soon = token::now() + 100;
    for (claims, code, message) in [
        (json!({ "sub": "ann", "exp": token::now() - 1 }).to_string(), "token_expired", "expired"),
        (json!({ "sub": "ann" }).to_string(), "unauthorized", "`exp`"),
        (json!({ "exp": soon }).to_string(), "unauthorized", "`sub`"),
        (json!({ "sub": "ann", "exp": soon.to_string() }).to_string(), "unauthorized", "`exp`"),
        (json!({ "sub": "ann", "exp": -1 }).to_string(), "unauthorized", "`exp`"),
        ("{\"sub\":\"ann\",\"exp\":1e300}".to_owned(), "unauthorized", "`exp`"),
        (format!("{{\"sub\":\"ann\",\"exp\":{soon},\"exp\":{soon}}}"), "unauthorized", "claims"),
        (format!("{{\"sub\":\"ann\",\"sub\":\"eve\",\"exp\":{soon}}}"), "unauthorized", "claims"),
        (json!({ "sub": 7, "exp": soon }).to_string(), "unauthorized", "`sub`"),
        (json!({ "sub": "", "exp": soon }).to_string(), "unauthorized", "`sub`"),
        (
            json!({ "sub": "ann", "exp": soon, "nbf": soon }).to_string(),
            "unauthorized",
            "valid yet",
        ),
        (json!({ "sub": "ann", "exp": soon, "roles": "x" }).to_string(), "unauthorized", "`roles`"),
        ("[]".to_owned(), "unauthorized", "claims"),
    ] {
        let (found, said) = refusal(&server, &token::of_text(&claims)).await;
        assert_eq!(found, code, "{claims}");
        assert!(said.contains(message), "{claims}: {said}");
    }
    // A clock that is a little ahead does no harm.
    let ahead = json!({ "sub": "ann", "exp": soon, "nbf": token::now() + 2 });
    assert_eq!(
        upgrade(&server, &format!("/v1/ws?token={}", token::of(ahead)), "").await.status,
        101
    );
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let server = started().await;
    let good = token::user("ann");
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    for wrong in [
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "...",
        "%00.%ff.x",
        &format!("{rest}."),
        &format!("{rest}.{turned}"),
        &format!("{good}."),
        &format!("{good}x"),
        &"a".repeat(9_000),
    ] {
        assert_eq!(refusal(&server, wrong).await.0, "unauthorized", "{wrong}");
    }
    assert_eq!(refusal(&server, "").await.0, "unauthorized");
    let two = format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\n");
    assert_eq!(upgrade(&server, "/v1/ws", &two).await.error(401), "unauthorized");
}

#[tokio::test]
async fn a_name_that_is_more_than_one_token_gets_no_topics_of_its_own() {
    let server = started().await;
    for name in ["*", ">", "a.b", "a b", "ann.*", "a\tb", "a\u{a0}b"] {
        let (code, message) = refusal(&server, &token::user(name)).await;
        assert_eq!(code, "unauthorized", "{name:?}");
        assert!(!message.is_empty());
    }
}

#[tokio::test]
async fn issuer_and_audience_are_checked_where_they_are_set() {
    let auth =
        AUTH.replace("[auth]", "[auth]\nissuers = [\"us\"]\naudiences = [\"here\", \"there\"]");
    let server = start(&format!("{auth}{EVERYWHERE}")).await;
    let exp = token::now() + 100;
    for (claims, status) in [
        (json!({ "sub": "ann", "exp": exp, "iss": "us", "aud": "here" }), 101),
        (json!({ "sub": "ann", "exp": exp, "iss": "us", "aud": ["x", "there"] }), 101),
        (json!({ "sub": "ann", "exp": exp, "iss": "them", "aud": "here" }), 401),
        (json!({ "sub": "ann", "exp": exp, "iss": "us", "aud": "x" }), 401),
        (json!({ "sub": "ann", "exp": exp, "iss": "us" }), 401),
        (json!({ "sub": "ann", "exp": exp, "aud": "here" }), 401),
    ] {
        let path = format!("/v1/ws?token={}", token::of(claims.clone()));
        assert_eq!(upgrade(&server, &path, "").await.status, status, "{claims}");
    }
    // What is made here is believed here.
    let made = server.post("/v1/tokens", &json!({ "user": "ann" })).await.ok();
    let path = format!("/v1/ws?token={}", made["token"].as_str().unwrap());
    assert_eq!(upgrade(&server, &path, "").await.status, 101);
}

#[tokio::test]
async fn a_token_does_not_open_foreign_pages() {
    let server = started().await;
    let path = format!("/v1/ws?token={}", token::user("ann"));
    for origin in ["http://evil.example", "null", "http://127.0.0.1.evil.example"] {
        let refused = upgrade(&server, &path, &format!("Origin: {origin}\r\n")).await;
        assert_eq!(refused.error(403), "forbidden", "{origin}");
    }
}
