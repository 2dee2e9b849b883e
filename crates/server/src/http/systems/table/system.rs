use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::Response;
use engine::{SessionView, StreamIndex};
use http::request::Parts;
use protocol::dialects::table::{NAME, Table};
use protocol::dialects::{Settings, spelling::root::Root};
use protocol::{ClientId, Link, Pattern, Topic};

use crate::config::{Config, Endpoint, id_at};
use crate::departures::Sums;
use crate::http::guard;
use crate::node::Node;
use crate::registry::Connected;

/// The images for `<img>`, whose answer has no end.
const FRAMES: &str = "/api/v1/websocket/frame.mjpeg";

/// The endpoint whose clients and streams the routes are about.
pub(super) struct System {
    pub(super) dialect: Table,
    root: Root,
    listen: SocketAddr,
    /// Where its clients come: to the endpoint, and to its images.
    ids: [Arc<str>; 2],
}

/// A client as its worker sees it.
pub(super) struct Seen {
    pub(super) id: ClientId,
    /// The path of its endpoint.
    pub(super) path: Arc<str>,
    pub(super) link: Link,
    pub(super) sums: Sums,
    pub(super) view: SessionView,
}

/// A request of whom it is let to manage the server.
pub(super) struct Manager;

impl Seen {
    /// Whether it subscribes to a topic.
    pub(super) fn gets(&self, topic: &Topic) -> bool {
        self.view.topics.iter().any(|pattern| pattern.matches(topic))
    }
}

impl System {
    pub(super) fn new(config: &Config, endpoint: &Endpoint) -> Self {
        let (root, names) = (endpoint.root.clone(), endpoint.names.clone());
        let dialect = Table::new(&Settings { root: root.clone(), names });
        let listen = config.listener_of(endpoint);
        let ids = [config.id_of(endpoint), id_at(listen, FRAMES)];
        Self { dialect, root: Root::new(root), listen, ids }
    }

    /// The streams by the names that clients know, where the server captures them.
    pub(super) fn streams<'a>(
        &'a self,
        node: &'a Node,
    ) -> impl Iterator<Item = (&'a str, &'a Topic, StreamIndex)> {
        let streams = self.dialect.streams();
        streams.filter_map(|(name, topic)| Some((name, topic, node.table.stream_of(topic)?)))
    }

    /// The names by which clients know what they subscribe to.
    pub(super) fn names_of<'v>(&self, topics: &'v [Pattern]) -> Vec<&'v str> {
        let name_of = |topic: &'v Pattern| self.root.strip(topic.as_str());
        topics.iter().map(|topic| name_of(topic).unwrap_or(topic.as_str())).collect()
    }

    /// Whether a client speaks the dialect here, and is none that only watches.
    pub(super) fn has(&self, client: &Connected) -> bool {
        let [endpoint, _] = &self.ids;
        client.way.id == *endpoint
    }

    /// Everybody who is connected, in the order of arrival.
    pub(super) async fn clients(&self, node: &Node) -> Vec<Seen> {
        let ids = self.ids.clone();
        let seen = node.ask_all(move |shell| {
            let clients =
                shell.clients().filter(|(_, client)| ids.contains(&client.endpoint.way.id));
            let seen = clients.filter_map(|(key, client)| {
                Some(Seen {
                    id: client.id,
                    path: client.endpoint.way.endpoint.clone(),
                    link: client.link(),
                    sums: shell.sums(key),
                    view: shell.engine.view(key)?,
                })
            });
            seen.collect::<Vec<Seen>>()
        });
        let mut all: Vec<Seen> = seen.await.into_iter().flatten().collect();
        all.sort_unstable_by_key(|seen| seen.id);
        all
    }

    /// What all clients did so far, those who have left too.
    pub(super) fn sums(&self, node: &Node, present: &[Seen]) -> Sums {
        let mut sums = Sums::default();
        present.iter().for_each(|seen| sums.add(&seen.sums));
        for id in &self.ids {
            sums.add(&node.departures.of(id));
        }
        sums
    }
}

/// Where the images of an endpoint are served, and what topic they are of.
pub(in crate::http) fn frames_of(endpoint: &Endpoint) -> Option<(&'static str, Topic)> {
    let is_it = endpoint.routes && endpoint.dialect.as_str() == NAME;
    let topic = Root::new(endpoint.root.clone()).topic("frame").ok();
    topic.filter(|_| is_it).map(|topic| (FRAMES, topic))
}

impl FromRequestParts<Arc<Node>> for Manager {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Response> {
        let system = parts.extensions.get::<Arc<System>>();
        let listen = system.map(|system| system.listen);
        let listen = listen.unwrap_or(node.config().listen.public);
        guard::check_manager(node, &parts.headers, listen).map(|()| Self)
    }
}
