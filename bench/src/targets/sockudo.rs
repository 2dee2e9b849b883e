use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Setup, Target, Tools, printed_version};
use crate::load::dialogue::{Dialogue, Heard, Subscription, text};
use crate::load::frames;
use crate::load::publisher::{OverTcp, Telling, converse};

/// Sockudo: the Pusher protocol; published to over its HTTP API.
pub(crate) struct Sockudo;

impl Target for Sockudo {
    fn name(&self) -> &'static str {
        "Sockudo"
    }

    fn version(&self, tools: &Tools) -> Result<String> {
        printed_version(Command::new(program(tools)?).arg("--version"))
    }

    fn command(&self, setup: &Setup<'_>) -> Result<Command> {
        Command::new(program(setup.tools)?);
        anyhow::bail!("not yet")
    }

    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)> {
        let socket = converse(setup.clients, b"", b"")?;
        Ok((socket, Box::new(OverTcp(|_: &str, _: &[u8], _: &mut Vec<u8>| {}))))
    }
}

impl Dialogue for Sockudo {
    fn opening(&self, _: &Subscription<'_>) -> Vec<u8> {
        frames::request("/app/app-key?protocol=7&client=bench&version=1.0", "")
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
