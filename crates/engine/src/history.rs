use std::sync::Arc;

use protocol::{Answer, Epoch, Error, ErrorCode, Event, History, Seq};

use crate::broker::{Answer as Answered, Broker, Page, Segment};
use crate::selector::Selector;
use crate::streams::{StreamIndex, StreamTable};

/// Most events that one history answers.
pub const EVENTS_MAX: u32 = 1_000;
/// Most events that one history looks at; `more` says that it ended there.
const SCAN_MAX: usize = 100_000;
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
            let message =
                format!("the pattern reaches into several streams; name one of {names:?}");
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
    let events = Vec::new();
    next_page(Reading {
        broker,
        stream,
        selector,
        epoch,
        after,
        limit,
        events,
        bytes: 0,
        scanned: 0,
        answer,
    });
}

/// A history that is being read.
struct Reading {
    broker: Arc<dyn Broker>,
    stream: StreamIndex,
    selector: Selector,
    epoch: Option<Epoch>,
    after: Seq,
    limit: usize,
    events: Vec<Event>,
    bytes: usize,
    scanned: usize,
    answer: Answered<Result<Answer, Error>>,
}

fn next_page(reading: Reading) {
    let (broker, stream, after) = (reading.broker.clone(), reading.stream, reading.after);
    broker.read(stream, after, PAGE_BYTES, Box::new(move |page| take_page(reading, page)));
}

fn take_page(mut reading: Reading, page: Result<Page, Error>) {
    let page = match page {
        Ok(page) => page,
        Err(error) => return (reading.answer)(Err(error)),
    };
    if *reading.epoch.get_or_insert_with(|| page.epoch.clone()) != page.epoch {
        // Positions and events of another epoch mean nothing here: begin with what is kept.
        reading.epoch = Some(page.epoch);
        (reading.after, reading.bytes, reading.scanned) = (0, 0, 0);
        reading.events.clear();
        return next_page(reading);
    }
    let is_end = page.segments.is_empty();
    let is_full = reading.take(&page);
    if is_end || is_full {
        return reading.finish(page.epoch, is_full);
    }
    next_page(reading);
}

impl Reading {
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
        self.scanned >= SCAN_MAX
    }

    fn finish(self, epoch: Epoch, more: bool) {
        let stream = self.broker.state(self.stream).map(|state| state.stream);
        let result = match stream {
            Some(stream) => Ok(Answer::History { stream, epoch, events: self.events, more }),
            None => Err(Error::new(ErrorCode::NotFound, "there is no such stream")),
        };
        (self.answer)(result);
    }
}
