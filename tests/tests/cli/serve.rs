use std::net::TcpListener;

use super::program::{Running, Server, command, file, run};

#[test]
fn serve_prints_where_it_listens_and_a_signal_drains_it() {
    for signal in ["TERM", "INT"] {
        let any = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let mut serving = Running::start(command(&any));
        assert!(serving.line().starts_with("Tidings "));
        let public = serving.line();
        assert!(public.contains("clients  http://127.0.0.1:"), "{public}");
        assert!(serving.line().ends_with("/v1/ws (native)"));
        assert!(serving.line().contains("admin    http://127.0.0.1:"));
        serving.signal(signal);
        let ended = serving.finish();
        assert!(ended.err.contains("draining"), "{ended:?}");
        assert_eq!(ended.ok(), "");
    }
}

#[test]
fn serve_prints_json_for_programs() {
    let mut serving = Running::start(command(&[
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]));
    let urls = serving.json();
    let public = urls["public"].as_str().unwrap();
    let endpoint = &urls["endpoints"][0];
    assert_eq!(endpoint["path"], "/v1/ws");
    assert_eq!(endpoint["dialect"], "native");
    assert_eq!(endpoint["url"], format!("{}/v1/ws", public.replace("http", "ws")));
    assert!(urls["admin"].as_str().unwrap().starts_with("http://127.0.0.1:"));
}

#[test]
fn clients_are_sent_away_before_the_end() {
    let server = Server::start();
    let mut watching = server.subscribe(&[">", "--json"]);
    server.publish("a", "1");
    assert_eq!(watching.json()["data"], 1);
    server.end().ok();
    watching.says("connecting again");
    watching.signal("INT");
    watching.finish().ok();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Server::start();
    let watching = server.subscribe(&[">"]);
    // It does not leave while it is stopped.
    watching.signal("STOP");
    server.process.signal("INT");
    server.process.says("draining");
    server.process.signal("TERM");
    let ended = server.process.finish();
    watching.signal("CONT");
    ended.fails(1, &["ended at once"]);
}

#[test]
fn a_wrong_configuration_is_shown_where_it_is_wrong() {
    let path = file("tidings.toml", b"[listen]\npublik = \"127.0.0.1:0\"\n");
    for command in ["serve", "check"] {
        let failed = run(&[command, "--config", path.to_str().unwrap()]);
        failed.fails(2, &["tidings.toml:2:1", "publik", "^", "public"]);
    }
    run(&["serve", "--listen", "nowhere"]).fails(2, &["--listen nowhere"]);
    run(&["serve", "--config", "/does/not/exist.toml"]).fails(2, &["/does/not/exist.toml"]);
}

#[test]
fn the_file_of_the_directory_is_used_and_said() {
    let path =
        file("tidings.toml", b"[listen]\npublic = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    let mut here = command(&["serve"]);
    here.current_dir(path.parent().unwrap()).env("TIDINGS_NONSENSE", "1");
    let mut serving = Running::start(here);
    serving.line();
    serving.says("the configuration is tidings.toml");
    serving.says("TIDINGS_NONSENSE");
}

#[test]
fn an_address_in_use_is_an_error_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = run(&["serve", "--listen", &address, "--admin", "127.0.0.1:0"]);
    failed.fails(1, &[&address, "hint:", "--listen"]);
}

#[test]
fn a_profile_that_is_not_known_is_wrong_usage() {
    for args in [["serve", "--profile", "nothing"], ["check", "--profile", "nothing@127.0.0.1:1"]] {
        run(&args).fails(2, &["nothing", "profile", "known"]);
    }
    run(&["profile", "show", "nothing"]).fails(2, &["nothing"]);
    run(&["profile", "list"]).ok();
}

#[test]
fn a_reload_says_what_changed_and_a_wrong_one_changes_nothing() {
    let path = file("tidings.toml", b"");
    let server = Server::with(&["--config", path.to_str().unwrap()]);
    assert_eq!(server.run(&["reload"]).ok(), "reloaded: nothing changed\n");

    std::fs::write(&*path, "[log]\nlevel = \"debug\"\nformat = \"json\"\n").unwrap();
    let told = server.run(&["reload"]);
    assert!(told.err.contains("restarted"), "{told:?}");
    assert_eq!(told.ok(), "changed  log.level\nwaits    log.format\n");

    std::fs::write(&*path, "[log]\nlevel = \"loud\"\n").unwrap();
    server.run(&["reload"]).fails(1, &["tidings.toml:2:9", "loud", "^"]);
    server.process.signal("HUP");
    server.process.says("the old one stays");
    server.process.says("tidings.toml:2:9");
    server.run(&["health"]).ok();
}

#[test]
fn a_signal_reads_the_configuration_anew() {
    let path = file("tidings.toml", b"[log]\nlevel = \"error\"\n");
    let server = Server::with(&["--config", path.to_str().unwrap()]);
    std::fs::write(&*path, "[log]\nlevel = \"info\"\n").unwrap();
    server.process.signal("HUP");
    server.process.says("reloaded");
}

#[test]
fn logs_are_json_where_asked_for() {
    let path = file("tidings.toml", b"[log]\nformat = \"json\"\nlevel = \"debug\"\n");
    let server = Server::with(&["--config", path.to_str().unwrap()]);
    server.publish("a", "1");
    let ended = server.end();
    for line in ended.err.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(line["level"].is_string(), "{line}");
    }
    assert!(!ended.err.is_empty());
    ended.ok();
}
