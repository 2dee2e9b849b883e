//! `tidings demo` without a browser; `tests/browser` has the page.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tidings::{Client, Item, Subscribe};
use tidings_tests::harness::server::program;
use tidings_tests::harness::{SOON, http};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A demo on free ports. It is gone when this is dropped.
struct Demo {
    child: Child,
    public: SocketAddr,
    admin: SocketAddr,
    printed: String,
}

/// Starts the program on free ports.
fn spawn(options: &[&str]) -> Child {
    Command::new(program())
        .args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(options)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Demo {
    fn start() -> Self {
        let mut child = spawn(&[]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        while !printed.contains("tidings subscribe") {
            printed.push_str(&lines.next().expect("it says how to try it").unwrap());
            printed.push('\n');
        }
        // Whatever else it says is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let address = |word: &str| {
            let line = printed.lines().find(|line| line.trim_start().starts_with(word)).unwrap();
            line.rsplit_once("http://").unwrap().1.parse().unwrap()
        };
        Self { child, public: address("clients"), admin: address("admin"), printed }
    }

    async fn client(&self) -> Client {
        let url = format!("http://{}", self.public);
        Client::connect(&url, Default::default()).await.unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_page_is_served_with_all_that_it_needs() {
    let demo = Demo::start();
    assert!(demo.printed.contains(&format!("Open http://{} ", demo.admin)), "{}", demo.printed);
    let page = http::get(demo.admin, "/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(policy.contains(&format!("ws://127.0.0.1:{} ", demo.public.port())), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");

    let page = page.text();
    let mut files = 0;
    for file in page.split('"').filter(|text| text.starts_with("/demo/")) {
        assert_eq!(http::get(demo.admin, file).await.status, 200, "{file}");
        files += 1;
    }
    assert!(files >= 3, "{page}");
    assert_eq!(http::get(demo.admin, "/demo/other.js").await.status, 404);
    let server = http::get(demo.admin, "/demo/server.json").await.ok();
    assert_eq!(server["port"], demo.public.port());
    assert_eq!(server["host"], Value::Null);
}

#[tokio::test]
async fn a_browser_may_connect_from_the_page_and_from_nowhere_else() {
    let demo = Demo::start();
    let status_of = async |origin: &str| {
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            demo.public
        );
        let mut stream = TcpStream::connect(demo.public).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut line = [0; "HTTP/1.1 101".len()];
        timeout(SOON, stream.read_exact(&mut line)).await.unwrap().unwrap();
        String::from_utf8_lossy(&line).split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let port = demo.admin.port();
    assert_eq!(status_of(&format!("http://127.0.0.1:{port}")).await, 101);
    assert_eq!(status_of(&format!("http://localhost:{port}")).await, 101);
    assert_eq!(status_of("http://127.0.0.1:1").await, 403);
    assert_eq!(status_of("https://example.org").await, 403);
}

#[tokio::test]
async fn the_figures_of_this_host_come_every_second() {
    let demo = Demo::start();
    let client = demo.client().await;
    let mut figures = client.subscribe(Subscribe::to(&["host.>"]).unwrap()).await.unwrap();
    let mut by_topic: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let begun = Instant::now();
    while by_topic.get("host.cpu").map_or(0, Vec::len) < 4 {
        match timeout(SOON, figures.next()).await.unwrap().unwrap() {
            Item::Event(event) => {
                let data: Value = event.json().unwrap();
                assert!(data.is_object(), "{data}");
                by_topic.entry(event.topic.to_string()).or_default().push(data);
            }
            other => panic!("{other:?}"),
        }
    }
    let took = begun.elapsed().as_secs_f64();
    assert!((2.0..15.0).contains(&took), "four readings took {took} s");
    let topics: BTreeSet<&str> = by_topic.keys().map(String::as_str).collect();
    for topic in ["host.cpu", "host.memory", "host.network", "host.system_stats"] {
        assert!(topics.contains(topic), "{topics:?}");
    }
    let number = |topic: &str, member: &str| by_topic[topic][0][member].as_f64().unwrap();
    assert!((0.0..=100.0).contains(&number("host.cpu", "percent")));
    assert!(number("host.memory", "used_bytes") <= number("host.memory", "total_bytes"));
    assert!(number("host.network", "received_bytes_per_second") >= 0.0);
    assert!(number("host.system_stats", "ram_total_gb") > 0.0);
}

#[tokio::test]
async fn the_stream_of_the_figures_keeps_few_events() {
    let demo = Demo::start();
    for _ in 0..7 {
        let events: Vec<_> =
            (0..100).map(|data| json!({ "topic": "host.fill", "data": data })).collect();
        http::post(demo.admin, "/v1/publish", &Value::Array(events)).await.ok();
    }
    let stream = http::get(demo.admin, "/v1/streams/host").await.ok();
    assert_eq!(stream["events"], 600);
}

#[tokio::test]
async fn a_signal_sends_clients_away_and_ends_it() {
    let mut demo = Demo::start();
    let client = demo.client().await;
    let id = demo.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = demo.child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < SOON, "it does not end");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(status.code(), Some(0));
    drop(client);
}

#[test]
fn programs_get_its_addresses_as_json() {
    let mut child = spawn(&["--json"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    // It can be ended as soon as it has said that it runs.
    let terminated = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    let ended = child.wait().unwrap();
    assert!(listening["admin"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{listening}");
    assert_eq!((rest, terminated.success(), ended.code()), (vec![], true, Some(0)));
}

#[tokio::test]
async fn a_server_without_the_demo_has_figures_under_any_root() {
    let server = tidings::Server::start(
        "[listen]\npublic = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         [[source]]\nkind = \"host\"\nroot = \"trainer\"\ninterval = \"200ms\"\n",
    )
    .unwrap();
    let stats = Subscribe::to(&["trainer.system_stats"]).unwrap();
    let mut figures = server.client().subscribe(stats).await.unwrap();
    let Item::Event(event) = timeout(SOON, figures.next()).await.unwrap().unwrap() else {
        panic!("no event");
    };
    let data: Value = event.json().unwrap();
    let names: BTreeSet<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "cpu_percent",
        "gpu_memory_total_gb",
        "gpu_memory_used_gb",
        "gpu_utilization_percent",
        "ram_total_gb",
        "ram_used_gb",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    drop(figures);
    // The source's thread holds nothing up.
    tokio::task::spawn_blocking(|| server.shut_down()).await.unwrap();
}
