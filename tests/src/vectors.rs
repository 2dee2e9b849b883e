//! Wire transcripts that are played against a running server: `tests/vectors/<dialect>/*.txt`.
//!
//! | line | does |
//! | --- | --- |
//! | `# text` | says what is shown |
//! | `~ connect PATH` | opens a WebSocket |
//! | `~ connect PATH with NAME: VALUE` | with a header of the request |
//! | `~ publish TOPIC DATA` | publishes JSON |
//! | `~ publish TOPIC CONTENT-TYPE HEX` | publishes bytes |
//! | `~ handle COMMAND JSON` | serves a command: JSON is the `result` of each call, such as `{"data":1}` |
//! | `~ get PATH`, `~ post PATH JSON` | asks over HTTP |
//! | `= STATUS BODY` | must be the answer to that |
//! | `~ drop` | breaks the connection without a close frame |
//! | `> text` | the client sends a text frame |
//! | `>> HEX` | a binary frame |
//! | `>! HEX` | a text frame of these bytes, UTF-8 or not |
//! | `< text` | must be the next text frame |
//! | `<< HEX` | must be the next binary frame |
//! | `< close CODE` | must be the next frame; the connection ends |
//!
//! With several clients each line that concerns one but the first begins with its name: `b~ connect /`,
//! `b> …`, `b< …`.
//!
//! What is expected stands letter by letter, but for placeholders: `<id>` is a client's id, `<ms>` a
//! time in ms since 1970, `<iso>` one in ISO 8601, `<n>` a number, and `…` anything up to what
//! follows. `<id=NAME>` (likewise of the others) keeps what was found; `<NAME>` stands for it from
//! then on, in what is sent too. `<repeat N TEXT>` in what is sent is N times that text.
// A helper of tests fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

/// What stands for something that differs each time.
mod placeholders;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{Incoming, Reply, Socket, TestServer, eventually, frame, http};
use placeholders::Found;

/// Plays every transcript of a dialect, in the order of their names, each with clients of its own.
pub async fn play_all(server: &TestServer, clients: SocketAddr, dialect: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(dialect);
    let mut files: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "no transcripts in {}", directory.display());
    for file in files {
        let name = format!("{dialect}/{}", file.file_name().unwrap().display());
        play(server, clients, &name, &std::fs::read_to_string(&file).unwrap()).await;
        // The next one counts its own clients alone.
        eventually("the clients of a transcript are gone", || async {
            server.get("/v1/connections").await["connections"].as_array().unwrap().is_empty()
        })
        .await;
    }
}

/// Plays a transcript with clients that connect to an address; `name` is told where it fails.
pub async fn play(server: &TestServer, clients: SocketAddr, name: &str, transcript: &str) {
    let mut stage = Stage {
        server,
        clients,
        sockets: BTreeMap::new(),
        handlers: Vec::new(),
        reply: None,
        found: Found::default(),
    };
    for (number, line) in transcript.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(why) = stage.perform(line).await {
            panic!("{name}:{}: {line}\n{why}", number + 1);
        }
    }
}

/// What a transcript has set up.
struct Stage<'a> {
    server: &'a TestServer,
    clients: SocketAddr,
    sockets: BTreeMap<String, Socket>,
    handlers: Vec<Handler>,
    /// The answer over HTTP that was not looked at.
    reply: Option<Reply>,
    found: Found,
}

/// A client that serves commands until the transcript ends.
struct Handler(JoinHandle<()>);

impl Drop for Handler {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stage<'_> {
    async fn perform(&mut self, line: &str) -> Result<(), String> {
        let is_name = |c: char| c.is_ascii_alphanumeric();
        let (who, rest) = line.split_at(line.find(|c| !is_name(c)).unwrap_or(line.len()));
        let signs = [">>", ">!", "<<", ">", "<", "=", "~"];
        let Some(sign) = signs.into_iter().find(|sign| rest.starts_with(sign)) else {
            return Err(format!("a line begins with one of {signs:?}"));
        };
        let text = rest[sign.len()..].trim_start();
        match sign {
            ">" | ">>" | ">!" => {
                let text = self.found.filled(text);
                let (opcode, payload) = match sign {
                    ">" => (frame::TEXT, text.into_bytes()),
                    ">>" => (frame::BINARY, bytes_of(&text)?),
                    _ => (frame::TEXT, bytes_of(&text)?),
                };
                self.socket(who)?.send_raw(&frame::masked(opcode, &payload)).await;
                Ok(())
            }
            "<" | "<<" => {
                let came = came(self.socket(who)?, sign).await?;
                self.found.compare(text, &came)
            }
            "=" => {
                let reply = self.reply.take().ok_or("nothing was asked over HTTP")?;
                self.found.compare(text, &format!("{} {}", reply.status, reply.text()))
            }
            _ => self.direct(who, &self.found.filled(text)).await,
        }
    }

    fn socket(&mut self, who: &str) -> Result<&mut Socket, String> {
        self.sockets.get_mut(who).ok_or_else(|| "this client is not connected".to_owned())
    }

    /// Something happens that is no frame.
    async fn direct(&mut self, who: &str, text: &str) -> Result<(), String> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "connect" => {
                let (path, header) = rest.split_once(" with ").unwrap_or((rest, ""));
                let headers =
                    if header.is_empty() { String::new() } else { format!("{header}\r\n") };
                let socket = Socket::open_unwelcomed(self.clients, path, &headers).await?;
                self.sockets.insert(who.to_owned(), socket);
            }
            "drop" => drop(self.sockets.remove(who)),
            "publish" => self.publish(rest).await?,
            "handle" => {
                let (command, result) = rest.split_once(' ').ok_or("no result")?;
                let result = serde_json::from_str(result).map_err(|error| error.to_string())?;
                self.handlers.push(handle(self.server, command, result).await);
            }
            "get" => self.reply = Some(http::get(self.clients, rest).await),
            "post" => {
                let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
                let headers = [("content-type", "application/json")];
                let body = body.as_bytes();
                self.reply = Some(http::send(self.clients, "POST", path, &headers, body).await);
            }
            _ => return Err(format!("nothing is called {verb}")),
        }
        Ok(())
    }

    async fn publish(&self, text: &str) -> Result<(), String> {
        let (topic, data) = text.split_once(' ').ok_or("no data")?;
        let path = format!("/v1/publish/{topic}");
        // As it stands: what is parsed and written again would be other bytes.
        let (content_type, body) = match data.split_once(' ') {
            Some((content_type, hex)) if is_media_type(content_type) => {
                (content_type, bytes_of(hex)?)
            }
            _ => ("application/json", data.as_bytes().to_vec()),
        };
        let headers = [("content-type", content_type)];
        let reply = http::send(self.server.admin, "POST", &path, &headers, &body).await;
        if reply.status == 200 { Ok(()) } else { Err(reply.text()) }
    }
}

fn is_media_type(text: &str) -> bool {
    text.split_once('/').is_some_and(|(kind, _)| kind.bytes().all(|b| b.is_ascii_lowercase()))
}

/// Connects a client that answers each call of a command with the same.
async fn handle(server: &TestServer, command: &str, result: Value) -> Handler {
    let mut socket = server.connect().await;
    socket.ask("handle", json!({ "commands": [command] })).await;
    Handler(tokio::spawn(async move {
        loop {
            // The server may end first.
            let Incoming::Json(message) = socket.next_of_any_time().await else { return };
            let Some(call) = message.get("call") else { continue };
            let mut answer = result.clone();
            answer["call_id"] = call["call_id"].clone();
            socket.send(&json!({ "result": answer })).await;
        }
    }))
}

/// The next frame as transcripts spell it.
async fn came(socket: &mut Socket, sign: &str) -> Result<String, String> {
    let incoming = socket.next_within(crate::harness::SOON).await.ok_or("nothing comes")?;
    match incoming {
        Incoming::Json(_) | Incoming::Text(_) if sign == "<" => Ok(socket.last_text().to_owned()),
        Incoming::Binary(bytes) if sign == "<<" => Ok(hex(&bytes)),
        Incoming::Close(code, _) => Ok(format!("close {code}")),
        Incoming::End => Ok("end".to_owned()),
        other => Err(format!("found {other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    if digits.len() != hex.len() || !digits.len().is_multiple_of(2) {
        return Err("bytes are pairs of hexadecimal digits".to_owned());
    }
    Ok(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spelled_in_hexadecimal_digits() {
        assert_eq!(bytes_of("00ffA1").unwrap(), [0, 255, 161]);
        assert_eq!(hex(&[0, 255, 161]), "00ffa1");
        assert!(bytes_of("0").is_err());
        assert!(bytes_of("0g").is_err());
    }

    #[test]
    fn media_types_are_told_from_data() {
        assert!(is_media_type("audio/pcm"));
        assert!(!is_media_type("{\"a\":\"/\"}"));
        assert!(!is_media_type("12"));
    }
}
