use std::collections::HashMap;

use engine::{Locate, Retention, Selector, Viewer};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use protocol::{Audience, ClientId, Draft, Error, ErrorCode, Event, Publisher, Seq};

use super::world::{MAIN, Make, World, draft, events_of, select};

const RETENTION: Retention = Retention { count: 40, age_ms: 1000, bytes: 12_000 };
const ID_WINDOW_MS: u64 = 1500;
const ID_WINDOW_COUNT: usize = 6;
const LOCATE_SCAN_MAX: usize = 25;
const TAIL_BYTES_MAX: usize = 4000;

/// Something that happens to a broker.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Draft>),
    Pass { ms: u64 },
    SetWall { ms: u64 },
    Maintain,
    Read { back: u64, bytes_max: usize },
    Pull { back: u64 },
    Last { selector: Selector, count: u32 },
    Since { back_ms: u64 },
    Restart,
}

/// Random histories: at every step the broker answers as a model does that is too simple to err.
pub fn random_histories(make: &Make) {
    histories(make, false);
}

/// The same, perhaps with restarts that are not to be seen. What time passed in between only the
/// wall clock tells, so it does not jump then.
pub(super) fn histories(make: &Make, has_restarts: bool) {
    let config = Config { cases: 500, failure_persistence: None, ..Config::default() };
    let jumps_or_restarts = if has_restarts {
        Just(Step::Restart).boxed()
    } else {
        (999_000..1_003_000_u64).prop_map(|ms| Step::SetWall { ms }).boxed()
    };
    let step = prop_oneof![20 => steps(), 1 => jumps_or_restarts];
    let histories = prop::collection::vec(step, 1..60);
    let result = TestRunner::new(config).run(&histories, |history| {
        let mut world = World::with(make, |setup| {
            setup.retention = RETENTION;
            (setup.id_window_ms, setup.id_window_count) = (ID_WINDOW_MS, ID_WINDOW_COUNT);
            (setup.locate_scan_max, setup.tail_bytes_max) = (LOCATE_SCAN_MAX, TAIL_BYTES_MAX);
        });
        let mut model = Model { wall_ms: 1_000_000, ..Model::default() };
        for step in history {
            if matches!(step, Step::Restart) {
                world.restart();
                model.retain();
                model.restarted_at = model.last_seq();
            }
            model.take(&world, step);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(drafts(), 0..6).prop_map(Step::Append),
        1 => (drafts(), 0..150_usize).prop_map(|(one, n)| Step::Append(vec![one; n])),
        3 => (0..900_u64).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Maintain),
        3 => (0..60_u64, 0..9000_usize).prop_map(|(back, bytes_max)| Step::Read { back, bytes_max }),
        1 => (0..60_u64).prop_map(|back| Step::Pull { back }),
        3 => (selectors(), 0..30_u32).prop_map(|(selector, count)| Step::Last { selector, count }),
        2 => (0..4000_u64).prop_map(|back_ms| Step::Since { back_ms }),
    ]
}

fn drafts() -> impl Strategy<Value = Draft> {
    let audience = prop_oneof![
        3 => Just(Audience::Everyone),
        1 => Just(Audience::User("ann".into())),
        1 => Just(Audience::Group("team".into())),
        1 => Just(Audience::Client(ClientId(1))),
    ];
    let publisher = prop_oneof![Just(Publisher::Admin), Just(Publisher::User("ann".into()))];
    let topic = prop::sample::select(vec!["a.b", "a.c", "x", "$s.q"]);
    let id = prop::option::of(0..8_u8);
    // Few contents under few ids, so that they meet; now and then a large one.
    let data = prop_oneof![9 => 0..3_usize, 1 => 0..9000_usize];
    (topic, audience, publisher, id, data).prop_map(|(topic, audience, publisher, id, data)| {
        let id = id.map(|id| id.to_string().into());
        Draft { audience, publisher, id, ..draft(topic, "1".repeat(data)) }
    })
}

fn selectors() -> impl Strategy<Value = Selector> {
    let patterns: Vec<(&[&str], &[&str])> = vec![
        (&[">"], &[]),
        (&["a.*"], &["a.c"]),
        (&["x", "$s.>"], &[]),
        (&[">", "$s.>"], &["x"]),
        (&["none"], &[]),
    ];
    let viewer = |client, user: Option<&str>, group: Option<&str>| Viewer {
        client: ClientId(client),
        user: user.map(Into::into),
        groups: group.into_iter().map(Into::into).collect(),
    };
    let viewers = vec![
        None,
        Some(viewer(1, None, None)),
        Some(viewer(2, Some("ann"), None)),
        Some(viewer(3, Some("eve"), Some("team"))),
    ];
    (prop::sample::select(patterns), prop::sample::select(viewers))
        .prop_map(|((topics, except), viewer)| Selector { viewer, ..select(topics, except) })
}

/// What a broker has to be, said in the plainest way: everything is kept, and looked at again.
#[derive(Default)]
struct Model {
    events: Vec<Event>,
    /// When each was appended, by the steady clock.
    at_ms: Vec<u64>,
    first: Seq,
    /// What each id names: its seq, when it was taken, and as which.
    ids: HashMap<(Publisher, String), (Seq, u64, usize)>,
    ids_taken: usize,
    wall_ms: u64,
    steady_ms: u64,
    /// The last seq at the last restart.
    restarted_at: Seq,
}

impl Model {
    fn take(&mut self, world: &World, step: Step) {
        match step {
            Step::Append(drafts) => self.append(world, drafts),
            Step::Pass { ms } => {
                world.clock.advance(ms);
                (self.wall_ms, self.steady_ms) = (self.wall_ms + ms, self.steady_ms + ms);
            }
            Step::SetWall { ms } => {
                world.clock.set_wall(ms);
                self.wall_ms = ms;
            }
            Step::Maintain => {
                world.maintain();
                self.retain();
            }
            Step::Read { back, bytes_max } => self.read(world, back, bytes_max),
            Step::Pull { back } => self.pull(world, back),
            Step::Restart => {}
            Step::Last { selector, count } => {
                let located = world.locate(selector.clone(), Locate::Last(count));
                let found = (located.after, located.truncated);
                let expected = self.last(&selector, count as usize, LOCATE_SCAN_MAX);
                let all = self.last(&selector, count as usize, usize::MAX);
                assert!(found == expected || world.skips() && found == all, "{found:?}");
            }
            Step::Since { back_ms } => {
                let time_ms = self.wall_ms.saturating_sub(back_ms);
                let located = world.locate(select(&[">"], &[]), Locate::Since(time_ms));
                let first = self.kept(0).iter().find(|event| event.time_ms >= time_ms);
                let expected = first.map_or(self.last_seq(), |event| event.seq - 1);
                assert_eq!((located.after, located.truncated), (expected, false));
            }
        }
        let (state, bytes) = (world.state(), bytes_of(self.kept(0)) as u64);
        let expected = (self.first.max(1), self.last_seq(), bytes);
        assert_eq!((state.first, state.last, state.bytes), expected);
    }

    fn append(&mut self, world: &World, drafts: Vec<Draft>) {
        let was_empty = drafts.is_empty();
        let answers = world.append(MAIN, drafts.clone());
        assert_eq!(answers.len(), drafts.len());
        for (draft, answer) in drafts.into_iter().zip(answers) {
            let answer = answer.map(|appended| (appended.seq, appended.duplicate));
            assert_eq!(answer.map_err(|error: Error| error.code), self.append_one(draft));
        }
        if !was_empty {
            self.retain();
        }
    }

    fn append_one(&mut self, draft: Draft) -> Result<(Seq, bool), ErrorCode> {
        let seq = self.last_seq() + 1;
        if let Some(id) = &draft.id {
            let key = (draft.publisher.clone(), id.to_string());
            if let Some((known, at_ms, nth)) = self.ids.get(&key)
                && self.steady_ms - at_ms <= ID_WINDOW_MS
                && self.ids_taken - nth <= ID_WINDOW_COUNT
            {
                let mut first = self.events[*known as usize - 1].draft.clone();
                first.publisher = draft.publisher.clone();
                return if first == draft {
                    Ok((*known, true))
                } else {
                    Err(ErrorCode::IdConflict)
                };
            }
            self.ids.insert(key, (seq, self.steady_ms, self.ids_taken));
            self.ids_taken += 1;
        }
        let last_ms = self.events.last().map_or(0, |event| event.time_ms);
        self.events.push(Event { seq, time_ms: self.wall_ms.max(last_ms), draft });
        self.at_ms.push(self.steady_ms);
        Ok((seq, false))
    }

    fn retain(&mut self) {
        let breaks_a_bound = |kept: &[Event]| {
            kept.len() > 1
                && (kept.len() as u64 > RETENTION.count || bytes_of(kept) as u64 > RETENTION.bytes)
        };
        self.first = self.first.max(1);
        while breaks_a_bound(self.kept(0)) {
            self.first += 1;
        }
        while let Some(at_ms) = self.at_ms.get(self.first as usize - 1)
            && self.steady_ms - at_ms > RETENTION.age_ms
        {
            self.first += 1;
        }
    }

    fn read(&self, world: &World, back: u64, bytes_max: usize) {
        let after = self.last_seq().saturating_sub(back);
        let page = world.page(after, bytes_max);
        assert_eq!(page.first, self.first.max(1));
        let events = events_of(&page.segments, page.first.max(after + 1));
        let expected = self.kept(after);
        assert_eq!(events, expected[..events.len().min(expected.len())]);
        assert_eq!(events.is_empty(), expected.is_empty(), "an empty page before the end");
        let bytes: usize = page.segments.iter().map(|segment| segment.bytes()).sum();
        assert!(page.segments.len() <= 1 || bytes <= bytes_max);
    }

    fn pull(&self, world: &World, back: u64) {
        let after = self.last_seq().saturating_sub(back);
        let pull = world.tail().pull(0, Some(&world.state().epoch), after);
        assert_eq!((pull.first, pull.head), (self.first.max(1), self.last_seq()));
        let events = events_of(&pull.segments, pull.first.max(after + 1));
        let expected = self.kept(after);
        assert!(expected.ends_with(&events));
        // A tail begins empty.
        let is_expected = expected.last().is_some_and(|event| event.seq > self.restarted_at);
        assert!(!events.is_empty() || !is_expected);
        let bytes: usize = pull.segments.iter().map(|segment| segment.bytes()).sum();
        assert!(pull.segments.len() <= 1 || bytes <= TAIL_BYTES_MAX);
    }

    fn last(&self, selector: &Selector, count: usize, scan_max: usize) -> (Seq, bool) {
        let kept = self.kept(0);
        let looked_at = &kept[kept.len().saturating_sub(scan_max)..];
        let found: Vec<Seq> = looked_at
            .iter()
            .rev()
            .filter(|event| selector.selects(event))
            .map(|event| event.seq)
            .take(count)
            .collect();
        let after = found.last().map_or(self.last_seq(), |seq| seq - 1);
        (after, found.len() < count && looked_at.len() < kept.len())
    }

    fn kept(&self, after: Seq) -> &[Event] {
        let from = (after + 1).max(self.first).max(1);
        self.events.get(from as usize - 1..).unwrap_or_default()
    }

    fn last_seq(&self) -> Seq {
        self.events.len() as Seq
    }
}

fn bytes_of(events: &[Event]) -> usize {
    events.iter().map(|event| event.draft.bytes()).sum()
}
