use std::collections::VecDeque;
use std::rc::Rc;

use protocol::Seq;

/// Most bytes that a run begins another event with: what a stalled client can pin.
pub(crate) const RUN_BYTES_MAX: usize = 64 << 10;
/// Most seqs that a run spans.
pub(crate) const RUN_SEQS_MAX: usize = 256;
/// Most runs that are kept per stream and rendering.
const RUNS_MAX: usize = 8;

/// Rendered events in seq order, joined in one buffer that sessions share and write from.
#[derive(Debug)]
pub(crate) struct Run {
    first: Seq,
    spans: Vec<Span>,
    bytes: Vec<u8>,
}

/// Where an event's bytes lie in its run; empty where nobody needed it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Run {
    pub(crate) fn new(first: Seq) -> Self {
        Self { first, spans: Vec::new(), bytes: Vec::new() }
    }

    /// The last seq that it spans.
    fn last(&self) -> Seq {
        self.first + self.spans.len() as u64 - 1
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= RUN_BYTES_MAX || self.spans.len() >= RUN_SEQS_MAX
    }

    pub(crate) fn spans_seq(&self, seq: Seq) -> bool {
        seq >= self.first && seq <= self.last()
    }

    /// The bytes from `start` to `end`.
    pub(crate) fn slice(&self, start: u32, end: u32) -> &[u8] {
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Where the event lies, if it was rendered.
    pub(crate) fn span(&self, seq: Seq) -> Option<Span> {
        let at = seq.checked_sub(self.first)? as usize;
        self.spans.get(at).copied().filter(|span| span.end > span.start)
    }

    /// Whether an event lies too far ahead to be joined with what it has.
    pub(crate) fn is_far(&self, seq: Seq) -> bool {
        seq.saturating_sub(self.first) >= RUN_SEQS_MAX as u64
    }

    /// Appends an event behind all that it has; `render` writes its bytes.
    pub(crate) fn push(&mut self, seq: Seq, render: impl FnOnce(&mut Vec<u8>)) -> Span {
        let at = seq.saturating_sub(self.first) as usize;
        self.spans.resize(at, Span::default());
        let start = self.bytes.len() as u32;
        render(&mut self.bytes);
        let span = Span { start, end: self.bytes.len() as u32 };
        self.spans.push(span);
        span
    }
}

/// The newest runs of one stream and rendering, in seq order without overlap, so that a session
/// that fell a little behind writes what was rendered for the others.
#[derive(Debug, Default)]
pub(crate) struct RunLog {
    runs: VecDeque<Rc<Run>>,
    /// Set when a run was used since the last sweep.
    is_used: bool,
}

impl RunLog {
    /// The run that spans `seq`.
    pub(crate) fn get(&mut self, seq: Seq) -> Option<&Rc<Run>> {
        self.is_used = true;
        let at = self.runs.partition_point(|run| run.last() < seq);
        self.runs.get(at).filter(|run| run.spans_seq(seq))
    }

    /// First seq behind `seq` that some run spans: what is rendered anew should end before it.
    pub(crate) fn next_spanned(&self, seq: Seq) -> Option<Seq> {
        let at = self.runs.partition_point(|run| run.first <= seq);
        self.runs.get(at).map(|run| run.first)
    }

    /// Keeps a run, unless it is empty or overlaps what is kept.
    pub(crate) fn insert(&mut self, run: Rc<Run>) {
        if run.spans.is_empty() {
            return;
        }
        let at = self.runs.partition_point(|kept| kept.last() < run.first);
        if self.runs.get(at).is_some_and(|kept| kept.first <= run.last()) {
            return;
        }
        self.runs.insert(at, run);
        if self.runs.len() > RUNS_MAX {
            self.runs.pop_front();
        }
    }

    /// Forgets everything unless it was used since the last sweep; whether it is still wanted.
    pub(crate) fn sweep(&mut self) -> bool {
        if !std::mem::take(&mut self.is_used) {
            self.runs.clear();
        }
        !self.runs.is_empty()
    }
}
