use std::time::Duration;

use protocol::{Epoch, Gap, GapReason, Position, Start, StreamName};
use serde_json::{Value, json};

use super::server::{Peer, connected};
use super::{after, assert_quiet, event, next_event, next_seqs, position};
use crate::{Error, Item, Options, Subscribe, Subscription};

const NEWS: &str = "news.>";

fn started(name: &str, topics: &[&str], seq: u64) -> Value {
    json!({"subscription": name, "topics": topics, "positions": [position(seq)]})
}

async fn assert_reconnected(subscription: &mut Subscription) {
    assert_eq!(subscription.next().await, Ok(Item::Reconnecting(Error::Unreachable("cut".into()))));
    assert_eq!(subscription.next().await, Ok(Item::Reconnected));
}

/// Greets a client that comes back with subscriptions to these patterns at `seq`.
async fn resume(peer: &mut Peer, seq: u64, bodies: &[Value], session: &str) {
    peer.welcome("c2", "t2");
    let hello = json!({"hello": {
        "session": session, "resume": [after(seq)], "subscriptions": bodies,
    }});
    let answers: Vec<Value> = bodies
        .iter()
        .enumerate()
        .map(|(at, body)| {
            let name = format!("s{}", at + 1);
            json!({"subscription": name, "topics": body["topics"], "positions": [position(seq)]})
        })
        .collect();
    peer.answer(&hello, &json!({"client": "c1", "subscriptions": answers})).await;
}

#[tokio::test(start_paused = true)]
async fn goes_on_behind_the_last_event() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let mut news = peer.subscribe_news(&client, 10).await;
    assert_eq!(news.positions(), [Position::parse("news:e1:10").unwrap()]);
    peer.say(&event("news.a", 12));
    let first = next_event(&mut news).await;
    assert_eq!(first.position(), Some(Position::parse("news:e1:12").unwrap()));
    drop(peer);

    let mut peer = server.accept().await;
    resume(&mut peer, 12, &[json!({"topics": [NEWS]})], "t1").await;
    peer.say(&event("news.a", 13));
    assert_reconnected(&mut news).await;
    assert_eq!(next_event(&mut news).await.seq, 13);

    // The id was restored, so the token that restores it stays the same.
    drop(peer);
    let mut peer = server.accept().await;
    resume(&mut peer, 13, &[json!({"topics": [NEWS]})], "t1").await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_not_restored_is_given_up() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let _news = peer.subscribe_news(&client, 10).await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.welcome("c2", "t2");
    let hello = peer.heard().await;
    assert_eq!(hello["hello"]["session"], "t1");
    let subscriptions = json!([started("s1", &[NEWS], 10)]);
    peer.say(&json!({"id": hello["id"], "ok": {"client": "c2", "subscriptions": subscriptions}}));
    assert_eq!(&*client.connected().await.unwrap().client, "c2");
    drop(peer);
    let mut peer = server.accept().await;
    resume(&mut peer, 10, &[json!({"topics": [NEWS]})], "t2").await;
}

#[tokio::test(start_paused = true)]
async fn says_hello_only_where_there_is_something_to_say() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    peer.assert_silent(Duration::from_secs(1)).await;
    client.close().await;

    let options = Options { device: Some("phone".into()), takeover: true, ..Options::default() };
    let (client, mut server) = super::server::pair(options);
    let mut peer = server.accept().await;
    peer.welcome("c1", "t1");
    let hello = json!({"hello": {"device": "phone", "takeover": true}});
    peer.answer(&hello, &json!({"client": "c1", "subscriptions": []})).await;
    assert_eq!(&*client.connected().await.unwrap().client, "c1");
}

#[tokio::test(start_paused = true)]
async fn all_subscriptions_resume_at_once_at_the_lowest_position() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let mut a = peer
        .subscribe(
            &client,
            Subscribe::to(&["a.*"]).unwrap().except(&["a.x"]).unwrap(),
            &json!({"topics": ["a.*"], "except": ["a.x"]}),
            &started("s1", &["a.*"], 10),
        )
        .await;
    peer.say(&event("a.1", 11));
    let mut b = peer
        .subscribe(
            &client,
            Subscribe::to(&["b"]).unwrap().from(Start::Last(5)),
            &json!({"topics": ["b"], "from": {"last": 5}}),
            // As a server that names the beginning of what will be replayed.
            &started("s2", &["b"], 4),
        )
        .await;
    let replay = json!({"replay": {
        "subscription": "s2", "stream": "news", "done": false,
        "events": [event("b", 6)["event"], event("b", 8)["event"]],
    }});
    peer.say(&replay);
    assert!(matches!(b.next().await, Ok(Item::Replay(event)) if event.seq == 6));
    assert!(matches!(b.next().await, Ok(Item::Replay(event)) if event.seq == 8));
    assert_eq!(next_seqs(&mut a, 1).await, [11]);
    drop(peer);

    // The replay had come to 8; what follows comes live, and each takes what it lacks.
    let mut peer = server.accept().await;
    let bodies = [json!({"topics": ["a.*"], "except": ["a.x"]}), json!({"topics": ["b"]})];
    resume(&mut peer, 8, &bodies, "t1").await;
    for (topic, seq) in [("b", 9), ("a.1", 11), ("a.x", 12), ("b", 13), ("a.2", 14)] {
        peer.say(&event(topic, seq));
    }
    assert_reconnected(&mut a).await;
    assert_reconnected(&mut b).await;
    assert_eq!(next_seqs(&mut b, 2).await, [9, 13]);
    assert_eq!(next_seqs(&mut a, 1).await, [14]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_lost_with_the_connection_is_named() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let _a = peer.subscribe_news(&client, 100).await;
    let mut b = peer
        .subscribe(
            &client,
            Subscribe::to(&["b"]).unwrap().from(Start::Last(5)),
            &json!({"topics": ["b"], "from": {"last": 5}}),
            &started("s2", &["b"], 100),
        )
        .await;
    drop(peer);
    let stream = StreamName::parse("news").unwrap();
    assert_eq!(b.next().await, Ok(Item::ReplayLost(stream)));
    let mut peer = server.accept().await;
    resume(&mut peer, 100, &[json!({"topics": [NEWS]}), json!({"topics": ["b"]})], "t1").await;
    assert_reconnected(&mut b).await;
}

#[tokio::test(start_paused = true)]
async fn a_replay_from_a_known_place_is_made_up_for() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let _a = peer.subscribe_news(&client, 100).await;
    let from = Start::Positions(vec![Position::parse("news:e1:40").unwrap()]);
    let mut b = peer
        .subscribe(
            &client,
            Subscribe::to(&["b"]).unwrap().from(from),
            &json!({"topics": ["b"], "from": {"positions": [after(40)]}}),
            &started("s2", &["b"], 100),
        )
        .await;
    drop(peer);
    let mut peer = server.accept().await;
    resume(&mut peer, 40, &[json!({"topics": [NEWS]}), json!({"topics": ["b"]})], "t1").await;
    peer.say(&event("b", 41));
    assert_reconnected(&mut b).await;
    assert_eq!(next_seqs(&mut b, 1).await, [41]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_done_needs_nothing() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let _a = peer.subscribe_news(&client, 100).await;
    let mut b = peer
        .subscribe(
            &client,
            Subscribe::to(&["b"]).unwrap().from(Start::Since(7)),
            &json!({"topics": ["b"], "from": {"since": 7}}),
            &started("s2", &["b"], 100),
        )
        .await;
    peer.say(&json!({"replay": {"subscription": "s2", "events": [], "done": true}}));
    assert_eq!(b.next().await, Ok(Item::ReplayDone(None)));
    drop(peer);
    let mut peer = server.accept().await;
    resume(&mut peer, 100, &[json!({"topics": [NEWS]}), json!({"topics": ["b"]})], "t1").await;
    assert_reconnected(&mut b).await;
}

#[tokio::test(start_paused = true)]
async fn with_mixed_modes_only_marks_move_the_position() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let mut every = peer.subscribe_news(&client, 10).await;
    let mut newest = peer
        .subscribe(
            &client,
            Subscribe::to(&["state.*"]).unwrap().max_rate(1.0).unwrap(),
            &json!({"topics": ["state.*"], "max_rate": 1}),
            &started("s2", &["state.*"], 10),
        )
        .await;
    peer.say(&event("news.a", 11));
    peer.say(&json!({"mark": [position(12)]}));
    // The reader of `news.>` is ahead of the other one.
    peer.say(&event("news.a", 20));
    peer.say(&event("news.a", 22));
    peer.say(&event("state.x", 15));
    assert_eq!(next_seqs(&mut every, 3).await, [11, 20, 22]);
    assert_eq!(next_seqs(&mut newest, 1).await, [15]);
    drop(peer);

    let mut peer = server.accept().await;
    let bodies = [json!({"topics": [NEWS]}), json!({"topics": ["state.*"], "max_rate": 1})];
    resume(&mut peer, 12, &bodies, "t1").await;
    for (topic, seq) in [
        ("news.a", 20),
        ("news.b", 21),
        ("news.a", 22),
        ("news.a", 23),
        ("state.x", 15),
        ("state.y", 18),
    ] {
        peer.say(&event(topic, seq));
    }
    assert_reconnected(&mut every).await;
    assert_reconnected(&mut newest).await;
    assert_eq!(next_seqs(&mut every, 2).await, [21, 23]);
    assert_eq!(next_seqs(&mut newest, 1).await, [18]);
    assert_quiet(&mut every).await;
}

#[tokio::test(start_paused = true)]
async fn marks_move_positions_past_what_was_for_others() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let mut news = peer.subscribe_news(&client, 10).await;
    peer.say(&json!({"mark": [position(500)]}));
    peer.say(&event("news.a", 501));
    assert_eq!(next_seqs(&mut news, 1).await, [501]);
    peer.say(&json!({"mark": [position(900)]}));
    client_is_through(&client, &mut peer).await;
    drop(peer);
    let mut peer = server.accept().await;
    resume(&mut peer, 900, &[json!({"topics": [NEWS]})], "t1").await;
    assert_reconnected(&mut news).await;
}

/// Waits until the client has read all that was said.
async fn client_is_through(client: &crate::Client, peer: &mut Peer) {
    let client = client.clone();
    let pinging = tokio::spawn(async move { client.ping().await });
    peer.answer(&json!({"ping": {}}), &json!({"time": 5})).await;
    assert_eq!(pinging.await.unwrap(), Ok(5));
}

#[tokio::test(start_paused = true)]
async fn gaps_come_in_their_place_and_move_the_position() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let mut news = peer.subscribe_news(&client, 10).await;
    let gap = |epoch: &str, from: u64, to: u64, reason: &str| json!({"gap": {"stream": "news", "epoch": epoch, "from": from, "to": to, "reason": reason}});
    peer.say(&event("news.a", 11));
    peer.say(&gap("e1", 12, 40, "retention"));
    peer.say(&event("news.a", 41));
    peer.say(&gap("e2", 1, 6, "epoch"));
    peer.say(&event("news.a", 7));
    assert_eq!(next_seqs(&mut news, 1).await, [11]);
    let gap_of = |epoch: &str, from, to, reason| {
        let (stream, epoch) = (StreamName::parse("news").unwrap(), Epoch::parse(epoch).unwrap());
        Ok(Item::Gap(Gap { stream, epoch, from, to, reason }))
    };
    assert_eq!(news.next().await, gap_of("e1", 12, 40, GapReason::Retention));
    assert_eq!(next_seqs(&mut news, 1).await, [41]);
    assert_eq!(news.next().await, gap_of("e2", 1, 6, GapReason::Epoch));
    let first = next_event(&mut news).await;
    assert_eq!(first.position(), Some(Position::parse("news:e2:7").unwrap()));
    drop(peer);

    let mut peer = server.accept().await;
    peer.welcome("c2", "t2");
    let hello = peer.heard().await;
    let resume = json!([{"stream": "news", "epoch": "e2", "after": 7}]);
    assert_eq!(hello["hello"]["resume"], resume);
    // The server has lost everything again.
    let positions = json!([{"stream": "news", "epoch": "e3", "seq": 0}]);
    let subscriptions = json!([{"subscription": "s1", "topics": [NEWS], "positions": positions}]);
    peer.say(&json!({"id": hello["id"], "ok": {"client": "c1", "subscriptions": subscriptions}}));
    peer.say(&gap("e3", 1, 0, "epoch"));
    peer.say(&event("news.a", 1));
    assert_reconnected(&mut news).await;
    assert_eq!(news.next().await, gap_of("e3", 1, 0, GapReason::Epoch));
    assert_eq!(next_seqs(&mut news, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_subscription_is_ended() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let a = peer.subscribe_news(&client, 10).await;
    drop(a);
    peer.answer(&json!({"unsubscribe": {"subscription": "s1"}}), &json!({})).await;

    // Dropped while there is no connection, it is not taken up again.
    let a = peer.subscribe_news(&client, 10).await;
    drop(peer);
    server.refuse([Error::Unreachable("no".into())]);
    drop(a);
    let mut peer = server.accept().await;
    peer.welcome("c2", "t2");
    let hello = json!({"hello": {"session": "t1"}});
    peer.answer(&hello, &json!({"client": "c1", "subscriptions": []})).await;

    // Dropped while the hello is under way, it is ended by its new name.
    let a = peer.subscribe_news(&client, 10).await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.welcome("c2", "t2");
    let hello = peer.heard().await;
    drop(a);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let subscriptions = json!([started("s7", &[NEWS], 10)]);
    peer.say(&json!({"id": hello["id"], "ok": {"client": "c1", "subscriptions": subscriptions}}));
    peer.answer(&json!({"unsubscribe": {"subscription": "s7"}}), &json!({})).await;

    // Given up before it is answered, it is ended as soon as it is.
    let giving_up = client.subscribe(Subscribe::to(&[NEWS]).unwrap());
    let gave_up = tokio::time::timeout(Duration::from_millis(5), giving_up).await;
    assert!(gave_up.is_err());
    let id = peer.expect(&json!({"subscribe": {"topics": [NEWS]}})).await;
    peer.say(&json!({"id": id, "ok": started("s9", &[NEWS], 10)}));
    peer.answer(&json!({"unsubscribe": {"subscription": "s9"}}), &json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_without_an_answer_is_asked_for_again() {
    let (client, mut server, mut peer) = connected(Options::default()).await;
    let asking = client.clone();
    let options = Subscribe::to(&[NEWS]).unwrap().from(Start::Last(3));
    let subscribing = tokio::spawn(async move { asking.subscribe(options).await });
    let asked = json!({"subscribe": {"topics": [NEWS], "from": {"last": 3}}});
    let id = peer.expect(&asked).await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.welcome("c2", "t2");
    let hello = json!({"hello": {"session": "t1"}});
    peer.answer(&hello, &json!({"client": "c1", "subscriptions": []})).await;
    assert_eq!(peer.expect(&asked).await, id);
    peer.say(&json!({"id": id, "ok": started("s1", &[NEWS], 7)}));
    peer.say(&event("news.a", 8));
    let mut news = subscribing.await.unwrap().unwrap();
    assert_eq!(next_seqs(&mut news, 1).await, [8]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_subscription_is_an_error() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let asking = client.clone();
    let subscribing =
        tokio::spawn(async move { asking.subscribe(Subscribe::to(&[">"]).unwrap()).await });
    let id = peer.expect(&json!({"subscribe": {"topics": [">"]}})).await;
    peer.say(&json!({"id": id, "error": {"code": "forbidden", "message": "not yours"}}));
    let error = subscribing.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "forbidden: not yours");
}

#[tokio::test(start_paused = true)]
async fn batches_and_bytes_are_events() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let mut news = peer.subscribe_news(&client, 10).await;
    peer.say(&json!([event("news.a", 11), event("news.b", 12)]));
    peer.say_bytes(
        b"{\"event\":{\"topic\":\"news.c\",\"stream\":\"news\",\"seq\":13,\"time\":6,\"headers\":{\"x\":\"y\"},\"content_type\":\"image/png\"}}\n\x00\n\xff",
    );
    assert_eq!(next_seqs(&mut news, 2).await, [11, 12]);
    let image = next_event(&mut news).await;
    assert_eq!(image.headers.as_deref(), Some(&b"{\"x\":\"y\"}"[..]));
    let crate::Payload::Binary { content_type, bytes } = image.payload else { panic!("JSON") };
    assert_eq!((&*content_type, &bytes[..]), ("image/png", &b"\x00\n\xff"[..]));
}
