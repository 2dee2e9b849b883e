//! The admin API over HTTP/1.1. TLS is not available in this version.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use protocol::{Appended, Audience, Payload};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::commands::Call;
use crate::error::{Error, Refusal};
use crate::options::Publish;
use crate::url::Url;
use crate::wire;

/// Connections that are kept for the next request.
const IDLE_MAX: usize = 8;
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// How long a request may take unless [`Admin::timeout`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

const JSON: &str = "application/json";

/// A client of the admin API, over HTTP/1.1. Connections are kept and used again.
pub struct Admin {
    url: Url,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// A request that is being put together.
struct Asked {
    method: Method,
    path: String,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Admin {
    /// The admin listener at `url`, such as `http://127.0.0.1:8081`, with a bearer token where it
    /// asks for one. Does not connect yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the URL or the token is wrong.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, Error> {
        let authorization = token.map(bearer).transpose()?;
        let (url, idle) = (url.parse()?, Mutex::new(Vec::new()));
        Ok(Self { url, authorization, timeout: TIMEOUT, idle })
    }

    /// The same with another bound on the time that a request may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Publishes one event: JSON data as `POST /v1/publish`, bytes as
    /// `POST /v1/publish/{topic}`.
    ///
    /// A request without a key is not safe to repeat after [`Error::Timeout`] or
    /// [`Error::Unreachable`].
    ///
    /// # Errors
    /// [`Error::Refused`] where the server refuses, [`Error::Unreachable`], [`Error::Timeout`].
    pub async fn publish(&self, message: &Publish) -> Result<Appended, Error> {
        let answer = match &message.payload {
            Payload::Json(data) => {
                let mut body = Vec::with_capacity(data.len() + 256);
                wire::push_publish_object(&mut body, message, data);
                self.send(json(Method::POST, "/v1/publish", body.into())).await?
            }
            Payload::Binary { content_type, bytes } => {
                self.send(raw(message, content_type, bytes.clone())?).await?
            }
        };
        wire::read_appended(parse::<&RawValue>(&answer)?)
    }

    /// Publishes several events with JSON data in one request; the answers are in order.
    ///
    /// # Errors
    /// [`Error::Invalid`] where one carries bytes; otherwise as [`Admin::publish`], where the
    /// request as a whole failed.
    pub async fn publish_all(
        &self,
        messages: &[Publish],
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        let mut body = vec![b'['];
        for (at, message) in messages.iter().enumerate() {
            let Payload::Json(data) = &message.payload else {
                let why = "only events with JSON data can be published together";
                return Err(Error::Invalid(why.into()));
            };
            if at > 0 {
                body.push(b',');
            }
            wire::push_publish_object(&mut body, message, data);
        }
        body.push(b']');
        let answer = self.send(json(Method::POST, "/v1/publish", body.into())).await?;
        let answers = parse::<Vec<&RawValue>>(&answer)?;
        if answers.len() != messages.len() {
            return Err(Error::Protocol("it answers another number of events".into()));
        }
        let read = |answer: &RawValue| match wire::read_refusal(answer.get().as_bytes(), None) {
            Some(refusal) => Err(Error::Refused(refusal)),
            None => wire::read_appended(answer),
        };
        Ok(answers.into_iter().map(read).collect())
    }

    /// Sends a command to what handles it; its answer is JSON text.
    ///
    /// # Errors
    /// [`Error::Refused`] with the code that the server or the handler chose,
    /// [`Error::Unreachable`], [`Error::Timeout`].
    pub async fn call(&self, call: &Call) -> Result<Bytes, Error> {
        let mut body = Vec::with_capacity(call.data.len() + 256);
        wire::push_call_object(&mut body, call);
        let answer = self.send(json(Method::POST, "/v1/call", body.into())).await?;
        wire::read_called(parse::<&RawValue>(&answer)?)
    }

    /// Reads `path`, such as `/v1/streams`, with its query.
    ///
    /// # Errors
    /// [`Error::Refused`] where the server refuses, [`Error::Protocol`] where the answer has
    /// another form, [`Error::Unreachable`], [`Error::Timeout`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.request("GET", path, None).await
    }

    /// Asks with any method, and reads the JSON answer; an empty one is `null`.
    ///
    /// # Errors
    /// As [`Admin::get`].
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, Error> {
        let method = Method::from_bytes(method.as_bytes());
        let method = method.map_err(|_| Error::Invalid("that is no HTTP method".into()))?;
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let answer = self.send(json(method, path, body)).await?;
        let text = if answer.is_empty() { &b"null"[..] } else { &answer };
        serde_json::from_slice(text).map_err(|error| Error::Protocol(error.to_string()))
    }

    /// Sends a request and reads the whole answer.
    async fn send(&self, asked: Asked) -> Result<Bytes, Error> {
        timeout(self.timeout, self.exchange(asked)).await.unwrap_or(Err(Error::Timeout))
    }

    async fn exchange(&self, asked: Asked) -> Result<Bytes, Error> {
        let request = self.build(asked)?;
        let mut sender = match self.idle_sender().await {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let answer = match sender.try_send_request(request).await {
            Ok(answer) => answer,
            // A kept connection may have been closed meanwhile. What hyper gives back was not
            // sent, so sending it anew repeats nothing.
            Err(mut failed) => match failed.take_message() {
                Some(request) => {
                    sender = self.connect().await?;
                    sender.send_request(request).await.map_err(broke)?
                }
                None => return Err(broke(failed.into_error())),
            },
        };
        let (status, wait) = (answer.status(), retry_after_ms(&answer));
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| Error::Unreachable(format!("the answer is cut off: {error}")))?
            .to_bytes();
        self.keep(sender).await;
        if status.is_success() {
            return Ok(body);
        }
        let refusal = wire::read_refusal(&body, Some(status.as_u16()));
        let mut refusal = refusal.unwrap_or_else(|| unexpected(status.as_u16()));
        refusal.retry_after_ms = refusal.retry_after_ms.or(wait);
        Err(Error::Refused(refusal))
    }

    fn build(&self, asked: Asked) -> Result<Request<Full<Bytes>>, Error> {
        let prefix = self.url.target().trim_end_matches('/');
        let mut request = Request::builder()
            .method(asked.method)
            .uri(format!("{prefix}{}", asked.path))
            .header(HOST, self.url.authority());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        for (name, value) in asked.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(asked.body));
        request.map_err(|error| Error::Invalid(format!("{}: {error}", asked.path)))
    }

    async fn idle_sender(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().await;
        while let Some(mut sender) = idle.pop() {
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
        None
    }

    async fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().await;
        if !sender.is_closed() && idle.len() < IDLE_MAX {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Error> {
        let authority = self.url.authority();
        let cannot = |error: &dyn std::fmt::Display| {
            Error::Unreachable(format!("cannot connect to {authority}: {error}"))
        };
        let address = (self.url.host(), self.url.port());
        let stream = TcpStream::connect(address).await.map_err(|error| cannot(&error))?;
        stream.set_nodelay(true).map_err(|error| cannot(&error))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| cannot(&error))?;
        // Its end shows in the request that it interrupts.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value =
        value.map_err(|_| Error::Invalid("the token has characters no header may have".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn json(method: Method, path: &str, body: Bytes) -> Asked {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static(JSON))];
    Asked { method, path: path.to_owned(), body, headers }
}

/// `POST /v1/publish/{topic}`; what the object would say stands in headers.
fn raw(message: &Publish, content_type: &str, body: Bytes) -> Result<Asked, Error> {
    if !message.headers.is_empty() {
        let why = "events with bytes cannot have headers over HTTP";
        return Err(Error::Invalid(why.into()));
    }
    let mut headers = vec![(CONTENT_TYPE, header("the content type", content_type)?)];
    match &message.audience {
        Audience::Everyone => {}
        Audience::User(user) => headers.push((named("tidings-user"), header("the user", user)?)),
        Audience::Group(group) => {
            headers.push((named("tidings-group"), header("the group", group)?));
        }
        Audience::Client(client) => {
            headers.push((named("tidings-client"), header("the client", &client.to_string())?));
        }
    }
    if let Some(key) = &message.key {
        headers.push((named("idempotency-key"), header("the key", key)?));
    }
    let path = format!("/v1/publish/{}", percent_encoded(message.topic.as_str()));
    Ok(Asked { method: Method::POST, path, body, headers })
}

fn named(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn header(what: &str, value: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(value);
    value.map_err(|_| Error::Invalid(format!("{what} has characters no header may have")))
}

/// `text` as one segment of a path (RFC 3986 section 3.3).
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'$') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn parse<'a, T: serde::Deserialize<'a>>(text: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|error| Error::Protocol(error.to_string()))
}

fn retry_after_ms<B>(answer: &Response<B>) -> Option<u64> {
    let seconds: u64 = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

fn unexpected(status: u16) -> Refusal {
    Refusal {
        code: "unexpected_status".into(),
        message: format!("the server answered with status {status}"),
        retry_after_ms: None,
        details: None,
        status: Some(status),
    }
}

fn broke(error: hyper::Error) -> Error {
    Error::Unreachable(format!("the connection broke: {error}"))
}
