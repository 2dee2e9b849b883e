use super::program::{Running, Server, file, run, run_with_input};

#[test]
fn data_that_is_json_is_json_and_the_rest_are_strings() {
    let server = Server::start();
    for (args, data) in [
        (vec!["{\"a\": 1.50}"], "{\"a\": 1.50}"),
        (vec![" [1,2] "], "[1,2]"),
        (vec!["-5"], "-5"),
        (vec!["hello"], "\"hello\""),
        (vec!["{nothing"], "\"{nothing\""),
        (vec![""], "\"\""),
        (vec!["5", "--string"], "\"5\""),
        (vec!["\"grün\""], "\"grün\""),
    ] {
        let position = server.run(&[vec!["publish", "a.b"], args].concat()).ok();
        let position = position.trim_end();
        let (before, seq) = position.rsplit_once(':').unwrap();
        let before = format!("{before}:{}", seq.parse::<u64>().unwrap() - 1);
        let got = server.run(&["subscribe", "a.b", "--after", &before, "--count", "1", "--raw"]);
        assert_eq!(got.ok(), format!("{data}\n"));
    }
}

#[test]
fn programs_get_the_answer_as_json() {
    let server = Server::start();
    let first = server.run(&["publish", "a", "1", "--id", "x", "--json"]).json();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["stream"], "default");
    assert_eq!(first[0]["seq"], 1);
    assert_eq!(first[0]["duplicate"], false);
    assert_eq!(first[0]["durability"], "memory");
    let again = server.run(&["publish", "a", "1", "--id", "x", "--json"]).json();
    assert_eq!(again[0]["seq"], 1);
    assert_eq!(again[0]["duplicate"], true);
    server.run(&["publish", "a", "2", "--id", "x"]).fails(1, &["id_conflict"]);
}

#[test]
fn audiences_are_kept() {
    let server = Server::start();
    for (option, value) in [("--user", "ada"), ("--group", "staff")] {
        server.run(&["publish", "a", "1", option, value]).ok();
    }
    assert_eq!(server.run(&["history", "a"]).ok(), "");
    server.run(&["publish", "a", "1", "--user", "a", "--group", "b"]).fails(2, &["--group"]);
    server.run(&["publish", "a", "1", "--client", "me"]).fails(2, &["--client"]);

    let mut watching = server.subscribe(&["a", "--raw"]);
    let id = server.connections()[0]["id"].as_str().unwrap().to_owned();
    server.run(&["publish", "a", "2", "--client", &id]).ok();
    assert_eq!(watching.line(), "2");
}

#[test]
fn files_are_published_as_bytes() {
    let server = Server::start();
    let path = file("picture", &[0xff, 0, b'x']);
    let path = path.to_str().unwrap();
    let options = ["publish", "camera.front", "--file", path, "--content-type", "image/jpeg"];
    server.run(&options).ok();
    let shown = server.run(&["history", "camera.front"]).ok();
    assert!(shown.ends_with(" camera.front <image/jpeg, 3 B>\n"), "{shown}");
    let event = &server.run(&["subscribe", ">", "--last", "1", "--count", "1", "--json"]).json()[0];
    assert_eq!(event["data"]["content_type"], "image/jpeg");
    assert_eq!(event["data"]["base64"], "/wB4");

    let json = ["publish", "a", "--file", "-", "--content-type", "application/json"];
    server.run_with_input(&json, b"{\"b\": 2}").ok();
    assert!(server.run(&["history", "a"]).ok().ends_with(" a {\"b\": 2}\n"));
    server.run(&["publish", "a", "--file", "/does/not/exist"]).fails(1, &["/does/not/exist"]);
    server.run(&["publish", "a", "1", "--file", path]).fails(2, &["--file"]);
}

#[test]
fn ten_thousand_lines_keep_their_order() {
    let server = Server::start();
    let lines: String = (1..=10_000).map(|n| format!("{n}\n")).collect();
    let answers = server.run_with_input(&["publish", "n", "-", "--json"], lines.as_bytes()).json();
    assert_eq!(answers.len(), 10_000);
    assert!(answers.iter().zip(1..).all(|(answer, seq): (_, u64)| answer["seq"] == seq));
    let options = ["subscribe", "n", "--last", "10000", "--count", "10000", "--raw"];
    assert_eq!(server.run(&options).ok(), lines);
}

#[test]
fn lines_go_out_as_they_come() {
    let server = Server::start();
    let mut watching = server.subscribe(&["n", "--raw"]);
    let mut command = server.command(&["publish", "n", "-"]);
    command.stdin(std::process::Stdio::piped());
    let (keep, mut pipe) = pipe(command);
    for line in ["one", "two"] {
        use std::io::Write as _;
        pipe.write_all(format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(watching.line(), format!("\"{line}\""));
    }
    drop(pipe);
    let position = keep.finish().ok();
    assert!(position.starts_with("default:") && position.ends_with(":2\n"), "{position}");
}

fn pipe(command: std::process::Command) -> (Running, std::process::ChildStdin) {
    let mut running = Running::start(command);
    let stdin = running.stdin();
    (running, stdin)
}

#[test]
fn empty_lines_are_skipped_and_line_ends_taken_off() {
    let server = Server::start();
    server.run_with_input(&["publish", "n", "-", "--string"], b"1\r\n\n\r\nb\nc").ok();
    let all = server.run(&["subscribe", "n", "--last", "9", "--count", "3", "--raw"]).ok();
    assert_eq!(all, "\"1\"\n\"b\"\n\"c\"\n");
}

#[test]
fn a_line_that_is_refused_is_told_and_the_others_go_on() {
    let server = Server::start();
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let large = "x".repeat(2 << 20);
    let input = format!("1\n{deep}\n{large}\n4\n");
    let failed = server.run_with_input(&["publish", "n", "-", "--json"], input.as_bytes());
    let lines: Vec<serde_json::Value> =
        failed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1]["line"], 2);
    assert_eq!(lines[2]["error"]["code"], "too_large");
    failed.fails(1, &["line 2", "line 3", "2 of 4 lines"]);
    let all = server.run(&["subscribe", "n", "--last", "9", "--count", "2", "--raw"]).ok();
    assert_eq!(all, "1\n4\n");
}

#[test]
fn lines_before_one_that_is_not_text_are_published() {
    let server = Server::start();
    let failed = server.run_with_input(&["publish", "n", "-"], b"1\n\xff\n3\n");
    failed.fails(1, &["line 2 is not UTF-8"]);
    assert!(server.run(&["history", "n"]).ok().ends_with(" n 1\n"));
}

#[test]
fn lines_wait_for_a_server_that_starts_anew() {
    let server = Server::start();
    let mut command = server.command(&["publish", "n", "-"]);
    command.stdin(std::process::Stdio::piped());
    let (publishing, mut stdin) = pipe(command);
    use std::io::Write as _;
    stdin.write_all(b"1\n").unwrap();
    super::program::until("the first line", || {
        server.run(&["history", "n"]).ok().ends_with(" n 1\n")
    });
    let server = server.restart_with(|| {
        stdin.write_all(b"2\n").unwrap();
        publishing.says("trying again");
    });
    drop(stdin);
    publishing.finish().ok();
    assert!(server.run(&["history", "n"]).ok().ends_with(" n 2\n"));
}

#[test]
fn without_a_server_there_is_a_hint() {
    let nowhere = ["--admin-url", "http://127.0.0.1:1"];
    let hint = ["hint:", "tidings serve", "--admin-url"];
    run(&[&["publish", "a", "1"][..], &nowhere].concat()).fails(1, &hint);
    run_with_input(&[&["publish", "a", "-"][..], &nowhere].concat(), b"1\n").fails(1, &hint);
}

#[test]
fn what_cannot_be_published_is_wrong_usage() {
    run(&["publish", "a..b", "1"]).fails(2, &["a..b"]);
    run(&["publish", "a.*", "1"]).fails(2, &["a.*"]);
    run_with_input(&["publish", "a..b", "-"], b"1\n").fails(2, &["a..b"]);
    run(&["publish", "a"]).fails(2, &["DATA"]);
    run(&["publish", "a", "-", "--id", "x"]).fails(2, &["--id"]);
    run(&["publish", "a", "1", "--admin-url", "https://x"]).fails(2, &["TLS"]);
}
