use std::fs;
use std::net::TcpStream;
use std::process::Command;

use anyhow::Result;

use super::nchan::debian;
use super::{Setup, Target, Tools, printed_version};
use crate::load::dialogue::{Dialogue, Heard, Subscription};
use crate::load::frames;
use crate::load::publisher::{OverTcp, Telling, converse};

/// Mosquitto: MQTT 3.1.1, QoS 0, in binary frames; published to over TCP.
pub(crate) struct Mosquitto;

/// CONNECT: a clean session without a name or keep-alive.
const CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const SUBACK: u8 = 0x90;

impl Target for Mosquitto {
    fn name(&self) -> &'static str {
        "Mosquitto"
    }

    fn version(&self, tools: &Tools) -> Result<String> {
        printed_version(debian(tools, "usr/sbin/mosquitto")?.arg("-h"))
    }

    fn command(&self, setup: &Setup<'_>) -> Result<Command> {
        let config = format!(
            "allow_anonymous true\nuser root\nset_tcp_nodelay true\nmax_queued_messages 0\n\
             log_type error\npersistence false\n\
             listener {} 127.0.0.1\nlistener {} 127.0.0.1\nprotocol websockets\n",
            setup.publish.port(),
            setup.clients.port()
        );
        let file = setup.directory.join("mosquitto.conf");
        fs::write(&file, config)?;
        let mut command = debian(setup.tools, "usr/sbin/mosquitto")?;
        command.arg("-c").arg(file);
        Ok(command)
    }

    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)> {
        let socket = converse(setup.publish, CONNECT, CONNACK)?;
        let telling = OverTcp(|topic: &str, data: &[u8], out: &mut Vec<u8>| {
            out.push(0x30);
            push_length(2 + topic.len() + data.len(), out);
            out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
            out.extend_from_slice(topic.as_bytes());
            out.extend_from_slice(data);
        });
        Ok((socket, Box::new(telling)))
    }
}

impl Dialogue for Mosquitto {
    fn opening(&self, _: &Subscription<'_>) -> Vec<u8> {
        frames::request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")
    }

    fn greeting(&self, subscription: &Subscription<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        frames::push(frames::BINARY, CONNECT, &mut out);
        let mut body = vec![0, 1];
        for topic in subscription.topics {
            body.extend_from_slice(&(topic.len() as u16).to_be_bytes());
            body.extend_from_slice(topic.as_bytes());
            body.push(0);
        }
        let mut packet = vec![0x82];
        push_length(body.len(), &mut packet);
        packet.extend_from_slice(&body);
        frames::push(frames::BINARY, &packet, &mut out);
        out
    }

    fn heard(&self, _: &Subscription<'_>, payload: &[u8]) -> Heard {
        // Both answers may come in one frame.
        let packet = payload.strip_prefix(CONNACK).unwrap_or(payload);
        if packet.first() == Some(&SUBACK) { Heard::Subscribed(None) } else { Heard::Nothing }
    }
}

/// Seven bits a byte, the low ones first.
fn push_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 128 {
        out.push((length % 128) as u8 | 128);
        length /= 128;
    }
    out.push(length as u8);
}
