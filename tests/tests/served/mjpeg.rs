//! Images in the place of each other, as `<img>` shows them.

use serde_json::json;
use tidings_tests::harness::{Images, TestServer, eventually, http};

/// Something that begins like a JPEG; nobody here looks inside.
fn image(number: u32, bytes: usize) -> Vec<u8> {
    let mut image = vec![0xff, 0xd8];
    image.extend_from_slice(&number.to_be_bytes());
    image.resize(bytes, b'x');
    image
}

fn number(image: &[u8]) -> u32 {
    u32::from_be_bytes(image[2..6].try_into().unwrap())
}

async fn publish(server: &TestServer, topic: &str, content_type: &str, bytes: &[u8]) {
    let (path, headers) = (format!("/v1/publish/{topic}"), [("Content-Type", content_type)]);
    http::send(server.admin, "POST", &path, &headers, bytes).await.ok();
}

#[tokio::test]
async fn the_kept_image_comes_at_once_and_then_each_new_one() {
    let server = TestServer::start("");
    publish(&server, "camera.front", "image/jpeg", &image(1, 100)).await;
    publish(&server, "camera.back", "image/jpeg", &image(9, 100)).await;
    let mut images = Images::open(server.public, "camera.front?max_rate=1000").await;
    assert_eq!(images.next().await.unwrap(), image(1, 100));
    // What is no JPEG is no image.
    publish(&server, "camera.front", "image/png", b"png").await;
    server.publish("camera.front", json!(1)).await;
    publish(&server, "camera.front", "image/jpeg; quality=9", &image(2, 6)).await;
    assert_eq!(images.next().await.unwrap(), image(2, 6));
    let listed = server.get("/v1/connections").await;
    assert_eq!(listed["connections"][0]["transport"], "mjpeg", "{listed}");
    drop(images);
    publish(&server, "camera.front", "image/jpeg", &image(3, 100)).await;
    server.has_connections(0).await;
}

#[tokio::test]
async fn who_stops_reading_skips_to_the_newest() {
    let server = TestServer::start("[server]\nworkers = 1");
    let mut images = Images::open(server.public, "camera").await;
    let publisher = server.library().publisher();
    let count = 600;
    for at in 0..count {
        let published = publisher.publish_bytes("camera", "image/jpeg", image(at, 50_000)).unwrap();
        published.appended().await.unwrap();
    }
    // It did not lag: what it has not taken is one write.
    eventually("every image was looked at", || async {
        server.metric("outbox_bytes").await < 200_000
    })
    .await;
    let mut seen = Vec::new();
    while seen.last() != Some(&(count - 1)) {
        seen.push(number(&images.next().await.unwrap()));
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    assert!(seen.len() < count as usize / 2, "{} of {count} images came", seen.len());
}

#[tokio::test]
async fn a_drain_ends_the_answer() {
    let server = TestServer::start("[server]\ndrain_deadline = \"0s\"");
    publish(&server, "camera", "image/jpeg", &image(1, 100)).await;
    let mut images = Images::open(server.public, "camera").await;
    assert_eq!(images.next().await.unwrap(), image(1, 100));
    server.post("/v1/drain", &json!({})).await;
    assert_eq!(images.next().await, None);
}

#[tokio::test]
async fn asking_for_the_head_alone_begins_no_session() {
    let server = TestServer::start("");
    for (path, content_type) in [
        ("/v1/mjpeg/camera.front", "multipart/x-mixed-replace"),
        ("/v1/sse?topics=a", "text/event-stream"),
    ] {
        let reply = http::send(server.public, "HEAD", path, &[], b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, ""), "{}", reply.head);
        let told = reply.header("content-type").unwrap();
        assert!(told.starts_with(content_type), "{}", reply.head);
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{}", reply.head);
        assert_eq!(reply.header("content-length"), None, "{}", reply.head);
    }
    assert_eq!(server.metric("connections").await, 0);
    assert_eq!(server.metric("connections_closed").await, 0);
    for (path, status) in [("/v1/mjpeg/a..b", 400), ("/v1/mjpeg/$system", 403)] {
        let reply = http::send(server.public, "HEAD", path, &[], b"").await;
        assert_eq!((reply.status, reply.text().as_str()), (status, ""), "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_with_a_status() {
    let server = TestServer::start("");
    for (what, status) in [
        ("camera?max_rate=0", 400),
        ("a..b", 400),
        ("a.*", 400),
        ("", 400),
        ("$system", 403),
        ("%24system", 403),
    ] {
        let reply = http::get(server.public, &format!("/v1/mjpeg/{what}")).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
    }
    let mut spaced = Images::open(server.public, "caf%C3%A9.a+b").await;
    publish(&server, "caf%C3%A9.a+b", "image/jpeg", &image(4, 9)).await;
    assert_eq!(number(&spaced.next().await.unwrap()), 4);
}
