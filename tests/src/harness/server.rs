use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::socket::narrow;
use super::{Encoding, EventSource, Reply, SOON, Socket, http};

/// A server on free ports of the loopback address. It is gone when this is dropped.
pub struct TestServer {
    /// For clients.
    pub public: SocketAddr,
    /// For publishing and the admin API.
    pub admin: SocketAddr,
    /// What its clients speak that are connected by this.
    pub encoding: Encoding,
    process: Process,
}

enum Process {
    Within(Option<tidings::Server>),
    Own { child: Child, directory: TempDir },
}

/// The configuration of a test: `rest` with listeners, and with the sections that most tests
/// want where it does not have them.
pub fn config(public: SocketAddr, admin: SocketAddr, rest: &str) -> String {
    let mut text = String::new();
    if !rest.contains("[listen]") {
        text += &format!("[listen]\npublic = \"{public}\"\nadmin = \"{admin}\"\n");
    }
    if !rest.contains("[server]") {
        // Clients of a test that is over would be waited for.
        text += "[server]\nworkers = 2\ndrain_deadline = \"0s\"\n";
    }
    if !rest.contains("[auth") {
        text += "[auth.roles.anonymous]\nsubscribe = [\">\"]\npublish = [\">\"]\n";
    }
    text + rest
}

/// Whether somebody listens there. Where nobody does, a socket may connect to itself: its own port
/// is any free one, and so is the one that it looks for.
async fn is_listening(address: SocketAddr) -> bool {
    match TcpStream::connect(address).await {
        Ok(stream) => stream.local_addr().is_ok_and(|own| own != address),
        Err(_) => false,
    }
}

impl TestServer {
    /// Starts a server within this process.
    pub fn start(rest: &str) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let text = config(any, any, rest);
        let server =
            tidings::Server::start(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let bound = server.bound();
        let process = Process::Within(Some(server));
        Self { public: bound.public, admin: bound.admin, encoding: Encoding::Json, process }
    }

    /// Starts a server within this process whose clients speak some encoding.
    pub fn speaking(encoding: Encoding, rest: &str) -> Self {
        let mut server = Self::start(rest);
        server.encoding = encoding;
        server
    }

    /// Starts the real program as a process of its own.
    pub async fn spawn(rest: &str) -> Self {
        Self::spawn_with(rest, None, [free_address(), free_address()]).await
    }

    /// Starts the real program with more environment variables.
    pub async fn spawn_with_environment(rest: &str, variables: &[(&str, &str)]) -> Self {
        let addresses = [free_address(), free_address()];
        let mut server = Self::begin(rest, None, addresses, variables, &[]);
        server.wait_until_ready().await;
        server
    }

    /// Starts the real program by another one, such as a tracer: `wrapper` is its command line.
    pub async fn spawn_under(wrapper: &[&str], rest: &str) -> Self {
        let addresses = [free_address(), free_address()];
        let mut server = Self::begin(rest, None, addresses, &[], wrapper);
        server.wait_until_ready().await;
        server
    }

    /// Starts the real program on given addresses, public and admin, with at most so many
    /// descriptors.
    pub async fn spawn_with(
        rest: &str,
        descriptors: Option<u32>,
        addresses: [SocketAddr; 2],
    ) -> Self {
        let mut server = Self::begin(rest, descriptors, addresses, &[], &[]);
        server.wait_until_ready().await;
        server
    }

    fn begin(
        rest: &str,
        descriptors: Option<u32>,
        [public, admin]: [SocketAddr; 2],
        variables: &[(&str, &str)],
        wrapper: &[&str],
    ) -> Self {
        let directory = temporary_directory();
        let file = directory.path().join("tidings.toml");
        std::fs::write(&file, config(public, admin, rest)).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let limit = descriptors.map_or("$(ulimit -Hn)".to_owned(), |count| count.to_string());
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""))
            .args(wrapper)
            .arg(program())
            .args(["serve", "--config"])
            .arg(&file)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let process = Process::Own { child, directory };
        Self { public, admin, encoding: Encoding::Json, process }
    }

    async fn wait_until_ready(&mut self) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.has_ended() {
                panic!("the server ended at once, {status}: {}", self.log());
            }
            if is_listening(self.admin).await
                && http::get(self.admin, "/readyz").await.status == 200
            {
                return;
            }
            assert!(started.elapsed() < SOON, "the server does not get ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the process wrote to its standard error.
    pub fn log(&self) -> String {
        let mut text = String::new();
        if let Process::Own { directory, .. } = &self.process
            && let Ok(mut file) = std::fs::File::open(directory.path().join("log"))
        {
            let _ = file.read_to_string(&mut text);
        }
        text
    }

    /// The configuration file of the process.
    pub fn config_file(&self) -> PathBuf {
        match &self.process {
            Process::Own { directory, .. } => directory.path().join("tidings.toml"),
            Process::Within(_) => panic!("a server within this process has no file"),
        }
    }

    /// The id of the process.
    pub fn process_id(&self) -> u32 {
        match &self.process {
            Process::Own { child, .. } => child.id(),
            Process::Within(_) => std::process::id(),
        }
    }

    /// How the process ended, where it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        match &mut self.process {
            Process::Own { child, .. } => child.try_wait().unwrap(),
            Process::Within(_) => None,
        }
    }

    /// Sends the process a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.process_id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.has_ended() {
                return status;
            }
            assert!(started.elapsed() < SOON, "the server does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The server of the library.
    pub fn library(&self) -> &tidings::Server {
        match &self.process {
            Process::Within(Some(server)) => server,
            _ => panic!("the server is a process of its own"),
        }
    }

    /// Takes the server of the library.
    pub fn into_library(mut self) -> tidings::Server {
        match &mut self.process {
            Process::Within(server) => server.take().unwrap(),
            Process::Own { .. } => panic!("the server is a process of its own"),
        }
    }

    /// Connects a WebSocket client.
    pub async fn connect(&self) -> Socket {
        self.connect_at("/v1/ws").await
    }

    /// Connects a WebSocket client to a path.
    pub async fn connect_at(&self, path: &str) -> Socket {
        self.connect_with(path, "").await
    }

    /// Connects a WebSocket client to a path with more headers, each ended by CRLF.
    pub async fn connect_with(&self, path: &str, headers: &str) -> Socket {
        let stream = TcpStream::connect(self.public).await.unwrap();
        Socket::speaking_with(self.encoding, stream, path, headers).await
    }

    /// Connects a WebSocket client with a receive buffer of so many bytes.
    pub async fn connect_narrow(&self, receive_bytes: u32) -> Socket {
        let stream = narrow(self.public, receive_bytes).await;
        Socket::speaking(self.encoding, stream, "/v1/ws").await
    }

    /// Connects a WebSocket client that subscribes from now on.
    pub async fn subscriber(&self, topics: &[&str]) -> Socket {
        let mut socket = self.connect().await;
        socket.subscribe(topics).await;
        socket
    }

    /// Opens server-sent events and takes the answer to the subscription.
    pub async fn events(&self, query: &str, last_id: Option<&str>) -> EventSource {
        let mut source = EventSource::open(self.public, query, last_id).await;
        let first = source.next().await;
        assert_eq!(first.name, "ok", "{first:?}");
        source
    }

    /// Publishes over HTTP; the answer.
    pub async fn publish(&self, topic: &str, data: Value) -> Value {
        let body = json!({ "topic": topic, "data": data });
        http::post(self.admin, "/v1/publish", &body).await.ok()
    }

    /// Publishes `numbers` as data to a topic, in arrays of many.
    pub async fn publish_numbers(&self, topic: &str, numbers: impl IntoIterator<Item = u64>) {
        let all: Vec<Value> =
            numbers.into_iter().map(|n| json!({ "topic": topic, "data": n })).collect();
        for part in all.chunks(500) {
            let answer = http::post(self.admin, "/v1/publish", &json!(part)).await.ok();
            let wrong = answer.as_array().unwrap().iter().find(|one| one.get("error").is_some());
            assert_eq!(wrong, None);
        }
    }

    /// `GET` on the admin listener, which must succeed.
    pub async fn get(&self, path: &str) -> Value {
        http::get(self.admin, path).await.ok()
    }

    /// `POST` on the admin listener.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        http::post(self.admin, path, body).await
    }

    /// A request to the admin listener without a body.
    pub async fn request(&self, method: &str, path: &str) -> Reply {
        http::send(self.admin, method, path, &[], b"").await
    }

    /// A figure of `/v1/metrics`.
    pub async fn metric(&self, name: &str) -> u64 {
        let metrics = self.get("/v1/metrics").await;
        metrics[name].as_u64().unwrap_or_else(|| panic!("no figure `{name}` in {metrics}"))
    }

    /// Waits until so many clients that dropped are remembered.
    pub async fn has_remembered(&self, count: u64) {
        super::eventually(&format!("{count} clients are remembered"), || async {
            self.metric("remembered_clients").await == count
        })
        .await;
    }

    /// Waits until so many clients are connected.
    pub async fn has_connections(&self, count: u64) {
        self.has_connections_within(count, SOON).await;
    }

    /// Waits until so many clients are connected, up to a time.
    pub async fn has_connections_within(&self, count: u64, time: Duration) {
        let started = Instant::now();
        loop {
            let found = self.metric("connections").await;
            if found == count {
                return;
            }
            assert!(started.elapsed() < time, "{found} connections instead of {count}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Process::Own { child, .. } = &mut self.process {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An address of the loopback interface that was free a moment ago, and that nobody gets by
/// asking for any: its port is below those that systems give out by themselves.
pub fn free_address() -> SocketAddr {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Test programs that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(997);
    for _ in 0..COUNT {
        let port = FIRST + begin.wrapping_add(GIVEN.fetch_add(1, Relaxed)) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}

/// A directory of a test's own, gone when this is dropped.
pub fn temporary_directory() -> TempDir {
    tempfile::Builder::new().prefix("tidings-test-").tempdir().unwrap()
}

/// The program under test: that of `TIDINGS_PROGRAM`, or else of this workspace, built anew where
/// it is out of date.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(given) = std::env::var_os("TIDINGS_PROGRAM") {
            return given.into();
        }
        // A test runs from `target/<profile>/deps`.
        let this = std::env::current_exe().unwrap();
        let profile = this.ancestors().nth(2).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "tidings", "--bin", "tidings"]);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the program cannot be built");
        profile.join("tidings")
    })
}
