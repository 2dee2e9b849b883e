use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{SOON, http};

/// A reader of `multipart/x-mixed-replace`, as a browser's `<img>` is.
pub struct Images {
    stream: TcpStream,
    raw: Vec<u8>,
    body: Vec<u8>,
    /// What stands before each image.
    opening: Vec<u8>,
    has_ended: bool,
}

impl Images {
    /// Asks for `/v1/mjpeg/{what}` over a socket that holds few bytes.
    pub async fn open(address: SocketAddr, what: &str) -> Self {
        Self::open_at(address, &format!("/v1/mjpeg/{what}")).await
    }

    /// Asks for the images at a path, likewise.
    pub async fn open_at(address: SocketAddr, path: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (raw, body, opening) = Default::default();
        let mut images = Self { stream, raw, body, opening, has_ended: false };
        while find(&images.raw, b"\r\n\r\n").is_none() {
            assert!(images.read().await, "no answer");
        }
        let end = find(&images.raw, b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(images.raw.drain(..end).collect()).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let kind = "content-type: multipart/x-mixed-replace; boundary=";
        let found = head.lines().find_map(|line| line.strip_prefix(kind));
        let boundary = found.expect("the boundary");
        images.opening = format!("--{boundary}\r\nContent-Type: image/jpeg\r\n\r\n").into_bytes();
        images
    }

    /// The next image; `None` where the answer ended.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(image) = self.take() {
                return Some(image);
            }
            if self.has_ended || !self.read().await {
                return None;
            }
        }
    }

    /// An image that is whole: what stands before the next one is there.
    fn take(&mut self) -> Option<Vec<u8>> {
        let opening = self.opening.len();
        if self.body.len() < opening {
            return None;
        }
        assert_eq!(&self.body[..opening], self.opening, "what stands before an image");
        let next = [b"\r\n", &self.opening[..]].concat();
        let end = opening + find(&self.body[opening..], &next)?;
        let image = self.body[opening..end].to_vec();
        self.body.drain(..end + 2);
        Some(image)
    }

    async fn read(&mut self) -> bool {
        let count = tokio::time::timeout(SOON, self.stream.read_buf(&mut self.raw)).await;
        let count = count.expect("nothing comes in time").unwrap_or(0);
        if self.opening.is_empty() {
            return count > 0;
        }
        while let Some((chunk, rest)) = http::take_chunk(&self.raw) {
            self.has_ended |= chunk.is_empty();
            self.body.extend_from_slice(chunk);
            self.raw = rest.to_vec();
        }
        count > 0
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
