use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use protocol::{Error, Seq};

use super::{ClientKey, Now, Request, Worker};
use crate::broker::{Page, Segment};
use crate::streams::StreamIndex;

/// Pages that are kept for others who read the same range.
const CACHED_MAX: usize = 16;
/// Pages that may be in flight.
const IN_FLIGHT_MAX: usize = 8;
/// Reads of neighbours begin at the same place where they can, so that they share a page.
const ALIGN_SEQS: u64 = 256;
/// When a failed read is tried again.
pub(super) const RETRY_MS: u64 = 500;

/// Pages of the broker: those at hand, and those in flight.
#[derive(Default)]
pub(super) struct Pages {
    cached: VecDeque<Cached>,
    /// With who waits for them.
    in_flight: HashMap<(StreamIndex, Seq), Vec<ClientKey>>,
    /// Clients for whom there was no room in flight.
    backlog: VecDeque<ClientKey>,
}

struct Cached {
    stream: StreamIndex,
    after: Seq,
    page: Rc<Page>,
}

impl Pages {
    /// A page that shows what follows `after`.
    fn find(&self, stream: StreamIndex, after: Seq) -> Option<Rc<Page>> {
        let shows = |cached: &&Cached| {
            let last = cached.page.segments.last().map_or(0, Segment::last);
            cached.stream == stream && cached.after <= after && after < last
        };
        self.cached.iter().find(shows).map(|cached| cached.page.clone())
    }

    /// Forgets pages of a stream whose epoch is over.
    pub(super) fn forget(&mut self, stream: StreamIndex) {
        self.cached.retain(|cached| cached.stream != stream);
    }

    fn keep(&mut self, stream: StreamIndex, after: Seq, page: Rc<Page>) {
        if self.cached.len() >= CACHED_MAX {
            self.cached.pop_front();
        }
        self.cached.push_back(Cached { stream, after, page });
    }
}

impl Worker {
    /// The page that shows what follows `after`, or `None`: then it is asked for, and the client
    /// looks again when it is there.
    pub(super) fn page(&mut self, place: u32, at: StreamIndex, after: Seq) -> Option<Rc<Page>> {
        if let Some(page) = self.pages.find(at, after) {
            return Some(page);
        }
        let key = self.key_of(place)?;
        self.ask_for_page(at, after, key);
        None
    }

    fn ask_for_page(&mut self, stream: StreamIndex, exactly: Seq, client: ClientKey) {
        // One that begins early and does not reach this far was of no use.
        let aligned = exactly - exactly % ALIGN_SEQS;
        let is_tried = |cached: &Cached| cached.stream == stream && cached.after == aligned;
        let is_known = self.pages.cached.iter().any(is_tried);
        let after = if is_known { exactly } else { aligned };
        if let Some(waiters) = self.pages.in_flight.get_mut(&(stream, after)) {
            if !waiters.contains(&client) {
                waiters.push(client);
            }
            return;
        }
        if self.pages.in_flight.len() >= IN_FLIGHT_MAX {
            return self.pages.backlog.push_back(client);
        }
        self.counters.pages += 1;
        self.pages.in_flight.insert((stream, after), vec![client]);
        let bytes_max = self.limits.page_bytes;
        self.requests.push_back(Request::Read { stream, after, bytes_max });
    }

    /// The broker answered [`Request::Read`].
    pub fn handle_page(
        &mut self,
        now: Now,
        stream: StreamIndex,
        after: Seq,
        result: Result<Page, Error>,
    ) {
        self.now = now;
        let waiters = self.pages.in_flight.remove(&(stream, after)).unwrap_or_default();
        let is_current = |page: &Page| {
            self.streams.get(stream.get()).is_some_and(|state| state.epoch == page.epoch)
        };
        let page = result.ok().filter(is_current).map(Rc::new);
        if let Some(page) = &page {
            self.pages.keep(stream, after, page.clone());
        }
        for client in waiters {
            match &page {
                Some(page) => self.show_page(client, stream, after, page),
                None => self.schedule_read(client.place, now.ms + RETRY_MS),
            }
        }
        self.look_again_at_backlog();
    }

    /// Lets as many clients ask as there is room for; all of them where no further answer would
    /// come to let the others ask.
    fn look_again_at_backlog(&mut self) {
        let in_flight = self.pages.in_flight.len();
        let backlog = &mut self.pages.backlog;
        let room =
            if in_flight == 0 { backlog.len() } else { IN_FLIGHT_MAX.saturating_sub(in_flight) };
        let clients: Vec<ClientKey> = backlog.drain(..room.min(backlog.len())).collect();
        for key in clients {
            if self.session(key).is_some() {
                self.look_again(key.place);
            }
        }
    }

    fn show_page(&mut self, key: ClientKey, at: StreamIndex, after: Seq, page: &Page) {
        if self.session(key).is_none() {
            return;
        }
        if page.segments.is_empty() {
            // Nothing is kept after the asked place: those before it have lost all of it.
            let read = self.streams.get(at.get()).map_or(0, |stream| stream.read);
            self.lose(key.place, at, after, page.first.min(read + 1));
        }
        self.look_again(key.place);
    }
}
