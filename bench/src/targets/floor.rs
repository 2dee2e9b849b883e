use std::net::TcpStream;
use std::process::Command;

use anyhow::Result;

use super::{Setup, Target, Tools, scripted};
use crate::load::dialogue::{Dialogue, Heard, Subscription};
use crate::load::frames;
use crate::load::publisher::{Telling, converse};

/// A bare program of this crate that writes the bytes that Tidings would, with nothing around it.
pub(crate) struct Floor {
    /// Whether it joins events that came together into one write.
    pub(crate) joins: bool,
}

impl Target for Floor {
    fn name(&self) -> &'static str {
        if self.joins { "floor (joined writes)" } else { "floor (a write each)" }
    }

    fn version(&self, _: &Tools) -> Result<String> {
        Ok("-".to_owned())
    }

    fn command(&self, setup: &Setup<'_>) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("floor").arg(setup.clients.to_string());
        if self.joins {
            command.arg("--joins");
        }
        Ok(command)
    }

    fn publisher(&self, setup: &Setup<'_>) -> Result<(TcpStream, Box<dyn Telling>)> {
        let socket = converse(setup.clients, &frames::request("/", ""), b"\r\n\r\n")?;
        Ok((socket, scripted::words()))
    }

    fn is_floor(&self) -> bool {
        true
    }
}

impl Dialogue for Floor {
    fn opening(&self, _: &Subscription<'_>) -> Vec<u8> {
        frames::request("/", "")
    }

    fn greeting(&self, subscription: &Subscription<'_>) -> Vec<u8> {
        scripted::greeting(subscription)
    }

    fn heard(&self, _: &Subscription<'_>, payload: &[u8]) -> Heard {
        scripted::heard(payload)
    }
}
