use engine::Request;
use protocol::{
    Answer, Command, ErrorCode, Link, Message, Mode, Position, Seq, Start, Status, Topic,
};

use super::world::{Said, World, pattern};

const LINK: Link =
    Link { connected_at_ms: 7, bytes_in: 3, latency_ms: Some(2), quality: 0.5, is_alive: true };

fn events(world: &mut World) -> Vec<Seq> {
    let seq = |said| match said {
        Said::Event(seq) => Some(seq),
        Said::Message(_) => None,
    };
    world.said(0).into_iter().filter_map(seq).collect()
}

fn answer(world: &mut World, id: i64) -> Result<Answer, protocol::Error> {
    let found = world.said(0).into_iter().find_map(|said| match said {
        Said::Message(Message::Reply { id: Some(of), result }) if of == id => Some(result),
        _ => None,
    });
    found.expect("an answer")
}

#[test]
fn a_client_learns_what_is_known_of_it() {
    let mut world = World::new();
    let client = world.connect(10);
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.publish(2);
    world.requests();
    world.send(client, 9, Command::Status);
    let [Request::Status { ticket }] = world.requests()[..] else { panic!("no question") };
    world.worker.handle_status(world.now, ticket, LINK);
    let Ok(Answer::Status(status)) = answer(&mut world, 9) else { panic!("no status") };
    let Status { interests, events_out, messages_in, link, .. } = *status;
    assert_eq!(interests[0].topic, pattern("a.>"));
    assert_eq!((events_out, messages_in, link), (2, 2, LINK));
}

#[test]
fn a_start_behind_a_seq_means_the_epoch_that_there_is() {
    for (after, expected) in [(2, vec![3, 4]), (4, vec![]), (0, vec![1, 2, 3, 4])] {
        let mut world = World::new();
        world.publish(4);
        let client = world.connect(10);
        world.subscribe(client, &["a.>"], Mode::EVERY, Start::After(after));
        world.write_all();
        world.answer_pages(1);
        assert_eq!(events(&mut world), expected, "after {after}");
    }
}

#[test]
fn a_seq_that_never_was_is_of_an_epoch_that_is_over() {
    let mut world = World::new();
    world.publish(2);
    let client = world.connect(10);
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::After(99));
    world.write_all();
    world.answer_pages(1);
    assert_eq!(events(&mut world), [1, 2]);
}

#[test]
fn who_has_no_device_is_told_that_nothing_was_stored() {
    let mut world = World::new();
    let client = world.connect(10);
    let topic = Topic::parse("a.b").unwrap();
    let acknowledge = |seq| Command::AcknowledgeTopic { topic: topic.clone(), seq };
    world.send(client, 3, acknowledge(0));
    let error = answer(&mut world, 3).unwrap_err();
    assert_eq!(error.code, ErrorCode::BadRequest, "it gets nothing of the stream");
    world.subscribe(client, &["a.>"], Mode::EVERY, Start::Now);
    world.publish(2);
    world.send(client, 4, acknowledge(2));
    assert_eq!(answer(&mut world, 4), Ok(Answer::Acknowledged(Vec::<Position>::new())));
    world.send(client, 5, acknowledge(3));
    assert_eq!(answer(&mut world, 5).unwrap_err().code, ErrorCode::BadRequest);
}
