use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

use super::{Setup, Target, Tools, printed_version};
use crate::load::dialogue::{Dialogue, Heard, Subscription, text};
use crate::load::frames;
use crate::load::publisher::{Telling, converse};

/// Sockudo: the Pusher protocol; published to over its HTTP API.
pub(crate) struct Sockudo;

const APP: &str = "bench";
const KEY: &str = "bench-key";
const SECRET: &str = "bench-secret";

impl Target for Sockudo {
    fn name(&self) -> &'static str {
        "Sockudo"
    }

    fn version(&self, tools: &Tools) -> Result<String> {
        printed_version(Command::new(program(tools)?).arg("--version"))
    }

    fn command(&self, setup: &Setup<'_>) -> Result<Command> {
        let mut command = Command::new(program(setup.tools)?);
        command.current_dir(setup.directory);
        let port = setup.clients.port().to_string();
        let settings = [
            ("HOST", "127.0.0.1"),
            ("PORT", &port),
            ("SOCKUDO_DEFAULT_APP_ID", APP),
            ("SOCKUDO_DEFAULT_APP_KEY", KEY),
            ("SOCKUDO_DEFAULT_APP_SECRET", SECRET),
            ("SOCKUDO_DEFAULT_APP_ENABLED", "true"),
            ("SOCKUDO_DEFAULT_APP_MAX_CONNECTIONS", "100000"),
            ("SOCKUDO_DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SECOND", "100000000"),
            ("RATE_LIMITER_ENABLED", "false"),
            ("METRICS_ENABLED", "false"),
            ("RUST_LOG", "error"),
        ];
        command.envs(settings);
        Ok(command)
    }

    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)> {
        let socket = converse(setup.clients, b"", b"")?;
        Ok((socket, Box::new(Requests(setup.clients))))
    }
}

/// The server closes a connection behind each request.
struct Requests(SocketAddr);

impl Telling for Requests {
    fn tell(&mut self, topic: &str, data: &[u8], out: &mut Vec<u8>) {
        push_request(topic, data, out);
    }

    fn reconnects_to(&self) -> Option<SocketAddr> {
        Some(self.0)
    }
}

/// A signed request (Pusher's HTTP API): the signature covers method, path and query, and so the
/// body by its MD5.
fn push_request(topic: &str, data: &[u8], out: &mut Vec<u8>) {
    let data = serde_json::Value::from(String::from_utf8_lossy(data));
    let body = format!("{{\"name\":\"e\",\"channel\":\"{topic}\",\"data\":{data}}}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let query = format!(
        "auth_key={KEY}&auth_timestamp={now}&auth_version=1.0&body_md5={}",
        hex(&Md5::digest(&body))
    );
    let path = format!("/apps/{APP}/events");
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) else { return };
    mac.update(format!("POST\n{path}\n{query}").as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    let head = format!(
        "POST {path}?{query}&auth_signature={signature} HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Dialogue for Sockudo {
    fn opening(&self, _: &Subscription<'_>) -> Vec<u8> {
        frames::request(&format!("/app/{KEY}?protocol=7&client=bench&version=1.0"), "")
    }

    fn heard(&self, subscription: &Subscription<'_>, payload: &[u8]) -> Heard {
        let is = |event: &[u8]| memchr::memmem::find(payload, event).is_some();
        if is(b"pusher:connection_established") {
            let topic = subscription.topics.first().map_or("", |topic| topic);
            let data =
                format!("{{\"event\":\"pusher:subscribe\",\"data\":{{\"channel\":\"{topic}\"}}}}");
            return text(&data);
        }
        if is(b"pusher_internal:subscription_succeeded") {
            return Heard::Subscribed(None);
        }
        if is(b"pusher:ping") {
            return text("{\"event\":\"pusher:pong\",\"data\":{}}");
        }
        Heard::Nothing
    }
}

fn program(tools: &Tools) -> Result<std::path::PathBuf> {
    let path = tools.peers.join("cargo/bin/sockudo");
    path.exists().then_some(path).context("not installed")
}
