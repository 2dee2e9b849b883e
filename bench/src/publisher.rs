use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Publishes over one kept HTTP connection.
pub(crate) struct Publisher {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
    start: Instant,
    padding: String,
}

impl Publisher {
    /// Events of about `bytes` bytes of data, stamped with the time since `start`.
    pub(crate) fn connect(admin: SocketAddr, start: Instant, bytes: usize) -> Result<Self> {
        let writer = TcpStream::connect(admin)?;
        writer.set_nodelay(true)?;
        let reader = BufReader::new(writer.try_clone()?);
        // {"t":1234567890123,"p":"…"}
        let padding = "x".repeat(bytes.saturating_sub(28));
        Ok(Self { writer, reader, start, padding })
    }

    /// One event's data, stamped with the time at which it was to be sent.
    pub(crate) fn data(&self, intended: Instant) -> String {
        let micros = intended.saturating_duration_since(self.start).as_micros();
        format!("{{\"t\":{micros},\"p\":\"{}\"}}", self.padding)
    }

    /// Publishes one event and waits for the answer.
    pub(crate) fn publish(&mut self, topic: &str, intended: Instant) -> Result<()> {
        let body = format!("{{\"topic\":\"{topic}\",\"data\":{}}}", self.data(intended));
        self.post(&body)
    }

    /// Publishes so many events at once and waits for the answer.
    pub(crate) fn publish_many(&mut self, topic: &str, count: usize) -> Result<()> {
        let data = self.data(Instant::now());
        let one = format!("{{\"topic\":\"{topic}\",\"data\":{data}}}");
        self.post(&format!("[{}]", vec![one; count].join(",")))
    }

    fn post(&mut self, body: &str) -> Result<()> {
        let head = format!(
            "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.writer.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let (mut line, mut length) = (String::new(), 0);
        self.reader.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            bail!("publishing: {line}");
        }
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().context("content-length")?;
            }
        }
        let mut answer = vec![0; length];
        self.reader.read_exact(&mut answer)?;
        Ok(())
    }
}
