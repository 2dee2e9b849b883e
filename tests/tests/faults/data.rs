//! A directory that outlives the servers that use it.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_tests::harness::server::temporary_directory;
use tidings_tests::harness::{Reply, TestServer, http};

/// A data directory.
pub(crate) struct Data(TempDir);

impl Data {
    pub(crate) fn new() -> Self {
        Self(temporary_directory())
    }

    /// A configuration with the streams `fsync` and `buffered`.
    pub(crate) fn config(&self) -> String {
        config_in(&self.0.path().join("data").to_string_lossy())
    }

    pub(crate) async fn serve(&self) -> TestServer {
        TestServer::spawn(&self.config()).await
    }

    /// Serves with a fault injected by strace(1) into a system call on the log of stream `fsync`;
    /// nothing where there is no strace, which is said.
    pub(crate) async fn serve_with(&self, row: &str, inject: &str) -> Option<TestServer> {
        if std::process::Command::new("strace").arg("-V").output().is_err() {
            crate::tried(row, 0, "not tried: there is no strace");
            return None;
        }
        let (log, trace) = (self.log("fsync"), self.trace());
        let (log, trace) = (log.to_string_lossy(), trace.to_string_lossy());
        let inject = format!("inject={inject}");
        // With -D the server is the child itself, and not strace.
        let strace = ["strace", "-D", "-f", "-qq", "-P", &log, "-o", &trace, "-e", &inject];
        Some(TestServer::spawn_under(&strace, &self.config()).await)
    }

    /// Where strace writes what it saw.
    pub(crate) fn trace(&self) -> PathBuf {
        self.0.path().join("trace")
    }

    /// The first file of a stream's log.
    pub(crate) fn log(&self, stream: &str) -> PathBuf {
        let name = format!("data/streams/{stream}/{:020}.log", 1);
        self.0.path().join(name)
    }
}

/// The same streams in any directory.
pub(crate) fn config_in(directory: &str) -> String {
    let stream = |name: &str| {
        format!(
            "[[stream]]\nname = \"{name}\"\ntopics = [\"{name}.>\"]\ndurability = \"{name}\"\n\
             retain = {{ bytes = \"512MiB\" }}\n"
        )
    };
    format!("[broker]\ndir = \"{directory}\"\n{}{}", stream("fsync"), stream("buffered"))
}

/// Publishes one event; the answer, whatever it is.
pub(crate) async fn publish(server: &TestServer, topic: &str, data: Value) -> Reply {
    http::post(server.admin, "/v1/publish", &json!({ "topic": topic, "data": data })).await
}

/// Every event of a stream: seq and data.
pub(crate) async fn events(server: &TestServer, stream: &str) -> Vec<(u64, Value)> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let path = format!("/v1/streams/{stream}/events?after={after}&limit=1000");
        let page = server.get(&path).await;
        for event in page["events"].as_array().unwrap() {
            events.push((event["seq"].as_u64().unwrap(), event["data"].clone()));
        }
        after = page["after"].as_u64().unwrap();
        if page["more"] == false {
            return events;
        }
    }
}
