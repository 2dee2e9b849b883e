use engine::ClientKey;
<<<<<<< HEAD
use protocol::{Answer, Command, Exclude, Interest, Message, Mode, Pattern, Start, Subscribe};

use crate::world::{Said, World, pattern};

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| pattern(text)).collect()
}

fn include(world: &mut World, client: ClientKey, topics: &[&str]) -> Vec<String> {
    let (topics, except, filter) = (patterns(topics), Vec::new(), None);
    let body = Subscribe { topics, except, filter, start: Start::Now, mode: Mode::EVERY };
    answered(world, client, Command::Include(Box::new(body))).1
}

fn exclude(world: &mut World, client: ClientKey, what: Exclude) -> (Vec<String>, Vec<String>) {
    answered(world, client, Command::Exclude(what))
}

/// What a client of place 0 took out, and all that it subscribes to then.
fn answered(world: &mut World, client: ClientKey, command: Command) -> (Vec<String>, Vec<String>) {
    world.send(client, 1, command);
    let texts = |all: &[Interest]| all.iter().map(|one| one.topic.to_string()).collect();
    let said = world.said(0).into_iter();
    let mut answers = said.filter_map(|said| match said {
        Said::Message(Message::Reply { result: Ok(answer), .. }) => Some(answer),
        _ => None,
    });
    match answers.next() {
        Some(Answer::Included(all)) => (Vec::new(), texts(&all)),
        Some(Answer::Excluded { removed, all }) => {
            (removed.iter().map(Pattern::to_string).collect(), texts(&all))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_has_a_pattern_once() {
    let mut world = World::new();
    let client = world.connect(100);
    assert_eq!(include(&mut world, client, &["a.b", "c"]), ["a.b", "c"]);
    assert_eq!(include(&mut world, client, &["c", "d.>", "c"]), ["a.b", "c", "d.>"]);
    let (removed, left) = exclude(&mut world, client, Exclude::Named(patterns(&["c", "x", "d.e"])));
    assert_eq!((removed, left), (vec!["c".to_owned()], vec!["a.b".to_owned(), "d.>".to_owned()]));
    let (removed, left) = exclude(&mut world, client, Exclude::All);
    assert_eq!(removed, ["a.b", "d.>"]);
    assert!(left.is_empty());
}

#[test]
fn what_is_there_because_of_others_goes_with_the_last_of_them() {
    let mut world = World::new();
    let client = world.connect(100);
    include(&mut world, client, &["a.log", "a.one.log", "a.two.log", "a.two.other"]);
    let orphaned = || Exclude::Orphaned(vec![(pattern("a.log"), pattern("a.*.log"))]);
    let named = |text| Exclude::Named(patterns(&[text]));
    exclude(&mut world, client, named("a.one.log"));
    let (removed, _) = exclude(&mut world, client, orphaned());
    assert!(removed.is_empty());
    exclude(&mut world, client, named("a.two.log"));
    let (removed, left) = exclude(&mut world, client, orphaned());
    assert_eq!((removed, left), (vec!["a.log".to_owned()], vec!["a.two.other".to_owned()]));
    let (removed, _) = exclude(&mut world, client, orphaned());
    assert!(removed.is_empty(), "it is not there any more");
}

#[test]
fn beginnings_of_tokens_stand_side_by_side() {
    let mut world = World::new();
    let client = world.connect(100);
    include(&mut world, client, &["a.b>", "a.bc>", "a.>"]);
    let (removed, left) = exclude(&mut world, client, Exclude::Named(patterns(&["a.b>"])));
    assert_eq!(
        (removed, left),
        (vec!["a.b>".to_owned()], vec!["a.>".to_owned(), "a.bc>".to_owned()])
    );
    let (_, left) = exclude(&mut world, client, Exclude::Named(patterns(&["a.>"])));
    assert_eq!(left, ["a.bc>"]);
}

#[test]
fn what_is_selected_is_left_out_of_wider_patterns_too() {
    let mut world = World::new();
    let client = world.connect(100);
    include(&mut world, client, &["a.*.log", "b"]);
    let selected = Exclude::Selected(patterns(&["a.one.log", "b", "never"]));
    let (removed, left) = exclude(&mut world, client, selected);
    assert_eq!(
        (removed, left),
        (vec!["a.one.log".to_owned(), "b".to_owned()], vec!["a.*.log".to_owned()])
    );
    let selected = Exclude::Selected(patterns(&["a.one.log"]));
    assert!(exclude(&mut world, client, selected).0.is_empty(), "it is left out already");
    // Who asks for it again has it again.
    include(&mut world, client, &["a.one.log"]);
    let (removed, _) = exclude(&mut world, client, Exclude::Named(patterns(&["a.one.log"])));
    assert_eq!(removed, ["a.one.log"]);
=======
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
>>>>>>> issue4
}
