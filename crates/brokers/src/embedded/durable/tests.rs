//! The log against a model, on a disk that loses what was not synced, tears and fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use engine::Retention;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use protocol::{Draft, Durability, Event, Payload, Seq, Topic};

use super::super::fingerprint::{Claim, Key};
use super::super::outcome::Outcome;
use super::catalog::Part;
use super::log::{Log, Settings, Trouble};
use super::recover::{Findings, Noted, continues};
use super::segment::{Found, read_block};
use super::{Disk, Failure, MemoryDisk};
use crate::clock::Now;

const KEY: Key = Key([1, 2]);
const SETTINGS: Settings = Settings {
    retention: Retention { count: 60, age_ms: 5_000, bytes: 60_000 },
    segment_bytes: 3_000,
    id_window_ms: 8_000,
    id_window_count: 30,
};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Draft>),
    /// Written, and the process ends before it is acknowledged.
    DieWriting(Vec<Draft>),
    Sync,
    Settle,
    Pass(u64),
    Kill,
    LosePower(Vec<u8>),
    Room(Option<u64>),
    FailSync(Vec<Draft>),
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let size = prop_oneof![8 => 0..40_usize, 1 => 0..4_000_usize];
    let one = (prop::option::of(0..40_u8), 0..3_u8, size).prop_map(|(id, topic, size)| {
        let topic = Topic::parse(&format!("t.{topic}")).unwrap();
        // Some content repeats itself and some does not.
        let payload = Payload::Json(Bytes::from("1".repeat(size)));
        Draft { id: id.map(|id| id.to_string().into()), ..Draft::new(topic, payload) }
    });
    prop::collection::vec(one, 1..6)
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => drafts().prop_map(Step::Append),
        2 => drafts().prop_map(Step::DieWriting),
        3 => Just(Step::Sync),
        2 => Just(Step::Settle),
        4 => (0..3_000_u64).prop_map(Step::Pass),
        3 => Just(Step::Kill),
        3 => prop::collection::vec(any::<u8>(), 1..8).prop_map(Step::LosePower),
        1 => prop::option::of(0..3_000_u64).prop_map(Step::Room),
        1 => drafts().prop_map(Step::FailSync),
    ]
}

/// A promise that is broken, so that it is seen whether anybody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    AcknowledgesBeforeSync,
    LeavesTheFirstUnsynced,
    KeepsEveryEpoch,
    GoesOnAfterAFailedSync,
    LosesIds,
}

/// A log that is opened again and again, and what it must hold.
struct World {
    bug: Option<Bug>,
    disk: MemoryDisk,
    durability: Durability,
    log: Log,
    /// What is noted beside the log.
    known: Noted,
    now: Now,
    /// What was acknowledged in this epoch.
    acknowledged: BTreeMap<Seq, Event>,
    /// Ids that were acknowledged in this epoch, with their times.
    ids: Vec<(Draft, Seq, u64)>,
    /// Whether an earlier epoch left holes.
    has_holes: bool,
}

impl World {
    fn new(durability: Durability, bug: Option<Bug>) -> Self {
        let (disk, now, known) = (MemoryDisk::default(), Now::default(), Noted::default());
        let (log, _) = Log::open(Arc::new(disk.clone()), SETTINGS, KEY, now, known).unwrap();
        let (acknowledged, ids) = (BTreeMap::new(), Vec::new());
        Self { bug, disk, durability, log, known, now, acknowledged, ids, has_holes: false }
    }

    /// As the writer's thread does it; whether the process goes on.
    fn append(&mut self, drafts: Vec<Draft>) -> bool {
        match self.try_append(&drafts) {
            Ok(()) => true,
            Err(Trouble::Full(_)) => {
                self.log.abandon().unwrap();
                true
            }
            Err(Trouble::Broken(_)) => false,
        }
    }

    fn try_append(&mut self, drafts: &[Draft]) -> Result<(), Trouble> {
        self.log.begin(self.now)?;
        let claims: Vec<Claim> = drafts.iter().filter_map(|d| Claim::of(d, KEY)).collect();
        let outcomes = self.log.stage(drafts.to_vec(), &mut claims.into_iter(), self.now);
        self.log.write()?;
        let ignored = match self.durability {
            Durability::Fsync => Some(Bug::AcknowledgesBeforeSync),
            _ => Some(Bug::LeavesTheFirstUnsynced),
        };
        if self.log.must_sync(self.durability) && self.bug != ignored {
            let synced = self.log.sync();
            if self.bug != Some(Bug::GoesOnAfterAFailedSync) {
                synced?;
            }
        }
        let acknowledged = &mut self.acknowledged;
        self.log.commit(|batches| {
            let events = batches.iter().flat_map(|batch| batch.events());
            acknowledged.extend(events.map(|event| (event.seq, event.clone())));
        });
        for (draft, outcome) in drafts.iter().zip(outcomes) {
            match outcome {
                Outcome::Appended(seq) if draft.id.is_some() => {
                    self.ids.push((draft.clone(), seq, self.now.steady_ms));
                }
                Outcome::Duplicate(seq) => {
                    let first = self.acknowledged.get(&seq);
                    assert!(first.is_none_or(|event| event.draft == *draft), "of another event");
                }
                _ => {}
            }
        }
        self.log.retain(self.now)
    }

    fn reopen(&mut self, same_boot: bool) -> Result<Findings, TestCaseError> {
        if self.bug == Some(Bug::LosesIds) {
            for name in self.disk.names().iter().filter(|name| name.ends_with(".ids")) {
                self.disk.remove(name).unwrap();
            }
        }
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (log, findings) = Log::open(disk, SETTINGS, KEY, self.now, self.known).unwrap();
        self.log = log;
        let last = self.log.last();
        let keeps = self.bug == Some(Bug::KeepsEveryEpoch);
        if keeps || continues(self.known, last, self.durability, same_boot) {
            self.check_events()?;
            self.check_ids()?;
            prop_assert!(findings.missing.is_empty() || self.has_holes, "a hole in what continues");
        } else {
            prop_assert!(!same_boot && self.durability == Durability::Buffered, "the epoch is new");
            self.acknowledged.clear();
            self.ids.clear();
            self.has_holes |= !findings.missing.is_empty();
        }
        // Whoever reads it now, reads it for ever.
        for (event, _) in self.read()?.into_iter().flatten() {
            self.acknowledged.insert(event.seq, event);
        }
        self.known = self.log.settle();
        Ok(findings)
    }

    /// Every kept seq, as event or hole.
    fn read(&self) -> Result<Vec<Option<(Event, u64)>>, TestCaseError> {
        let (mut all, mut next) = (Vec::new(), 0);
        loop {
            let parts = self.log.catalog().after(next, None, 3);
            if next == 0 {
                next = parts.first - 1;
            }
            if parts.parts.is_empty() {
                prop_assert_eq!(next, parts.last, "seqs are not accounted for");
                return Ok(all);
            }
            for part in parts.parts {
                let Part::Block(file, salt, block) = &part else {
                    all.push(None);
                    next = part.last();
                    continue;
                };
                prop_assert!(block.first <= next + 1 && block.last > next);
                for found in read_block(&**file, *salt, block) {
                    match found {
                        Found::Event(event, _) if event.seq <= next => {}
                        Found::Event(event, age_ms) => {
                            prop_assert_eq!(event.seq, next + 1);
                            next = event.seq;
                            all.push(Some((event, age_ms)));
                        }
                        Found::Missing(_, last) => {
                            next = last.max(next);
                            all.push(None);
                        }
                    }
                }
                prop_assert_eq!(next, block.last);
            }
        }
    }

    fn check_events(&self) -> Result<(), TestCaseError> {
        let read = self.read()?;
        prop_assert!(self.has_holes || read.iter().all(Option::is_some), "a hole");
        let first = self.log.catalog().lock().first;
        let kept: Vec<&Event> = read.iter().flatten().map(|(event, _)| event).collect();
        let expected: Vec<&Event> =
            self.acknowledged.range(first..).map(|(_, event)| event).collect();
        let lost = expected.len().saturating_sub(kept.len());
        prop_assert_eq!(lost, 0, "acknowledged events are lost");
        prop_assert_eq!(&kept[..expected.len()], &expected[..]);
        let contents = self.log.catalog().lock();
        let bytes: u64 = kept.iter().map(|event| event.draft.bytes() as u64).sum();
        prop_assert_eq!(contents.bytes, bytes);
        let count = contents.last + 1 - contents.first;
        prop_assert!(count == kept.len() as u64 || self.has_holes);
        let keep = SETTINGS.retention;
        prop_assert!(kept.len() as u64 <= keep.count && (bytes <= keep.bytes || kept.len() == 1));
        Ok(())
    }

    /// The newest ids that must be remembered are.
    fn check_ids(&mut self) -> Result<(), TestCaseError> {
        let newest: Vec<_> = self.ids.iter().rev().take(SETTINGS.id_window_count / 2).collect();
        let young = |at_ms: u64| self.now.steady_ms - at_ms <= SETTINGS.id_window_ms;
        let due: Vec<(Draft, Seq)> = newest
            .into_iter()
            .filter(|(_, _, at_ms)| young(*at_ms))
            .map(|(draft, seq, _)| (draft.clone(), *seq))
            .collect();
        let disk_room_is_enough = self.log.begin(self.now).is_ok();
        prop_assume!(disk_room_is_enough);
        for (draft, seq) in due {
            let claim = Claim::of(&draft, KEY).into_iter();
            let outcomes = self.log.stage(vec![draft], &mut claim.into_iter(), self.now);
            prop_assert_eq!(outcomes.first(), Some(&Outcome::Duplicate(seq)));
        }
        prop_assert!(!self.log.is_staged());
        Ok(())
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let goes_on = match step {
            Step::Append(drafts) => self.append(drafts),
            Step::DieWriting(drafts) => {
                if self.log.begin(self.now).is_ok() {
                    let claims: Vec<_> = drafts.iter().filter_map(|d| Claim::of(d, KEY)).collect();
                    self.log.stage(drafts, &mut claims.into_iter(), self.now);
                    let _ = self.log.write();
                }
                false
            }
            Step::Sync => self.log.sync().is_ok(),
            Step::Settle => {
                let is_synced = self.log.sync().is_ok();
                if is_synced {
                    self.known = self.log.settle();
                }
                is_synced
            }
            Step::Pass(ms) => {
                (self.now.wall_ms, self.now.steady_ms) =
                    (self.now.wall_ms + ms, self.now.steady_ms + ms);
                !matches!(self.log.retain(self.now), Err(Trouble::Broken(_)))
            }
            Step::Kill => false,
            Step::LosePower(bytes) => {
                let mut choices = bytes.into_iter().cycle();
                self.disk.lose_power(|| choices.next().unwrap_or(0));
                self.reopen(false)?;
                true
            }
            Step::Room(room) => {
                self.disk.set_room(room);
                true
            }
            Step::FailSync(drafts) => {
                self.disk.fail(Some(Failure::Sync));
                let goes_on = self.append(drafts);
                self.disk.fail(None);
                goes_on
            }
        };
        if goes_on {
            return self.check_events();
        }
        self.disk.set_room(None);
        self.reopen(true).map(drop)
    }
}

fn histories(bug: Option<Bug>) -> Result<(), String> {
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() };
    // Where a bug is looked for, the smallest history that shows it is of no interest.
    let config =
        ProptestConfig { max_shrink_iters: if bug.is_some() { 0 } else { 4096 }, ..config };
    let histories = (any::<bool>(), prop::collection::vec(steps(), 1..80));
    let run = TestRunner::new(config).run(&histories, |(fsync, steps)| {
        let durability = if fsync { Durability::Fsync } else { Durability::Buffered };
        let mut world = World::new(durability, bug);
        for step in steps {
            world.take(step)?;
        }
        Ok(())
    });
    run.map_err(|error| error.to_string())
}

#[test]
fn what_was_acknowledged_is_kept_whatever_happens() {
    histories(None).unwrap();
}

#[test]
fn planted_bugs_are_caught() {
    let bugs = [
        Bug::AcknowledgesBeforeSync,
        Bug::LeavesTheFirstUnsynced,
        Bug::KeepsEveryEpoch,
        Bug::GoesOnAfterAFailedSync,
        Bug::LosesIds,
    ];
    let missed: Vec<Bug> = bugs.into_iter().filter(|bug| histories(Some(*bug)).is_ok()).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
