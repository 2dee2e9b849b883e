use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{SOON, http};

/// A reader of `multipart/x-mixed-replace`, as a browser's `<img>` is.
pub struct Images {
    stream: TcpStream,
    raw: Vec<u8>,
    body: Vec<u8>,
    boundary: Vec<u8>,
    has_ended: bool,
}

impl Images {
    /// Asks for `/v1/mjpeg/{what}` over a socket that holds few bytes.
    pub async fn open(address: SocketAddr, what: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let request = format!("GET /v1/mjpeg/{what} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (raw, body, boundary) = Default::default();
        let mut images = Self { stream, raw, body, boundary, has_ended: false };
        while find(&images.raw, b"\r\n\r\n").is_none() {
            assert!(images.read().await, "no answer");
        }
        let end = find(&images.raw, b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(images.raw.drain(..end).collect()).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let kind = "content-type: multipart/x-mixed-replace; boundary=";
        let found = head.lines().find_map(|line| line.strip_prefix(kind));
        images.boundary = format!("--{}\r\n", found.expect("the boundary")).into_bytes();
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

    /// An image that is whole: the boundary behind it is there.
    fn take(&mut self) -> Option<Vec<u8>> {
        let boundary = self.boundary.len();
        if self.body.len() < boundary {
            return None;
        }
        assert_eq!(&self.body[..boundary], self.boundary, "a part begins with the boundary");
        let head_end = boundary + find(&self.body[boundary..], b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.body[boundary..head_end].to_vec()).unwrap();
        assert!(head.contains("Content-Type: image/jpeg\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let end = head_end + length.expect("its length").parse::<usize>().unwrap();
        if self.body.len() < end + 2 + boundary {
            return None;
        }
        assert_eq!(&self.body[end..end + 2], b"\r\n");
        let image = self.body[head_end..end].to_vec();
        self.body.drain(..end + 2);
        Some(image)
    }

    async fn read(&mut self) -> bool {
        let count = tokio::time::timeout(SOON, self.stream.read_buf(&mut self.raw)).await;
        let count = count.expect("nothing comes in time").unwrap_or(0);
        if self.boundary.is_empty() {
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
