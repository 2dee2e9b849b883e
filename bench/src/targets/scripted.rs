use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::tidings::DEFLATE;
use super::{Setup, Target, Tools, printed_version};
use crate::install::libraries;
use crate::load::dialogue::{Dialogue, Heard, Subscription};
use crate::load::frames;
use crate::load::publisher::{OverWebSocket, Telling, converse};

/// A server of a few lines around a library: `+topic` subscribes and is answered `ok`, `topic data`
/// publishes.
pub(crate) struct Scripted {
    name: &'static str,
    script: &'static str,
    runner: Runner,
    deflates: bool,
}

enum Runner {
    Bun,
    Node(&'static str),
    Python(&'static str),
}

pub(crate) const BUN: Scripted =
    Scripted { name: "Bun", script: "bun.js", runner: Runner::Bun, deflates: true };
pub(crate) const WS: Scripted =
    Scripted { name: "ws", script: "ws.cjs", runner: Runner::Node("ws"), deflates: true };
pub(crate) const SOCKETIFY: Scripted = Scripted {
    name: "socketify",
    script: "socketify_server.py",
    runner: Runner::Python("socketify"),
    deflates: false,
};
pub(crate) const FASTAPI: Scripted = Scripted {
    name: "FastAPI",
    script: "fastapi_server.py",
    runner: Runner::Python("fastapi"),
    deflates: false,
};

impl Target for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self, tools: &Tools) -> Result<String> {
        match self.runner {
            Runner::Bun => printed_version(Command::new(bun(tools)).arg("--version")),
            Runner::Node(package) => node_version(tools, package),
            Runner::Python(package) => {
                let code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))";
                printed_version(Command::new(python(tools)).args(["-c", code, package]))
            }
        }
    }

    fn command(&self, setup: &Setup<'_>) -> Result<Command> {
        let mut command = match self.runner {
            Runner::Bun => Command::new(bun(setup.tools)),
            Runner::Node(_) => node(setup.tools),
            Runner::Python(_) => {
                let mut command = Command::new(python(setup.tools));
                command.env("LD_LIBRARY_PATH", libraries(&setup.tools.peers));
                command
            }
        };
        command.arg(setup.tools.scripts.join(self.script)).arg(setup.clients.port().to_string());
        if setup.deflate {
            command.arg("deflate");
        }
        Ok(command)
    }

    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)> {
        let socket = converse(setup.clients, &frames::request("/", ""), b"\r\n\r\n")?;
        Ok((socket, words()))
    }

    fn deflates(&self) -> bool {
        self.deflates
    }
}

/// `topic data` in text frames.
pub(super) fn words() -> Box<dyn Telling> {
    Box::new(OverWebSocket(frames::TEXT, |topic: &str, data: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(topic.as_bytes());
        out.push(b' ');
        out.extend_from_slice(data);
    }))
}

impl Dialogue for Scripted {
    fn opening(&self, subscription: &Subscription<'_>) -> Vec<u8> {
        frames::request("/", if subscription.deflate { DEFLATE } else { "" })
    }

    fn greeting(&self, subscription: &Subscription<'_>) -> Vec<u8> {
        greeting(subscription)
    }

    fn heard(&self, _: &Subscription<'_>, payload: &[u8]) -> Heard {
        heard(payload)
    }
}

pub(super) fn greeting(subscription: &Subscription<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for topic in subscription.topics {
        frames::push(frames::TEXT, format!("+{topic}").as_bytes(), &mut out);
    }
    out
}

pub(super) fn heard(payload: &[u8]) -> Heard {
    if payload == b"ok" { Heard::Subscribed(None) } else { Heard::Nothing }
}

/// Node with the packages of the peers.
pub(super) fn node(tools: &Tools) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules(tools));
    command
}

pub(super) fn node_version(tools: &Tools, package: &str) -> Result<String> {
    let file = modules(tools).join(package).join("package.json");
    let text = std::fs::read_to_string(file).context("not installed")?;
    let manifest: serde_json::Value = serde_json::from_str(&text)?;
    Ok(manifest.get("version").and_then(|v| v.as_str()).context("version")?.to_owned())
}

fn modules(tools: &Tools) -> PathBuf {
    tools.peers.join("node/node_modules")
}

fn bun(tools: &Tools) -> PathBuf {
    modules(tools).join(".bin/bun")
}

pub(super) fn python(tools: &Tools) -> PathBuf {
    tools.peers.join("python/bin/python")
}
