use std::fs;
use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Setup, Target, Tools, printed_version};
use crate::load::dialogue::{Dialogue, Heard, Place, Subscription};
use crate::load::frames;
use crate::load::publisher::{OverWebSocket, Telling, converse};

/// Tidings with its features on: an ordered stream, sessions that can resume, permissions, metrics.
pub(crate) struct Tidings;

/// The stream of all topics of a run.
const STREAM: &str = "bench";

impl Target for Tidings {
    fn name(&self) -> &'static str {
        "Tidings"
    }

    fn version(&self, tools: &Tools) -> Result<String> {
        printed_version(Command::new(&tools.tidings).arg("--version"))
    }

    fn command(&self, setup: &Setup<'_>) -> Result<Command> {
        let compression = if setup.deflate { "compression = { above = \"256B\" }\n" } else { "" };
        let config = format!(
            "[listen]\npublic = \"{}\"\nadmin = \"{}\"\n[log]\nlevel = \"error\"\n\
             [limits]\nsubscriptions = {}\n\
             [auth.roles.anonymous]\nsubscribe = [\">\"]\npublish = [\">\"]\n\
             [[stream]]\nname = \"{STREAM}\"\ntopics = [\"bench.>\"]\n\
             [[endpoint]]\npath = \"/v1/ws\"\ndialect = \"native\"\n{compression}",
            setup.clients, setup.publish, setup.subscriptions
        );
        let file = setup.directory.join("tidings.toml");
        fs::write(&file, config)?;
        let mut command = Command::new(&setup.tools.tidings);
        command.args(["serve", "--config"]).arg(file);
        Ok(command)
    }

    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)> {
        let socket = converse(setup.clients, &frames::request("/v1/ws", ""), b"\"welcome\"")?;
        let mut id = 0_u64;
        let telling =
            OverWebSocket(frames::TEXT, move |topic: &str, data: &[u8], out: &mut Vec<u8>| {
                id += 1;
                out.extend_from_slice(
                    format!("{{\"id\":{id},\"publish\":{{\"topic\":\"{topic}\",\"data\":")
                        .as_bytes(),
                );
                out.extend_from_slice(data);
                out.extend_from_slice(b"}}");
            });
        Ok((socket, Box::new(telling)))
    }

    fn resumes(&self) -> bool {
        true
    }

    fn deflates(&self) -> bool {
        true
    }
}

impl Dialogue for Tidings {
    fn opening(&self, subscription: &Subscription<'_>) -> Vec<u8> {
        let deflate = if subscription.deflate { DEFLATE } else { "" };
        frames::request("/v1/ws", deflate)
    }

    fn greeting(&self, subscription: &Subscription<'_>) -> Vec<u8> {
        let resume = subscription.resume.map_or(String::new(), |Place { seq, epoch }| {
            format!(
                "\"resume\":[{{\"stream\":\"{STREAM}\",\"epoch\":\"{epoch}\",\"after\":{seq}}}],"
            )
        });
        let mut out = Vec::new();
        for (at, topics) in subscription.topics.chunks(1_000).enumerate() {
            let body = format!("{{\"topics\":{}}}", Value::from(topics));
            let message = match at {
                0 => format!("{{\"id\":1,\"hello\":{{{resume}\"subscriptions\":[{body}]}}}}"),
                _ => format!("{{\"id\":2,\"subscribe\":{body}}}"),
            };
            frames::push(frames::TEXT, message.as_bytes(), &mut out);
        }
        out
    }

    fn heard(&self, _: &Subscription<'_>, payload: &[u8]) -> Heard {
        if payload.starts_with(b"{\"id\":1,\"ok\"") {
            return Heard::Subscribed(place(payload).ok());
        }
        if payload.starts_with(b"{\"id\":1,\"error\"") || payload.starts_with(b"{\"gap\"") {
            return Heard::Refused(String::from_utf8_lossy(payload).into_owned());
        }
        Heard::Nothing
    }
}

/// Offers compression without a context that either side would have to keep.
pub(super) const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; \
    server_no_context_takeover; client_no_context_takeover\r\n";

fn place(payload: &[u8]) -> Result<Place> {
    let answer: Value = serde_json::from_slice(payload)?;
    let at = answer.pointer("/ok/subscriptions/0/positions/0").context("positions")?;
    let epoch = at.get("epoch").and_then(Value::as_str).context("epoch")?.to_owned();
    let seq = at.get("seq").and_then(Value::as_u64).context("seq")?;
    Ok(Place { epoch, seq })
}
