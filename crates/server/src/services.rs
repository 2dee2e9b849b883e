use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

/// Changes that who listens may be behind with.
const CHANGES_MAX: usize = 64;

/// What works beside this server: NATS, Redis, handlers of commands. Locked only when one of them
/// comes or goes, or somebody asks.
pub struct Services {
    state: Mutex<BTreeMap<Arc<str>, State>>,
    changes: broadcast::Sender<Change>,
}

/// A service came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub service: Arc<str>,
    /// Whether it works now.
    pub is_running: bool,
    /// What happened, for people.
    pub message: String,
}

/// A service may have several parts, such as connections; it works while all of them do.
#[derive(Default)]
struct State {
    parts: usize,
    running: usize,
    /// Why a part does not work.
    why: String,
}

impl State {
    fn is_running(&self) -> bool {
        self.parts > 0 && self.running == self.parts
    }
}

impl Default for Services {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: broadcast::channel(CHANGES_MAX).0 }
    }
}

impl Services {
    /// One more of that name works, such as a handler; it was not expected before.
    pub fn started(&self, name: &str) {
        self.change(name, &format!("{name} has started"), |state| {
            state.parts += 1;
            state.running += 1;
        });
    }

    /// One of that name that had started is gone, for good.
    pub fn stopped(&self, name: &str) {
        self.change(name, &format!("{name} has stopped"), |state| {
            state.parts = state.parts.saturating_sub(1);
            state.running = state.running.saturating_sub(1);
        });
    }

    /// A part that this server needs, down at first: while it is, the server's health is degraded.
    pub(crate) fn expect(self: &Arc<Self>, name: &'static str) -> Link {
        self.change(name, "", |state| {
            state.parts += 1;
            state.why = "not connected yet".into();
        });
        Link { services: self.clone(), name, is_up: Mutex::new(false) }
    }

    fn change(&self, name: &str, message: &str, change: impl FnOnce(&mut State)) {
        let mut all = self.state.lock();
        let state = all.entry(name.into()).or_default();
        let was_running = state.is_running();
        change(state);
        let is_running = state.is_running();
        if state.parts == 0 {
            all.remove(name);
        }
        if was_running != is_running {
            let change = Change { service: name.into(), is_running, message: message.to_owned() };
            // Sent within the lock, so that changes come in their order. Nobody may listen.
            let _ = self.changes.send(change);
        }
    }

    /// What comes and goes from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Whether a service works.
    pub fn is_running(&self, name: &str) -> bool {
        self.state.lock().get(name).is_some_and(State::is_running)
    }

    /// Every service that is known, and whether it works.
    pub fn all(&self) -> Vec<(Arc<str>, bool)> {
        let state = self.state.lock();
        state.iter().map(|(name, state)| (name.clone(), state.is_running())).collect()
    }

    /// Why this server does less than it is configured for; empty where it does not.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let state = self.state.lock();
        let down = state.iter().filter(|(_, state)| !state.is_running());
        down.map(|(name, state)| format!("{name} cannot be reached: {}", state.why)).collect()
    }
}

/// A connection to something that this server needs.
pub(crate) struct Link {
    services: Arc<Services>,
    name: &'static str,
    is_up: Mutex<bool>,
}

impl Link {
    /// Whether it is connected.
    pub(crate) fn is_up(&self) -> bool {
        *self.is_up.lock()
    }

    /// It is connected. Said once.
    pub(crate) fn up(&self) {
        let mut is_up = self.is_up.lock();
        if std::mem::replace(&mut *is_up, true) {
            return;
        }
        tracing::info!("connected to {}", self.name);
        self.services.change(self.name, &format!("connected to {}", self.name), |state| {
            state.running += 1;
        });
    }

    /// It is not connected, or still not; whether it was until now. A reason is said when it is a
    /// new one.
    pub(crate) fn down(&self, why: &str) -> bool {
        let mut is_up = self.is_up.lock();
        let was_up = std::mem::replace(&mut *is_up, false);
        let mut is_news = was_up;
        self.services.change(self.name, &format!("{} cannot be reached", self.name), |state| {
            state.running -= usize::from(was_up);
            is_news |= state.why != why;
            why.clone_into(&mut state.why);
        });
        if is_news {
            tracing::warn!(why, "{} cannot be reached; trying again", self.name);
        }
        was_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(changes: &mut broadcast::Receiver<Change>) -> Option<(String, bool)> {
        let change = changes.try_recv().ok()?;
        Some((change.service.to_string(), change.is_running))
    }

    #[test]
    fn a_service_works_while_all_its_parts_do() {
        let services = Arc::new(Services::default());
        let mut changes = services.changes();
        let (one, two) = (services.expect("redis"), services.expect("redis"));
        one.up();
        one.up();
        assert!(!services.is_running("redis"));
        assert_eq!(services.reasons().len(), 1);
        two.up();
        assert_eq!((services.is_running("redis"), services.reasons()), (true, Vec::new()));
        assert!(one.down("timed out"));
        assert!(!one.down("timed out"));
        assert_eq!(services.reasons(), ["redis cannot be reached: timed out"]);
        assert_eq!(next(&mut changes), Some(("redis".into(), true)));
        assert_eq!(next(&mut changes), Some(("redis".into(), false)));
        assert_eq!(next(&mut changes), None);
    }

    #[test]
    fn who_comes_unasked_is_not_missed_when_gone() {
        let services = Services::default();
        let mut changes = services.changes();
        services.started("handler");
        services.started("handler");
        services.stopped("handler");
        assert!(services.is_running("handler"));
        services.stopped("handler");
        assert_eq!((services.all(), services.reasons()), (Vec::new(), Vec::new()));
        assert_eq!(next(&mut changes), Some(("handler".into(), true)));
        assert_eq!(next(&mut changes), Some(("handler".into(), false)));
        assert_eq!(next(&mut changes), None);
    }
}
