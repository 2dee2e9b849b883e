use serde_json::json;
use tidings_tests::harness::TestServer;
use tidings_tests::harness::server::free_address;

use super::program::{Running, command, run, run_with_input};
use super::{OPEN, start};

/// `tidings handle` that handles already.
fn handling(server: &TestServer, args: &[&str]) -> Running {
    let url = format!("http://{}", server.public);
    let all = [&["handle", "--url", &url][..], args].concat();
    let running = Running::start(command(&all));
    running.says("handling");
    running
}

fn calling(server: &TestServer, args: &[&str]) -> super::program::Outcome {
    let url = format!("http://{}", server.admin);
    run(&[&["call", "--admin-url", &url][..], args].concat())
}

#[tokio::test]
async fn a_program_answers_commands() {
    let server = start("").await;
    let script = "read data; echo \"{\\\"command\\\":\\\"$TIDINGS_COMMAND\\\",\
        \\\"user\\\":\\\"$TIDINGS_USER\\\",\\\"data\\\":$data}\"";
    let mut trainer = handling(&server, &["trainer.*", "--json", "--", "sh", "-c", script]);
    let out = calling(&server, &["trainer.pause", "{\"run\":1}", "--user", "ada"]).ok();
    assert_eq!(out, "{\"command\":\"trainer.pause\",\"user\":\"ada\",\"data\":{\"run\":1}}\n");
    let told = trainer.json();
    assert_eq!((&told["command"], &told["ok"]), (&json!("trainer.pause"), &json!(true)));
    let out = calling(&server, &["trainer.stop", "hello", "--json"]).json();
    assert_eq!(out[0]["data"]["data"], "hello");

    let _echo = handling(&server, &["echo", "--", "cat"]);
    assert_eq!(calling(&server, &["echo", "[1.0, 2]"]).ok(), "[1.0, 2]\n");
    assert_eq!(calling(&server, &["echo"]).ok(), "null\n");
    let url = format!("http://{}", server.admin);
    let args = ["call", "--admin-url", &url, "echo", "-"];
    assert_eq!(run_with_input(&args, b"{\"a\":1}\n").ok(), "{\"a\":1}\n");
}

#[tokio::test]
async fn what_goes_wrong_has_an_exit_code_and_a_message() {
    let server = start("").await;
    let fails = "cat >/dev/null; echo 'first' >&2; echo 'no disk left' >&2; exit 3";
    let mut failing = handling(&server, &["fails", "--", "sh", "-c", fails]);
    calling(&server, &["fails"]).fails(1, &["command_failed", "no disk left"]);
    assert!(failing.line().contains("no disk left"));
    let _silly = handling(&server, &["silly", "--", "echo", "hello"]);
    calling(&server, &["silly"]).fails(1, &["not JSON"]);
    let _slow = handling(&server, &["slow", "--timeout", "50ms", "--", "sleep", "60"]);
    calling(&server, &["slow"]).fails(1, &["was killed"]);
    calling(&server, &["nobody"]).fails(1, &["no_handler", "try again in"]);
    calling(&server, &["a b"]).fails(2, &["is not a topic"]);
    let url = format!("http://{}", server.public);
    run(&["handle", "--url", &url, "a", "--", "no-such-program"]).fails(2, &["no-such-program"]);
    run(&["handle", "--url", &url, "a.>.b", "--", "cat"]).fails(2, &["is not a pattern"]);
    let closed = TestServer::spawn("").await;
    let url = format!("http://{}", closed.public);
    run(&["handle", "--url", &url, "a", "--", "cat"]).fails(1, &["forbidden", "hint: a role"]);
}

#[tokio::test]
async fn it_runs_as_many_programs_at_a_time_as_it_may() {
    let server = start("").await;
    // Each waits until the other one is there, too.
    let folder = tidings_tests::harness::server::temporary_directory();
    let script = format!(
        "cd {}; touch $$; while [ $(ls | wc -l) -lt 2 ]; do sleep 0.01; done; echo 1",
        folder.path().display()
    );
    let _both = handling(&server, &["both", "--at-once", "2", "--", "sh", "-c", &script]);
    let server = &server;
    let both = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| calling(server, &["both"]).ok()));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(both, ["1\n", "1\n"]);
}

#[tokio::test]
async fn it_handles_again_when_the_server_comes_back() {
    let addresses = [free_address(), free_address()];
    let server = TestServer::spawn_with(OPEN, None, addresses).await;
    let _echo = handling(&server, &["echo", "--", "cat"]);
    assert_eq!(calling(&server, &["echo", "1"]).ok(), "1\n");
    drop(server);
    let server = TestServer::spawn_with(OPEN, None, addresses).await;
    while server.metric("command_handlers").await == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calling(&server, &["echo", "2"]).ok(), "2\n");
}
