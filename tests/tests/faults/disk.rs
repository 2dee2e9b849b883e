//! The disk fails, fills up, or is slow; and two servers want the same one.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_tests::harness::server::{config, free_address, program, temporary_directory};
use tidings_tests::harness::{TestServer, eventually, http};

use crate::data::{Data, config_in, events, publish};
use crate::{alone, tried};

#[tokio::test]
async fn after_fsync_failed_nothing_is_acknowledged_and_the_process_ends() {
    let _alone = alone().await;
    let (data, row) = (Data::new(), "3 fsync fails");
    drop(data.serve().await);
    let Some(mut server) = data.serve_with(row, "fdatasync:error=EIO:when=4+").await else {
        return;
    };
    let (mut acknowledged, mut errors) = (Vec::new(), Vec::new());
    for n in 0..20 {
        let Ok(reply) = tokio::spawn({
            let admin = server.admin;
            let body = json!({ "topic": "fsync.t", "data": n });
            async move { http::post(admin, "/v1/publish", &body).await }
        })
        .await
        else {
            // The process has ended.
            break;
        };
        match reply.status {
            200 => acknowledged.push(json!(n)),
            _ => errors.push(reply.error(500)),
        }
    }
    assert!(!acknowledged.is_empty() && errors.iter().all(|code| code == "storage"), "{errors:?}");
    assert!(!errors.is_empty());
    let status = server.ended().await;
    assert_eq!(status.code(), Some(1), "{}", server.log());
    assert!(server.log().contains("cannot be written any more"), "{}", server.log());
    let trace = std::fs::read_to_string(data.trace()).unwrap();
    assert_eq!(trace.matches("INJECTED").count(), 1, "it was tried again: {trace}");

    let server = data.serve().await;
    let kept: Vec<Value> =
        events(&server, "fsync").await.into_iter().map(|(_, data)| data).collect();
    assert_eq!(kept[..acknowledged.len()], acknowledged);
    publish(&server, "fsync.t", json!("again")).await.ok();
    tried(row, 1, "the batch fails with storage, exit 1, fsync is not tried again");
}

#[tokio::test]
async fn a_write_that_fails_ends_the_process_too() {
    let _alone = alone().await;
    let (data, row) = (Data::new(), "3 file system turns read-only");
    drop(data.serve().await);
    let Some(mut server) = data.serve_with(row, "pwrite64:error=EROFS:when=3+").await else {
        return;
    };
    let mut codes = Vec::new();
    for n in 0..3 {
        let reply = publish(&server, "fsync.t", json!(n)).await;
        codes.push(if reply.status == 200 { "ok".to_owned() } else { reply.error(500) });
        if reply.status != 200 {
            break;
        }
    }
    assert_eq!(codes, ["ok", "ok", "storage"]);
    assert_eq!(server.ended().await.code(), Some(1));
    let server = data.serve().await;
    assert_eq!(events(&server, "fsync").await.len(), 2);
    tried(row, 1, "publishes fail with storage, exit 1");
}

#[tokio::test]
async fn a_full_disk_refuses_publishes_and_nothing_else() {
    let _alone = alone().await;
    let (row, place) = ("6 disk full", temporary_directory());
    let mount = place.path().to_string_lossy().into_owned();
    // A file system of its own, in a namespace of its own: no privilege is needed.
    let script = format!("mount -t tmpfs -o size=6m tmpfs {mount} && exec \"$0\" \"$@\"");
    let wrapper = ["unshare", "-rm", "sh", "-c", &script];
    let can =
        Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", &mount]).status();
    if !can.is_ok_and(|status| status.success()) {
        return tried(
            row,
            0,
            "not tried: this system lets nobody mount in a namespace of their own",
        );
    }
    let server = TestServer::spawn_under(&wrapper, &config_in(&format!("{mount}/data"))).await;
    let mut live = server.subscriber(&["z"]).await;
    publish(&server, "fsync.t", json!("first")).await.ok();
    let inside = format!("/proc/{}/root{mount}/ballast", server.process_id());
    std::fs::write(&inside, vec![0; 4 << 20]).unwrap();
    let large = "x".repeat(200_000);
    let mut acknowledged = 1;
    let refused = loop {
        let reply = publish(&server, "fsync.t", json!(large)).await;
        if reply.status != 200 {
            break reply;
        }
        acknowledged += 1;
        assert!(acknowledged < 100, "it does not fill up");
    };
    assert_eq!(refused.error(507), "storage_full");
    assert!(refused.header("retry-after").is_some(), "{}", refused.head);
    // Whoever reads, and whoever publishes elsewhere, sees nothing of it.
    assert_eq!(events(&server, "fsync").await.len(), acknowledged);
    publish(&server, "z", json!(1)).await.ok();
    assert_eq!(live.json_with("event").await["event"]["data"], 1);
    assert!(server.log().contains("there is no room for stream `fsync`"), "{}", server.log());

    std::fs::remove_file(&inside).unwrap();
    eventually("there is room", async || {
        publish(&server, "fsync.t", json!("last")).await.status == 200
    })
    .await;
    let all = events(&server, "fsync").await;
    assert_eq!((all.len(), &all[all.len() - 1].1), (acknowledged + 1, &json!("last")));
    tried(row, 1, "507 storage_full with Retry-After; reads and live events go on; recovers");
}

#[tokio::test]
async fn a_slow_disk_refuses_what_would_wait_too_long_and_holds_up_nobody_else() {
    let _alone = alone().await;
    let (data, row) = (Data::new(), "7 slow disk");
    drop(data.serve().await);
    let Some(server) = data.serve_with(row, "fdatasync:delay_enter=1000000:when=2+").await else {
        return;
    };
    let mut live = server.subscriber(&["z"]).await;
    let body = json!({ "topic": "fsync.t", "data": "x".repeat(900_000) });
    let publishers: Vec<_> = (0..40)
        .map(|_| {
            let (admin, body) = (server.admin, body.clone());
            tokio::spawn(async move { http::post(admin, "/v1/publish", &body).await })
        })
        .collect();
    let mut asked = 0;
    while publishers.iter().any(|publisher| !publisher.is_finished()) {
        live.ask("ping", json!({})).await;
        publish(&server, "z", json!(asked)).await.ok();
        assert_eq!(live.json_with("event").await["event"]["data"], asked);
        asked += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut taken = 0;
    for publisher in publishers {
        let reply = publisher.await.unwrap();
        if reply.status == 200 {
            taken += 1;
        } else {
            assert_eq!(reply.error(503), "overloaded");
            assert!(reply.header("retry-after").is_some());
        }
    }
    assert!((1..40).contains(&taken), "{taken} of 40 were taken");
    assert!(asked > 10, "others were asked {asked} times");
    assert_eq!(events(&server, "fsync").await.len(), taken);
    let outcome =
        format!("{taken} of 40 taken, the rest 503 with Retry-After; {asked} pings between");
    tried(row, 1, &outcome);
}

#[tokio::test]
async fn a_second_server_does_not_touch_the_directory() {
    let _alone = alone().await;
    let data = Data::new();
    let server = data.serve().await;
    publish(&server, "fsync.t", json!(1)).await.ok();
    let directory = temporary_directory();
    let file = directory.path().join("tidings.toml");
    std::fs::write(&file, config(free_address(), free_address(), &data.config())).unwrap();
    let second = Command::new(program()).args(["serve", "--config"]).arg(&file).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains("another server uses the directory"), "{text}");
    publish(&server, "fsync.t", json!(2)).await.ok();
    assert_eq!(events(&server, "fsync").await, [(1, json!(1)), (2, json!(2))]);
    tried("24 two servers on one directory", 1, "the second exits 1 and says why");
}
