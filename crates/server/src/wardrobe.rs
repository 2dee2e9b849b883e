use std::sync::Arc;

use engine::Rendering;
use protocol::Dialect;
use protocol::dialects::native::Native;

use crate::config::Config;
use crate::endpoint::{Endpoint, Spelling, Spoken};
use crate::rendering::{Compression, Framing, Look};
use crate::transports::Transport;

/// Every look that events can have at a node, by [`Rendering`].
pub(crate) struct Wardrobe {
    pub(crate) looks: Arc<[Look]>,
    /// What is spoken at each endpoint of the configuration, in its order.
    pub(crate) of_endpoints: Vec<Spoken>,
    websocket: Spelling,
    server_sent_events: Spelling,
    images: Spelling,
}

impl Wardrobe {
    /// The looks of a configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let mut looks = Vec::new();
        let native = |looks: &mut Vec<Look>, framing| {
            let dialect: Arc<dyn Dialect> = Arc::new(Native);
            Spelling { rendering: add(looks, &dialect, framing), deflated: None, dialect }
        };
        let websocket = native(&mut looks, Framing::WebSocket);
        let server_sent_events = native(&mut looks, Framing::ServerSentEvents);
        let images = native(&mut looks, Framing::Mjpeg);
        let endpoints = config.endpoints.iter();
        let of_endpoints = endpoints
            .map(|endpoint| {
                let compression = Endpoint::compression(endpoint);
                let (first, others) = Endpoint::dialects(endpoint);
                let mut spelling = |dialect| spelling(&mut looks, dialect, compression);
                let first = spelling(first);
                Spoken { first, others: others.into_iter().map(spelling).collect() }
            })
            .collect();
        Self { looks: looks.into(), of_endpoints, websocket, server_sent_events, images }
    }

    /// How the native dialect is spoken where no endpoint says so.
    pub(crate) fn native(&self, transport: Transport) -> Spoken {
        let first = match transport {
            Transport::WebSocket | Transport::Local => self.websocket.clone(),
            Transport::ServerSentEvents => self.server_sent_events.clone(),
            Transport::Mjpeg => self.images.clone(),
        };
        Spoken { first, others: Vec::new() }
    }
}

fn spelling(
    looks: &mut Vec<Look>,
    dialect: Arc<dyn Dialect>,
    compression: Option<Compression>,
) -> Spelling {
    let rendering = add(looks, &dialect, Framing::WebSocket);
    let deflated = compression.map(|wanted| add(looks, &dialect, Framing::Deflated(wanted)));
    Spelling { rendering, deflated, dialect }
}

/// Endpoints are few: what nothing has room for would render nothing.
fn add(looks: &mut Vec<Look>, dialect: &Arc<dyn Dialect>, framing: Framing) -> Rendering {
    let place = u16::try_from(looks.len()).unwrap_or(u16::MAX);
    looks.push(Look { dialect: dialect.clone(), framing });
    Rendering(place)
}
