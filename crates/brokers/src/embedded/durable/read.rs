use engine::{Hole, Locate, Page, Segment, Selector};
use protocol::{Event, GapReason, Seq};

use super::super::chunk::Chunk;
use super::super::notice::{Level, Notice};
use super::Shared;
use super::catalog::Part;
use super::segment::{Found, read_block, read_place};

/// Blocks that one page reads at most.
const PAGE_BLOCKS_MAX: usize = 16;
/// Newest events that one page holds at most: each is read on its own.
const PAGE_PLACES_MAX: usize = 1024;
/// Blocks that a search names under one lock.
const SEARCH_BLOCKS: usize = 8;
/// Damaged places that are remembered as told.
const TOLD_MAX: usize = 1024;

impl Shared {
    /// A page out of memory, where the tail reaches back so far.
    pub(crate) fn page_in_memory(&self, after: Seq, bytes_max: usize) -> Option<Page> {
        // Nobody watches under this id.
        let pull = self.tail.pull_some(u64::MAX, Some(&self.epoch), after, bytes_max.max(1));
        let next = pull.first.max(after.saturating_add(1));
        let reaches = pull.segments.first().is_some_and(|segment| segment.first() <= next);
        if !reaches && next <= pull.head {
            return None;
        }
        let (mut segments, mut bytes) = (pull.segments, 0);
        let mut fits = |segment: &Segment| {
            bytes += segment.bytes();
            bytes <= bytes_max
        };
        let count = segments.iter().take_while(|segment| fits(segment)).count();
        segments.truncate(count.max(1));
        Some(Page::new(self.epoch.clone(), pull.first, segments))
    }

    /// A page out of files, without the blocks in which nothing can be selected.
    pub(crate) fn page(&self, after: Seq, selector: Option<&Selector>, bytes_max: usize) -> Page {
        let named = self.catalog.after(after, selector, PAGE_BLOCKS_MAX);
        let from = named.first.max(after.saturating_add(1));
        let mut page = PageWriter { bytes_max, bytes: 0, segments: Vec::new(), is_full: false };
        let mut scanned_to = from - 1;
        for part in &named.parts {
            if !matches!(part, Part::Skipped(..)) {
                page.take(self.found(part), from);
            }
            if page.is_full {
                scanned_to = page.segments.last().map_or(scanned_to, Segment::last);
                break;
            }
            scanned_to = part.last();
        }
        let (epoch, segments) = (self.epoch.clone(), page.segments);
        Page { epoch, first: named.first, segments, scanned_to }
    }

    /// A page of the newest events of each topic and audience, without the log between them.
    pub(crate) fn newest_page(&self, after: Seq, bytes_max: usize) -> Page {
        let named = self.catalog.newest(after, bytes_max, PAGE_PLACES_MAX);
        let Some(named) = named else { return self.page(after, None, bytes_max) };
        let (mut segments, mut chunk) = (Vec::new(), Chunk::new(1));
        let mut next = 0;
        for (file, salt, place) in named.parts {
            let Some(event) = read_place(&*file, salt, &place) else {
                // An older event of the same topic is the newest that can be read. The log tells
                // which, and what else is damaged.
                self.catalog.lock().newest.forget(place.seq);
                return self.page(after, None, bytes_max);
            };
            if place.seq != next || !chunk.has_room(&event.draft) {
                segments.extend(std::mem::replace(&mut chunk, Chunk::new(1)).into_batch());
            }
            next = place.seq + 1;
            chunk.push(event);
        }
        segments.extend(chunk.into_batch());
        let segments = segments.into_iter().map(Segment::Batch).collect();
        let (epoch, first, scanned_to) = (self.epoch.clone(), named.first, named.scanned_to);
        Page { epoch, first, segments, scanned_to }
    }

    /// What a part holds; damage is told.
    fn found(&self, part: &Part) -> Vec<Found> {
        let found = match part {
            Part::Block(file, salt, block) => read_block(&**file, *salt, block),
            Part::Missing(first, last) | Part::Skipped(first, last) => {
                vec![Found::Missing(*first, *last)]
            }
        };
        for found in &found {
            if let Found::Missing(first, last) = found {
                self.tell_of_damage(*first, *last);
            }
        }
        found
    }

    fn tell_of_damage(&self, first: Seq, last: Seq) {
        let mut told = self.told.lock();
        if told.len() < TOLD_MAX && told.insert(first) {
            drop(told);
            let text = format!("stream `{}`: events {first} to {last} are damaged", self.name);
            (self.tell)(Notice { level: Level::Warning, text });
        }
    }

    /// The place before what is looked for, and whether the search ended at its bound.
    pub(crate) fn locate(&self, selector: &Selector, what: Locate) -> (Seq, bool) {
        match what {
            Locate::Last(count) => {
                let (after, truncated) = self.search_back(selector, count);
                // Retention may have overtaken the search.
                (after.max(self.catalog.lock().first - 1), truncated)
            }
            Locate::Since(time_ms) => (self.before_time(time_ms), false),
        }
    }

    /// Looks at events from the newest to the oldest.
    fn search_back(&self, selector: &Selector, count: u32) -> (Seq, bool) {
        let (mut found, mut scanned) = (0, 0);
        let mut named = self.catalog.before(Seq::MAX, selector, SEARCH_BLOCKS);
        let mut after = named.last;
        while found < count {
            let Some(oldest) = named.parts.last().map(Part::first) else { break };
            for part in &named.parts {
                let Part::Block(..) = part else { continue };
                for event in self.found(part).into_iter().rev().filter_map(event_of) {
                    if event.seq < named.first {
                        return (after, false);
                    }
                    if scanned == self.locate_scan_max {
                        return (after, true);
                    }
                    scanned += 1;
                    if selector.selects(&event) {
                        (found, after) = (found + 1, event.seq - 1);
                        if found == count {
                            return (after, false);
                        }
                    }
                }
            }
            named = self.catalog.before(oldest, selector, SEARCH_BLOCKS);
        }
        (after, false)
    }

    /// The place before the first kept event at or after a time, in ms since 1970.
    fn before_time(&self, time_ms: u64) -> Seq {
        let (part, first, last) = self.catalog.since(time_ms);
        let Some(part) = part else { return last };
        let mut events = self.found(&part).into_iter().filter_map(event_of);
        let found = events.find(|event| event.seq >= first && event.time_ms >= time_ms);
        found.map_or(part.last(), |event| event.seq - 1)
    }
}

fn event_of(found: Found) -> Option<Event> {
    match found {
        Found::Event(event, _) => Some(event),
        Found::Missing(..) => None,
    }
}

/// Makes segments of what was found, within the bytes of a page.
struct PageWriter {
    bytes_max: usize,
    bytes: usize,
    segments: Vec<Segment>,
    is_full: bool,
}

impl PageWriter {
    /// Takes what begins at or after `from`.
    fn take(&mut self, found: Vec<Found>, from: Seq) {
        let mut chunk = Chunk::new(found.len());
        for found in found {
            match found {
                Found::Event(event, _) if event.seq < from => {}
                Found::Event(event, _) => {
                    if !chunk.has_room(&event.draft) {
                        self.push_chunk(std::mem::replace(&mut chunk, Chunk::new(64)));
                    }
                    chunk.push(event);
                }
                Found::Missing(_, to) if to < from => {}
                Found::Missing(first, to) => {
                    self.push_chunk(std::mem::replace(&mut chunk, Chunk::new(64)));
                    let reason = GapReason::Corruption;
                    self.push(Segment::Hole(Hole { from: first.max(from), to, reason }));
                }
            }
            if self.is_full {
                return;
            }
        }
        self.push_chunk(chunk);
    }

    fn push_chunk(&mut self, chunk: Chunk) {
        if let Some(batch) = chunk.into_batch() {
            self.push(Segment::Batch(batch));
        }
    }

    fn push(&mut self, segment: Segment) {
        self.is_full |= !self.segments.is_empty() && self.bytes + segment.bytes() > self.bytes_max;
        if !self.is_full {
            self.bytes += segment.bytes();
            self.segments.push(segment);
        }
    }
}
