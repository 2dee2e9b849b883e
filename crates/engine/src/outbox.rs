use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use crate::run::Run;

/// A session stops filling its write beyond this: what a stalled client costs, and how long an
/// alert waits at most for the write in flight.
pub(crate) const WRITE_BYTES: usize = 64 << 10;
/// Own bytes that a pooled outbox may keep allocated.
const KEEP_BYTES: usize = 4 << 10;

/// The write in flight of one client: slices of shared runs, and bytes of its own.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    slices: VecDeque<Slice>,
    own: Vec<u8>,
    bytes: usize,
}

/// Bytes to write, in a run or in the outbox itself.
#[derive(Debug)]
struct Slice {
    run: Option<Rc<Run>>,
    start: u32,
    end: u32,
}

impl Outbox {
    /// Bytes that wait to be written.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of its own that it keeps, written or not.
    pub(crate) fn held_bytes(&self) -> usize {
        self.own.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= WRITE_BYTES
    }

    /// Appends a part of a run; adjacent parts join.
    pub(crate) fn push_shared(&mut self, run: &Rc<Run>, start: u32, end: u32) {
        self.bytes += (end - start) as usize;
        if let Some(last) = self.slices.back_mut()
            && last.end == start
            && last.run.as_ref().is_some_and(|last| Rc::ptr_eq(last, run))
        {
            last.end = end;
            return;
        }
        self.slices.push_back(Slice { run: Some(run.clone()), start, end });
    }

    /// Appends bytes of the client's own, written by `write`.
    pub(crate) fn push_own(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.own.len() as u32;
        write(&mut self.own);
        let end = self.own.len() as u32;
        if end == start {
            return;
        }
        self.bytes += (end - start) as usize;
        match self.slices.back_mut() {
            Some(last) if last.run.is_none() && last.end == start => last.end = end,
            _ => self.slices.push_back(Slice { run: None, start, end }),
        }
    }

    /// Shows what is to be written, as far as `room` reaches; how many slices were set.
    pub(crate) fn gather<'a>(&'a self, room: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, place) in self.slices.iter().zip(room) {
            *place = IoSlice::new(self.bytes_of(slice));
            count += 1;
        }
        count
    }

    fn bytes_of<'a>(&'a self, slice: &'a Slice) -> &'a [u8] {
        match &slice.run {
            Some(run) => run.slice(slice.start, slice.end),
            None => self.own.get(slice.start as usize..slice.end as usize).unwrap_or_default(),
        }
    }

    /// `bytes` were written.
    pub(crate) fn advance(&mut self, mut bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        while let Some(slice) = self.slices.front_mut() {
            let length = (slice.end - slice.start) as usize;
            if bytes < length {
                slice.start += bytes as u32;
                return self.forget_written();
            }
            bytes -= length;
            self.slices.pop_front();
        }
        self.own.clear();
    }

    /// Forgets own bytes that are written, for a client whose write never runs empty.
    fn forget_written(&mut self) {
        let own = self.slices.iter().find(|slice| slice.run.is_none());
        let written = own.map_or(self.own.len() as u32, |slice| slice.start);
        if (written as usize) < WRITE_BYTES {
            return;
        }
        self.own.drain(..written as usize);
        for slice in self.slices.iter_mut().filter(|slice| slice.run.is_none()) {
            (slice.start, slice.end) = (slice.start - written, slice.end - written);
        }
    }

    /// Empties it for another client.
    pub(crate) fn recycle(&mut self) {
        self.slices.clear();
        self.own.clear();
        self.own.shrink_to(KEEP_BYTES);
        self.bytes = 0;
    }

    /// A copy of all that is to be written.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.slices.iter().flat_map(|slice| self.bytes_of(slice)).copied().collect()
    }
}
