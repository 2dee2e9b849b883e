use super::for_every_dialect;
use crate::spoken::Spoken;
use crate::talker::{Talker, publish, serve};

for_every_dialect!(a_client_that_comes_back_misses_nothing, a_stranger_gets_nothing_of_it);

/// Cuts a client off in the middle of what it gets; its cookie.
async fn cut_off(spoken: &Spoken, server: &tidings_tests::harness::TestServer) -> String {
    let mut talker = Talker::connect(spoken, server).await;
    let [a, _] = spoken.names;
    talker.subscribe(&[a]).await;
    publish(server, spoken, a, &[1, 2, 3]).await;
    assert_eq!(talker.numbers(3).await, [1, 2, 3]);
    talker.confirm().await;
    // Written, and perhaps never read.
    publish(server, spoken, a, &[4, 5]).await;
    let cookie = talker.cookie.clone();
    assert!(!cookie.is_empty());
    talker.cut();
    server.has_remembered(1).await;
    publish(server, spoken, a, &[6, 7]).await;
    cookie
}

async fn a_client_that_comes_back_misses_nothing(spoken: &Spoken) {
    let server = serve(spoken, "");
    let cookie = cut_off(spoken, &server).await;
    let header = format!("Cookie: {cookie}\r\n");
    let mut talker = Talker::connect_with(spoken, &server, &header).await;
    if spoken.dialect == "native" {
        // Who can say where it goes on gets back what it had with its first command.
        talker.socket.send_text(r#"{"id":5,"hello":{}}"#).await;
    }
    assert_eq!(talker.numbers(4).await, [4, 5, 6, 7]);
    // Subscribing again, as it would after a drop, changes nothing.
    let [a, _] = spoken.names;
    talker.subscribe(&[a]).await;
    publish(&server, spoken, a, &[8]).await;
    assert_eq!(talker.numbers(1).await, [8]);
}

async fn a_stranger_gets_nothing_of_it(spoken: &Spoken) {
    let server = serve(spoken, "");
    cut_off(spoken, &server).await;
    let mut stranger = Talker::connect(spoken, &server).await;
    let before = stranger.settle().await;
    assert!(before.iter().all(|message| (spoken.event)(message).is_none()), "{before:?}");
}
