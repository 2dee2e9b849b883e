use std::net::TcpStream;
use std::process::Command;

use anyhow::Result;

use super::scripted::{node, node_version};
use super::tidings::DEFLATE;
use super::{Setup, Target, Tools};
use crate::load::dialogue::{Dialogue, Heard, Subscription, text};
use crate::load::frames;
use crate::load::publisher::{OverWebSocket, Telling, converse, say};

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// Socket.IO: packets of its own protocol (version 5) in packets of Engine.IO (version 4).
pub(crate) struct SocketIo;

impl Target for SocketIo {
    fn name(&self) -> &'static str {
        "Socket.IO"
    }

    fn version(&self, tools: &Tools) -> Result<String> {
        node_version(tools, "socket.io")
    }

    fn command(&self, setup: &Setup<'_>) -> Result<Command> {
        let mut command = node(setup.tools);
        command.arg(setup.tools.scripts.join("socket_io.cjs"));
        command.arg(setup.clients.port().to_string());
        if setup.deflate {
            command.arg("deflate");
        }
        Ok(command)
    }

    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)> {
        let mut socket = converse(setup.clients, &frames::request(PATH, ""), b"0{\"sid\"")?;
        let mut connect = Vec::new();
        frames::push(frames::TEXT, b"40", &mut connect);
        say(&mut socket, &connect, b"40{\"sid\"")?;
        let telling = OverWebSocket(frames::TEXT, |topic: &str, data: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(format!("42[\"publish\",\"{topic}\",").as_bytes());
            out.extend_from_slice(data);
            out.push(b']');
        });
        Ok((socket, Box::new(telling)))
    }

    fn deflates(&self) -> bool {
        true
    }
}

impl Dialogue for SocketIo {
    fn opening(&self, subscription: &Subscription<'_>) -> Vec<u8> {
        frames::request(PATH, if subscription.deflate { DEFLATE } else { "" })
    }

    fn heard(&self, subscription: &Subscription<'_>, payload: &[u8]) -> Heard {
        match payload {
            b"2" => text("3"),
            b"42[\"ok\"]" => Heard::Subscribed(None),
            _ if payload.starts_with(b"0{") => text("40"),
            _ if payload.starts_with(b"40{") => {
                let topics = serde_json::Value::from(subscription.topics);
                text(&format!("42[\"subscribe\",{topics}]"))
            }
            _ => Heard::Nothing,
        }
    }
}
