//! Publishers that go on until the server is gone, and remember what they were told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tidings_tests::harness::TestServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What was published under each id: the stream, the data, and the answer where one came.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<BTreeMap<String, Published>>>);

#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) body: Value,
    pub(crate) answer: Option<Value>,
}

impl Told {
    pub(crate) fn all(&self) -> BTreeMap<String, Published> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.0.lock().unwrap().values().filter(|one| one.answer.is_some()).count()
    }

    /// Starts so many publishers to both streams; `round` makes their ids differ from those before.
    pub(crate) fn start(&self, server: &TestServer, round: u32, count: u32) -> Vec<JoinHandle<()>> {
        let publisher = |number| {
            let (told, address) = (self.clone(), server.admin);
            tokio::spawn(async move {
                // It ends with the server.
                let _ = told.publish(address, &format!("{round}-{number}")).await;
            })
        };
        (0..count).map(publisher).collect()
    }

    async fn publish(&self, address: std::net::SocketAddr, prefix: &str) -> std::io::Result<()> {
        for n in 0.. {
            let id = format!("{prefix}-{n}");
            let stream = ["fsync", "buffered"][n % 2];
            let body = json!({ "topic": format!("{stream}.t"), "data": id, "id": id });
            let published = Published { body: body.clone(), answer: None };
            self.0.lock().unwrap().insert(id.clone(), published);
            let text = body.to_string();
            let head =
                format!("POST /v1/publish HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
            let request = format!("{head}Content-Length: {}\r\n\r\n{text}", text.len());
            let mut socket = TcpStream::connect(address).await?;
            socket.write_all(request.as_bytes()).await?;
            let mut reply = Vec::new();
            socket.read_to_end(&mut reply).await?;
            let reply = String::from_utf8_lossy(&reply);
            let Some((head, body)) = reply.split_once("\r\n\r\n") else { return Ok(()) };
            if !head.starts_with("HTTP/1.1 200 ") {
                return Ok(());
            }
            let Ok(answer) = serde_json::from_str::<Value>(body) else { return Ok(()) };
            if let Some(one) = self.0.lock().unwrap().get_mut(&id) {
                one.answer = Some(answer);
            }
        }
        Ok(())
    }
}
