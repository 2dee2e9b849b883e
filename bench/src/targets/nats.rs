use std::fs;
use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result};

use super::scripted::python;
use super::{Setup, Target, Tools, printed_version};
use crate::load::dialogue::{Dialogue, Heard, Subscription};
use crate::load::frames;
use crate::load::publisher::{OverTcp, Telling, converse, say};

/// NATS: its own protocol in binary frames; published to over TCP.
pub(crate) struct Nats;

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

impl Target for Nats {
    fn name(&self) -> &'static str {
        "NATS"
    }

    fn version(&self, tools: &Tools) -> Result<String> {
        printed_version(Command::new(server(tools)?).arg("--version"))
    }

    fn command(&self, setup: &Setup<'_>) -> Result<Command> {
        let config = format!(
            "listen: \"{}\"\nmax_connections: 100000\n\
             websocket {{ listen: \"{}\", no_tls: true, compression: false }}\n",
            setup.publish, setup.clients
        );
        let file = setup.directory.join("nats.conf");
        fs::write(&file, config)?;
        let mut command = Command::new(server(setup.tools)?);
        command.arg("--config").arg(file).arg("--log").arg(setup.directory.join("nats.log"));
        Ok(command)
    }

    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)> {
        let mut socket = converse(setup.publish, b"", b"INFO ")?;
        say(&mut socket, format!("{CONNECT}PING\r\n").as_bytes(), b"PONG")?;
        let telling = OverTcp(|topic: &str, data: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(format!("PUB {topic} {}\r\n", data.len()).as_bytes());
            out.extend_from_slice(data);
            out.extend_from_slice(b"\r\n");
        });
        Ok((socket, Box::new(telling)))
    }
}

impl Dialogue for Nats {
    fn opening(&self, _: &Subscription<'_>) -> Vec<u8> {
        frames::request("/", "")
    }

    fn greeting(&self, subscription: &Subscription<'_>) -> Vec<u8> {
        let mut message = CONNECT.to_owned();
        for (at, topic) in subscription.topics.iter().enumerate() {
            message += &format!("SUB {topic} {at}\r\n");
        }
        message += "PING\r\n";
        binary(&message)
    }

    fn heard(&self, _: &Subscription<'_>, payload: &[u8]) -> Heard {
        match payload {
            b"PONG\r\n" => Heard::Subscribed(None),
            b"PING\r\n" => Heard::Answer(binary("PONG\r\n")),
            _ if payload.starts_with(b"-ERR") => {
                Heard::Refused(String::from_utf8_lossy(payload).into_owned())
            }
            _ => Heard::Nothing,
        }
    }
}

fn binary(message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frames::push(frames::BINARY, message.as_bytes(), &mut out);
    out
}

/// The package puts the program beside the interpreter, or into itself.
fn server(tools: &Tools) -> Result<std::path::PathBuf> {
    let beside = python(tools).with_file_name("nats-server");
    beside.exists().then_some(beside).context("not installed")
}
