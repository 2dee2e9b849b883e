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
        for (field, patterns) in
            [("subscribe", &role.subscribe), ("publish", &role.publish), ("command", &role.command)]
        {
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
