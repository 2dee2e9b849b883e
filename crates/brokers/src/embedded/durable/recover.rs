use std::io;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Durability, SEQ_MAX, Seq};

use super::super::fingerprint::{Claim, Key};
use super::super::ids::{IdWindow, Slot};
use super::catalog::Catalog;
use super::disk::{Disk, read_all, write_all};
use super::index::Index;
use super::log::{Active, AgeClock, Log, Settings, Staged, Trouble, new_segment};
use super::newest::Newest;
use super::record::Record;
use super::retain::Retainer;
use super::segment::{
    HEADER, Scan, Segment, base_of, header, ids_name, index_name, log_name, newest_name, salt_of,
    scan,
};
use super::sidecar::{self, Sidecars};
use crate::clock::Now;

/// What was known of a log when it was open last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Everything up to this seq survives a loss of power.
    pub(crate) synced: Seq,
    /// What was before this seq is not kept.
    pub(crate) first: Seq,
}

/// Whether a log that was found to end with `last` continues what was acknowledged and delivered.
pub(crate) fn continues(known: Noted, last: Seq, was: Durability, same_boot: bool) -> bool {
    // What the process wrote is there as long as the machine runs.
    let nothing_unsynced = same_boot || was == Durability::Fsync || last == known.synced;
    last >= known.synced && nothing_unsynced
}

/// What was found wrong, and put right as far as it can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Bytes behind the last sound record that were cut off.
    pub(crate) torn_bytes: u64,
    /// Seqs that were acknowledged and cannot be read.
    pub(crate) missing: Vec<(Seq, Seq)>,
    /// Segments whose index was made again.
    pub(crate) rebuilt: Vec<Seq>,
}

impl Log {
    /// Opens the log of a directory, or begins one. Sealed segments are taken by their indexes; the
    /// active one is verified, cut back behind its last sound record, and written anew where it may
    /// not have reached the disk.
    ///
    /// # Errors
    /// What the system says, or where the log was written by a later version.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        settings: Settings,
        key: Key,
        now: Now,
        known: Noted,
    ) -> io::Result<(Self, Findings)> {
        let (findings, newest) = (Findings::default(), Newest::default());
        let mut opening = Opening { disk, key, known, findings, newest };
        let mut bases = opening.bases()?;
        let active_base = bases.pop();
        let mut segments = Vec::with_capacity(bases.len() + 1);
        for (at, base) in bases.iter().enumerate() {
            let next = bases.get(at + 1).copied().or(active_base).unwrap_or(*base + 1);
            segments.push(opening.sealed(*base, next - 1)?);
        }
        let (segment, end, records) = match active_base {
            Some(base) => opening.active(base)?,
            None => opening.new_log()?,
        };
        let Opening { disk, findings, newest: places, .. } = opening;
        let (base, salt, file) = (segment.base, segment.salt, segment.file.clone());
        let active = Active { base, salt, file, end };
        segments.push(segment);
        let last = active.base - 1;
        let last = records.last().map_or(last, |record| record.stamp.seq);
        let newest = segments.iter().rev().find_map(|segment| segment.index.blocks.last());
        let (time_ms, age_ms) = newest.map_or((0, 0), |block| (block.time_ms, block.last_age_ms));
        let mut ids = IdWindow::new(settings.id_window_ms, settings.id_window_count);
        let (sidecars, ids_ms) = restore_ids(&*disk, key, active.base, &mut ids)?;
        // No time has passed that the wall clock doesn't show; where it went back, none. Where no
        // event is left, the ids tell how far the log's clock was.
        let passed_ms = if newest.is_some() { now.wall_ms.saturating_sub(time_ms) } else { 0 };
        let base_ms = (age_ms + passed_ms).max(ids_ms);
        let age = AgeClock { base_ms, opened_ms: now.steady_ms, now_ms: base_ms };
        for record in &records {
            if let Some(claim) = Claim::of(&record.event.draft, key) {
                ids.insert(claim, record.stamp.seq, record.stamp.age_ms);
            }
        }
        let catalog = Arc::new(catalog_of(segments, places, last, known.first));
        let (staged, retainer) = (Staged::default(), Retainer::default());
        let synced = last;
        let mut log = Self {
            disk,
            settings,
            key,
            catalog,
            active,
            staged,
            ids,
            sidecars,
            retainer,
            last,
            time_ms,
            age,
            synced,
            settled: known.synced,
        };
        match log.retain(now) {
            // There will be room, or else publishers are told.
            Ok(()) | Err(Trouble::Full(_)) => Ok((log, findings)),
            Err(Trouble::Broken(error)) => Err(error),
        }
    }
}

/// A log that is being opened.
struct Opening {
    disk: Arc<dyn Disk>,
    key: Key,
    known: Noted,
    findings: Findings,
    /// Of the segments that were opened so far.
    newest: Newest,
}

impl Opening {
    /// The first seqs of the segments, in order. Indexes without a segment are removed.
    fn bases(&self) -> io::Result<Vec<Seq>> {
        let names = self.disk.list()?;
        let mut bases: Vec<Seq> = names.iter().filter_map(|name| base_of(name, "log")).collect();
        bases.retain(|base| (1..=SEQ_MAX).contains(base));
        bases.sort_unstable();
        for name in &names {
            let base = base_of(name, "index").or_else(|| base_of(name, "newest"));
            if base.is_some_and(|base| !bases.contains(&base)) {
                self.disk.remove(name)?;
            }
        }
        Ok(bases)
    }

    fn new_log(&mut self) -> io::Result<(Segment, u64, Vec<Record>)> {
        // What was synced and is gone keeps its numbers.
        let base = self.known.synced + 1;
        let salt = self.key.salt(base);
        let file = new_segment(&*self.disk, base, salt).map_err(|trouble| match trouble {
            Trouble::Full(error) | Trouble::Broken(error) => error,
        })?;
        if base > 1 {
            self.findings.missing.push((self.known.first.max(1), base - 1));
        }
        Ok((Segment { base, salt, file, index: Index::default() }, HEADER, Vec::new()))
    }

    /// A segment that others follow: by its index, or, where that is damaged, read in full.
    fn sealed(&mut self, base: Seq, last: Seq) -> io::Result<Segment> {
        let newest = self.disk.open(&newest_name(base)).and_then(|file| read_all(&*file));
        let newest = newest.ok().and_then(|bytes| Newest::decode(&bytes, base, last, self.key));
        self.newest.append(base, &newest.unwrap_or_else(|| Newest::after(last)));
        let file = self.disk.open(&log_name(base))?;
        let stored = self.disk.open(&index_name(base)).and_then(|file| read_all(&*file));
        let fits = |index: &Index| {
            index.blocks.first().is_none_or(|block| block.first == base)
                && index.last().is_none_or(|end| end <= last)
        };
        let known = stored.ok().and_then(|bytes| Index::decode(&bytes));
        if let Some((salt, index)) = known.filter(|(_, index)| fits(index)) {
            return Ok(Segment { base, salt, file, index });
        }
        let bytes = Bytes::from(read_all(&*file)?);
        let salt = salt_of(bytes.get(..HEADER as usize).unwrap_or_default(), base)
            .unwrap_or_else(|| self.key.salt(base));
        // Everything in it had been synced before the next one was made.
        let Scan { index, mut missing, .. } = scan(bytes, salt, base, last, last)?;
        let end = index.last().unwrap_or(base - 1);
        if end < last {
            missing.push((end + 1, last));
        }
        self.findings.missing.extend(missing);
        self.findings.rebuilt.push(base);
        // Without room for it, the segment is read again at the next start.
        let _ = write_all(&*self.disk, &index_name(base), &index.encode(salt));
        Ok(Segment { base, salt, file, index })
    }

    /// The newest segment, where it ends, and its records.
    fn active(&mut self, base: Seq) -> io::Result<(Segment, u64, Vec<Record>)> {
        let file = self.disk.open(&log_name(base))?;
        let bytes = Bytes::from(read_all(&*file)?);
        let told = bytes.get(..HEADER as usize).and_then(|header| salt_of(header, base));
        let salt = told.unwrap_or_else(|| self.key.salt(base));
        let found = scan(bytes.clone(), salt, base, self.known.synced, SEQ_MAX)?;
        self.newest.append(base, &found.newest(base, self.key));
        let last = found.index.last().unwrap_or(base - 1);
        if told.is_none() {
            file.write_at(&header(base, salt), 0)?;
        }
        if found.torn > 0 {
            file.set_len(found.end)?;
        }
        if last != self.known.synced {
            // The system may have failed to write it, have told only who is no more, and think by
            // now that it is on the disk: what is written again is written for certain.
            let sound = bytes.get(HEADER as usize..found.end as usize).unwrap_or_default();
            file.write_at(sound, HEADER)?;
        }
        file.sync()?;
        self.disk.sync()?;
        self.findings.torn_bytes = found.torn;
        self.findings.missing.extend(found.missing);
        Ok((Segment { base, salt, file, index: found.index }, found.end, found.records))
    }
}

/// Takes the ids of sealed segments; also the age of the newest.
fn restore_ids(
    disk: &dyn Disk,
    key: Key,
    active: Seq,
    ids: &mut IdWindow,
) -> io::Result<(Sidecars, u64)> {
    let names = disk.list()?;
    let mut bases: Vec<Seq> = names.iter().filter_map(|name| base_of(name, "ids")).collect();
    bases.sort_unstable();
    let (mut sidecars, mut newest_ms) = (Sidecars::default(), 0);
    // The ids of the active segment are read from its records.
    for base in bases.into_iter().filter(|base| *base < active) {
        let stored = read_all(&*disk.open(&ids_name(base))?)?;
        let slots = sidecar::decode(&stored, key).unwrap_or_default();
        for Slot { claim, seq, at_ms } in &slots {
            ids.insert(*claim, *seq, *at_ms);
            newest_ms = newest_ms.max(*at_ms);
        }
        sidecars.push(base, slots.last().map_or(0, |slot| slot.seq));
    }
    Ok((sidecars, newest_ms))
}

fn catalog_of(segments: Vec<Segment>, places: Newest, last: Seq, first: Seq) -> Catalog {
    let catalog = Catalog::default();
    let mut contents = catalog.lock();
    let oldest = segments.first().map_or(1, |segment| segment.base);
    let blocks = segments.iter().flat_map(|segment| &segment.index.blocks);
    contents.bytes = blocks.map(|block| block.bytes).sum();
    contents.segments = segments.into();
    (contents.first, contents.last) = (oldest, last);
    contents.newest = places;
    drop(contents);
    Retainer::default().skip_to(&catalog, first.min(last + 1));
    catalog
}
