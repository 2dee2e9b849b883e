use serde_json::json;
use tidings_tests::harness::{TestServer, http};

use super::{AUTH, EVERYWHERE, token, upgrade};

/// Secrets, tokens and their parts stand in no log line and in no answer.
#[tokio::test]
async fn what_is_secret_is_shown_to_nobody() {
    let auth = AUTH.replace(
        "[auth]",
        "[auth]\ntokens = [{ id = \"shared\", secret_env = \"TIDINGS_SHARED\" }]",
    );
    let rest = format!(
        "{auth}{EVERYWHERE}[admin]\ntoken_env = \"TIDINGS_ADMIN_TOKEN\"\n[log]\nlevel = \"trace\"\n"
    );
    let variables = [
        ("TIDINGS_SECRET", token::SECRET),
        ("TIDINGS_SHARED", "shared-canary"),
        ("TIDINGS_ADMIN_TOKEN", "admin-canary"),
    ];
    let server = TestServer::spawn_with_environment(&rest, &variables).await;
    let bearer = [("authorization", "Bearer admin-canary"), ("content-type", "application/json")];
    let (ann, wrong) = (token::user("ann"), format!("{}x", token::user("ann")));
    let expired = token::of(json!({ "sub": "ann", "exp": 1 }));
    let mut socket = server.connect_at(&format!("/v1/ws?token={ann}")).await;
    let mut other = server.connect_at("/v1/ws?token=shared-canary").await;
    let mut shown = Vec::new();
    for token in [&wrong, &expired] {
        shown.push(upgrade(&server, &format!("/v1/ws?token={token}"), "").await.text());
        let header = format!("Authorization: Bearer {token}\r\n");
        shown.push(upgrade(&server, "/v1/ws", &header).await.text());
        let offered = format!("Sec-WebSocket-Protocol: bearer.{token}\r\n");
        shown.push(upgrade(&server, "/v1/ws", &offered).await.text());
        shown.push(
            http::get(server.public, &format!("/v1/sse?topics=a&token={token}")).await.text(),
        );
        let mut late = server.connect().await;
        shown.push(late.refused("hello", json!({ "token": token })).await);
        shown.push(socket.refused("refresh", json!({ "token": token })).await);
    }
    other.ask("ping", json!({})).await;
    for path in [
        "/v1/connections",
        "/v1/metrics",
        "/metrics",
        "/v1/health",
        "/v1/streams",
        "/v1/openapi.json",
        "/readyz",
        "/",
    ] {
        shown.push(http::send(server.admin, "GET", path, &bearer, b"").await.text());
    }
    let reloaded = http::send(server.admin, "POST", "/v1/reload", &bearer, b"").await;
    shown.push(reloaded.text());
    shown.push(server.log());
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let secrets = [
        token::SECRET.to_owned(),
        "shared-canary".to_owned(),
        "admin-canary".to_owned(),
        signature(&ann),
        signature(&expired),
    ];
    assert!(!server.log().is_empty());
    for text in &shown {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is shown in {text}");
        }
    }
}
