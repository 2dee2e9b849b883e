use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use protocol::{Audience, ClientId, Draft, Payload, Publisher, Seq, Topic};

use super::world::{MAIN, Make, OTHER, World, append, data, draft};

/// Seqs count from 1 without a hole, however events are joined in arrays.
pub fn seqs_are_contiguous_from_one(make: &Make) {
    let world = World::new(make);
    let mut last = 0;
    for size in [1, 3, 64, 65, 300, 2, 1] {
        let seqs = world.publish((0..size).map(|n| draft("a", n.to_string())).collect());
        assert_eq!(seqs, (last + 1..=last + size).collect::<Vec<Seq>>());
        last += size;
    }
    assert_eq!((world.state().first, world.state().last), (1, last));
}

/// An answer names stream, epoch and durability, and the event at its seq is the draft, in every
/// part.
pub fn an_acknowledgement_names_the_event(make: &Make) {
    let world = World::new(make);
    let binary = Payload::Binary {
        content_type: "image/jpeg".into(),
        bytes: Bytes::from_static(&[0, 255, 10, 13]),
    };
    let everything = Draft {
        topic: Topic::parse("größe.日本").unwrap(),
        audience: Audience::Group("g".into()),
        payload: binary,
        headers: Some(Bytes::from_static(br#"{"trace":"1"}"#)),
        id: Some("an id".into()),
        publisher: Publisher::User("u".into()),
    };
    let drafts = vec![
        draft("a", "{\"ä\" : 1.0e3 }"),
        everything,
        Draft { audience: Audience::User("u".into()), ..draft("b", "") },
        Draft { publisher: Publisher::Client(ClientId(9)), ..draft("c.d", vec![b'1'; 100_000]) },
    ];
    let answers = world.append(MAIN, drafts.clone());
    let (state, events) = (world.state(), world.events(0, 1 << 20));
    assert_eq!(answers.len(), drafts.len());
    for (answer, draft) in answers.into_iter().zip(drafts) {
        let appended = answer.unwrap();
        assert_eq!((&appended.stream, &appended.epoch), (&state.stream, &state.epoch));
        assert_eq!((appended.duplicate, appended.durability), (false, world.durability()));
        assert_eq!(events[appended.seq as usize - 1].draft, draft);
    }
    assert_eq!(state.stream.as_str(), "main");
    assert_eq!(state.durability, world.durability());
}

/// An append of nothing is answered with nothing.
pub fn an_empty_array_is_answered(make: &Make) {
    let world = World::new(make);
    assert!(world.append(MAIN, Vec::new()).is_empty());
    assert_eq!((world.state().first, world.state().last), (1, 0));
}

/// Each stream has seqs of its own.
pub fn streams_count_apart(make: &Make) {
    let world = World::new(make);
    world.fill(10);
    let other = world.append(OTHER, vec![draft("other.a", "1")]);
    let other = other[0].clone().unwrap();
    assert_eq!((other.seq, other.stream.as_str()), (1, "other"));
    assert_eq!(world.state().last, 10);
}

/// Times follow the clock, but never go back when it does.
pub fn time_never_goes_back(make: &Make) {
    let world = World::new(make);
    for (wall_ms, expected) in [(5000, 5000), (3000, 5000), (9000, 9000), (0, 9000), (9001, 9001)] {
        world.clock.set_wall(wall_ms);
        world.maintain();
        let seq = world.publish(vec![draft("a", "1"), draft("a", "2")])[0];
        let times: Vec<u64> =
            world.events(seq - 1, 1 << 20).iter().map(|event| event.time_ms).collect();
        assert_eq!(times, [expected, expected], "at {wall_ms}");
    }
    // What was never stamped on an event does not hold time up.
    world.clock.set_wall(20_000);
    world.maintain();
    world.clock.set_wall(10_000);
    let seq = world.publish(vec![draft("a", "3")])[0];
    assert_eq!(world.events(seq - 1, 1 << 20)[0].time_ms, 10_000);
}

/// One append of [`concurrent_appenders_agree`], with what a common counter showed before it was
/// sent and after it was answered.
struct Sent {
    from: u64,
    to: u64,
    seqs: Vec<Seq>,
}

/// Eight threads append at once: every position is given once, an appender's events keep their
/// order, and what was acknowledged before something was sent stands before it.
pub fn concurrent_appenders_agree(make: &Make) {
    const THREADS: u64 = 8;
    let world = World::new(make);
    let ticks = AtomicU64::new(0);
    let appender = |thread: u64| {
        let (broker, ticks) = (world.broker().clone(), &ticks);
        move || -> Vec<Sent> {
            let append_some = |round: u64| {
                let drafts = (0..1 + (round + thread) % 5)
                    .map(|n| draft("a.b", format!("{thread}/{:06}", round * 10 + n)))
                    .collect();
                let from = ticks.fetch_add(1, Ordering::SeqCst);
                let answers = append(&*broker, MAIN, drafts);
                let to = ticks.fetch_add(1, Ordering::SeqCst);
                Sent { from, to, seqs: answers.into_iter().map(|a| a.unwrap().seq).collect() }
            };
            (0..200).map(append_some).collect()
        }
    };
    let sent: Vec<Vec<Sent>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(appender(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let events = world.events(0, 64 << 10);
    let mut given = HashSet::new();
    for (thread, sent) in sent.iter().enumerate() {
        let seqs: Vec<Seq> = sent.iter().flat_map(|sent| sent.seqs.clone()).collect();
        assert!(seqs.is_sorted(), "an appender's order was changed");
        let texts: Vec<&str> = seqs.iter().map(|seq| data(&events[*seq as usize - 1])).collect();
        assert!(texts.is_sorted(), "an appender's events were swapped");
        assert!(texts.iter().all(|text| text.starts_with(&format!("{thread}/"))));
        assert!(seqs.iter().all(|seq| given.insert(*seq)), "a position was given twice");
    }
    assert_eq!(given.len(), events.len());
    check_real_time(sent.into_iter().flatten().collect());
}

fn check_real_time(mut sent: Vec<Sent>) {
    let mut answered: Vec<(u64, Seq)> =
        sent.iter().map(|sent| (sent.to, *sent.seqs.iter().max().unwrap())).collect();
    answered.sort_unstable();
    sent.sort_by_key(|sent| sent.from);
    let (mut answered, mut highest) = (answered.into_iter().peekable(), 0);
    for sent in sent {
        while let Some((_, seq)) = answered.next_if(|(to, _)| *to < sent.from) {
            highest = highest.max(seq);
        }
        assert!(sent.seqs.iter().all(|seq| *seq > highest), "sent later, but stands before");
    }
}
