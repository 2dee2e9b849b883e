use serde_json::json;
use tidings_tests::harness::TestServer;

use super::{AUTH, EVERYWHERE, connect, start, token, upgrade};

async fn limited() -> TestServer {
    let rest = EVERYWHERE
        .replace("path = \"/v1/ws\"", "path = \"/v1/ws\"\nlimits = { devices_per_user = 2 }");
    start(&format!("{AUTH}{rest}")).await
}

#[tokio::test]
async fn a_user_has_so_many_devices_and_a_device_any_number_of_connections() {
    let server = limited().await;
    let (phone, desk) = (token::device("ann", "phone"), token::device("ann", "desk"));
    let first = connect(&server, &phone).await;
    let _second = connect(&server, &phone).await;
    let _desk = connect(&server, &desk).await;
    let other = token::device("ann", "tablet");
    let refused = upgrade(&server, &format!("/v1/ws?token={other}"), "").await;
    assert_eq!(refused.error(429), "too_many_devices");
    assert!(refused.header("retry-after").is_some(), "{}", refused.head);
    // Named by the query where the token says nothing, and each its own without a name.
    let ann = token::user("ann");
    let refused = upgrade(&server, &format!("/v1/ws?token={ann}"), "").await;
    assert_eq!(refused.error(429), "too_many_devices");
    let named = server.connect_at(&format!("/v1/ws?token={ann}&device=desk")).await;
    // What a token says counts.
    let refused = upgrade(&server, &format!("/v1/ws?token={other}&device=desk"), "").await;
    assert_eq!(refused.error(429), "too_many_devices");
    // Another user has devices of their own.
    let _eve = connect(&server, &token::user("eve")).await;
    let _eve = connect(&server, &token::user("eve")).await;
    let refused = upgrade(&server, &format!("/v1/ws?token={}", token::user("eve")), "").await;
    assert_eq!(refused.error(429), "too_many_devices");
    // A device is gone with its last connection.
    drop((first, _second, named));
    server.has_connections(3).await;
    let _tablet = connect(&server, &other).await;
}

#[tokio::test]
async fn who_takes_over_closes_the_oldest_device() {
    let server = limited().await;
    let mut phone = connect(&server, &token::device("ann", "phone")).await;
    let mut phone_too = connect(&server, &token::device("ann", "phone")).await;
    let mut desk = connect(&server, &token::device("ann", "desk")).await;
    let tablet = token::device("ann", "tablet");
    let mut refused = server.connect().await;
    let code = refused.refused("hello", json!({ "token": tablet })).await;
    assert_eq!(code, "too_many_devices");
    assert_eq!(refused.close_code().await, 4429);
    let mut taker = server.connect().await;
    taker.ask("hello", json!({ "token": tablet, "takeover": true })).await;
    assert_eq!(phone.close_code().await, 4409);
    assert_eq!(phone_too.close_code().await, 4409);
    desk.ask("ping", json!({})).await;
    // By the query, too.
    let watch = token::device("ann", "watch");
    let mut watch = server.connect_at(&format!("/v1/ws?token={watch}&takeover=true")).await;
    assert_eq!(desk.close_code().await, 4409);
    taker.ask("ping", json!({})).await;
    watch.ask("ping", json!({})).await;
}

#[tokio::test]
async fn who_come_at_the_same_moment_do_not_each_find_the_last_place() {
    let server = limited().await;
    let ann = token::user("ann");
    let path = format!("/v1/ws?token={ann}");
    let mut tasks = Vec::new();
    let address = server.public;
    for _ in 0..20 {
        let path = path.clone();
        tasks.push(tokio::spawn(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            tidings_tests::harness::Socket::over_unwelcomed(stream, &path).await
        }));
    }
    let mut granted = Vec::new();
    for task in tasks {
        granted.extend(task.await.unwrap().ok());
    }
    assert_eq!(granted.len(), 2);
}
