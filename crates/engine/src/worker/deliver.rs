use std::collections::HashMap;
use std::rc::Rc;

use protocol::{Event, Position, Seq};

use super::Counters;
use crate::outbox::Outbox;
use crate::render::{Renderer, Rendering, Stream};
use crate::run::{Run, RunLog, Span};
use crate::session::Session;

/// Puts chosen events of one stream into one session's write, from shared runs where there are
/// any.
pub(super) struct Courier<'a> {
    pub(super) session: &'a mut Session,
    pub(super) runs: &'a mut HashMap<Rendering, RunLog>,
    pub(super) renderer: &'a mut dyn Renderer,
    pub(super) stream: Stream<'a>,
    #[expect(clippy::vec_box, reason = "sessions hold boxes, so that an idle one is small")]
    pub(super) outboxes: &'a mut Vec<Box<Outbox>>,
    pub(super) counters: &'a mut Counters,
}

/// What precedes each event.
pub(super) struct Before {
    /// The session's positions.
    pub(super) positions: Vec<Position>,
    /// How far the stream's other readers have come.
    pub(super) others: Seq,
}

/// Where an event's bytes are.
enum Rendered {
    Shared(Rc<Run>, Span),
    /// They fit in no shared run.
    Own,
}

impl Courier<'_> {
    /// Delivers events in the order given, behind the session's positions where those precede each
    /// event.
    pub(super) fn deliver(&mut self, events: &[&Event], positions: Option<Before>) {
        if events.is_empty() {
            return;
        }
        self.session.counts.events_out += events.len() as u64;
        self.counters.deliveries += events.len() as u64;
        let mut outbox = self.take_outbox();
        match positions {
            Some(positions) => self.deliver_with_positions(&mut outbox, events, positions),
            None => self.deliver_plain(&mut outbox, events),
        }
        self.session.outbox = Some(outbox);
    }

    /// Delivers events as batches: neighbours joined in one frame.
    pub(super) fn deliver_batch(&mut self, events: &[&Event]) {
        self.session.counts.events_out += events.len() as u64;
        self.counters.deliveries += events.len() as u64;
        let mut outbox = self.take_outbox();
        let rendering = self.session.rendering;
        let (renderer, stream) = (&mut *self.renderer, self.stream);
        // A batch belongs to one client and moment, so its items are not worth sharing.
        let mut items = Vec::new();
        let close = |renderer: &mut dyn Renderer, outbox: &mut Outbox, items: &mut Vec<u8>| {
            if items.is_empty() {
                return;
            }
            outbox.push_own(|out| renderer.batch(rendering, &stream, items, out));
            items.clear();
        };
        for event in events {
            self.counters.renderings += 1;
            let start = items.len();
            if !renderer.batch_item(rendering, &stream, event, &mut items) {
                let whole = items.split_off(start);
                close(renderer, &mut outbox, &mut items);
                outbox.push_own(|out| out.extend_from_slice(&whole));
            }
        }
        close(renderer, &mut outbox, &mut items);
        self.session.outbox = Some(outbox);
    }

    fn take_outbox(&mut self) -> Box<Outbox> {
        let taken = self.session.outbox.take().or_else(|| self.outboxes.pop());
        taken.unwrap_or_default()
    }

    fn deliver_plain(&mut self, outbox: &mut Outbox, events: &[&Event]) {
        for (place, event) in events.iter().enumerate() {
            match self.rendered(event, events.get(place..).unwrap_or_default()) {
                Rendered::Shared(run, span) => outbox.push_shared(&run, span.start, span.end),
                Rendered::Own => self.push_own(outbox, event),
            }
        }
    }

    fn deliver_with_positions(&mut self, outbox: &mut Outbox, events: &[&Event], before: Before) {
        let Before { mut positions, others } = before;
        let rendering = self.session.rendering;
        for (place, event) in events.iter().enumerate() {
            let of_stream = positions.iter_mut().find(|p| p.stream == *self.stream.name);
            if let Some(position) = of_stream {
                position.seq = event.seq.min(others);
            }
            outbox.push_own(|out| self.renderer.positions(rendering, &positions, out));
            match self.rendered(event, events.get(place..).unwrap_or_default()) {
                Rendered::Shared(run, span) => outbox.push_shared(&run, span.start, span.end),
                Rendered::Own => self.push_own(outbox, event),
            }
        }
    }

    fn push_own(&mut self, outbox: &mut Outbox, event: &Event) {
        self.counters.renderings += 1;
        let rendering = self.session.rendering;
        outbox.push_own(|out| self.renderer.event(rendering, &self.stream, event, out));
    }

    /// Finds the event among the shared runs, or renders it and those that follow into a new one.
    fn rendered(&mut self, event: &Event, following: &[&Event]) -> Rendered {
        let rendering = self.session.rendering;
        let log = self.runs.entry(rendering).or_default();
        if let Some(run) = log.get(event.seq) {
            return match run.span(event.seq) {
                Some(span) => Rendered::Shared(run.clone(), span),
                None => Rendered::Own,
            };
        }
        let end = log.next_spanned(event.seq);
        let mut run = Run::new(event.seq);
        for event in following {
            if run.is_full() || end.is_some_and(|end| event.seq >= end) || run.is_far(event.seq) {
                break;
            }
            self.counters.renderings += 1;
            run.push(event.seq, |out| {
                self.renderer.event(rendering, &self.stream, event, out);
            });
        }
        let run = Rc::new(run);
        log.insert(run.clone());
        run.span(event.seq).map_or(Rendered::Own, |span| Rendered::Shared(run, span))
    }
}
