use axum::response::Response;
use engine::Action;
use http::{HeaderMap, Uri};
use protocol::{Draft, Error, ErrorCode, Pattern, Payload, Publisher, Topic};

use crate::auth::{Principal, Standing};
use crate::endpoint::Endpoint;
use crate::http::error::response;
use crate::http::upgrade::is_origin_allowed;
use crate::http::who::{self, Shown, Who};
use crate::node::Node;
use crate::publishing::append_one;

/// Who sent what a route takes in, and what it may do.
pub(super) struct Sender {
    pub(super) principal: Principal,
    standing: Standing,
}

impl Sender {
    /// Who sent a request to a route beside the endpoint of that path. What the endpoint asks of
    /// its clients it asks of them, too: a page of an origin that it takes, and a token.
    pub(super) async fn identify(
        node: &Node,
        path: &str,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<Self, Response> {
        let endpoint = beside(node, path).map_err(|error| response(&error, None))?;
        if !is_origin_allowed(&endpoint, headers) {
            let message = "pages of this origin may not send this (setting `origins`)";
            return Err(response(&Error::new(ErrorCode::Forbidden, message), None));
        }
        let shown = Shown::of(headers, uri);
        let principal = match who::identify(node, &endpoint, shown).await {
            Ok(Who::Known(principal)) => principal,
            // Only who can send messages is asked to.
            Ok(Who::Later) => Principal::default(),
            Err(error) => return Err(who::refuse(&error)),
        };
        let standing = endpoint.standing(node, &principal).map_err(|error| who::refuse(&error))?;
        Ok(Self { principal, standing })
    }

    /// Whether it may do something with a topic.
    ///
    /// # Errors
    /// `forbidden`.
    pub(super) fn may(&self, action: Action, topic: &Topic) -> Result<(), Error> {
        self.standing.grants.authorize(action, &Pattern::from(topic))
    }

    /// Publishes JSON in its name.
    ///
    /// # Errors
    /// What the broker says.
    pub(super) async fn publish(
        &self,
        node: &Node,
        topic: &Topic,
        json: Vec<u8>,
    ) -> Result<(), Error> {
        let mut draft = Draft::new(topic.clone(), Payload::Json(json.into()));
        if let Some(user) = &self.principal.user {
            draft.publisher = Publisher::User(user.clone());
        }
        append_one(node, draft).await.map(drop)
    }
}

fn beside(node: &Node, path: &str) -> Result<Endpoint, Error> {
    let gone = || Error::new(ErrorCode::NotFound, "its endpoint is gone");
    crate::endpoint::at(node, path).ok_or_else(gone)
}
