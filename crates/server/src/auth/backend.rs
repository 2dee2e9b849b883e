use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use protocol::{Error, ErrorCode};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::claims::Claims;
use super::{Mark, Principal, unauthorized};
use crate::config::{Auth, Url};

/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Most requests of which it is kept what was said.
const KEPT_MAX: usize = 10_000;
/// When to try again while the backend is away, in ms.
const RETRY_MS: u64 = 2_000;

/// An answer, and until when it counts.
type Kept = (Instant, Result<Principal, Error>);

/// A backend that is asked who a request belongs to: it has sessions of its own.
pub(crate) struct Backend {
    url: reqwest::Url,
    client: reqwest::Client,
    questions: Semaphore,
    keep_for: Duration,
    kept: Mutex<HashMap<[u8; 32], Kept>>,
}

/// The credentials of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asking {
    /// Its cookies, as one header.
    pub(crate) cookie: Option<String>,
    /// Its `Authorization`, or the token that came elsewhere in the same form.
    pub(crate) authorization: Option<String>,
}

impl Asking {
    pub(crate) fn is_empty(&self) -> bool {
        self.cookie.is_none() && self.authorization.is_none()
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [&self.cookie, &self.authorization] {
            let part = part.as_deref().unwrap_or_default();
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

impl Backend {
    pub(super) fn new(url: &Url, auth: &Auth) -> Option<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(auth.http_timeout.as_ms()))
            // What it says is not to be had elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .inspect_err(|error| tracing::error!(%error, "no backend can be asked for users"))
            .ok()?;
        Some(Self {
            url: reqwest::Url::parse(url.reveal()).ok()?,
            client,
            questions: Semaphore::new(auth.http_concurrency as usize),
            keep_for: Duration::from_millis(auth.http_cache.as_ms()),
            kept: Mutex::default(),
        })
    }

    /// Who the request belongs to, at this time in ms since 1970.
    ///
    /// # Errors
    /// `unauthorized` where the backend says so, `overloaded` where it says nothing.
    pub(crate) async fn ask(&self, asking: Asking, wall_ms: u64) -> Result<Principal, Error> {
        let digest = asking.digest();
        // Cookies change while a session lasts: they tell nobody's clients apart.
        let mark = asking.authorization.as_deref().map(Mark::of);
        let known = self.kept.lock().get(&digest).cloned();
        let said = match known.filter(|(until, _)| *until > Instant::now()) {
            Some((_, said)) => said,
            None => {
                let said = self.question(asking).await;
                if said.as_ref().err().is_none_or(|error| !error.code.is_retryable()) {
                    self.keep(digest, said.clone());
                }
                said
            }
        };
        said.and_then(|principal| {
            if principal.expires_at_ms.is_some_and(|at_ms| at_ms <= wall_ms) {
                return Err(Error::new(ErrorCode::TokenExpired, "the session has expired"));
            }
            Ok(Principal { mark, ..principal })
        })
    }

    async fn question(&self, asking: Asking) -> Result<Principal, Error> {
        let away = |why: &str| {
            let message = format!("who the client is cannot be found out at the moment: {why}");
            Error::new(ErrorCode::Overloaded, message).retry_after(RETRY_MS)
        };
        let _place = self.questions.try_acquire().map_err(|_| away("too many are asked about"))?;
        let mut request = self.client.get(self.url.clone()).header("accept", "application/json");
        if let Some(cookie) = asking.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(authorization) = asking.authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.send().await.map_err(|error| {
            tracing::warn!(error = %error.without_url(), "the backend for users does not answer");
            away("its backend does not answer")
        })?;
        let status = answer.status();
        if matches!(status.as_u16(), 401 | 403) {
            return Err(unauthorized("the request's session or token is not valid"));
        }
        if !status.is_success() {
            tracing::warn!(%status, "the backend for users answers with an error");
            return Err(away("its backend answers with an error"));
        }
        let body = whole(answer).await.ok_or_else(|| away("its backend does not answer whole"))?;
        Claims::of_backend(&body).ok_or_else(|| {
            tracing::warn!("the backend for users answers what cannot be read");
            away("its backend answers what cannot be read")
        })
    }

    fn keep(&self, digest: [u8; 32], said: Result<Principal, Error>) {
        if self.keep_for.is_zero() {
            return;
        }
        let (mut kept, now) = (self.kept.lock(), Instant::now());
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (until, _)| *until > now);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(digest, (now + self.keep_for, said));
        }
    }

    /// Believes nothing that was said before.
    pub(crate) fn forget(&self) {
        self.kept.lock().clear();
    }
}

/// The body of an answer, where it is not too large.
async fn whole(mut answer: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.ok()? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_BYTES_MAX {
            return None;
        }
    }
    Some(body)
}
