use super::Config;
use super::schema::Reload;
use super::setting::Setting;

/// How a new configuration differs from the one that runs.
///
/// Settings are named by their path, items by their name or path: `log.level`,
/// `stream.news.retain.count`, `endpoint./v1/ws.heartbeat`, `endpoint./ws@127.0.0.1:9000.heartbeat`.
/// An item that was added or taken away is named as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What takes hold at once.
    pub live: Vec<String>,
    /// What the running server cannot change; it goes on as before.
    pub restart_needed: Vec<String>,
}

impl Changes {
    /// Whether both configurations are the same.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart_needed.is_empty()
    }

    pub(super) fn add(&mut self, path: &str, reload: Reload) {
        match reload {
            Reload::Live => self.live.push(path.to_owned()),
            Reload::Restart => self.restart_needed.push(path.to_owned()),
        }
    }
}

/// Compares the running configuration with a new one, setting by setting.
pub fn diff(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    old.compare(new, "", Reload::Restart, &mut changes);
    changes
}

impl Config {
    /// Takes from a new configuration what can change while the server runs: what is bound, opened
    /// or counted at the start stays as it was.
    pub(crate) fn adopt_live(&mut self, new: Self) {
        self.adopt(new, Reload::Restart);
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
