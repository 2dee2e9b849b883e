use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tidings_tests::harness::server::free_address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a backend does with a request.
pub(crate) enum Deed {
    /// Answers: the status line's rest and headers, and a body.
    Say(&'static str, String),
    /// Says nothing, for ever.
    Hang,
    /// Ends the connection.
    Break,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Asked {
    /// The value of a header, named in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

type Requests = Arc<Mutex<Vec<Asked>>>;

/// A backend over HTTP, gone when this is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    requests: Requests,
    accepting: JoinHandle<()>,
}

impl Backend {
    /// Does with the nth request, from 0, what `deed` says.
    pub(crate) async fn start(
        deed: impl Fn(usize, &Asked) -> Deed + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(free_address(), deed).await
    }

    /// The same at an address.
    pub(crate) async fn start_at(
        address: SocketAddr,
        deed: impl Fn(usize, &Asked) -> Deed + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (requests, deed) = (Requests::default(), Arc::new(deed));
        let kept = requests.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (requests, deed) = (kept.clone(), deed.clone());
                tokio::spawn(async move { serve(stream, &requests, &*deed).await });
            }
        });
        Self { address, requests, accepting }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/commands", self.address)
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One request per connection.
async fn serve(
    mut stream: TcpStream,
    requests: &Requests,
    deed: &(dyn Fn(usize, &Asked) -> Deed + Send + Sync),
) {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8(read.drain(..head_end).collect()).unwrap();
    let mut asked = Asked { head, body: Value::Null };
    let length: usize = asked.header("content-length").unwrap().parse().unwrap();
    while read.len() < length {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
    asked.body = serde_json::from_slice(&read).unwrap();
    let at = {
        let mut requests = requests.lock().unwrap();
        requests.push(asked.clone());
        requests.len() - 1
    };
    match deed(at, &asked) {
        Deed::Say(head, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}");
            let answer = format!("{head}\r\n\r\n{body}");
            // Who asked may not want all of it.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Deed::Hang => pending().await,
        Deed::Break => {}
    }
}

/// The usual answer.
pub(crate) fn ok(body: impl Into<String>) -> Deed {
    Deed::Say("200 OK\r\nContent-Type: application/json", body.into())
}
