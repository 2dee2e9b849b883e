use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::{ErrorCode, Topic};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, mpsc};

use crate::error::Error;
use crate::handle::{Membership, Parting};

/// A command to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub(crate) command: Topic,
    pub(crate) data: Bytes,
    pub(crate) user: Option<String>,
    pub(crate) timeout: Option<Duration>,
}

impl Call {
    /// A command with `null` as data.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name breaks a rule of topics.
    pub fn new(command: &str) -> Result<Self, Error> {
        let (command, data) = (Topic::parse(command)?, Bytes::from_static(b"null"));
        Ok(Self { command, data, user: None, timeout: None })
    }

    /// With data.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they cannot be JSON.
    pub fn json(self, data: &impl Serialize) -> Result<Self, Error> {
        let text = serde_json::to_string(data);
        self.json_text(text.map_err(|error| Error::Invalid(error.to_string()))?)
    }

    /// With data that are JSON text, sent as they are.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the text is not JSON.
    pub fn json_text(mut self, text: impl Into<Bytes>) -> Result<Self, Error> {
        self.data = text.into();
        match serde_json::from_slice::<&RawValue>(&self.data) {
            Ok(_) => Ok(self),
            Err(error) => Err(Error::Invalid(format!("the data are not JSON: {error}"))),
        }
    }

    /// In the name of a user: over the admin API only, elsewhere it is the client's own.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Waits no longer; the command's route may allow less.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The time that it waits, in ms, of which there is at least one.
    pub(crate) fn timeout_ms(&self) -> Option<u64> {
        let ms = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.timeout.map(|timeout| ms(timeout).max(1))
    }
}

/// A command that a handler is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerCall {
    /// Its name.
    pub command: Topic,
    /// What it is given: JSON text.
    pub data: Bytes,
    /// Who asks.
    pub user: Option<Arc<str>>,
}

impl HandlerCall {
    /// Reads the data.
    ///
    /// # Errors
    /// `invalid_data`, for the answer, where they have another form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, protocol::Error> {
        serde_json::from_slice(&self.data).map_err(|error| {
            protocol::Error::new(ErrorCode::InvalidData, format!("the data do not fit: {error}"))
        })
    }
}

/// Answers a call. Where it is dropped, the answer is an error.
#[derive(Debug)]
pub struct Answer {
    pub(crate) call_id: u64,
    /// Which of the client's connections the call came on: another server may use its number again.
    pub(crate) connection: u64,
    pub(crate) to: Option<mpsc::UnboundedSender<Parting>>,
}

impl Answer {
    /// Answers with JSON text, or an error. What is no JSON becomes an error.
    pub fn send(mut self, result: Result<Bytes, protocol::Error>) {
        let checked = result.and_then(|text| match serde_json::from_slice::<&RawValue>(&text) {
            Ok(_) => Ok(text),
            Err(_) => Err(failed("the handler answered with something that is not JSON")),
        });
        self.tell(checked);
    }

    fn tell(&mut self, result: Result<Bytes, protocol::Error>) {
        let Some(to) = self.to.take() else { return };
        let (call_id, connection) = (self.call_id, self.connection);
        // A task that has ended needs not know.
        let _ = to.send(Parting::Result { connection, call_id, result });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.to.is_some() {
            let how = if std::thread::panicking() { "panicked" } else { "did not answer" };
            self.tell(Err(failed(&format!("the handler {how}"))));
        }
    }
}

fn failed(message: &str) -> protocol::Error {
    protocol::Error::new(ErrorCode::CommandFailed, message)
}

/// Commands of others that this client handles. Dropping it ends that; calls that were given before
/// can still be answered.
#[derive(Debug)]
pub struct Handling {
    pub(crate) calls: mpsc::Receiver<(HandlerCall, Answer)>,
    pub(crate) membership: Membership,
}

impl Handling {
    /// The next call, as soon as there is one. May be dropped and called again.
    ///
    /// # Errors
    /// What ended the client; there will be no more calls.
    pub async fn next(&mut self) -> Result<(HandlerCall, Answer), Error> {
        self.calls.recv().await.ok_or_else(|| self.membership.ended())
    }

    /// Answers each call with what `handler` says, up to `at_once` of them at a time, until the
    /// client ends; why it did. A handler that panics fails its call and no other.
    pub async fn serve<H, A>(mut self, at_once: usize, handler: H) -> Error
    where
        H: Fn(HandlerCall) -> A,
        A: Future<Output = Result<Bytes, protocol::Error>> + Send + 'static,
    {
        let room = Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)));
        loop {
            let permit = room.clone().acquire_owned().await;
            let (call, answer) = match self.next().await {
                Ok(next) => next,
                Err(error) => return error,
            };
            let answered = handler(call);
            tokio::spawn(async move {
                answer.send(answered.await);
                drop(permit);
            });
        }
    }
}
