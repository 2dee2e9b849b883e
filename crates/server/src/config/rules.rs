use std::net::SocketAddr;

use protocol::Pattern;
use protocol::dialects::native::{NAME_BYTES_MAX, is_device};
use protocol::dialects::spelling::root::Root;

use super::problem::Problem;
use super::stream::{Durability, Stream};
use super::tree::Node;
use super::{Backend, Config, Deliver, Endpoint, EndpointPath, auth_rules};
use crate::http::systems;

/// Everything that a configuration breaks. Numbers of items agree in `config` and `tree`.
pub(super) fn broken(config: &Config, tree: &Node) -> Vec<Problem> {
    let mut check = Check { config, tree, problems: Vec::new() };
    check.admin();
    check.listeners();
    check.streams();
    check.captures();
    check.endpoints();
    auth_rules::check(&mut check);
    check.remotes();
    check.sources();
    check.bodies();
    check.problems
}

pub(super) struct Check<'a> {
    pub(super) config: &'a Config,
    tree: &'a Node,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Starts a problem with places that were written; what was not is left away.
    fn problem(&self, title: String, places: &[(&str, &str)]) -> Problem {
        places.iter().fold(Problem::new(title), |problem, (path, label)| {
            match self.tree.find(path) {
                Some(node) => problem.at(&node.place, *label),
                None => problem,
            }
        })
    }

    /// Notes a problem with places that were written.
    pub(super) fn report(&mut self, title: String, places: &[(&str, &str)]) {
        let problem = self.problem(title, places);
        self.problems.push(problem);
    }

    pub(super) fn report_with_help(&mut self, title: String, places: &[(&str, &str)], help: &str) {
        let problem = self.problem(title, places);
        self.problems.push(problem.help(help));
    }

    fn admin(&mut self) {
        let address = self.config.listen.admin;
        if address.ip().is_loopback() || self.config.admin.token_env.is_some() {
            return;
        }
        let title = format!("the admin listener {address} is open to others and has no token");
        let help = "set `admin.token_env` to the name of a variable that holds a token";
        let places = [("listen.admin", "not a loopback address")];
        self.problems.push(self.problem(title, &places).help(help));
    }

    fn listeners(&mut self) {
        let admin = self.config.listen.admin;
        let admin_place = ("listen.admin", "for the admin listener");
        if clash(self.config.listen.public, admin) {
            let title =
                format!("clients and the admin listener cannot share port {}", admin.port());
            self.report(title, &[("listen.public", "for clients"), admin_place]);
        }
        for (at, endpoint) in self.config.endpoints.iter().enumerate() {
            if endpoint.listen.is_some_and(|listen| clash(listen, admin)) {
                let (path, port) = (&endpoint.path, admin.port());
                let title = format!("`{path}` and the admin listener cannot share port {port}");
                let listen = format!("endpoint.{at}.listen");
                self.report(title, &[(&listen, "for the endpoint"), admin_place]);
            }
        }
    }

    fn streams(&mut self) {
        let streams = &self.config.streams;
        for (at, stream) in streams.iter().enumerate() {
            let name = &stream.name;
            let path = |key: &str| format!("stream.{at}.{key}");
            if let Some(first) = streams.iter().take(at).position(|other| other.name == *name) {
                let first = format!("stream.{first}.name");
                let places = [(&*path("name"), "the second"), (&*first, "the first")];
                self.report(format!("two streams are named `{name}`"), &places);
            }
            self.durability(at, stream);
            self.wait_for(at, stream);
            if stream.max_rate.is_some() && stream.deliver == Some(Deliver::Every) {
                let title = format!("stream `{name}` delivers every event, so it has no rate");
                let (rate, deliver) = (path("max_rate"), path("deliver"));
                let places = [(&*rate, "paces the newest events"), (&*deliver, "make it `latest`")];
                self.report(title, &places);
            }
            self.topics(at, stream);
        }
    }

    fn durability(&mut self, at: usize, stream: &Stream) {
        let is_durable =
            matches!(stream.durability, Some(Durability::Buffered | Durability::Fsync));
        if !is_durable || self.config.broker.dir.is_some() {
            return;
        }
        let title = format!("stream `{}` has no directory to be kept in", stream.name);
        let help = "set `broker.dir` (or `--data`) to a directory";
        let path = format!("stream.{at}.durability");
        let problem = self.problem(title, &[(&path, "what is in memory survives nothing")]);
        self.problems.push(problem.help(help));
    }

    fn wait_for(&mut self, at: usize, stream: &Stream) {
        let Some(wait_for) = &stream.wait_for else { return };
        if !is_device(&wait_for.device) {
            let title = format!("stream `{}` waits for a device that cannot exist", stream.name);
            let path = format!("stream.{at}.wait_for.device");
            let label = format!("1 to {NAME_BYTES_MAX} bytes without control characters");
            self.report(title, &[(&path, &label)]);
        }
    }

    fn topics(&mut self, at: usize, stream: &Stream) {
        let topics = format!("stream.{at}.topics");
        if stream.is_default() {
            if stream.topics.iter().any(|pattern| pattern.as_str() != ">") {
                let title = "the stream `default` captures what no other stream does".to_owned();
                self.report(title, &[(&topics, "give these to a stream of another name")]);
            }
            return;
        }
        if stream.topics.is_empty() {
            let title = format!("stream `{}` captures nothing", stream.name);
            self.report(title, &[(&format!("stream.{at}.name"), "give it `topics`")]);
        }
        for (number, pattern) in stream.topics.iter().enumerate() {
            if pattern.as_str().starts_with('$') {
                let title = format!("`{pattern}` selects topics of the system");
                self.report(title, &[(&format!("{topics}.{number}"), "no stream captures them")]);
            }
            if pattern.is_partial() {
                let title = format!("`{pattern}` captures by a part of a token");
                self.report(title, &[(&format!("{topics}.{number}"), "name whole tokens")]);
            }
        }
    }

    /// Every topic must have one most specific pattern.
    fn captures(&mut self) {
        let streams = self.config.streams.iter().enumerate();
        let captures: Vec<Capture<'_>> = streams
            .filter(|(_, stream)| !stream.is_default())
            .flat_map(|(at, stream)| {
                let patterns = stream.topics.iter().enumerate();
                patterns.map(move |(number, pattern)| Capture {
                    stream,
                    pattern,
                    path: format!("stream.{at}.topics.{number}"),
                })
            })
            .collect();
        for (position, second) in captures.iter().enumerate() {
            for first in captures.iter().take(position) {
                let Some(title) = conflict(first, second) else {
                    continue;
                };
                let (a, b) = (first.label(), second.label());
                self.report(title, &[(&second.path, &b), (&first.path, &a)]);
            }
        }
    }

    fn endpoints(&mut self) {
        self.systems();
        self.names();
        self.aliases();
        let endpoints = &self.config.endpoints;
        for (at, endpoint) in endpoints.iter().enumerate() {
            let listener = self.config.listener_of(endpoint);
            let before = endpoints.iter().take(at);
            let claimed = before.enumerate().find_map(|(first, other)| {
                let is_here = self.config.listener_of(other) == listener;
                is_here.then_some((first, claimed_by_both(endpoint, other)?))
            });
            let Some((first, path)) = claimed else { continue };
            let title = format!("two endpoints claim `{path}` on {listener}");
            let (second, first) = (format!("endpoint.{at}.path"), format!("endpoint.{first}.path"));
            self.report(title, &[(&second, "the second"), (&first, "the first")]);
        }
    }
}

impl Check<'_> {
    /// Only what is posted to a URL has a form of its own.
    fn bodies(&mut self) {
        for (at, route) in self.config.commands.iter().enumerate() {
            if route.body.is_some() && !matches!(route.to, Backend::Http(_)) {
                let title = format!("`{}` has a `body`, and is not sent to a URL", route.name);
                let (body, to) = (format!("command.{at}.body"), format!("command.{at}.to"));
                self.report(title, &[(&body, "the body"), (&to, "no URL")]);
            }
        }
    }

    /// What holds for the native endpoint holds for the other ways to the same events, too.
    fn aliases(&mut self) {
        for (at, endpoint) in self.config.endpoints.iter().enumerate() {
            for (number, alias) in endpoint.aliases.iter().enumerate() {
                if alias.as_str() == "/v1/ws" {
                    let title = "`/v1/ws` is an endpoint of its own, and no alias".to_owned();
                    let place = format!("endpoint.{at}.aliases.{number}");
                    self.report(title, &[(&place, "built in")]);
                }
            }
        }
    }

    /// What clients may name must be there to be named.
    fn names(&mut self) {
        for (at, endpoint) in self.config.endpoints.iter().enumerate() {
            let root = Root::new(endpoint.root.clone());
            for (number, name) in endpoint.names.iter().enumerate() {
                if let Err(error) = root.topic(name) {
                    let title = format!("`{name}` cannot be a name of events: {}", error.message);
                    let place = format!("endpoint.{at}.names.{number}");
                    self.report(title, &[(&place, "no topic")]);
                }
            }
        }
    }

    /// Routes of systems must not meet on one listener.
    fn systems(&mut self) {
        let endpoints = &self.config.endpoints;
        for (at, endpoint) in endpoints.iter().enumerate() {
            let listener = self.config.listener_of(endpoint);
            for (before, other) in endpoints.iter().take(at).enumerate() {
                let (mine, theirs) = (systems::paths(endpoint), systems::paths(other));
                let shared = mine.iter().find(|path| theirs.contains(path));
                let Some(path) = shared.filter(|_| self.config.listener_of(other) == listener)
                else {
                    continue;
                };
                let (a, b) = (other.dialect.as_str(), endpoint.dialect.as_str());
                let title =
                    format!("the routes of `{a}` and `{b}` both claim `{path}` on {listener}");
                let (second, first) =
                    (format!("endpoint.{at}.path"), format!("endpoint.{before}.path"));
                self.report(title, &[(&second, "the second"), (&first, "the first")]);
            }
        }
    }
}

/// What two endpoints both claim. An alias gives way to a path.
fn claimed_by_both<'a>(one: &'a Endpoint, other: &Endpoint) -> Option<&'a EndpointPath> {
    let alias = one.aliases.iter().find(|alias| other.aliases.contains(alias));
    (one.path == other.path).then_some(&one.path).or(alias)
}

/// A pattern of a stream, and where it was written.
struct Capture<'a> {
    stream: &'a Stream,
    pattern: &'a Pattern,
    path: String,
}

impl Capture<'_> {
    fn label(&self) -> String {
        format!("of stream `{}`", self.stream.name)
    }
}

/// Why two patterns leave it open which of their streams captures a topic.
fn conflict(first: &Capture<'_>, second: &Capture<'_>) -> Option<String> {
    let (a, b) = (first.pattern, second.pattern);
    if first.stream.name == second.stream.name || !a.overlaps(b) {
        return None;
    }
    if a == b {
        return Some(format!("two streams capture `{a}`"));
    }
    let is_decided = a.contains(b) || b.contains(a);
    (!is_decided).then(|| format!("`{a}` and `{b}` share topics, and neither is within the other"))
}

/// Whether two listeners could not be bound at the same time. Port 0 is any free one.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let overlap =
        a.ip() == b.ip() || (same_family && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    a.port() == b.port() && a.port() != 0 && overlap
}

/// Fills in what always exists: the pattern of `default`, two roles, and what streams survive.
pub(super) fn complete(config: &mut Config) {
    let paths: Vec<_> =
        config.endpoints.iter().map(|one| (config.listener_of(one), one.path.clone())).collect();
    for endpoint in &mut config.endpoints {
        let listener = endpoint.listen.unwrap_or(config.listen.public);
        endpoint.aliases.retain(|alias| !paths.contains(&(listener, alias.clone())));
    }
    let has_directory = config.broker.dir.is_some();
    for stream in &mut config.streams {
        let buffered = has_directory && !stream.is_default();
        let unset = if buffered { Durability::Buffered } else { Durability::Memory };
        stream.durability.get_or_insert(unset);
    }
    let Ok(everything) = Pattern::parse(">") else {
        return;
    };
    let is_taken = config.streams.iter().any(|s| !s.is_default() && s.topics.contains(&everything));
    for stream in config.streams.iter_mut().filter(|stream| stream.is_default()) {
        // Whoever gives `>` to a stream of another name leaves nothing to this one.
        stream.topics = if is_taken { Vec::new() } else { vec![everything.clone()] };
    }
    config.auth.complete(everything);
}
