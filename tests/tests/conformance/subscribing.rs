use super::for_every_dialect;
use crate::spoken::{Initially, Spoken};
use crate::talker::{Talker, publish, serve};

for_every_dialect!(
    what_is_subscribed_to_comes_in_order,
    what_is_unsubscribed_from_comes_no_more,
    names_that_stand_for_several_take_them_all,
    what_is_no_message_gets_an_error_and_the_connection_lives_on,
    subscribing_twice_brings_each_event_once,
);

async fn what_is_subscribed_to_comes_in_order(spoken: &Spoken) {
    let server = serve(spoken, "");
    let mut talker = Talker::connect(spoken, &server).await;
    let [a, b] = spoken.names;
    talker.settle().await;
    if spoken.initially != Initially::Nothing {
        publish(&server, spoken, b, &[7]).await;
        assert_eq!(talker.event().await, (b.to_owned(), 7));
    }
    talker.subscribe(&[a]).await;
    publish(&server, spoken, a, &[1, 2]).await;
    publish(&server, spoken, b, &[100]).await;
    publish(&server, spoken, a, &[3, 4]).await;
    let expected: &[u64] = match spoken.initially {
        Initially::AllChannels => &[1, 2, 100, 3, 4],
        _ => &[1, 2, 3, 4],
    };
    assert_eq!(talker.numbers(expected.len()).await, expected);
}

async fn what_is_unsubscribed_from_comes_no_more(spoken: &Spoken) {
    let server = serve(spoken, "");
    let mut talker = Talker::connect(spoken, &server).await;
    let [a, b] = spoken.names;
    talker.subscribe(&[a, b]).await;
    talker.unsubscribe(&[a]).await;
    publish(&server, spoken, a, &[1]).await;
    publish(&server, spoken, b, &[2]).await;
    assert_eq!(talker.event().await, (b.to_owned(), 2));
    talker.subscribe(&[a]).await;
    publish(&server, spoken, a, &[3]).await;
    assert_eq!(talker.event().await, (a.to_owned(), 3));
}

async fn names_that_stand_for_several_take_them_all(spoken: &Spoken) {
    let Some((wildcard, one)) = spoken.wildcard else { return };
    let server = serve(spoken, "");
    let mut talker = Talker::connect(spoken, &server).await;
    talker.subscribe(&[wildcard]).await;
    publish(&server, spoken, one, &[1]).await;
    assert_eq!(talker.event().await, (one.to_owned(), 1));
}

async fn what_is_no_message_gets_an_error_and_the_connection_lives_on(spoken: &Spoken) {
    let server = serve(spoken, "");
    let mut talker = Talker::connect(spoken, &server).await;
    let [a, _] = spoken.names;
    talker.subscribe(&[a]).await;
    for nonsense in spoken.nonsense {
        talker.socket.send_text(nonsense).await;
        talker.error().await;
    }
    // Depth is bounded, and what is deep is not read.
    talker.socket.send_text(&format!("{}{}", "[".repeat(500), "]".repeat(500))).await;
    talker.socket.send_binary(&[0xff, 0x00]).await;
    publish(&server, spoken, a, &[1]).await;
    assert_eq!(talker.event().await, (a.to_owned(), 1));
}

async fn subscribing_twice_brings_each_event_once(spoken: &Spoken) {
    let server = serve(spoken, "");
    let mut talker = Talker::connect(spoken, &server).await;
    let [a, _] = spoken.names;
    talker.subscribe(&[a]).await;
    talker.subscribe(&[a]).await;
    publish(&server, spoken, a, &[1, 2, 3]).await;
    assert_eq!(talker.numbers(3).await, [1, 2, 3]);
    assert!(talker.settle().await.iter().all(|message| (spoken.event)(message).is_none()));
}
