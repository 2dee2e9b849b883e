use serde_json::{Value, json};

use super::program::{Running, Server, file, run};

/// The id of the only connection.
fn only_connection(server: &Server) -> String {
    let found = server.connections();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn events_are_printed_as_they_come() {
    let server = Server::start();
    let mut people = server.subscribe(&["news.>", "app.*"]);
    let mut programs = server.subscribe(&["news.>", "--json"]);
    let mut raw = server.subscribe(&["news.>", "--raw"]);
    server.publish("app.x.y", "0");
    server.publish("news.local", "{\"headline\": \"grün\"}");
    let line = people.line();
    let parts: Vec<&str> = line.splitn(3, ' ').collect();
    assert!(parts[0].ends_with('Z') && parts[0].len() == 24, "{line}");
    assert_eq!(parts[1..], ["news.local", "{\"headline\": \"grün\"}"]);
    let event = programs.json();
    let fields: Vec<&String> = event.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["data", "seq", "stream", "time", "topic"]);
    assert_eq!(event["topic"], "news.local");
    assert_eq!(event["stream"], "default");
    assert_eq!(event["seq"], 2);
    assert_eq!(raw.line(), "{\"headline\": \"grün\"}");
    for running in [people, programs, raw] {
        running.signal("INT");
        running.finish().ok();
    }
}

#[test]
fn a_subscription_starts_where_it_is_told() {
    let server = Server::start();
    let began = server.run(&["publish", "n", "1", "--json"]).json().remove(0);
    for n in ["2", "3"] {
        server.publish("n", n);
    }
    let epoch = began["epoch"].as_str().unwrap();
    let got = |args: &[&str], count: &str| {
        let all = [&["subscribe", ">", "--raw", "--count", count], args].concat();
        server.run(&all).ok().lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(got(&["--last", "2"], "2"), "2 3");
    assert_eq!(got(&["--since", "10m"], "3"), "1 2 3");
    assert_eq!(got(&["--since", "2020-01-01"], "3"), "1 2 3");
    assert_eq!(got(&["--since", "0"], "1"), "1");
    assert_eq!(got(&["--after", &format!("default:{epoch}:1")], "2"), "2 3");
    assert_eq!(got(&["--last", "3", "--latest"], "1"), "3");
    assert_eq!(got(&["--last", "3", "--max-rate", "5"], "1"), "3");
    assert_eq!(got(&[], "0"), "");
}

#[test]
fn a_position_of_another_epoch_is_a_gap() {
    let server = Server::start();
    server.publish("n", "1");
    let mut watching = server.subscribe(&["n", "--json", "--after", "default:0000000000000:7"]);
    let gap = watching.json();
    assert_eq!(gap["gap"]["stream"], "default");
    assert_eq!(gap["gap"]["reason"], "epoch");
    assert_eq!((&gap["gap"]["from"], &gap["gap"]["to"]), (&json!(1), &json!(0)));
    assert_eq!(watching.json()["data"], 1);
}

#[test]
fn a_position_in_a_stream_that_is_not_watched_is_refused() {
    let server = Server::start();
    let told = server.run(&["subscribe", "n", "--after", "nostream:abc:3"]);
    told.fails(2, &["--after names the stream nostream", "reach only default"]);
}

#[test]
fn a_closed_connection_is_made_again_and_goes_on_where_it_was() {
    let server = Server::start();
    let mut watching = server.subscribe(&["n", "--json", "--device", "desk"]);
    let mut expected = Vec::new();
    for round in 0..3 {
        for n in 0..3 {
            let n = round * 10 + n;
            server.publish("n", &n.to_string());
            expected.push(n);
        }
        let id = only_connection(&server);
        server.run(&["disconnect", &id]).ok();
        // Most likely while nobody is connected.
        let n = round * 10 + 9;
        server.publish("n", &n.to_string());
        expected.push(n);
        super::program::until("another connection", || {
            server.connections().iter().any(|one| one["id"] != id.as_str())
        });
    }
    let got: Vec<Value> = expected.iter().map(|_| watching.json()["data"].clone()).collect();
    assert_eq!(got, expected);
    watching.says("closed by an operator");
    watching.says("connected again");
    watching.signal("TERM");
    let rest = watching.finish();
    assert_eq!(rest.ok(), "", "an event came twice");
}

#[test]
fn a_server_that_starts_anew_is_a_gap_and_not_the_end() {
    let server = Server::start();
    let mut watching = server.subscribe(&["n", "--json"]);
    server.publish("n", "1");
    assert_eq!(watching.json()["data"], 1);
    let server = server.restart();
    watching.says("connecting again");
    watching.says("connected again");
    server.publish("n", "2");
    assert_eq!(watching.json()["gap"]["reason"], "epoch");
    assert_eq!(watching.json()["data"], 2);
}

#[test]
fn whoever_has_seen_enough_ends_it_quietly() {
    let server = Server::start();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "\"$0\" subscribe n --raw --url \"$1\" | head -n 1; echo over"])
        .arg(tidings_tests::harness::server::program())
        .arg(&server.public);
    let mut watching = Running::start(command);
    super::program::until("a subscription", || server.connections().len() == 1);
    server.publish("n", "1");
    assert_eq!(watching.line(), "1");
    // The next one finds the pipe closed.
    super::program::until("the end", || {
        server.publish("n", "2");
        server.connections().is_empty()
    });
    let ended = watching.finish();
    assert_eq!(ended.err, "");
    assert_eq!(ended.ok(), "over\n");
}

#[test]
fn a_reader_that_is_stuck_does_not_keep_it_from_ending() {
    let server = Server::start();
    let mut command = server.command(&["subscribe", "n", "--raw"]);
    command.stdout(std::process::Stdio::piped());
    let mut watching = command.spawn().unwrap();
    super::program::until("a subscription", || server.connections().len() == 1);
    let lines = format!("{}\n", "x".repeat(1_000)).repeat(2_000);
    server.run_with_input(&["publish", "n", "-"], lines.as_bytes()).ok();
    let id = watching.id().to_string();
    std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap();
    let mut code = None;
    super::program::until("the end", || {
        code = watching.try_wait().unwrap().and_then(|status| status.code());
        code.is_some()
    });
    assert_eq!(code, Some(0));
}

#[test]
fn texts_of_others_do_not_steer_the_terminal() {
    let server = Server::start();
    let mut watching = server.subscribe(&["n"]);
    server.publish("n", "\"a\u{9b}31mb\u{202e}\"");
    assert!(watching.line().ends_with(" n \"a\\u009b31mb\\u202e\""));
    server.run(&["disconnect", "\u{1b}[31m"]).fails(1, &["u{1b}"]);
}

#[test]
fn a_device_goes_on_behind_what_it_printed() {
    let server = Server::start();
    for n in 1..=5 {
        server.publish("n", &n.to_string());
    }
    let stored = |count: &str| {
        let arguments =
            ["subscribe", "n", "--stored", "--device", "archive", "--raw", "--count", count];
        server.run(&arguments).ok()
    };
    assert_eq!(stored("2"), "1\n2\n");
    assert_eq!(stored("1"), "3\n");
    server.publish("n", "6");
    assert_eq!(stored("3"), "4\n5\n6\n");
}

#[test]
fn that_acknowledgements_are_refused_is_told_once() {
    // A hello and a subscribe, and the next message is too many.
    let limited = b"[[endpoint]]\npath = \"/v1/ws\"\nlimits = { messages = \"2/h\" }\n";
    let config = file("tidings.toml", limited);
    let server = Server::with(&["--config", config.to_str().unwrap()]);
    let arguments = ["n", "--stored", "--device", "archive", "--raw"];
    let mut watching = server.subscribe(&arguments);
    for n in 1..=3 {
        server.publish("n", &n.to_string());
        assert_eq!(watching.line(), n.to_string());
        watching.says("could not be acknowledged");
    }
    watching.signal("INT");
    let told = watching.finish();
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(told.err.matches("could not be acknowledged").count(), 1, "{told:?}");
    assert!(told.err.contains("rate_limited"), "the server's reason: {told:?}");
    // Also where it is the last thing that happens.
    let last = server.run(&[&["subscribe"], &arguments[..], &["--count", "3"]].concat());
    assert_eq!((last.code, last.out.as_str()), (Some(0), "1\n2\n3\n"), "{last:?}");
    assert!(last.err.contains("could not be acknowledged"), "{last:?}");
}

#[test]
fn what_cannot_be_subscribed_to_is_wrong_usage() {
    run(&["subscribe"]).fails(2, &["PATTERN"]);
    run(&["subscribe", "a.>.b"]).fails(2, &["a.>.b"]);
    run(&["subscribe", "a", "--stored"]).fails(2, &["--stored", "--device"]);
    run(&["subscribe", "a", "--last", "1", "--since", "1m"]).fails(2, &["--since"]);
    run(&["subscribe", "a", "--since", "yesterday"]).fails(2, &["10m"]);
    run(&["subscribe", "a", "--after", "here"]).fails(2, &["stream:epoch:seq"]);
    run(&["subscribe", "a", "--max-rate", "0"]).fails(2, &["rate"]);
    run(&["subscribe", "a", "--raw", "--json"]).fails(2, &["--raw"]);
    run(&["subscribe", "a", "--url", "http://127.0.0.1:1"]).fails(1, &["tidings serve", "--url"]);
}

#[test]
fn what_the_server_refuses_is_told() {
    let server = Server::start();
    let failed = server.run(&["subscribe", "a", "--url", &server.admin]);
    failed.fails(1, &["error:", "hint:"]);
    server.run(&["subscribe", "$system.>"]).fails(1, &["forbidden"]);
}

#[test]
fn a_filter_leaves_out_what_does_not_hold() {
    let server = Server::start();
    for n in ["1", "2", "3", "4"] {
        server.publish("n", &format!("{{\"n\":{n}}}"));
    }
    let filter = r#"{"not":{"field":"/n","op":"in","value":[2,4]}}"#;
    let args = ["subscribe", "n", "--raw", "--last", "9", "--count", "2", "--filter", filter];
    assert_eq!(server.run(&args).ok(), "{\"n\":1}\n{\"n\":3}\n");
    let wrong = ["subscribe", "n", "--filter", r#"{"field":"/n","op":"is","value":1}"#];
    server.run(&wrong).fails(2, &["--filter.op must be one of eq"]);
}

#[test]
fn bytes_come_back_as_they_were_published() {
    let server = Server::start();
    let bytes = [0xff, 0xd8, b'\n', 0, 0xfe];
    let path = super::program::file("frame", &bytes);
    let path = path.to_str().unwrap();
    let publish = ["publish", "camera", "--file", path, "--content-type", "image/jpeg"];
    server.run(&publish).ok();
    let subscribe =
        |form: &str| server.run(&["subscribe", "camera", "--last", "1", "--count", "1", form]);
    // What is no text is shown as such by the test, not by the program.
    let shown = [&bytes[..], b"\n"].concat();
    assert_eq!(subscribe("--raw").ok(), String::from_utf8_lossy(&shown));
    let event = subscribe("--json").json().remove(0);
    assert_eq!(event["data"], json!({ "content_type": "image/jpeg", "base64": "/9gKAP4=" }));
    let people = server.run(&["subscribe", "camera", "--last", "1", "--count", "1"]).ok();
    assert!(people.ends_with(" camera <image/jpeg, 5 B>\n"), "{people}");
}
