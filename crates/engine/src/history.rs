use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::{Answer, Epoch, Error, ErrorCode, Event, History, Seq};

use crate::broker::{Answer as Answered, Broker, Page, Segment};
use crate::selector::Selector;
use crate::streams::{StreamIndex, StreamTable};

/// Most events that one history answers.
pub const EVENTS_MAX: u32 = 1_000;
/// Most events that one history looks at; `more` says that it ended there, `after` where.
const SCAN_MAX: usize = 100_000;
/// Most pages that one history reads, in the same way: events may be large.
const PAGES_MAX: usize = 64;
/// About how much one read of the broker brings.
const PAGE_BYTES: usize = 256 << 10;
/// About how many bytes of data one history answers.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The stream that a history is to be read from.
///
/// # Errors
/// [`ErrorCode::NotFound`] where the stream does not exist, [`ErrorCode::BadRequest`] where the
/// pattern reaches into several and none is named.
pub fn stream_of(table: &StreamTable, history: &History) -> Result<StreamIndex, Error> {
    if let Some(name) = &history.stream {
        return table.find(name.as_str());
    }
    match *table.streams_of(&history.topic) {
        [only] => Ok(only),
        [] => Err(Error::new(ErrorCode::NotFound, "no stream captures these topics")),
        _ => {
            let names = table.streams_of(&history.topic);
            let names: Vec<_> = names.iter().filter_map(|at| table.spec(*at)).collect();
            let names: Vec<_> = names.iter().map(|spec| spec.name.as_str()).collect();
            let message = format!(
                "the pattern reaches into several streams; name one of: {}",
                names.join(", ")
            );
            Err(Error::bad_request(message))
        }
    }
}

/// Reads kept events page by page until enough are found, and answers [`Answer::History`].
pub fn read(
    broker: Arc<dyn Broker>,
    stream: StreamIndex,
    selector: Selector,
    history: History,
    answer: Answered<Result<Answer, Error>>,
) {
    let limit = history.limit.clamp(1, EVENTS_MAX) as usize;
    let (after, epoch) = (history.after, history.epoch);
    let (events, bytes, scanned, pages) = (Vec::new(), 0, 0, 0);
    read_on(Reading {
        broker,
        stream,
        selector,
        epoch,
        after,
        limit,
        events,
        bytes,
        scanned,
        pages,
        answer,
    });
}

/// A history that is being read.
struct Reading {
    broker: Arc<dyn Broker>,
    stream: StreamIndex,
    selector: Selector,
    epoch: Option<Epoch>,
    /// Everything up to here was looked at.
    after: Seq,
    limit: usize,
    events: Vec<Event>,
    bytes: usize,
    scanned: usize,
    pages: usize,
    answer: Answered<Result<Answer, Error>>,
}

/// Where a page and the reading that asked for it meet: whichever comes second goes on.
enum Meeting {
    Nobody,
    Page(Result<Page, Error>),
    Reading(Reading),
}

/// Asks for page after page. One that is there before the call returns is taken by this loop: each
/// would otherwise lie on the stack above the one before it.
fn read_on(mut reading: Reading) {
    loop {
        let asking = Arc::new(Mutex::new(Meeting::Nobody));
        let answering = asking.clone();
        let answer = move |page| {
            let mut meeting = answering.lock();
            let Meeting::Reading(reading) = mem::replace(&mut *meeting, Meeting::Nobody) else {
                *meeting = Meeting::Page(page);
                return;
            };
            drop(meeting);
            if let Some(next) = reading.take_page(page) {
                read_on(next);
            }
        };
        let (broker, selector) = (reading.broker.clone(), reading.selector.clone());
        let (stream, after, answer) = (reading.stream, reading.after, Box::new(answer));
        broker.read_selected(stream, after, selector, PAGE_BYTES, answer);
        let mut meeting = asking.lock();
        let Meeting::Page(page) = mem::replace(&mut *meeting, Meeting::Nobody) else {
            *meeting = Meeting::Reading(reading);
            return;
        };
        match reading.take_page(page) {
            Some(next) => reading = next,
            None => return,
        }
    }
}

impl Reading {
    /// Takes a page; itself where it needs another one, and nothing where it has answered.
    fn take_page(mut self, page: Result<Page, Error>) -> Option<Self> {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                (self.answer)(Err(error));
                return None;
            }
        };
        self.pages += 1;
        if *self.epoch.get_or_insert_with(|| page.epoch.clone()) != page.epoch {
            // Positions and events of another epoch mean nothing here: begin with what is kept.
            self.epoch = Some(page.epoch.clone());
            (self.after, self.bytes, self.scanned) = (0, 0, 0);
            self.events.clear();
            if self.pages < PAGES_MAX {
                return Some(self);
            }
        } else if page.segments.is_empty() && page.scanned_to <= self.after {
            self.finish(page.epoch, false);
            return None;
        } else if !self.take(&page) && self.pages < PAGES_MAX {
            return Some(self);
        }
        self.finish(page.epoch, true);
        None
    }

    /// Takes what is wanted of a page; whether that is enough.
    fn take(&mut self, page: &Page) -> bool {
        for segment in &page.segments {
            let Segment::Batch(batch) = segment else {
                self.after = segment.last();
                continue;
            };
            for event in batch.after(self.after.max(page.first.saturating_sub(1))) {
                if self.events.len() >= self.limit || self.bytes >= ANSWER_BYTES_MAX {
                    return true;
                }
                (self.after, self.scanned) = (event.seq, self.scanned + 1);
                if self.selector.selects(event) {
                    self.bytes += event.draft.payload.len();
                    self.events.push(event.clone());
                }
            }
        }
        self.after = self.after.max(page.scanned_to);
        self.scanned >= SCAN_MAX
    }

    fn finish(self, epoch: Epoch, more: bool) {
        let stream = self.broker.state(self.stream).map(|state| state.stream);
        let result = match stream {
            Some(stream) => {
                let (events, after) = (self.events, self.after);
                Ok(Answer::History { stream, epoch, events, after, more })
            }
            None => Err(Error::new(ErrorCode::NotFound, "there is no such stream")),
        };
        (self.answer)(result);
    }
}
