use std::sync::Arc;

use bytes::Bytes;
use engine::{ClientKey, Grants, Request, Ticket};
use protocol::{Answer, Call, CloseReason, Command, Error, ErrorCode, Message, Pattern, Topic};

use super::world::{Said, World, pattern};

fn caller(world: &mut World) -> ClientKey {
    let client = world.connect(10);
    allow(world, client, &["a.*"], &["a.*"]);
    client
}

fn allow(world: &mut World, client: ClientKey, command: &[&str], handle: &[&str]) {
    let patterns = |texts: &[&str]| -> Vec<Pattern> { texts.iter().map(|t| pattern(t)).collect() };
    let (command, handle) = (patterns(command), patterns(handle));
    let grants = Grants { command, handle, ..Grants::default() };
    world.worker.set_grants(client, Arc::new(grants));
}

fn call(command: &str, bytes: usize) -> Command {
    let data = Bytes::from(format!("\"{}\"", "x".repeat(bytes)));
    let command = Topic::parse(command).unwrap();
    Command::Call(Box::new(Call { command, data, timeout_ms: None }))
}

/// The calls that the worker wants to be carried out.
fn asked(world: &mut World) -> Vec<Ticket> {
    let asked = world.requests().into_iter().filter_map(|request| match request {
        Request::Call { ticket, .. } => Some(ticket),
        _ => None,
    });
    asked.collect()
}

fn messages(world: &mut World, client: u16) -> Vec<Message> {
    let said = world.said(client).into_iter().filter_map(|said| match said {
        Said::Message(message) => Some(message),
        Said::Event(_) => None,
    });
    said.collect()
}

fn replied(id: i64, result: Result<Answer, Error>) -> Message {
    Message::Reply { id: Some(id), result }
}

#[test]
fn a_call_is_told_to_be_on_its_way_and_holds_up_nothing() {
    let mut world = World::new();
    let client = caller(&mut world);
    world.send(client, 7, call("a.b", 1));
    world.send(client, 8, Command::Ping);
    let pong = replied(8, Ok(Answer::Pong { time_ms: 0 }));
    assert_eq!(messages(&mut world, 0), [Message::Called { id: 7 }, pong]);
    let tickets = asked(&mut world);
    let answer = Bytes::from_static(b"1");
    world.worker.handle_called(world.now, tickets[0], Ok(answer.clone()));
    assert_eq!(messages(&mut world, 0), [replied(7, Ok(Answer::Called(answer)))]);
    world.send(client, 9, call("b", 1));
    let said = messages(&mut world, 0);
    let [Message::Reply { result: Err(error), .. }] = &said[..] else { panic!("{said:?}") };
    assert_eq!(error.code, ErrorCode::Forbidden);
    assert!(asked(&mut world).is_empty());
}

#[test]
fn calls_count_against_what_a_client_may_leave_unanswered() {
    let mut world = World::new();
    let client = caller(&mut world);
    for id in 1_000..2_024 {
        assert!(world.worker.is_accepting(client));
        world.send(client, id, call("a.b", 1));
        world.write_all();
    }
    assert!(!world.worker.is_accepting(client));
    let tickets = asked(&mut world);
    world.worker.handle_called(world.now, tickets[0], Err(Error::bad_request("")));
    assert!(world.worker.is_accepting(client));
    for ticket in &tickets[1..] {
        world.worker.handle_called(world.now, *ticket, Ok(Bytes::new()));
        world.write_all();
    }
    for id in 0..4 {
        assert!(world.worker.is_accepting(client));
        world.send(client, id, call("a.b", 1 << 20));
        world.write_all();
    }
    assert!(!world.worker.is_accepting(client), "too many bytes");
}

#[test]
fn answers_that_are_not_taken_are_bounded() {
    let mut world = World::new();
    let client = caller(&mut world);
    for id in 0..40 {
        world.send(client, id, call("a.b", 1));
    }
    world.worker.blocked(client);
    messages(&mut world, 0);
    for ticket in asked(&mut world) {
        world.worker.append(client, |out| out.extend(vec![0; 1 << 20]));
        world.worker.handle_called(world.now, ticket, Ok(Bytes::from_static(b"1")));
    }
    let said = messages(&mut world, 0);
    let lost = said.iter().filter(|message| {
        matches!(message, Message::Reply { result: Err(error), .. }
            if error.code == ErrorCode::CommandFailed)
    });
    assert_eq!(said.len(), 40);
    assert!((24..=25).contains(&lost.count()));
}

#[test]
fn a_handler_is_given_calls_while_it_may_and_is_there() {
    let mut world = World::new();
    let client = caller(&mut world);
    let handled = |world: &mut World| -> Vec<Vec<Pattern>> {
        let handled = world.requests().into_iter().filter_map(|request| match request {
            Request::Handle { patterns, .. } => Some(patterns),
            _ => None,
        });
        handled.collect()
    };
    world.send(client, 1, Command::Handle(vec![pattern("a.b"), pattern("b")]));
    assert!(handled(&mut world).is_empty(), "one of them is forbidden");
    world.send(client, 2, Command::Handle(vec![pattern("a.b"), pattern("a.c")]));
    assert_eq!(handled(&mut world), [[pattern("a.b"), pattern("a.c")]]);
    let given = |world: &mut World| {
        let Command::Call(call) = call("a.b", 1) else { panic!("no call") };
        world.worker.give_call(world.now, client, 1, call, None)
    };
    messages(&mut world, 0);
    assert!(given(&mut world));
    assert!(matches!(messages(&mut world, 0)[..], [Message::Call { call_id: 1, .. }]));

    let now = world.now;
    let snapshot = world.worker.snapshot(now, client).unwrap();
    assert!(!given(&mut world), "it is gone");
    let client = world.worker.restore(now, snapshot);
    assert_eq!(handled(&mut world), [[pattern("a.b"), pattern("a.c")]]);
    allow(&mut world, client, &[], &["a.c"]);
    assert_eq!(handled(&mut world), [[pattern("a.c")]]);
    let give = |world: &mut World, command: &str| {
        let Command::Call(call) = call(command, 1) else { panic!("no call") };
        world.worker.give_call(world.now, client, 1, call, None)
    };
    assert!(!give(&mut world, "a.b"));
    assert!(give(&mut world, "a.c"));
    world.worker.close(now, client, CloseReason::Draining, None);
    assert!(!give(&mut world, "a.c"));
}
