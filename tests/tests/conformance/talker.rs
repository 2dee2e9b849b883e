use serde_json::{Value, json};
use tidings_tests::harness::{Socket, TestServer};

use crate::spoken::Spoken;

/// Starts a server with an endpoint of the dialect; `limits` is an inline table.
pub(crate) fn serve(spoken: &Spoken, limits: &str) -> TestServer {
    let Spoken { dialect, path, .. } = spoken;
    let root = if *dialect == "native" { String::new() } else { format!("root = \"{dialect}\"\n") };
    TestServer::start(&format!(
        "[[endpoint]]\npath = \"{path}\"\ndialect = \"{dialect}\"\n{root}auth = \"none\"\n\
         heartbeat = \"200ms\"\nremember = \"5m\"\n{limits}\n\
         [[stream]]\nname = \"all\"\ntopics = [\"{dialect}.>\"]\n"
    ))
}

/// A client of any dialect.
pub(crate) struct Talker<'a> {
    spoken: &'a Spoken,
    pub(crate) socket: Socket,
    /// The cookie by which it is known again.
    pub(crate) cookie: String,
}

impl<'a> Talker<'a> {
    pub(crate) async fn connect(spoken: &'a Spoken, server: &TestServer) -> Self {
        Self::connect_with(spoken, server, "").await
    }

    /// Connects with a token.
    pub(crate) async fn connect_as(spoken: &'a Spoken, server: &TestServer, token: &str) -> Self {
        let path = format!("{}?token={token}", spoken.path);
        Self::open(spoken, server, &path, "").await
    }

    /// Connects with more headers, each ended by CRLF.
    pub(crate) async fn connect_with(
        spoken: &'a Spoken,
        server: &TestServer,
        headers: &str,
    ) -> Self {
        Self::open(spoken, server, spoken.path, headers).await
    }

    async fn open(spoken: &'a Spoken, server: &TestServer, path: &str, headers: &str) -> Self {
        let socket = Socket::open_unwelcomed(server.public, path, headers).await.unwrap();
        let cookie = socket.cookie().unwrap_or_default();
        Self { spoken, socket, cookie }
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.socket.send(message).await;
    }

    /// What was sent so far has been carried out; what came meanwhile.
    pub(crate) async fn settle(&mut self) -> Vec<Value> {
        let (question, is_answer) = self.spoken.ask;
        self.socket.send_text(question).await;
        let mut before = Vec::new();
        loop {
            let message = self.socket.json().await;
            if is_answer(&message) {
                return before;
            }
            before.push(message);
        }
    }

    pub(crate) async fn subscribe(&mut self, names: &[&str]) {
        self.send(&(self.spoken.subscribe)(names)).await;
        let before = self.settle().await;
        assert!(!before.iter().any(|message| (self.spoken.is_error)(message)), "{before:?}");
    }

    pub(crate) async fn unsubscribe(&mut self, names: &[&str]) {
        self.send(&(self.spoken.unsubscribe)(names)).await;
        let before = self.settle().await;
        assert!(!before.iter().any(|message| (self.spoken.is_error)(message)), "{before:?}");
    }

    /// The next event, whatever else comes before it.
    pub(crate) async fn event(&mut self) -> (String, u64) {
        loop {
            let message = self.socket.json().await;
            if let Some((name, data)) = (self.spoken.event)(&message) {
                return (name, data["n"].as_u64().unwrap());
            }
        }
    }

    /// The numbers of the next so many events.
    pub(crate) async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            numbers.push(self.event().await.1);
        }
        numbers
    }

    /// The next error, whatever else comes before it.
    pub(crate) async fn error(&mut self) -> Value {
        loop {
            let message = self.socket.json().await;
            if (self.spoken.is_error)(&message) {
                return message;
            }
        }
    }

    /// Waits for a ping, answers it, and knows that the answer has arrived.
    pub(crate) async fn confirm(&mut self) {
        self.socket.pong().await;
        self.settle().await;
    }

    /// The connection is cut without a farewell.
    pub(crate) fn cut(self) {
        self.socket.cut();
    }
}

/// Publishes numbered events of a name.
pub(crate) async fn publish(server: &TestServer, spoken: &Spoken, name: &str, numbers: &[u64]) {
    for number in numbers {
        server.publish(&spoken.topic(name), json!({ "n": number })).await;
    }
}
