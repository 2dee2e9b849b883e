use engine::ClientKey;
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
}
