use crate::command::Mode;
use crate::dialect::{Batch, FrameKind, Opening};
use crate::dialects::native::BATCH_MS_MAX;
use crate::error::Error;

/// Events in one JSON array, each as it is alone.
pub const JSON_ARRAY: Batch = Batch { kind: FrameKind::Text, start: "[", separator: ",", end: "]" };

/// How a client wants its events that may ask for batches with its request: `?batch=50ms`.
///
/// # Errors
/// [`crate::ErrorCode::BadRequest`]: the parameter is no time from 1 ms to a minute.
pub fn asked(opening: &Opening<'_>) -> Result<Mode, Error> {
    let Some(text) = opening.parameter("batch") else { return Ok(Mode::EVERY) };
    let time = humantime::parse_duration(text).ok();
    let interval_ms = time.and_then(|time| u32::try_from(time.as_millis()).ok());
    match interval_ms {
        Some(interval_ms @ 1..=BATCH_MS_MAX) => {
            Ok(Mode { interval_ms, batch: true, ..Mode::EVERY })
        }
        _ => {
            let message = format!(
                "batch must be a time from 1ms to {BATCH_MS_MAX}ms, such as 50ms, not {text:.40}"
            );
            Err(Error::bad_request(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ClientId;

    fn of(value: Option<&str>) -> Result<Mode, Error> {
        let query: Vec<_> = value.map(|v| ("batch".to_owned(), v.to_owned())).into_iter().collect();
        asked(&Opening { client: ClientId(1), user: None, query: &query })
    }

    #[test]
    fn a_time_makes_batches_and_none_makes_none() {
        assert_eq!(of(None), Ok(Mode::EVERY));
        let mode = Mode { interval_ms: 50, batch: true, latest: false };
        assert_eq!(of(Some("50ms")), Ok(mode));
        assert_eq!(of(Some("1s")), Ok(Mode { interval_ms: 1_000, ..mode }));
        for bad in ["", "0ms", "50", "-1ms", "2h", "x", "1ns", &"9".repeat(99)] {
            let error = of(Some(bad)).unwrap_err();
            assert!(error.message.starts_with("batch must be a time"), "{bad}");
        }
    }
}
