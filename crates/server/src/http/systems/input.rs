use std::error::Error as _;
use std::net::IpAddr;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use engine::Action;
use http::{HeaderMap, Uri};
use http_body_util::LengthLimitError;
use protocol::{Draft, Error, ErrorCode, Pattern, Payload, Publisher, Topic};

use crate::auth::{Principal, Standing};
use crate::counted::Whom;
use crate::endpoint::Endpoint;
use crate::http::Peer;
use crate::http::error::response;
use crate::http::page::Page;
use crate::http::who::{self, Shown, Who};
use crate::node::Node;
use crate::publishing::append_one;

/// Who sent what a route takes in, and what it may do.
pub(super) struct Sender {
    pub(super) principal: Principal,
    standing: Standing,
}

impl Sender {
    /// Who sent a request to a route beside the endpoint of that id. What the endpoint asks of its
    /// clients it asks of them, too: a page of an origin that it takes, and a token.
    pub(super) async fn identify(
        node: &Node,
        id: &str,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<Self, Response> {
        Self::beside(node, &endpoint(node, id)?, headers, uri).await
    }

    /// Who sent a message to such a route, and its body: it counts and is bounded as messages of
    /// the endpoint's clients are.
    pub(super) async fn of_message(
        node: &Node,
        id: &str,
        request: Request,
    ) -> Result<(Self, Bytes), Response> {
        let endpoint = endpoint(node, id)?;
        let (head, body) = request.into_parts();
        let sender = Self::beside(node, &endpoint, &head.headers, &head.uri).await?;
        let address = head.extensions.get::<Peer>().map(|peer| peer.address.ip());
        sender.count(node, &endpoint, address).map_err(|error| response(&error, None))?;
        let most = endpoint.message_bytes_of(&sender.standing.bounds);
        let body = read(body, most).await.map_err(|error| response(&error, None))?;
        Ok((sender, body))
    }

    async fn beside(
        node: &Node,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<Self, Response> {
        if !Page::of(headers).is_allowed(endpoint) {
            let message = "pages of this origin may not send this (setting `origins`)";
            return Err(response(&Error::new(ErrorCode::Forbidden, message), None));
        }
        let principal = match who::identify(node, endpoint, Shown::of(headers, uri)).await {
            Ok(Who::Known(principal)) => principal,
            // Only who can send messages is asked to.
            Ok(Who::Later) => Principal::default(),
            Err(error) => return Err(who::refuse(&error)),
        };
        let standing = endpoint.standing(node, &principal).map_err(|error| who::refuse(&error))?;
        Ok(Self { principal, standing })
    }

    /// Counts a message of a user or, where nobody knows whose it is, of an address.
    fn count(
        &self,
        node: &Node,
        endpoint: &Endpoint,
        address: Option<IpAddr>,
    ) -> Result<(), Error> {
        let rate = self.standing.bounds.messages.or(endpoint.messages);
        let user = self.principal.user.clone().map(Whom::User);
        let (Some(rate), Some(whom)) = (rate, user.or(address.map(Whom::network))) else {
            return Ok(());
        };
        let counted = node.senders.count(whom, &endpoint.way.id, rate, node.clock.now().ms);
        counted.map_err(|wait_ms| {
            let message = "more messages than allowed (setting `limits.messages`)";
            Error::new(ErrorCode::RateLimited, message).retry_after(wait_ms)
        })
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

#[expect(clippy::result_large_err, reason = "the answer is used at once")]
fn endpoint(node: &Node, id: &str) -> Result<Endpoint, Response> {
    let gone = || response(&Error::new(ErrorCode::NotFound, "its endpoint is gone"), None);
    crate::endpoint::of_id(node, id).ok_or_else(gone)
}

async fn read(body: Body, most: usize) -> Result<Bytes, Error> {
    to_bytes(body, most).await.map_err(|error| {
        if error.source().is_some_and(|source| source.is::<LengthLimitError>()) {
            let message = format!("the body is larger than {most} bytes (setting `message_bytes`)");
            return Error::new(ErrorCode::TooLarge, message);
        }
        Error::bad_request("the body does not come whole")
    })
}
