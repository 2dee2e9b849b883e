use protocol::{Error, ErrorCode};
use tokio::sync::oneshot;

/// Asks the broker something and waits for its answer.
///
/// # Errors
/// What the broker says; [`ErrorCode::BrokerUnavailable`] where it says nothing.
pub(crate) async fn asked<T: Send + 'static>(
    ask: impl FnOnce(engine::Answer<Result<T, Error>>),
) -> Result<T, Error> {
    let (answer, answered) = oneshot::channel();
    ask(Box::new(move |result| drop(answer.send(result))));
    answered.await.unwrap_or_else(|_| Err(silent()))
}

/// The error of a broker that says nothing.
pub(crate) fn silent() -> Error {
    Error::new(ErrorCode::BrokerUnavailable, "the broker did not answer")
}
