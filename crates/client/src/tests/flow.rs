use std::time::Duration;

use serde_json::json;

use super::server::connected;
use super::{event, next_seqs};
use crate::{Item, Options, Publish, Subscribe};

#[tokio::test(start_paused = true)]
async fn a_full_queue_stops_reading_and_nothing_is_lost() {
    let options = Options { queue_items: 4, ..Options::default() };
    let (client, _server, mut peer) = connected(options).await;
    let mut news = peer.subscribe_news(&client, 0).await;
    for seq in 1..=100 {
        peer.say(&event("news.a", seq));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(peer.unread(), 95, "four in the queue and one before it");
    assert_eq!(next_seqs(&mut news, 10).await, (1..=10).collect::<Vec<_>>());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(peer.unread(), 85);
    assert_eq!(next_seqs(&mut news, 90).await, (11..=100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_server_is_not_blamed_for_what_was_not_read() {
    let options = Options { queue_items: 1, ..Options::default() };
    let (client, mut server, mut peer) = connected(options).await;
    let mut news = peer.subscribe_news(&client, 0).await;
    for seq in 1..=10 {
        peer.say(&event("news.a", seq));
    }
    assert!(server.is_left_alone(Duration::from_secs(3_600)).await);
    assert_eq!(next_seqs(&mut news, 10).await, (1..=10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_found_behind_events_that_nobody_takes() {
    let options = Options { queue_items: 1, ..Options::default() };
    let (client, _server, mut peer) = connected(options).await;
    let mut news = peer.subscribe_news(&client, 0).await;
    for seq in 1..=1_000 {
        peer.say(&event("news.a", seq));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(peer.unread(), 998);
    let asking = client.clone();
    let publishing =
        tokio::spawn(async move { asking.publish(Publish::json("news.b", &1).unwrap()).await });
    let asked = peer.heard().await;
    let ok = json!({"stream": "news", "epoch": "e1", "seq": 1_001, "durability": "memory"});
    peer.say(&json!({"id": asked["id"], "ok": ok}));
    assert_eq!(publishing.await.unwrap().unwrap().seq, 1_001);
    assert_eq!(next_seqs(&mut news, 1_000).await, (1..=1_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn reading_ahead_has_a_bound() {
    let options = Options { queue_items: 1, ..Options::default() };
    let (client, _server, mut peer) = connected(options).await;
    let _news = peer.subscribe_news(&client, 0).await;
    let asking = client.clone();
    tokio::spawn(async move { asking.ping().await });
    peer.heard().await;
    for seq in 1..=60_000 {
        peer.say(&event("news.a", seq));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // 8 MiB at a good 256 bytes each.
    let taken = 60_000 - peer.unread();
    assert!((30_000..33_000).contains(&taken), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_subscription_frees_the_others() {
    let options = Options { queue_items: 2, ..Options::default() };
    let (client, _server, mut peer) = connected(options).await;
    let idle = peer.subscribe_news(&client, 0).await;
    let ok = json!({"subscription": "s2", "topics": ["b"], "positions": [super::position(0)]});
    let options = Subscribe::to(&["b"]).unwrap();
    let mut busy = peer.subscribe(&client, options, &json!({"topics": ["b"]}), &ok).await;
    for seq in 1..=20 {
        peer.say(&event(if seq <= 10 { "news.a" } else { "b" }, seq));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(peer.unread(), 17);
    drop(idle);
    assert_eq!(next_seqs(&mut busy, 10).await, (11..=20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn notices_are_left_out_for_who_is_behind() {
    let options = Options { queue_items: 2, ..Options::default() };
    let (client, mut server, mut peer) = connected(options).await;
    let mut news = peer.subscribe_news(&client, 0).await;
    for seq in 1..=3 {
        peer.say(&event("news.a", seq));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Only who reads ahead for an answer finds out while the application is behind.
    let asking = client.clone();
    let pinging = tokio::spawn(async move { asking.ping().await });
    peer.heard().await;
    drop(peer);
    let mut peer = server.accept().await;
    peer.welcome("c2", "t2");
    let hello = peer.heard().await;
    assert_eq!(hello["hello"]["resume"], json!([super::after(3)]));
    let subscriptions =
        json!([{"subscription": "s1", "topics": ["news.>"], "positions": [super::position(3)]}]);
    peer.say(&json!({"id": hello["id"], "ok": {"client": "c1", "subscriptions": subscriptions}}));
    peer.say(&event("news.a", 4));
    peer.answer(&json!({"ping": {}}), &json!({"time": 5})).await;
    assert_eq!(pinging.await.unwrap(), Ok(5));
    assert_eq!(next_seqs(&mut news, 4).await, [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_is_still_read() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let mut news = peer.subscribe_news(&client, 0).await;
    peer.block();
    let asking = client.clone();
    tokio::spawn(async move { asking.publish(Publish::json("a", &1).unwrap()).await });
    peer.say(&event("news.a", 1));
    assert_eq!(next_seqs(&mut news, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn polling_works_like_waiting() {
    let (client, _server, mut peer) = connected(Options::default()).await;
    let mut news = peer.subscribe_news(&client, 0).await;
    peer.say(&event("news.a", 1));
    let item = std::future::poll_fn(|context| news.poll_next(context)).await;
    assert!(matches!(item, Ok(Item::Event(event)) if event.seq == 1));
}
