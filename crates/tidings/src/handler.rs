use client::{Client, HandlerCall};
use protocol::{Error, ErrorCode};
use serde::Serialize;
use tokio::task::JoinHandle;

/// Calls that are carried out at a time; others wait.
const AT_ONCE: usize = 256;

/// Handles commands until it is dropped.
#[derive(Debug)]
pub struct Handler {
    serving: JoinHandle<()>,
}

impl Handler {
    pub(crate) async fn start<H, A, T>(
        client: Client,
        pattern: &str,
        handler: H,
    ) -> Result<Self, client::Error>
    where
        H: Fn(HandlerCall) -> A + Send + 'static,
        A: Future<Output = Result<T, Error>> + Send + 'static,
        T: Serialize,
    {
        let handling = client.handle(&[pattern]).await?;
        let serving = tokio::spawn(async move {
            let handler = move |call| {
                let answered = handler(call);
                async move { text_of(&answered.await?) }
            };
            let error = handling.serve(AT_ONCE, handler).await;
            tracing::debug!(%error, "commands are not handled any more");
        });
        Ok(Self { serving })
    }
}

fn text_of(result: &impl Serialize) -> Result<bytes::Bytes, Error> {
    let text = serde_json::to_vec(result).map_err(|error| {
        let message = format!("the handler's result cannot be JSON: {error}");
        Error::new(ErrorCode::CommandFailed, message)
    })?;
    Ok(text.into())
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
