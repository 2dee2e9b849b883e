use std::sync::Arc;

use engine::{ClientKey, Grants, Identity, Request, Ticket};
use protocol::{Answer, CloseReason, Command, Hello, Message, Mode, Pattern, Start};

use super::world::{Said, World};

/// A moment in ms since 1970.
const WALL_MS: u64 = 1_800_000_000_000;

fn identity(user: &str, topics: &str, expires_at_ms: Option<u64>) -> Identity {
    let grants = Grants { subscribe: vec![Pattern::parse(topics).unwrap()], ..Grants::default() };
    Identity {
        user: Some(user.into()),
        device: None,
        groups: Vec::new(),
        grants: Arc::new(grants),
        subscriptions_max: 10,
        expires_at_ms,
    }
}

/// Whose token the worker asks about.
fn asked(world: &mut World) -> (Ticket, String) {
    let asked = world.requests().into_iter().find_map(|request| match request {
        Request::Authenticate { ticket, token, .. } => Some((ticket, token)),
        _ => None,
    });
    asked.expect("the worker asks")
}

fn answer(world: &mut World, token: &str, identity: Identity) {
    let (ticket, asked) = asked(world);
    assert_eq!(asked, token);
    world.worker.handle_authenticated(world.now, ticket, Ok(identity));
    world.write_all();
}

/// A client that said hello with a token that ends then.
fn known(world: &mut World, expires_at_ms: u64) -> ClientKey {
    world.now.wall_ms = WALL_MS;
    let client = world.connect(10);
    let hello = Hello { token: Some("t".into()), ..Hello::default() };
    world.send(client, 1, Command::Hello(Box::new(hello)));
    answer(world, "t", identity("ann", ">", Some(expires_at_ms)));
    client
}

/// What was said of tokens that expire, and which clients are to be closed.
fn outcome(world: &mut World, rendering: u16) -> (Vec<u64>, Vec<CloseReason>) {
    let notices = world.said(rendering).into_iter().filter_map(|said| match said {
        Said::Message(Message::Expiring { in_ms }) => Some(in_ms),
        _ => None,
    });
    let notices = notices.collect();
    let closes = world.requests().into_iter().filter_map(|request| match request {
        Request::Close { reason, .. } => Some(reason),
        _ => None,
    });
    (notices, closes.collect())
}

/// Steady time passes as the worker asks for it; the wall clock with it.
fn let_pass(world: &mut World, ms: u64) {
    let end_ms = world.now.ms + ms;
    while let Some(next_ms) = world.worker.next_timer().filter(|next_ms| *next_ms <= end_ms) {
        let step = next_ms.saturating_sub(world.now.ms);
        world.now.wall_ms += step;
        world.pass(step);
    }
    let rest = end_ms - world.now.ms;
    world.now.wall_ms += rest;
    world.pass(rest);
}

#[test]
fn a_session_is_told_a_minute_before_and_ends_to_the_ms() {
    let mut world = World::new();
    known(&mut world, WALL_MS + 300_000);
    let_pass(&mut world, 239_999);
    assert_eq!(outcome(&mut world, 0), (vec![], vec![]));
    let_pass(&mut world, 1);
    assert_eq!(outcome(&mut world, 0), (vec![60_000], vec![]));
    let_pass(&mut world, 59_999);
    assert_eq!(outcome(&mut world, 0), (vec![], vec![]));
    let_pass(&mut world, 1);
    assert_eq!(outcome(&mut world, 0), (vec![], vec![CloseReason::Unauthorized]));
}

#[test]
fn it_ends_by_the_wall_clock_however_that_jumps() {
    let mut world = World::new();
    known(&mut world, WALL_MS + 3_600_000);
    let_pass(&mut world, 1_000);
    world.now.wall_ms += 3_600_000;
    let_pass(&mut world, 500);
    assert_eq!(outcome(&mut world, 0), (vec![], vec![CloseReason::Unauthorized]));
    let mut world = World::new();
    known(&mut world, WALL_MS + 10_000);
    world.now.wall_ms -= 3_600_000;
    let_pass(&mut world, 60_000);
    assert_eq!(outcome(&mut world, 0), (vec![], vec![]));
    world.now.wall_ms += 3_600_000;
    let_pass(&mut world, 500);
    assert_eq!(outcome(&mut world, 0).1, [CloseReason::Unauthorized]);
}

#[test]
fn a_newer_token_counts_alone() {
    let mut world = World::new();
    let client = known(&mut world, WALL_MS + 10_000);
    world.subscribe(client, &["a.>", "b.>"], Mode::EVERY, Start::Now);
    world.send(client, 2, Command::Refresh { token: "u".into() });
    world.send(client, 3, Command::Ping);
    // What comes behind it waits.
    world.write_all();
    let waits = |said: &Said| !matches!(said, Said::Message(Message::Reply { id: Some(3), .. }));
    assert!(world.said(0).iter().all(waits));
    answer(&mut world, "u", identity("ann", "a.>", Some(WALL_MS + 20_000)));
    let said = world.said(0);
    let expires_at_ms = WALL_MS + 20_000;
    let refreshed = Answer::Refreshed { expires_at_ms };
    let replies: Vec<(Option<i64>, bool)> = said
        .iter()
        .filter_map(|said| match said {
            Said::Message(Message::Reply { id, result }) => {
                Some((*id, *result == Ok(refreshed.clone())))
            }
            _ => None,
        })
        .collect();
    assert_eq!(replies, [(Some(2), true), (Some(3), false)]);
    let view = world.worker.view(client).unwrap();
    assert_eq!(view.topics, [Pattern::parse("a.>").unwrap()], "what is not allowed any more ends");
    let_pass(&mut world, 19_999);
    assert_eq!(outcome(&mut world, 0).1, []);
    let_pass(&mut world, 1);
    assert_eq!(outcome(&mut world, 0).1, [CloseReason::Unauthorized]);
}

#[test]
fn a_session_that_moves_takes_its_end_along() {
    let mut world = World::new();
    let client = known(&mut world, WALL_MS + 10_000);
    let snapshot = world.worker.snapshot(world.now, client).unwrap();
    world.worker.restore(world.now, snapshot);
    let_pass(&mut world, 10_000);
    assert_eq!(outcome(&mut world, 0).1, [CloseReason::Unauthorized]);
}
