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
