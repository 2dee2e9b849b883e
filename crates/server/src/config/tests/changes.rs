use super::*;

fn changes(old: &str, new: &str) -> Changes {
    diff(&parse(old).unwrap().config, &parse(new).unwrap().config)
}

#[test]
fn what_takes_hold_at_a_reload_is_told_from_what_does_not() {
    let old = "[log]\nlevel = \"info\"\nformat = \"text\"\n[limits]\nconnections = 5\n";
    let new = "[log]\nlevel = \"debug\"\nformat = \"json\"\n[limits]\nconnections = 6\n[server]\nworkers = 3\n";
    let changes = changes(old, new);
    assert_eq!(changes.live, ["log.level", "limits.connections"]);
    assert_eq!(changes.restart_needed, ["log.format", "server.workers"]);
}

#[test]
fn items_are_compared_by_name_or_path() {
    let a = "[[stream]]\nname = \"a\"\ntopics = [\"a.>\"]\n";
    let b = "[[stream]]\nname = \"b\"\ntopics = [\"b.>\"]\n";
    assert!(changes(&format!("{a}{b}"), &format!("{b}{a}")).is_empty());
    assert_eq!(changes(a, &format!("{a}{b}")).restart_needed, ["stream.b"]);
    assert_eq!(changes(&format!("{a}{b}"), b).restart_needed, ["stream.a"]);
    let kept = format!("{a}retain = {{ count = 5 }}\n");
    let retain = ["stream.a.retain.count", "stream.a.retain.age"];
    assert_eq!(changes(a, &kept).restart_needed, retain);
    let endpoint = "[[endpoint]]\npath = \"/ws\"\n";
    let changed = changes("", &format!("{endpoint}[auth.roles.editor]\npublish = [\"x\"]"));
    assert_eq!(changed.live, ["auth.roles.anonymous.subscribe", "auth.roles.editor"]);
    assert_eq!(changed.restart_needed, ["endpoint./ws"]);
    let slower = format!("{endpoint}heartbeat = \"60s\"\nlimits = {{ subscriptions = 5 }}\n");
    assert_eq!(
        changes(endpoint, &slower).live,
        ["endpoint./ws.heartbeat", "endpoint./ws.limits.subscriptions"],
    );
}

#[test]
fn a_rotated_secret_is_a_change() {
    let text = "[admin]\ntoken_env = \"T\"\n";
    let with = |secret| load(&options(text), variables(&[("T", secret)])).unwrap().config;
    assert_eq!(diff(&with("old"), &with("new")).live, ["admin.token_env"]);
    assert!(diff(&with("old"), &with("old")).is_empty());
}

fn adopted(old: &str, new: &str) -> Config {
    let mut config = parse(old).unwrap().config;
    config.adopt_live(parse(new).unwrap().config);
    config
}

#[test]
fn what_needs_a_restart_stays_and_the_rest_is_taken() {
    let endpoint = |path: &str, listen: &str, root: &str, heartbeat: &str| {
        format!(
            "[[endpoint]]\npath = \"{path}\"\nlisten = \"127.0.0.1:{listen}\"\nroot = \"{root}\"\n\
             heartbeat = \"{heartbeat}\"\n"
        )
    };
    // Two of one path, each on its listener.
    let old = [("/b", "1", "x", "10s"), ("/a", "2", "y", "20s"), ("/b", "3", "z", "30s")];
    let new = [("/b", "1", "w", "11s"), ("/a", "2", "w", "21s"), ("/b", "3", "w", "31s")];
    let text = |all: &[(&str, &str, &str, &str)]| -> String {
        all.iter()
            .map(|(path, listen, root, heartbeat)| endpoint(path, listen, root, heartbeat))
            .collect()
    };
    let seen = |config: &Config| -> Vec<(String, String, u64)> {
        let own = config.endpoints.iter().filter(|one| one.path.as_str() != "/v1/ws");
        own.map(|one| {
            let root = one.root.as_ref().map(ToString::to_string).unwrap_or_default();
            (one.path.to_string(), root, one.heartbeat.as_ms())
        })
        .collect()
    };
    let before = seen(&parse(&text(&old)).unwrap().config);
    let expected: Vec<_> =
        before.iter().map(|(path, root, ms)| (path.clone(), root.clone(), ms + 1_000)).collect();
    assert_eq!(seen(&adopted(&text(&old), &text(&new))), expected);
    // Whatever the order, each has what is written for its own listener.
    let turned = [new[2], new[0]];
    let mut expected = expected;
    expected[1].2 -= 1_000;
    assert_eq!(seen(&adopted(&text(&old), &text(&turned))), expected);
    // Endpoints come and go with a restart.
    assert_eq!(seen(&adopted(&text(&old), "")), before);
    assert_eq!(seen(&adopted("", &text(&old))), []);
}

#[test]
fn items_of_a_list_that_lives_come_and_go() {
    let command = |name: &str, to: &str| format!("[[command]]\nname = \"{name}\"\nto = \"{to}\"\n");
    let old =
        command("a", "nats:a") + &command("b", "nats:b") + "[auth.roles.r]\nsubscribe = [\"a\"]\n";
    let new =
        command("c", "nats:c") + &command("b", "nats:d") + "[auth.roles.s]\nsubscribe = [\"b\"]\n";
    let nats = "[nats]\nurl = \"nats://127.0.0.1:1\"\n";
    let config = adopted(&format!("{nats}{old}"), &format!("{nats}{new}"));
    let expected = parse(&format!("{nats}{new}")).unwrap().config;
    assert_eq!(config.commands, expected.commands);
    assert_eq!(config.auth, expected.auth);
}
