use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use serde_json::{Value, json};
use server::Bound;
use server::auth::mint::{TokenRequest, mint};
use server::config::Auth;

use super::examples::{self, Example, Reaches};
use super::settings::Settings;
use super::{ROOT, reachable};

/// Topics of figures, which would crowd out all others in the list.
const FIGURES: [&str; 6] = ["cpu", "memory", "disk", "network", "gpu", "system_stats"];
/// The devices of the studio's page: each has a token of its own.
const DEVICES: [(&str, &str); 4] =
    [("ada", "laptop"), ("ada", "phone"), ("ben", "desktop"), ("ben", "tablet")];
/// How long their tokens are good for, in ms: a day.
const TOKEN_TTL_MS: u64 = 24 * 3_600_000;

/// What the pages are told from.
#[derive(Clone)]
pub(super) struct Shown {
    /// Set once it listens.
    pub(super) bound: Arc<OnceLock<Bound>>,
    pub(super) settings: Arc<Settings>,
    pub(super) auth: Arc<Auth>,
}

/// Where everything is, once it listens.
pub(super) struct Places<'a> {
    pub(super) admin: SocketAddr,
    public: SocketAddr,
    shown: &'a Shown,
}

impl Shown {
    /// `None` before it listens.
    pub(super) fn places(&self) -> Option<Places<'_>> {
        let bound = self.bound.get().copied()?;
        Some(Places { admin: bound.admin, public: bound.public, shown: self })
    }
}

impl Places<'_> {
    /// What the demo's page asks for: `host` is `null` where it is the page's own.
    pub(super) fn json(&self) -> Value {
        let examples: Vec<_> = examples::ALL.iter().filter_map(|e| self.example(e)).collect();
        json!({
            "host": host_apart(self.public),
            "port": self.public.port(),
            "root": ROOT,
            "stream": ROOT,
            "figures": FIGURES.map(|name| format!("{ROOT}.{name}")),
            "commands": self.commands(),
            "examples": examples,
        })
    }

    fn example(&self, example: &Example) -> Option<Value> {
        let Example { name, title, about, .. } = example;
        let tokens = if *name == "studio" { self.tokens() } else { String::new() };
        Some(json!({
            "name": name,
            "title": title,
            "about": about,
            "port": self.place_of(name)?.port(),
            "fragment": tokens,
            "start": self.start(name),
        }))
    }

    /// One for each device, with commas between.
    fn tokens(&self) -> String {
        let minted = DEVICES.iter().filter_map(|&(user, device)| {
            let request = TokenRequest {
                user: user.to_owned(),
                device: Some(device.to_owned()),
                ttl_ms: TOKEN_TTL_MS,
                ..TokenRequest::default()
            };
            let minted = mint(&self.shown.auth, &request, server::clock::wall_ms());
            minted.ok().map(|minted| minted.token)
        });
        minted.collect::<Vec<_>>().join(",")
    }

    fn place_of(&self, name: &str) -> Option<SocketAddr> {
        let mut place = self.shown.settings.place_of(name)?;
        if place.port() == 0 {
            place.set_port(self.public.port());
        }
        Some(place)
    }

    /// The command that brings an example to life.
    pub(super) fn start(&self, name: &str) -> String {
        let Some(example) = examples::ALL.iter().find(|example| example.name == name) else {
            return String::new();
        };
        let public = reachable(self.public, self.admin);
        let url = option(" --url ws", public, "/v1/ws", 8080);
        let publish = option(" --publish http", self.admin, "", 8081);
        let options = match example.reaches {
            Reaches::Neither => String::new(),
            Reaches::Admin => publish,
            Reaches::Both => url + &publish,
        };
        format!("python examples/{name}/{}{options}", example.program)
    }

    /// Commands that show something on the page, or what the page shows.
    pub(super) fn commands(&self) -> [String; 3] {
        let admin = option(" --admin-url http", self.admin, "", 8081);
        let public = option(" --url http", reachable(self.public, self.admin), "", 8080);
        [
            format!("tidings publish{admin} news.local '{{\"headline\":\"hello\"}}'"),
            format!("vmstat -n 1 | tidings publish{admin} {ROOT}.vmstat -"),
            format!("tidings subscribe{public} '{ROOT}.>'"),
        ]
    }

    /// Scripts, styles and pictures from here, and a WebSocket to the public listener.
    pub(super) fn policy(&self) -> Option<HeaderValue> {
        policy(&sources(self.public, &["ws"]), "")
    }

    /// The same for an example's page, which talks to its profile's listener.
    pub(super) fn policy_of(&self, name: &str) -> Option<HeaderValue> {
        let place = self.place_of(name)?;
        policy(&sources(place, &["ws", "http"]), &format!("data: {}", sources(place, &["http"])))
    }
}

/// An option that names a server which is not at its usual place.
fn option(name: &str, address: SocketAddr, path: &str, usual: u16) -> String {
    let is_usual = address.port() == usual && address.ip().is_loopback();
    if is_usual { String::new() } else { format!("{name}://{address}{path}") }
}

/// Where clients cannot be reached under the page's own host name.
fn host_apart(public: SocketAddr) -> Option<String> {
    let ip = public.ip();
    if ip.is_loopback() || ip.is_unspecified() {
        return None;
    }
    Some(if let IpAddr::V6(ip) = ip { format!("[{ip}]") } else { ip.to_string() })
}

/// The places of a listener in a policy.
fn sources(place: SocketAddr, schemes: &[&str]) -> String {
    let port = place.port();
    let hosts = match host_apart(place) {
        Some(host) => vec![host],
        None => vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
    };
    let all = schemes
        .iter()
        .flat_map(|scheme| hosts.iter().map(move |host| format!("{scheme}://{host}:{port}")));
    all.collect::<Vec<_>>().join(" ")
}

fn policy(sockets: &str, images: &str) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {images}; \
         connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_may_open_sockets_to_the_public_listener_only() {
        let policy_of = |address: &str| {
            let policy = policy(&sources(address.parse().unwrap(), &["ws"]), "").unwrap();
            policy.to_str().unwrap().to_owned()
        };
        let own = "connect-src 'self' ws://127.0.0.1:82 ws://localhost:82;";
        assert!(policy_of("0.0.0.0:82").contains(own));
        assert!(policy_of("10.1.2.3:82").contains("connect-src 'self' ws://10.1.2.3:82;"));
    }
}
