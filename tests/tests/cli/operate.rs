use serde_json::{Value, json};

use super::program::{Server, file, run};

#[test]
fn history_is_read_page_by_page() {
    let server = Server::start();
    let lines: String = (1..=2_500).map(|n| format!("{n}\n")).collect();
    server.run_with_input(&["publish", "n.a", "-"], lines.as_bytes()).ok();
    let all = server.run(&["history", "n.*", "--limit", "9999", "--json"]).json();
    assert_eq!(all.len(), 2_500);
    assert!(all.iter().zip(1..).all(|(event, n): (_, u64)| event["data"] == n));
    let first = server.run(&["history", "n.a"]);
    let hint = first.err.split("--after ").nth(1).unwrap().trim().to_owned();
    let first = first.ok();
    assert_eq!(first.lines().count(), 100);
    assert!(first.lines().all(|line| line.contains(" n.a ")));
    let next = server.run(&["history", ">", "--after", &hint, "--limit", "2", "--json"]).json();
    assert_eq!((&next[0]["data"], &next[1]["data"]), (&101.into(), &102.into()));
    let last = server.run(&["history", ">", "--stream", "default", "--after", "2499", "--json"]);
    assert_eq!(last.json().len(), 1);
    server.run(&["history", "a", "--stream", "nothing"]).fails(1, &["not_found"]);
    server.run(&["history", "a..b"]).fails(2, &["a..b"]);
    server.run(&["history", "a", "--after", "x"]).fails(2, &["--after"]);
}

#[test]
fn a_pattern_over_several_streams_needs_one() {
    let path = file("tidings.toml", b"[[stream]]\nname = \"news\"\ntopics = [\"news.>\"]\n");
    let server = Server::with(&["--config", path.to_str().unwrap()]);
    server.publish("news.a", "1");
    server.run(&["history", ">"]).fails(1, &["stream", "hint: name the stream with --stream"]);
    assert!(server.run(&["history", ">", "--stream", "news"]).ok().contains(" news.a 1\n"));
}

#[test]
fn history_behind_a_position_of_another_epoch_says_that_it_starts_over() {
    let server = Server::start();
    server.publish("n", "1");
    let all = server.run(&["history", "n", "--after", "default:over:7", "--json"]);
    assert!(all.err.contains("default has started over: its epoch is "), "{all:?}");
    assert!(all.err.contains("not over"), "{all:?}");
    assert_eq!(all.json()[0]["data"], 1);
    assert_eq!(server.run(&["history", "n", "--after", "0"]).err, "");
}

#[test]
fn streams_are_listed_and_shown() {
    let server = Server::start();
    server.publish("a", "1");
    let table = server.run(&["streams"]).ok();
    assert!(table.starts_with("STREAM "), "{table}");
    assert!(table.lines().nth(1).unwrap().starts_with("default "), "{table}");
    let listed = server.run(&["streams", "--json"]).json();
    assert_eq!(listed[0]["name"], "default");
    assert_eq!(listed[0]["last"], 1);
    let mut expected = listed[0].clone();
    (expected["cursors"], expected["more_cursors"]) = (json!([]), json!(false));
    assert_eq!(server.run(&["streams", "default", "--json"]).json(), [expected]);
    let shown = server.run(&["streams", "default"]).ok();
    assert!(shown.starts_with("name "), "{shown}");
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("retain").ends_with("10000 events, 1h 0m, 64.0 MiB"), "{shown}");
    assert!(line("bytes").ends_with(" B"), "{shown}");
    assert_eq!(server.run(&["health", "--json"]).json()[0]["streams"], listed.len());
    server.run(&["streams", "nothing"]).fails(1, &["not_found"]);
}

#[test]
fn a_stream_shows_how_far_devices_are_behind() {
    let server = Server::start();
    for n in 1..=5 {
        server.publish("n", &n.to_string());
    }
    assert!(!server.run(&["streams", "default"]).ok().contains("DEVICE"));
    for (device, count) in [("archive", "2"), ("screen", "5")] {
        let stored = ["subscribe", "n", "--stored", "--device", device, "--count", count];
        server.run(&stored).ok();
    }
    let shown = server.run(&["streams", "default"]).ok();
    let rows: Vec<Vec<&str>> = shown
        .lines()
        .skip_while(|line| !line.starts_with("USER "))
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0][..4], ["USER", "DEVICE", "ACKNOWLEDGED", "BEHIND"], "{shown}");
    assert_eq!(rows[1][..4], ["-", "archive", "2", "3"], "{shown}");
    assert_eq!(rows[2][..4], ["-", "screen", "5", "0"], "{shown}");
    assert_eq!(rows.len(), 3, "{shown}");
    let stream = server.run(&["streams", "default", "--json"]).json().remove(0);
    let cursors = stream["cursors"].as_array().unwrap();
    let seen: Vec<Value> =
        cursors.iter().map(|c| json!([c["user"], c["device"], c["seq"], c["behind"]])).collect();
    assert_eq!(seen, [json!([null, "archive", 2, 3]), json!([null, "screen", 5, 0])]);
    assert_eq!((&cursors[0]["epoch"], &stream["more_cursors"]), (&stream["epoch"], &json!(false)));
}

#[test]
fn connections_are_listed_shown_and_closed() {
    let server = Server::start();
    assert_eq!(server.connections().len(), 0);
    let one = server.subscribe(&["a.>", "--device", "desk"]);
    let two = server.subscribe(&["b"]);
    let listed = server.connections();
    assert_eq!(listed.len(), 2);
    assert_eq!(server.run(&["connections", "--limit", "1", "--json"]).json().len(), 1);
    assert_eq!(server.run(&["connections", "--user", "ada", "--json"]).json().len(), 0);
    let desk = listed.iter().find(|one| one["subscriptions"][0] == "a.>").unwrap();
    assert_eq!(desk["device"], "desk");
    let id = desk["id"].as_str().unwrap();
    let table = server.run(&["connections"]).ok();
    assert!(table.starts_with("ID ") && table.contains(id), "{table}");
    assert_eq!(server.run(&["connections", id, "--json"]).json()[0]["id"], id);
    let shown = server.run(&["connections", id]).ok();
    assert!(shown.starts_with("id "), "{shown}");
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("positions").contains("  default:"), "{shown}");
    assert!(line("connected_at").ends_with(" ago)"), "{shown}");
    assert_eq!(server.run(&["disconnect", id]).ok(), format!("closed {id}\n"));
    one.says("closed by an operator");
    server.run(&["disconnect", &"0".repeat(32)]).fails(1, &["not_found"]);
    server.run(&["connections", "nobody"]).fails(1, &["nobody"]);
    for running in [one, two] {
        running.signal("TERM");
        running.finish().ok();
    }
}

#[test]
fn health_is_told_by_the_exit_code_too() {
    let server = Server::start();
    let told = server.run(&["health"]).ok();
    assert!(told.starts_with("status "), "{told}");
    let health = server.run(&["health", "--json"]).json();
    assert_eq!(health[0]["status"], "ok");
    assert_eq!(health[0]["stopped"], false);

    // Nothing is delivered by a server that is draining.
    let watching = server.subscribe(&["a", "--raw"]);
    watching.signal("STOP");
    server.run(&["drain"]).ok();
    let degraded = server.run(&["health", "--json"]);
    watching.signal("CONT");
    assert_eq!(degraded.code, Some(1), "{degraded:?}");
    assert!(degraded.out.contains("draining"), "{degraded:?}");
    run(&["health", "--admin-url", "http://127.0.0.1:1"]).fails(1, &["tidings serve"]);
}

#[test]
fn a_drained_server_ends_well() {
    for is_json in [false, true] {
        let server = Server::start();
        let watching = server.subscribe(&["a"]);
        let told = if is_json {
            let told = server.run(&["drain", "--json"]).json();
            assert_eq!(told[0]["clients"], 1);
            String::new()
        } else {
            server.run(&["drain"]).ok()
        };
        assert!(is_json || told.starts_with("draining: 1 client "), "{told}");
        server.process.finish().ok();
        watching.says("connecting again");
    }
    let server = Server::start();
    server.run(&["drain"]).ok();
    server.process.finish().ok();
}

#[test]
fn the_admin_token_is_asked_for_and_taken() {
    let path = file("tidings.toml", b"[admin]\ntoken_env = \"TIDINGS_ADMIN_TOKEN\"\n");
    let mut serve = super::program::command(&[
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--config",
        path.to_str().unwrap(),
    ]);
    serve.env("TIDINGS_ADMIN_TOKEN", "s3cret-s3cret-s3cret-s3cret-s3cret");
    let mut process = super::program::Running::start(serve);
    let admin = process.json()["admin"].as_str().unwrap().to_owned();
    let streams = ["streams", "--admin-url", &admin];
    run(&streams).fails(1, &["unauthorized", "--admin-token"]);
    let token = ["--admin-token", "s3cret-s3cret-s3cret-s3cret-s3cret"];
    run(&[&streams[..], &token].concat()).ok();
}

#[test]
fn a_load_is_put_on_a_server_and_measured() {
    let server = Server::start();
    let load = ["bench", "--connections", "10", "--rate", "100", "--duration", "1s"];
    let found = server.run(&[&load[..], &["--json"]].concat()).json();
    let of = |name: &str| found[0][name].clone();
    assert_eq!(
        (of("published"), of("delivered"), of("expected")),
        (100.into(), 1_000.into(), 1_000.into())
    );
    assert!(of("latency_ms")["p50"].as_f64().unwrap() <= of("latency_ms")["max"].as_f64().unwrap());
    let told = server.run(&load).ok();
    assert!(told.contains("1000 of 1000") && told.contains("p99"), "{told}");
    // Clients without a token may not publish, unless they are allowed to.
    server.run(&[&load[..], &["--publish-at", "endpoint"]].concat()).fails(1, &["forbidden"]);
    server.run(&["bench", "--topic", "a..b"]).fails(2, &["a..b"]);
    server.run(&["bench", "--duration", "1ms"]).fails(2, &["between 1s and 1h"]);
}
