use std::time::Duration;

use protocol::{Error, ErrorCode};
use tokio::sync::{Semaphore, SemaphorePermit};

/// What the events of requests may hold that the broker has not answered, in bytes.
const BYTES_MAX: usize = 64 << 20;
/// One permit stands for so many bytes.
const PERMIT_BYTES: usize = 1 << 10;
const PERMITS_MAX: usize = BYTES_MAX / PERMIT_BYTES;
/// How long a request waits for room.
const WAIT: Duration = Duration::from_secs(2);
/// When a request that found no room may find some, in ms.
const RETRY_MS: u64 = 1_000;

/// Room for publishes on their way to the broker: a slow one makes publishers wait, and then come
/// back, instead of filling the memory.
pub(crate) struct Admission {
    room: Semaphore,
}

impl Default for Admission {
    fn default() -> Self {
        Self { room: Semaphore::new(PERMITS_MAX) }
    }
}

impl Admission {
    /// Room for events of so many bytes, which is given back when the answer is dropped.
    ///
    /// # Errors
    /// [`ErrorCode::Overloaded`] where there is none for a while: nothing was published.
    pub(crate) async fn admit(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Error> {
        // What is larger than all the room takes all of it.
        let permits = bytes.div_ceil(PERMIT_BYTES).min(PERMITS_MAX);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        match tokio::time::timeout(WAIT, self.room.acquire_many(permits)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                let message = "too much waits for the broker; nothing was published";
                Err(Error::new(ErrorCode::Overloaded, message).retry_after(RETRY_MS))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_for_a_while_is_told_to_come_back() {
        let admission = Admission::default();
        let held = admission.admit(BYTES_MAX - (1 << 20)).await.unwrap();
        let small = admission.admit(100).await.unwrap();
        let refused = admission.admit(2 << 20).await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after_ms), (ErrorCode::Overloaded, Some(RETRY_MS)));
        // Who waits no more keeps nobody else out.
        drop(admission.admit(100).await.unwrap());
        drop((held, small));
        assert!(admission.admit(2 * BYTES_MAX).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_when_there_is_room() {
        let admission = Admission::default();
        let held = admission.admit(BYTES_MAX).await.unwrap();
        let (admitted, ()) = tokio::join!(admission.admit(100), async {
            tokio::time::sleep(WAIT / 2).await;
            drop(held);
        });
        assert!(admitted.is_ok());
    }
}
