//! Clients' commands and what answers them. Calls are carried out on a thread of their own, never
//! on a worker. Modules in the order in which a call passes through them:

/// Where a command goes.
mod route;
/// A call from its admission to its answer: tries, waits, time.
mod carry;
/// Whether a backend is left alone.
mod breaker;
/// What a try came to, and whether another is safe.
mod failure;
/// Backends over HTTP.
mod http;
/// Backends over NATS.
mod nats;
/// Connected clients that handle commands.
mod handlers;
/// What is counted.
mod figures;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::{Call, ClientId, Error, ErrorCode, Pattern};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use breaker::{Breaker, State};
pub(crate) use figures::CommandFigures;
use figures::Counts;
use handlers::Handlers;

use crate::node::Node;

/// Who sends a command.
pub(crate) struct Caller {
    /// None where an operator does.
    pub(crate) client: Option<ClientId>,
    pub(crate) user: Option<Arc<str>>,
}

/// Takes the answer to a call: JSON text.
pub(crate) type Answer = Box<dyn FnOnce(Result<Bytes, Error>) + Send>;

/// What carries out the commands of a node.
pub(crate) struct Commands {
    runtime: Handle,
    stop: Arc<Notify>,
    http: http::Http,
    pub(crate) handlers: Handlers,
    breakers: Mutex<HashMap<Pattern, Arc<Mutex<Breaker>>>>,
    counts: Counts,
}

impl Commands {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (handle, stop) = (runtime.handle().clone(), Arc::new(Notify::new()));
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name("tidings-commands".into())
            .spawn(move || runtime.block_on(stopped.notified()))?;
        Ok(Self {
            runtime: handle,
            stop,
            http: http::Http::default(),
            handlers: Handlers::default(),
            breakers: Mutex::default(),
            counts: Counts::default(),
        })
    }

    /// Ends the thread; calls in flight are answered with an error.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// The breaker of a route; it outlives a reload.
    fn breaker(&self, name: &Pattern) -> Arc<Mutex<Breaker>> {
        self.breakers.lock().entry(name.clone()).or_default().clone()
    }

    /// What is counted, and how the backends of a node are.
    pub(crate) fn figures(node: &Node) -> CommandFigures {
        let (now, config) = (Instant::now(), node.config());
        let open = config.commands.iter().filter(|route| {
            let breaker = node.commands.breaker(&route.name);
            let state = breaker.lock().state(now);
            state != State::Closed
        });
        node.commands.counts.read(open.count() as u64, node.commands.handlers.count() as u64)
    }

    /// How the routes and handlers of a node do, for operators.
    pub(crate) fn health(node: &Node) -> (serde_json::Value, Vec<String>) {
        let now = Instant::now();
        let mut reasons = Vec::new();
        let config = node.config();
        let routes = config.commands.iter().map(|route| {
            let breaker = node.commands.breaker(&route.name);
            let breaker = breaker.lock();
            let state = breaker.state(now);
            if state != State::Closed {
                let (name, failures) = (&route.name, breaker.failures());
                reasons.push(format!(
                    "the backend of `{name}` failed {failures} times in a row and is left alone"
                ));
            }
            serde_json::json!({
                "name": route.name.as_str(),
                // An address may hold a password.
                "to": route.to.kind(),
                "breaker": state.as_str(),
                "failures": breaker.failures(),
                "retry_after_ms": breaker.retry_after_ms(now),
            })
        });
        let routes: Vec<_> = routes.collect();
        let handlers: Vec<_> = node
            .commands
            .handlers
            .patterns()
            .into_iter()
            .map(|(pattern, count)| {
                serde_json::json!({ "pattern": pattern.as_str(), "clients": count })
            })
            .collect();
        (serde_json::json!({ "routes": routes, "handlers": handlers }), reasons)
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Gives a call to what handles it. `answer` is told once, whatever happens.
pub(crate) fn call(node: &Arc<Node>, call: Call, caller: Caller, answer: Answer) {
    let answer = Answering(Some(answer));
    let Some(admitted) = node.commands.counts.admit(call.data.len()) else {
        let message = "as many commands are being carried out as may be; nothing was done";
        return answer.tell(Err(Error::new(ErrorCode::Overloaded, message).retry_after(1_000)));
    };
    let for_call = node.clone();
    node.commands.runtime.spawn(async move {
        let result = carry::carry_out(&for_call, call, caller).await;
        for_call.commands.counts.done(admitted, &result);
        answer.tell(result);
    });
}

/// Tells an answer once: an error, where nothing else was told.
struct Answering(Option<Answer>);

impl Answering {
    fn tell(mut self, result: Result<Bytes, Error>) {
        if let Some(answer) = self.0.take() {
            answer(result);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            let message = "the server ended before the command was answered";
            answer(Err(Error::new(ErrorCode::Draining, message)));
        }
    }
}
