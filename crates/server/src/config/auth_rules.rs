use super::endpoint::Access;
use super::rules::Check;

/// Most keys: a token without `kid` is tried with each of its algorithm.
const KEYS_MAX: usize = 16;
/// What stands for the user in patterns of roles.
pub(crate) const USER_TEMPLATE: &str = "{sub}";

/// Everything that `[auth]`, and what endpoints want of it, breaks.
pub(super) fn check(check: &mut Check<'_>) {
    keys(check);
    tokens(check);
    roles(check);
    backend(check);
    endpoints(check);
}

fn keys(check: &mut Check<'_>) {
    let keys = &check.config.auth.keys;
    if keys.len() > KEYS_MAX {
        let title = format!("`[auth]` has more than {KEYS_MAX} keys");
        check.report(title, &[("auth.keys", "")]);
    }
    for (at, key) in keys.iter().enumerate() {
        let path = |field: &str| format!("auth.keys.{at}.{field}");
        if let Some(first) = keys.iter().take(at).position(|other| other.id == key.id) {
            let first = format!("auth.keys.{first}.id");
            let places = [(&*path("id"), "the second"), (&*first, "the first")];
            check.report(format!("two keys are named `{}`", key.id), &places);
        }
        if let Err((field, why)) = key.decoding_key() {
            check.report(format!("key `{}`: {why}", key.id), &[(&path(field), "")]);
        }
    }
}

fn tokens(check: &mut Check<'_>) {
    let tokens = &check.config.auth.tokens;
    for (at, token) in tokens.iter().enumerate() {
        if let Some(first) = tokens.iter().take(at).position(|other| other.id == token.id) {
            let (second, first) =
                (format!("auth.tokens.{at}.id"), format!("auth.tokens.{first}.id"));
            let places = [(&*second, "the second"), (&*first, "the first")];
            check.report(format!("two tokens are named `{}`", token.id), &places);
        }
    }
}

fn roles(check: &mut Check<'_>) {
    for (name, role) in &check.config.auth.roles {
        for (field, patterns) in [
            ("subscribe", &role.subscribe),
            ("publish", &role.publish),
            ("command", &role.command),
            ("handle", &role.handle),
        ] {
            for (at, pattern) in patterns.iter().enumerate() {
                let path = format!("auth.roles.{name}.{field}.{at}");
                let has_user = pattern.as_str().contains(USER_TEMPLATE);
                let rest = pattern.as_str().replace(USER_TEMPLATE, "");
                if rest.contains(['{', '}']) {
                    let title = format!("`{pattern}`: only `{USER_TEMPLATE}` can stand in braces");
                    check.report(title, &[(&path, "")]);
                } else if has_user && name == "anonymous" {
                    let title = format!("`{pattern}`: who is anonymous is no user");
                    check.report(title, &[(&path, "")]);
                }
            }
        }
        let Some(limits) = &role.limits else { continue };
        let by_address = [
            ("connections_per_address", limits.connections_per_address.is_some()),
            ("concurrent_per_address", limits.concurrent_per_address.is_some()),
        ];
        for (field, _) in by_address.into_iter().filter(|(_, is_set)| *is_set) {
            let title = format!("role `{name}`: `{field}` holds before a role is known");
            let path = format!("auth.roles.{name}.limits.{field}");
            check.report(title, &[(&path, "set it for an endpoint")]);
        }
    }
}

fn backend(check: &mut Check<'_>) {
    let Some(url) = &check.config.auth.http else { return };
    let is_http = matches!(url.scheme(), "http" | "https");
    if !is_http || reqwest::Url::parse(url.reveal()).is_err() {
        let title = format!("`{url}` is no URL of a backend");
        check.report(title, &[("auth.http", "write `https://…` or `http://…`")]);
    }
}

fn endpoints(check: &mut Check<'_>) {
    if check.config.auth.checks_tokens() {
        return;
    }
    for (at, endpoint) in check.config.endpoints.iter().enumerate() {
        if endpoint.auth == Some(Access::Required) {
            let title =
                format!("`{}` requires tokens, and nothing here can check one", endpoint.path);
            let path = format!("endpoint.{at}.auth");
            check.report(title, &[(&path, "set `auth.keys`, `auth.tokens` or `auth.http`")]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{options, titles_with, variables};

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let key = |rest: &str| format!("[auth]\nkeys = [{{ id = \"a\", {rest} }}]");
        for (text, title) in [
            (key("algorithm = \"HS256\""), "key `a`: HS256 needs `secret_env`"),
            (key("algorithm = \"ES256\""), "key `a`: ES256 needs `file`"),
            (
                key("algorithm = \"RS256\", secret_env = \"S\""),
                "key `a`: RS256 has a public key and no secret; set `file`",
            ),
            (
                key("algorithm = \"HS256\", secret_env = \"S\" }, { id = \"a\", algorithm = \"HS512\", secret_env = \"S\""),
                "two keys are named `a`",
            ),
            (key("algorithm = \"HS256\", secret_env = \"UNSET\""), "the environment variable `UNSET` is not set"),
            (key("algorithm = \"none\""), "`none` is not an algorithm"),
            (
                "[auth]\ntokens = [{ id = \"a\", secret_env = \"S\" }, { id = \"a\", secret_env = \"S\" }]".into(),
                "two tokens are named `a`",
            ),
            ("[auth]\nhttp = \"nats://a\"".into(), "`nats://a` is no URL of a backend"),
            (
                "[auth.roles.default]\nsubscribe = [\"a.{user}\"]".into(),
                "`a.{user}`: only `{sub}` can stand in braces",
            ),
            (
                "[auth.roles.anonymous]\nsubscribe = [\"a.{sub}\"]".into(),
                "`a.{sub}`: who is anonymous is no user",
            ),
            (
                "[auth.roles.a]\nlimits = { concurrent_per_address = 1 }".into(),
                "role `a`: `concurrent_per_address` holds before a role is known",
            ),
            (
                "[[endpoint]]\npath = \"/a\"\nauth = \"required\"".into(),
                "`/a` requires tokens, and nothing here can check one",
            ),
        ] {
            let variables = variables(&[("S", "secret")]);
            assert_eq!(titles_with(&options(&text), variables), [title], "{text}");
        }
    }

    #[test]
    fn a_file_must_hold_a_public_key() {
        let file = std::env::temp_dir().join(format!("tidings-{}.pem", std::process::id()));
        let text =
            format!("[auth]\nkeys = [{{ id = \"a\", algorithm = \"RS256\", file = {file:?} }}]");
        for (pem, title) in [
            ("nonsense", "key `a`: this is no public key for RS256 in PEM"),
            (
                "-----BEGIN PRIVATE KEY-----\n",
                "key `a`: this is a private key; only the public one belongs here",
            ),
        ] {
            std::fs::write(&file, pem).unwrap();
            assert_eq!(titles_with(&options(&text), Vec::new()), [title]);
        }
        std::fs::remove_file(&file).unwrap();
        let titles = titles_with(&options(&text), Vec::new());
        assert!(titles[0].starts_with("cannot read "), "{titles:?}");
    }
}
