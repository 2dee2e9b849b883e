use engine::{ClientKey, Request, StreamIndex};

use super::store::{Ask, Luck};
use super::world::{Answered, Step, World};

/// What surrounds workers: answers, wake-ups and requests.
impl World {
    pub(super) fn look_at_stream(&mut self, node: usize, stream: StreamIndex) {
        let now = self.now(node);
        let is_more = self.nodes[node].worker.handle_stream(now, stream);
        self.tell(|| format!("worker {node} looks at s{}", stream.0));
        if is_more {
            self.after(0, Step::Stream(node, stream));
        }
        self.serve(node);
    }

    pub(super) fn take_answer(&mut self, node: usize, answered: Answered) {
        let now = self.now(node);
        self.tell(|| format!("worker {node} gets {}", brief(&answered)));
        let worker = &mut self.nodes[node].worker;
        match answered {
            Answered::Page(stream, after, page) => worker.handle_page(now, stream, after, page),
            Answered::Newest(stream, after, page) => {
                worker.handle_newest(now, stream, after, page);
            }
            Answered::Located(ticket, stream, found) => {
                worker.handle_located(now, ticket, stream, found)
            }
            Answered::Appended(ticket, result) => worker.handle_appended(now, ticket, result),
            Answered::Cursor(ticket, stream, found) => {
                worker.handle_cursor(now, ticket, stream, found)
            }
            Answered::Acknowledged(ticket, result) => {
                worker.handle_acknowledged(now, ticket, result)
            }
            Answered::History(ticket, result) => worker.handle_history(now, ticket, result),
        }
        self.serve(node);
    }

    /// Something went into a worker: takes what comes out.
    pub(super) fn serve(&mut self, node: usize) {
        self.take_requests(node);
        // Now and then a worker takes several inputs before its clients write.
        if !self.is_healing && self.random.one_in(10) {
            let delay = self.random.below(4);
            self.after(delay, Step::Transmit(node));
        } else {
            self.transmit(node);
        }
    }

    pub(super) fn take_requests(&mut self, node: usize) {
        while let Some(request) = self.nodes[node].worker.poll_request() {
            self.request(node, request);
        }
    }

    fn request(&mut self, node: usize, request: Request) {
        let answers = self.answers.clone();
        let to = move |answered| answers.lock().unwrap().push((node, answered));
        let broker: &dyn engine::Broker = self.store.as_ref();
        match request {
            Request::Append { ticket, stream, draft } => {
                let answer = move |mut results: Vec<_>| {
                    to(Answered::Appended(ticket, results.remove(0)));
                };
                broker.append(stream, vec![*draft], Box::new(answer));
            }
            Request::Read { stream, after, bytes_max } => {
                let answer = move |page| to(Answered::Page(stream, after, page));
                broker.read(stream, after, bytes_max, Box::new(answer));
            }
            Request::ReadNewest { stream, after, bytes_max } => {
                let answer = move |page| to(Answered::Newest(stream, after, page));
                broker.read_newest(stream, after, bytes_max, Box::new(answer));
            }
            Request::Locate { ticket, stream, selector, what } => {
                let answer = move |found| to(Answered::Located(ticket, stream, found));
                broker.locate(stream, *selector, what, Box::new(answer));
            }
            Request::Cursor { ticket, stream, device } => {
                let answer = move |found| to(Answered::Cursor(ticket, stream, found));
                broker.cursor(stream, device, Box::new(answer));
            }
            Request::Acknowledge { ticket, device, positions } => {
                let answer = move |result| to(Answered::Acknowledged(ticket, result));
                engine::cursors::acknowledge(broker, &device, positions, Box::new(answer));
            }
            Request::History { ticket, stream, viewer, history } => {
                let topics = vec![history.topic.clone()];
                let (except, filter, viewer) = (Vec::new(), None, Some(viewer));
                let selector = engine::Selector { topics, except, filter, viewer };
                let answer = Box::new(move |result| to(Answered::History(ticket, result)));
                engine::history::read(self.store.clone(), stream, selector, *history, answer);
            }
            Request::Heartbeat { client } => self.heartbeat(node, client),
            // Nobody there has a token, asks for status, or who is there.
            Request::Authenticate { .. } | Request::Status { .. } | Request::Presence { .. } => {}
            // Its people send and handle no commands.
            Request::Call { .. } | Request::Handle { .. } | Request::Result { .. } => {}
            Request::Restored { client, id, .. } => self.restored(node, client, id),
            Request::Close { client, .. } => {
                if let Some(connection) = self.connection_of(node, client) {
                    let delay = self.random.delay(0, 200);
                    self.after(delay, Step::Gone(connection));
                }
            }
        }
    }

    /// Only one connection has a client's id: an older one that was not seen to be gone, is.
    fn restored(&mut self, node: usize, client: ClientKey, id: protocol::ClientId) {
        let Some(newer) = self.connection_of(node, client) else { return };
        let person = self.connections[newer].person;
        for older in 0..newer {
            if self.connections[older].person == person {
                self.gone(older);
            }
        }
        self.clients.push(id);
    }

    pub(super) fn connection_of(&self, node: usize, key: ClientKey) -> Option<usize> {
        self.connections.iter().rposition(|other| other.worker == node && other.key == key)
    }

    /// Notices and questions that a step left behind become steps.
    pub(super) fn listen(&mut self) {
        for node in self.nodes_over..self.nodes.len() {
            let woken = std::mem::take(&mut *self.nodes[node].woken.0.lock().unwrap());
            for stream in woken {
                let lag_ms = self.nodes[node].lag_ms;
                let delay = self.random.delay(0, lag_ms);
                self.after(delay, Step::Stream(node, stream));
                // Some notices come twice.
                if self.random.one_in(20) {
                    self.after(delay + lag_ms, Step::Stream(node, stream));
                }
            }
        }
        let answers = std::mem::take(&mut *self.answers.lock().unwrap());
        for (node, answered) in answers {
            self.after(0, Step::Answered(node, answered));
        }
        for ask in self.store.take_asks() {
            self.schedule_ask(ask);
        }
    }

    fn schedule_ask(&mut self, ask: Ask) {
        self.asked_at = self.clock.ms();
        let is_away = self.away_until > self.clock.ms();
        let luck = if self.is_healing {
            Luck::Good
        } else if is_away || self.random.one_in(200) {
            *self.random.pick(&[Luck::Refused, Luck::Unknown])
        } else {
            Luck::Good
        };
        let mut at = self.clock.ms() + self.random.delay(0, 30);
        if matches!(ask, Ask::Append(..)) {
            // Appends are carried out in the order in which they were asked for.
            at = at.max(self.append_at);
            self.append_at = at;
        }
        self.at(at, Step::CarryOut(ask, luck, self.nodes_over));
    }

    pub(super) fn carry_out(&mut self, ask: Ask, luck: Luck) {
        let luck = self.planted.luck(&ask, luck);
        let found = self.store.carry_out(ask, luck);
        let delay = self.random.delay(0, 30);
        self.after(delay, Step::Give(found));
    }
}

/// An answer, without its events.
fn brief(answered: &Answered) -> String {
    match answered {
        Answered::Page(stream, after, Ok(page)) | Answered::Newest(stream, after, Ok(page)) => {
            let last = page.segments.last().map_or(0, engine::Segment::last);
            format!("a page of s{} after {after}: {} to {last}", stream.0, page.first)
        }
        Answered::Page(stream, after, Err(error)) | Answered::Newest(stream, after, Err(error)) => {
            format!("no page of s{} after {after}: {error}", stream.0)
        }
        Answered::Located(ticket, stream, found) => {
            format!("a place in s{} for {ticket:?}: {found:?}", stream.0)
        }
        Answered::Cursor(ticket, stream, found) => {
            format!("a cursor in s{} for {ticket:?}: {found:?}", stream.0)
        }
        Answered::Acknowledged(ticket, result) => {
            format!("an acknowledgement for {ticket:?}: {result:?}")
        }
        Answered::Appended(ticket, result) => format!("an append for {ticket:?}: {result:?}"),
        Answered::History(ticket, _) => format!("a history for {ticket:?}"),
    }
}
