use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::json::{check_depth, push_str};
use protocol::{Call, Error, ErrorCode, Pattern};
use tokio::time::Instant;

use super::breaker::Breaker;
use super::failure::{Failure, Kind};
use super::{Caller, nats, route};
use crate::config::{Backend, CommandRoute, Retry, Timespan};
use crate::node::Node;

/// How long a command is waited for that has no route.
const TIMEOUT: Timespan = Timespan::from_secs(5);

/// A call as backends see it, the same in all tries.
pub(super) struct Asked {
    pub(super) call: Call,
    pub(super) caller: Caller,
    /// By which a backend knows that it has seen the call before.
    pub(super) id: String,
}

impl Asked {
    /// `{"command","data","user"?,"client","id"}`.
    pub(super) fn to_json(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.call.data.len() + 256);
        out.extend_from_slice(b"{\"command\":");
        push_str(&mut out, self.call.command.as_str());
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(&self.call.data);
        if let Some(user) = &self.caller.user {
            out.extend_from_slice(b",\"user\":");
            push_str(&mut out, user);
        }
        let client = self.caller.client.map(|client| client.to_string());
        out.extend_from_slice(b",\"client\":");
        push_str(&mut out, client.as_deref().unwrap_or("admin"));
        out.extend_from_slice(b",\"id\":");
        push_str(&mut out, &self.id);
        out.push(b'}');
        out.into()
    }
}

/// How a command is carried out.
struct Plan {
    route: Option<CommandRoute>,
    breaker: Option<Arc<Mutex<Breaker>>>,
    attempts: u32,
    deadline: Instant,
    /// The client waits for less than the route allows: that its time is over says nothing of the
    /// backend.
    is_shortened: bool,
}

impl Plan {
    fn of(node: &Node, call: &Call) -> Self {
        let config = node.config();
        let route = route::of(&config.commands, &call.command).cloned();
        let allowed = route.as_ref().map_or(TIMEOUT, |route| route.timeout).as_ms();
        let wanted = call.timeout_ms.unwrap_or(allowed).min(allowed);
        let attempts =
            route.as_ref().map_or(Retry::default(), |route| route.retry.clone()).attempts;
        Self {
            breaker: route.as_ref().map(|route| node.commands.breaker(&route.name)),
            route,
            attempts,
            deadline: Instant::now() + Duration::from_millis(wanted),
            is_shortened: wanted < allowed,
        }
    }
}

/// Carries a call out, in as many tries as are allowed, safe and in time.
pub(super) async fn carry_out(
    node: &Arc<Node>,
    call: Call,
    caller: Caller,
) -> Result<Bytes, Error> {
    let plan = Plan::of(node, &call);
    let asked = Asked { call, caller, id: uuid::Uuid::now_v7().simple().to_string() };
    let mut tries = 0;
    loop {
        tries += 1;
        let failure = match attempt(node, &plan, &asked).await? {
            Ok(data) => return Ok(data),
            Err(failure) => failure,
        };
        let wait = failure.wait(tries, getrandom::u64().unwrap_or(u64::MAX));
        let is_over = tries >= plan.attempts || Instant::now() + wait >= plan.deadline;
        if is_over || !failure.is_safe_to_retry() {
            tracing::debug!(command = %asked.call.command, tries, code = %failure.error.code,
                "a command failed");
            return Err(failure.error);
        }
        node.commands.counts.retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(wait).await;
    }
}

/// One try, where the breaker lets it through.
async fn attempt(
    node: &Arc<Node>,
    plan: &Plan,
    asked: &Asked,
) -> Result<Result<Bytes, Failure>, Error> {
    let (Some(route), Some(breaker)) = (&plan.route, &plan.breaker) else {
        return Ok(in_time(plan, node.commands.handlers.call(node, asked)).await);
    };
    let mut passage = Passage::enter(breaker, route)?;
    let bytes_max = route.answer_bytes.as_len();
    let result = match &route.to {
        Backend::Handler => in_time(plan, node.commands.handlers.call(node, asked)).await,
        Backend::Http(url) => {
            let sent = node.commands.http.post(url.reveal(), asked, bytes_max);
            in_time(plan, sent).await
        }
        Backend::Nats(subject) => {
            in_time(plan, nats::request(node, subject, asked, bytes_max)).await
        }
    };
    passage.learn(plan, &result);
    Ok(result)
}

async fn in_time(
    plan: &Plan,
    sent: impl Future<Output = Result<Bytes, Failure>>,
) -> Result<Bytes, Failure> {
    let result = tokio::time::timeout_at(plan.deadline, sent).await;
    result.unwrap_or_else(|_| Err(Failure::timed_out()))
}

/// A try's way through a breaker. Where it is dropped the try found out nothing.
struct Passage<'a> {
    breaker: &'a Mutex<Breaker>,
    route: &'a CommandRoute,
    has_learned: bool,
}

impl<'a> Passage<'a> {
    fn enter(breaker: &'a Mutex<Breaker>, route: &'a CommandRoute) -> Result<Self, Error> {
        match breaker.lock().enter(std::time::Instant::now()) {
            Ok(()) => Ok(Self { breaker, route, has_learned: false }),
            Err(wait_ms) => Err(left_alone(&route.name, wait_ms)),
        }
    }

    fn learn(&mut self, plan: &Plan, result: &Result<Bytes, Failure>) {
        let is_shortened =
            |failure: &Failure| plan.is_shortened && failure.error.code == ErrorCode::Timeout;
        let name = &self.route.name;
        match result.as_ref().map_err(|failure| (failure.kind, is_shortened(failure))) {
            Ok(_) | Err((Kind::Answered, _)) => {
                self.has_learned = true;
                if self.breaker.lock().succeeded() {
                    tracing::info!(command = %name, "the backend answers again");
                }
            }
            Err((Kind::Undelivered | Kind::Broken, false)) => {
                self.has_learned = true;
                let now = std::time::Instant::now();
                if self.breaker.lock().failed(now, &self.route.breaker) {
                    let open_ms = self.route.breaker.open.as_ms();
                    tracing::warn!(command = %name, open_ms, "the backend fails and is left alone");
                }
            }
            Err(_) => {}
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if !self.has_learned {
            self.breaker.lock().left();
        }
    }
}

fn left_alone(name: &Pattern, wait_ms: u64) -> Error {
    let message =
        format!("the backend of `{name}` has failed too often and is left alone; nothing was done");
    Error::new(ErrorCode::NoHandler, message).retry_after(wait_ms)
}

/// The answer of a backend as JSON, where it is some.
pub(super) fn checked(body: Bytes) -> Result<Bytes, Failure> {
    let is_json = check_depth(&body).is_ok()
        && serde_json::from_slice::<&serde_json::value::RawValue>(&body).is_ok();
    if is_json {
        return Ok(body.slice_ref(body.trim_ascii()));
    }
    let message = "the backend answered with something that is not JSON, or nests too deep; \
                   whether it carried the command out is unknown";
    Err(Failure::new(Kind::Broken, ErrorCode::CommandFailed, message))
}

/// The answer is larger than the route allows.
pub(super) fn too_large(bytes_max: usize) -> Failure {
    let message = format!(
        "the backend's answer has more than {bytes_max} bytes (setting `answer_bytes` of the command)"
    );
    Failure::new(Kind::Answered, ErrorCode::CommandFailed, message)
}
