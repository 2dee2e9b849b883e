use std::collections::VecDeque;
use std::sync::Arc;

use engine::Selector;
use parking_lot::{Mutex, MutexGuard};
use protocol::Seq;

use super::disk::DiskFile;
use super::index::Block;
use super::newest::{Newest, Place};
use super::record::Salt;
use super::segment::Segment;

/// Segments that are looked at under one lock.
const LOCKED_SEGMENTS_MAX: usize = 256;

/// What readers know of a log: only what has reached the log's durability. The log's writer
/// changes it, under a brief lock.
#[derive(Default)]
pub(crate) struct Catalog(Mutex<Contents>);

#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) segments: VecDeque<Segment>,
    /// First kept seq; `last + 1` where nothing is kept.
    pub(crate) first: Seq,
    /// Last seq.
    pub(crate) last: Seq,
    /// Of what is kept, as [`protocol::Draft::bytes`] counts them.
    pub(crate) bytes: u64,
    pub(crate) newest: Newest,
}

/// A part of the log, to be read.
#[derive(Clone)]
pub(crate) enum Part {
    Block(Arc<dyn DiskFile>, Salt, Block),
    /// No file holds it any more.
    Missing(Seq, Seq),
    /// Nothing in it can be selected.
    Skipped(Seq, Seq),
}

impl Part {
    pub(crate) fn first(&self) -> Seq {
        match self {
            Self::Block(.., block) => block.first,
            Self::Missing(first, _) | Self::Skipped(first, _) => *first,
        }
    }

    pub(crate) fn last(&self) -> Seq {
        match self {
            Self::Block(.., block) => block.last,
            Self::Missing(_, last) | Self::Skipped(_, last) => *last,
        }
    }
}

/// Contiguous parts, and what was kept when they were named.
pub(crate) struct Parts {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) parts: Vec<Part>,
}

/// Where newest events stand, in seq order, and what was kept when they were named.
pub(crate) struct NewestParts {
    pub(crate) first: Seq,
    /// No other newest event stands between the last of them and here.
    pub(crate) scanned_to: Seq,
    pub(crate) parts: Vec<(Arc<dyn DiskFile>, Salt, Place)>,
}

impl Catalog {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock()
    }

    /// The parts that follow `after`, at most so many blocks; without those that the selector
    /// cannot select anything of.
    pub(crate) fn after(&self, after: Seq, selector: Option<&Selector>, most: usize) -> Parts {
        let contents = self.lock();
        let (mut next, mut blocks) = (contents.first.max(after.saturating_add(1)), 0);
        let mut parts = Vec::new();
        let from = contents.segments.partition_point(|segment| segment.base <= next);
        let segments = contents.segments.range(from.saturating_sub(1)..);
        'all: for segment in segments.take(LOCKED_SEGMENTS_MAX) {
            if next < segment.base {
                parts.push(Part::Missing(next, segment.base - 1));
                next = segment.base;
            }
            let wanted = selector.map(|selector| segment.index.topics.wanted(selector));
            let from = segment.index.blocks.partition_point(|block| block.last < next);
            for block in segment.index.blocks.iter().skip(from) {
                if blocks == most {
                    break 'all;
                }
                next = block.last + 1;
                if wanted.is_some_and(|wanted| !block.topics.meets(&wanted)) {
                    skip(&mut parts, block.first, block.last);
                } else {
                    blocks += 1;
                    parts.push(Part::Block(segment.file.clone(), segment.salt, *block));
                }
            }
        }
        let (first, last) = (contents.first, contents.last);
        Parts { first, last, parts }
    }

    /// The parts that end before `before`, newest first, in the same way.
    pub(crate) fn before(&self, before: Seq, selector: &Selector, most: usize) -> Parts {
        let contents = self.lock();
        let (first, last) = (contents.first, contents.last);
        let (mut next, mut blocks) = (last.min(before.saturating_sub(1)), 0);
        let mut parts = Vec::new();
        let to = contents.segments.partition_point(|segment| segment.base <= next);
        'all: for segment in contents.segments.range(..to).rev().take(LOCKED_SEGMENTS_MAX) {
            if next < first {
                break;
            }
            let end = segment.index.last().unwrap_or(segment.base - 1);
            if end < next {
                parts.push(Part::Missing(end + 1, next));
                next = end;
            }
            let wanted = segment.index.topics.wanted(selector);
            let to = segment.index.blocks.partition_point(|block| block.first <= next);
            for block in segment.index.blocks.iter().take(to).rev() {
                if blocks == most || next < first {
                    break 'all;
                }
                next = block.first - 1;
                if block.topics.meets(&wanted) {
                    blocks += 1;
                    parts.push(Part::Block(segment.file.clone(), segment.salt, *block));
                } else {
                    parts.push(Part::Skipped(block.first, block.last));
                }
            }
        }
        Parts { first, last, parts }
    }

    /// The newest events of each topic and audience after `after`: as many as `bytes_max` bytes
    /// hold, though at least one, and at most so many. `None` where only the log tells.
    pub(crate) fn newest(&self, after: Seq, bytes_max: usize, most: usize) -> Option<NewestParts> {
        let contents = self.lock();
        let from = after.max(contents.first.saturating_sub(1));
        if from < contents.newest.since() {
            return None;
        }
        let (mut parts, mut bytes, mut scanned_to) = (Vec::new(), 0, contents.last);
        for place in contents.newest.places(from) {
            bytes += place.to - place.from;
            let is_full = bytes > bytes_max as u64 || parts.len() == most;
            if is_full && !parts.is_empty() {
                scanned_to = place.seq - 1;
                break;
            }
            let at = contents.segments.partition_point(|segment| segment.base <= place.seq);
            let segment = contents.segments.get(at.checked_sub(1)?)?;
            parts.push((segment.file.clone(), segment.salt, place));
        }
        Some(NewestParts { first: contents.first, scanned_to, parts })
    }

    /// The block in which the first kept event at or after a time is, where there is one.
    pub(crate) fn since(&self, time_ms: u64) -> (Option<Part>, Seq, Seq) {
        let contents = self.lock();
        let kept = contents.segments.iter();
        let mut kept = kept.filter(|segment| segment.index.last() >= Some(contents.first));
        let ends_late = |segment: &&Segment| {
            segment.index.blocks.last().is_some_and(|block| block.time_ms >= time_ms)
        };
        let part = kept.find(ends_late).and_then(|segment| {
            let is_early = |block: &Block| block.time_ms < time_ms || block.last < contents.first;
            let at = segment.index.blocks.partition_point(is_early);
            let block = segment.index.blocks.get(at)?;
            Some(Part::Block(segment.file.clone(), segment.salt, *block))
        });
        (part, contents.first, contents.last)
    }
}

fn skip(parts: &mut Vec<Part>, first: Seq, last: Seq) {
    match parts.last_mut() {
        Some(Part::Skipped(_, end)) => *end = last,
        _ => parts.push(Part::Skipped(first, last)),
    }
}

impl Contents {
    /// The block of the first kept event, where anything is kept.
    pub(crate) fn front(&self) -> Option<Part> {
        if self.first > self.last {
            return None;
        }
        let at = self.segments.partition_point(|segment| segment.base <= self.first);
        let segment = self.segments.get(at.checked_sub(1)?)?;
        let blocks = &segment.index.blocks;
        let block = blocks.get(blocks.partition_point(|block| block.last < self.first));
        if let Some(block) = block {
            return Some(Part::Block(segment.file.clone(), segment.salt, *block));
        }
        let end = self.segments.get(at).map_or(self.last, |segment| segment.base - 1);
        Some(Part::Missing(self.first, end))
    }
}
