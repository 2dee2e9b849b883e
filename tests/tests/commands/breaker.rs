use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use tidings_tests::harness::{SOON, TestServer};

use super::backend::{Backend, Deed, ok};
use super::{call, start};

/// A backend that works when it is told to.
async fn moody() -> (Backend, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(false));
    let for_backend = works.clone();
    let backend = Backend::start(move |_, _| match for_backend.load(Ordering::Relaxed) {
        true => ok("1"),
        false => Deed::Say("500 Oops", String::new()),
    })
    .await;
    (backend, works)
}

async fn route(server: &TestServer) -> Value {
    server.get("/v1/health").await["commands"]["routes"][0].clone()
}

async fn becomes(server: &TestServer, state: &str) {
    let started = Instant::now();
    while route(server).await["breaker"] != state {
        assert!(started.elapsed() < SOON, "it never becomes {state}");
    }
}

fn config(backend: &Backend, open: &str) -> String {
    let url = backend.url();
    format!(
        "[[command]]\nname = 'a'\nto = '{url}'\nretry = {{ attempts = 1 }}\n\
         breaker = {{ failures = 3, open = '{open}' }}\n"
    )
}

#[tokio::test]
async fn it_opens_at_failures_in_a_row_and_a_probe_closes_it() {
    let (backend, works) = moody().await;
    let server = start(&config(&backend, "1s")).await;
    for _ in 0..2 {
        assert_eq!(call(&server, "a", json!(0)).await.error(502), "command_failed");
    }
    works.store(true, Ordering::Relaxed);
    call(&server, "a", json!(0)).await.ok();
    assert_eq!(route(&server).await["failures"], 0, "not in a row");
    works.store(false, Ordering::Relaxed);
    for failures in 1..=3 {
        assert_eq!(call(&server, "a", json!(0)).await.error(502), "command_failed");
        assert_eq!(route(&server).await["failures"], failures);
    }
    let asked = backend.asked().len();
    let reply = call(&server, "a", json!(0)).await;
    assert_eq!(reply.error(503), "no_handler");
    assert!(reply.json()["error"]["retry_after_ms"].as_u64().unwrap() <= 1_000);
    assert_eq!(backend.asked().len(), asked, "it is left alone");
    let health = server.get("/v1/health").await;
    assert_eq!(health["status"], "degraded");
    let reason = health["reasons"][0].as_str().unwrap();
    assert!(reason.contains("the backend of `a` failed 3 times in a row"), "{reason}");
    assert_eq!(health["commands"]["routes"][0]["to"], "http");
    assert_eq!(server.metric("command_breakers_open").await, 1);
    assert_eq!(server.get("/readyz").await["ready"], true);

    becomes(&server, "half_open").await;
    assert_eq!(call(&server, "a", json!(0)).await.error(502), "command_failed");
    assert_eq!(route(&server).await["breaker"], "open", "the probe failed");
    becomes(&server, "half_open").await;
    works.store(true, Ordering::Relaxed);
    call(&server, "a", json!(0)).await.ok();
    assert_eq!(route(&server).await["breaker"], "closed");
    assert_eq!(server.get("/v1/health").await["status"], "ok");
}

#[tokio::test]
async fn errors_that_a_backend_tells_do_not_open_it() {
    let backend = Backend::start(|_, _| {
        let error = json!({ "error": { "code": "command_failed", "message": "no" } });
        Deed::Say("502 No", error.to_string())
    })
    .await;
    let server = start(&config(&backend, "1h")).await;
    for _ in 0..5 {
        assert_eq!(call(&server, "a", json!(0)).await.error(502), "command_failed");
    }
    assert_eq!(route(&server).await["breaker"], "closed");
}

#[tokio::test]
async fn a_client_in_a_hurry_does_not_open_it() {
    let backend = Backend::start(|_, _| Deed::Hang).await;
    let server = start(&config(&backend, "1h")).await;
    for _ in 0..5 {
        let body = json!({ "command": "a", "timeout_ms": 1 });
        assert_eq!(server.post("/v1/call", &body).await.error(504), "timeout");
    }
    assert_eq!(route(&server).await["failures"], 0);
}

#[tokio::test]
async fn each_route_has_its_own_and_it_survives_a_reload() {
    let (backend, works) = moody().await;
    let other = format!("[[command]]\nname = 'b'\nto = '{}'\n", backend.url());
    let server = start(&(config(&backend, "1h") + &other)).await;
    for _ in 0..3 {
        call(&server, "a", json!(0)).await.error(502);
    }
    works.store(true, Ordering::Relaxed);
    assert_eq!(server.post("/v1/reload", &Value::Null).await.status, 200);
    assert_eq!(call(&server, "a", json!(0)).await.error(503), "no_handler");
    call(&server, "b", json!(0)).await.ok();
}
