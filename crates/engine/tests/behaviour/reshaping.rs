use engine::ClientKey;
use protocol::{
    Answer, Command, Error, ErrorCode, Exclude, Filter, Message, Mode, Start, Subscribe,
};

use crate::world::{Said, World, after, epoch, pattern};

const HOURLY: Mode = Mode { latest: true, interval_ms: 3_600_000, batch: false };

fn filter(text: &str) -> Option<std::sync::Arc<Filter>> {
    Some(protocol::dialects::native::read_filter(text).unwrap().into())
}

fn include(world: &mut World, client: ClientKey, body: Subscribe) {
    world.send(client, 1, Command::Include(Box::new(body)));
}

fn body(topic: &str, mode: Mode) -> Subscribe {
    let (topics, except, start) = (vec![pattern(topic)], Vec::new(), Start::Now);
    Subscribe { topics, except, filter: None, start, mode }
}

/// What a client was told: seqs of events, and how its commands were answered.
fn told(world: &mut World, client: u16) -> (Vec<u64>, Vec<Result<Answer, Error>>) {
    let (mut seqs, mut answers) = (Vec::new(), Vec::new());
    for said in world.said(client) {
        match said {
            Said::Event(seq) => seqs.push(seq),
            Said::Message(Message::Reply { result, .. }) => answers.push(result),
            _ => {}
        }
    }
    (seqs, answers)
}

#[test]
fn a_subscription_that_changes_loses_nothing_of_what_was_not_sent_yet() {
    let mut world = World::new();
    let client = world.connect(10);
    include(&mut world, client, body("a.>", Mode::EVERY));
    world.publish(2);
    assert_eq!(told(&mut world, 0).0, [1, 2]);
    world.worker.blocked(client);
    world.publish(3);
    let everything = filter(r#"{"not":{"field":"/none","op":"exists"}}"#);
    include(&mut world, client, Subscribe { filter: everything, ..body("a.>", Mode::EVERY) });
    world.publish(1);
    world.worker.handle_writable(world.now, client);
    world.write_all();
    assert_eq!(told(&mut world, 0).0, [3, 4, 5, 6]);
}

#[test]
fn an_include_that_is_refused_ends_nothing() {
    let mut world = World::new();
    let client = world.connect(10);
    include(&mut world, client, body("a.>", Mode::EVERY));
    let ahead = Subscribe { start: after(epoch(), 99), ..body("a.>", Mode::EVERY) };
    include(&mut world, client, ahead);
    world.publish(1);
    let (seqs, answers) = told(&mut world, 0);
    assert!(matches!(answers[..], [Ok(Answer::Included(_)), Err(_)]), "{answers:?}");
    assert_eq!(seqs, [1]);
}

#[test]
fn what_is_left_out_is_not_sent_again_by_a_slower_reader() {
    let mut world = World::new();
    let client = world.connect(10);
    include(&mut world, client, body("a.b", HOURLY));
    world.publish(1);
    world.answer_pages(1);
    world.publish(1);
    include(&mut world, client, body("a.>", Mode::EVERY));
    world.publish(2);
    let (before, _) = told(&mut world, 0);
    let what = Exclude::Selected(vec![pattern("a.*")]);
    world.send(client, 2, Command::Exclude(what));
    include(&mut world, client, body("a.b", HOURLY));
    world.publish(1);
    world.pass(3_600_000);
    world.write_all();
    let (after, _) = told(&mut world, 0);
    assert!(after.iter().all(|seq| !before.contains(seq)), "{before:?} and again {after:?}");
}

#[test]
fn leaving_out_is_bounded_and_refused_as_a_whole() {
    let mut world = World::new();
    let client = world.connect(3);
    include(&mut world, client, body("a.>", Mode::EVERY));
    let patterns = ["a.b", "a.c", "a.d"].map(pattern).to_vec();
    world.send(client, 1, Command::Exclude(Exclude::Selected(patterns)));
    world.publish(1);
    let (seqs, answers) = told(&mut world, 0);
    let code = answers.into_iter().find_map(Result::err).map(|error| error.code);
    assert_eq!(code, Some(ErrorCode::TooManySubscriptions));
    assert_eq!(seqs, [1]);
}

#[test]
fn a_client_has_only_so_many_different_filters() {
    let mut world = World::new();
    let client = world.connect(1_000);
    let with = |value: usize| Subscribe {
        filter: filter(&format!(r#"{{"field":"/n","op":"eq","value":{value}}}"#)),
        ..body("a.>", Mode::EVERY)
    };
    for value in 0..100 {
        world.send(client, 1, Command::Subscribe(Box::new(with(value))));
    }
    // One that it has already costs nothing more.
    world.send(client, 1, Command::Subscribe(Box::new(with(99))));
    let (_, answers) = told(&mut world, 0);
    assert!(answers.iter().all(Result::is_ok));
    world.send(client, 1, Command::Subscribe(Box::new(with(100))));
    let (_, answers) = told(&mut world, 0);
    assert!(matches!(&answers[..], [Err(e)] if e.code == ErrorCode::TooManySubscriptions));
}
