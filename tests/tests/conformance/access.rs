use serde_json::json;
use tidings_tests::harness::{Socket, TestServer, http};
use tidings_tests::token::{self, SECRET};

use super::for_every_dialect;
use crate::spoken::{Initially, Spoken};
use crate::talker::{Talker, publish};

for_every_dialect!(
    who_is_not_believed_is_refused_and_nobody_notices,
    what_belongs_to_another_user_is_refused,
    an_event_for_a_user_reaches_nobody_else,
);

/// An endpoint of the dialect whose clients need a token of ours, and may have what their role of
/// that name may.
async fn serve(spoken: &Spoken) -> TestServer {
    let Spoken { dialect, path, names: [a, b], .. } = spoken;
    let root = if *dialect == "native" { String::new() } else { format!("root = \"{dialect}\"\n") };
    let may = |name| format!("subscribe = [\"{dialect}.{name}\", \"{dialect}.*.{name}\"]");
    let text = format!(
        "[auth]\nkeys = [{{ id = \"k\", algorithm = \"HS256\", secret_env = \"TIDINGS_SECRET\" }}]\n\
         audiences = [\"here\"]\n\
         [auth.roles.first]\n{}\n[auth.roles.second]\n{}\n\
         [auth.roles.all]\nsubscribe = [\"{dialect}.>\"]\n\
         [[endpoint]]\npath = \"{path}\"\ndialect = \"{dialect}\"\n{root}\
         auth = \"required\"\ntokens = [\"query\"]\n\
         [[stream]]\nname = \"all\"\ntopics = [\"{dialect}.>\"]\n",
        may(a),
        may(b)
    );
    TestServer::spawn_with_environment(&text, &[("TIDINGS_SECRET", SECRET)]).await
}

/// A token of a user with a role.
fn token(user: &str, role: &str) -> String {
    let expires = token::now() + 3_600;
    token::of(json!({ "sub": user, "aud": "here", "exp": expires, "roles": [role] }))
}

async fn who_is_not_believed_is_refused_and_nobody_notices(spoken: &Spoken) {
    let server = serve(spoken).await;
    let [a, _] = spoken.names;
    let mut ann = Talker::connect_as(spoken, &server, &token("ann", "all")).await;
    ann.subscribe(&[a]).await;
    let about = json!({ "sub": "ann", "aud": "here", "exp": token::now() + 3_600 });
    let mut expired = about.clone();
    expired["exp"] = json!(token::now() - 1);
    let mut foreign = about.clone();
    foreign["aud"] = json!("elsewhere");
    let (head, own) =
        token::of(about).rsplit_once('.').map(|(h, s)| (h.to_owned(), s.to_owned())).unwrap();
    let forged = format!("{head}.{}", own.chars().rev().collect::<String>());
    let wrong =
        [token::of(expired), token::of(foreign), forged, "nonsense".to_owned(), String::new()];
    for token in wrong {
        let path = format!("{}?token={token}", spoken.path);
        let refused = Socket::open_unwelcomed(server.public, &path, "").await.err().unwrap();
        assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    }
    let refused = Socket::open_unwelcomed(server.public, spoken.path, "").await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    publish(&server, spoken, a, &[1]).await;
    assert_eq!(ann.numbers(1).await, [1]);
}

async fn what_belongs_to_another_user_is_refused(spoken: &Spoken) {
    let server = serve(spoken).await;
    let [a, b] = spoken.names;
    let mut bob = Talker::connect_as(spoken, &server, &token("bob", "second")).await;
    // Of what comes without asking, it is told that it may not have all.
    bob.settle().await;
    bob.subscribe(&[b]).await;
    let mut ann = Talker::connect_as(spoken, &server, &token("ann", "first")).await;
    ann.settle().await;
    ann.send(&(spoken.subscribe)(&[b])).await;
    ann.error().await;
    ann.subscribe(&[a]).await;
    publish(&server, spoken, b, &[1]).await;
    publish(&server, spoken, a, &[2]).await;
    assert_eq!(bob.numbers(1).await, [1]);
    assert_eq!(ann.numbers(1).await, [2]);
}

async fn an_event_for_a_user_reaches_nobody_else(spoken: &Spoken) {
    let server = serve(spoken).await;
    let [a, _] = spoken.names;
    let mut clients = Vec::new();
    for user in ["ann", "ann", "bob"] {
        let mut client = Talker::connect_as(spoken, &server, &token(user, "all")).await;
        if spoken.initially != Initially::AllChannels {
            client.subscribe(&[a]).await;
        }
        clients.push(client);
    }
    let body = json!({ "topic": spoken.topic(a), "data": { "n": 1 }, "user": "ann" });
    http::post(server.admin, "/v1/publish", &body).await.ok();
    publish(&server, spoken, a, &[2]).await;
    for (client, expected) in clients.iter_mut().zip([&[1, 2][..], &[1, 2], &[2]]) {
        assert_eq!(client.numbers(expected.len()).await, expected);
    }
}
