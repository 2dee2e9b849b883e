use super::rules::Check;
use super::{Source, SourceKind};

impl Check<'_> {
    /// The URLs of NATS and Redis are ones that can be connected to.
    pub(super) fn remotes(&mut self) {
        if let Some(url) = &self.config.nats.url
            && !(matches!(url.scheme(), "nats" | "tls")
                && url.reveal().parse::<async_nats::ServerAddr>().is_ok())
        {
            let title = "`nats.url` is not the URL of a NATS server".to_owned();
            self.report(title, &[("nats.url", "such as `nats://127.0.0.1:4222`")]);
        }
        if let Some(url) = &self.config.redis.url
            && redis::Client::open(url.reveal()).is_err()
        {
            let title = "`redis.url` is not the URL of a Redis server".to_owned();
            self.report(title, &[("redis.url", "such as `redis://127.0.0.1:6379`")]);
        }
    }

    /// A source says what it reads, and where that is.
    pub(super) fn sources(&mut self) {
        for (at, source) in self.config.sources.iter().enumerate() {
            let path = |key: &str| format!("source.{at}.{key}");
            let kind = source.kind.as_str();
            for (key, kinds, is_given) in given(source) {
                if is_given && !kinds.contains(&source.kind) {
                    let title = format!("a source of kind `{kind}` has no `{key}`");
                    self.report(title, &[(&path(key), ""), (&path("kind"), "")]);
                }
            }
            let missing = match source.kind {
                SourceKind::Nats if source.subjects.is_empty() => Some("`subjects`"),
                SourceKind::Redis if source.channels.is_empty() && source.streams.is_empty() => {
                    Some("`channels` or `streams`")
                }
                SourceKind::System if source.root.is_none() => Some("`root`"),
                _ => None,
            };
            if let Some(missing) = missing {
                let title = format!("a source of kind `{kind}` needs {missing}");
                self.report(title, &[(&path("kind"), "")]);
            }
            let server = match source.kind {
                SourceKind::Nats => self.config.nats.url.is_none().then_some("nats.url"),
                SourceKind::Redis => self.config.redis.url.is_none().then_some("redis.url"),
                SourceKind::Host | SourceKind::System => None,
            };
            if let Some(setting) = server {
                let title = format!("a source of kind `{kind}` has no server");
                let help = format!("set `{setting}`");
                self.report_with_help(title, &[(&path("kind"), "")], &help);
            }
            if source.user.as_ref().is_some_and(|user| !is_pointer(user)) {
                let title = "`user` must be a JSON pointer".to_owned();
                self.report(title, &[(&path("user"), "such as `/user_id`")]);
            }
            let names = source.channels.iter().chain(&source.streams);
            if names.into_iter().any(String::is_empty) {
                let title = "a channel or stream has no name".to_owned();
                self.report(title, &[(&path("kind"), "of this source")]);
            }
        }
    }
}

/// Settings that only sources of some kinds have, and whether this one has them.
fn given(source: &Source) -> [(&'static str, &'static [SourceKind], bool); 4] {
    use SourceKind::{Nats, Redis};
    [
        ("subjects", &[Nats], !source.subjects.is_empty()),
        ("channels", &[Redis], !source.channels.is_empty()),
        ("streams", &[Redis], !source.streams.is_empty()),
        ("user", &[Nats, Redis], source.user.is_some()),
    ]
}

/// Whether it is a JSON pointer to something within (RFC 6901).
fn is_pointer(text: &str) -> bool {
    let mut escapes = text.split('~').skip(1);
    text.starts_with('/') && escapes.all(|after| after.starts_with(['0', '1']))
}
