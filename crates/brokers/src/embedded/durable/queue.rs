use std::collections::VecDeque;
use std::time::Instant;

use engine::Answer;
use parking_lot::{Condvar, Mutex};
use protocol::{Appended, Draft, Error, ErrorCode};

use super::super::fingerprint::Claim;

/// Most bytes of drafts that wait for a stream's writer.
const BYTES_MAX: usize = 16 << 20;
/// Most bytes of drafts that are written as one batch; a single array may be larger.
const BATCH_BYTES_MAX: usize = 2 << 20;
/// When to come back where the queue is full.
const RETRY_AFTER_MS: u64 = 500;

/// What is to be appended.
pub(crate) struct Request {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) answer: Answer<Vec<Result<Appended, Error>>>,
}

impl Request {
    /// Answers each draft with an error.
    pub(crate) fn refuse(self, error: &Error) {
        (self.answer)(self.drafts.iter().map(|_| Err(error.clone())).collect());
    }

    fn bytes(&self) -> usize {
        self.drafts.iter().map(Draft::bytes).sum()
    }
}

/// Requests on their way to a stream's writer.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<(usize, Request)>,
    bytes: usize,
    maintain: bool,
    closing: bool,
    /// Why nothing is taken any more.
    ended: Option<Error>,
}

/// What the writer has to do.
pub(crate) struct Work {
    pub(crate) requests: Vec<Request>,
    pub(crate) maintain: bool,
    /// Nothing follows.
    pub(crate) is_last: bool,
}

impl Queue {
    /// Takes a request, or refuses it at once.
    pub(crate) fn push(&self, request: Request) {
        let bytes = request.bytes();
        let mut waiting = self.waiting.lock();
        let refusal = if let Some(error) = &waiting.ended {
            Some(error.clone())
        } else if waiting.closing {
            Some(Error::new(ErrorCode::Draining, "the server ends").retry_after(RETRY_AFTER_MS))
        } else if !waiting.requests.is_empty() && waiting.bytes + bytes > BYTES_MAX {
            let message = "the disk is slower than what is published to this stream";
            Some(Error::new(ErrorCode::Overloaded, message).retry_after(RETRY_AFTER_MS))
        } else {
            None
        };
        if let Some(error) = refusal {
            drop(waiting);
            return request.refuse(&error);
        }
        waiting.bytes += bytes;
        waiting.requests.push_back((bytes, request));
        drop(waiting);
        self.changed.notify_one();
    }

    /// Lets retention take hold before what is pushed later.
    pub(crate) fn maintain(&self) {
        self.waiting.lock().maintain = true;
        self.changed.notify_one();
    }

    /// What waits is done still.
    pub(crate) fn close(&self) {
        self.waiting.lock().closing = true;
        self.changed.notify_one();
    }

    /// What waits is answered with the error, and so is what follows.
    pub(crate) fn end(&self, error: &Error) {
        let requests = {
            let mut waiting = self.waiting.lock();
            waiting.ended = Some(error.clone());
            waiting.bytes = 0;
            std::mem::take(&mut waiting.requests)
        };
        requests.into_iter().for_each(|(_, request)| request.refuse(error));
    }

    /// Waits until there is something to do, or until a moment.
    pub(crate) fn take(&self, until: Option<Instant>) -> Work {
        let mut waiting = self.waiting.lock();
        while waiting.requests.is_empty() && !waiting.maintain && !waiting.closing {
            match until {
                None => self.changed.wait(&mut waiting),
                Some(until) => {
                    if self.changed.wait_until(&mut waiting, until).timed_out() {
                        break;
                    }
                }
            }
        }
        let (mut requests, mut bytes) = (Vec::new(), 0);
        while let Some((size, request)) = waiting
            .requests
            .pop_front_if(|(size, _)| bytes == 0 || bytes + *size <= BATCH_BYTES_MAX)
        {
            bytes += size;
            waiting.bytes -= size;
            requests.push(request);
        }
        let is_last = waiting.closing && waiting.requests.is_empty();
        Work { requests, maintain: std::mem::take(&mut waiting.maintain), is_last }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use protocol::{Payload, Topic};

    use super::*;

    fn request(bytes: usize, told: &Arc<Mutex<Vec<ErrorCode>>>) -> Request {
        let payload = Payload::Json(Bytes::from(vec![b'1'; bytes]));
        let drafts = vec![Draft::new(Topic::parse("a").unwrap(), payload)];
        let told = told.clone();
        let answer = Box::new(move |answers: Vec<Result<Appended, Error>>| {
            told.lock().extend(answers.into_iter().filter_map(Result::err).map(|e| e.code));
        });
        Request { drafts, claims: Vec::new(), answer }
    }

    #[test]
    fn what_finds_no_room_is_refused_at_once_and_the_rest_comes_in_batches() {
        let (queue, told) = (Queue::default(), Arc::default());
        for _ in 0..17 {
            queue.push(request(1 << 20, &told));
        }
        assert_eq!(*told.lock(), [ErrorCode::Overloaded; 2]);
        let batches: Vec<usize> = (0..15).map(|_| queue.take(None).requests.len()).collect();
        assert_eq!(batches, [1; 15]);
        // Alone, one of any size is taken.
        queue.push(request(20 << 20, &told));
        assert_eq!(queue.take(None).requests.len(), 1);
        queue.push(request(1, &told));
        queue.close();
        queue.push(request(1, &told));
        let work = queue.take(None);
        assert!(work.is_last && work.requests.len() == 1);
        assert_eq!(told.lock().pop(), Some(ErrorCode::Draining));
    }

    #[test]
    fn after_the_end_everything_is_answered_with_its_reason() {
        let (queue, told) = (Queue::default(), Arc::default());
        queue.push(request(1, &told));
        queue.end(&Error::new(ErrorCode::Storage, "broken"));
        queue.push(request(1, &told));
        assert_eq!(*told.lock(), [ErrorCode::Storage; 2]);
    }
}
